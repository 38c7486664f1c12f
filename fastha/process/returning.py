"""dynamic_interfaces: whether an interface that comes back is the one that went.

Without `allow_if_changes` one of another type, or on top of another interface, is not: it counts as missing until one
of the old shape is there.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from fastha.system.links import Interface
from fastha.vrrp.events import LinkChanged


class Shape(NamedTuple):
    """What must not change."""

    kind: str
    """`macvlan`, `bond`, ...; empty for hardware."""
    parent: str
    """The interface underneath; empty: there is none, or none to be seen from here."""


class Returning:
    """Remembers the shape of each interface as it was first seen. `interface_at` finds one by index."""

    def __init__(self, interface_at: Callable[[int], Interface | None], complain: Callable[[list[str]], None]) -> None:
        self._interface_at = interface_at
        self._complain = complain
        self._shapes: dict[str, Shape] = {}
        self._refused: set[int] = set()
        """Indexes of those that were complained about."""

    def judged(self, change: LinkChanged) -> LinkChanged:
        """The change as it counts."""
        link = self._interface_at(change.index)
        if not change.exists or link is None:
            return change
        under = self._interface_at(link.lower)
        shape = Shape(link.kind, under.name if under is not None else "")
        first = self._shapes.setdefault(change.name, shape)
        if shape == first:
            return change
        if change.index not in self._refused:
            self._refused.add(change.index)
            self._complain([f"{change.name} has come back {_words(shape)}, and was {_words(first)}: it is not used"])
        return replace(change, exists=False, up=False)


def _words(shape: Shape) -> str:
    kind = f"a {shape.kind}" if shape.kind else "hardware"
    return f"{kind} on {shape.parent}" if shape.parent else kind
