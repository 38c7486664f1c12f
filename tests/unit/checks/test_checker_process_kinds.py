"""The checker process with checkers of all kinds, and what belongs to them: files of the runner, TLS, pings."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fastha.checks.dns import query
from fastha.model.net import Address
from fastha.model.plan import (
    Checkers,
    ClientTls,
    Connection,
    DnsCheck,
    FileCheck,
    HttpCheck,
    PingCheck,
    RealServer,
    Regex,
    SmtpCheck,
    UdpCheck,
    Url,
)
from fastha.model.snapshot import CheckSnapshot
from fastha.model.units import MS, S
from fastha.process.messages import TrackerFile
from fastha.system.ping import RANGE
from tests.checker_driver import TICK, CheckerProcess, own_network, plan_of
from tests.probe_bench import certificate, connections, datagrams, read_request

TIMING = {"delay_loop": TICK, "delay_before_retry": TICK, "retry": 0, "warmup": 0}


def to(port: int) -> Connection:
    return Connection(address=Address("127.0.0.1"), port=port, connect_timeout=300 * MS)


def rs(last: int, **checkers: object) -> RealServer:
    return RealServer(address=Address(f"127.0.0.{last}"), port=80, weight=10, checkers=Checkers(**checkers))  # type: ignore[arg-type]


def checks(process: CheckerProcess) -> dict[str, CheckSnapshot]:
    """By kind."""
    (service,) = process.snapshot().virtual_servers
    return {check.kind: check for server in service.real_servers for check in server.checkers}


def mail_server(connection: object) -> None:
    for line in (b"220 a\r\n", b"250 b\r\n", b"221 c\r\n"):
        connection.sendall(line)  # type: ignore[attr-defined]
        connection.recv(1000)  # type: ignore[attr-defined]


def page(connection: object) -> None:
    read_request(connection)  # type: ignore[arg-type]
    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nall is well")  # type: ignore[attr-defined]


def answer(data: bytes) -> list[bytes]:
    return [data[:2] + b"\x81\x80" + data[4:]]


def test_all_kinds(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path))
    url = Url(path="/", regex=Regex(pattern="all is well"), sni="www.example.net")
    with (
        datagrams(answer) as names,
        datagrams() as mute,
        connections(mail_server) as mails,
        connections(page, context=context) as pages,
    ):
        plan = plan_of(
            rs(1, udp=(UdpCheck(connection=to(mute.port), **TIMING),)),
            rs(2, dns=(DnsCheck(connection=to(names.port), type="A", name="a.b", **TIMING),)),
            rs(3, smtp=(SmtpCheck(connection=to(mails.port), **TIMING),)),
            rs(4, http=(HttpCheck(connection=to(pages.port), urls=(url,), tls=True, **TIMING),)),
            rs(5, ping=(PingCheck(connection=to(1), **TIMING),)) if os.geteuid() == 0 else rs(5),
            rs(6, file=(FileCheck(track_file="drain", weight=2, **TIMING),)),
        )
        with CheckerProcess(plan, tmp_path) as process:
            process.say(TrackerFile("drain", 3), to=process.runner)

            def settled() -> bool:
                found = checks(process)
                return all(check.has_run and check.last_wall for check in found.values())

            process.until(settled, "each has run")
            found = {kind: (check.up, check.result) for kind, check in checks(process).items()}
            expected = {
                "UDP_CHECK": (True, "not refused"),
                "DNS_CHECK": (True, "answered"),
                "SMTP_CHECK": (True, "greeted"),
                "SSL_GET": (True, "status 200"),
                "PING_CHECK": (True, "answered"),
                "FILE_CHECK": (True, "drain is 3: weight +6"),
            }
            assert found == {kind: expected[kind] for kind in found}
            assert len(found) >= 5
            counters = process.snapshot().counters
            assert counters["tls_threads"] >= 1
            assert counters["local_errors"] == 0
            weights = [server.effective_weight for server in process.snapshot().virtual_servers[0].real_servers]
            assert weights == [10, 10, 10, 10, 10, 16]
            assert names.heard[0][2:] == query("a.b", "A")[2:]
            assert set(pages.names) == {"www.example.net"}
            assert process.stop() == 0


def test_a_file_takes_a_server_out(tmp_path: Path) -> None:
    plan = plan_of(rs(1, file=(FileCheck(track_file="drain", weight=0, **TIMING),)), rs(2))
    with CheckerProcess(plan, tmp_path) as process:
        process.say(TrackerFile("drain", 1), to=process.runner)
        process.until(lambda: "RS [127.0.0.1]:tcp:80 [127.9.9.9]:tcp:80 DOWN" in process.told())
        process.say(TrackerFile("drain", 0), to=process.runner)
        process.until(lambda: "RS [127.0.0.1]:tcp:80 [127.9.9.9]:tcp:80 UP" in process.told())


def test_client_certificate_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    url = Url(path="/")
    secure = rs(1, http=(HttpCheck(connection=to(1), urls=(url,), tls=True, **TIMING),))
    bad = ClientTls(certificate="/nowhere.pem")
    with CheckerProcess(plan_of(secure, tls=bad), tmp_path, expect_error=True) as process:
        assert "SSL: certificate /nowhere.pem: " in process.error
    with CheckerProcess(plan_of(secure), tmp_path) as process:
        assert "certificate /nowhere.pem" in process.plan(plan_of(secure, tls=bad)).error
        assert process.plan(plan_of(rs(1), tls=bad)).error == "", "nobody needs it"


def test_http_becomes_https_by_a_reload(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path))
    with connections(page) as plain, connections(page, context=context) as secure:
        check = HttpCheck(connection=to(plain.port), urls=(Url(path="/"),), **TIMING)

        def seen(kind: str, port: int) -> Callable[[], bool]:
            def found() -> bool:
                one = checks(process).get(kind)
                return one is not None and one.result == "status 200" and one.target.endswith(f":{port}")

            return found

        with CheckerProcess(plan_of(rs(1, http=(check,))), tmp_path) as process:
            process.until(seen("HTTP_GET", plain.port))
            over_tls = replace(check, connection=to(secure.port), tls=True)
            assert process.plan(plan_of(rs(1, http=(over_tls,)))).error == ""
            process.until(seen("SSL_GET", secure.port))
            before = len(plain.sources)
            assert process.plan(plan_of(rs(1, http=(check,)))).error == ""
            process.until(seen("HTTP_GET", plain.port))
            process.until(lambda: len(plain.sources) > before + 1)
            assert process.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_8_9_ping_group_range_is_widened_and_restored(tmp_path: Path) -> None:
    with own_network():
        RANGE.write_text("1 0\n")
        plan = plan_of(rs(1, ping=(PingCheck(connection=to(1), **TIMING),)))
        with CheckerProcess(plan, tmp_path) as process:
            assert RANGE.read_text().split() == ["0", "0"]
            process.until(lambda: checks(process)["PING_CHECK"].result == "answered")
            assert process.stop() == 0
            assert RANGE.read_text().split() == ["1", "0"]


def test_probes_from_where_they_should(tmp_path: Path) -> None:
    """connect_ip, connect_port and bindto of each kind, from the Plan to the packet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path))
    with (
        datagrams(answer) as names,
        datagrams() as mute,
        connections(mail_server) as mails,
        connections(page, context=context) as pages,
    ):

        def bound(port: int) -> Connection:
            return Connection(address=Address("127.0.0.1"), port=port, bindto=Address("127.0.0.77"), connect_timeout=S)

        plan = plan_of(
            rs(1, udp=(UdpCheck(connection=bound(mute.port), **TIMING),)),
            rs(2, dns=(DnsCheck(connection=bound(names.port), **TIMING),)),
            rs(3, smtp=(SmtpCheck(connection=bound(mails.port), **TIMING),)),
            rs(4, http=(HttpCheck(connection=bound(pages.port), urls=(Url(path="/"),), tls=True, **TIMING),)),
        )
        with CheckerProcess(plan, tmp_path) as process:
            peers = (names, mute, mails, pages)
            process.until(lambda: all(peer.sources for peer in peers))
            assert {source for peer in peers for source, _ in peer.sources} == {"127.0.0.77"}
