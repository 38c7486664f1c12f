"""Two keepalived directors become two fastha directors one at a time, from the same file and under traffic, and back
again: no step costs more than the one takeover that it is."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.netns.segment import Node, Pinger, Segment
from tests.poll import until

pytestmark = [pytest.mark.netns, pytest.mark.compat]

ROOT = Path(__file__).parents[2]
VIP = "10.77.0.100"
CONFIG = """
global_defs {{
    script_user root
    enable_script_security
    vrrp_version 3
}}
vrrp_sync_group G {{
    group {{
        FIRST
        SECOND
    }}
}}
vrrp_instance FIRST {{
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int 0.2
    virtual_ipaddress {{
        10.77.0.100
    }}
}}
vrrp_instance SECOND {{
    interface eth0
    virtual_router_id 52
    priority {priority}
    advert_int 0.2
    virtual_ipaddress {{
        fd77::100
    }}
}}
"""
TAKEOVER = 3 * 0.2 + 0.2 * 156 / 256
"""The master-down interval of the lower one; when the master says good-bye only its skew."""
MARGIN = 0.3
"""For a machine that does other things."""


class Director:
    """A node that runs one daemon or the other."""

    def __init__(self, node: Node, directory: Path, priority: int) -> None:
        self.node, self.directory = node, directory
        directory.mkdir()
        (directory / "conf").write_text(CONFIG.format(priority=priority))
        self.process: subprocess.Popen[bytes] | None = None
        self._before = 0
        """So much of its log is of the daemon before."""

    def start(self, kind: str) -> None:
        where = self.directory
        if kind == "keepalived":
            pids = [f"--{word}={where}/{word}" for word in ("pid", "vrrp_pid", "checkers_pid")]
            words = ["keepalived", "-n", "-l", "-G", "-P", "-f", f"{where}/conf", *pids]
        else:
            words = [
                sys.executable,
                "-m",
                "fastha",
                "-l",
                "-G",
                "-P",
                "-c",
                f"{where}/conf",
                "--run-dir",
                f"{where}/run",
            ]
        with (where / "log").open("ab") as log:
            self.process = self.node.spawn(*words, stdout=log, stderr=subprocess.STDOUT, cwd=str(ROOT))

    def stop(self) -> None:
        assert self.process is not None
        self._before = len((self.directory / "log").read_text(errors="replace"))
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)

    def is_backup(self) -> bool:
        """It has begun, and does not hold the address."""
        told = (self.directory / "log").read_text(errors="replace")
        return "(FIRST) Entering BACKUP STATE" in told[self._before :] and not self.node.has(VIP)

    def is_master(self) -> bool:
        return self.node.has(VIP) and self.node.has("fd77::100")


def test_one_director_after_the_other(
    segment: Segment, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    strong, weak = Director(segment.node(), tmp_path / "a", 200), Director(segment.node(), tmp_path / "b", 100)
    client = segment.node()
    for node in segment.nodes:
        until(lambda node=node: "fe80" in node.ip("-6", "addr", "show", "eth0", "-tentative"), "a link-local address")
    strong.start("keepalived")
    weak.start("keepalived")
    until(strong.is_master, "the first master", 10)
    ping = Pinger(client.namespace, VIP)
    until(lambda: ping.longest_gap(time.monotonic() - 0.3, time.monotonic()) < 0.1 and ping.sent > 50, "traffic", 5)
    gaps: dict[str, float] = {}

    def step(name: str, most: float) -> None:
        """How long the client was left alone since the last step."""
        time.sleep(0.3)  # answers are on their way
        now = time.monotonic()
        gaps[name] = ping.longest_gap(begun[0], now - 0.1)
        begun[0] = now - 0.1
        assert gaps[name] <= most, gaps

    begun = [time.monotonic() - 0.3]
    for to in ("fastha", "keepalived"):
        weak.stop()
        step(f"backup stops, for {to}", 0.1)
        weak.start(to)
        until(weak.is_backup, f"{to} as backup", 10)
        step(f"{to} is backup", 0.1)
        strong.stop()
        until(weak.is_master, f"{to} to take over", 5)
        step(f"{to} takes over", TAKEOVER + MARGIN)
        strong.start(to)
        until(lambda: strong.is_master() and not weak.is_master(), f"{to} to preempt", 10)
        step(f"{to} preempts", MARGIN)
    record_property("gaps", gaps)
