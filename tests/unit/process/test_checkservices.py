"""Dialogues with services in the runner: standing orders, reports, and that a dead service delays no other."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvloop

from fastha.checks.recipes import Verdict
from fastha.model.net import Address
from fastha.model.plan import Connection, Service, ServiceCheck
from fastha.model.units import MS, S
from fastha.process.checkservices import AT_ONCE, CheckServices
from fastha.process.messages import Message, ScriptDrop, ServiceOrder, ServiceReport, ServiceSeen
from tests.probe_bench import connections


class Bench:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.said: list[Message] = []
        self.services = CheckServices(loop, self.said.append)

    def reports(self, target: int = 1) -> list[ServiceReport]:
        return [each for each in self.said if isinstance(each, ServiceReport) and each.target == target]

    def seen(self) -> list[tuple[int, int, str, float, int]]:
        return [row for each in self.said if isinstance(each, ServiceSeen) for row in each.seen]


def run(main: Callable[[Bench], Awaitable[None]]) -> None:
    loop = uvloop.new_event_loop()

    async def everything() -> None:
        bench = Bench(loop)
        try:
            await main(bench)
        finally:
            bench.services.close()
            await asyncio.sleep(0.02)

    try:
        loop.run_until_complete(asyncio.wait_for(everything(), 30))
    finally:
        loop.close()


async def until(condition: Callable[[], Any], what: str, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"still waiting for {what}"
        await asyncio.sleep(0.005)


def order(port: int, target: int = 1, **words: Any) -> ServiceOrder:
    to = Connection(address=Address("127.0.0.1"), port=port, connect_timeout=S)
    check = ServiceCheck(service=Service.REDIS, connection=to, deadline=words.pop("deadline", 0), delay_loop=S)
    given = {"generation": 1, "delay": 0, "interval": 50 * MS, "expect_success": True, "group": "a"} | words
    return ServiceOrder(target=target, check=check, **given)


class Redis:
    def __init__(self) -> None:
        self.reply = b"+PONG\r\n"

    def __call__(self, connection: socket.socket) -> None:
        if connection.recv(1000):
            connection.sendall(self.reply)


@contextmanager
def silence() -> Iterator[int]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as server:
        yield int(server.getsockname()[1])


def test_expected_results_are_counted_and_others_reported() -> None:
    redis = Redis()

    async def main(bench: Bench) -> None:
        with connections(redis) as server:
            bench.services.take(order(server.port))
            await until(bench.seen, "an expected result")
            assert bench.seen()[0][:3] == (1, Verdict.SUCCESS, "PONG")
            assert bench.reports() == []
            assert bench.services.held >= 3, "it goes on by itself"
            redis.reply = b"-LOADING dataset\r\n"
            await until(bench.reports, "a report")
            (report,) = bench.reports()
            assert (report.verdict, report.text, report.generation) == (Verdict.STATUS, "LOADING dataset", 1)
            held = bench.services.held
            await asyncio.sleep(0.15)
            assert bench.services.held == held, "the target is held"
            bench.services.take(order(server.port, generation=2, interval=0))
            await until(lambda: len(bench.reports()) == 2, "a single run")
            assert bench.reports()[1].generation == 2
            bench.services.take(order(server.port, generation=3, expect_success=False))
            await until(lambda: any(row[1] == Verdict.STATUS for row in bench.seen()), "failures are expected now")
            counters = bench.services.outcomes.counters()
            assert counters["redis_started"] >= counters["redis_succeeded"] + counters["redis_failed"] > 4
            assert counters["redis_timed_out"] == counters["redis_local_errors"] == 0

    run(main)


def test_a_dropped_target_is_left_alone_at_once() -> None:
    async def main(bench: Bench) -> None:
        with silence() as port:
            bench.services.take(order(port))
            await until(lambda: bench.services.running == 1, "a dialogue")
            bench.services.take(ScriptDrop(1))
            await until(lambda: bench.services.running == 0, "its end")
            bench.services.take(order(port))
            bench.services.take(order(port, generation=2, delay=S))
            await asyncio.sleep(0.05)
            assert (bench.services.running, bench.services.waiting) == (0, 0)
        assert bench.said == []

    run(main)


def test_a_dead_service_delays_no_other() -> None:
    """More silent servers than there are places, and one that answers, of another virtual server."""

    async def main(bench: Bench) -> None:
        with silence() as port, connections(Redis()) as server:
            for target in range(1000, 1000 + 2 * AT_ONCE):
                bench.services.take(order(port, target, group="dead", deadline=900 * MS, expect_success=False))
            await until(lambda: bench.services.waiting, "the dead ones to fill their places")
            bench.services.take(order(server.port, group="well"))
            await until(bench.seen, "the one that is well")
            assert bench.services.waiting, "the others are still there"
            await until(lambda: bench.services.held > 2 * AT_ONCE, "each to have its turn")
            await until(lambda: any(row[0] >= 1000 for row in bench.seen()), "results of the dead ones")
            late = [row[4] for row in bench.seen() if row[0] == 1]
            assert max(late) < 500 * MS
            assert bench.services.histogram().maximum > 500 * MS, "what waited is late, and it shows"

    run(main)


@pytest.mark.parametrize("times", [200])
def test_orders_given_again_and_again_leave_no_place_taken(times: int) -> None:
    async def main(bench: Bench) -> None:
        with silence() as port:
            for generation in range(times):
                bench.services.take(order(port, generation=generation))
                if generation % 3:
                    await asyncio.sleep(0)
            await until(lambda: bench.services.running == 1, "one of them to be left")
            bench.services.forget_all()
            await until(lambda: bench.services.running == 0, "none")

    run(main)
