"""A core on a test bench: one node, its interfaces up, adverts from made-up peers, and what it asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from fastha.model.net import Address
from fastha.model.plan import SyncGroup, VirtualAddress, VrrpInstance, VrrpPlan
from fastha.model.units import Ns, S
from fastha.vrrp import actions, events
from fastha.vrrp.core import Core
from fastha.vrrp.instance import Instance
from fastha.vrrp.orders import Mode, Order
from fastha.wire import vrrp as wire

OURS = Address("10.0.0.5")
LOWER, HIGHER = Address("10.0.0.4"), Address("10.0.0.6")
GROUP = Address("224.0.0.18")
VIP = Address("10.0.0.100")
T0: Ns = 1000 * S

A = TypeVar("A")


def instance(name: str = "VI", **words: object) -> VrrpInstance:
    plan = VrrpInstance(
        name=name,
        interface="eth0",
        virtual_router_id=51,
        addresses=(VirtualAddress(address=VIP, prefixlen=24, dev="eth0"),),
    )
    return replace(plan, **words)  # type: ignore[arg-type]


class Bench:
    """`say` gives an event to the core at `now`; `said` is what followed from the last one, `all` everything."""

    def __init__(self, *plans: VrrpInstance, groups: tuple[SyncGroup, ...] = (), **words: object) -> None:
        self.now = T0
        self.plan = VrrpPlan(instances=plans or (instance(),), sync_groups=groups, **words)  # type: ignore[arg-type]
        self.core = Core(self.plan)
        self.said: list[actions.Action] = []
        self.all: list[actions.Action] = []

    # ------------------------------------------------------------------------------------------- driving

    def say(self, *happened: events.Event) -> Bench:
        self.said = [a for event in happened for a in self.core.handle(event, self.now)]
        self.all += self.said
        return self

    def link(self, name: str = "eth0", *, up: bool = True, **words: object) -> Bench:
        return self.say(events.LinkChanged(name, exists=True, up=up, **words))  # type: ignore[arg-type]

    def source(self, address: Address | None = OURS, name: str = "eth0") -> Bench:
        return self.say(events.SourceChanged(name, 6 if address and ":" in address else 4, address))

    def start(self, *, resume: tuple[str, ...] = ()) -> Bench:
        """Interface up, address there, started."""
        for name in {p.interface for p in self.plan.instances}:
            self.link(name)
            self.source(name=name)
            self.say(events.SourceChanged(name, 6, Address("fe80::5")))
        return self.say(events.Start(frozenset(resume)))

    def master(self) -> Bench:
        """Started, and everybody's master is down."""
        self.start()
        self.now += 40 * S
        for i in list(self.core.instances.values()):
            if i.state == "BACKUP":
                self.down(i.index)
        return self

    def down(self, index: int = 0) -> Bench:
        return self.say(events.MasterDown(index, self[index].generation, self.now))

    def after(self, duration: Ns) -> Bench:
        """Time passes, with `tick` at each deadline of the core."""
        end, self.said = self.now + duration, []
        while (due := self.core.deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.said += self.core.tick(self.now)
        self.now = end
        self.said += self.core.tick(end)
        self.all += self.said
        return self

    def hear(self, priority: int, source: Address = HIGHER, index: int = 0, **words: object) -> Bench:
        """An advert as a peer with our configuration would send it."""
        return self.say(self.advert(priority, source, index, **words))

    def advert(
        self,
        priority: int,
        source: Address = HIGHER,
        index: int = 0,
        *,
        payload: bytes | None = None,
        message: dict[str, object] | None = None,
        **words: object,
    ) -> events.AdvertReceived:
        """`message` replaces fields of the VRRP message, `words` those of the event."""
        plan = self[index].plan
        destination = self[index].source if plan.unicast else plan.group
        assert destination is not None
        what = wire.Message(
            version=plan.version,
            virtual_router_id=plan.virtual_router_id,
            priority=priority,
            interval=plan.adver_int,
            addresses=tuple(a.address for a in plan.addresses),
            auth_type=1 if plan.auth_pass else 0,
            auth_data=plan.auth_pass or b"",
        )
        what = replace(what, **message or {})  # type: ignore[arg-type]
        return replace(
            events.AdvertReceived(
                instance=index,
                generation=self[index].generation,
                source=source,
                destination=destination,
                ttl=255,
                multicast=not plan.unicast,
                payload=wire.build(what, source, destination) if payload is None else payload,
                at=self.now,
            ),
            **words,  # type: ignore[arg-type]
        )

    # ------------------------------------------------------------------------------------------- looking

    def __getitem__(self, index: int) -> Instance:
        return self.core.instances[index]

    @property
    def state(self) -> str:
        return self[0].state.value

    def asked(self, kind: type[A]) -> list[A]:
        """Of `said`, the actions of one kind."""
        return [a for a in self.said if isinstance(a, kind)]

    def order(self, index: int = 0) -> Order:
        """The order in force."""
        return [a.order for a in self.all if isinstance(a, actions.Give) and a.order.instance == index][-1]

    def new_orders(self) -> list[Order]:
        return [a.order for a in self.asked(actions.Give)]

    def sent(self) -> list[wire.Message]:
        """What leaves at once because of `said`: one-off adverts, and new orders to speak without a phase to keep."""
        result = []
        for action in self.said:
            if isinstance(action, actions.Send):
                result += [self._parse(action.instance, d.destination, d.payload) for d in action.datagrams]
            elif isinstance(action, actions.Give) and action.order.mode is Mode.SPEAK and action.order.shift is None:
                order = action.order
                if order.first <= self.now:
                    result += [self._parse(order.instance, d.destination, d.payload) for d in order.datagrams]
        return result

    def _parse(self, index: int, destination: Address, payload: bytes) -> wire.Message:
        plan, source = self[index].plan, self[index].source
        assert source is not None
        message = wire.parse(payload, source, destination, checksum_as_v2=plan.v3_checksum_as_v2)
        assert isinstance(message, wire.Message), message
        return message

    def told(self) -> list[tuple[str, str]]:
        """(name, state) of what the world was told by `said`."""
        return [(t.name, t.state) for t in self.asked(actions.Tell)]

    def logged(self) -> str:
        return "\n".join(log.text for log in self.asked(actions.Log))
