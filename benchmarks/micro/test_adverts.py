"""What one advert, one order and one failover cost the vrrp process."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fastha._vrrp import AdvertEngine
from fastha.model.net import Address
from fastha.model.plan import VirtualAddress
from fastha.model.units import S
from fastha.system.addresses import encode
from fastha.vrrp.engine import ModelEngine
from fastha.vrrp.events import AdvertReceived
from fastha.vrrp.orders import Datagram, Endpoint, Mode, Order, Seal, SealKind

GROUP, OURS, THEIRS = Address("224.0.0.18"), Address("10.0.0.1"), Address("10.0.0.2")
INSTANCES = 250
ROUND = 1000
"""Adverts of one measured round, so that the step itself weighs little."""
ENGINES = pytest.mark.parametrize("kind", ["compiled", "twin"])


def message(vrid: int, priority: int = 200) -> bytes:
    return bytes([0x31, vrid, priority, 1, 0, 100, 0, 0, 10, 0, 0, vrid])


def listening(kind: str) -> tuple[AdvertEngine | ModelEngine, int]:
    """An engine with 250 instances that each expect their master's advert; and its slot."""
    engine = AdvertEngine(1024, virtual=True) if kind == "compiled" else ModelEngine()
    slot = engine.listen(-1, 4)
    for vrid in range(INSTANCES):
        endpoint = Endpoint(instance=vrid, interface="e", family=4, virtual_router_id=vrid, source=OURS, group=GROUP)
        engine.bind(endpoint, slot, -1, 1)
        engine.order(
            Order(
                instance=vrid, generation=1, mode=Mode.LISTEN, deadline=4 * S, restart=4 * S, expected=message(vrid),
                expected_source=THEIRS,
            )
        )  # fmt: skip
    engine.step(S)
    return engine, slot


def heard(slot: int, priority: int) -> list[tuple[int, AdvertReceived]]:
    return [
        (slot, AdvertReceived(0, 0, THEIRS, GROUP, 255, multicast=True, payload=message(n % INSTANCES, priority), at=S))
        for n in range(ROUND)
    ]


@ENGINES
def test_a_thousand_expected_adverts(benchmark: BenchmarkFixture, kind: str) -> None:
    engine, slot = listening(kind)
    adverts = heard(slot, 200)
    benchmark(engine.step, S, adverts)
    assert engine.stats()["expected"] % ROUND == 0


def test_a_thousand_adverts_that_go_up(benchmark: BenchmarkFixture) -> None:
    """Through the border and back: built as events, settled in four waves."""
    engine, slot = listening("compiled")
    adverts = heard(slot, 201)

    def turns() -> int:
        engine.step(S, adverts)
        count = 0
        while events := engine.events():
            count += len(events)
            engine.settle()
            engine.step(S)
        return count

    assert benchmark(turns) == ROUND


def test_two_hundred_and_fifty_orders_to_speak(benchmark: BenchmarkFixture) -> None:
    engine, _ = listening("compiled")
    orders = [
        Order(
            instance=vrid, generation=2, mode=Mode.SPEAK, interval=S, datagrams=(Datagram(GROUP, message(vrid, 100)),)
        )
        for vrid in range(INSTANCES)
    ]

    def turn() -> int:
        engine.renew(S)
        for order in orders:
            engine.order(order)
        return len(engine.step(S))

    assert benchmark(turn) == INSTANCES


SEALS = {
    "plain": None,
    "AH": Seal(kind=SealKind.AH, key=b"secret12"),
    "auth_hmac": Seal(kind=SealKind.HMAC, key=b"k" * 32, key_id=1, window=5),
}


@pytest.mark.parametrize("seal", SEALS)
def test_two_hundred_and_fifty_adverts_that_leave(benchmark: BenchmarkFixture, seal: str) -> None:
    """What signing adds: each advert has a sequence of its own."""
    engine, slot = listening("compiled")
    for vrid in range(INSTANCES):
        endpoint = Endpoint(
            instance=vrid, interface="e", family=4, virtual_router_id=vrid, source=OURS, group=GROUP, seal=SEALS[seal]
        )
        engine.bind(endpoint, slot, -1, 1)
    datagrams = (Datagram(GROUP, message(1)),)

    def given() -> tuple[tuple[int], dict[str, int]]:
        for vrid in range(INSTANCES):
            engine.send(vrid, datagrams)
        return (S,), {"wall": 1_700_000_000 * S}

    sent = benchmark.pedantic(engine.step, setup=given, rounds=200)
    assert len(sent) == INSTANCES


@pytest.mark.parametrize("address", ["10.0.0.100", "fd00::100"])
def test_the_request_for_an_address(benchmark: BenchmarkFixture, address: str) -> None:
    """Paid when the Plan is made, not at a failover."""
    line = VirtualAddress(address=Address(address), prefixlen=32, dev="eth0")
    assert benchmark(encode, line)
