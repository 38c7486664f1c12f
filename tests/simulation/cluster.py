"""A cluster in virtual time: real cores and model engines, a made-up network, made-up kernels.

Everything that happens is an entry (time, number, function) of one heap, so a run is a function of its seed. A node has
a clock of its own (drift), a kernel that holds addresses, an engine thread and a core, each of which may be paused; it
can crash and start again. The network delays, loses, doubles and reorders, and can be cut in parts.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from fastha._vrrp import AdvertEngine
from fastha.model.net import Address
from fastha.model.plan import VrrpPlan
from fastha.model.units import MS, US, Ns
from fastha.vrrp import actions, events
from fastha.vrrp.core import Core
from fastha.vrrp.engine import ModelEngine
from fastha.vrrp.orders import Endpoint
from fastha.wire import ah, ip
from fastha.wire import vrrp as wire

Engine = ModelEngine | AdvertEngine

BOOT: Ns = 10**12
"""Local clocks start here."""
EPOCH: Ns = 1_700_000_000 * 10**9
"""What wall clocks add to them."""
QUEUE = 256
"""Datagrams a paused node's sockets hold."""
HEARTBEAT: Ns = 250 * MS
"""The engine's longest sleep."""
HEADERS = ip.HEADER.size + ah.SIZE
"""In front of a message sealed with AH."""
MOST_EVENTS = 500_000
"""Far more than any story needs."""


@dataclass
class Weather:
    """What the network does to a datagram."""

    loss: float = 0.0
    duplicate: float = 0.0
    delay: tuple[Ns, Ns] = (40 * US, 40 * US + 1)  # no reordering
    parts: dict[int, int] = field(default_factory=dict)
    """node number -> part; nodes in different parts do not hear each other. Missing: part 0."""


@dataclass
class Interface:
    address: Address
    link_local: Address
    segment: int
    up: bool = True
    has_source: bool = True


@dataclass(frozen=True)
class Transition:
    at: Ns
    node: int
    instance: str
    state: str


class Node:
    """One machine. `number` orders addresses: a higher one is a higher address."""

    def __init__(
        self, cluster: Cluster, number: int, plan: VrrpPlan, interfaces: dict[str, Interface], ppm: int
    ) -> None:
        self.cluster, self.number, self.plan, self.interfaces, self.ppm = cluster, number, plan, interfaces, ppm
        self.scripts: dict[str, bool] = {}
        self.files: dict[str, int] = {}
        self.processes: dict[str, bool] = {}
        self.present: set[tuple[str, Address]] = set()
        """The kernel's addresses: survive a crash of the process."""
        self.core: Core | None = None
        self.engine = cluster.make_engine()
        self.core_paused = self.engine_paused = self.deaf = False
        self.finished = False
        self.queue: list[tuple[int, events.AdvertReceived]] = []
        self.last_masters: frozenset[str] = frozenset()
        self.wanted_at: Ns = 0
        """When the engine wanted to run, for the length of an absence."""
        self.slots: dict[tuple[str, int, int, Address | None], int] = {}
        self.endpoints: dict[int, Endpoint] = {}
        self.serial = 0
        self.told: dict[str, list[str]] = {}
        self.held_back: list[events.Event] = []
        """What the shell has for a paused core."""
        self.netlink_errors = 0.0
        self.clock_error: Ns = 0
        """How far the wall clock is from the right time."""
        self.life = 0
        """Rises with each start and crash: what was under way for an earlier life is void."""
        self.wishes: dict[int, tuple[bool, set[tuple[str, Address]]]] = {}
        """By instance: the addresses wanted last, present or absent."""

    # ------------------------------------------------------------------------------------------- life

    @property
    def alive(self) -> bool:
        return self.core is not None and not self.finished

    def local(self) -> Ns:
        return BOOT + self.cluster.now + self.cluster.now * self.ppm // 1_000_000

    def wall(self) -> Ns:
        return EPOCH + self.local() + self.clock_error

    def at_local(self, when: Ns) -> Ns:
        """The cluster's time at which the local clock says `when`, rounded up."""
        since = when - BOOT
        return -(-since * 1_000_000 // (1_000_000 + self.ppm))

    def boot(self, *, resume: bool = False) -> None:
        self.life += 1
        self.core = self.cluster.make_core(self.plan)
        self.engine = self.cluster.make_engine()
        self.finished = self.core_paused = self.engine_paused = self.deaf = False
        self.slots, self.endpoints, self.queue, self.held_back, self.wishes = {}, {}, [], [], {}
        for name in self.interfaces:
            self.tell_interface(name)
        for name, up in self.scripts.items():
            self.do(self.core.handle(events.ScriptResult(name, up), self.local()))
        for name, up in self.processes.items():
            self.do(self.core.handle(events.ProcessQuorum(name, up), self.local()))
        for name, value in self.files.items():
            self.do(self.core.handle(events.FileValue(name, value), self.local()))
        names = self.last_masters if resume else frozenset[str]()
        self.tell(events.Start(resume=names))

    def tell_interface(self, name: str) -> None:
        interface = self.interfaces[name]
        self.tell(events.LinkChanged(name, exists=True, up=interface.up))
        here = interface.has_source
        self.tell(events.SourceChanged(name, 4, interface.address if here else None))
        self.tell(events.SourceChanged(name, 6, interface.link_local if here else None))

    def crash(self, *, power: bool = False) -> None:
        """The process is killed; `power`: the machine, with what its kernel holds."""
        if self.core is not None:
            self.last_masters = frozenset(n for n, s in self.core.states().items() if s == "MASTER")
        self.core = None
        self.life += 1
        if power:
            self.present.clear()
            self.last_masters = frozenset()

    def pause(self, *, core: bool, engine: bool, deaf: bool = False) -> None:
        """`deaf`: what arrives meanwhile is lost, as when the whole machine stands still."""
        self.core_paused, self.engine_paused, self.deaf = core, engine, deaf
        heartbeat = self.local() + HEARTBEAT
        self.wanted_at = min(self.engine.deadline() or heartbeat, heartbeat)

    def go_on(self) -> None:
        if self.core is None or not (self.core_paused or self.engine_paused):
            return
        away = max(0, self.local() - self.wanted_at) if self.engine_paused else 0
        self.core_paused = self.engine_paused = self.deaf = False
        queue, self.queue = self.queue, []
        slots = sorted({slot for slot, _ in queue}) if len(queue) == QUEUE else []
        self.turn(queue, away=away, overflow=slots[0] if slots else -1)
        held, self.held_back = self.held_back, []
        for event in held:
            self.tell(event)

    def address(self, name: str, family: int) -> Address:
        interface = self.interfaces[name]
        return interface.address if family == 4 else interface.link_local

    # ------------------------------------------------------------------------------------------ running

    def tell(self, event: events.Event) -> None:
        """An event from the shell. A paused core hears it when it goes on."""
        if self.core is None or self.finished:
            return
        if self.core_paused or self.engine_paused:
            self.held_back.append(event)
            return
        self.do(self.core.handle(event, self.local()))
        self.turn()

    def receive(self, slot: int, advert: events.AdvertReceived) -> None:
        if self.core is None:
            return
        if self.engine_paused:
            if len(self.queue) < QUEUE and not self.deaf:
                self.queue.append((slot, advert))
            return
        self.turn([(slot, advert)])

    def wake(self, serial: int) -> None:
        if serial == self.serial and self.core is not None and not self.engine_paused:
            self.turn()

    def turn(
        self, heard: list[tuple[int, events.AdvertReceived]] | None = None, *, away: Ns = 0, overflow: int = -1
    ) -> None:
        """The engine's turn, then the core's with all that the engine says, until both are quiet."""
        now, core = self.local(), self.core
        assert core is not None
        if not self.core_paused:
            self.engine.renew(now)
        self.transmit(self.engine.step(now, heard or [], away=away, overflow=overflow, wall=self.wall()))
        while not self.core_paused:
            happened = self.engine.events()
            for event in happened:
                self.do(core.handle(event, now))
                self.cluster.check_groups(self)
            due = core.deadline()
            if due is not None and due <= now:
                self.do(core.tick(now))
                self.cluster.check_groups(self)
            elif not happened:
                break
            self.engine.settle()
            self.transmit(self.engine.step(now, wall=self.wall()))
        self.transmit(self.engine.step(now, wall=self.wall()))
        self.arm()

    def arm(self) -> None:
        self.serial += 1
        due = [self.engine.deadline()]
        if self.core is not None and not self.core_paused:
            due.append(self.core.deadline())
        times = [t for t in due if t is not None]
        if times and self.core is not None:
            serial = self.serial
            self.cluster.at(max(self.cluster.now, self.at_local(min(times))), lambda: self.wake(serial))

    def do(self, wanted: list[actions.Action]) -> None:
        for action in wanted:
            match action:
                case actions.Give(order):
                    self.engine.order(order)
                case actions.Send(instance, datagrams):
                    self.engine.send(instance, datagrams)
                case actions.WantAddresses(instance, present):
                    self.want(instance, present)
                case actions.Tell(kind, name, state, _):
                    self.told.setdefault(f"{kind} {name}", []).append(state)
                    if kind == "INSTANCE" and state in ("MASTER", "BACKUP", "FAULT"):
                        self.cluster.transitions.append(Transition(self.cluster.now, self.number, name, state))
                case actions.Rebuild():
                    self.rebuild()
                case actions.Finished():
                    self.finished = True
                case actions.Announce(instance, addresses, _):
                    self.cluster.check_announce(self, instance, addresses)
                case actions.Log():
                    pass

    def rebuild(self) -> None:
        assert self.core is not None
        endpoints = {e.instance: e for e in self.core.endpoints()}
        for instance in set(self.endpoints) - set(endpoints):
            self.engine.unbind(instance)
        for instance, endpoint in endpoints.items():
            key = (endpoint.interface, endpoint.protocol, endpoint.family, endpoint.group or endpoint.source)
            if key not in self.slots:
                self.slots[key] = self.engine.listen(-1, endpoint.family)
            if self.endpoints.get(instance) != endpoint:
                self.engine.bind(endpoint, self.slots[key], -1, 0)
        self.endpoints = endpoints

    def want(self, instance: int, present: bool) -> None:
        """The reconciler: makes it so, now or, when the kernel refuses, after a while; the latest wish counts."""
        assert self.core is not None
        if instance in self.core.instances:
            plan = self.core.instances[instance].plan
            addresses = {(a.dev, a.address) for a in plan.addresses + plan.excluded_addresses}
        else:  # just removed by a reload
            addresses = self.wishes[instance][1]
        if present and instance in self.wishes:
            self.present -= self.wishes[instance][1] - addresses
        wish = (present, addresses)
        self.wishes[instance] = wish
        self.apply(instance, wish, self.life)

    def apply(self, instance: int, wish: tuple[bool, set[tuple[str, Address]]], life: int) -> None:
        if life != self.life or self.wishes[instance] is not wish:
            return
        random = self.cluster.random
        if random.random() < self.netlink_errors:
            self.cluster.later(random.randrange(20 * MS, 200 * MS), lambda: self.apply(instance, wish, life))
        elif wish[0]:
            self.present |= wish[1]
        else:
            self.present -= wish[1]

    def transmit(self, sent: list[tuple[int, Address, bytes]]) -> None:
        for instance, destination, octets in sent:
            endpoint = self.endpoints.get(instance)
            before = HEADERS if endpoint is not None and endpoint.protocol == ah.PROTOCOL else 0
            self.cluster.sent(self, instance, destination, octets[before:])
            if endpoint is not None and endpoint.source is not None and self.interfaces[endpoint.interface].up:
                self.cluster.carry(self, endpoint, destination, octets)


class Cluster:
    def __init__(
        self,
        random: Random,
        make_core: Callable[[VrrpPlan], Core] = Core,
        make_engine: Callable[[], Engine] = ModelEngine,
    ) -> None:
        self.random = random
        self.make_core = make_core
        self.make_engine = make_engine
        self.now: Ns = 0
        self.weather = Weather()
        self.nodes: list[Node] = []
        self.transitions: list[Transition] = []
        self.broken: list[str] = []
        """Invariants broken on the way."""
        self._heap: list[tuple[Ns, int, Callable[[], object]]] = []
        self._count = self._done = 0

    def at(self, when: Ns, what: Callable[[], object]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, what))

    def later(self, delay: Ns, what: Callable[[], object]) -> None:
        self.at(self.now + delay, what)

    def run(self, duration: Ns) -> None:
        end = self.now + duration
        while self._heap and self._heap[0][0] <= end:
            self.now, _, what = heapq.heappop(self._heap)
            what()
            self._done += 1
            if self._done > MOST_EVENTS:
                raise AssertionError(f"{self.now}: a storm, nodes answer each other without end")
        self.now = end

    # ------------------------------------------------------------------------------------------ network

    def carry(self, sender: Node, endpoint: Endpoint, destination: Address, octets: bytes) -> None:
        assert endpoint.source is not None
        segment = sender.interfaces[endpoint.interface].segment
        multicast = destination.startswith(("224.", "ff"))
        for node in self.nodes:
            if node is sender or self.weather.parts.get(node.number, 0) != self.weather.parts.get(sender.number, 0):
                continue
            name = next((n for n, i in node.interfaces.items() if i.segment == segment), None)
            if name is None or (not multicast and destination != node.address(name, endpoint.family)):
                continue
            copies = 2 if self.random.random() < self.weather.duplicate else 1
            for _ in range(copies):
                if self.random.random() >= self.weather.loss:
                    self.deliver(node, name, endpoint, destination, octets)

    def deliver(self, node: Node, name: str, endpoint: Endpoint, destination: Address, octets: bytes) -> None:
        """One copy, after the delay of the weather; nobody hears it who is down, or reborn, by then."""
        low, high = self.weather.delay
        life = node.life
        before = HEADERS if endpoint.protocol == ah.PROTOCOL else 0

        def arrive() -> None:
            key = (name, endpoint.protocol, endpoint.family, destination)
            if life != node.life or not node.interfaces[name].up or key not in node.slots:
                return
            advert = events.AdvertReceived(
                instance=0,
                generation=0,
                source=endpoint.source or destination,
                destination=destination,
                ttl=64 if endpoint.ttl is None else endpoint.ttl,
                multicast=endpoint.group is not None,
                payload=octets[before:],
                at=node.local(),
                before=octets[:before],
                wall=node.wall(),
            )
            node.receive(node.slots[key], advert)

        self.later(self.random.randrange(low, high), arrive)

    # ------------------------------------------------------------------------- invariants at every moment

    def sent(self, node: Node, instance: int, destination: Address, payload: bytes) -> None:
        """An advert leaves an engine: only of a master, and never after the last word."""
        header = wire.read_header(payload)
        if header is None or header.priority == 0 or node.core is None or node.core_paused:
            return
        found = node.core.instances.get(instance)
        parting = found is not None and found.plan.higher_prio_send_advert  # one more advert before it yields
        if node.finished or (found is not None and found.state != "MASTER" and not parting):
            self.broken.append(f"{self.now}: node {node.number} sent priority {header.priority} and is no master")

    def check_groups(self, node: Node) -> None:
        """Members of a sync group agree after each event."""
        assert node.core is not None
        for group in node.core.groups:
            states = {m.state.value for m in group.members}
            if len(states) > 1 and "INIT" not in states:
                self.broken.append(f"{self.now}: node {node.number} group members are {sorted(states)}")

    def check_announce(self, node: Node, instance: int, addresses: tuple[tuple[str, Address], ...]) -> None:
        """Only who holds addresses announces them; and a unicast instance its own."""
        assert node.core is not None
        present, held = node.wishes.get(instance, (False, set()))
        own = {(e.interface, e.source) for e in node.core.endpoints()}
        if not set(addresses) <= (held if present else own):
            self.broken.append(f"{self.now}: node {node.number} announced {addresses}")
