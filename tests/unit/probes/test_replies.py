"""The probe engine against real sockets on the loopback: every way a server can behave, and how a probe ends."""

import errno
import hashlib
import os
import socket
import time
from collections.abc import Callable

import pytest

from fastha._checks import ProbeEngine
from fastha.checks.recipes import Recipe, Verdict
from fastha.model.net import Address
from fastha.model.units import MS, S
from tests.unit.probes.servers import (
    OK,
    Script,
    Server,
    answer,
    answer_and_reset,
    answer_and_wait,
    close_unanswered,
    collect,
    header,
    hold,
    http,
    once,
    probe,
    reset,
    silent,
    standing,
    tcp,
    wait_for,
)


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
