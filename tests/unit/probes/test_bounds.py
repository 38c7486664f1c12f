"""Our own failures, and what bounds the probe engine: nobody starves, nothing is left."""

import errno
import gc
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from fastha._checks import ProbeEngine
from fastha.checks.recipes import Verdict
from fastha.model.net import Address
from fastha.model.units import MS, S
from tests.unit.probes.servers import (
    LIMIT,
    OK,
    Server,
    answer,
    collect,
    hold,
    http,
    once,
    probe,
    silent,
    standing,
    tcp,
    wait_for,
)

# ----------------------------------------------------------------------------------- our own failures


def test_local_errors_are_not_the_servers(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    recipe = tcp(serve(hold).port, bindto=Address("192.0.2.1"))
    engine.order(standing(recipe, 0, 20 * MS))
    wait_for(lambda: engine.last(0).runs >= 3, "it is tried again")
    assert engine.reports() == []
    assert (engine.last(0).verdict, engine.last(0).errno) == (Verdict.LOCAL, errno.EADDRNOTAVAIL)
    stats = engine.stats()
    assert stats["local_errors"] >= 3
    assert stats["failed"] == 0
    engine.hold(0)
    engine.order(once(recipe, 1))
    (report,) = collect(engine, 1)
    assert (report.verdict, report.errno) == (Verdict.LOCAL, errno.EADDRNOTAVAIL)


def test_bindto_and_mark(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    server = serve(hold)
    assert probe(engine, tcp(server.port, bindto=Address("127.0.0.9"))).verdict is Verdict.SUCCESS
    wait_for(lambda: server.accepted, "accepted")
    assert server.peers[0][0] == "127.0.0.9"
    if os.geteuid() == 0:
        assert probe(engine, tcp(server.port, fwmark=7, bind_if="lo")).verdict is Verdict.SUCCESS


def test_bind_port(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    server = serve(hold)
    with socket.socket() as free:
        free.bind(("127.0.0.8", 0))
        port = free.getsockname()[1]
    recipe = tcp(server.port, bindto=Address("127.0.0.8"), bind_port=port, close_rst=True)
    for _ in range(3):  # a reset leaves nothing behind that keeps the port busy
        assert probe(engine, recipe).verdict is Verdict.SUCCESS
    wait_for(lambda: server.accepted == 3, "accepted")
    assert server.peers == [("127.0.0.8", port)] * 3


# ----------------------------------------------------------------------------- many, bounded, for ever


def test_no_more_than_cap_in_flight_and_nobody_starves(serve: Callable[..., Server]) -> None:
    engine = ProbeEngine(cap=3)
    engine.start()
    server = serve(silent)
    engine.orders(
        [standing(http(server.port, timeout=30 * MS), target, 200 * MS, expect=False) for target in range(30)]
    )
    most = 0
    end = time.monotonic() + LIMIT
    while min(engine.last(target).runs for target in range(30)) < 3:
        most = max(most, engine.stats()["in_flight"])
        assert time.monotonic() < end
    assert 0 < most <= 3
    runs = [engine.last(target).runs for target in range(30)]
    assert max(runs) - min(runs) <= 2, "first come, first served"
    assert engine.stats()["starved"] > 0
    assert engine.stats()["missed"] > 0
    engine.stop()


def test_a_silent_service_leaves_places_for_others(serve: Callable[..., Server]) -> None:
    """Five times as many silent targets as there are places, and one that answers: it alone is on time."""
    engine = ProbeEngine(cap=16)
    engine.start()
    mute, good = serve(silent), serve(answer(OK))
    timeout, interval = 400 * MS, 500 * MS
    engine.orders([standing(http(mute.port, timeout=timeout), target, interval, expect=False) for target in range(80)])
    wait_for(lambda: all(engine.last(target).runs for target in range(80)), "each silent one to be known as such")
    engine.order(standing(http(good.port, timeout=20 * S), 80, 50 * MS, expect=True))
    worst = 0
    end = time.monotonic() + LIMIT
    while engine.last(80).runs < 20:
        worst = max(worst, engine.last(80).lateness)
        assert engine.stats()["in_flight"] <= 16
        assert time.monotonic() < end
        time.sleep(0.01)
    assert engine.stats()["starved"] > 0
    assert max(engine.last(target).lateness for target in range(80)) > timeout, "the silent ones wait in line"
    assert worst < timeout // 2
    engine.stop()


def test_sockets_of_an_idle_pool_make_room_for_another(serve: Callable[..., Server]) -> None:
    engine = ProbeEngine(cap=4)
    engine.start()
    server = serve(hold)
    for turn in range(6):
        more = {"bindto": Address(f"127.0.0.{20 + turn}"), "close_rst": True}
        engine.orders([once(tcp(server.port, **more), target, turn) for target in range(8)])
        assert {report.verdict for report in collect(engine, 8)} == {Verdict.SUCCESS}
        assert engine.stats()["sockets"] <= 4
    engine.stop()


def test_every_target_keeps_being_checked(engine: ProbeEngine, serve: Callable[..., Server], closed_port: int) -> None:
    """All kinds of servers at once, intervals that reach beyond the first level of the wheel: nobody is lost."""
    good, mute = serve(answer(OK)), serve(silent)
    recipes = [
        (http(good.port, timeout=20 * S), True),
        (tcp(closed_port), False),
        (tcp(good.port, close_rst=True, timeout=20 * S), True),
        (http(mute.port, timeout=40 * MS), False),
        (tcp(mute.port, timeout=20 * S), True),
    ]
    orders = []
    for target in range(200):
        recipe, expect = recipes[target % 5]
        orders.append(standing(recipe, target, (250 + 3 * target) * MS, expect=expect))
    engine.orders(orders)
    least = 4
    end = time.monotonic() + 60
    while min(engine.last(target).runs for target in range(200)) < least:
        assert time.monotonic() < end
        assert engine.reports() == []
        time.sleep(0.05)
    assert time.monotonic_ns() - engine.heartbeat() < S
    histogram = engine.lateness()
    assert sum(histogram.counts) == histogram.total == engine.stats()["started"]
    assert len(histogram.counts) == len(histogram.bounds) + 1


def test_overdue_names_those_nobody_started(serve: Callable[..., Server]) -> None:
    engine = ProbeEngine()
    engine.start()
    server = serve(hold)
    engine.orders([standing(tcp(server.port), target, 600 * MS) for target in range(3)])
    engine.hold(2)
    wait_for(lambda: engine.last(0).runs and engine.last(1).runs, "both run")
    assert engine.overdue(time.monotonic_ns()) == []
    engine.stop()
    assert engine.overdue(time.monotonic_ns() + 10 * S) == [0, 1]


def test_no_descriptor_and_no_thread_is_left(serve: Callable[..., Server], closed_port: int) -> None:
    server = serve(silent)
    gc.collect()
    before, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    engine = ProbeEngine()
    engine.start()
    engine.orders([once(http(server.port, timeout=60 * S), target) for target in range(50)])
    engine.orders([standing(tcp(closed_port), target, 20 * MS, expect=False) for target in range(50, 60)])
    wait_for(lambda: server.accepted == 50, "all are at work")
    engine.stop()
    engine.stop()
    assert engine.stats()["sockets"] == 0
    with pytest.raises(RuntimeError, match="started before"):
        engine.start()
    del engine
    gc.collect()
    wait_for(lambda: threading.active_count() <= threads, "the server's threads end")
    wait_for(lambda: len(os.listdir("/proc/self/fd")) <= before, "no descriptor is left")


def test_a_low_descriptor_limit_lowers_the_cap(serve: Callable[..., Server]) -> None:
    program = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from fastha._checks import ProbeEngine
from fastha.checks.recipes import Kind, ProbeOrder, Recipe
engine = ProbeEngine()
engine.start()
recipe = Recipe(kind=Kind.TCP, address="127.0.0.1", port=int(sys.argv[1]), timeout=10**9)
engine.orders([ProbeOrder(target=i, generation=1, recipe=recipe, first=0, interval=0) for i in range(500)])
seen = 0
end = time.monotonic() + 20
while seen < 500 and time.monotonic() < end:
    seen += sum(report.verdict == 0 for report in engine.reports())
engine.stop()
print(engine.cap, seen)
"""
    server = serve(hold)
    done = subprocess.run(
        [sys.executable, "-c", program, str(server.port)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["32", "500"], done.stderr
