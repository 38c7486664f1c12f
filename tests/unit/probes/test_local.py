"""What this host lacks is no server's failure: ports, descriptors, a firewall of its own.

One thing cannot be told apart: a firewall of ours that drops a TCP connection's first packet. The kernel does not tell
the socket, so it looks like a server that is silent; that is tested, too, so that the documents stay true.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastha._checks import ProbeEngine
from fastha.checks.dns import query
from fastha.checks.recipes import Kind, Recipe, Verdict
from fastha.model.net import Address
from fastha.model.units import MS, S
from tests.checker_driver import own_network
from tests.unit.probes.servers import OK, Server, collect, http, once, standing, tcp, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


@pytest.fixture
def alone() -> Iterator[None]:
    with own_network():
        yield


def slow(connection: object) -> None:
    """Takes its time, so that many are under way at once."""
    connection.recv(1000)  # type: ignore[attr-defined]
    time.sleep(0.1)
    connection.sendall(OK)  # type: ignore[attr-defined]


@contextmanager
def serving(script: Callable[..., None]) -> Iterator[Server]:
    server = Server(script)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def running() -> Iterator[ProbeEngine]:
    engine = ProbeEngine()
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


def test_ten_ports_for_forty_probes(alone: None) -> None:
    PORTS.write_text("40000 40009")
    with serving(slow) as server, running() as engine:
        engine.orders([standing(http(server.port, timeout=10 * S), target, 200 * MS) for target in range(40)])
        wait_for(lambda: all(engine.last(target).runs >= 2 for target in range(40)), "each to have had its turns")
        stats = engine.stats()
        assert stats["failed"] == 0
        assert stats["local_errors"] > 0
        assert engine.reports() == []
        said = {engine.last(target).errno for target in range(40) if engine.last(target).verdict == Verdict.LOCAL}
        assert said <= {errno.EADDRNOTAVAIL}


CHILD = """
import os, resource, sys, time
from fastha._checks import ProbeEngine
from fastha.checks.recipes import Kind, ProbeOrder, Recipe
from fastha.model.net import Address
from fastha.model.units import MS, S
engine = ProbeEngine()
engine.start()
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 6, hard))
recipe = Recipe(kind=Kind.HTTP, address=Address("127.0.0.1"), port=int(sys.argv[1]), timeout=10 * S,
                status_codes=((200, 299),), request=b"GET / HTTP/1.0\\r\\n\\r\\n")
engine.orders([ProbeOrder(target=t, generation=1, recipe=recipe, first=0, interval=200 * MS) for t in range(40)])
end = time.monotonic() + 30
while min(engine.last(t).runs for t in range(40)) < 2 and time.monotonic() < end:
    time.sleep(0.05)
stats = engine.stats()
print(stats["failed"], stats["local_errors"], stats["succeeded"], engine.reports())
"""


def test_six_descriptors_for_forty_probes(alone: None) -> None:
    with serving(slow) as server:
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(server.port)], capture_output=True, text=True, timeout=60, check=True
        )
    failed, local, succeeded, reports = done.stdout.split(maxsplit=3)
    assert (failed, reports.strip()) == ("0", "[]")
    assert int(local) > 0
    assert int(succeeded) > 0


def nft(rule: str) -> None:
    lines = ("table ip t {", "chain out {", "type filter hook output priority 0", rule, "}", "}")
    text = "\n".join(lines) + "\n"
    subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)


@pytest.mark.skipif(shutil.which("nft") is None, reason="no nft")
def test_a_firewall_of_ours(alone: None) -> None:
    nft("ip daddr 127.0.0.5 drop")
    to = {"timeout": 300 * MS}
    five = Address("127.0.0.5")
    udp = Recipe(kind=Kind.UDP, address=five, port=9, request=b"x", require_reply=True, **to)  # type: ignore[arg-type]
    dns = Recipe(kind=Kind.DNS, address=five, port=53, request=query(".", "SOA"), **to)  # type: ignore[arg-type]
    with running() as engine:
        engine.orders([once(udp, 0, 1), once(dns, 1, 1)])
        reports = collect(engine, 2)
        assert {(each.verdict, each.errno) for each in reports} == {(Verdict.LOCAL, errno.EPERM)}
        engine.order(once(tcp(80, address=five, **to), 2, 1))
        (report,) = collect(engine, 1)
        assert report.verdict == Verdict.TIMEOUT, "the kernel does not tell"
