"""What single calls of the probe engine cost the checker process."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from fastha._checks import ProbeEngine, TimerWheel, judge_http
from fastha.checks.recipes import Kind, ProbeOrder, Recipe
from fastha.model.net import Address
from fastha.model.units import S

SERVERS = 10_000
REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def recipe(index: int) -> Recipe:
    return Recipe(
        kind=Kind.HTTP,
        address=Address(f"127.{1 + index // 65536}.{index // 256 % 256}.{index % 256}"),
        port=80,
        timeout=S,
        request=b"GET / HTTP/1.0\r\n\r\n",
        status_codes=((200, 200),),
    )


@pytest.fixture(scope="module")
def orders() -> list[ProbeOrder]:
    """A day ahead: nothing is probed."""
    first = time.monotonic_ns() + 86_400 * S
    return [
        ProbeOrder(target=index, generation=1, recipe=recipe(index), first=first, interval=60 * S)
        for index in range(SERVERS)
    ]


@pytest.fixture
def engine() -> Iterator[ProbeEngine]:
    engine = ProbeEngine()
    engine.start()
    yield engine
    engine.stop()


def test_orders_of_10000_new_servers(benchmark: Any, engine: ProbeEngine, orders: list[ProbeOrder]) -> None:
    def forget() -> None:
        for order in orders:
            engine.remove(order.target)

    benchmark.pedantic(engine.orders, args=(orders,), setup=forget, rounds=10)


def test_orders_of_10000_known_servers(benchmark: Any, engine: ProbeEngine, orders: list[ProbeOrder]) -> None:
    engine.orders(orders)
    benchmark.pedantic(engine.orders, args=(orders,), rounds=20)


def test_reports_when_there_are_none(benchmark: Any, engine: ProbeEngine, orders: list[ProbeOrder]) -> None:
    engine.orders(orders)
    assert benchmark(engine.reports) == []


def test_last(benchmark: Any, engine: ProbeEngine, orders: list[ProbeOrder]) -> None:
    engine.orders(orders[:1])
    benchmark(engine.last, 0)


def test_overdue_of_10000(benchmark: Any, engine: ProbeEngine, orders: list[ProbeOrder]) -> None:
    engine.orders(orders)
    assert benchmark(engine.overdue, time.monotonic_ns()) == []


def test_judge_one_reply(benchmark: Any) -> None:
    benchmark(judge_http, [REPLY], recipe(0))


def test_wheel_10000_timers_around(benchmark: Any) -> None:
    def around() -> None:
        wheel = TimerWheel(SERVERS)
        for timer in range(SERVERS):
            wheel.arm(timer, 1 + timer * 7 % 5000)
        assert len(wheel.advance(5000)) == SERVERS

    benchmark(around)
