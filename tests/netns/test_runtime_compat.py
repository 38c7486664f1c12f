"""What scripts and FIFOs are told, by C keepalived and by us, from the same file: the same words in the same order."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.netns.segment import Node, Segment
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
    script_user root
    enable_script_security
    notify_fifo {dir}/all.fifo
    vrrp_notify_fifo {dir}/vrrp.fifo
    vrrp_notify_priority_changes true
    process_names
}}
vrrp_script flag {{
    script "/usr/bin/test ! -e {dir}/flag"
    interval 1
    weight -10
}}
vrrp_sync_group G {{
    group {{
        VI_1
        VI_2
    }}
    notify "{dir}/tell group"
    notify_master "{dir}/tell group-master"
    notify_stop "{dir}/tell group-stop"
}}
vrrp_instance VI_1 {{
    interface eth0
    virtual_router_id 51
    priority 100
    garp_master_delay 0
    virtual_ipaddress {{
        10.77.0.101/24
    }}
    notify "{dir}/tell instance"
    notify_master "{dir}/tell master 'two words'"
    notify_backup "{dir}/tell backup"
    notify_fault "{dir}/tell fault"
    notify_stop "{dir}/tell stop"
}}
vrrp_instance VI_2 {{
    interface eth0
    virtual_router_id 52
    priority 90
    garp_master_delay 0
    virtual_ipaddress {{
        10.77.0.102/24
    }}
    notify "{dir}/tell instance"
}}
vrrp_instance VI_3 {{
    interface eth0
    virtual_router_id 53
    priority 80
    garp_master_delay 0
    virtual_ipaddress {{
        10.77.0.103/24
    }}
    track_script {{
        flag
    }}
    notify "{dir}/tell instance"
}}
"""


class Reader:
    """Everything written to a FIFO, from before the daemon opens it."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.data = b""
        self._fd = os.open(path, os.O_RDWR)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not (self.data + b"").endswith(b"END\n"):
            self.data += os.read(self._fd, 65536)

    def close(self) -> bytes:
        os.write(self._fd, b"END\n")
        self._thread.join()
        os.close(self._fd)
        return self.data.removesuffix(b"END\n")


def story(node: Node, directory: Path, words: list[str]) -> tuple[list[str], bytes, bytes]:
    """Start, become MASTER, have a priority lowered and raised, a fault and its end, stop; what was told meanwhile."""
    directory.mkdir()
    tell = directory / "tell"
    # One write for the line: scripts of different objects run beside each other.
    tell.write_text(f'#!/bin/sh\nline=$(printf "<%s>" "$@")\necho "$line" >> {directory}/told\n')
    tell.chmod(0o755)
    (directory / "conf").write_text(CONFIG.format(dir=directory))
    readers = Reader(directory / "all.fifo"), Reader(directory / "vrrp.fifo")

    def heard(text: str) -> bool:
        return text.encode() in readers[1].data

    with (directory / "log").open("wb") as log:
        process = node.spawn(*words, stdout=log, stderr=subprocess.STDOUT, cwd=str(ROOT))
    until(lambda: heard('"VI_2" MASTER 90') and heard('"VI_1" MASTER 100') and heard('"VI_3" MASTER'), "mastership", 20)
    (directory / "flag").touch()
    until(lambda: heard('INSTANCE "VI_3" MASTER_PRIORITY 70'), "the lower priority", 10)
    (directory / "flag").unlink()
    until(lambda: heard('INSTANCE "VI_3" MASTER_PRIORITY 80'), "the higher priority", 10)
    node.ip("link", "set", "eth0", "down")
    until(lambda: readers[1].data.count(b" FAULT ") == 4, "the faults", 10)
    node.ip("link", "set", "eth0", "up")
    until(lambda: readers[1].data.count(b" MASTER ") == 8, "mastership again", 20)
    process.send_signal(signal.SIGTERM)
    process.wait(15)
    told = (directory / "told").read_text().splitlines()
    return told, readers[0].close(), readers[1].close()


def by_object(lines: list[str]) -> dict[str, list[str]]:
    """Lines of each object in their order; keepalived starts scripts beside each other, so between objects there is
    none, and neither between the state script and the generic one of the same event."""
    sorted_lines: dict[str, list[str]] = {}
    for line in lines:
        generic = line.startswith(("<instance>", "<group>"))
        whose = line.split("><")[2] if generic else "G" if line.startswith("<group-") else "VI_1"
        sorted_lines.setdefault(f"{'generic' if generic else 'own'} {whose}", []).append(line)
    return sorted_lines


def by_name(data: bytes) -> dict[str, list[str]]:
    """FIFO lines of each object in their order. Members of a group change together: which comes first is by chance."""
    lines = data.decode().splitlines()
    return {name: [line for line in lines if f'"{name}"' in line] for name in ("G", "VI_1", "VI_2", "VI_3")}


def test_scripts_and_fifos_are_told_the_same(segment: Segment, tmp_path: Path) -> None:
    first, second = segment.node(), segment.node()
    theirs_dir, ours_dir = tmp_path / "theirs", tmp_path / "ours"
    pids = [f"--{word}={theirs_dir}/{word}" for word in ("pid", "vrrp_pid", "checkers_pid")]
    theirs = story(first, theirs_dir, ["keepalived", "-n", "-l", "-G", "-P", "-f", f"{theirs_dir}/conf", *pids])
    first.ip("link", "set", "eth0", "down")
    ours = story(
        second,
        ours_dir,
        [sys.executable, "-m", "fastha", "-l", "-G", "-c", f"{ours_dir}/conf", "--run-dir", f"{ours_dir}/run"],
    )
    assert theirs[1] == theirs[2]
    assert ours[1] == ours[2]
    assert by_name(ours[2]) == by_name(theirs[2])
    assert by_object(ours[0]) == by_object(theirs[0])
