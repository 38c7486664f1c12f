"""What fastha puts on the wire is what C keepalived puts there: the same frames, octet by octet.

Both run one after the other on the same node (same addresses, same MAC), alone on their segment.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fastha.model.plan import VrrpInstance, VrrpPlan
from fastha.model.units import MS, S
from tests.netns.segment import Frame, Segment, unique
from tests.netns.vrrp_daemons import FasthaVrrp, Keepalived, instance, keepalived_config, password
from tests.poll import until

pytestmark = [pytest.mark.netns, pytest.mark.compat]

ADVERTS = 3
GARPS = 5
"""garp_master_repeat; the delayed burst is off."""


@pytest.fixture
def segment() -> Iterator[Segment]:
    made = Segment(unique("fhc"))
    try:
        yield made
    finally:
        made.close()


PLANS = {
    "v2": instance(version=2, adver_int=S),
    "v2-PASS-three-addresses": instance(
        version=2, adver_int=S, priority=7, vips=("10.77.0.100", "10.77.0.99", "10.77.0.101"), **password("ab")
    ),
    "v3": instance(version=3, adver_int=400 * MS, priority=254),
    "v3-address-owner": instance(version=3, adver_int=S, priority=255, vips=("10.77.0.100", "10.77.0.102")),
    "v6": instance(vips=("fe80::5:1", "fd77::100"), adver_int=400 * MS),
}


def announcements(frames: list[Frame]) -> list[Frame]:
    """Gratuitous ARP, and neighbour advertisements to all nodes."""
    return [
        f for f in frames if f.ethertype == 0x0806 or (f.ethertype == 0x86DD and f.data[20] == 58 and f.data[54] == 136)
    ]


def life(segment: Segment, daemon: FasthaVrrp | Keepalived, plan: VrrpInstance, since: int) -> dict[str, list[str]]:
    """The first adverts, the announcements between, and the last advert, as hex."""
    capture = segment.captures[0]

    def frames() -> list[Frame]:
        return list(capture.frames)[since:]

    def adverts() -> list[Frame]:
        return [f for f in frames() if f.is_advert]

    until(lambda: len(adverts()) >= ADVERTS, "adverts", 10)
    first = [f.data.hex() for f in adverts()[:ADVERTS]]
    order = ["advert" if f.is_advert else "announcement" for f in frames() if f.is_advert or f in announcements([f])]
    announced = [f.data.hex() for f in announcements(frames())]
    daemon.stop()
    until(lambda: adverts()[-1].vrrp[2] == 0, "priority 0")
    resigned = [f for f in adverts() if f.vrrp[2] == 0]
    return {
        "adverts": first,
        "announcements": announced,
        "order": order[: 1 + GARPS * len(plan.addresses)],
        "resigned": [f.vrrp.hex() for f in resigned],
    }


@pytest.mark.parametrize("name", PLANS)
def test_the_same_frames(segment: Segment, tmp_path: Path, name: str) -> None:
    plan = PLANS[name]
    node = segment.node()
    if plan.family == 6:
        until(lambda: "fe80" in node.ip("-6", "addr", "show", "eth0", "-tentative"), "link-local address")
    capture = segment.capture()
    global_words = "vrrp_version 3\n" if plan.version == 3 else ""
    config = f"global_defs {{\n{global_words}}}\n" + keepalived_config(plan, plan.adver_int)
    theirs = life(segment, Keepalived(node, config, tmp_path), plan, 0)
    since = len(capture.frames)
    ours = life(segment, FasthaVrrp(node, VrrpPlan(instances=(plan,)), tmp_path), plan, since)
    assert ours["adverts"] == theirs["adverts"]
    assert ours["announcements"] == theirs["announcements"]
    assert ours["order"] == theirs["order"]
    assert ours["resigned"] == theirs["resigned"]
