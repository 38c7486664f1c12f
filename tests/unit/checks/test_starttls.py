"""STARTTLS in every protocol, against servers that speak as their standards' examples do, and then TLS for real."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastha._checks import ProbeEngine
from fastha.checks.recipes import Recipe, Report, Verdict
from fastha.checks.request import tcp_recipe
from fastha.model.net import Address
from fastha.model.plan import Connection, Regex, ServerTls, StartTls, Step, TcpCheck
from fastha.model.units import S
from tests.probe_bench import Talk, certificate, connections, once, running

Dialogue = list[tuple[str, bytes]]
"""(`S` or `C`, octets): what the server says, and what it wants to hear; then TLS, then the rest."""
TLS = ("TLS", b"")

SERVERS: dict[StartTls, Dialogue] = {
    StartTls.SMTP: [
        ("S", b"220-mail.example.net ESMTP\r\n220 ready\r\n"), ("C", b"EHLO smtpchecker.keepalived.org\r\n"),
        ("S", b"250-mail.example.net\r\n250-8BITMIME\r\n250 STARTTLS\r\n"), ("C", b"STARTTLS\r\n"),
        ("S", b"220 go ahead\r\n"), TLS, ("C", b"QUIT\r\n"),
    ],
    StartTls.LMTP: [
        ("S", b"220 foo.example LMTP\r\n"), ("C", b"LHLO smtpchecker.keepalived.org\r\n"), ("S", b"250 foo\r\n"),
        ("C", b"STARTTLS\r\n"), ("S", b"220\r\n"), TLS, ("C", b"QUIT\r\n"),
    ],
    StartTls.IMAP: [
        ("S", b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"), ("C", b"a STARTTLS\r\n"),
        ("S", b"* 3 EXISTS\r\na OK Begin TLS negotiation now\r\n"), TLS, ("C", b"b LOGOUT\r\n"),
    ],
    StartTls.POP3: [
        ("S", b"+OK POP3 ready\r\n"), ("C", b"STLS\r\n"), ("S", b"+OK Begin TLS\r\n"), TLS, ("C", b"QUIT\r\n"),
    ],
    StartTls.FTP: [
        ("S", b"220-Welcome\r\n to this place\r\n220 ready\r\n"), ("C", b"AUTH TLS\r\n"),
        ("S", b"234 AUTH TLS OK.\r\n"), TLS, ("C", b"QUIT\r\n"),
    ],
    StartTls.NNTP: [
        ("S", b"201 no posting\r\n"), ("C", b"STARTTLS\r\n"), ("S", b"382 Continue\r\n"), TLS, ("C", b"QUIT\r\n"),
    ],
    StartTls.SIEVE: [
        ("S", b'"IMPLEMENTATION" "Example"\r\n"STARTTLS"\r\nOK "ready"\r\n'), ("C", b"STARTTLS\r\n"),
        ("S", b'OK "Begin TLS"\r\n'), TLS, ("C", b"LOGOUT\r\n"),
    ],
    StartTls.LDAP: [
        ("C", bytes.fromhex("301d02010177188016312e332e362e312e342e312e313436362e3230303337")),
        ("S", bytes.fromhex("300c02010178070a010004000400")), TLS,
    ],
    StartTls.POSTGRES: [("C", bytes.fromhex("0000000804d2162f")), ("S", b"S"), TLS],
    StartTls.XMPP: [
        ("C", b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' to='im.example.net' version='1.0' "
              b"xmlns:stream='http://etherx.jabber.org/streams'>"),
        ("S", b"<stream:stream from='im.example.net' id='x' version='1.0' xmlns='jabber:client'>"
              b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
              b"</stream:features>"),
        ("C", b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        ("S", b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"), TLS,
    ],
}  # fmt: skip
REFUSALS: dict[StartTls, list[bytes]] = {
    StartTls.SMTP: [b"554 no service\r\n", b"220 a\r\n250 b\r\n454 TLS not available\r\n"],
    StartTls.IMAP: [b"* BYE overloaded\r\n", b"* OK a\r\na BAD what\r\n"],
    StartTls.POP3: [b"-ERR no\r\n", b"+OK a\r\n-ERR no TLS\r\n"],
    StartTls.FTP: [b"421 too many\r\n", b"220 a\r\n534 no\r\n"],
    StartTls.LDAP: [bytes.fromhex("300c02010178070a010204000400"), b"HTTP/1.0 400\r\n\r\n"],
    StartTls.POSTGRES: [b"N", b"E"],
    StartTls.NNTP: [b"400 no\r\n", b"200 a\r\n580 no TLS\r\n"],
    StartTls.SIEVE: [b'OK "a"\r\nNO "no TLS"\r\n'],
}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path_factory.mktemp("starttls")))
    return context


@pytest.fixture(scope="module")
def engine() -> Iterator[ProbeEngine]:
    with running() as engine:
        yield engine


def recipe(port: int, protocol: StartTls, **words: object) -> Recipe:
    to = Connection(address=Address("127.0.0.1"), port=port, connect_timeout=5 * S)
    defaults = {"connection": to, "tls": True, "starttls": protocol, "sni": "im.example.net"}
    return tcp_recipe(TcpCheck(**defaults | words), close_rst=False)  # type: ignore[arg-type]


def read(connection: socket.socket, size: int) -> bytes:
    heard = b""
    while len(heard) < size and (more := connection.recv(size - len(heard))):
        heard += more
    return heard


def by_the_book(dialogue: Dialogue, context: ssl.SSLContext) -> Talk:
    def talk(connection: socket.socket) -> None:
        for who, words in dialogue:
            if who == "TLS":
                connection = context.wrap_socket(connection, server_side=True)
            elif who == "S":
                connection.sendall(words)
            else:
                assert read(connection, len(words)) == words
        connection.close()

    return talk


@pytest.mark.parametrize("protocol", [*StartTls])
def test_as_the_standards_say(engine: ProbeEngine, context: ssl.SSLContext, protocol: StartTls) -> None:
    failures: list[BaseException] = []

    def talk(connection: socket.socket) -> None:
        try:
            by_the_book(SERVERS[protocol], context)(connection)
        except AssertionError as failure:
            failures.append(failure)

    with connections(talk) as server:
        report = once(engine, recipe(server.port, protocol))
    assert failures == []
    assert report.verdict is Verdict.SUCCESS, report


@pytest.mark.parametrize(
    ("protocol", "said"), [(protocol, said) for protocol, each in REFUSALS.items() for said in each]
)
def test_a_refusal_is_noticed_at_once(engine: ProbeEngine, protocol: StartTls, said: bytes) -> None:
    def refuse(connection: socket.socket) -> None:
        connection.sendall(said)
        while connection.recv(1000):
            pass

    with connections(refuse) as server:
        report: Report = once(engine, recipe(server.port, protocol))
    assert report.verdict is Verdict.REPLY
    assert report.finished - report.started < 3 * S


def test_a_dialogue_of_ones_own_comes_after_tls(engine: ProbeEngine, context: ssl.SSLContext) -> None:
    dialogue = [*SERVERS[StartTls.SMTP][:-1], ("C", b"EHLO me\r\n"), ("S", b"250-me\r\n250 AUTH PLAIN\r\n")]
    talk = (Step(send=b"EHLO me\r\n"), Step(expect=Regex(pattern="AUTH [^\n]*PLAIN")))
    with connections(by_the_book(dialogue, context)) as server:
        assert once(engine, recipe(server.port, StartTls.SMTP, talk=talk)).verdict is Verdict.SUCCESS


def test_the_certificate_is_judged(engine: ProbeEngine, context: ssl.SSLContext, tmp_path: Path) -> None:
    other, _ = certificate(tmp_path, "other")
    with connections(by_the_book(SERVERS[StartTls.IMAP], context)) as server:
        report = once(engine, recipe(server.port, StartTls.IMAP, judge=ServerTls(ca=other)))
        assert (report.verdict, report.errno) == (Verdict.CERTIFICATE, 18)
