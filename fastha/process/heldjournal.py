"""`vrrp-held.json` in the run directory: what the vrrp process may have put into the kernel, for the one after it.

Addresses, routes and rules carry a protocol number, but so do keepalived's, and those of another daemon beside us in
the same namespace. So all that a Plan can bring into the kernel is written down as the Plan comes into force, never at
a failover; ours = Plan + journal. A file that was changed while nothing ran leaves nothing behind.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from fastha.model import codec
from fastha.model.plan import MadeLink, VirtualAddress, VrrpPlan
from fastha.model.routes import Route, Rule

NAME = "vrrp-held.json"


@dataclass(frozen=True, slots=True)
class Held:
    """Lines of a Plan that become something in the kernel."""

    addresses: tuple[VirtualAddress, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    made_links: tuple[MadeLink, ...] = ()

    def joined(self, other: "Held") -> "Held":
        """What is in either."""
        return Held(
            tuple(dict.fromkeys(self.addresses + other.addresses)),
            tuple(dict.fromkeys(self.routes + other.routes)),
            tuple(dict.fromkeys(self.rules + other.rules)),
            tuple(dict.fromkeys(self.made_links + other.made_links)),
        )

    def without(self, other: "Held") -> "Held":
        """What is only in this one. Addresses are the same whatever their options."""
        places = {(a.dev, a.address, a.prefixlen) for a in other.addresses}
        routes, rules, links = set(other.routes), set(other.rules), set(other.made_links)
        return Held(
            tuple(a for a in self.addresses if (a.dev, a.address, a.prefixlen) not in places),
            tuple(one for one in self.routes if one not in routes),
            tuple(one for one in self.rules if one not in rules),
            tuple(one for one in self.made_links if one not in links),
        )


def held_by(plan: VrrpPlan) -> Held:
    """All that this Plan can bring into the kernel."""
    instances = plan.instances
    return Held(
        (*plan.static_addresses, *(a for one in instances for a in one.addresses + one.excluded_addresses)),
        (*plan.static_routes, *(route for one in instances for route in one.routes)),
        (*plan.static_rules, *(rule for one in instances for rule in one.rules)),
        plan.made_links,
    )


class HeldJournal:
    """The file. What is wrong with it is told to `complain`; without it we only know less as ours."""

    def __init__(self, run_dir: str, complain: Callable[[str], None]) -> None:
        self._path = os.path.join(run_dir, NAME)
        self._complain = complain
        self._written: Held | None = None

    def read(self) -> Held:
        try:
            with open(self._path, "rb") as file:
                return codec.decode(Held, file.read())
        except FileNotFoundError:
            return Held()
        except (OSError, ValueError) as error:
            self._complain(f"cannot read {self._path}: {error}; what a process before left there is not known as ours")
            return Held()

    def write(self, held: Held) -> None:
        """Replace the file, whole or not at all."""
        if held == self._written:
            return
        try:
            with open(f"{self._path}.new", "wb") as file:
                file.write(codec.encode(held))
            os.rename(f"{self._path}.new", self._path)
        except OSError as error:
            text = f"cannot write {self._path}: {error.strerror}; what is removed from the configuration"
            self._complain(f"{text} while fastha is down would stay in the kernel")
            return
        self._written = held

    def remove(self) -> None:
        """There is nothing of ours in the kernel any more."""
        self._written = None
        with suppress(OSError):
            os.unlink(self._path)
