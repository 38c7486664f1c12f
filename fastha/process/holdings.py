"""What the instances of the vrrp process hold in the kernel: addresses, routes and rules, each in its table.

A commit removes what depends on something before that, and adds it after: rules, routes, addresses, and back again.
Each step is one batch, encoded when the Plan was made.
"""

from collections.abc import Callable, Mapping
from typing import Final

from fastha.model.net import Address
from fastha.model.plan import VrrpInstance, VrrpPlan
from fastha.process.heldjournal import Held
from fastha.system.addresses import Addresses
from fastha.system.firewall import Firewall, Shield
from fastha.system.links import OURS, Network
from fastha.system.routes import Routes, RouteWatch, Rules
from fastha.system.wanted import STATIC
from fastha.vrrp.events import RouteGone

LEFT: Final = -2
"""Holder of what a process before us left and the Plan does not have."""


class Holdings:
    def __init__(self, index_of: Callable[[str], int], table_of: Callable[[str], int]) -> None:
        self.addresses = Addresses(index_of)
        self.routes = Routes(index_of, table_of)
        self.rules = Rules()
        self.firewall = Firewall(index_of)
        self.watch = RouteWatch()

    def close(self) -> None:
        for one in (self.addresses, self.routes, self.rules, self.firewall, self.watch):
            one.close()

    def assign(self, instances: Mapping[int, VrrpInstance], plan: VrrpPlan) -> None:
        """Encode what the Plan has now, by instance index."""
        tables = (self.addresses, self.routes, self.rules, self.firewall)
        for gone in frozenset().union(*(table.holders() for table in tables)) - instances.keys() - {STATIC}:
            for table in tables:
                table.assign(gone, ())
        for index, one in instances.items():
            self.addresses.assign(index, one.addresses + one.excluded_addresses)
            self.routes.assign(index, one.routes)
            self.rules.assign(index, one.rules)
            self.firewall.assign(index, shields(one))
        self.addresses.assign(STATIC, plan.static_addresses)
        self.routes.assign(STATIC, plan.static_routes)
        self.rules.assign(STATIC, plan.static_rules)

    def want(self, holder: int, present: bool) -> None:
        """From the next `commit` on what this instance (or `STATIC`) has is there, or not."""
        self.addresses.want(holder, present)
        self.routes.want(holder, present)
        self.rules.want(holder, present)
        self.firewall.want(holder, present)

    def commit(self) -> list[str]:
        """Carry out what changed. Returns what was refused, in words."""
        return [
            *self.rules.remove(),
            *self.routes.remove(),
            *self.addresses.remove(),
            *self.firewall.remove(),
            *self.firewall.add(),
            *self.addresses.add(),
            *self.routes.add(),
            *self.rules.add(),
        ]

    def remove_left(self, left: Held, network: Network) -> tuple[list[str], list[str]]:
        """Remove at once what a process before us has left; what was there of it, and what was refused, in words. An
        address without our tag has become somebody else's; routes and rules are deleted by their tag anyway."""
        addresses = tuple(a for a in left.addresses if network.protocol(a.dev, a.address, a.prefixlen) == OURS)
        self.addresses.assign(LEFT, addresses)
        self.routes.assign(LEFT, left.routes)
        self.rules.assign(LEFT, left.rules)
        self.want(LEFT, False)
        problems = [*self.rules.remove(), *self.routes.remove(), *self.addresses.remove()]
        for table in (self.addresses, self.routes, self.rules):
            table.assign(LEFT, ())
        return [
            f"{a.address}/{a.prefixlen} dev {a.dev} was left by a process before: removed" for a in addresses
        ], problems

    def link_up(self, interface: str) -> None:
        """The interface is up (again): what the kernel dropped with it is due."""
        self.addresses.restore(interface)
        self.routes.restore(interface)

    def link_renamed(self, interface: str, index: int) -> list[str]:
        """What was `interface` goes by another name now: nothing of ours stays on it. What was refused, in words."""
        return [*self.routes.remove_from(interface, index), *self.addresses.remove_from(interface, index)]

    def address_gone(self, interface: str, address: Address, prefixlen: int) -> bool:
        """Whether an address that went was wanted; a static one is due again, and the routes that named it."""
        if not self.addresses.wanted(interface, address, prefixlen):
            return False
        self.addresses.restore(interface)
        self.routes.again(lambda line: line.prefsrc == address)
        return True

    def routes_gone(self, up: Callable[[str], bool]) -> list[RouteGone]:
        """What is missing of routes and rules, for those who track it. What went with its interface is no news."""
        routes, rules = self.watch.gone(self.routes, self.rules)
        lost = [
            (f"route {line.text}", line.tracked, holders)
            for line, holders in self.routes.gone(routes)
            if all(up(name) for name in line.devices)
        ]
        lost += [(f"rule {line.text}", line.tracked, holders) for line, holders in self.rules.gone(rules)]
        return [
            RouteGone(what, holders - {STATIC}) for what, tracked, holders in lost if tracked and holders - {STATIC}
        ]

    def present(self, holder: int, network: Network) -> tuple[str, ...]:
        """Addresses of a holder that the kernel has."""
        return tuple(
            f"{line.address}/{line.prefixlen} dev {line.dev}"
            for line in self.addresses.lines(holder)
            if network.has(line.dev, line.address, line.prefixlen)
        )


def shields(instance: VrrpInstance) -> tuple[Shield, ...]:
    """The addresses that a master does not answer on: it is not their owner, and accept mode is off."""
    if instance.accept or instance.owner:
        return ()
    lines = instance.addresses + instance.excluded_addresses
    return tuple(Shield(a.address, a.dev if a.address.startswith("fe80:") else "") for a in lines)
