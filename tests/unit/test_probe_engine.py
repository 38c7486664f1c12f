"""The probe engine against real sockets on the loopback: every way a server can behave, and every order."""

import errno
import gc
import hashlib
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from fastha._checks import MAX_TARGETS, ProbeEngine
from fastha.checks.recipes import Kind, ProbeOrder, Recipe, Report, Verdict
from fastha.model.net import Address
from fastha.model.units import MS, S

LOOPBACK = Address("127.0.0.1")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = b"GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\n\r\n"
LIMIT = 20.0
"""Seconds after which something that should have happened never will."""

Script = Callable[[socket.socket], None]


class Server:
    """A listener; each connection is handled by `script` in a thread, then closed."""

    def __init__(self, script: Script, family: int = socket.AF_INET) -> None:
        self.script = script
        self.peers: list[tuple[str, int]] = []
        self.errors: list[OSError] = []
        self.listener = socket.socket(family)
        self.listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.listener.listen(4096)
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def accepted(self) -> int:
        return len(self.peers)

    def _accept(self) -> None:
        while True:
            try:
                connection, peer = self.listener.accept()
            except OSError:
                return
            self.peers.append(peer[:2])
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(LIMIT)
            try:
                self.script(connection)
            except OSError as error:
                self.errors.append(error)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(script: Script, family: int = socket.AF_INET) -> Server:
        servers.append(Server(script, family))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(params=[True, False], ids=["recycling", "classic"])
def engine(request: pytest.FixtureRequest) -> Iterator[ProbeEngine]:
    engine = ProbeEngine(cap=500, recycle=request.param)
    engine.start()
    yield engine
    engine.stop()
    assert engine.stats()["in_flight"] == engine.stats()["sockets"] == 0


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, and that nobody can take meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def tcp(port: int, **more: object) -> Recipe:
    return Recipe(**{"kind": Kind.TCP, "address": LOOPBACK, "port": port, "timeout": 2 * S} | more)  # type: ignore[arg-type]


def http(port: int, **more: object) -> Recipe:
    return tcp(port, **{"kind": Kind.HTTP, "request": REQUEST, "status_codes": ((200, 299),)} | more)


def once(recipe: Recipe, target: int = 0, generation: int = 1) -> ProbeOrder:
    return ProbeOrder(target=target, generation=generation, recipe=recipe, first=time.monotonic_ns(), interval=0)


def standing(
    recipe: Recipe, target: int = 0, interval: int = 50 * MS, *, expect: bool = True, generation: int = 1
) -> ProbeOrder:
    now = time.monotonic_ns()
    return ProbeOrder(
        target=target, generation=generation, recipe=recipe, first=now, interval=interval, expect_success=expect
    )


def wait_for(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(0.002)


def collect(engine: ProbeEngine, count: int) -> list[Report]:
    """The next `count` reports, and a look whether there are more."""
    found: list[Report] = []
    end = time.monotonic() + LIMIT
    while len(found) < count:
        assert time.monotonic() < end, f"{len(found)} of {count} reports"
        select.select([engine.fileno()], [], [], 0.2)
        found += engine.reports()
    return found


def probe(engine: ProbeEngine, recipe: Recipe) -> Report:
    engine.order(once(recipe))
    (report,) = collect(engine, 1)
    assert (report.target, report.generation) == (0, 1)
    assert 0 < report.started <= report.finished
    return report


# ------------------------------------------------------------------------------------ how servers behave


def answer(*pieces: bytes, pause: float = 0.0) -> Script:
    def script(connection: socket.socket) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            got = connection.recv(4096)
            if not got:  # the probe was given up
                return
            request += got
        assert request == REQUEST
        for piece in pieces:
            connection.sendall(piece)
            if pause:
                time.sleep(pause)

    return script


def hold(connection: socket.socket) -> None:
    connection.recv(1)


def silent(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def close_unanswered(connection: socket.socket) -> None:
    assert connection.recv(4096) == REQUEST


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def answer_and_reset(connection: socket.socket) -> None:
    answer(OK)(connection)
    time.sleep(0.1)
    reset(connection)


def answer_and_wait(connection: socket.socket) -> None:
    answer(OK)(connection)
    silent(connection)


def header(size: int) -> bytes:
    """A complete header of exactly `size` octets."""
    start = b"HTTP/1.1 200 OK\r\nX: "
    return start + b"x" * (size - len(start) - 4) + b"\r\n\r\n"


def digest_of(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()


BIG = bytes(range(256)) * 12_000

Reply = tuple[str, Script, dict[str, object], Verdict, int]
REPLIES: list[Reply] = [
    ("good", answer(OK), {}, Verdict.SUCCESS, 200),
    ("octet by octet", answer(*[OK[i : i + 1] for i in range(len(OK))]), {}, Verdict.SUCCESS, 200),
    (
        "slow, every piece in time",
        answer(*[OK[i : i + 8] for i in range(0, 40, 8)], pause=0.06),
        {"timeout": 200 * MS},
        Verdict.SUCCESS,
        200,
    ),
    (
        "slow drip beyond the deadline",
        answer(*[b"x"] * 200, pause=0.02),
        {"timeout": 200 * MS, "deadline": 400 * MS},
        Verdict.TIMEOUT,
        0,
    ),
    (
        "status in a second range",
        answer(b"HTTP/1.0 404 Not Found\r\n\r\n"),
        {"status_codes": ((200, 200), (404, 404))},
        Verdict.SUCCESS,
        404,
    ),
    ("any status", answer(b"HTTP/1.0 500 Oh\r\n\r\n"), {"status_codes": ()}, Verdict.SUCCESS, 500),
    ("wrong status", answer(b"HTTP/1.0 503 No\r\n\r\n"), {}, Verdict.STATUS, 503),
    ("status without a reason", answer(b"HTTP/1.1 200\r\n\r\n"), {}, Verdict.STATUS, 0),
    ("garbage that ends like a header", answer(b"\x00\xff garbage\r\n\r\n"), {}, Verdict.STATUS, 0),
    ("garbage", answer(os.urandom(3000).replace(b"\r\n\r\n", b"....")), {}, Verdict.NO_DATA, 0),
    ("a header without an end", answer(b"HTTP/1.1 200 OK\r\n"), {}, Verdict.NO_DATA, 0),
    ("nothing", close_unanswered, {}, Verdict.NO_DATA, 0),
    ("a header of 4095 octets", answer(header(4095)), {}, Verdict.SUCCESS, 200),
    ("a header of 4096 octets", answer(header(4096)), {}, Verdict.NO_DATA, 0),
    (
        "a header of 4096 octets in pieces",
        answer(header(4096)[:100], header(4096)[100:], pause=0.05),
        {},
        Verdict.NO_DATA,
        0,
    ),
    ("a huge body", answer(header(300) + BIG), {}, Verdict.SUCCESS, 200),
    ("a huge body with the right digest", answer(header(300), BIG), {"digest": digest_of(BIG)}, Verdict.SUCCESS, 200),
    ("a huge body with the wrong digest", answer(header(300) + BIG), {"digest": bytes(16)}, Verdict.DIGEST, 200),
    ("more than Content-Length", answer(OK + b"more"), {"digest": digest_of(b"ok")}, Verdict.SUCCESS, 200),
    (
        "less than Content-Length",
        answer(OK.replace(b": 2", b": 99")),
        {"digest": digest_of(b"ok")},
        Verdict.SUCCESS,
        200,
    ),
    ("no body", answer(b"HTTP/1.1 204 No\r\n\r\n"), {"digest": digest_of(b"")}, Verdict.SUCCESS, 204),
    ("silence", silent, {"timeout": 100 * MS}, Verdict.TIMEOUT, 0),
    ("no end", answer_and_wait, {"timeout": 100 * MS}, Verdict.TIMEOUT, 200),
]


@pytest.mark.parametrize("reply", REPLIES, ids=[reply[0] for reply in REPLIES])
def test_reply(engine: ProbeEngine, serve: Callable[..., Server], reply: Reply) -> None:
    _, script, more, verdict, status = reply
    server = serve(script)
    report = probe(engine, http(server.port, **more))
    assert (report.verdict, report.status) == (verdict, status)
    assert report.digest == (digest_of(BIG) if verdict is Verdict.DIGEST else b"")
    assert engine.last(0).verdict is verdict


@pytest.mark.parametrize("recycle", [True, False])
def test_an_endless_reply_is_cut_by_the_deadline(serve: Callable[..., Server], recycle: bool) -> None:
    def endless(connection: socket.socket) -> None:
        while True:
            connection.sendall(OK * 1000)

    server = serve(endless)
    engine = ProbeEngine(recycle=recycle)
    engine.start()
    engine.orders([once(http(server.port, deadline=300 * MS)), standing(tcp(server.port), 1, 20 * MS)])
    (report,) = collect(engine, 1)
    assert report.verdict is Verdict.TIMEOUT
    assert 300 * MS <= report.finished - report.started < 2 * S
    assert engine.last(1).runs > 5  # others were served meanwhile
    engine.stop()


def test_reset_after_a_good_reply_is_a_failure(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    report = probe(engine, http(serve(answer_and_reset).port))
    assert (report.verdict, report.errno) == (Verdict.REFUSED, errno.ECONNRESET)


@pytest.mark.parametrize("size", [1, 2_000_000])
def test_a_reply_and_its_reset_in_one_event(engine: ProbeEngine, serve: Callable[..., Server], size: int) -> None:
    """epoll tells of the reset once, with data still to read: it must not be waited for again."""

    def script(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8_000_000)
        connection.recv(4096)
        connection.sendall(OK + b"x" * size)
        reset(connection)

    report = probe(engine, http(serve(script).port, timeout=10 * S))
    assert (report.verdict, report.errno) == (Verdict.REFUSED, errno.ECONNRESET)


def test_reset_instead_of_a_reply(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    report = probe(engine, http(serve(reset).port))
    assert report.verdict is Verdict.REFUSED
    assert report.errno in (errno.ECONNRESET, errno.EPIPE)


def test_tcp_open(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    server = serve(hold)
    assert probe(engine, tcp(server.port)).verdict is Verdict.SUCCESS
    assert engine.stats()["tcp_succeeded"] == 1


@pytest.mark.parametrize("make", [tcp, http])
def test_refused(engine: ProbeEngine, closed_port: int, make: Callable[[int], Recipe]) -> None:
    report = probe(engine, make(closed_port))
    assert (report.verdict, report.errno) == (Verdict.REFUSED, errno.ECONNREFUSED)


def test_silently_dropped(engine: ProbeEngine) -> None:
    """A listener whose queue is full does not answer a SYN."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        report = probe(engine, tcp(listener.getsockname()[1], timeout=150 * MS))
        assert (report.verdict, report.errno) == (Verdict.TIMEOUT, errno.ETIMEDOUT)
        assert 150 * MS <= report.finished - report.started < 2 * S


def test_ipv6(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    server = serve(answer(OK), socket.AF_INET6)
    assert probe(engine, http(server.port, address=Address("::1"))).verdict is Verdict.SUCCESS


def test_a_request_larger_than_the_socket_takes_at_once(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    request = b"GET / HTTP/1.0\r\nX: " + b"x" * 8_000_000 + b"\r\n\r\n"
    got: list[int] = []

    def script(connection: socket.socket) -> None:
        size = 0
        time.sleep(0.1)
        while size < len(request) and (piece := connection.recv(1 << 20)):
            size += len(piece)
        got.append(size)
        connection.sendall(OK)

    assert probe(engine, http(serve(script).port, request=request)).verdict is Verdict.SUCCESS
    assert got == [len(request)]


# -------------------------------------------------------------------------- how a probe ends on the wire


@pytest.mark.parametrize(("close_rst", "seen"), [(False, "end"), (True, "reset")])
def test_how_a_tcp_probe_ends(engine: ProbeEngine, serve: Callable[..., Server], close_rst: bool, seen: str) -> None:
    ends: list[str] = []

    def script(connection: socket.socket) -> None:
        try:
            ends.append("end" if connection.recv(1) == b"" else "data")
        except ConnectionResetError:
            ends.append("reset")

    assert probe(engine, tcp(serve(script).port, close_rst=close_rst)).verdict is Verdict.SUCCESS
    wait_for(lambda: ends, "the server sees the end")
    assert ends == [seen]


def test_a_socket_is_used_again_once_the_peer_has_closed_too(serve: Callable[..., Server]) -> None:
    engine = ProbeEngine()
    engine.start()
    engine.order(standing(tcp(serve(hold).port), interval=20 * MS))
    wait_for(lambda: engine.last(0).runs > 10, "ten probes")
    assert engine.stats()["sockets_made"] <= 3
    engine.stop()


def test_a_peer_that_never_closes_does_not_keep_our_sockets(serve: Callable[..., Server]) -> None:
    def keep(connection: socket.socket) -> None:
        connection.recv(1)
        time.sleep(2)

    engine = ProbeEngine(cap=8)
    engine.start()
    server = serve(keep)
    for turn in range(4):
        engine.orders([once(tcp(server.port), target, turn) for target in range(8)])
        assert {report.verdict for report in collect(engine, 8)} == {Verdict.SUCCESS}
        assert engine.stats()["sockets"] <= 8
    wait_for(lambda: engine.stats()["sockets"] == 0, "what lingers is closed")
    engine.stop()


def test_sockets_are_used_again_where_a_reset_is_not_seen(serve: Callable[..., Server]) -> None:
    engine = ProbeEngine()
    engine.start()
    assert engine.recycling
    engine.order(standing(http(serve(answer(OK)).port), interval=20 * MS))
    wait_for(lambda: engine.last(0).runs > 10, "ten probes")
    assert engine.stats()["sockets_made"] == 1
    assert engine.stats()["recycled"] >= 10
    engine.stop()


# ------------------------------------------------------------------------------------- standing orders


def test_the_expected_outcome_is_counted_not_reported(
    engine: ProbeEngine, serve: Callable[..., Server], closed_port: int
) -> None:
    server = serve(answer(OK))
    engine.orders([standing(http(server.port), 0), standing(tcp(closed_port), 1, expect=False)])
    wait_for(lambda: min(engine.last(0).runs, engine.last(1).runs) >= 5, "five probes of each")
    assert engine.reports() == []
    last = engine.last(0)
    assert (last.verdict, last.status) == (Verdict.SUCCESS, 200)
    assert engine.last(1).errno == errno.ECONNREFUSED


def test_the_unexpected_outcome_is_reported_once_and_holds(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    script = [answer(OK)]
    server = serve(lambda connection: script[0](connection))  # noqa: PLW0108 (which one is asked each time)
    engine.order(standing(http(server.port)))
    wait_for(lambda: engine.last(0).runs >= 3, "three probes")
    script[0] = answer(b"HTTP/1.0 500 No\r\n\r\n")
    (report,) = collect(engine, 1)
    assert (report.verdict, report.status) == (Verdict.STATUS, 500)
    accepted = server.accepted
    time.sleep(0.2)  # four intervals
    assert server.accepted == accepted
    engine.order(standing(http(server.port), expect=False, generation=2))
    wait_for(lambda: server.accepted >= accepted + 3, "it goes on")
    assert engine.reports() == []
    script[0] = answer(OK)
    (report,) = collect(engine, 1)
    assert (report.verdict, report.generation) == (Verdict.SUCCESS, 2)


def test_one_shot_reports_a_success(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    assert probe(engine, tcp(serve(hold).port)).verdict is Verdict.SUCCESS


def test_phase_is_kept_and_no_interval_is_made_up_for(serve: Callable[..., Server]) -> None:
    """A server slower than the interval: starts stay in phase, what passed meanwhile is missed."""
    engine = ProbeEngine()
    engine.start()
    interval = 100 * MS
    order = standing(http(serve(answer(OK, pause=0.23)).port), interval=interval)
    engine.order(order)
    starts: set[int] = set()
    wait_for(lambda: starts.add(engine.last(0).started) or len(starts) >= 5, "some probes")  # type: ignore[func-returns-value]
    for start in sorted(starts)[1:]:
        assert (start - order.first) % interval < 90 * MS
    gaps = [b - a for a, b in zip(sorted(starts)[1:], sorted(starts)[2:], strict=False)]
    assert min(gaps) > 200 * MS
    assert engine.stats()["missed"] >= 4
    engine.stop()


def test_an_order_from_the_past_begins_now_in_its_phase(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    recipe = tcp(serve(hold).port)
    interval = 400 * MS
    first = time.monotonic_ns() - 100 * interval - 100 * MS
    engine.order(ProbeOrder(target=0, generation=1, recipe=recipe, first=first, interval=interval))
    engine.order(ProbeOrder(target=1, generation=1, recipe=recipe, first=0, interval=0))
    wait_for(lambda: engine.last(0).runs == 2 and engine.last(1).runs == 1, "one at once, one in its phase")
    assert (engine.last(0).started - first) % interval < 300 * MS
    assert engine.stats()["missed"] < 50, "the hundred before the order are nobody's"
    assert engine.lateness().maximum < LIMIT * S


def test_orders_given_before_start(serve: Callable[..., Server]) -> None:
    engine = ProbeEngine()
    engine.orders([once(tcp(serve(hold).port), target) for target in range(1000)])
    assert not engine.running
    engine.start()
    assert engine.running
    assert Counter(report.verdict for report in collect(engine, 1000)) == {Verdict.SUCCESS: 1000}
    engine.stop()
    assert not engine.running


def test_a_new_order_supersedes_the_probe_in_flight(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    mute, good = serve(silent), serve(answer(OK))
    for generation in range(1, 50):
        engine.order(once(http(mute.port, timeout=10 * S), generation=generation))
    engine.order(once(http(good.port), generation=50))
    (report,) = collect(engine, 1)
    assert (report.verdict, report.generation) == (Verdict.SUCCESS, 50)
    wait_for(lambda: engine.stats()["in_flight"] == 0, "nothing in flight")


def test_a_report_not_fetched_is_dropped_by_the_next_order(
    engine: ProbeEngine, closed_port: int, serve: Callable[..., Server]
) -> None:
    engine.order(once(tcp(closed_port)))
    wait_for(lambda: engine.last(0).runs == 1, "it ran")
    engine.order(once(tcp(serve(hold).port), generation=2))
    (report,) = collect(engine, 1)
    assert (report.generation, report.verdict) == (2, Verdict.SUCCESS)


def test_hold_and_remove(engine: ProbeEngine, serve: Callable[..., Server], closed_port: int) -> None:
    server = serve(hold)
    engine.orders([standing(tcp(server.port), 0), standing(tcp(server.port), 1)])
    wait_for(lambda: engine.last(0).runs and engine.last(1).runs, "both run")
    engine.hold(0)
    engine.remove(1)
    wait_for(lambda: engine.stats()["targets"] == 1, "one is forgotten")
    runs = engine.last(0).runs
    assert runs > 0
    time.sleep(0.15)  # three intervals
    assert engine.last(0).runs == runs
    assert engine.last(1).runs == 0
    assert engine.last(1).started == 0
    engine.order(once(tcp(closed_port), 1, generation=7))
    (report,) = collect(engine, 1)
    assert (report.target, report.generation) == (1, 7)


def test_order_races(engine: ProbeEngine, serve: Callable[..., Server], closed_port: int) -> None:
    """Orders given all the time, at every moment of a probe: each ends in one report of its own generation."""
    server = serve(answer(OK))
    recipes = [http(server.port), tcp(server.port), tcp(closed_port), tcp(server.port, close_rst=True)]
    latest = dict.fromkeys(range(20), 0)
    answered: set[int] = set()
    for generation in range(1, 400):
        target = generation % 20
        latest[target] = generation
        answered.discard(target)
        engine.order(once(recipes[generation % 7 % 4], target, generation))
        for report in engine.reports():
            assert report.generation == latest[report.target]
            assert report.target not in answered
            answered.add(report.target)
    while len(answered) < 20:
        for report in collect(engine, 1):
            assert report.generation == latest[report.target]
            answered.add(report.target)
    assert engine.reports() == []
    assert engine.stats()["in_flight"] == 0


def test_more_reports_than_the_limit(engine: ProbeEngine, closed_port: int) -> None:
    engine.orders([once(tcp(closed_port), target) for target in range(300)])
    wait_for(lambda: engine.stats()["reported"] == 300, "all have failed")
    seen: list[int] = []
    while len(seen) < 300:
        assert select.select([engine.fileno()], [], [], LIMIT)[0], "the rest keeps the descriptor readable"
        reports = engine.reports(limit=70)
        assert len(reports) <= 70
        seen += [report.target for report in reports]
    assert sorted(seen) == list(range(300))
    assert engine.reports() == []
    assert not select.select([engine.fileno()], [], [], 0)[0]


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


# ---------------------------------------------------------------------------------------- bad orders


@pytest.mark.parametrize(
    ("order", "complaint"),
    [
        (once(tcp(80), target=-1), "target -1"),
        (once(tcp(80), target=MAX_TARGETS), f"target {MAX_TARGETS}"),
        (once(Recipe(kind=Kind.SCRIPT, timeout=S, address=LOOPBACK)), "SCRIPT"),
        (once(tcp(65536)), "port 65536"),
        (once(tcp(80, address=Address("nonsense"))), "nonsense"),
        (once(tcp(80, timeout=0)), "timeout 0"),
        (once(tcp(80, deadline=-1)), "deadline -1"),
        (once(tcp(80, bind_if="a" * 16)), "interface name"),
        (once(tcp(80, bindto=Address("::1"))), "family"),
        (once(http(80, digest=b"short")), "digest"),
        (once(http(80, request=b"")), "request"),
        (ProbeOrder(target=0, generation=1, recipe=tcp(80), first=0, interval=-1), "interval -1"),
        (ProbeOrder(target=0, generation=1, recipe=tcp(80), first=1 << 62, interval=0), "first"),
    ],
)  # fmt: skip
def test_bad_orders_are_refused(order: ProbeOrder, complaint: str) -> None:
    engine = ProbeEngine()
    with pytest.raises(ValueError, match=complaint):
        engine.order(order)


def test_a_bad_order_does_not_stop_those_before_it(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    server = serve(hold)
    with pytest.raises(ValueError, match="port"):
        engine.orders([once(tcp(server.port), 0), once(tcp(70000), 1)])
    (report,) = collect(engine, 1)
    assert report.target == 0


def test_cap_must_be_positive() -> None:
    before = os.fstat(0)
    with pytest.raises(ValueError, match="cap 0"):
        ProbeEngine(cap=0)
    gc.collect()
    assert os.path.samestat(before, os.fstat(0)), "an engine that was refused closes no descriptor of others"


def test_interface_file_names_what_there_is() -> None:
    """`_checks.pyi` and the compiled module agree."""
    import ast
    from pathlib import Path

    import fastha._checks as module

    tree = ast.parse(Path(module.__file__).with_name("_checks.pyi").read_text())
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    ours = {name for name, value in vars(module).items() if getattr(value, "__module__", "") == "fastha._checks"}
    public = {name for name in ours if not name.startswith("_")}
    assert public == classes.keys() | functions
    for name, node in classes.items():
        declared = {item.name for item in node.body if isinstance(item, ast.FunctionDef)} - {"__init__"}
        assert declared == {member for member in vars(getattr(module, name)) if not member.startswith("_")}, name
