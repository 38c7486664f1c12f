"""What a director of C keepalived must not be able to tell: AH, unicast and IPv6 elections with real packets, in both
roles; and fastha with itself where keepalived 2.2 has no word for it (auth_hmac)."""

import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fastha.model.net import Address
from fastha.model.plan import AuthHmac, AuthType, HmacMode, UnicastPeer, VrrpInstance, VrrpPlan
from fastha.model.units import MS, S
from fastha.wire import vrrp as wire
from tests.netns.segment import Capture, Node, Segment
from tests.netns.vrrp_daemons import FasthaVrrp, Keepalived, instance, keepalived_config, password
from tests.poll import until

pytestmark = [pytest.mark.netns, pytest.mark.compat]

Daemon = FasthaVrrp | Keepalived
VIP = "10.77.0.100"
KEYS = {1: b"0123456789abcdef0123456789abcdef", 2: b"fedcba9876543210fedcba9876543210"}
KINDS = [("fastha", "keepalived"), ("keepalived", "fastha")]
SLOW: dict[str, object] = {"version": 2, "adver_int": S, "down_timer_adverts": 2}
CASES = {
    "v2-AH": {**SLOW, **password("secret1", AuthType.AH)},
    "v2-AH-unicast": {**SLOW, "unicast": True, **password("secret12", AuthType.AH)},
    "v2-unicast": {**SLOW, "unicast": True, **password("secret1")},
    "v3-unicast": {"version": 3, "adver_int": 200 * MS, "unicast": True},
    "v3-IPv6": {"version": 3, "adver_int": 200 * MS, "vips": ("fe80::77:100", "fd77::100")},
    "v3-IPv6-unicast": {"version": 3, "adver_int": 200 * MS, "vips": ("fd77::100",), "unicast": True},
}


class Pair:
    """Two nodes, each with an address of either family."""

    def __init__(self, segment: Segment, directory: Path, words: dict[str, object]) -> None:
        self.segment, self.directory = segment, directory
        self.words = dict(words)
        self.unicast = bool(self.words.pop("unicast", False))
        self.vips = self.words.pop("vips", (VIP,))
        self.a, self.b = segment.node(), segment.node()
        for node in (self.a, self.b):
            node.ip("addr", "add", f"{self.six(node)}/64", "dev", "eth0", "nodad")

    @staticmethod
    def six(node: Node) -> str:
        return f"fd77::{node.name[1:]}"

    def address(self, node: Node) -> Address:
        return Address(self.six(node) if ":" in self.vips[-1] else node.address)  # type: ignore[index]

    def plan(self, node: Node, priority: int, **words: object) -> VrrpInstance:
        if self.unicast:
            other = self.b if node is self.a else self.a
            words |= {"source": self.address(node), "unicast_peers": (UnicastPeer(address=self.address(other)),)}
        return instance(priority=priority, vips=self.vips, **{**self.words, **words})  # type: ignore[arg-type]

    def start(self, kind: str, node: Node, priority: int, **words: object) -> Daemon:
        plan = self.plan(node, priority, **words)
        directory = self.directory / node.name
        if kind == "fastha":
            return FasthaVrrp(node, VrrpPlan(instances=(plan,)), directory)
        return Keepalived(node, keepalived_config(plan, plan.adver_int), directory)

    def master(self, node: Node, daemon: Daemon) -> None:
        vip = self.vips[-1]  # type: ignore[index]
        until(lambda: daemon.state() == "MASTER" and node.has(vip), f"{node.name} to be MASTER", 8)

    def backup(self, node: Node, daemon: Daemon) -> None:
        vip = self.vips[-1]  # type: ignore[index]
        until(lambda: daemon.state() == "BACKUP" and not node.has(vip), f"{node.name} to be BACKUP", 8)


def stays(daemon: Daemon, state: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert daemon.state() == state
        time.sleep(0.05)


@pytest.mark.parametrize(("first", "second"), KINDS)
@pytest.mark.parametrize("case", CASES)
def test_elections(segment: Segment, tmp_path: Path, case: str, first: str, second: str) -> None:
    """The better one preempts, is believed, hands over when it stops; with AH, whose counter it has lost, it preempts
    again after a fresh start."""
    pair = Pair(segment, tmp_path, CASES[case])
    weak = pair.start(second, pair.b, 100)
    pair.master(pair.b, weak)
    strong = pair.start(first, pair.a, 200)
    pair.master(pair.a, strong)
    pair.backup(pair.b, weak)
    interval = pair.plan(pair.a, 1).adver_int / S
    stays(weak, "BACKUP", 2.2 * interval)
    strong.stop()
    pair.master(pair.b, weak)
    if case != "v2-AH":
        return
    again = pair.start(first, pair.a, 200)
    pair.master(pair.a, again)
    pair.backup(pair.b, weak)
    stays(weak, "BACKUP", 1.5 * interval)


V3: dict[str, object] = {"version": 3, "adver_int": 200 * MS}


@pytest.mark.parametrize(("first", "second"), KINDS)
def test_equal_priorities_leave_who_is_master_until_it_stops(
    segment: Segment, tmp_path: Path, first: str, second: str
) -> None:
    """Whichever has the higher address: no address is looked at by who hears a master before it speaks itself."""
    pair = Pair(segment, tmp_path, V3)
    early = pair.start(first, pair.a, 100)
    pair.master(pair.a, early)
    late = pair.start(second, pair.b, 100)
    until(lambda: late.state() == "BACKUP", "the late one to be BACKUP")
    stays(late, "BACKUP", 1)
    early.stop()
    pair.master(pair.b, late)
    again = pair.start(first, pair.a, 100)
    until(lambda: again.state() == "BACKUP", "the one that comes back to be BACKUP")
    stays(again, "BACKUP", 1)
    pair.master(pair.b, late)


@pytest.mark.parametrize(("first", "second"), KINDS)
def test_preempt_delay_is_waited_for(segment: Segment, tmp_path: Path, first: str, second: str) -> None:
    pair = Pair(segment, tmp_path, V3)
    weak = pair.start(second, pair.b, 100)
    pair.master(pair.b, weak)
    strong = pair.start(first, pair.a, 200, preempt_delay=2 * S)
    until(lambda: strong.state() == "BACKUP", "the strong one to be BACKUP")
    stays(strong, "BACKUP", 1.5)
    pair.master(pair.a, strong)
    pair.backup(pair.b, weak)


def test_a_wrong_password_makes_two_masters_that_count_it(segment: Segment, tmp_path: Path) -> None:
    pair = Pair(segment, tmp_path, CASES["v2-AH"])
    weak = pair.start("keepalived", pair.b, 100)
    pair.master(pair.b, weak)
    other = pair.start("fastha", pair.a, 200, **password("other", AuthType.AH))
    pair.master(pair.a, other)
    assert isinstance(other, FasthaVrrp)
    until(lambda: other.snapshot().instances[0].stats["auth_failure"] > 0, "failures to be counted")
    assert weak.state() == "MASTER"


def test_a_process_that_was_killed_is_believed_when_it_goes_on_with_ah(segment: Segment, tmp_path: Path) -> None:
    """Its counter begins above what the backup has heard: C keepalived sees no gap, and takes nothing over."""
    pair = Pair(segment, tmp_path, CASES["v2-AH"])
    strong = pair.start("fastha", pair.a, 200)
    pair.master(pair.a, strong)
    weak = pair.start("keepalived", pair.b, 100)
    until(lambda: weak.state() == "BACKUP", "the weak one to be BACKUP")
    time.sleep(1.2)  # it has heard a few
    strong.process.kill()
    strong.process.wait()
    plan = VrrpPlan(instances=(pair.plan(pair.a, 200),))
    FasthaVrrp(pair.a, plan, tmp_path / "again", resume=("VI",))
    stays(weak, "BACKUP", 5)


HMAC = AuthHmac(keys=KEYS, active_key=1, time_window=5)
HMAC_CASES = {
    "v2": SLOW,
    "v3": {"version": 3, "adver_int": 200 * MS},
    "v3-unicast": {"version": 3, "adver_int": 200 * MS, "unicast": True},
    "v3-IPv6": {"version": 3, "adver_int": 200 * MS, "vips": ("fe80::77:100", "fd77::100")},
}


@pytest.mark.parametrize("case", HMAC_CASES)
def test_auth_hmac(segment: Segment, tmp_path: Path, case: str) -> None:
    pair = Pair(segment, tmp_path, {**HMAC_CASES[case], "auth_hmac": HMAC})
    weak = pair.start("fastha", pair.b, 100)
    pair.master(pair.b, weak)
    # each signs with another of the keys both know
    strong = pair.start("fastha", pair.a, 200, auth_hmac=replace(HMAC, active_key=2))
    pair.master(pair.a, strong)
    pair.backup(pair.b, weak)
    stays(weak, "BACKUP", 1)
    assert isinstance(weak, FasthaVrrp)
    stats = weak.snapshot().instances[0].stats
    assert stats["advert_rcvd"] > 1
    assert {name: count for name, count in stats.items() if name.startswith("auth") and count} == {}
    strong.stop()
    pair.master(pair.b, weak)


def test_auth_hmac_is_brought_in_without_a_gap(segment: Segment, tmp_path: Path) -> None:
    """From unsigned to signed, one director at a time: receive-only, permissive, enforce."""
    pair = Pair(segment, tmp_path, {"version": 3, "adver_int": 200 * MS})
    strong, weak = pair.start("fastha", pair.a, 200), pair.start("fastha", pair.b, 100)
    assert isinstance(strong, FasthaVrrp)
    assert isinstance(weak, FasthaVrrp)
    pair.master(pair.a, strong)
    for mode in (HmacMode.RECEIVE_ONLY, HmacMode.PERMISSIVE, HmacMode.ENFORCE):
        hmac = replace(HMAC, mode=mode)
        for node, daemon, priority in ((pair.b, weak, 100), (pair.a, strong, 200)):
            daemon.give(VrrpPlan(instances=(pair.plan(node, priority, auth_hmac=hmac),)))
            until(lambda d=daemon: d.snapshot().instances[0].state != "INIT", "the new Plan")
            stays(strong, "MASTER", 0.3)
            stays(weak, "BACKUP", 0.9)


def test_unicast_instances_with_one_vrid_are_told_apart_by_sender(segment: Segment, tmp_path: Path) -> None:
    """Two on one interface, each with a peer of its own that runs C keepalived: the one yields, the other leads."""
    a, better, worse = segment.node(), segment.node(), segment.node()

    def plan(name: str, node: Node, peer: Node, priority: int, vip: str) -> VrrpInstance:
        return instance(
            name,
            priority=priority,
            vips=(vip,),
            version=3,
            adver_int=200 * MS,
            source=Address(node.address),
            unicast_peers=(UnicastPeer(address=Address(peer.address)),),
        )

    first, second = plan("VI_1", a, better, 100, "10.77.0.101"), plan("VI_2", a, worse, 100, "10.77.0.102")
    theirs = [
        Keepalived(node, keepalived_config(own, own.adver_int), tmp_path / node.name)
        for node, own in (
            (better, plan("VI", better, a, 200, "10.77.0.101")),
            (worse, plan("VI", worse, a, 50, "10.77.0.102")),
        )
    ]
    ours = FasthaVrrp(a, VrrpPlan(instances=(first, second)), tmp_path / "a")
    until(lambda: ours.state("VI_1") == "BACKUP" and ours.state("VI_2") == "MASTER", "one of each", 8)
    until(lambda: [daemon.state() for daemon in theirs] == ["MASTER", "BACKUP"], "the peers to agree", 8)
    begin = ours.snapshot()
    time.sleep(1)
    assert {i.name: i.state for i in ours.snapshot().instances} == {"VI_1": "BACKUP", "VI_2": "MASTER"}
    assert ours.snapshot().engine["reported"] - begin.engine["reported"] < 3  # the boring case stays boring


@pytest.mark.parametrize("word", [None, 100])
def test_a_master_that_stood_still(segment: Segment, tmp_path: Path, word: int | None) -> None:
    """With timer_expired_backup it leaves the one that took over alone; without, it is master again."""
    pair = Pair(segment, tmp_path, {"version": 3, "adver_int": 200 * MS})
    strong = pair.start("fastha", pair.a, 200, nopreempt=True, timer_expired_backup=word)
    pair.master(pair.a, strong)
    weak = pair.start("keepalived", pair.b, 100)
    until(lambda: weak.state() == "BACKUP", "the weak one to be BACKUP")
    assert isinstance(strong, FasthaVrrp)
    strong.process.send_signal(signal.SIGSTOP)
    pair.master(pair.b, weak)
    strong.process.send_signal(signal.SIGCONT)
    if word is None:
        pair.backup(pair.b, weak)
        stays(strong, "MASTER", 0.5)
    else:
        pair.backup(pair.a, strong)
        stays(weak, "MASTER", 1)


def arriving(segment: Segment, node: Node) -> Capture:
    """What comes to a node: a bridge shows unicast frames to nobody else."""
    segment.captures.append(Capture(node.namespace, "eth0"))
    return segment.captures[-1]


def test_a_peer_with_old_unicast_checksums(segment: Segment, tmp_path: Path) -> None:
    """C keepalived that is told to makes them: fastha understands it, and is understood, without being told."""
    pair = Pair(segment, tmp_path, CASES["v3-unicast"])
    theirs = pair.plan(pair.b, 100)
    text = keepalived_config(theirs, theirs.adver_int, old_unicast_checksum="")
    weak = Keepalived(pair.b, text, tmp_path / "b")
    pair.master(pair.b, weak)
    here, there = arriving(segment, pair.a), arriving(segment, pair.b)
    strong = pair.start("fastha", pair.a, 200)
    pair.master(pair.a, strong)
    pair.backup(pair.b, weak)
    stays(weak, "BACKUP", 1)
    assert isinstance(strong, FasthaVrrp)
    assert strong.snapshot().instances[0].stats["checksum_err"] == 0
    for node, capture in ((pair.a, there), (pair.b, here)):
        frame = capture.adverts(node.address)[-1]
        assert wire.message_checksum(frame.vrrp, Address(node.address), theirs.group, pseudo=True) == 0


def test_unicast_over_ipv6_has_the_kernel_s_hop_limit(segment: Segment, tmp_path: Path) -> None:
    pair = Pair(segment, tmp_path, CASES["v3-IPv6-unicast"])
    capture = arriving(segment, pair.b)
    for limit, words in ((64, {}), (9, {"unicast_ttl": 9})):
        daemon = pair.start("fastha", pair.a, 200, **words)
        until(lambda w=limit: any(f.ip[7] == w for f in capture.adverts(pair.six(pair.a))), f"hop limit {limit}", 8)
        daemon.stop()
