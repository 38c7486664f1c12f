"""The probe engines that look like one: who goes where, and that TLS makes nobody late."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from fastha._checks import TlsContext
from fastha.checks.recipes import Kind, ProbeOrder, Recipe, Report, Verdict
from fastha.model.plan import ClientTls
from fastha.model.units import MS, S
from fastha.process.probers import Probers
from tests.probe_bench import LIMIT, certificate, connections, datagrams, leave, read_request, towards

REQUEST = b"GET / HTTP/1.0\r\n\r\n"


class Bench:
    """Probers on a loop that turns when asked."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.heard: list[Report] = []
        self.probers = Probers(self.loop, lambda: self.heard.extend(self.probers.reports()))
        self.probers.start()

    def collect(self, count: int) -> dict[int, Verdict]:
        """Reports by target."""
        end = time.monotonic() + LIMIT
        while len(self.heard) < count:
            assert time.monotonic() < end, self.heard
            self.loop.run_until_complete(asyncio.sleep(0.01))
        found = {report.target: report.verdict for report in self.heard}
        self.heard.clear()
        return found

    def close(self) -> None:
        self.probers.stop()
        self.loop.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    one = Bench()
    yield one
    one.close()


@pytest.fixture(scope="module")
def server_tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path_factory.mktemp("tls")))
    return context


def page(connection: object) -> None:
    read_request(connection)  # type: ignore[arg-type]
    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")  # type: ignore[attr-defined]


def web(port: int, kind: Kind) -> Recipe:
    return towards(port, kind, request=REQUEST, status_codes=((200, 299),), timeout=5 * S)


def order(recipe: Recipe, target: int, generation: int = 1, interval: int = 0) -> ProbeOrder:
    return ProbeOrder(target=target, generation=generation, recipe=recipe, first=0, interval=interval)


def test_without_tls_there_is_one_thread(bench: Bench) -> None:
    with datagrams(b"yes") as server:
        bench.probers.orders([order(towards(server.port, Kind.UDP), target) for target in range(5)])
        assert set(bench.collect(5)) == set(range(5))
    assert bench.probers.stats()["tls_threads"] == 0
    assert sum(thread.name == "fastha-probes" for thread in threading.enumerate()) == 1


def test_tls_has_its_own_threads_and_all_is_told_as_one(bench: Bench, server_tls: ssl.SSLContext) -> None:
    with connections(page) as plain, connections(page, context=server_tls) as secure:
        orders = [order(web(*((secure.port, Kind.SSL) if n % 2 else (plain.port, Kind.HTTP))), n) for n in range(20)]
        bench.probers.orders(orders)
        assert bench.collect(20) == dict.fromkeys(range(20), Verdict.SUCCESS)
    stats = bench.probers.stats()
    assert stats["tls_threads"] >= 1
    assert (stats["ssl_succeeded"], stats["http_succeeded"], stats["started"]) == (10, 10, 20)
    assert bench.probers.lateness().total == 20
    assert bench.probers.last(3).status == 200
    assert bench.probers.running
    assert time.monotonic_ns() - bench.probers.heartbeat() < 2 * S


def test_a_target_may_become_another_kind(bench: Bench, server_tls: ssl.SSLContext) -> None:
    with connections(page) as plain, connections(page, context=server_tls) as secure:
        for generation, (port, kind) in enumerate([(plain.port, Kind.HTTP), (secure.port, Kind.SSL)] * 2):
            bench.probers.order(order(web(port, kind), 0, generation))
            assert bench.collect(1) == {0: Verdict.SUCCESS}
            assert bench.probers.stats()["targets"] == 1
        bench.probers.hold(0)
        bench.probers.remove(0)
        assert bench.probers.last(0).started == 0


def test_a_bad_order_is_told_and_those_before_it_are_given(bench: Bench) -> None:
    with datagrams(b"yes") as server:
        good, bad = towards(server.port, Kind.UDP), towards(99, Kind.SSL, request=REQUEST, sni="x" * 300)
        with pytest.raises(ValueError, match="server name"):
            bench.probers.orders([order(good, 0), order(bad, 1), order(good, 2)])
        assert set(bench.collect(1)) == {0}


def test_the_context_is_that_of_all_threads(bench: Bench, server_tls: ssl.SSLContext) -> None:
    with connections(page, context=server_tls) as server:
        bench.probers.use_tls(TlsContext(ClientTls()))
        bench.probers.orders([order(web(server.port, Kind.SSL), target) for target in range(4)])
        assert set(bench.collect(4).values()) == {Verdict.SUCCESS}
        bench.probers.use_tls(TlsContext(ClientTls()))
        bench.probers.orders([order(web(server.port, Kind.SSL), target, 2) for target in range(4)])
        assert set(bench.collect(4).values()) == {Verdict.SUCCESS}


def test_tls_under_way_makes_nobody_late(bench: Bench, server_tls: ssl.SSLContext) -> None:
    """TCP probes beside many handshakes start when they should."""
    with connections(page, context=server_tls) as secure, connections(leave) as plain:
        bench.probers.orders([order(web(secure.port, Kind.SSL), 100 + n, interval=20 * MS) for n in range(8)])
        end = time.monotonic() + LIMIT
        while bench.probers.stats()["ssl_succeeded"] < 50:
            assert time.monotonic() < end
            time.sleep(0.01)
        bench.probers.orders([order(towards(plain.port, Kind.TCP), n, interval=50 * MS) for n in range(20)])
        before = bench.probers.stats()["ssl_succeeded"]
        late = []
        while len(late) < 200:
            assert time.monotonic() < end
            late += [bench.probers.last(n).lateness for n in range(20) if bench.probers.last(n).runs > 1]
            time.sleep(0.02)
        assert bench.probers.stats()["ssl_succeeded"] > before
        assert sorted(late)[len(late) * 9 // 10] < 100 * MS  # a slot of 20 ms, on a busy machine


def test_descriptors_are_asked_for_for_all_engines_together() -> None:
    program = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 3000))
from fastha._checks import ProbeEngine
one, two = ProbeEngine(cap=1000), ProbeEngine(cap=5000)
one.start()
two.start()
print(one.cap, two.cap, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
one.stop()
three = ProbeEngine(cap=5000)
three.start()
print(three.cap)
two.stop()
three.stop()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    first, second, limit, third = map(int, done.stdout.split())
    assert (first, limit) == (1000, 3000)
    assert first + second < limit
    assert second + third < limit
