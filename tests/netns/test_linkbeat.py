"""Interfaces that are polled, and instances without an interface."""

from pathlib import Path

import pytest

from fastha.system.linkbeat import Linkbeat
from tests.netns.kernel_tables import plan_of
from tests.netns.segment import Segment, inside
from tests.netns.vrrp_daemons import FasthaVrrp
from tests.poll import until

pytestmark = pytest.mark.netns

ONE = """
vrrp_instance VI {
  interface eth0
  virtual_router_id 51
  version 3
  advert_int 0.1
  garp_master_delay 0
  virtual_ipaddress { 10.77.0.100/32 }
}
"""
BARE = """
vrrp_instance VI {{
  virtual_router_id 51
  version 3
  advert_int 0.1
  priority {}
  unicast_src_ip {}
  unicast_peer {{ {} }}
  virtual_ipaddress {{ 10.77.0.100/32 dev eth0 }}
}}
"""


@pytest.mark.parametrize("way", ["", "ETHTOOL", "IOCTL"])
def test_each_way_sees_the_link(segment: Segment, way: str) -> None:
    node = segment.node()
    asker = inside(node.namespace, Linkbeat)
    until(lambda: asker.up("eth0", way), "the link")
    segment.cut(node)
    until(lambda: not asker.up("eth0", way), "its loss")
    segment.plug(node)
    until(lambda: asker.up("eth0", way), "its return")
    node.ip("link", "set", "eth0", "down")
    assert not asker.up("eth0", way)
    assert not asker.up("nosuch", way)
    asker.close()


def test_a_driver_without_mii_is_not_up_by_mii(segment: Segment) -> None:
    node = segment.node()
    asker = inside(node.namespace, Linkbeat)
    assert not asker.up("eth0", "MII")
    asker.close()


@pytest.mark.parametrize("words", ["linkbeat_use_polling\n", "linkbeat_interfaces {{ eth0 {} }}\n"])
def test_a_polled_interface_decides(segment: Segment, tmp_path: Path, words: str) -> None:
    node = segment.node()
    daemon = FasthaVrrp(node, plan_of(node, ONE + words.format("ETHTOOL"), tmp_path), tmp_path)
    until(lambda: daemon.state() == "MASTER", "MASTER")
    segment.cut(node)
    until(lambda: daemon.state() == "FAULT", "FAULT")
    segment.plug(node)
    until(lambda: daemon.state() == "MASTER", "MASTER again")


def test_what_the_kernel_says_does_not_count(segment: Segment, tmp_path: Path) -> None:
    """MII fails on this driver: the interface is down although the kernel says it is up."""
    node = segment.node()
    daemon = FasthaVrrp(node, plan_of(node, ONE + "linkbeat_interfaces { eth0 MII }\n", tmp_path), tmp_path)
    until(lambda: daemon.state() == "FAULT", "FAULT")
    segment.cut(node)
    segment.plug(node)
    daemon.give(plan_of(node, ONE, tmp_path))
    until(lambda: daemon.state() == "MASTER", "MASTER when it is no longer polled")


def test_unicast_without_an_interface(segment: Segment, tmp_path: Path) -> None:
    a, b = segment.node(), segment.node()
    strong = FasthaVrrp(a, plan_of(a, BARE.format(200, a.address, b.address), tmp_path), tmp_path / "a")
    until(lambda: strong.state() == "MASTER" and a.has("10.77.0.100"), "MASTER")
    weak = FasthaVrrp(b, plan_of(b, BARE.format(100, b.address, a.address), tmp_path), tmp_path / "b")
    until(lambda: weak.state() == "BACKUP" and weak.snapshot().engine["expected"] > 5, "BACKUP that hears")
    strong.stop()
    until(lambda: weak.state() == "MASTER" and b.has("10.77.0.100"), "takeover")
