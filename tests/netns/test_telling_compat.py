"""Dumps, mails and the order of FIFO lines, by C keepalived and by us, from the same file."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.mailsink import Relay
from tests.netns.segment import Node, Segment, inside
from tests.poll import until

pytestmark = [
    pytest.mark.netns,
    pytest.mark.compat,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root"),
    pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed"),
]

ROOT = Path(__file__).parents[2]
CONFIG = """
global_defs {{
    router_id lb1
    script_user root
    enable_script_security
    notify_fifo {dir}/fifo
    notification_email {{
        ops@example.org
    }}
    notification_email_from lb@example.org
    smtp_server 127.0.0.1 2525
    smtp_helo_name lb1.example.org
}}
vrrp_script ok {{
    script "/usr/bin/true"
    interval 5
    timeout 2
    weight 5
}}
vrrp_sync_group G {{
    group {{
        B
        C
    }}
    smtp_alert
}}
vrrp_instance A {{
    interface eth0
    virtual_router_id 51
    version 3
    priority 100
    advert_int 0.5
    garp_master_refresh 7
    preempt_delay 3
    smtp_alert
    notify_master "/usr/bin/true 'two words'"
    notify_stop "/usr/bin/true s"
    notify "/usr/bin/true g"
    virtual_ipaddress {{
        10.77.0.101/24 label eth0:1
        10.77.0.102 brd 10.77.0.255 scope host
        10.77.0.111 peer 10.77.0.112 no_track
    }}
    virtual_ipaddress_excluded {{
        2001:db8::1/64 preferred_lft 0
        2001:db8::2/64 home
    }}
    track_script {{
        ok
    }}
}}
vrrp_instance B {{
    interface eth0
    virtual_router_id 52
    priority 90
    nopreempt
    authentication {{
        auth_type PASS
        auth_pass secret
    }}
    virtual_ipaddress {{
        10.77.0.103
    }}
}}
vrrp_instance C {{
    interface eth0
    virtual_router_id 53
    priority 90
    unicast_peer {{
        10.77.0.99 min_ttl 254
    }}
    virtual_ipaddress {{
        10.77.0.104
    }}
}}
"""
CHANGING = {"last_transition", "auth_data", "master_priority"}
"""By the clock; hidden since 2.4; ours is our own while we are master."""
ABSENT = ("Read timeout", "fd_in", "Password", "Last transition")


class Story:
    """One daemon's day: start, MASTER, dumps, stop."""

    def __init__(self, node: Node, directory: Path, words: list[str], pid_file: Path) -> None:
        directory.mkdir()
        (directory / "conf").write_text(CONFIG.format(dir=directory))
        os.mkfifo(directory / "fifo")
        reading = os.open(directory / "fifo", os.O_RDWR | os.O_NONBLOCK)
        node.ip("link", "set", "lo", "up")
        relay = Relay(make=lambda: inside(node.namespace, socket.socket))
        self.told = b""
        with (directory / "log").open("wb") as log:
            process = node.spawn(
                *words,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=str(ROOT),
                env={**os.environ, "TMPDIR": str(directory)},
            )

        def heard(text: bytes) -> bool:
            with contextlib.suppress(BlockingIOError):
                self.told += os.read(reading, 65536)
            return text in self.told

        try:
            until(lambda: heard(b'GROUP "G" MASTER'), "mastership", 20)
            until(lambda: heard(b'"A" MASTER'), "mastership", 20)
            until(lambda: len(relay.mails) == 4, "the mails")
            self.mails = sorted(relay.mails)
            pid = int(pid_file.read_text())
            for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGRTMIN + 2):
                os.kill(pid, number)
                time.sleep(0.05)
            names = ("keepalived.data", "keepalived.stats", "keepalived.json")
            until(lambda: all((directory / name).exists() for name in names), "the dumps")
            time.sleep(0.3)  # keepalived writes its files in place
            self.data, self.stats, self.json = ((directory / name).read_text() for name in names)
            os.kill(pid, signal.SIGTERM)
            process.wait(15)
            heard(b"")
        finally:
            os.close(reading)
            relay.close()

    def instances(self) -> list[str]:
        """Lines about instances in keepalived.data that say the same in both."""
        lines = self.data.split("VRRP Topology >------\n")[1].split("------<")[0].splitlines()
        return [line for line in lines if not line.strip().startswith(ABSENT)]


@pytest.fixture
def stories(segment: Segment, tmp_path: Path) -> tuple[Story, Story]:
    first, second = segment.node(), segment.node()
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    pids = [f"--{word}={theirs}/{word}" for word in ("pid", "vrrp_pid", "checkers_pid")]
    one = Story(first, theirs, ["keepalived", "-n", "-l", "-G", "-P", "-f", f"{theirs}/conf", *pids], theirs / "pid")
    words = [sys.executable, "-m", "fastha", "-l", "-G", "-P", "-c", f"{ours}/conf", "--run-dir", f"{ours}/run"]
    two = Story(second, ours, words, ours / "run/keepalived.pid")
    return one, two


def test_dumps_mails_and_fifo_lines_say_the_same(stories: tuple[Story, Story]) -> None:
    theirs, ours = stories
    assert blank(ours.instances()) == blank(theirs.instances())

    for one, other in zip(json.loads(theirs.json), json.loads(ours.json), strict=True):
        assert list(other["data"]) == list(one["data"])
        for key in one["data"].keys() - CHANGING:
            assert other["data"][key] == one["data"][key], key
        assert one["stats"].keys() <= other["stats"].keys()
        assert other["data"].get("auth_data", "********") == "********"

    words = re.compile(r"\d+")
    mine = [line for line in words.sub("N", ours.stats).splitlines() if line in words.sub("N", theirs.stats)]
    assert mine == words.sub("N", theirs.stats).splitlines()

    assert ours.mails == theirs.mails

    start = theirs.told.decode().splitlines()
    start = start[: next(at for at, line in enumerate(start) if "MASTER" in line)]
    assert ours.told.decode().splitlines()[: len(start)] == start
    assert sorted(ours.told.splitlines()) == sorted(theirs.told.splitlines())
    assert ours.told.splitlines()[-4:] == theirs.told.splitlines()[-4:], "the order at the stop"


def blank(lines: list[str]) -> list[str]:
    """Without the addresses of the two nodes."""
    return [re.sub(r"(src_ip =) \S+", r"\1 X", line) for line in lines]
