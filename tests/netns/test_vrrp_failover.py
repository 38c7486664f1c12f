"""Elections with real packets: fastha with fastha, and with C keepalived in both roles."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastha.model.plan import VrrpInstance, VrrpPlan
from fastha.model.units import MS, S
from tests.netns.segment import Node, Segment
from tests.netns.vrrp_daemons import FasthaVrrp, Keepalived, instance, keepalived_config, password
from tests.poll import until

pytestmark = [pytest.mark.netns, pytest.mark.compat]

VIP = "10.77.0.100"
Daemon = FasthaVrrp | Keepalived
V2_PASS = {"version": 2, "adver_int": S, **password("secret1")}
V3 = {"version": 3, "adver_int": 200 * MS}


class Pair:
    """Two nodes with a daemon each; `strong` has the higher priority."""

    def __init__(self, segment: Segment, directory: Path, words: dict[str, object]) -> None:
        self.segment = segment
        self.directory = directory
        self.words = words
        self.a, self.b = segment.node(), segment.node()
        self.interval = int(words["adver_int"]) / S  # type: ignore[call-overload]
        self.skew = (256 - 100) / 256 * (1 if words["version"] == 2 else self.interval)
        self.master_down = 3 * self.interval + self.skew

    def plan(self, priority: int, **words: object) -> VrrpInstance:
        return instance(priority=priority, vips=(VIP,), **{**self.words, **words})  # type: ignore[arg-type]

    def start(self, kind: str, node: Node, priority: int, **words: object) -> Daemon:
        plan = self.plan(priority, **words)
        directory = self.directory / node.name
        if kind == "fastha":
            return FasthaVrrp(node, VrrpPlan(instances=(plan,)), directory)
        return Keepalived(node, keepalived_config(plan, plan.adver_int), directory)

    def master(self, node: Node, daemon: Daemon, seconds: float | None = None) -> None:
        """Wait until this one is MASTER and has the address."""
        limit = seconds if seconds is not None else self.master_down + 3
        until(lambda: daemon.state() == "MASTER" and node.has(VIP), f"{node.name} to be MASTER", limit)


@pytest.fixture(params=["v2-PASS", "v3"])
def pair(request: pytest.FixtureRequest, segment: Segment, tmp_path: Path) -> Pair:
    return Pair(segment, tmp_path, V2_PASS if request.param == "v2-PASS" else V3)


@pytest.fixture
def quick_pair(segment: Segment, tmp_path: Path) -> Pair:
    """Version 3, 200 ms: for what does not differ between the versions."""
    return Pair(segment, tmp_path, V3)


KINDS = [("fastha", "fastha"), ("fastha", "keepalived"), ("keepalived", "fastha")]


@contextlib.contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    begin = time.monotonic()
    yield lambda: time.monotonic() - begin


@pytest.mark.parametrize(("first", "second"), KINDS)
def test_the_backup_takes_over_when_the_master_falls_silent_and_yields_when_it_returns(
    pair: Pair, first: str, second: str
) -> None:
    strong = pair.start(first, pair.a, 200)
    pair.master(pair.a, strong)
    weak = pair.start(second, pair.b, 100)
    until(lambda: weak.state() == "BACKUP", "the weak one to be BACKUP")
    with stopwatch() as took:
        pair.segment.cut(pair.a)
        pair.master(pair.b, weak)
        # silence counts from the last advert, which is up to one interval old
        assert pair.master_down - pair.interval - 0.1 < took() < pair.master_down + 1.5
    # it has lost its link: FAULT, and the address is given up
    until(lambda: not pair.a.has(VIP), "the cut off one to give up the address")
    pair.segment.plug(pair.a)
    pair.master(pair.a, strong)
    until(lambda: weak.state() == "BACKUP" and not pair.b.has(VIP), "the weak one to yield", 3 * pair.interval + 1)


@pytest.mark.parametrize(("first", "second"), KINDS)
def test_a_master_that_stops_hands_over_at_once(pair: Pair, first: str, second: str) -> None:
    capture = pair.segment.capture()
    strong = pair.start(first, pair.a, 200)
    pair.master(pair.a, strong)
    weak = pair.start(second, pair.b, 100)
    until(lambda: weak.state() == "BACKUP", "the weak one to be BACKUP")
    until(lambda: len(capture.adverts(pair.a.address)) > 2, "adverts")
    with stopwatch() as took:
        strong.stop()
        pair.master(pair.b, weak)
        # C keepalived stays a second longer to let reports of its groups out; it has resigned before
        assert took() < pair.skew + (2.5 if first == "keepalived" else 1.5)
    assert not pair.a.has(VIP)
    priorities = [frame.vrrp[2] for frame in capture.adverts(pair.a.address)]
    assert priorities[-1] == 0
    assert set(priorities[:-1]) <= {200, 0}


@pytest.mark.parametrize(("first", "second"), KINDS)
def test_nopreempt_leaves_the_lower_one_in_charge(quick_pair: Pair, first: str, second: str) -> None:
    pair = quick_pair
    weak = pair.start(second, pair.b, 100)
    pair.master(pair.b, weak)
    strong = pair.start(first, pair.a, 200, nopreempt=True)
    until(lambda: strong.state() == "BACKUP", "the strong one to be BACKUP")
    end = time.monotonic() + pair.master_down + pair.interval
    while time.monotonic() < end:
        assert strong.state() == "BACKUP"
        assert pair.b.has(VIP)
        time.sleep(0.05)


@pytest.mark.parametrize(("first", "second"), KINDS)
def test_a_higher_priority_preempts(quick_pair: Pair, first: str, second: str) -> None:
    pair = quick_pair
    weak = pair.start(second, pair.b, 100)
    pair.master(pair.b, weak)
    strong = pair.start(first, pair.a, 200)
    pair.master(pair.a, strong)
    until(lambda: weak.state() == "BACKUP" and not pair.b.has(VIP), "the weak one to yield")
