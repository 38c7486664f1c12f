"""The whole daemon from a configuration file: processes die, files break, operators change things; traffic goes on."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from fastha.cli.client import DaemonError, ask
from fastha.model import codec
from fastha.model.snapshot import InstanceSnapshot, Snapshot
from fastha.system import procs
from tests.netns.segment import Node, Pinger, Segment
from tests.poll import until

pytestmark = [pytest.mark.netns, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

ROOT = Path(__file__).parents[2]
VIP = "10.77.0.100"
CHILDREN = ("vrrp", "checker", "runner")
CONFIG = """
global_defs {{
    router_id TEST
    script_user root
    enable_script_security
    vrrp_notify_fifo {dir}/fifo
}}
vrrp_script chk_flag {{
    script "/usr/bin/test ! -e {dir}/flag"
    interval 1
    weight -30
    rise 1
    fall 1
}}
vrrp_track_file maintenance {{
    file {dir}/maintenance
    weight 1
}}
vrrp_instance VI_1 {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int 1
    garp_master_delay 0
    virtual_ipaddress {{
        {vip}/24
    }}
    track_script {{
        chk_flag
    }}
    track_file {{
        maintenance
    }}
    notify "{dir}/notify"
}}
virtual_server {vip} 80 {{
    lb_algo rr
    lb_kind NAT
    protocol TCP
    delay_loop 1
    real_server {address} 81 {{
        MISC_CHECK {{
            misc_path "/bin/true"
        }}
    }}
    real_server {address} 82 {{
        TCP_CHECK {{
            connect_timeout 1
        }}
    }}
}}
"""


class Daemon:
    """`fastha -c FILE` on a node, virtual servers checked and not programmed."""

    def __init__(self, node: Node, directory: Path, priority: int = 100) -> None:
        self.node = node
        self.directory = directory
        directory.mkdir()
        self.config = directory / "keepalived.conf"
        self.run_dir = directory / "run"
        notify = directory / "notify"
        notify.write_text(f'#!/bin/sh\necho "$@" >> {directory}/notified\n')
        notify.chmod(0o755)
        self.configure(priority)
        self.process: subprocess.Popen[bytes]
        node.closers.append(self.end)

    def configure(self, priority: int) -> None:
        self.config.write_text(CONFIG.format(dir=self.directory, priority=priority, vip=VIP, address=self.node.address))

    def start(self, plane: str = "none") -> None:
        words = [sys.executable, "-m", "fastha", "-c", str(self.config), "--run-dir", str(self.run_dir)]
        with (self.directory / "log").open("ab") as log:
            self.process = self.node.spawn(*words, "--lvs-plane", plane, "-l", "-G", stderr=log, cwd=str(ROOT))

    def up(self) -> None:
        self.start()
        until(lambda: self.ready() or self.process.poll() is not None, "the daemon to run", 20)
        assert self.process.poll() is None, self.log()

    def ready(self) -> bool:
        snapshot = self.status()
        if snapshot is None or not all(process.state == "running" for process in snapshot.processes):
            return False
        return snapshot.vrrp is not None and snapshot.checker is not None and snapshot.runner is not None

    def status(self) -> Snapshot | None:
        try:
            answer = ask(str(self.run_dir), {"op": "status"})
        except DaemonError:
            return None
        return codec.decode(Snapshot, json.dumps(answer["snapshot"]).encode())

    def instance(self) -> InstanceSnapshot | None:
        snapshot = self.status()
        return snapshot.vrrp.instances[0] if snapshot is not None and snapshot.vrrp is not None else None

    def state(self) -> str:
        found = self.instance()
        return found.state if found is not None else "none"

    def priority(self) -> int:
        found = self.instance()
        return found.effective_priority if found is not None else -1

    def pid(self, name: str) -> int | None:
        snapshot = self.status()
        return next((each.pid for each in snapshot.processes if each.name == name), None) if snapshot else None

    def pids(self) -> dict[str, int | None]:
        snapshot = self.status()
        return {each.name: each.pid for each in snapshot.processes} if snapshot else {}

    def supervisor(self) -> int:
        return int((self.run_dir / "keepalived.pid").read_text())

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def notified(self) -> list[str]:
        path = self.directory / "notified"
        return path.read_text().splitlines() if path.exists() else []

    def end(self) -> None:
        for name in ("vrrp", "checkers", "runner"):
            with contextlib.suppress(OSError, ValueError):
                pid = int((self.run_dir / f"{name}.pid").read_text())
                if str(self.run_dir) in procs.cmdline(pid):
                    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def daemon(segment: Segment, tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(segment.node(), tmp_path / "one")
    daemon.up()
    yield daemon
    daemon.end()


@pytest.fixture
def master(daemon: Daemon) -> Daemon:
    until(lambda: daemon.state() == "MASTER", "mastership", 15)
    return daemon


def test_from_start_to_end(segment: Segment, master: Daemon) -> None:
    capture = segment.capture()
    assert master.node.has(VIP)
    reader = os.open(master.directory / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    assert os.read(reader, 1000) == b'INSTANCE "VI_1" BACKUP 100\nINSTANCE "VI_1" MASTER 100\n'
    until(lambda: master.notified() == ["INSTANCE VI_1 BACKUP 100", "INSTANCE VI_1 MASTER 100"], "notifies")
    snapshot = master.status()
    assert snapshot is not None
    assert snapshot.checker is not None
    servers = {server.port: server for server in snapshot.checker.virtual_servers[0].real_servers}
    assert [check.kind for check in servers[81].checkers] == ["MISC_CHECK"]
    until(lambda: "connection refused" in json.dumps(_results(master)), "the result of the TCP check", 20)
    master.process.send_signal(signal.SIGTERM)
    assert master.process.wait(10) == 0
    assert not master.node.has(VIP)
    last = capture.adverts(master.node.address)[-1]
    assert last.vrrp[2] == 0, "the last advert says priority 0"
    assert master.notified()[-1] == "INSTANCE VI_1 STOP 100"
    assert os.read(reader, 1000) == b'INSTANCE "VI_1" STOP 100\n'
    os.close(reader)
    assert not (master.directory / "fifo").exists()
    assert {path.name for path in master.run_dir.iterdir()} <= {"ipvs.journal"}


def _results(daemon: Daemon) -> list[str]:
    snapshot = daemon.status()
    if snapshot is None or snapshot.checker is None:
        return []
    servers = snapshot.checker.virtual_servers[0].real_servers
    return [check.result for server in servers for check in server.checkers]


def test_every_child_may_be_killed_and_traffic_goes_on(segment: Segment, master: Daemon) -> None:
    client = segment.node()
    master.node.ip("addr", "add", "10.77.0.200/24", "dev", "eth0")
    pinger = Pinger(client.namespace, VIP)
    for name in CHILDREN:
        older = master.pid(name)
        assert older is not None
        os.kill(older, signal.SIGKILL)
        until(lambda name=name, older=older: master.pid(name) not in (None, older) and master.ready(), name, 15)
        assert master.state() == "MASTER"
    assert pinger.lost() == 0
    assert master.node.has("10.77.0.200"), "what is not ours is left alone"
    snapshot = master.status()
    assert snapshot is not None
    assert [(each.restarts, each.last_exit) for each in snapshot.processes] == [(1, "killed by SIGKILL")] * 3
    # The links are there again: a tracker reaches the new vrrp process through the new runner.
    (master.directory / "flag").touch()
    until(lambda: master.priority() == 70, "the priority after the script", 15)


def test_a_new_supervisor_takes_over_without_a_lost_packet(segment: Segment, master: Daemon) -> None:
    client = segment.node()
    pinger = Pinger(client.namespace, VIP)
    capture = segment.capture()
    for _ in range(2):
        older = master.pids()
        master.process.kill()
        master.process.wait()
        assert all(procs.cmdline(pid) for pid in older.values() if pid), "the children go on"
        master.up()
        assert not set(older.values()) & set(master.pids().values())
        assert master.state() == "MASTER"
    assert pinger.lost() == 0
    assert all(frame.vrrp[2] == 100 for frame in capture.adverts(master.node.address)), "nobody resigned"


def test_a_slow_notify_script_does_not_delay_a_new_supervisor(segment: Segment, tmp_path: Path) -> None:
    daemon = Daemon(segment.node(), tmp_path / "slow")
    (daemon.directory / "notify").write_text(f'#!/bin/sh\nsleep 6; echo "$@" >> {daemon.directory}/notified\n')
    daemon.up()
    until(lambda: daemon.state() == "MASTER", "mastership", 15)
    capture = segment.capture()
    until(lambda: len(capture.adverts()) >= 2, "adverts")
    daemon.process.kill()
    daemon.process.wait()
    daemon.up()
    until(lambda: len(capture.adverts()) >= 5, "adverts of the new process", 15)
    times = [frame.at for frame in capture.adverts()]
    assert max(later - sooner for sooner, later in pairwise(times)) < 3.0
    assert daemon.state() == "MASTER"
    until(lambda: "INSTANCE VI_1 MASTER 100" in daemon.notified(), "the script that was running goes on to its end", 20)
    daemon.end()


def test_the_namespace_that_the_file_names_is_entered(segment: Segment, tmp_path: Path) -> None:
    daemon = Daemon(segment.node(), tmp_path / "named")
    text = daemon.config.read_text()
    daemon.config.write_text(f"net_namespace {daemon.node.namespace}\n{text}")
    words = [sys.executable, "-m", "fastha", "-c", str(daemon.config)]
    assert subprocess.run([*words, "-t"], cwd=ROOT, check=False).returncode == 0
    with (daemon.directory / "log").open("ab") as log:
        daemon.process = subprocess.Popen([*words, "--lvs-plane", "none", "-l", "-G"], stderr=log, cwd=ROOT)
    daemon.run_dir = Path("/run/fastha") / daemon.node.namespace
    try:
        until(lambda: daemon.state() == "MASTER", daemon.log(), 20)
        assert daemon.node.has(VIP)
    finally:
        daemon.process.terminate()
        assert daemon.process.wait(10) == 0
        shutil.rmtree(daemon.run_dir)
    assert not daemon.node.has(VIP)
    daemon.config.write_text(f"net_namespace no-such-namespace\n{text}")
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert "no-such-namespace" in done.stderr


def test_everything_killed_at_once_converges(segment: Segment, master: Daemon) -> None:
    for pid in (master.supervisor(), *(pid for pid in master.pids().values() if pid)):
        os.kill(pid, signal.SIGKILL)
    master.process.wait()
    assert master.node.has(VIP), "nobody was left to remove it"
    master.up()
    until(lambda: master.state() == "MASTER", "mastership", 15)
    assert master.node.has(VIP)
    master.process.send_signal(signal.SIGTERM)
    assert master.process.wait(10) == 0
    assert not master.node.has(VIP)


def test_a_maintenance_file_moves_the_address(segment: Segment, master: Daemon, tmp_path: Path) -> None:
    other = Daemon(segment.node(), tmp_path / "two", priority=90)
    other.up()
    assert other.state() == "BACKUP"
    (master.directory / "maintenance").write_text("-20\n")
    until(lambda: other.state() == "MASTER" and master.state() == "BACKUP", "the handover", 15)
    assert other.node.has(VIP)
    assert not master.node.has(VIP)
    (master.directory / "maintenance").unlink()
    until(lambda: master.state() == "MASTER" and other.state() == "BACKUP", "the way back", 15)
    other.end()


def test_reload_follows_the_file_and_survives_a_broken_one(master: Daemon) -> None:
    pids = master.pids()
    master.configure(120)
    master.process.send_signal(signal.SIGHUP)
    os.kill(master.supervisor(), signal.SIGHUP)
    until(lambda: master.priority() == 120, "the new priority", 15)
    found = master.instance()
    assert found is not None
    assert found.master_priority == 120
    good = master.config.read_text()
    for broken in (good.replace("virtual_router_id 51", "virtual_router_id 999"), good.replace("eth0", "eth7"), None):
        if broken is None:
            master.config.unlink()
        else:
            master.config.write_text(broken)
        words = [sys.executable, "-m", "fastha", "reload", "--run-dir", str(master.run_dir)]
        done = subprocess.run(words, capture_output=True, cwd=ROOT, check=False, text=True)
        assert done.returncode == 1
        assert "the old configuration stays" in done.stderr
        snapshot = master.status()
        assert snapshot is not None
        assert "the old configuration stays" in snapshot.config_note
        assert master.state() == "MASTER"
        assert master.priority() == 120
    master.config.write_text(good)
    done = subprocess.run(words, capture_output=True, cwd=ROOT, check=False, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert master.pids() == pids, "nobody was restarted"


def test_a_second_daemon_in_the_same_run_directory_is_turned_away(master: Daemon) -> None:
    words = [sys.executable, "-m", "fastha", "-c", str(master.config), "--run-dir", str(master.run_dir), "-l", "-G"]
    done = subprocess.run(
        ["ip", "netns", "exec", master.node.namespace, *words], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert f"already running as pid {master.supervisor()}" in done.stderr
    assert master.state() == "MASTER"


def test_events_survive_the_runner(segment: Segment, tmp_path: Path) -> None:
    """Killed while an event still waits for the scripts of the one before: its successor runs what was not started."""
    daemon = Daemon(segment.node(), tmp_path / "slow")
    (daemon.directory / "notify").write_text(f'#!/bin/sh\necho "$@" >> {daemon.directory}/notified; sleep 6\n')
    daemon.up()
    until(lambda: daemon.state() == "MASTER", "mastership", 15)
    until(lambda: len(daemon.notified()) == 2, "its script, which goes on for a while")
    runner = daemon.pid("runner")
    assert runner is not None
    daemon.node.ip("link", "set", "eth0", "down")
    until(lambda: daemon.state() == "FAULT", "the next event", step=0.005)
    os.kill(runner, signal.SIGKILL)
    until(lambda: daemon.notified()[2:] == ["INSTANCE VI_1 FAULT 100"], "its script, once", 10)


def test_a_vrrp_process_that_dies_again_and_again_leaves_no_address(master: Daemon) -> None:
    killed: set[int] = set()

    def kill() -> bool:
        pid = master.pid("vrrp")
        if pid is not None and "releasing its addresses" not in master.log():
            killed.add(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not master.node.has(VIP)

    until(kill, "the address to go", 30)
    assert len(killed) > 2
    until(lambda: master.notified()[-1] == "INSTANCE VI_1 FAULT 100", "the word of it", 20)
    snapshot = master.status()
    assert snapshot is not None
    assert snapshot.processes[0].down_since_wall > 0
    assert "1 instances release 1 addresses" in master.log()
    until(lambda: master.state() == "MASTER", "the way back", 30)
    assert "adverts had stopped" not in master.log()
    assert master.node.has(VIP)


def test_stopping_while_vrrp_is_in_back_off_removes_the_addresses(master: Daemon) -> None:
    first = master.pid("vrrp")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: master.pid("vrrp") not in {None, first}, "a second one")
    second = master.pid("vrrp")
    assert second is not None
    os.kill(second, signal.SIGKILL)
    until(lambda: "vrrp: starting it again in 1 s" in master.log(), "the back-off")
    assert master.node.has(VIP)
    master.process.send_signal(signal.SIGTERM)
    assert master.process.wait(10) == 0
    assert not master.node.has(VIP)
    assert master.notified()[-1] == "INSTANCE VI_1 STOP 100"


def test_what_the_file_has_no_longer_goes_after_everything_was_killed(master: Daemon) -> None:
    for pid in (master.supervisor(), *(pid for pid in master.pids().values() if pid)):
        os.kill(pid, signal.SIGKILL)
    master.process.wait()
    master.node.ip("addr", "add", "10.77.0.101/24", "dev", "eth0")
    text = master.config.read_text()
    master.config.write_text(text.replace(f"        {VIP}/24", "        10.77.0.102/24"))
    master.up()
    assert not master.node.has(VIP), "the journal names it"
    assert master.node.has("10.77.0.101"), "nothing says that this is ours"
    until(lambda: master.node.has("10.77.0.102"), "the new address", 15)
    for pid in (master.supervisor(), *(pid for pid in master.pids().values() if pid)):
        os.kill(pid, signal.SIGKILL)
    master.process.wait()
    start, end = text.index("vrrp_instance"), text.index("virtual_server")
    master.config.write_text(text[:start] + text[end:])
    master.start()
    until(lambda: not master.node.has("10.77.0.102"), "no vrrp process is needed, and it goes all the same", 15)


def test_a_master_that_hung_does_not_take_its_place_back_against_nopreempt(segment: Segment, tmp_path: Path) -> None:
    one, two = Daemon(segment.node(), tmp_path / "one"), Daemon(segment.node(), tmp_path / "two", priority=90)
    one.config.write_text(one.config.read_text().replace("state BACKUP", "state BACKUP\n    nopreempt"))
    one.up()
    until(lambda: one.state() == "MASTER", "mastership", 15)
    two.up()
    pid = one.pid("vrrp")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    until(lambda: two.state() == "MASTER", "the takeover", 15)
    until(lambda: one.pid("vrrp") not in {None, pid} and one.state() != "none", "the watchdog", 20)
    assert one.state() == "BACKUP"
    until(lambda: not one.node.has(VIP), "the address is the other's")
    assert two.state() == "MASTER"
    two.end()


def test_services_left_in_nftables_are_released_at_a_stop_in_back_off(segment: Segment, tmp_path: Path) -> None:
    one = Daemon(segment.node(), tmp_path / "one")
    text = one.config.read_text()
    text = text[: text.index("vrrp_instance")] + text[text.index("virtual_server") :]
    one.config.write_text(
        text.replace("MISC_CHECK {", "TCP_CHECK {").replace('misc_path "/bin/true"', "connect_timeout 1")
    )
    one.start("nftables")
    tables = ["ip", "netns", "exec", one.node.namespace, "nft", "list", "tables"]
    until(
        lambda: "fastha" in subprocess.run(tables, capture_output=True, text=True, check=True).stdout, "our table", 15
    )
    until(lambda: "running: " in one.log(), "the daemon to run")
    for _ in range(2):
        pid = one.pid("checker")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: one.pid("checker") != pid, "its end")
        until(lambda: one.pid("checker") is not None or "again in 1 s" in one.log(), "the next")
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(10) == 0
    assert "fastha" not in subprocess.run(tables, capture_output=True, text=True, check=True).stdout
    assert "checker: releasing what its last process left" in one.log()
    assert "nftables: released 1 services" in one.log()
    assert not (one.run_dir / "lvs.journal").exists()


BROKEN = """
import os, sys
if os.path.exists({flag!r}) and "fastha.process.vrrp" in sys.orig_argv:
    os._exit(3)
"""


@pytest.mark.parametrize("stopping", [False, True], ids=["in-back-off", "at-a-stop"])
def test_without_a_vrrp_process_that_starts_the_supervisor_removes_the_addresses(
    segment: Segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopping: bool
) -> None:
    """Its program is broken (half an upgrade, say), so neither does the one that would only release."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path/sitecustomize.py").write_text(BROKEN.format(flag=str(tmp_path / "broken")))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    daemon = Daemon(segment.node(), tmp_path / "a")
    daemon.up()
    until(lambda: daemon.state() == "MASTER", "mastership", 15)
    (tmp_path / "broken").touch()
    pid = daemon.pid("vrrp")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    if stopping:
        until(lambda: "starting it again in" in daemon.log(), "the back-off", 10)
        daemon.process.send_signal(signal.SIGTERM)
    until(lambda: not daemon.node.has(VIP), "the address to go", 20)
    assert f"{VIP}/24 dev eth0 was left by a process before: removed" in daemon.log()
    if stopping:
        assert daemon.process.wait(15) == 0
