"""ipvlan and VRF, which only the other kernel has: made from the configuration, and found in the kernel."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.netns.kernel_tables import plan_of
from tests.netns.segment import Node, Segment
from tests.netns.vrrp_daemons import FasthaVrrp
from tests.poll import until

pytestmark = [pytest.mark.ipvs, pytest.mark.netns]

SECONDS = 60.0
"""The guest is slow."""
IPVLAN = """
vrrp_instance VI {{
  interface eth0
  virtual_router_id 51
  version 3
  advert_int 1
  priority {}
  garp_master_delay 0
  use_ipvlan ipv51 {}/24 private
  virtual_ipaddress {{ 10.77.0.100/32 }}
}}
"""
VRF = """
vrrp_instance VI {
  interface eth0
  virtual_router_id 51
  version 3
  advert_int 1
  garp_master_delay 0
  use_vmac
  virtual_ipaddress { 10.77.0.100/32 }
  virtual_routes { 198.51.100.0/24 via 10.77.0.9 dev vrrp.51 onlink vrf red }
}
"""


@pytest.fixture
def segment() -> Iterator[Segment]:
    made = Segment("fhg")
    try:
        yield made
    finally:
        made.close()


def link(node: Node, name: str) -> dict[str, Any]:
    (found,) = json.loads(node.ip("-d", "-j", "addr", "show", "dev", name))
    return found  # type: ignore[no-any-return]


def test_an_instance_on_an_ipvlan(segment: Segment, tmp_path: Path) -> None:
    a, b = segment.node(), segment.node()
    strong = FasthaVrrp(a, plan_of(a, IPVLAN.format(200, "10.77.0.11"), tmp_path), tmp_path / "a")
    until(lambda: strong.state() == "MASTER" and a.has("10.77.0.100"), "MASTER", SECONDS)
    made = link(a, "ipv51")
    assert made["linkinfo"]["info_kind"] == "ipvlan"
    assert made["linkinfo"]["info_data"]["mode"] == "l2"
    assert made["link"] == "eth0"
    assert {one["local"] for one in made["addr_info"]} >= {"10.77.0.11", "10.77.0.100"}
    weak = FasthaVrrp(b, plan_of(b, IPVLAN.format(100, "10.77.0.12"), tmp_path), tmp_path / "b")
    until(lambda: weak.state() == "BACKUP" and weak.snapshot(SECONDS).engine["expected"] > 2, "BACKUP", SECONDS)
    assert weak.snapshot(SECONDS).instances[0].master_address == "10.77.0.11"
    strong.stop()
    assert "ipv51" not in a.ip("-o", "link")
    until(lambda: weak.state() == "MASTER", "takeover", SECONDS)


def test_a_virtual_mac_interface_and_its_route_in_a_vrf(segment: Segment, tmp_path: Path) -> None:
    node = segment.node()
    node.ip("link", "add", "red", "type", "vrf", "table", "77")
    node.ip("link", "set", "red", "up")
    node.ip("link", "set", "eth0", "master", "red")
    daemon = FasthaVrrp(node, plan_of(node, VRF, tmp_path), tmp_path)
    until(lambda: daemon.state() == "MASTER" and node.has("10.77.0.100"), "MASTER", SECONDS)
    assert link(node, "vrrp.51")["master"] == "red"
    assert "198.51.100.0/24" in node.ip("route", "show", "table", "77")
    daemon.stop()
    assert "198.51.100.0/24" not in node.ip("route", "show", "table", "77")
