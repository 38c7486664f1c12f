"""HTTP on connections that are kept between probes, against real sockets on the loopback."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastha._checks import ProbeEngine
from fastha.checks.recipes import Kind, ProbeOrder, Recipe, Report, Verdict
from fastha.model.plan import Regex
from fastha.model.units import MS, S
from tests.poll import until
from tests.probe_bench import LIMIT, Peer, Talk, certificate, connections, leave, once, read_request, running, towards

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ngoo\r\n1;x=y\r\nd\r\n0\r\nA: b\r\n\r\n"


@pytest.fixture(params=[True, False], ids=["recycling", "classic"])
def engine(request: pytest.FixtureRequest) -> Iterator[ProbeEngine]:
    with running(recycle=request.param) as engine:
        yield engine


def kept(port: int, **words: object) -> Recipe:
    defaults = {"request": REQUEST, "status_codes": ((200, 299),), "keepalive": True, "timeout": 2 * S}
    return towards(port, words.pop("kind", Kind.HTTP), **defaults | words)  # type: ignore[arg-type]


def pages(*answers: bytes, then: Talk | None = None) -> Talk:
    """One answer to each request of a connection; afterwards `then`, or the connection ends."""

    def talk(connection: socket.socket) -> None:
        with contextlib.suppress(ConnectionError):
            for answer in answers:
                assert read_request(connection).startswith((b"GET", b"HEAD"))
                connection.sendall(answer)
            if then is not None:
                then(connection)

    return talk


@contextlib.contextmanager
def serving(engine: ProbeEngine, talk: Talk, context: ssl.SSLContext | None = None) -> Iterator[Peer]:
    """A server that ends once the engine has let its connections go."""
    with connections(talk, context=context) as server:
        yield server
        for target in range(40):
            engine.remove(target)


def settled(engine: ProbeEngine, parked: int) -> None:
    until(lambda: engine.stats()["parked"] == parked, f"{parked} kept connections", LIMIT)


@pytest.mark.parametrize(
    "answer", [OK, CHUNKED, b"HTTP/1.1 204 No\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n"]
)
def test_one_connection_serves_many_probes(engine: ProbeEngine, answer: bytes) -> None:
    with serving(engine, pages(*[answer] * 10, then=leave)) as server:
        for _ in range(10):
            assert once(engine, kept(server.port)).verdict is Verdict.SUCCESS
        stats = engine.stats()
        assert (stats["reused"], stats["redialled"], stats["parked"], stats["in_flight"]) == (9, 0, 1, 0)
        assert len(server.sources) == 1
        engine.remove(0)
        settled(engine, 0)


def test_a_reply_in_pieces_and_one_after_a_failed_one(engine: ProbeEngine) -> None:
    def drip(connection: socket.socket) -> None:
        for answer in (b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno", CHUNKED, OK):
            read_request(connection)
            for octet in answer:
                connection.sendall(bytes([octet]))
        leave(connection)

    with serving(engine, drip) as server:
        report = once(engine, kept(server.port))
        assert (report.verdict, report.status) == (Verdict.STATUS, 500)
        assert once(engine, kept(server.port, regex=Regex(pattern="goo"))).verdict is Verdict.SUCCESS
        assert once(engine, kept(server.port, regex=Regex(pattern="good"))).verdict is Verdict.SUCCESS
        assert len(server.sources) == 1


def test_head(engine: ProbeEngine) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
    with serving(engine, pages(head, head, then=leave)) as server:
        for _ in range(2):
            recipe = kept(server.port, request=REQUEST.replace(b"GET", b"HEAD"), bodiless=True)
            assert once(engine, recipe).verdict is Verdict.SUCCESS
        assert len(server.sources) == 1


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"\r\n", b"\r\nConnection: x, Close\r\n", 1),
        OK.replace(b"1.1", b"1.0"),
        b"HTTP/1.1 200 OK\r\n\r\ngood",
        OK + b"more than was asked for",
    ],
    ids=["Connection: close", "HTTP/1.0", "no length", "surplus"],
)
def test_a_connection_that_cannot_be_kept(engine: ProbeEngine, answer: bytes) -> None:
    with serving(engine, pages(answer)) as server:
        for _ in range(3):
            assert once(engine, kept(server.port, regex=Regex(pattern="good$"))).verdict is Verdict.SUCCESS
        assert len(server.sources) == 3
        assert engine.stats()["parked"] == 0


def test_a_server_that_closes_between_probes(engine: ProbeEngine) -> None:
    with serving(engine, pages(OK)) as server:
        for count in range(1, 5):
            assert once(engine, kept(server.port)).verdict is Verdict.SUCCESS
            settled(engine, 0)
            assert len(server.sources) == count


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_request_that_meets_the_servers_close_is_sent_again(engine: ProbeEngine, end: str) -> None:
    """The server reads the second request and closes without a word: no failure, a new connection."""

    def once_only(connection: socket.socket) -> None:
        pages(OK)(connection)
        if end == "close":
            read_request(connection)
        else:
            connection.recv(1)  # the rest is unread, so the kernel resets

    with serving(engine, once_only) as server:
        for count in (1, 2, 3):
            report = once(engine, kept(server.port))
            assert (report.verdict, report.status) == (Verdict.SUCCESS, 200)
            assert engine.stats()["redialled"] == count - 1
            assert len(server.sources) == count
        assert engine.stats()["http_started"] == 3


def test_a_server_that_dies_in_the_middle_of_a_second_reply_has_failed(engine: ProbeEngine) -> None:
    with serving(engine, pages(OK, b"HTTP/1.1 200")) as server:
        assert once(engine, kept(server.port)).verdict is Verdict.SUCCESS
        assert once(engine, kept(server.port)).verdict is Verdict.NO_DATA
        assert engine.stats()["redialled"] == 0


def test_a_server_that_is_gone(engine: ProbeEngine) -> None:
    with serving(engine, pages(OK)) as server:
        assert once(engine, kept(server.port)).verdict is Verdict.SUCCESS
        port = server.port
    settled(engine, 0)
    assert once(engine, kept(port)).verdict is Verdict.REFUSED


def test_another_url_of_the_same_server_goes_the_same_way_and_nothing_else_does(engine: ProbeEngine) -> None:
    with (
        serving(engine, pages(*[OK] * 9, then=leave)) as server,
        serving(engine, pages(*[OK] * 9, then=leave)) as other,
    ):
        recipe = kept(server.port)
        once(engine, recipe)
        once(engine, kept(server.port, request=REQUEST.replace(b"/ ", b"/b ")))
        assert len(server.sources) == 1
        for change in ({"port": other.port}, {"fwmark": 1}, {"keepalive": False, "regex": Regex(pattern="g")}):
            once(engine, kept(**{"port": server.port} | change))  # type: ignore[arg-type]
            once(engine, recipe)
        assert engine.stats()["reused"] == 1


def test_parked_connections_make_room() -> None:
    """More targets than sockets: what is only kept gives way to what is to be probed."""
    with running(cap=4) as small, serving(small, pages(*[OK] * 99, then=leave)) as server:
        for _ in range(3):
            for target in range(12):
                assert once(small, kept(server.port), target).verdict is Verdict.SUCCESS
        assert small.stats()["sockets"] <= 4
        assert small.stats()["parked"] <= 4


def test_standing_orders_keep_going_while_the_server_comes_and_goes(engine: ProbeEngine) -> None:
    with serving(engine, pages(*[OK] * 5)) as server:
        for target in range(20):
            recipe = kept(server.port)
            engine.order(ProbeOrder(target=target, generation=1, recipe=recipe, first=0, interval=30 * MS))
        until(lambda: min(engine.last(target).runs for target in range(20)) > 12, "a dozen probes of each", 30)
        stats = engine.stats()
        assert engine.reports() == []
        assert stats["reused"] > stats["http_started"] / 2


def test_hold_and_stop_let_connections_go(engine: ProbeEngine) -> None:
    ended = threading.Event()

    def until_the_end(connection: socket.socket) -> None:
        leave(connection)
        ended.set()

    with serving(engine, pages(OK, then=until_the_end)) as server:
        once(engine, kept(server.port))
        engine.hold(0)
        settled(engine, 0)
        assert ended.wait(LIMIT)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls(engine: ProbeEngine, tmp_path: Path, version: ssl.TLSVersion) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(*certificate(tmp_path))
    with serving(engine, pages(*[OK] * 5), context) as server:
        recipe = kept(server.port, kind=Kind.SSL)
        reports: list[Report] = [once(engine, recipe) for _ in range(5)]
        assert {report.verdict for report in reports} == {Verdict.SUCCESS}
        assert engine.stats()["reused"] == 4
        settled(engine, 0)  # the server has closed
        assert once(engine, recipe).verdict is Verdict.SUCCESS
        assert len(server.sources) == 2


def test_nothing_is_left_over(tmp_path: Path) -> None:
    """Connections that are kept, with and without TLS, live through new orders and end with the engine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path))
    with connections(pages(*[OK] * 3)) as plain, connections(pages(*[OK] * 3), context=context) as secure:
        recipes = [kept(secure.port, kind=Kind.SSL), kept(plain.port)]

        def give(first: int) -> None:
            for target in range(40):
                recipe = recipes[target % 2]
                engine.order(ProbeOrder(target=target, generation=1, recipe=recipe, first=first, interval=20 * MS))

        with running() as engine:
            give(0)
            until(lambda: min(engine.last(target).runs for target in range(40)) >= 8, "eight probes of each", 60)
            assert engine.reports() == []
            give(time.monotonic_ns() + 60 * S)
            until(lambda: not engine.stats()["in_flight"], "quiet", LIMIT)
        assert engine.stats()["parked"] == engine.stats()["sockets"] == 0
