"""The vrrp process in a real network: crash, retirement, orphans, trackers, addresses, reload."""

import itertools
import os
import shutil
import signal
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fastha.model.plan import AuthHmac, Track, VirtualAddress, VrrpPlan
from fastha.model.units import MS, S
from fastha.process import datagram, messages
from fastha.system.links import Network
from fastha.wire import trailer
from tests.netns.segment import Node, Pinger, Segment, inside
from tests.netns.vrrp_daemons import HANGS, VRRP, FasthaVrrp, instance
from tests.poll import until

pytestmark = pytest.mark.netns

VIP = "10.77.0.100"
FAST = {"version": 3, "adver_int": 100 * MS}


def one(**words: object) -> VrrpPlan:
    return VrrpPlan(instances=(instance(**{**FAST, **words}),))  # type: ignore[arg-type]


def master(daemon: FasthaVrrp, seconds: float = 5.0) -> None:
    until(lambda: daemon.state() == "MASTER" and daemon.node.has(VIP), "MASTER with its address", seconds)


def protocols(node: Node) -> dict[str, int]:
    """IPv4 address -> protocol number, of eth0."""
    network = inside(node.namespace, lambda: Network(frozenset(), lambda _interface, _address: False))
    network.read()
    found = network.addresses[network.indexes["eth0"]].values()
    network.close()
    return {one.address: one.protocol for one in found if ":" not in one.address}


def test_addresses_are_there_exactly_while_master(segment: Segment, tmp_path: Path) -> None:
    a, b = segment.node(), segment.node()
    strong = FasthaVrrp(a, one(priority=200), tmp_path)
    master(strong)
    weak = FasthaVrrp(b, one(priority=100), tmp_path)
    until(lambda: weak.state() == "BACKUP", "BACKUP")
    for _ in range(3):
        segment.cut(a)
        until(lambda: weak.state() == "MASTER" and b.has(VIP) and not a.has(VIP), "takeover")
        segment.plug(a)
        until(lambda: strong.state() == "MASTER" and a.has(VIP) and not b.has(VIP), "return")
    shown = strong.snapshot().instances[0]
    assert shown.present == (f"{VIP}/32 dev eth0",)
    assert weak.snapshot().instances[0].present == ()
    assert protocols(a) == {a.address: 0, VIP: 18}


def test_a_killed_process_is_resumed_without_a_lost_packet(segment: Segment, tmp_path: Path) -> None:
    a, b, client = segment.node(), segment.node(), segment.node()
    strong = FasthaVrrp(a, one(priority=200, adver_int=S), tmp_path)
    weak = FasthaVrrp(b, one(priority=100, adver_int=S), tmp_path)
    master(strong, 10)
    until(lambda: weak.state() == "BACKUP", "BACKUP")
    ping = Pinger(client.namespace, VIP)
    time.sleep(0.3)
    strong.kill()
    assert a.has(VIP)
    resumed = FasthaVrrp(a, one(priority=200, adver_int=S), tmp_path, resume=("VI",))
    master(resumed)
    until(lambda: weak.snapshot().engine["expected"] >= 2, "the backup to hear the resumed master", 10)
    assert ping.lost() == 0
    assert weak.states == {"VI": "BACKUP"}


def test_a_retired_process_releases_nothing(segment: Segment, tmp_path: Path) -> None:
    a, client = segment.node(), segment.node()
    daemon = FasthaVrrp(a, one(), tmp_path)
    master(daemon)
    capture = segment.capture()
    ping = Pinger(client.namespace, VIP)
    daemon.retire()
    assert a.has(VIP)
    until(lambda: ping.sent > 40, "pings")
    assert all(frame.vrrp[2] != 0 for frame in capture.adverts(a.address))
    assert ping.lost() == 0


def test_an_orphan_goes_on(segment: Segment, tmp_path: Path) -> None:
    a = segment.node()
    daemon = FasthaVrrp(a, one(), tmp_path)
    master(daemon)
    capture = segment.capture()
    daemon.forsake()
    until(lambda: len(capture.adverts(a.address)) > 10, "adverts of the orphan")
    assert a.has(VIP)
    daemon.process.terminate()
    daemon.process.wait(10)
    until(lambda: capture.adverts(a.address)[-1].vrrp[2] == 0, "priority 0")
    assert not a.has(VIP)


def test_a_stopped_master_is_replaced_and_comes_back(segment: Segment, tmp_path: Path) -> None:
    a, b = segment.node(), segment.node()
    strong, weak = FasthaVrrp(a, one(priority=200), tmp_path), FasthaVrrp(b, one(priority=100), tmp_path)
    master(strong)
    strong.process.send_signal(signal.SIGSTOP)
    until(lambda: weak.state() == "MASTER", "takeover")
    strong.process.send_signal(signal.SIGCONT)
    until(lambda: weak.state() == "BACKUP", "the strong one back")
    master(strong)


HMAC = AuthHmac(keys={1: b"0123456789abcdef0123456789abcdef"}, active_key=1, time_window=5)


@pytest.mark.parametrize("hmac", [None, HMAC], ids=["plain", "signed"])
def test_a_hung_core_does_not_go_on_saying_that_it_is_master(
    segment: Segment, tmp_path: Path, hmac: AuthHmac | None
) -> None:
    a, b = segment.node(), segment.node()
    strong = FasthaVrrp(a, one(priority=200, auth_hmac=hmac), tmp_path, program=HANGS)
    weak = FasthaVrrp(b, one(priority=100, auth_hmac=hmac), tmp_path)
    master(strong)
    capture = segment.capture()
    strong.process.send_signal(signal.SIGWINCH)
    hung = time.time()
    serial = strong.ping()
    until(lambda: weak.state() == "MASTER", "takeover")
    frames = capture.adverts(a.address)
    assert 0.6 < frames[-1].at - hung < 1.2, "adverts end with the lease, which was renewed up to 250 ms before"
    gaps = [after.at - before.at for before, after in itertools.pairwise(frames)]
    assert sorted(gaps)[len(gaps) // 2] < 0.11, "until then they leave in time"
    if hmac is not None:
        sequences = [trailer.read(frame.vrrp[-trailer.SIZE :]).sequence for frame in frames]
        assert sequences == sorted(set(sequences)), "each signed anew, though Python hangs"
    assert not strong.ponged(serial)
    until(lambda: weak.state() == "BACKUP", "the strong one back")
    assert strong.snapshot().engine["lease_lost"] == 1
    assert strong.ponged(serial)


def test_both_threads_are_in_real_time(segment: Segment, tmp_path: Path) -> None:
    daemon = FasthaVrrp(segment.node(), one(), tmp_path)
    threads = [int(task.name) for task in Path(f"/proc/{daemon.process.pid}/task").iterdir()]
    classes = {os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK for thread in threads}
    if not daemon.snapshot().realtime.startswith("SCHED_RR 50"):
        pytest.skip("this machine refuses real time")
    assert classes == {os.SCHED_RR}
    assert sorted(os.sched_getparam(thread).sched_priority for thread in threads) == [49, 50]


DEAF = (
    sys.executable, "-c",
    "import os, pathlib, sys\nfrom fastha.process.vrrp import main\nfrom fastha.system import sockets\n"
    "real = sockets.listener\n"
    "def listener(*words, **more):\n"
    "    if not pathlib.Path(os.environ['MAY_HEAR']).exists(): raise OSError(105, 'No buffer space available')\n"
    "    return real(*words, **more)\n"
    "sockets.listener = listener\n"
    "sys.exit(main())",
)  # fmt: skip
"""The vrrp process on a machine where receive sockets cannot be opened until the file $MAY_HEAR exists."""


def test_who_cannot_hear_does_not_take_over(segment: Segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAY_HEAR", str(tmp_path / "may"))
    a, b = segment.node(), segment.node()
    strong = FasthaVrrp(a, one(priority=200), tmp_path)
    deaf = FasthaVrrp(b, one(priority=100), tmp_path, program=DEAF)
    master(strong)
    capture = segment.capture()
    until(lambda: len(capture.adverts(a.address)) > 15, "adverts for many master-down times")
    assert deaf.states == {"VI": "BACKUP"}
    assert any("cannot hear adverts on eth0: No buffer space available" in line for line in deaf.log)
    (tmp_path / "may").touch()
    until(lambda: deaf.snapshot().engine["expected"] > 2, "it to hear")
    strong.kill()
    master(deaf)
    assert list(deaf.states.values()) == ["MASTER"]


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not installed")
def test_without_raw_sockets_it_says_so_and_ends(segment: Segment, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="VRRP needs raw sockets"):
        FasthaVrrp(segment.node(), one(), tmp_path, program=("setpriv", "--bounding-set=-net_raw", *VRRP))


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not installed")
def test_real_time_refused_is_said_and_survived(segment: Segment, tmp_path: Path) -> None:
    without = ("setpriv", "--bounding-set=-sys_nice,-ipc_lock,-sys_resource", "prlimit", "--memlock=65536:65536", *VRRP)
    daemon = FasthaVrrp(segment.node(), one(), tmp_path, program=without)
    master(daemon)
    assert daemon.snapshot().realtime == (
        "no SCHED_RR (Operation not permitted), memory not locked (Cannot allocate memory)"
    )
    assert sum("no real-time scheduling" in line for line in daemon.log) == 1
    assert sum("memory is not locked" in line for line in daemon.log) == 1


def test_a_backup_that_was_away_does_not_take_over(segment: Segment, tmp_path: Path) -> None:
    a, b = segment.node(), segment.node()
    strong, weak = FasthaVrrp(a, one(priority=200), tmp_path), FasthaVrrp(b, one(priority=100), tmp_path)
    master(strong)
    until(lambda: weak.snapshot().engine["expected"] > 3, "expected adverts")
    capture = segment.capture()
    weak.process.send_signal(signal.SIGSTOP)
    time.sleep(2)
    weak.process.send_signal(signal.SIGCONT)
    until(lambda: len(capture.adverts(a.address)) > 30, "adverts")
    assert weak.states == {"VI": "BACKUP"}
    assert not capture.adverts(b.address)
    assert weak.snapshot().engine["away"] == 1


def test_an_address_removed_by_somebody_else_costs_mastership_for_a_moment(segment: Segment, tmp_path: Path) -> None:
    a = segment.node()
    daemon = FasthaVrrp(a, one(), tmp_path)
    master(daemon)
    capture = segment.capture()
    a.ip("addr", "del", f"{VIP}/32", "dev", "eth0")
    until(lambda: any(f.vrrp[2] == 0 for f in capture.adverts()), "priority 0")
    master(daemon)
    assert any("was removed from eth0 by somebody else" in line for line in daemon.log)


def test_an_address_that_was_there_already_is_no_problem(segment: Segment, tmp_path: Path) -> None:
    a = segment.node()
    a.ip("addr", "add", "10.77.0.55/24", "dev", "eth0")
    daemon = FasthaVrrp(a, one(vips=(VIP, "10.77.0.101")), tmp_path)
    a.ip("addr", "add", "10.77.0.101/32", "dev", "eth0")
    master(daemon)
    assert not [line for line in daemon.log if line.startswith("error")]
    daemon.stop()
    assert not a.has(VIP)
    assert not a.has("10.77.0.101")
    assert a.has("10.77.0.55")


def test_static_addresses_are_kept(segment: Segment, tmp_path: Path) -> None:
    a = segment.node()
    static = VirtualAddress(address="10.9.0.1", prefixlen=24, dev="eth0")  # type: ignore[arg-type]
    daemon = FasthaVrrp(a, replace(one(), static_addresses=(static,)), tmp_path)
    until(lambda: a.has("10.9.0.1"), "the static address")
    a.ip("addr", "del", "10.9.0.1/24", "dev", "eth0")
    until(lambda: a.has("10.9.0.1"), "the static address to be restored")
    daemon.stop()
    assert not a.has("10.9.0.1")


def test_an_interface_that_is_deleted_and_made_again_is_used_again(segment: Segment, tmp_path: Path) -> None:
    a = segment.node()
    daemon = FasthaVrrp(a, one(), tmp_path)
    master(daemon)
    a.ip("link", "del", "eth0")
    until(lambda: daemon.state() == "FAULT", "FAULT")
    failed = daemon.snapshot().engine["send_failed"]
    segment.attach(a)
    master(daemon)
    capture = segment.capture()
    until(lambda: len(capture.adverts(a.address)) > 3, "adverts from the new interface")
    assert daemon.snapshot().engine["send_failed"] == failed
    assert not [line for line in daemon.log if "cannot send adverts" in line]


def test_ipv6_takes_over_and_announces(segment: Segment, tmp_path: Path) -> None:
    a, b = segment.node(), segment.node()
    plan = one(vips=("fd77::100",), priority=200)
    until(lambda: "fe80" in a.ip("-6", "addr", "show", "eth0", "-tentative"), "link-local address")
    capture = segment.capture()
    strong = FasthaVrrp(a, plan, tmp_path)
    weak = FasthaVrrp(b, one(vips=("fd77::100",), priority=100), tmp_path)
    until(lambda: strong.state() == "MASTER" and a.has("fd77::100"), "MASTER")
    until(lambda: weak.state() == "BACKUP" and weak.snapshot().engine["expected"] > 2, "expected adverts")
    frame = capture.adverts()[0]
    assert frame.data[:6].hex() == "333300000012"
    assert frame.ip[7] == 255
    assert [f for f in list(capture.frames) if f.ethertype == 0x86DD and f.data[54] == 136], (
        "no neighbour advertisement"
    )
    strong.stop()
    until(lambda: weak.state() == "MASTER" and b.has("fd77::100"), "takeover")


def test_without_its_link_local_address_ipv6_says_a_last_word(segment: Segment, tmp_path: Path) -> None:
    a = segment.node()
    until(lambda: "fe80" in a.ip("-6", "addr", "show", "eth0", "-tentative"), "link-local address")
    own = next(word for word in a.ip("-6", "-o", "addr", "show", "eth0").split() if word.startswith("fe80"))
    capture = segment.capture()
    daemon = FasthaVrrp(a, one(vips=("fd77::100",)), tmp_path)
    until(lambda: daemon.state() == "MASTER" and a.has("fd77::100"), "MASTER")
    a.ip("addr", "del", own, "dev", "eth0")
    until(lambda: daemon.state() == "FAULT" and not a.has("fd77::100"), "FAULT")
    until(lambda: capture.adverts()[-1].vrrp[2] == 0, "priority 0")
    last = [f for f in capture.adverts() if f.vrrp[2] == 0]
    assert [f.data[22:38] for f in last] == [socket.inet_pton(socket.AF_INET6, own.partition("/")[0])]


def test_a_primary_address_takes_the_virtual_ones_with_it(segment: Segment, tmp_path: Path) -> None:
    """The kernel removes secondary addresses first: the loss of them is what counts, and priority 0 is said once."""
    a = segment.node()
    capture = segment.capture()
    plan = one()
    vip = replace(plan.instances[0].addresses[0], prefixlen=24)
    daemon = FasthaVrrp(a, replace(plan, instances=(replace(plan.instances[0], addresses=(vip,)),)), tmp_path)
    master(daemon)
    a.ip("addr", "del", f"{a.address}/24", "dev", "eth0")
    until(lambda: daemon.state() == "FAULT", "FAULT")
    until(lambda: capture.adverts()[-1].vrrp[2] == 0, "priority 0")
    entered = [line.split("Entering ")[1] for line in daemon.log if "Entering" in line]
    assert entered[-2:] == ["BACKUP STATE", "FAULT STATE"]
    assert len([f for f in capture.adverts() if f.vrrp[2] == 0]) == 1


def test_unicast(segment: Segment, tmp_path: Path) -> None:
    from fastha.model.plan import UnicastPeer

    a, b = segment.node(), segment.node()

    def plan(me: Node, peer: Node, priority: int) -> VrrpPlan:
        return one(priority=priority, source=me.address, unicast_peers=(UnicastPeer(address=peer.address),))  # type: ignore[arg-type]

    strong = FasthaVrrp(a, plan(a, b, 200), tmp_path)
    weak = FasthaVrrp(b, plan(b, a, 100), tmp_path)
    master(strong)
    until(lambda: weak.snapshot().engine["expected"] > 2, "expected adverts")
    assert weak.states == {"VI": "BACKUP"}
    segment.cut(a)
    master(weak)


def test_a_failing_script_moves_the_address(segment: Segment, tmp_path: Path) -> None:
    a, b = segment.node(), segment.node()
    tracked = (Track(name="chk", weight=-60),)
    strong = FasthaVrrp(a, one(priority=150, track_scripts=tracked), tmp_path)
    runner = strong.link()
    runner.send(datagram.encode(messages.TrackerScript("chk", True)))
    weak = FasthaVrrp(b, one(priority=100), tmp_path)
    master(strong)
    runner.send(datagram.encode(messages.TrackerScript("chk", False)))
    master(weak)
    runner.send(datagram.encode(messages.TrackerScript("chk", True)))
    master(strong)
    told = [m for m in drained(runner) if isinstance(m, messages.Tell)]
    assert [m.state for m in told] == ["BACKUP", "MASTER", "BACKUP", "MASTER"]
    assert told[1].mail_subject == "VRRP Instance VI - Entering MASTER state"


def drained(sock: socket.socket) -> list[messages.Message]:
    """All messages until nothing more comes for a moment."""
    sock.settimeout(0.3)
    found = []
    try:
        while data := sock.recv(1 << 16):
            found.append(datagram.decode(data))
    except TimeoutError:
        pass
    return found


def test_the_watchdog_is_answered(segment: Segment, tmp_path: Path) -> None:
    daemon = FasthaVrrp(segment.node(), one(), tmp_path)
    serial = daemon.ping()
    until(lambda: daemon.ponged(serial), "an answer")


def test_reload_by_difference(segment: Segment, tmp_path: Path) -> None:
    a, client = segment.node(), segment.node()
    daemon = FasthaVrrp(a, one(vips=(VIP, "10.77.0.101")), tmp_path)
    master(daemon)
    ping = Pinger(client.namespace, VIP)
    capture = segment.capture()
    other = instance("OTHER", vrid=52, vips=("10.77.0.103",), **FAST)  # type: ignore[arg-type]
    daemon.give(VrrpPlan(instances=(*one(vips=(VIP, "10.77.0.102"), priority=120).instances, other)))
    until(lambda: a.has("10.77.0.102") and not a.has("10.77.0.101"), "the addresses of the new plan")
    until(lambda: a.has("10.77.0.103"), "the new instance")
    daemon.give(one(vips=(VIP, "10.77.0.102"), priority=120))
    until(lambda: not a.has("10.77.0.103"), "the removed instance to let go")
    assert ping.lost() == 0
    adverts = capture.adverts(a.address)
    assert {f.vrrp[2] for f in adverts if f.vrrp[1] == 51} <= {100, 120}
    assert [f.vrrp[2] for f in adverts if f.vrrp[1] == 52][-1] == 0


def test_a_reload_may_bring_many_more_instances_than_there_were(segment: Segment, tmp_path: Path) -> None:
    a = segment.node()
    daemon = FasthaVrrp(a, one(), tmp_path)
    master(daemon)
    capture = segment.capture()
    others = [instance(f"I{i}", vrid=i, vips=(f"10.78.0.{i}",), **FAST) for i in range(100, 200)]  # type: ignore[arg-type]
    daemon.give(VrrpPlan(instances=(*one().instances, *others)))
    until(lambda: list(daemon.states.values()).count("MASTER") == 101, "all to be MASTER", 10)
    until(lambda: {f.vrrp[1] for f in capture.adverts(a.address)} >= {51, *range(100, 200)}, "adverts of all", 5)


def test_two_hundred_instances_fail_over_together(segment: Segment, tmp_path: Path) -> None:
    a, b = segment.node(), segment.node()

    def plan(priority: int) -> VrrpPlan:
        return VrrpPlan(
            instances=tuple(
                instance(f"I{i}", vrid=i, priority=priority, vips=(f"10.78.0.{i}",), version=3, adver_int=S)
                for i in range(1, 201)
            )
        )

    strong = FasthaVrrp(a, plan(200), tmp_path)
    until(lambda: list(strong.states.values()).count("MASTER") == 200, "200 masters", 10)
    weak = FasthaVrrp(b, plan(100), tmp_path)
    until(lambda: weak.snapshot().engine["expected"] > 400, "expected adverts", 10)
    segment.cut(a)
    until(lambda: list(weak.states.values()).count("MASTER") == 200, "200 masters", 10)
    until(lambda: b.ip("-o", "-4", "addr", "show").count("/32") == 200, "200 addresses", 3)
    # adverts are far apart in time on a quiet wire: none was missed, none judged late
    assert weak.snapshot().engine["waiting_lost"] == 0
