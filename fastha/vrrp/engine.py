"""`ModelEngine`: the advert engine in plain Python and virtual time, the twin of `fastha._vrrp`.

It executes standing orders exactly as `orders` says, with the driver of the compiled engine's virtual mode: commands
(`listen`, `bind`, `order`, `send`, `settle`) take effect at the next `step(now, heard)`, which hears what arrived, then
looks at deadlines, and returns what it sent. Simulations run on it, and a test holds the compiled engine against it.

One event of an instance is with the core at a time: until `settle`, adverts of that instance wait in order, and its
master-down timer is not looked at.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fastha.model.net import Address, Family
from fastha.model.units import Ns, S
from fastha.vrrp.events import AdvertReceived, EngineLate, LeaseLost, MasterDown, Overslept
from fastha.vrrp.orders import Datagram, Endpoint, Mode, Order, SealKind
from fastha.wire import ah, trailer

LEASE: Ns = S
"""A core that does not renew for this long, or three intervals if that is longer, is believed dead."""
WAITING = 8
"""Adverts of one instance that wait behind an event the core has not settled; of more the oldest are lost, counted."""
SHORTEST = 8

EngineEvent = AdvertReceived | MasterDown | LeaseLost | Overslept | EngineLate
Untold = type[LeaseLost] | type[Overslept]
Heard = tuple[int, AdvertReceived]
"""(slot of the socket, advert); its `instance` and `generation` are filled in by the engine."""
Sent = tuple[int, Address, bytes]
"""(instance, destination, octets): the message, with its trailer if it has one; sealed with AH the whole packet."""


@dataclass(slots=True)
class Slot:
    """A receiving socket and the instances that hear through it."""

    family: Family
    by_vrid: dict[int, list[int]] = field(default_factory=dict)
    """Latest bound first."""


@dataclass(slots=True)
class Standing:
    """One instance in the engine."""

    endpoint: Endpoint | None = None
    slot: int = -1
    order: Order | None = None
    due: Ns = 0
    """LISTEN: the deadline; SPEAK: the next advert."""
    second: Ns = 0
    """SPEAK: the one after the first; 0: that has left."""
    fired: bool = False
    silent: bool = False
    """The lease was lost under this order, or it overslept."""
    untold: Untold | None = None
    """That is still to be said."""
    sequence: int = 0
    """Of the advert sealed last; 0: none yet."""
    identification: int = 0
    unsettled: int = 0
    """Number of the event that is with the core; 0: none."""
    waiting: deque[AdvertReceived] = field(default_factory=deque)
    sent: int = 0
    expected: int = 0

    @property
    def mode(self) -> Mode:
        return self.order.mode if self.order else Mode.IDLE


class ModelEngine:
    """The engine of one node. `counts` holds its counters by the names of the compiled one."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._slots: dict[int, Slot] = {}
        self._standing: dict[int, Standing] = {}
        self._commands: list[Callable[[], None]] = []
        self._events: deque[tuple[int, EngineEvent]] = deque()
        self._made = 0
        self._taken = 0
        self._settled = 0
        self._late_event = 0
        self._pending: deque[int] = deque()
        self._lease: Ns = 0
        self._turn: Ns = 0
        self._wall: Ns = 0
        self._outbox: list[Sent] = []

    # ------------------------------------------------------------------------------------------ commands

    def listen(self, fd: int, family: Family) -> int:
        """A receiving socket; `fd` is the caller's name for it. Returns its slot."""
        del fd
        slot = next(i for i in range(len(self._slots) + 1) if i not in self._slots)
        self._slots[slot] = Slot(family)
        return slot

    def unlisten(self, slot: int) -> None:
        self._commands.append(lambda: self._drop_slot(slot))

    def bind(self, endpoint: Endpoint, listener: int, sender: int = -1, interface: int = 0) -> None:
        """Ties an instance to a slot (-1: it hears nothing). Again: moves it; its order stays."""
        del sender, interface
        self._commands.append(lambda: self._bind(endpoint, listener))

    def unbind(self, instance: int) -> None:
        self._commands.append(lambda: self._unbind(instance))

    def order(self, order: Order) -> None:
        self._commands.append(lambda: self._take_order(order))

    def send(self, instance: int, datagrams: Sequence[Datagram]) -> None:
        """Once, at once, lease or not."""
        self._commands.append(lambda: self._send(instance, datagrams))

    def settle(self) -> None:
        """All events returned so far are handled and the orders that follow from them given."""
        taken = self._taken
        self._commands.append(lambda: self._settle(taken))

    def renew(self, now: Ns) -> None:
        """The core is alive at `now`."""
        self._lease = now

    # ---------------------------------------------------------------------------------------------- turns

    def step(
        self, now: Ns, heard: Sequence[Heard] = (), *, away: Ns = 0, overflow: int = -1, wall: Ns = 0
    ) -> list[Sent]:
        """One turn: commands, what arrived, deadlines. `away`: the turn comes so much later than wanted. `overflow`: a
        slot whose queue overflowed. `wall`: what seals take for the time."""
        self._turn, self._wall = now, wall
        commands, self._commands = self._commands, []
        for command in commands:
            command()
        for slot, advert in heard:
            self._hear(slot, advert)
        if overflow >= 0:
            self._count("overflow")
            for instance in [i for chain in self._slots[overflow].by_vrid.values() for i in chain]:
                self._postpone(self._standing[instance])
        if away > 0:
            self._was_away(away)
        self._fire()
        sent, self._outbox = self._outbox, []
        return sent

    def deadline(self) -> Ns | None:
        """When the next turn is due; None: not before something arrives or is ordered."""
        if self._commands:
            return self._turn
        return min((s.due for s in self._standing.values() if self._scheduled(s)), default=None)

    def events(self, limit: int = 1024) -> list[EngineEvent]:
        """What has happened, oldest first; `settle` follows when it is handled."""
        result: list[EngineEvent] = []
        while self._events and len(result) < limit:
            self._taken, event = self._events.popleft()
            result.append(event)
        return result

    def counters(self, instance: int) -> tuple[int, int]:
        """(adverts sent, expected adverts heard) of one instance since it was bound."""
        standing = self._standing.get(instance)
        return (standing.sent, standing.expected) if standing else (0, 0)

    def stats(self) -> dict[str, int]:
        return dict(self.counts)

    # ------------------------------------------------------------------------------------ what commands do

    def _drop_slot(self, slot: int) -> None:
        self._slots.pop(slot, None)

    def _bind(self, endpoint: Endpoint, listener: int) -> None:
        standing = self._standing.setdefault(endpoint.instance, Standing())
        was_deaf = standing.slot < 0
        self._leave(endpoint.instance)
        standing.endpoint, standing.slot = endpoint, listener
        if not standing.sequence and endpoint.protocol == ah.PROTOCOL:
            standing.sequence = self._wall // S & 0xFFFFFFFF
        if listener >= 0:
            self._slots[listener].by_vrid.setdefault(endpoint.virtual_router_id, []).insert(0, endpoint.instance)
            if was_deaf:
                self._postpone(standing)

    def _leave(self, instance: int) -> None:
        standing = self._standing[instance]
        if standing.endpoint is not None and (slot := self._slots.get(standing.slot)) is not None:
            chain = slot.by_vrid.get(standing.endpoint.virtual_router_id, [])
            if instance in chain:
                chain.remove(instance)

    def _unbind(self, instance: int) -> None:
        """An event of it that is with the core is settled as any other."""
        if (standing := self._standing.get(instance)) is None:
            return
        self._leave(instance)
        kept = Standing(unsettled=standing.unsettled, waiting=standing.waiting)
        self._standing[instance] = kept

    def _take_order(self, order: Order) -> None:
        one = self._standing.setdefault(order.instance, Standing())
        if order.shift is not None and order.mode == one.mode:
            one.due = self._turn if one.fired else one.due + order.shift
            one.second = 0
        else:
            one.second = order.second
            one.due = order.first if order.mode is Mode.SPEAK else order.deadline
        if order.mode is Mode.SPEAK:
            one.due = max(one.due, self._turn)  # not late: it was asked for just now
        one.order = order
        one.sequence = max(one.sequence, order.sequence)
        one.fired = one.silent = False
        one.untold = None

    def _send(self, instance: int, datagrams: Sequence[Datagram]) -> None:
        one = self._standing.setdefault(instance, Standing())
        if one.endpoint is None or not datagrams:
            return
        self._count("sent")
        one.sent += 1
        self._outbox += [(instance, d.destination, octets) for d, octets in self._sealed(one, datagrams)]

    def _sealed(self, one: Standing, datagrams: Sequence[Datagram]) -> list[tuple[Datagram, bytes]]:
        """One sequence for each advert, whatever its destinations."""
        endpoint = one.endpoint
        assert endpoint is not None
        seal, source = endpoint.seal, endpoint.source
        if seal is None:
            return [(d, d.payload) for d in datagrams]
        if source is None:
            return []
        if seal.kind is SealKind.HMAC:
            one.sequence = trailer.following(one.sequence, self._wall, seal.window)
            signed = trailer.sign(datagrams[0].payload, source, seal.key, seal.key_id, one.sequence)
            return [(d, d.payload + signed) for d in datagrams]
        one.sequence = (one.sequence + 1) & 0xFFFFFFFF
        result = []
        for datagram in datagrams:
            one.identification = one.identification % 0xFFFF + 1
            words = {"sequence": one.sequence, "ident": one.identification, "ttl": endpoint.ttl or 0}
            packet = ah.build(source, datagram.destination, datagram.payload, seal.key, **words)
            result.append((datagram, packet))
        return result

    def _settle(self, number: int) -> None:
        self._settled = number
        while self._pending and self._standing[self._pending[0]].unsettled <= number:
            self._resume(self._pending.popleft())

    def _resume(self, instance: int) -> None:
        """Goes on with what waited behind the event the core has settled."""
        one = self._standing[instance]
        one.unsettled = 0
        if one.untold is not None:
            untold, one.untold = one.untold, None
            self._tell_core(instance, untold(instance, self._generation(one), self._turn))
        while one.waiting and not one.unsettled:
            advert = one.waiting.popleft()
            if one.endpoint is not None and not self._boring(one, advert):
                self._report(instance, advert)

    # ------------------------------------------------------------------------------------------- hearing

    def _hear(self, slot: int, advert: AdvertReceived) -> None:
        self._count("received")
        if len(advert.payload) < SHORTEST:
            self._count("too_short")
            return
        instance = self._whose(slot, advert)
        if instance is None:
            self._count("unknown_vrid")
            return
        one = self._standing[instance]
        if self._late(one):
            self._fall_silent(instance, one, Overslept)
        if not one.unsettled:
            if not self._boring(one, advert):
                self._report(instance, advert)
        else:
            self._count("waited")
            if len(one.waiting) == WAITING:  # the latest word of a router counts, not its first
                self._count("waiting_lost")
                one.waiting.popleft()
            one.waiting.append(advert)

    def _whose(self, slot: int, advert: AdvertReceived) -> int | None:
        """Unicast instances with one VRID are told apart by sender: the one that expects it, then the one that has it
        as a peer, then the first."""
        chain = self._slots[slot].by_vrid.get(advert.payload[1], [])
        if len(chain) < 2:
            return chain[0] if chain else None
        for instance in chain:
            order = self._standing[instance].order
            if order and order.mode is Mode.LISTEN and order.expected_source == advert.source:
                return instance
        for instance in chain:
            endpoint = self._standing[instance].endpoint
            if endpoint and advert.source in endpoint.peers:
                return instance
        return chain[0]

    def _boring(self, one: Standing, advert: AdvertReceived) -> bool:
        """Whether the standing order covers this advert; if so it is carried out."""
        order = one.order
        if order is None or order.mode is Mode.IDLE:
            self._count("ignored")
            return True
        multicast = one.endpoint is not None and one.endpoint.group is not None
        if (
            order.mode is not Mode.LISTEN
            or not order.expected
            or not advert.length_ok
            or advert.multicast != multicast
            or (advert.payload, advert.source, advert.ttl)
            != (order.expected, order.expected_source, order.expected_ttl)
        ):
            return False
        self._count("expected")
        one.expected += 1
        # one that had to wait may be older than what the order already counts from
        one.due = max(one.due, min(advert.at, self._turn) + order.restart)
        one.fired = False
        return True

    def _report(self, instance: int, advert: AdvertReceived) -> None:
        one = self._standing[instance]
        self._count("reported")
        event = AdvertReceived(
            instance=instance,
            generation=self._generation(one),
            source=advert.source,
            destination=advert.destination,
            ttl=advert.ttl,
            multicast=advert.multicast,
            payload=advert.payload,
            at=min(advert.at, self._turn),
            length_ok=advert.length_ok,
            interface=advert.interface,
            before=advert.before,
            wall=advert.wall,
            own_sequence=one.sequence,
        )
        self._tell_core(instance, event)

    # ----------------------------------------------------------------------------------------- deadlines

    @staticmethod
    def _scheduled(one: Standing) -> bool:
        if one.mode is Mode.SPEAK:
            return not one.silent
        # one that has no socket to hear by does not judge silence
        return one.mode is Mode.LISTEN and not one.fired and not one.unsettled and one.slot >= 0

    def _fire(self) -> None:
        while True:
            due = [(s.due, i) for i, s in self._standing.items() if s.due <= self._turn and self._scheduled(s)]
            if not due:
                return
            _, instance = min(due)
            one = self._standing[instance]
            if one.mode is Mode.SPEAK:
                self._speak(instance, one)
            else:
                one.fired = True
                self._tell_core(instance, MasterDown(instance, self._generation(one), self._turn))

    def _speak(self, instance: int, one: Standing) -> None:
        """An advert is due: it leaves if the lease allows. Adverts that were missed are not made up for."""
        order = one.order
        assert order is not None
        if self._late(one):
            self._fall_silent(instance, one, Overslept)
            return
        if self._turn >= self._lease + max(3 * order.interval, LEASE):
            self._fall_silent(instance, one, LeaseLost)
            return
        self._send(instance, order.datagrams)
        second, one.second = one.second, 0
        if second > self._turn:
            one.due = second
            return
        missed = (self._turn - one.due) // order.interval
        if missed:
            self._count("missed", missed)
        one.due += (missed + 1) * order.interval

    def _late(self, one: Standing) -> bool:
        """Whether an advert is due for longer than the order bears."""
        order = one.order
        if order is None or order.mode is not Mode.SPEAK or not order.patience or one.silent:
            return False
        return self._turn - one.due > order.patience

    def _fall_silent(self, instance: int, one: Standing, why: Untold) -> None:
        one.silent = True
        self._count("overslept" if why is Overslept else "lease_lost")
        if one.unsettled:
            one.untold = why
        else:
            self._tell_core(instance, why(instance, self._generation(one), self._turn))

    def _postpone(self, one: Standing) -> None:
        """Adverts may have been missed: the master is judged one interval plus skew from now at the earliest."""
        if one.order and one.mode is Mode.LISTEN and not one.fired and one.order.grace:
            one.due = max(one.due, self._turn + one.order.grace)

    def _was_away(self, away: Ns) -> None:
        late = False
        for one in self._standing.values():
            if one.order and one.mode is Mode.LISTEN and 0 < one.order.interval < away:
                self._postpone(one)
                late = True
        if late:
            self._count("away")
            if self._late_event <= self._settled:
                self._late_event = self._tell(EngineLate(away))

    # --------------------------------------------------------------------------------------------- upwards

    @staticmethod
    def _generation(one: Standing) -> int:
        return one.order.generation if one.order else 0

    def _tell(self, event: EngineEvent) -> int:
        self._made += 1
        self._events.append((self._made, event))
        return self._made

    def _tell_core(self, instance: int, event: EngineEvent) -> None:
        self._standing[instance].unsettled = self._tell(event)
        self._pending.append(instance)

    def _count(self, name: str, by: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + by
