"""SMTP and TLS probes, and patterns in bodies, against real sockets on the loopback."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastha._checks import ProbeEngine, TlsContext
from fastha.checks.recipes import Kind, ProbeOrder, Recipe, Verdict
from fastha.model.net import Address
from fastha.model.plan import ClientTls, Regex
from fastha.model.units import MS, S
from tests.probe_bench import LIMIT, Talk, certificate, connections, leave, once, read_request, running, took, towards

REQUEST = b"GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.fixture(params=[True, False], ids=["recycling", "classic"])
def engine(request: pytest.FixtureRequest) -> Iterator[ProbeEngine]:
    with running(recycle=request.param) as engine:
        yield engine


# ----------------------------------------------------------------------------------------------- SMTP


def smtp(port: int, **words: object) -> Recipe:
    return towards(port, Kind.SMTP, **{"request": b"HELO smtpchecker.keepalived.org\r\n"} | words)


def mail_server(*answers: bytes, heard: list[bytes] | None = None) -> Talk:
    """Says the first thing unasked, and each further one after a line."""

    def talk(connection: socket.socket) -> None:
        for number, answer in enumerate(answers):
            if number:
                line = connection.recv(4096)
                if not line:
                    return
                if heard is not None:
                    heard.append(line)
            connection.sendall(answer)
        if heard is not None:
            heard.append(connection.recv(4096))

    return talk


def test_smtp_dialogue(engine: ProbeEngine) -> None:
    heard: list[bytes] = []
    with connections(mail_server(b"220 here\r\n", b"250 hello\r\n", b"221 bye\r\n", heard=heard)) as server:
        report = once(engine, smtp(server.port))
    assert (report.verdict, report.status) == (Verdict.SUCCESS, 250)
    assert heard == [b"HELO smtpchecker.keepalived.org\r\n", b"QUIT\r\n", b""]


@pytest.mark.parametrize(
    ("answers", "verdict", "status"),
    [
        ([b"220\n", b"250\n", b"\n"], Verdict.SUCCESS, 250),
        ([b"220-more\r\n220 to come\r\n"], Verdict.STATUS, 0),
        ([b"220\r\n"], Verdict.STATUS, 0),  # the carriage return is still there
        ([b"22\n"], Verdict.STATUS, 0),
        ([b"22x here\r\n"], Verdict.STATUS, 0),
        ([b"554 no\r\n"], Verdict.STATUS, 554),
        ([b"220 here\r\n", b"500 what\r\n"], Verdict.STATUS, 500),
        ([b"220 here\r\n", b"220 here\r\n"], Verdict.STATUS, 220),
        ([b"220 here\r\n", b"250 ok\r\n", b"nonsense\n"], Verdict.SUCCESS, 250),
        ([b"220 here\r\n", b"250 ok\r\n", b"no end of line"], Verdict.NO_DATA, 250),
        ([b"x" * 512 + b"220 behind a long line\r\n", b"250 ok\r\n", b"\n"], Verdict.SUCCESS, 250),
        ([b"x" * 511 + b"220 behind a long line\r\n"], Verdict.STATUS, 0),
        ([b"220 unfinished"], Verdict.NO_DATA, 0),
        ([b""], Verdict.NO_DATA, 0),
    ],
)
def test_smtp_answers(answers: list[bytes], verdict: Verdict, status: int) -> None:
    with running() as engine, connections(mail_server(*answers)) as server:
        report = once(engine, smtp(server.port))
        assert (report.verdict, report.status) == (verdict, status)


def test_smtp_answers_all_at_once(engine: ProbeEngine) -> None:
    def hasty(connection: socket.socket) -> None:
        connection.sendall(b"220 a\r\n250 b\r\n221 c\r\n")
        leave(connection)

    with connections(hasty) as server:
        assert once(engine, smtp(server.port)).verdict is Verdict.SUCCESS


def test_smtp_silence_and_drips_end_with_the_lines_timeout(engine: ProbeEngine) -> None:
    def drip(connection: socket.socket) -> None:
        for octet in b"220 " + b"x" * 60:
            connection.sendall(bytes([octet]))
            time.sleep(0.02)

    with connections(leave) as mute, connections(drip) as slow:
        for server in (mute, slow):
            report = once(engine, smtp(server.port, timeout=200 * MS))
            assert report.verdict is Verdict.TIMEOUT
            assert 0.19 < took(report) < 0.9


def test_smtp_endless_line(engine: ProbeEngine) -> None:
    def endless(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"y" * 65536)

    with connections(endless) as server:
        report = once(engine, smtp(server.port, timeout=300 * MS))
        assert report.verdict is Verdict.TIMEOUT
        assert took(report) < 1


# ---------------------------------------------------------------------------------------------- regex


def fetch(port: int, regex: Regex | None = None, kind: Kind = Kind.HTTP, **words: object) -> Recipe:
    return towards(port, kind, **{"request": REQUEST, "status_codes": ((200, 299),), "regex": regex} | words)


def pages(*pieces: bytes, pause: float = 0.0) -> Talk:
    def talk(connection: socket.socket) -> None:
        assert read_request(connection) == REQUEST
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)

    return talk


@pytest.mark.parametrize(
    ("regex", "pieces", "good"),
    [
        (Regex(pattern="all is well"), [HEAD + b"Today all is well."], True),
        (Regex(pattern="all is well"), [HEAD, b"Today all i", b"s w", b"ell."], True),
        (Regex(pattern="ALL IS WELL", options=("caseless",)), [HEAD + b"all is well"], True),
        (Regex(pattern="all is well"), [HEAD + b"nothing is"], False),
        (Regex(pattern="all is well", no_match=True), [HEAD + b"nothing is"], True),
        (Regex(pattern="error", no_match=True), [HEAD, b"an er", b"ror"], False),
        (Regex(pattern="HTTP/1.1"), [HEAD + b"the head is not the body"], False),
        (Regex(pattern="^OK$"), [HEAD, b"O", b"K"], True),
        (Regex(pattern=""), [HEAD], True),
        (Regex(pattern="x" * 3000), [HEAD, *[b"x" * 1000] * 3], True),
    ],
)
def test_regex(regex: Regex, pieces: list[bytes], good: bool) -> None:
    with running() as engine, connections(pages(*pieces, pause=0.02)) as server:
        report = once(engine, fetch(server.port, regex))
        assert report.verdict is (Verdict.SUCCESS if good else Verdict.REGEX)
        assert report.status == 200


def test_regex_in_a_long_body(engine: ProbeEngine) -> None:
    with connections(pages(HEAD, b"." * 3_000_000, b"needle", b"." * 100_000)) as server:
        assert once(engine, fetch(server.port, Regex(pattern="needle"), timeout=5 * S)).verdict is Verdict.SUCCESS
        late = Regex(pattern="needle", max_offset=2_999_999)
        assert once(engine, fetch(server.port, late, timeout=5 * S)).verdict is Verdict.REGEX


def test_a_pattern_that_explodes_ends_soon_and_is_no_success(engine: ProbeEngine) -> None:
    with connections(pages(HEAD + b"a" * 60_000 + b"!")) as server:
        for no_match in (False, True):
            regex = Regex(pattern="(a+)+$|(a|aa)+c", no_match=no_match)
            report = once(engine, fetch(server.port, regex, timeout=5 * S))
            assert report.verdict is Verdict.REGEX
            assert took(report) < 2


# ------------------------------------------------------------------------------------------------ TLS


@pytest.fixture(scope="module")
def server_tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # with OpenSSL 3 Python takes an end without close_notify for one
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    context.load_cert_chain(*certificate(tmp_path_factory.mktemp("tls")))
    return context


def secure(port: int, **words: object) -> Recipe:
    return fetch(port, **{"kind": Kind.SSL, "timeout": 2 * S} | words)


def test_tls_page(engine: ProbeEngine, server_tls: ssl.SSLContext) -> None:
    with connections(pages(HEAD + b"secret"), context=server_tls) as server:
        for _ in range(5):
            report = once(engine, secure(server.port, regex=Regex(pattern="secret")))
            assert (report.verdict, report.status, report.errno) == (Verdict.SUCCESS, 200, 0)
        assert once(engine, secure(server.port, status_codes=((500, 500),))).verdict is Verdict.STATUS
        assert once(engine, secure(server.port, digest=bytes(16))).verdict is Verdict.DIGEST
        assert engine.stats()["ssl_succeeded"] == 5
        assert engine.stats()["ssl_failed"] == 2


def test_tls_long_body(engine: ProbeEngine, server_tls: ssl.SSLContext) -> None:
    with connections(pages(HEAD + b"." * 3_000_000 + b"end"), context=server_tls) as server:
        report = once(engine, secure(server.port, regex=Regex(pattern=r"\.end$"), timeout=10 * S))
        assert report.verdict is Verdict.SUCCESS


def test_tls_server_name(engine: ProbeEngine, server_tls: ssl.SSLContext) -> None:
    with connections(pages(HEAD), context=server_tls) as server:
        for name in (None, "www.example.net"):
            assert once(engine, secure(server.port, sni=name)).verdict is Verdict.SUCCESS
        assert server.names == [None, "www.example.net"]


@pytest.mark.parametrize("compliant", [False, True])
def test_tls_end_of_session(engine: ProbeEngine, server_tls: ssl.SSLContext, compliant: bool) -> None:
    """close_notify is sent with tls_compliant only. Python's unwrap may take a bare end for one: three tries."""
    ends: list[object] = []

    def talk(connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        connection.suppress_ragged_eofs = False
        pages(HEAD + b"body")(connection)
        try:
            connection.unwrap()
            ends.append("notified")
        except (OSError, ssl.SSLError) as error:
            ends.append(type(error).__name__)

    with connections(talk, context=server_tls) as server:
        for _ in range(3):
            assert once(engine, secure(server.port, tls_compliant=compliant)).verdict is Verdict.SUCCESS
    assert len(ends) == 3
    assert (set(ends) == {"notified"}) == compliant


def test_tls_connection_that_ends_without_notice_ends_the_body(engine: ProbeEngine, server_tls: ssl.SSLContext) -> None:
    def talk(connection: socket.socket) -> None:
        pages(HEAD + b"body")(connection)
        connection.shutdown(socket.SHUT_RDWR)

    with connections(talk, context=server_tls) as server:
        assert once(engine, secure(server.port, regex=Regex(pattern="body"))).verdict is Verdict.SUCCESS


def garbage(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"\x16\x03\x03\x00\x10" + os.urandom(16) + os.urandom(3000))


def not_tls(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")


def hang_up(connection: socket.socket) -> None:
    connection.recv(4096)


def reset(connection: socket.socket) -> None:
    connection.recv(10)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    ("talk", "verdict"),
    [
        (garbage, Verdict.TLS),
        (not_tls, Verdict.TLS),
        (hang_up, None),
        (reset, Verdict.REFUSED),
        (leave, Verdict.TIMEOUT),
    ],
)
def test_tls_hostile_servers(engine: ProbeEngine, talk: Talk, verdict: Verdict | None) -> None:
    with connections(talk) as server:
        report = once(engine, secure(server.port, timeout=300 * MS))
        assert report.verdict is verdict or (verdict is None and report.verdict in {Verdict.TLS, Verdict.REFUSED})


def test_tls_dripping_server_cannot_stretch_the_reply(engine: ProbeEngine, server_tls: ssl.SSLContext) -> None:
    def drip(connection: socket.socket) -> None:
        read_request(connection)
        for octet in HEAD + b"x" * 200:
            connection.sendall(bytes([octet]))
            time.sleep(0.02)

    with connections(drip, context=server_tls) as server:
        report = once(engine, secure(server.port, timeout=400 * MS))
        assert report.verdict is Verdict.TIMEOUT
        assert took(report) < 1.5


def test_tls_refused_and_from_where_it_should(engine: ProbeEngine, server_tls: ssl.SSLContext) -> None:
    with connections(pages(HEAD), context=server_tls) as server:
        assert once(engine, secure(server.port, bindto=Address("127.0.0.4"))).verdict is Verdict.SUCCESS
        assert server.sources[0][0] == "127.0.0.4"
        port = server.port
    assert once(engine, secure(port)).verdict is Verdict.REFUSED


def test_tls_client_certificate(tmp_path: Path, server_tls: ssl.SSLContext) -> None:
    cert, key = certificate(tmp_path, "client", "-passout", "pass:secret")
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    asking.load_cert_chain(*certificate(tmp_path, "asking"))
    asking.verify_mode = ssl.CERT_REQUIRED
    asking.load_verify_locations(cert)
    seen: list[object] = []

    def talk(connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        seen.append(connection.getpeercert())
        pages(HEAD)(connection)

    with running() as engine, connections(talk, context=asking) as server:
        assert once(engine, secure(server.port)).verdict in {Verdict.TLS, Verdict.REFUSED}
        engine.use_tls(TlsContext(ClientTls(certificate=cert, key=key, password="secret", ca=cert)))
        assert once(engine, secure(server.port)).verdict is Verdict.SUCCESS
        assert seen[0]["subject"] == ((("commonName", "client"),),)  # type: ignore[index]
        engine.use_tls(TlsContext(ClientTls()))
        assert once(engine, secure(server.port)).verdict in {Verdict.TLS, Verdict.REFUSED}


def test_tls_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "one", "-passout", "pass:secret")
    other, _ = certificate(tmp_path, "other")
    for wanted, complaint in (
        (ClientTls(ca="/nowhere"), "ca /nowhere: "),
        (ClientTls(certificate=key), f"certificate {key}: "),
        (ClientTls(certificate=cert, key=key), f"key {key}: "),
        (ClientTls(certificate=cert, key=key, password="wrong"), f"key {key}: "),
        (ClientTls(certificate=other, key=key, password="secret"), f"key {key}"),
    ):
        with pytest.raises(ValueError, match=complaint):
            TlsContext(wanted)
    TlsContext(ClientTls(certificate=cert, key=key, password="secret"))


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def sanitized() -> bool:
    with open("/proc/self/maps") as file:
        return "libasan" in file.read()


def test_tls_nothing_leaks_over_many_checks(server_tls: ssl.SSLContext) -> None:
    with (
        running() as engine,
        connections(pages(HEAD + b"body"), context=server_tls) as good,
        connections(garbage) as bad,
    ):
        recipes = [(secure(good.port, sni="a.b", regex=Regex(pattern="bo.y")), True), (secure(bad.port), False)]

        def rounds(count: int) -> None:
            runs = [engine.last(target).runs for target in range(2)]
            end = time.monotonic() + 3 * LIMIT
            while min(engine.last(target).runs - runs[target] for target in range(2)) < count:
                assert time.monotonic() < end
                time.sleep(0.02)

        for target, (recipe, expect) in enumerate(recipes):
            order = ProbeOrder(
                target=target, generation=1, recipe=recipe, first=0, interval=5 * MS, expect_success=expect
            )
            engine.order(order)
        rounds(30)
        before, descriptors = resident(), len(os.listdir("/proc/self/fd"))
        rounds(150)
        if not sanitized():  # which keeps what was freed
            assert resident() - before < 4_000_000
        assert len(os.listdir("/proc/self/fd")) < descriptors + 60
        assert engine.reports() == []
