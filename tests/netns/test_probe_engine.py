"""The probe engine between two network namespaces: what only a real network does, and what a probe looks like on it."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from fastha.checks.recipes import Kind, Recipe, Verdict
from fastha.model import codec
from fastha.model.net import Address
from fastha.model.units import MS, S

pytestmark = pytest.mark.netns

PROBER, SERVER = f"fpp{os.getpid()}", f"fps{os.getpid()}"
OPEN, WEB, CLOSED, DROPPED, REJECTED = 8001, 8002, 8003, 8004, 8005
REQUEST = "GET / HTTP/1.0\r\n\r\n"

SERVE = f"""
import socket, threading
def serve(port, reply):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, backlog=1000, dualstack_ipv6=True)
    while True:
        connection, peer = listener.accept()
        try:
            data = connection.recv(4096)
            if data and reply:
                connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + peer[0].encode())
        except OSError:
            pass
        connection.close()
for port in ({OPEN}, {WEB}):
    threading.Thread(target=serve, args=(port, port == {WEB})).start()
print("ready", flush=True)
"""

PROBE = """
import json, select, sys, time
from fastha._checks import ProbeEngine
from fastha.checks.recipes import ProbeOrder, Recipe
from fastha.model import codec
recipes, times = codec.decode(list[Recipe], sys.stdin.buffer.read()), int(sys.argv[1])
engine = ProbeEngine()
engine.start()
reports = []
for turn in range(times):
    engine.orders([
        ProbeOrder(target=index, generation=1 + turn, first=time.monotonic_ns(), interval=0, recipe=recipe)
        for index, recipe in enumerate(recipes)
    ])
    end = time.monotonic() + 30
    while len(reports) < len(recipes) * (turn + 1) and time.monotonic() < end:
        select.select([engine.fileno()], [], [], 0.5)
        reports += engine.reports()
    time.sleep(0.05)
stats = engine.stats()
engine.stop()
reports.sort(key=lambda report: (report.generation, report.target))
print(json.dumps([[[r.verdict, r.errno, r.status, r.digest.hex()] for r in reports], stats]))
"""


def run(*argv: str, **more: Any) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, **more)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return str(done.stdout)


def ip(namespace: str, *arguments: str) -> None:
    run("ip", "-n", namespace, *arguments)


@pytest.fixture(scope="module")
def network() -> Iterator[None]:
    """10.77.0.1, .9, fd77::1 and ::9 on one side, 10.77.0.2 and fd77::2 on the other."""
    servers: subprocess.Popen[str] | None = None
    try:
        for namespace in (PROBER, SERVER):
            run("ip", "netns", "add", namespace)
            ip(namespace, "link", "set", "lo", "up")
        run("ip", "link", "add", "p0", "netns", PROBER, "type", "veth", "peer", "name", "p0", "netns", SERVER)
        for namespace, host in ((PROBER, 1), (SERVER, 2)):
            ip(namespace, "address", "add", f"10.77.0.{host}/24", "dev", "p0")
            ip(namespace, "address", "add", f"fd77::{host}/64", "dev", "p0", "nodad")
            ip(namespace, "link", "set", "p0", "up")
        ip(PROBER, "address", "add", "10.77.0.9/24", "dev", "p0")
        ip(PROBER, "address", "add", "fd77::9/128", "dev", "p0", "nodad", "preferred_lft", "0")
        ip(PROBER, "route", "add", "unreachable", "10.78.0.0/24")
        ip(PROBER, "route", "add", "prohibit", "10.79.0.0/24")
        ip(PROBER, "route", "add", "blackhole", "10.80.0.0/24")
        ip(PROBER, "route", "add", "10.81.0.0/24", "via", "10.77.0.2", "table", "81")
        ip(PROBER, "rule", "add", "fwmark", "81", "table", "81")
        ip(SERVER, "address", "add", "10.81.0.1/32", "dev", "lo")
        run("ip", "netns", "exec", PROBER, "sysctl", "-qw", "net.ipv4.neigh.p0.retrans_time_ms=50")
        servers = subprocess.Popen(
            ["ip", "netns", "exec", SERVER, sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True
        )
        assert servers.stdout is not None
        assert servers.stdout.readline() == "ready\n"
        yield
    finally:
        if servers is not None:
            servers.kill()
            servers.wait()
            assert servers.stdout is not None
            servers.stdout.close()
        for namespace in (PROBER, SERVER):
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)


def recipe(port: int, address: str = "10.77.0.2", **more: Any) -> Recipe:
    http = port == WEB
    return Recipe(
        **{
            "kind": Kind.HTTP if http else Kind.TCP, "address": Address(address), "port": port, "timeout": 5 * S,
            "request": REQUEST.encode() if http else b"", "status_codes": ((200, 200),) if http else (),
        } | more
    )  # fmt: skip


def probe(*recipes: Recipe, times: int = 1) -> tuple[list[tuple[Any, ...]], dict[str, int]]:
    """Probe from the namespace: (verdict, errno, status, digest) of each, and the engine's counters."""
    asked = codec.encode(recipes).decode()
    said = run("ip", "netns", "exec", PROBER, sys.executable, "-c", PROBE, str(times), input=asked)
    reports, stats = json.loads(said)
    return [tuple(report) for report in reports], stats


@pytest.mark.usefixtures("network")
class TestProbe:
    def test_both_families(self) -> None:
        recipes = [recipe(port, address) for port in (OPEN, WEB) for address in ("10.77.0.2", "fd77::2")]
        reports, stats = probe(*recipes)
        assert [report[0] for report in reports] == [Verdict.SUCCESS] * 4
        assert stats["recycling"] == 1

    def test_refused_and_unreachable_are_the_servers(self) -> None:
        reports, stats = probe(
            recipe(CLOSED),
            recipe(CLOSED, "fd77::2"),
            recipe(OPEN, "10.77.0.77"),  # nobody answers ARP
            recipe(OPEN, "10.78.0.1"),
            recipe(OPEN, "192.0.2.1"),
        )
        assert [report[:2] for report in reports] == [
            (Verdict.REFUSED, errno.ECONNREFUSED),
            (Verdict.REFUSED, errno.ECONNREFUSED),
            (Verdict.REFUSED, errno.EHOSTUNREACH),
            (Verdict.REFUSED, errno.EHOSTUNREACH),
            (Verdict.REFUSED, errno.ENETUNREACH),
        ]
        assert stats["local_errors"] == 0

    def test_our_own_policy_is_not_the_servers_fault(self) -> None:
        reports, stats = probe(recipe(OPEN, "10.79.0.1"), recipe(OPEN, "10.80.0.1"))
        assert [report[:2] for report in reports] == [(Verdict.LOCAL, errno.EACCES), (Verdict.LOCAL, errno.EINVAL)]
        assert stats["failed"] == 0

    @pytest.mark.skipif(not shutil.which("nft", path=os.defpath + ":/usr/sbin"), reason="nft is not installed")
    def test_firewalls(self) -> None:
        run(
            "ip", "netns", "exec", SERVER, "nft", "-f", "-",
            input=f"""table inet probe {{ chain input {{ type filter hook input priority 0;
                tcp dport {DROPPED} drop
                tcp dport {REJECTED} reject with icmpx admin-prohibited
            }}
            }}""",
        )  # fmt: skip
        reports, _ = probe(recipe(DROPPED, timeout=200 * MS), recipe(REJECTED))
        assert reports[0][:2] == (Verdict.TIMEOUT, errno.ETIMEDOUT)
        assert reports[1][:2] == (Verdict.REFUSED, errno.EHOSTUNREACH)

    def test_source_address(self) -> None:
        sources = [("10.77.0.2", "10.77.0.9"), ("10.77.0.2", None), ("fd77::2", "fd77::9"), ("fd77::2", None)]
        recipes = [recipe(WEB, server, bindto=source, digest=bytes(16)) for server, source in sources]
        reports, _ = probe(*recipes, times=2)
        assert {report[0] for report in reports} == {Verdict.DIGEST}
        assert len({report[3] for report in reports}) == 4, "the body is our address: four sources, four digests"
        assert reports[:4] == reports[4:]

    def test_mark_and_interface(self) -> None:
        reports, _ = probe(
            recipe(OPEN, "10.81.0.1", fwmark=81),
            recipe(OPEN, "10.81.0.1"),
            recipe(OPEN, bind_if="p0"),
            recipe(OPEN, bind_if="none"),
        )
        assert [report[:2] for report in reports] == [
            (Verdict.SUCCESS, 0),
            (Verdict.REFUSED, errno.ENETUNREACH),
            (Verdict.SUCCESS, 0),
            (Verdict.LOCAL, errno.ENODEV),
        ]

    @pytest.mark.skipif(not shutil.which("tcpdump", path=os.defpath + ":/usr/sbin"), reason="tcpdump is not installed")
    @pytest.mark.parametrize(
        ("how", "ours"),
        [
            ({"close_rst": False}, ["S", ".", "F", "."]),
            ({"close_rst": True}, ["S", ".", "R"]),
            ({"half_open": True}, ["S", "R"]),
        ],
        ids=["fin", "rst", "half open"],
    )
    def test_packets_of_a_tcp_probe(self, how: dict[str, bool], ours: list[str]) -> None:
        """As C keepalived sends them with `close fin`; three probes one after the other, on recycled sockets."""
        dump = subprocess.Popen(
            ["ip", "netns", "exec", PROBER, "tcpdump", "-nn", "-l", "-i", "p0", "--immediate-mode",
             f"tcp dst port {OPEN}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert dump.stdout is not None
            assert dump.stderr is not None
            assert "listening" in dump.stderr.readline() + dump.stderr.readline()
            reports, stats = probe(recipe(OPEN, **how), times=3)
            assert [report[0] for report in reports] == [Verdict.SUCCESS] * 3
            assert stats["sockets_made"] == 1
            flags: list[str] = []
            while len(flags) < 3 * len(ours):
                flags.append(dump.stdout.readline().split("Flags [")[1].split("]")[0].rstrip(".") or ".")
            assert flags == 3 * ours
        finally:
            dump.kill()
            dump.communicate()
