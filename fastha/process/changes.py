"""What a reload changes, in words for the log: counts, and the first names."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from fastha.model.plan import Plan, VirtualServer

_NAMES: Final = 5
"""So many names are given of each kind of change."""


def changes(old: Plan, new: Plan) -> list[str]:
    """One line for each kind of thing that is otherwise in `new`; none: these things are the same."""
    return [
        line
        for what, before, after in (
            ("instances", _named(old.vrrp.instances), _named(new.vrrp.instances)),
            ("sync groups", _named(old.vrrp.sync_groups), _named(new.vrrp.sync_groups)),
            ("virtual servers", _named(old.checker.virtual_servers), _named(new.checker.virtual_servers)),
            ("real servers", dict(_servers(old.checker.virtual_servers)), dict(_servers(new.checker.virtual_servers))),
            ("track scripts", _named(old.runner.track_scripts), _named(new.runner.track_scripts)),
        )
        if (line := _line(what, before, after))
    ]


def _named(things: Iterable[object]) -> dict[str, object]:
    return {str(getattr(one, "name")): one for one in things}  # noqa: B009 - several kinds of things with a name


def _servers(services: Iterable[VirtualServer]) -> Iterator[tuple[str, object]]:
    for service in services:
        for one in service.real_servers:
            yield f"{service.name} {one.address}:{one.port}", one


def _line(what: str, before: Mapping[str, object], after: Mapping[str, object]) -> str:
    added = [name for name in after if name not in before]
    removed = [name for name in before if name not in after]
    changed = [name for name, one in after.items() if name in before and before[name] != one]
    parts = [
        f"{len(names)} {word} ({_some(names)})"
        for word, names in (("added", added), ("removed", removed), ("changed", changed))
        if names
    ]
    return f"{what}: {', '.join(parts)}" if parts else ""


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMES]) + (", ..." if len(names) > _NAMES else "")
