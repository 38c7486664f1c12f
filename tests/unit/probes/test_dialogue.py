"""Dialogues over TCP, PROXY headers, and how a connection is opened and ended, against real sockets on the loopback."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fastha._checks import ProbeEngine
from fastha.checks.recipes import Kind, ProbeOrder, Recipe, Verdict
from fastha.model import codec
from fastha.model.net import Address
from fastha.model.plan import Proxy, Regex, Step
from fastha.model.units import MS, S
from tests.probe_bench import Talk, certificate, connections, leave, once, read_request, running, took, towards

REQUEST = b"GET / HTTP/1.0\r\n\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


@pytest.fixture(params=[True, False], ids=["recycling", "classic"])
def engine(request: pytest.FixtureRequest) -> Iterator[ProbeEngine]:
    with running(recycle=request.param) as engine:
        yield engine


def send(octets: bytes) -> Step:
    return Step(send=octets)


def expect(pattern: str) -> Step:
    return Step(expect=Regex(pattern=pattern))


def tcp(port: int, *steps: Step, **words: object) -> Recipe:
    return towards(port, Kind.TCP, **{"steps": steps, "timeout": 2 * S} | words)


def parrot(*answers: bytes, greeting: bytes = b"", heard: list[bytes] | None = None) -> Talk:
    """Says its greeting, and one answer to each thing it hears."""

    def talk(connection: socket.socket) -> None:
        if greeting:
            connection.sendall(greeting)
        for answer in answers:
            said = connection.recv(4096)
            if heard is not None:
                heard.append(said)
            connection.sendall(answer)
        leave(connection)

    return talk


# ------------------------------------------------------------------------------------------ dialogues


def test_send_and_expect(engine: ProbeEngine) -> None:
    heard: list[bytes] = []
    with connections(parrot(b"+PONG\r\n", b"role:master\r\n", heard=heard)) as server:
        steps = [send(b"PING\r\n"), expect(r"^\+PONG\r\n"), send(b"INFO\r\n"), expect("role:master")]
        report = once(engine, tcp(server.port, *steps))
    assert (report.verdict, report.status) == (Verdict.SUCCESS, 4)
    assert heard == [b"PING\r\n", b"INFO\r\n"]


def test_what_follows_a_match_belongs_to_the_next_step(engine: ProbeEngine) -> None:
    with connections(parrot(greeting=b"one two three")) as server:
        assert once(engine, tcp(server.port, *map(expect, ["one", "two", "^ three"]))).verdict is Verdict.SUCCESS
        report = once(engine, tcp(server.port, expect("two"), expect("one"), timeout=200 * MS))
        assert (report.verdict, report.status) == (Verdict.TIMEOUT, 2)


@pytest.mark.parametrize("pause", [0.0, 0.01])
def test_what_comes_octet_by_octet(engine: ProbeEngine, pause: float) -> None:
    def drip(connection: socket.socket) -> None:
        for octet in b"220 ready\r\n":
            connection.sendall(bytes([octet]))
            time.sleep(pause)
        leave(connection)

    with connections(drip) as server:
        assert once(engine, tcp(server.port, expect(r"^220 [^\n]*\n"))).verdict is Verdict.SUCCESS


def test_a_pattern_at_the_beginning_fails_at_once(engine: ProbeEngine) -> None:
    with connections(parrot(greeting=b"554 no\r\n")) as server:
        report = once(engine, tcp(server.port, expect("^220"), timeout=10 * S))
        assert (report.verdict, report.status) == (Verdict.REPLY, 1)
        assert took(report) < 5


def test_a_server_that_closes(engine: ProbeEngine) -> None:
    def say(words: bytes) -> Talk:
        return lambda connection: connection.sendall(words)

    with connections(say(b"almost")) as almost, connections(say(b"")) as mute, connections(say(b"end")) as good:
        assert once(engine, tcp(almost.port, expect("everything"))).verdict is Verdict.REPLY
        assert once(engine, tcp(mute.port, expect("everything"))).verdict is Verdict.NO_DATA
        assert once(engine, tcp(good.port, expect("end$"))).verdict is Verdict.SUCCESS
        assert once(engine, tcp(good.port, expect("end"), expect("more"))).verdict is Verdict.NO_DATA


def test_a_server_that_talks_without_end(engine: ProbeEngine) -> None:
    def endless(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"y" * 65536)

    with connections(endless) as server:
        report = once(engine, tcp(server.port, expect("x"), timeout=10 * S))
        assert report.verdict is Verdict.REPLY
        assert took(report) < 5
        flood = [expect("y" * 100) for _ in range(3000)]
        assert once(engine, tcp(server.port, *flood, timeout=10 * S)).verdict is Verdict.SUCCESS


def test_each_step_has_its_timeout_and_all_of_them_a_deadline(engine: ProbeEngine) -> None:
    def slow(connection: socket.socket) -> None:
        for word in (b"one", b"two", b"three"):
            time.sleep(0.15)
            connection.sendall(word)
        leave(connection)

    steps = [*map(expect, ["one", "two", "three"])]
    with connections(slow) as server:
        assert once(engine, tcp(server.port, *steps, timeout=300 * MS)).verdict is Verdict.SUCCESS
        report = once(engine, tcp(server.port, *steps, timeout=300 * MS, deadline=250 * MS))
        assert (report.verdict, report.status) == (Verdict.TIMEOUT, 2)


def test_a_reset_in_the_middle(engine: ProbeEngine) -> None:
    def reset(connection: socket.socket) -> None:
        connection.sendall(b"hello")
        connection.recv(10)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with connections(reset) as server:
        report = once(engine, tcp(server.port, expect("hello"), send(b"bye"), expect("bye")))
        assert (report.verdict, report.errno) == (Verdict.REFUSED, errno.ECONNRESET)


def test_tls_before_between_and_after_steps(engine: ProbeEngine, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path))
    heard: list[bytes] = []

    def start_tls(connection: socket.socket) -> None:
        connection.sendall(b"220 hello\r\n")
        heard.append(connection.recv(100))
        connection.sendall(b"220 go\r\n")
        with context.wrap_socket(connection, server_side=True) as session:
            heard.append(session.recv(100))
            session.sendall(b"221 bye\r\n")

    steps = [expect("^220 .*\n"), send(b"STARTTLS\r\n"), expect("^220 .*\n"), send(b"QUIT\r\n"), expect("^221")]
    with connections(start_tls) as server:
        report = once(engine, tcp(server.port, *steps, tls_after=3))
        assert (report.verdict, report.errno) == (Verdict.SUCCESS, 0)
    assert heard == [b"STARTTLS\r\n", b"QUIT\r\n"]
    with connections(parrot(b"pong"), context=context) as server:
        assert once(engine, tcp(server.port, tls_after=0, sni="a.b")).verdict is Verdict.SUCCESS
        assert once(engine, tcp(server.port, send(b"ping"), expect("pong"), tls_after=0)).verdict is Verdict.SUCCESS
        assert server.names == ["a.b", None]
    with connections(parrot(greeting=b"not TLS at all")) as server:
        report = once(engine, tcp(server.port, tls_after=0))
        assert report.verdict is Verdict.TLS
    with pytest.raises(ValueError, match="TLS before step 2 of 1"):
        engine.order(ProbeOrder(target=0, generation=1, recipe=tcp(1, send(b"x"), tls_after=2), first=0, interval=0))


# --------------------------------------------------------------------------------------- PROXY header


def all_of(heard: list[bytes], until: bytes) -> Talk:
    def talk(connection: socket.socket) -> None:
        said = b""
        while not said.endswith(until):
            said += connection.recv(4096)
        heard.append(said)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")

    return talk


@pytest.mark.parametrize("proxy", [Proxy.V1, Proxy.V2, Proxy.V1_LOCAL, Proxy.V2_LOCAL])
def test_a_proxy_header_before_http(engine: ProbeEngine, proxy: Proxy) -> None:
    heard: list[bytes] = []
    with connections(all_of(heard, REQUEST)) as server:
        for _ in range(2):
            recipe = towards(server.port, Kind.HTTP, request=REQUEST, proxy=proxy, status_codes=((200, 200),))
            assert once(engine, recipe).verdict is Verdict.SUCCESS
        for said, (_, port) in zip(heard, server.sources, strict=True):
            ends = bytes([127, 0, 0, 1] * 2) + struct.pack("!HH", port, server.port)
            assert (
                said.removesuffix(REQUEST)
                == {
                    Proxy.V1: f"PROXY TCP4 127.0.0.1 127.0.0.1 {port} {server.port}\r\n".encode(),
                    Proxy.V2: SIGNATURE + b"\x21\x11\0\x0c" + ends,
                    Proxy.V1_LOCAL: b"PROXY UNKNOWN\r\n",
                    Proxy.V2_LOCAL: SIGNATURE + b"\x20\0\0\0",
                }[proxy]
            )


def test_a_proxy_header_alone_and_before_other_kinds(engine: ProbeEngine, tmp_path: Path) -> None:
    heard: list[bytes] = []

    def hear(connection: socket.socket) -> None:
        heard.append(connection.recv(15))
        connection.sendall(b"220 a\r\n250 b\r\n221 c\r\n")
        leave(connection)

    with connections(hear) as server:
        assert once(engine, tcp(server.port, proxy=Proxy.V1_LOCAL)).verdict is Verdict.SUCCESS
        smtp = towards(server.port, Kind.SMTP, request=b"HELO a\r\n", proxy=Proxy.V1_LOCAL)
        assert once(engine, smtp).verdict is Verdict.SUCCESS
    assert heard == [b"PROXY UNKNOWN\r\n"] * 2

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path))

    def behind(connection: socket.socket) -> None:
        assert connection.recv(15) == b"PROXY UNKNOWN\r\n"
        with context.wrap_socket(connection, server_side=True) as session:
            read_request(session)
            session.sendall(b"HTTP/1.0 200 OK\r\n\r\n")

    with connections(behind) as server:
        recipe = towards(server.port, Kind.SSL, request=REQUEST, proxy=Proxy.V1_LOCAL, timeout=2 * S)
        assert once(engine, recipe).verdict is Verdict.SUCCESS
        assert server.errors == []


def test_a_proxy_header_of_ipv6(engine: ProbeEngine) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port = listener.getsockname()[1]
        recipe = tcp(port, send(b"!"), proxy=Proxy.V1, address=Address("::1"))
        assert once(engine, recipe).verdict is Verdict.SUCCESS
        connection, source = listener.accept()
        with connection:
            connection.settimeout(5)
            assert connection.recv(200) == f"PROXY TCP6 ::1 ::1 {source[1]} {port}\r\n!".encode()


# ------------------------------------------------------------------------------------------ half open


def test_half_open_is_seen_by_no_server(engine: ProbeEngine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        for _ in range(3):
            assert once(engine, tcp(port, half_open=True)).verdict is Verdict.SUCCESS
        with pytest.raises(BlockingIOError):
            listener.accept()
        assert once(engine, tcp(port)).verdict is Verdict.SUCCESS
        end = time.monotonic() + 10
        while True:
            try:
                listener.accept()[0].close()
                break
            except BlockingIOError:
                assert time.monotonic() < end
    assert once(engine, tcp(port, half_open=True)).verdict is Verdict.REFUSED


# -------------------------------------------------------------------------------------- hostile servers


PROBER = """
import os, sys, time
from fastha._checks import ProbeEngine
from fastha.checks.recipes import ProbeOrder, Recipe
from fastha.model import codec
recipes = codec.decode(tuple[Recipe, ...], sys.stdin.buffer.read())
engine = ProbeEngine(cap=200)
engine.start()
for target, recipe in enumerate(recipes):
    words = {'target': target, 'generation': 1, 'recipe': recipe, 'first': 0, 'interval': 20_000_000}
    engine.order(ProbeOrder(**words, expect_success=target == 0))
def seen(count):
    runs = [engine.last(target).runs for target in range(len(recipes))]
    end = time.monotonic() + 60
    while any(engine.last(target).runs - before < count for target, before in enumerate(runs)):
        assert time.monotonic() < end
        time.sleep(0.02)
    with open("/proc/self/statm") as file:
        print(file.read().split()[1], len(os.listdir("/proc/self/fd")), len(engine.reports()))
seen(10)
seen(30)
engine.stop()
print(engine.stats()["sockets"], engine.stats()["parked"], 0)
"""
"""Probes what it is given: the first is expected to be good, all others to fail. Pages, descriptors, surprises."""


def flood(connection: socket.socket) -> None:
    for _ in range(40):
        connection.sendall(b"y" * 4096)


def rude(connection: socket.socket) -> None:
    connection.recv(3)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def garbage(connection: socket.socket) -> None:
    connection.recv(100)
    connection.sendall(b"\x16\x03\x03\0\x7a" + b"\x02" * 200)


def half_a_page(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour")


def bad_chunks(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\nx")


def test_nothing_leaks_by_hostile_servers() -> None:
    """Every way to end, over and over: memory and descriptors stay, others are served, nothing bad is good."""
    talks = [flood, rude, garbage, half_a_page, bad_chunks, lambda connection: None]
    with ExitStack() as stack:
        good = stack.enter_context(connections(parrot(b"pong"))).port
        recipes = [tcp(good, send(b"ping"), expect("pong"))]
        for port in [stack.enter_context(connections(talk)).port for talk in talks]:
            page = {"request": REQUEST, "keepalive": True, "status_codes": ((500, 500),), "timeout": 100 * MS}
            recipes += [
                tcp(port, send(b"ping"), expect("pong"), timeout=100 * MS),
                tcp(port, expect("^220"), send(b"STARTTLS"), expect("^220"), tls_after=3, timeout=100 * MS),
                tcp(port, tls_after=0, timeout=100 * MS, proxy=Proxy.V1),
                towards(port, Kind.HTTP, **page),
                towards(port, Kind.SSL, **page),
            ]
        said = subprocess.run(
            [sys.executable, "-c", PROBER],
            input=codec.encode(tuple(recipes)),
            capture_output=True,
            check=True,
            timeout=90,
        ).stdout.split()
    pages, descriptors, surprises, later, descriptors_later, surprises_later, sockets, parked, _ = map(int, said)
    assert surprises == surprises_later == sockets == parked == 0
    if "libasan" not in Path("/proc/self/maps").read_text():  # which keeps what was freed
        assert (later - pages) * os.sysconf("SC_PAGESIZE") < 4_000_000
    assert descriptors_later < descriptors + 60
