"""fastha and C keepalived go through the same day on the same kernel: tables and FIFO lines must be the same.

Both read the same file, each in a network namespace of its own; servers and scripts change under them in steps. After
each step, when nothing moves any more, the table of ipvsadm and what came out of the notify FIFO are taken.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fastha.system.ipvs import IpvsPlane
from tests.checker_driver import Web, own_network
from tests.kernel.daemons import Daemon, order, running

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs, pytest.mark.compat]

PORTS = (8001, 8002, 8003, 8004)

HEAD = """
global_defs {{
    router_id LAB
    enable_script_security
    script_user root
    lvs_notify_fifo {fifo}
    {more}
}}
"""
SERVICE = """
virtual_server {address} 80 {{
    delay_loop 1
    lvs_sched wrr
    lvs_method NAT
    protocol TCP
    retry 1
    delay_before_retry 1
    warmup 0
    connect_timeout 1
    {words}
    {servers}
}}
"""
TCP = """
    real_server 127.0.0.1 {port} {{
        weight {weight}
        {words}
        TCP_CHECK {{
        }}
    }}
"""
HTTP = """
    real_server 127.0.0.1 {port} {{
        weight {weight}
        HTTP_GET {{
            url {{
                path /a
                status_code 200
            }}
            url {{
                path /b
                status_code 200
            }}
        }}
    }}
"""
MISC = """
    real_server 127.0.0.{last} 80 {{
        weight {weight}
        MISC_CHECK {{
            misc_path "{script} {last}"
            misc_timeout 2
            {words}
        }}
    }}
"""


GROUP = """
virtual_server_group web {{
    {entries}
}}
"""


class Day:
    """What both daemons live through: the servers, the scripts' exit codes, and the file they read."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.fifo = directory / "fifo"
        self.config = directory / "conf"
        self.webs = [Web(port) for port in PORTS]
        for web in self.webs:
            web.reply = b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"
        self.script = directory / "check"
        self.script.write_text(f"#!/bin/sh\nexit $(cat {directory}/code.$1)\n")
        self.script.chmod(0o755)
        for last in (1, 2):
            self.code(last, 0)

    def code(self, last: int, code: int) -> None:
        """The exit code of a script from now on; renamed into place, so that no run reads half of it."""
        (self.directory / "code.new").write_text(str(code))
        (self.directory / "code.new").rename(self.directory / f"code.{last}")

    def down(self, *numbers: int) -> None:
        for number in numbers:
            self.webs[number].close()

    def up(self, *numbers: int) -> None:
        for number in numbers:
            self.webs[number].reopen()

    def write(self, *services: str, more: str = "") -> None:
        self.config.write_text(HEAD.format(fifo=self.fifo, more=more) + "".join(services))

    def tcp(self, number: int, words: str = "", weight: int = 1) -> str:
        return TCP.format(port=self.webs[number].port, words=words, weight=weight)

    def http(self, number: int, weight: int = 1) -> str:
        return HTTP.format(port=self.webs[number].port, weight=weight)

    def misc(self, last: int, words: str = "", weight: int = 1) -> str:
        return MISC.format(script=self.script, last=last, words=words, weight=weight)

    def close(self) -> None:
        for web in self.webs:
            web.close()


def service(address: str, *servers: str, words: str = "") -> str:
    return SERVICE.format(address=address, servers="".join(servers), words=words)


def grouped(*servers: str, entries: tuple[str, ...], words: str = "") -> str:
    """A service over a group of these entries."""
    group = GROUP.format(entries="\n    ".join(entries))
    return group + service("", *servers, words=words).replace("virtual_server  80", "virtual_server group web")


def a_day(daemon: Daemon, day: Day) -> None:
    """Everything that happens."""
    daemon.settle("start")
    day.down(0)
    daemon.settle("one server down")
    day.down(1)
    daemon.settle("quorum lost, sorry server")
    day.up(0, 1)
    daemon.settle("both back")
    day.webs[2].reply = b"HTTP/1.0 500 No\r\nContent-Length: 1\r\n\r\nx"
    daemon.settle("bad status")
    day.webs[2].reply = b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"
    daemon.settle("good status again")
    day.code(1, 7)
    day.code(2, 3)
    daemon.settle("a weight, and a plain failure")
    day.code(1, 1)
    day.code(2, 0)
    daemon.settle("a failure of the dynamic script, and the plain one is well")
    day.code(1, 0)
    daemon.settle("all well")
    day.down(3)
    daemon.settle("an inhibited server down")
    the_second_file(day)
    daemon.reload(
        "reload: a server removed, one added, a weight changed, inhibit taken back, a service added and one gone"
    )
    day.up(3)
    daemon.settle("the inhibited one back")
    daemon.process.terminate()
    daemon.settle("stop", ended=True)


def the_first_file(day: Day) -> None:
    day.write(
        service(
            "127.9.0.1",
            day.tcp(0, weight=2),
            day.tcp(1, weight=2),
            words="quorum 3\n hysteresis 1\n sorry_server 127.0.0.99 80",
        ),
        service("127.9.0.2", day.tcp(0, "inhibit_on_failure"), day.tcp(3, "inhibit_on_failure"), words="alpha\n omega"),
        service("127.9.0.3", day.http(2), day.tcp(1, weight=5), words="omega"),
        service("127.9.0.4", day.misc(1, "misc_dynamic", weight=4), day.misc(2)),
        service("127.9.0.5", day.tcp(0)),
        grouped(
            day.tcp(0, weight=2),
            day.tcp(1),
            entries=("127.9.1.1 80", "127.9.1.5-6 81", "fwmark 9"),
            words="sorry_server 127.0.0.98 80",
        ),
    )


def the_second_file(day: Day) -> None:
    day.write(
        service(
            "127.9.0.1",
            day.tcp(0, weight=3),
            day.tcp(2),
            words="quorum 3\n hysteresis 1\n sorry_server 127.0.0.99 80",
        ),
        service("127.9.0.2", day.tcp(0, "inhibit_on_failure"), day.tcp(3), words="alpha\n omega"),
        service("127.9.0.3", day.http(2), day.tcp(1, weight=5), words="omega"),
        # Not the dynamic script: keepalived 2.2.7 sets the weight of its server to 0 at a reload.
        service("127.9.0.6", day.tcp(0)),
        grouped(
            day.tcp(0, weight=2),
            day.tcp(1, weight=4),
            # The entries stay: of one that goes keepalived 2.2.7 leaves the service, one that comes it leaves at stop.
            entries=("127.9.1.1 80", "127.9.1.5-6 81", "fwmark 9"),
            words="sorry_server 127.0.0.98 80",
        ),
    )


def live_through(kind: str, directory: Path) -> list[tuple[str, list[str], list[str]]]:
    """The steps of a day with this daemon, in a network namespace of this thread's own."""
    with own_network():
        directory.mkdir()
        day = Day(directory)
        try:
            the_first_file(day)
            with running(kind, day.directory, day.config, day.fifo) as daemon:
                a_day(daemon, day)
        finally:
            day.close()
    return daemon.steps


@pytest.mark.timeout(300)
def test_the_same_day_with_both_daemons(ipvs: IpvsPlane, tmp_path: Path) -> None:
    if shutil.which("keepalived") is None:
        pytest.skip("keepalived is not installed")
    with ThreadPoolExecutor(2) as both:
        theirs, ours = both.map(live_through, ("keepalived", "fastha"), (tmp_path / "one", tmp_path / "two"))
    for (what, table_theirs, said_theirs), (_, table_ours, said_ours) in zip(theirs, ours, strict=True):
        assert table_ours == table_theirs, f"{what}: the table"
        assert sorted(said_ours) == sorted(said_theirs), f"{what}: the FIFO"
        for name in {line.split()[-2] for line in said_ours}:
            assert order(said_ours, name) == order(said_theirs, name), f"{what}: the order for {name}"
