"""The compiled advert engine and its Python twin decide alike, whatever happens in whatever order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import example, given
from hypothesis import strategies as st

from fastha._vrrp import AdvertEngine
from fastha.model.net import Address
from fastha.model.units import MS, Ns, S
from fastha.vrrp.engine import ModelEngine
from fastha.vrrp.events import AdvertReceived, MasterDown
from fastha.vrrp.orders import Datagram, Endpoint, Mode, Order, Seal, SealKind

GROUP = Address("224.0.0.18")
OURS = Address("10.0.0.1")
SOURCES = [Address(f"10.0.0.{n}") for n in (2, 3, 4)]
INSTANCES = 4
"""0 and 1 are multicast with VRIDs of their own; 2 and 3 share a VRID on a unicast socket."""
PAYLOADS = [
    bytes([0x31, vrid, priority, 1, 0, 100, 0, 0, 10, 0, 0, 9]) for vrid in (1, 2, 7) for priority in (0, 90, 200)
]
COMPARED = (
    "received", "expected", "reported", "ignored", "waited", "waiting_lost", "unknown_vrid", "too_short", "overflow",
    "missed", "away", "lease_lost", "overslept",
)  # fmt: skip
SIGNED = Seal(kind=SealKind.HMAC, key=b"k" * 32, key_id=3, window=5)
SEALED = Seal(kind=SealKind.AH, key=b"secret\0\0")
ENDPOINTS = (
    Endpoint(instance=0, interface="e", family=4, virtual_router_id=1, source=OURS, group=GROUP, seal=SEALED),
    Endpoint(instance=1, interface="e", family=4, virtual_router_id=2, source=OURS, group=GROUP, seal=SIGNED),
    Endpoint(instance=2, interface="e", family=4, virtual_router_id=7, source=OURS, peers=(SOURCES[0],)),
    Endpoint(instance=3, interface="e", family=4, virtual_router_id=7, source=OURS, peers=tuple(SOURCES[1:])),
)


@dataclass(frozen=True)
class Do:
    """One thing that happens to both engines; the methods below carry it out."""

    what: str
    instance: int = 0
    advance: Ns = 0
    mode: Mode = Mode.IDLE
    interval: Ns = S
    relative: Ns = 0
    shift: Ns | None = None
    payload: bytes = b""
    source: Address = SOURCES[0]
    ttl: int = 255
    length_ok: bool = True
    age: Ns = 0
    grace: Ns = 0
    patience: Ns = 0
    sequence: int = 0
    second: Ns = 0


times = st.sampled_from([0, 1, 7 * MS, 100 * MS, 999 * MS, S, 1500 * MS, 3 * S, 4 * S])
signed = st.sampled_from([-2 * S, -S, -1, 0, 1, 100 * MS, S, 3 * S])
intervals = st.sampled_from([10 * MS, S, 2 * S])
orders = st.builds(
    Do,
    what=st.just("order"),
    instance=st.integers(0, INSTANCES - 1),
    mode=st.sampled_from(Mode),
    interval=intervals,
    relative=signed,
    shift=st.one_of(st.none(), signed),
    payload=st.sampled_from([b"", *PAYLOADS]),
    source=st.sampled_from(SOURCES),
    grace=st.sampled_from([0, 1300 * MS]),
    patience=st.sampled_from([0, 0, 2 * S]),
    sequence=st.sampled_from([0, 0, 7, 3_000_000_000]),
    second=st.sampled_from([0, 0, 3 * MS, 999 * MS]),
)
adverts = st.builds(
    Do,
    what=st.just("hear"),
    payload=st.sampled_from([*PAYLOADS, b"\x31\x01"]),
    source=st.sampled_from(SOURCES),
    ttl=st.sampled_from([255, 255, 255, 64]),
    length_ok=st.sampled_from([True, True, True, False]),
    age=times,
)
others = st.builds(
    Do,
    what=st.sampled_from(
        [*["step", "settle", "renew"] * 2, "send", "unbind", "bind", "deafen", "overflow", "away", "grow"]
    ),
    instance=st.integers(0, INSTANCES - 1),
    advance=times,
    relative=times,
)


def heard(do: Do, now: Ns) -> tuple[int, AdvertReceived]:
    """(slot, advert): VRIDs of unicast instances arrive on their socket."""
    unicast = do.payload[1] == 7
    advert = AdvertReceived(
        instance=0,
        generation=0,
        source=do.source,
        destination=OURS if unicast else GROUP,
        ttl=do.ttl,
        multicast=not unicast,
        payload=do.payload,
        at=now - do.age,
        length_ok=do.length_ok,
        before=bytes(range(44)) if do.payload[1] == 1 else b"",
        wall=now + 77,
    )
    return (1 if unicast else 0), advert


def play(engine: AdvertEngine | ModelEngine, script: Sequence[Do]) -> list[object]:
    """What came out, step by step."""
    slots = [engine.listen(-1, 4), engine.listen(-1, 4)]
    for endpoint in ENDPOINTS:
        engine.bind(endpoint, slots[endpoint.instance // 2], -1, 1)
    now = 100 * S
    engine.renew(now)
    generation = 0
    waiting: list[tuple[int, AdvertReceived]] = []
    told: list[object] = []
    for do in script:
        match do.what:
            case "order":
                generation += 1
                engine.order(order(do, generation, now))
            case "hear":
                slot, advert = heard(do, now)
                waiting.append((slots[slot], advert))
            case "settle":
                engine.settle()
            case "renew":
                engine.renew(now)
            case "send":
                engine.send(do.instance, (Datagram(GROUP, PAYLOADS[0]),))
            case "unbind":
                engine.unbind(do.instance)
            case "bind":
                engine.bind(ENDPOINTS[do.instance], slots[do.instance // 2], -1, 1)
            case "deafen":
                engine.bind(ENDPOINTS[do.instance], -1, -1, 1)
            case "grow":
                if isinstance(engine, AdvertEngine):  # the other has room for any number
                    engine.grow(INSTANCES << do.instance)
            case what:
                now += do.advance
                away = do.relative if what == "away" else 0
                overflow = slots[do.instance // 2] if what == "overflow" else -1
                told += look(engine, engine.step(now, waiting, away=away, overflow=overflow, wall=wall(now)))
                waiting = []
    told += look(engine, engine.step(now + 10 * S, waiting, wall=wall(now + 10 * S)))
    told.append([engine.counters(i) for i in range(INSTANCES)])
    counts = engine.stats()
    told.append({name: counts.get(name, 0) for name in COMPARED})
    return told


def wall(now: Ns) -> Ns:
    """A clock that is set back by 20 s every minute."""
    return 1_700_000_000 * S + now - now // (60 * S) * 20 * S


def look(engine: AdvertEngine | ModelEngine, sent: list[tuple[int, Address, bytes]]) -> list[object]:
    """What was sent and what happened, by instance: between instances with the same deadline the order is free."""
    return [
        sorted([(i, to, unchecked(octets)) for i, to, octets in sent], key=lambda one: one[0]),
        sorted(engine.events(), key=lambda event: getattr(event, "instance", -1)),
    ]


def unchecked(octets: bytes) -> bytes:
    """Without the checksum of an IPv4 header: the compiled engine leaves it to the kernel."""
    return octets[:10] + b"\0\0" + octets[12:] if octets[0] == 0x45 else octets


def order(do: Do, generation: int, now: Ns) -> Order:
    datagrams = (Datagram(GROUP, PAYLOADS[1]), Datagram(SOURCES[0], PAYLOADS[2])) if do.mode is Mode.SPEAK else ()
    return Order(
        instance=do.instance,
        generation=generation,
        mode=do.mode,
        shift=do.shift,
        datagrams=datagrams,
        interval=do.interval,
        first=now + do.relative,
        second=now + do.second if do.second else 0,
        deadline=now + do.relative,
        restart=3 * do.interval,
        grace=do.grace,
        patience=do.patience,
        sequence=do.sequence,
        expected=do.payload,
        expected_source=do.source if do.payload else None,
    )


LISTEN = Do("order", mode=Mode.LISTEN, relative=3 * S, payload=PAYLOADS[1], grace=1300 * MS)


SPEAK = Do("order", mode=Mode.SPEAK, patience=2 * S)


@given(st.lists(st.one_of(orders, adverts, adverts, others), max_size=60))
@example(
    [LISTEN, Do("hear", payload=PAYLOADS[1], age=S), Do("step", advance=S), Do("away", advance=3 * S, relative=2 * S)]
)
@example(
    [LISTEN, *[Do("hear", payload=PAYLOADS[2])] * 12, Do("step"), Do("settle"), Do("step"), Do("settle"), Do("step")]
)
@example([Do("order", mode=Mode.SPEAK), Do("step"), Do("step", advance=4 * S), Do("renew"), Do("settle")])
@example([Do("order", mode=Mode.SPEAK, second=999 * MS), Do("step"), Do("step", advance=999 * MS), Do("step")])
@example(
    [
        LISTEN, Do("hear", payload=PAYLOADS[2]), Do("step"), Do("hear", payload=PAYLOADS[1]), Do("grow", instance=3),
        replace(LISTEN, instance=1), Do("settle"), Do("step"), Do("step", advance=4 * S), Do("settle"), Do("step"),
    ]
)  # fmt: skip
@example([SPEAK, Do("step"), Do("hear", payload=PAYLOADS[1]), Do("step", advance=4 * S), Do("settle"), Do("step")])
@example([SPEAK, Do("hear", payload=PAYLOADS[1]), Do("step"), Do("step", advance=4 * S), Do("settle"), Do("step")])
@example([replace(SPEAK, instance=1), Do("step"), Do("send", instance=1), Do("renew"), Do("step", advance=1500 * MS)])
def test_the_compiled_engine_and_its_twin_decide_alike(script: list[Do]) -> None:
    assert play(AdvertEngine(INSTANCES, virtual=True), script) == play(ModelEngine(), script)


MANY = 64
moves = st.lists(st.tuples(st.integers(0, MANY - 1), st.integers(1, 40)), max_size=200)


@given(moves, st.lists(st.integers(0, 15), max_size=12))
def test_of_many_deadlines_exactly_those_that_have_come_fire(moves: list[tuple[int, int]], advances: list[int]) -> None:
    """`moves`: (instance, deadline in seconds), each an order; taken in portions between steps in time."""
    engine = AdvertEngine(MANY, virtual=True)
    slot = engine.listen(-1, 4)
    for instance in range(MANY):
        endpoint = Endpoint(
            instance=instance, interface="e", family=4, virtual_router_id=instance, source=OURS, group=GROUP
        )
        engine.bind(endpoint, slot, -1, 1)
    wanted: dict[int, int] = {}
    now = 0
    rest = list(moves)
    for advance in [*advances, 100]:
        portion, rest = rest[:20], rest[20:]
        for number, (instance, deadline) in enumerate(portion):
            engine.order(
                Order(instance=instance, generation=number, mode=Mode.LISTEN, deadline=deadline * S, restart=S)
            )
            wanted[instance] = deadline * S
        now += advance * S
        engine.step(now)
        fired = [event.instance for event in engine.events() if isinstance(event, MasterDown)]
        engine.settle()
        assert sorted(fired) == sorted(i for i, at in wanted.items() if at <= now)
        assert [wanted[i] for i in fired] == sorted(wanted[i] for i in fired)
        for instance in fired:
            del wanted[instance]
        engine.step(now)
        assert engine.deadline() == min(wanted.values(), default=None)
