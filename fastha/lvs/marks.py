"""Groups behind marks (nftables_ipvs): one firewall mark for a group and protocol, not a service for each address.

A group that has marks of its own stays as it is, and one for all ports. A mark once given is kept for as long as its
group is there, so that a reload leaves services and their connections alone; none is given that the configuration names
itself.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import count

from fastha.model.plan import CheckerPlan, VirtualServer
from fastha.model.table import Marked


class Marks:
    """What has been given: by name of the group and protocol."""

    def __init__(self) -> None:
        self._given: dict[tuple[str, str], int] = {}

    def give(self, plan: CheckerPlan) -> CheckerPlan:
        """The same with the marks of its virtual servers."""
        if plan.marked_groups is None:
            self._given = {}
            return plan
        named = {server.fwmark for server in plan.virtual_servers}
        named |= {entry.fwmark for server in plan.virtual_servers for entry in server.entries}
        wanted = dict.fromkeys((each.group, each.protocol) for each in plan.virtual_servers if _is_of_addresses(each))
        kept = {group: self._given[group] for group in wanted if self._given.get(group, 0) not in {0, *named}}
        taken = named | set(kept.values())
        free = (mark for mark in count(plan.marked_groups.first) if mark not in taken)
        self._given = {group: kept[group] if group in kept else next(free) for group in wanted}
        servers = (
            replace(each, mark=self._given[each.group, each.protocol]) if _is_of_addresses(each) else each
            for each in plan.virtual_servers
        )
        return replace(plan, virtual_servers=tuple(servers))


def _is_of_addresses(server: VirtualServer) -> bool:
    return bool(server.group) and all(entry.port for entry in server.entries)


def marked(servers: Iterable[VirtualServer]) -> Marked:
    """What nftables has to mark."""
    return {
        (entry.family, server.protocol, entry.address, entry.port): server.mark
        for server in servers
        if server.mark
        for entry in server.entries
        if entry.address is not None
    }
