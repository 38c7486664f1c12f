"""The kernel as the vrrp process sees it and shapes it: interfaces, their settings, and what instances hold there.

Set-up (`set_up`) makes interfaces, writes settings and firewall rules; it happens at start, at reload, and when an
interface comes back. A failover only commits `holdings`.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from fastha.model.net import Address
from fastha.model.plan import MadeLink, VrrpInstance, VrrpPlan
from fastha.process.heldjournal import HeldJournal, held_by
from fastha.process.holdings import Holdings
from fastha.process.linkbeats import Linkbeats
from fastha.process.returning import Returning
from fastha.system.links import Change, Interface, Network
from fastha.system.madelinks import MadeLinks
from fastha.system.sysctls import Sysctls
from fastha.system.wanted import STATIC
from fastha.vrrp import events

JOURNAL = "vrrp-sysctls.json"
"""In the run directory: what settings were before they were ours."""


class Machine:
    """`complain` is told, in words, what the kernel refused; `polled` gets events of polled interfaces."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        run_dir: str,
        complain: Callable[[Iterable[str]], None],
        polled: Callable[[list[events.Event]], None],
    ) -> None:
        self._complain = complain
        self.holdings = Holdings(self.index_of, self._table_of)
        self.network = Network(frozenset(), self.holdings.addresses.known)
        self._made = MadeLinks(self.network, Sysctls(Path(run_dir) / JOURNAL))
        self._linkbeats = Linkbeats(loop, lambda names: polled(self._polled(names)))
        self._returning = Returning(self._interface_at, self._complain)
        self._plan = VrrpPlan()
        self._journal = HeldJournal(run_dir, lambda text: complain([text]))
        self.named: frozenset[str] = frozenset()
        """Interfaces that the Plan in force names; the core hears of no others."""

    # ------------------------------------------------------------------------------------------ set-up

    def start(self, plan: VrrpPlan, instances: Mapping[int, VrrpInstance]) -> list[events.Event]:
        """Read everything, make what the Plan needs; what the core is to know first."""
        self.named = named_interfaces(plan)
        self.network.watch(_configured_sources(plan.instances))
        self.network.read()
        left = self._journal.read()
        self._journal.write(left.joined(held_by(plan)))
        self._made.adopt(left.made_links)
        self._set_up(plan, plan.made_links)
        self.assign(instances, plan)
        removed, problems = self.holdings.remove_left(left.without(held_by(plan)), self.network)
        self._complain([*removed, *problems])
        self._journal.write(held_by(plan))
        self.holdings.want(STATIC, True)
        return self.described(self.named)

    def prepare(self, plan: VrrpPlan) -> list[events.Event]:
        """Before a reload: what the new Plan looks at must be known before it is judged; what is known already changes
        nothing. Interfaces that go are still needed, to say good-bye on."""
        self._journal.write(held_by(self._plan).joined(held_by(plan)))
        self.network.watch(_configured_sources(plan.instances))
        happened, _ = self._for_core(self._set_up(plan, (*self._plan.made_links, *plan.made_links)))
        return [*happened, *self.described(named_interfaces(plan))]

    def settle(self, plan: VrrpPlan) -> list[events.Event]:
        """After a reload; what has come of it."""
        self.named = named_interfaces(plan)
        happened, _ = self._for_core(self._set_up(plan, plan.made_links))
        self._journal.write(held_by(plan))
        return happened

    def assign(self, instances: Mapping[int, VrrpInstance], plan: VrrpPlan) -> None:
        """Encode the requests for what the Plan has in the kernel, by instance index."""
        self.holdings.assign(instances, plan)
        self._fit_firewall()

    def close(self, *, release: bool) -> None:
        """`release`: leave the machine as it was."""
        self._linkbeats.close()
        if release:
            self._complain([*self.holdings.firewall.release(), *self._made.release()])
            self._journal.remove()
        self._made.close()
        self.holdings.close()
        self.network.close()

    def _set_up(self, plan: VrrpPlan, links: Iterable[MadeLink]) -> list[Change]:
        """What is new on the network by it."""
        self._plan = plan
        self._complain(self._made.want(links, plan.promote_secondaries, igmp=not plan.disable_local_igmp))
        changes, problems = self._made.make(self._fit_firewall)
        self._complain(problems)
        self._linkbeats.watch(plan.linkbeat)
        return changes

    def _fit_firewall(self) -> None:
        plan = self._plan
        igmp = not plan.disable_local_igmp
        made, borrowed = self._made.indexes(), self._made.borrowed()
        self._complain(self.holdings.firewall.fit(plan.firewall, made, borrowed, igmp=igmp))

    # ------------------------------------------------------------------------------------- what happens

    def described(self, names: frozenset[str]) -> list[events.Event]:
        """How it is with these interfaces, whether told before or not."""
        return [self._judged(one) for one in self.network.described(names)]

    def changes(self) -> tuple[list[events.Event], bool]:
        """What the kernel has told, for the core; and whether interfaces are otherwise than they were."""
        changes = self.network.changes()
        if self._made.missing():
            more, problems = self._made.make(self._fit_firewall)
            self._complain(problems)
            changes += more
        return self._for_core(changes)

    def _for_core(self, changes: Iterable[Change]) -> tuple[list[events.Event], bool]:
        happened: list[events.Event] = []
        moved = False
        for name, index in self.network.take_renamed():
            self._complain(self.holdings.link_renamed(name, index))
        for change in changes:
            match change:
                case events.AddressGone(interface, address, prefixlen):
                    if self.holdings.address_gone(interface, address, prefixlen):
                        happened.append(change)  # else: our own doing, or nothing of ours
                case events.LinkChanged(name) if name in self.named:
                    moved = True
                    if change.up:
                        self.holdings.link_up(name)
                    happened.append(self._judged(change))
                case events.SourceChanged(interface) if interface in self.named:
                    happened.append(change)
        return happened, moved

    def routes_gone(self) -> list[events.RouteGone]:
        """Routes and rules that somebody has deleted. Look at `changes` first: what went with its interface is told as
        that."""
        return self.holdings.routes_gone(self._is_up)

    def present(self, holder: int) -> tuple[str, ...]:
        """Addresses of an instance that the kernel has."""
        return self.holdings.present(holder, self.network)

    def addresses_present(self, *, static: bool) -> int:
        """How many addresses of instances the kernel has, and with `static` of the others."""
        holders = self.holdings.addresses.holders() - (frozenset() if static else {STATIC})
        return sum(len(self.present(holder)) for holder in holders)

    def overruns(self) -> int:
        """How often the kernel dropped notifications."""
        return self.network.overruns + self.holdings.watch.overruns

    def _polled(self, names: list[str]) -> list[events.Event]:
        return [one for one in self.described(frozenset(names)) if isinstance(one, events.LinkChanged)]

    def _judged(self, change: events.Event) -> events.Event:
        if not isinstance(change, events.LinkChanged):
            return change
        plan = self._plan
        if (
            plan.dynamic_interfaces
            and not plan.allow_if_changes
            and change.name not in {m.name for m in plan.made_links}
        ):
            change = self._returning.judged(change)
        return self._linkbeats.judged(change)

    # ------------------------------------------------------------------------------------------ look-ups

    def index_of(self, interface: str) -> int:
        """0: there is no such interface."""
        return self.network.indexes.get(interface, 0)

    def link_of(self, interface: str) -> Interface | None:
        return self.network.interfaces.get(self.index_of(interface))

    def _interface_at(self, index: int) -> Interface | None:
        return self.network.interfaces.get(index)

    def _table_of(self, vrf: str) -> int:
        link = self.link_of(vrf)
        return link.vrf_table if link is not None else 0

    def _is_up(self, interface: str) -> bool:
        link = self.link_of(interface)
        return link is not None and link.up


def named_interfaces(plan: VrrpPlan) -> frozenset[str]:
    """Every interface that something in the Plan depends on."""
    lines = [line for i in plan.instances for line in i.addresses + i.excluded_addresses]
    routes = [route for i in plan.instances for route in i.routes]
    return frozenset(
        [
            *(i.interface for i in plan.instances),
            *(name for i in plan.instances for name in (i.base, i.vrf) if name),
            *(track.name for i in plan.instances for track in i.track_interfaces),
            *(track.name for group in plan.sync_groups for track in group.track_interfaces),
            *(line.dev for line in (*lines, *plan.static_addresses)),
            *(dev for route in (*routes, *plan.static_routes) for dev in route.devices),
            *plan.interface_delays,
        ]
    )


def _configured_sources(instances: Iterable[VrrpInstance]) -> frozenset[tuple[str, Address]]:
    return frozenset((i.source_interface, i.source) for i in instances if i.source is not None)
