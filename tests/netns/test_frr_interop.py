"""Elections with FRR's vrrpd, an implementation with nothing in common with keepalived: both roles, versions 2 and 3,
IPv4 and IPv6. Each must believe the other's adverts, yield to the better one, and take over when it leaves."""

from pathlib import Path

import pytest

from fastha.model.plan import VrrpPlan
from fastha.model.units import MS
from tests.netns.frr import DAEMONS, Frr
from tests.netns.segment import Capture, Node, Segment
from tests.netns.vrrp_daemons import FasthaVrrp, instance
from tests.poll import until

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(not (DAEMONS / "vrrpd").exists(), reason="FRR is not installed (Debian package frr)"),
]

CASES = {
    "v2": (2, 1000, ("10.77.0.100",)),
    "v3": (3, 200, ("10.77.0.100", "10.77.0.101")),
    "v3-IPv6": (3, 200, ("fe80::77:100", "fd77::100")),
}


class Fight:
    def __init__(self, segment: Segment, directory: Path, case: str) -> None:
        self.version, self.interval, self.vips = CASES[case]
        self.directory = directory
        self.ours, self.theirs = segment.node(), segment.node()
        for node in (self.ours, self.theirs):
            until(
                lambda node=node: "fe80" in node.ip("-6", "addr", "show", "eth0", "-tentative"), "a link-local address"
            )
        self.capture: Capture = segment.capture()

    def fastha(self, priority: int) -> FasthaVrrp:
        plan = instance(priority=priority, vips=self.vips, version=self.version, adver_int=self.interval * MS)
        return FasthaVrrp(self.ours, VrrpPlan(instances=(plan,)), self.directory)

    def frr(self, priority: int) -> Frr:
        return Frr(
            self.theirs, vrid=51, version=self.version, priority=priority, interval=self.interval, vips=self.vips
        )

    def state(self, daemon: FasthaVrrp | Frr, state: str) -> None:
        until(lambda: daemon.state() == state, f"{type(daemon).__name__} to be {state}", 10)

    def speakers(self, since: int) -> set[str]:
        """Who has sent adverts of a MASTER since then."""
        return {f.source for f in self.capture.adverts()[since:] if f.vrrp[2]}

    def only_one_speaks(self) -> None:
        """For some intervals; the last words of who yielded may still be on the way."""
        seen = len(self.capture.adverts()) + 2
        until(lambda: len(self.capture.adverts()) > seen + 2, "adverts", 8)
        assert len(self.speakers(seen)) == 1


@pytest.mark.parametrize("case", CASES)
def test_we_preempt_and_hand_over(segment: Segment, tmp_path: Path, case: str) -> None:
    fight = Fight(segment, tmp_path, case)
    theirs = fight.frr(100)
    fight.state(theirs, "MASTER")
    ours = fight.fastha(200)
    fight.state(ours, "MASTER")
    fight.state(theirs, "BACKUP")
    fight.only_one_speaks()
    snapshot = ours.snapshot().instances[0]
    assert not {name: count for name, count in snapshot.stats.items() if count and name.endswith(("_err", "failure"))}
    ours.stop()
    fight.state(theirs, "MASTER")


@pytest.mark.parametrize("case", CASES)
def test_we_yield_and_take_over(segment: Segment, tmp_path: Path, case: str) -> None:
    fight = Fight(segment, tmp_path, case)
    ours = fight.fastha(100)
    fight.state(ours, "MASTER")
    theirs = fight.frr(200)
    fight.state(theirs, "MASTER")
    fight.state(ours, "BACKUP")
    fight.only_one_speaks()
    until(lambda: ours.snapshot().engine["expected"] >= 1, "expected adverts")
    assert has(fight.ours, fight.vips) == []
    theirs.stop()
    fight.state(ours, "MASTER")
    assert has(fight.ours, fight.vips) == list(fight.vips)


def has(node: Node, vips: tuple[str, ...]) -> list[str]:
    return [vip for vip in vips if node.has(vip)]
