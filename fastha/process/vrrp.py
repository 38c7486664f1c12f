"""The vrrp process: the core's decisions, the advert engine, rtnetlink and the other processes, wired together.

    engine, rtnetlink, runner, supervisor --events--> core --actions--> engine, addresses, runner, supervisor

Everything happens in turns of the loop. A turn hands events to the core and does what it asks for in order, with one
exception: addresses wait for the end of the turn, so that a failover of a thousand instances is one netlink batch, and
announcements and notifications wait for the addresses. That the core lives shows in two things, given from here only:
the engine's lease and the answer to the watchdog.
"""

import os
import resource
import socket
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastha._vrrp import AdvertEngine
from fastha.model.net import Address, family_of
from fastha.model.plan import MadeLink, VrrpInstance, VrrpPlan
from fastha.model.snapshot import VrrpSnapshot
from fastha.model.units import MS, Ns, S
from fastha.process import messages
from fastha.process.child import Child, Refused, run_child
from fastha.process.holdings import Holdings
from fastha.process.linkbeats import Linkbeats
from fastha.process.vrrp_mail import Mails
from fastha.system import clock, realtime
from fastha.system.advert_sockets import AdvertSockets
from fastha.system.links import Forwarding, Network
from fastha.system.madelinks import MadeLinks
from fastha.system.proctitle import set_comm
from fastha.system.sockets import packet_sender
from fastha.system.sysctls import Sysctls
from fastha.system.wanted import STATIC
from fastha.vrrp import actions, events
from fastha.vrrp.core import Core
from fastha.vrrp.orders import SendFailed
from fastha.wire import arp, ndisc

if TYPE_CHECKING:
    import asyncio

BEAT: Final = 0.25
"""Seconds between renewals of the engine's lease when nothing else happens; the lease is 1 s at least."""
SILENT_ENGINE: Final = 2 * S
"""An engine that has made no turn for so long hangs; it makes four a second."""
UNKNOWN_EVERY: Final = 5 * S
FIT_AGAIN: Final = S
"""Sockets that could not be opened are tried again this often; meanwhile their instances stay BACKUP."""
EXIT_PERMISSION: Final = 4
ROOM: Final = 1024
"""Instances the engine has room for, at least; four times those of the first Plan when that is more."""


class VrrpWork:
    """The work of the vrrp process (`process.child.Work`)."""

    core: Core
    engine: AdvertEngine
    network: Network
    holdings: Holdings
    made: MadeLinks
    linkbeats: Linkbeats
    sockets: AdvertSockets
    frames: socket.socket
    """For gratuitous ARP and neighbour advertisements."""

    def __init__(self, child: Child[VrrpPlan]) -> None:
        self._child = child
        self._loop = child.loop
        self._forwarding = Forwarding()
        self._mails = Mails()
        self._room = ROOM
        self._announcements: list[actions.Announce] = []
        self._tells: list[actions.Tell] = []
        self._interfaces: frozenset[str] = frozenset()
        """Those the Plan names; the core hears of no others."""
        self._mute: set[int] = set()
        """Instances whose adverts fail, as told."""
        self._fit_at: Ns | None = None
        """When the sockets are to be made to fit again; None: they do."""
        self._finished = False
        self._released = False
        self._states: dict[str, str] = {}
        self._since_wall: dict[str, float] = {}
        """When an instance entered the state it is in, by the clock of that moment."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: Ns | None = None
        self._engine_turns = (0, clock.monotonic())
        self._unknown: set[tuple[str, int]] = set()
        self._unknown_at: Ns = 0
        self._realtime = ""

    # ---------------------------------------------------------------------------------------- the life

    def start(self, plan: VrrpPlan, resume: frozenset[str]) -> None:
        _raise_descriptor_limit()
        if plan.process.process_name:
            set_comm(plan.process.process_name)
        try:
            self.frames = packet_sender()
        except PermissionError:
            raise Refused("VRRP needs raw sockets (CAP_NET_RAW and CAP_NET_ADMIN)", EXIT_PERMISSION) from None
        self._room = max(ROOM, 4 * len(plan.instances))
        self.core = Core(plan)
        self.engine = AdvertEngine(self._room)
        self.engine.start()
        self.holdings = Holdings(self._index_of, self._table_of)
        self.network = Network(_configured_sources(plan.instances), self.holdings.addresses.known)
        self.made = MadeLinks(self.network, Sysctls(Path(self._child.run_dir) / "vrrp-sysctls.json"))
        self.sockets = AdvertSockets(self.engine, self._index_of)
        self.linkbeats = Linkbeats(self._loop, self._links_answer)
        self._enter_realtime(plan)
        self._interfaces = _named_interfaces(plan)
        self.network.read()
        self._want_links(plan, plan.made_links)
        self.linkbeats.watch(plan.linkbeat)
        self._assign_holdings()
        self.holdings.want(STATIC, True)
        self._turn([*self._described(self._interfaces), events.Start(resume)])
        self._loop.add_reader(self.engine.fileno(), self._engine_speaks)
        self._loop.add_reader(self.network.fileno(), self._kernel_speaks)
        self._loop.add_reader(self.holdings.watch.fileno(), self._routes_speak)
        self._beat()

    def reload(self, plan: VrrpPlan) -> None:
        if 2 * len(plan.instances) > self._room:  # an index is not used again at once
            raise Refused(f"{len(plan.instances)} instances are more than the running process takes: restart fastha")
        process = self.core.plan.process
        named = _named_interfaces(plan)
        self.network.watch(_configured_sources(plan.instances))
        # those that go are still needed, to say good-bye on
        self._want_links(plan, (*self.core.plan.made_links, *plan.made_links))
        # what the new Plan looks at must be known before it is judged; what is known already changes nothing
        self.linkbeats.watch(plan.linkbeat)
        self._turn([*self._described(named), events.Reload(plan)])
        self._interfaces = named
        self._want_links(plan, plan.made_links)
        if plan.process != process:
            if plan.process.process_name:
                set_comm(plan.process.process_name)
            self._enter_realtime(plan)

    def stop(self, release: bool) -> None:
        self._released = release
        if release:
            self.holdings.want(STATIC, False)
        self._turn([events.Shutdown(release)])

    def _end(self) -> None:
        """The core has said its last word, and it has been done."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self.engine.fileno())
        self._loop.remove_reader(self.network.fileno())
        self.linkbeats.close()
        self._loop.remove_reader(self.holdings.watch.fileno())
        if not self.engine.stop():
            self._child.log("error", "the advert engine did not stop; what it had to say may be unsaid")
        self.sockets.close()
        if self._released:
            self._complain([*self.holdings.firewall.release(), *self.made.release()])
        self.made.close()
        self.holdings.close()
        self.network.close()
        self.frames.close()
        self._child.finish()

    def healthy(self) -> bool:
        now, turns = clock.monotonic(), self.engine.stats()["turns"]
        if turns != self._engine_turns[0]:
            self._engine_turns = (turns, now)
        return now - self._engine_turns[1] < SILENT_ENGINE

    def snapshot(self) -> VrrpSnapshot:
        instances = self.core.instances
        counts = {index: self.engine.counters(index) for index in instances}
        present = {one.name: self.holdings.present(index, self.network) for index, one in instances.items()}
        described = self.core.snapshot(clock.monotonic(), clock.wall(), counts=counts, present=present)
        counters = {**self.engine.stats(), "netlink_overruns": self._overruns(), **self._child.lost()}
        stamped = tuple(
            replace(one, since_wall=self._since_wall.get(one.name, one.since_wall)) for one in described.instances
        )
        lateness = self.engine.lateness()
        return replace(described, instances=stamped, realtime=self._realtime, engine=counters, lateness=lateness)

    def _overruns(self) -> int:
        return self.network.overruns + self.holdings.watch.overruns

    def _enter_realtime(self, plan: VrrpPlan) -> None:
        engine = self.engine.native_id
        self._realtime, refused = realtime.enter(plan.process, (engine,) if engine else ())
        for line in refused:
            self._child.log("warning", line)

    # ----------------------------------------------------------------------------------------- the peers

    def linked(self, peer: str) -> None:
        """Trackers are told by the runner; events wait in their own queue: nothing to repeat."""

    def received(self, peer: str, message: messages.Message) -> None:
        match message:
            case messages.TrackerScript(name, up):
                self._turn([events.ScriptResult(name, up)])
            case messages.TrackerFile(name, value):
                self._turn([events.FileValue(name, value)])
            case messages.TrackerProcess(name, up):
                self._turn([events.ProcessQuorum(name, up)])
            case _:
                self._child.log("warning", f"{peer} sent {type(message).__name__}, which is not for me")

    # ------------------------------------------------------------------------------------ what wakes us

    def _engine_speaks(self) -> None:
        happened = self.engine.events()
        for one in happened:
            if isinstance(one, SendFailed):
                self._send_failed(one)
        self._turn([one for one in happened if not isinstance(one, SendFailed)])
        if not self._finished:
            self.engine.settle()

    def _send_failed(self, failure: SendFailed) -> None:
        """Tell when adverts cannot leave, and when they can again; that they cannot without a link is no news."""
        instance = self.core.instances.get(failure.instance)
        if instance is None:
            return
        link = self.network.interfaces.get(self._index_of(instance.plan.interface))
        if failure.errno and link is not None and link.up:
            self._mute.add(failure.instance)
            self._child.log("warning", f"({instance.name}) cannot send adverts: {os.strerror(failure.errno)}")
        elif not failure.errno and failure.instance in self._mute:
            self._mute.discard(failure.instance)
            self._child.log("info", f"({instance.name}) adverts can be sent again")

    def _kernel_speaks(self) -> None:
        happened: list[events.Event] = []
        changes = self.network.changes()
        if self.made.missing():
            more, problems = self.made.make()
            self._complain(problems)
            changes += more
            self._fit_firewall(self.core.plan)
        for change in changes:
            match change:
                case events.AddressGone(interface, address):
                    if not self.holdings.address_gone(interface, address):
                        continue  # our own doing, or nothing of ours
                case events.LinkChanged(name) if name in self._interfaces:
                    self._fit_at = 0  # it may be another interface of the same name
                    if change.up:
                        self.holdings.link_up(name)
                    change = self.linkbeats.judged(change)  # noqa: PLW2901
                case events.SourceChanged(interface) if interface in self._interfaces:
                    pass
                case _:
                    continue
            happened.append(change)
        self._turn(happened)

    def _links_answer(self, names: list[str]) -> None:
        """Polled interfaces are otherwise than before."""
        if not self._finished:
            self._turn([one for one in self._described(frozenset(names)) if isinstance(one, events.LinkChanged)])

    def _described(self, names: frozenset[str]) -> list[events.Event]:
        return [
            self.linkbeats.judged(one) if isinstance(one, events.LinkChanged) else one
            for one in self.network.described(names)
        ]

    def _routes_speak(self) -> None:
        """Links first: what went with its interface is told as that."""
        self._kernel_speaks()
        if not self._finished:
            self._turn(self.holdings.routes_gone(self._is_up))

    def _beat(self) -> None:
        """The lease, and what is looked at now and then."""
        if self._finished:
            return
        self._turn(())
        if self.core.plan.log_unknown_vrids:
            self._look_for_unknown(clock.monotonic())
        self._loop.call_later(BEAT, self._beat)

    def _look_for_unknown(self, now: Ns) -> None:
        if now < self._unknown_at:
            return
        self._unknown_at = now + UNKNOWN_EVERY
        unknown = self.sockets.unknown_vrids()
        for interface, vrid in sorted(unknown - self._unknown):
            self._child.log("info", f"unknown VRID {vrid} is advertised on {interface}")
        self._unknown |= unknown

    # -------------------------------------------------------------------------------------------- a turn

    def _turn(self, happened: Iterable[events.Event]) -> None:
        """Hand events to the core, and time; do what follows."""
        for event in happened:
            self._do(self.core.handle(event, clock.monotonic()))
        now = clock.monotonic()
        self._do(self.core.tick(now))
        if self._fit_at is not None and now >= self._fit_at:
            self._fit(now)
        self._complain(self.holdings.commit())
        self._announce(now)
        self._tell()
        if self._finished:
            self._end()
            return
        self.engine.renew(now)
        self._set_timer(self.core.deadline(), now)

    def _do(self, todo: list[actions.Action]) -> None:
        for action in todo:
            match action:
                case actions.Give(order):
                    self.engine.order(order)
                case actions.Send(instance, datagrams):
                    self.engine.send(instance, datagrams)
                case actions.WantAddresses(instance, present):
                    self.holdings.want(instance, present)
                case actions.Announce():
                    self._announcements.append(action)
                case actions.Tell():
                    self._tells.append(action)
                case actions.Log(level, text):
                    self._child.log(level, text)
                case actions.Rebuild():
                    self._assign_holdings()
                    self._fit(clock.monotonic())
                case actions.Finished():
                    self._finished = True

    def _fit(self, now: Ns) -> None:
        """Give the engine the sockets that the instances need now."""
        problems = self.sockets.fit(self.core.endpoints())
        self._fit_at = now + FIT_AGAIN if problems else None
        self._complain(problems)

    def _want_links(self, plan: VrrpPlan, links: Iterable[MadeLink]) -> None:
        """Make the interfaces of the Plan and set what goes with them; at set-up only. What is new by that is read
        already."""
        self._complain(self.made.want(links, plan.promote_secondaries, igmp=not plan.disable_local_igmp))
        self._complain(self.made.make()[1])
        self._fit_firewall(plan)

    def _fit_firewall(self, plan: VrrpPlan) -> None:
        made = self.made.indexes()
        self._complain(self.holdings.firewall.fit(plan.firewall, made, igmp=not plan.disable_local_igmp))

    def _assign_holdings(self) -> None:
        """Encode the requests for what the Plan, as it is now, has in the kernel."""
        self.holdings.assign({index: one.plan for index, one in self.core.instances.items()}, self.core.plan)
        self._fit_firewall(self.core.plan)

    def _announce(self, now: Ns) -> None:
        """Gratuitous ARP and neighbour advertisements, now that the addresses are there."""
        announcements, self._announcements = self._announcements, []
        for one in announcements:
            frames = [frame for place in one.addresses if (frame := self._frame(*place, now)) is not None]
            self.engine.frames(self.frames.fileno(), frames * one.count)

    def _frame(self, interface: str, address: Address, now: Ns) -> tuple[int, bytes] | None:
        """None where there is nothing to announce: given up again in the same turn, or a link without ARP."""
        link = self.network.interfaces.get(self._index_of(interface))
        if link is None or not link.arp or not link.mac:
            return None
        addresses = self.holdings.addresses
        if addresses.known(interface, address) and not addresses.wanted(interface, address):
            return None
        if family_of(address) == 4:
            return link.index, arp.gratuitous(link.mac, address)
        return link.index, ndisc.unsolicited(link.mac, address, router=self._forwarding(interface, now))

    def _tell(self) -> None:
        """Notifications to the runner; states, of which a successor may resume, to the supervisor."""
        if not self._tells:
            return
        tells, self._tells = self._tells, []
        for one in tells:
            subject, body = ("", "") if one.only_fifo else self._mails.compose(one.kind, one.name, one.state)
            told = messages.Tell(one.kind, one.name, one.state, one.priority, subject, body, one.only_fifo)
            self._child.send("runner", told)
        states = self.core.states()
        changed = {name: state for name, state in states.items() if self._states.get(name) != state}
        if changed:
            self._since_wall |= dict.fromkeys(changed, clock.wall())
            down = self.core.master_down_intervals()
            self._child.report(messages.States(changed, {name: down[name] for name in changed}))
        self._states = states

    def _set_timer(self, deadline: Ns | None, now: Ns) -> None:
        """Wake for the core's agenda; the loop counts whole milliseconds, so up to one too late."""
        if deadline == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = None
        if deadline is not None:
            self._timer = self._loop.call_later((max(0, deadline - now) + MS) / S, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer_at = None
        self._turn(())

    def _complain(self, problems: Iterable[str]) -> None:
        for problem in problems:
            self._child.log("error", problem)

    def _index_of(self, interface: str) -> int:
        return self.network.indexes.get(interface, 0)

    def _table_of(self, vrf: str) -> int:
        link = self.network.interfaces.get(self._index_of(vrf))
        return link.vrf_table if link is not None else 0

    def _is_up(self, interface: str) -> bool:
        link = self.network.interfaces.get(self._index_of(interface))
        return link is not None and link.up


def _named_interfaces(plan: VrrpPlan) -> frozenset[str]:
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
    return frozenset((i.source_interface, i.source) for i in instances if i.track_src_ip and i.source is not None)


def _raise_descriptor_limit() -> None:
    """Two sockets for each interface, family and group."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> int:
    return run_child("vrrp", VrrpPlan, VrrpWork)


if __name__ == "__main__":
    sys.exit(main())
