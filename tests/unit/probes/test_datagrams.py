"""UDP, DNS and ICMP echo probes against real sockets on the loopback. Numbers: behaviour of keepalived's checkers."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Iterator

import pytest

from fastha._checks import ProbeEngine
from fastha.checks.dns import encode_name, query
from fastha.checks.recipes import Kind, ProbeOrder, Recipe, Verdict
from fastha.checks.request import UDP_PAYLOAD, ping_recipe
from fastha.model.net import Address
from fastha.model.plan import Connection, PingCheck
from fastha.model.units import MS, S
from fastha.system.ping import RANGE, allow_ping, restore_ping, widened
from tests.checker_driver import own_network
from tests.probe_bench import LIMIT, datagrams, once, running, took, towards

TIMEOUT = 150 * MS


@pytest.fixture(params=[True, False], ids=["recycling", "classic"])
def engine(request: pytest.FixtureRequest) -> Iterator[ProbeEngine]:
    with running(recycle=request.param) as engine:
        yield engine


def udp(port: int, **words: object) -> Recipe:
    return towards(port, Kind.UDP, **{"request": UDP_PAYLOAD, "timeout": TIMEOUT} | words)


def closed_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
    return port


# ------------------------------------------------------------------------------------------------ UDP


def test_udp_silence_is_success_after_the_whole_timeout(engine: ProbeEngine) -> None:
    with datagrams() as server:
        report = once(engine, udp(server.port))
        assert report.verdict is Verdict.SUCCESS
        assert took(report) >= 0.145
        assert server.heard == [b"keepalived check - keepalived ch"]


def test_udp_refusal_is_a_failure(engine: ProbeEngine) -> None:
    report = once(engine, udp(closed_port()))
    assert (report.verdict, report.errno) == (Verdict.REFUSED, errno.ECONNREFUSED)


def test_udp_silence_fails_when_a_reply_is_required(engine: ProbeEngine) -> None:
    with datagrams() as server:
        assert once(engine, udp(server.port, require_reply=True)).verdict is Verdict.TIMEOUT


def test_udp_any_datagram_will_do_without_a_pattern_whatever_its_length(engine: ProbeEngine) -> None:
    with datagrams(b"") as empty, datagrams(b"x" * 999) as long:
        for server in (empty, long):
            words = {"require_reply": True, "min_reply_length": 2, "max_reply_length": 3}
            report = once(engine, udp(server.port, **words))
            assert report.verdict is Verdict.SUCCESS
            assert took(report) < 0.145


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        (b"\x12\xa5", True),
        (b"\x12\xb5", True),  # a digit that does not matter
        (b"\x12\xa6", False),
        (b"\x22\xa5", False),
        (b"\x12", True),  # only as far as both go
        (b"\x12\xa5more", True),
        (b"\x12\xa5 longer than allowed", False),
        (b"", False),  # shorter than allowed
    ],
)
def test_udp_pattern_and_lengths(answer: bytes, good: bool) -> None:
    with running() as engine, datagrams(answer) as server:
        words = {"require_reply": True, "reply": b"\x12\x05", "reply_mask": b"\xff\x0f"}
        report = once(engine, udp(server.port, **words, min_reply_length=1, max_reply_length=10))
        assert report.verdict is (Verdict.SUCCESS if good else Verdict.REPLY)


def test_udp_a_late_answer_is_not_the_next_probes(engine: ProbeEngine) -> None:
    """The first server answers when its time is over; the second one, probed with the same socket, never does."""

    def late(_: bytes) -> list[bytes]:
        time.sleep(0.2)
        return [b"late"]

    with datagrams(late) as slow, datagrams() as mute:
        assert once(engine, udp(slow.port, require_reply=True)).verdict is Verdict.TIMEOUT
        assert once(engine, udp(mute.port, require_reply=True, timeout=400 * MS)).verdict is Verdict.TIMEOUT


def test_udp_from_where_it_should(engine: ProbeEngine) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.7", 0))
        port = free.getsockname()[1]
    with datagrams(b"yes") as server:
        assert once(engine, udp(server.port, bindto=Address("127.0.0.6"))).verdict is Verdict.SUCCESS
        assert once(engine, udp(server.port, bindto=Address("127.0.0.7"), bind_port=port)).verdict is Verdict.SUCCESS
        assert once(engine, udp(server.port, bindto=Address("127.0.0.7"), bind_port=port)).verdict is Verdict.SUCCESS
        if os.geteuid() == 0:
            assert once(engine, udp(server.port, fwmark=9, bind_if="lo")).verdict is Verdict.SUCCESS
        assert server.sources[0][0] == "127.0.0.6"
        assert server.sources[1] == server.sources[2] == ("127.0.0.7", port)


def test_ipv6(engine: ProbeEngine) -> None:
    with datagrams(b"yes", family=socket.AF_INET6) as plain, datagrams(answering(), family=socket.AF_INET6) as names:
        loopback = {"address": Address("::1")}
        assert once(engine, udp(plain.port, require_reply=True, **loopback)).verdict is Verdict.SUCCESS
        assert once(engine, dns(names.port, **loopback)).verdict is Verdict.SUCCESS
        assert once(engine, udp(closed_port(), require_reply=True, **loopback)).verdict is Verdict.REFUSED


def test_udp_our_own_troubles_are_not_the_servers(engine: ProbeEngine) -> None:
    report = once(engine, udp(9, bindto=Address("192.0.2.1")))
    assert (report.verdict, report.errno) == (Verdict.LOCAL, errno.EADDRNOTAVAIL)
    report = once(engine, udp(9, address=Address("255.255.255.255")))
    assert (report.verdict, report.errno) == (Verdict.LOCAL, errno.EACCES)


# ------------------------------------------------------------------------------------------------ DNS


def dns(port: int, **words: object) -> Recipe:
    return towards(port, Kind.DNS, **{"request": query("www.example.net", "A"), "timeout": TIMEOUT} | words)


def answering(rcode: int = 0, *, flags: int = 0x80, more: bytes = b"") -> object:
    return lambda data: [data[:2] + bytes([flags, rcode]) + data[4:] + more]


def test_dns_question_and_answer(engine: ProbeEngine) -> None:
    with datagrams(answering()) as server:
        for _ in range(20):
            assert once(engine, dns(server.port)).verdict is Verdict.SUCCESS
        assert {data[2:] for data in server.heard} == {query("www.example.net", "A")[2:]}
        assert len({data[:2] for data in server.heard}) > 10, "a random id each time"


@pytest.mark.parametrize("rcode", [1, 2, 3, 5, 15])
def test_dns_rcode(rcode: int) -> None:
    with running() as engine, datagrams(answering(0xF0 | rcode)) as server:
        report = once(engine, dns(server.port))
        assert (report.verdict, report.status) == (Verdict.STATUS, rcode)


def test_dns_truncated_or_empty_answers_are_good(engine: ProbeEngine) -> None:
    with datagrams(answering(flags=0x82)) as truncated, datagrams(lambda data: [data[:2] + b"\x80" + bytes(9)]) as bare:
        assert once(engine, dns(truncated.port)).verdict is Verdict.SUCCESS
        assert once(engine, dns(bare.port)).verdict is Verdict.SUCCESS


def test_dns_what_is_no_answer_to_us_is_passed_over(engine: ProbeEngine) -> None:
    def noise(data: bytes) -> list[bytes]:
        other = bytes([data[0] ^ 1, data[1]])
        return [b"", data[:11], data, other + b"\x80\x03" + data[4:], bytes(1000)]

    with datagrams(noise, answering()) as server:
        assert once(engine, dns(server.port)).verdict is Verdict.SUCCESS
    with datagrams(noise) as server:
        report = once(engine, dns(server.port))
        assert report.verdict is Verdict.TIMEOUT
        assert took(report) < 0.4, "noise does not stretch the one timeout"


def test_dns_refusal(engine: ProbeEngine) -> None:
    assert once(engine, dns(closed_port())).verdict is Verdict.REFUSED


def test_dns_names() -> None:
    assert query("", "SOA")[12:] == query(".", "SOA")[12:] == b"\0\0\6\0\1"
    assert query("a.bc.", "DNSKEY") == bytes.fromhex("0000 0100 0001 0000 0000 0000 0161 026263 00 0030 0001")
    assert encode_name("x" * 63) == b"\x3f" + b"x" * 63 + b"\0"
    for bad in ("x" * 64, "a..b", ".".join(["x" * 60] * 5)):
        with pytest.raises(ValueError, match=r"label|octets"):
            encode_name(bad)


def test_a_flood_keeps_nobody_from_the_others(engine: ProbeEngine) -> None:
    with datagrams(lambda data: [data] * 3000) as flood, datagrams(answering()) as good:
        order = ProbeOrder(target=1, generation=1, recipe=dns(flood.port, timeout=S), first=0, interval=0)
        engine.order(order)
        for _ in range(10):
            report = once_beside(engine, dns(good.port, timeout=S))
            assert report == Verdict.SUCCESS


def once_beside(engine: ProbeEngine, recipe: Recipe) -> Verdict:
    """The verdict of target 0, whatever else is reported."""
    engine.order(ProbeOrder(target=0, generation=1, recipe=recipe, first=0, interval=0))
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        select.select([engine.fileno()], [], [], 0.2)
        for report in engine.reports():
            if report.target == 0:
                return report.verdict
    raise AssertionError("no report")


# ----------------------------------------------------------------------------------------------- PING


def ping(address: str = "127.0.0.1", **words: object) -> Recipe:
    connection = Connection(address=Address(address), port=80, connect_timeout=300 * MS, **words)  # type: ignore[arg-type]
    return ping_recipe(PingCheck(connection=connection))


@pytest.fixture
def pings() -> Iterator[None]:
    """A network of our own in which pings by datagram sockets are allowed."""
    if os.geteuid():
        pytest.skip("needs root")
    with own_network():
        allow_ping()
        yield


@pytest.mark.usefixtures("pings")
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_ping(address: str) -> None:
    with running() as engine:
        for _ in range(3):
            assert once(engine, ping(address)).verdict is Verdict.SUCCESS


@pytest.mark.usefixtures("pings")
def test_ping_octets() -> None:
    with running() as engine, socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as spy:
        spy.settimeout(LIMIT)
        once(engine, ping())
        once(engine, ping(bindto=Address("127.0.0.5"), fwmark=5))
        found = []
        while len(found) < 2:
            data, (source, _) = spy.recvfrom(4096)
            if data[20] == 8:
                found.append((source, data[20:]))
        assert [source for source, _ in found] == ["127.0.0.1", "127.0.0.5"]
        assert [data[6:8] for _, data in found] == [b"\0\1", b"\0\2"]
        assert all(data[8:] == (b"keepalived check - " * 7)[:128] for _, data in found)


@pytest.mark.usefixtures("pings")
def test_ping_a_forged_reply_is_passed_over() -> None:
    """A stranger answers before the server does: wrong sequence, wrong sender; then nobody else does."""
    import subprocess
    import threading

    subprocess.run(["sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1"], check=True)
    spy = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    spy.settimeout(LIMIT)

    def forge() -> None:
        data = spy.recv(4096)[20:]
        for source, sequence in (("127.0.0.1", 77), ("127.0.0.9", 1)):
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as stranger:
                stranger.bind((source, 0))
                body = bytes([0, 0, 0, 0]) + data[4:6] + sequence.to_bytes(2) + data[8:]
                stranger.sendto(body[:2] + checksum(body) + body[4:], ("127.0.0.1", 0))

    thread = threading.Thread(target=forge)
    with running() as engine, spy:
        thread.start()
        assert once(engine, ping()).verdict is Verdict.TIMEOUT
        thread.join(LIMIT)


def checksum(data: bytes) -> bytes:
    total = sum(int.from_bytes(data[i : i + 2].ljust(2, b"\0")) for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_ping_that_may_not_be_sent_is_our_trouble() -> None:
    with own_network(), running() as engine:
        RANGE.write_text("1 0\n")
        report = once(engine, ping())
        assert (report.verdict, report.errno) == (Verdict.LOCAL, errno.EACCES)
        before = allow_ping()
        assert before is not None
        assert allow_ping() is None
        assert once(engine, ping()).verdict is Verdict.SUCCESS
        restore_ping(before)
        assert RANGE.read_text().split() == ["1", "0"]


def test_widened_range() -> None:
    assert widened(1, 0, 0) == (0, 0)
    assert widened(5, 10, 0) == (0, 10)
    assert widened(0, 3, 7) == (0, 7)


# ---------------------------------------------------------------------------------------- many of them


def test_nothing_leaks_over_many_checks(engine: ProbeEngine) -> None:
    with datagrams(answering()) as good, datagrams() as mute:
        refused = closed_port()
        recipes = [dns(good.port), udp(mute.port, timeout=20 * MS), udp(refused), dns(mute.port, timeout=20 * MS)]
        orders = [
            ProbeOrder(
                target=target,
                generation=1,
                recipe=recipes[target % 4],
                first=0,
                interval=40 * MS,
                expect_success=target % 4 < 2,
            )
            for target in range(100)
        ]
        engine.orders(orders)
        end = time.monotonic() + LIMIT
        while min(engine.last(target).runs for target in range(100)) < 10:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert len(os.listdir("/proc/self/fd")) < 250
        assert engine.stats()["sockets"] <= 200
        assert engine.reports() == []
