"""Interfaces with virtual MAC addresses, their settings, and the firewall rules that go with them."""

import json
import re
import shutil
import socket
from pathlib import Path

import pytest

from fastha.model.snapshot import InstanceSnapshot
from tests.netns import kernel_tables
from tests.netns.kernel_tables import plan_of
from tests.netns.segment import Capture, Node, Pinger, Segment
from tests.netns.vrrp_daemons import FasthaVrrp, Keepalived
from tests.poll import until

pytestmark = pytest.mark.netns

MAC4, MAC6 = bytes.fromhex("00005e000133"), bytes.fromhex("00005e000233")
ONE = """
vrrp_instance VI {{
  interface eth0
  virtual_router_id 51
  priority {priority}
  version 3
  advert_int 0.1
  garp_master_delay 0
  use_vmac
  {more}
  virtual_ipaddress {{ 10.77.0.100/24 }}
}}
"""
SIX = """
vrrp_instance V6 {
  interface eth0
  virtual_router_id 51
  version 3
  advert_int 0.1
  garp_master_delay 0
  use_vmac
  no_accept
  virtual_ipaddress { fe80::51/64
    2001:db8:7::100/64 }
}
"""
MANY = (
    """
vrrp_instance V4 {
  interface eth0
  virtual_router_id 51
  version 3
  advert_int 0.1
  garp_master_delay 0
  use_vmac
  no_accept
  virtual_ipaddress {
    10.77.0.100/24
    10.77.0.101/32 dev eth0
    10.78.0.100/24 dev eth1
    10.78.0.101/24 dev eth1 use_vmac
  }
}
vrrp_instance V53 {
  interface eth1
  virtual_router_id 53
  version 3
  advert_int 0.1
  garp_master_delay 0
  use_vmac myvmac
  vmac_xmit_base
  use_vmac_addr
  virtual_ipaddress {
    10.78.0.105/24
    10.77.0.105/24 dev eth0
  }
}
"""
    + SIX
)


def plain(priority: int = 100, more: str = "") -> str:
    return ONE.format(priority=priority, more=more)


def master(daemon: FasthaVrrp, name: str = "VI") -> None:
    until(lambda: daemon.state(name) == "MASTER", f"{name} to be MASTER")
    until(lambda: daemon.snapshot().instances[0].present, "its addresses")


def shown(daemon: FasthaVrrp) -> InstanceSnapshot:
    return daemon.snapshot().instances[0]


def links(node: Node) -> list[str]:
    """Made interfaces: name, base, MAC address, mode, addresses, scopes of those that are no sources, whether up."""
    found = []
    for one in json.loads(node.ip("-d", "-j", "addr", "show")):
        if one.get("linkinfo", {}).get("info_kind") != "macvlan":
            continue
        addresses = sorted(f"{a['local']}/{a['prefixlen']}" for a in one["addr_info"] if not a.get("deprecated"))
        chosen = [a["scope"] for a in one["addr_info"] if a.get("deprecated")]
        mode = one["linkinfo"]["info_data"]["mode"]
        found.append(
            f"{one['ifname']} {one['link']} {one['address']} {mode} {addresses} {chosen} {'UP' in one['flags']}"
        )
    return sorted(found)


def setting(node: Node, name: str) -> str:
    return node.run("sysctl", "-n", name).strip()


def settings(node: Node) -> dict[str, str]:
    words = ("arp_ignore", "arp_filter", "accept_local", "rp_filter", "promote_secondaries")
    listed = node.run("sysctl", "-a", "-r", rf"^net\.ipv4\.conf\..*\.({'|'.join(words)})$")
    return dict(line.split(" = ") for line in listed.splitlines())


@pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed")
def test_interfaces_and_settings_are_those_of_keepalived(segment: Segment, tmp_path: Path) -> None:
    theirs, ours = segment.node(), segment.node()
    segment.cut(ours)
    for node in (theirs, ours):
        kernel_tables.second_interface(node)
        node.ip("addr", "add", "2001:db8:7::1/64", "dev", "eth0")
        node.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=2")
    keepalived = Keepalived(theirs, MANY, tmp_path / "c")
    until(lambda: theirs.has("10.77.0.105") and theirs.has("10.77.0.100") and theirs.has("fe80::51"), "keepalived", 15)
    expected, held = links(theirs), settings(theirs)
    keepalived.stop()
    segment.cut(theirs)
    segment.plug(ours)
    before = settings(ours), kernel_tables.addresses(ours)
    daemon = FasthaVrrp(ours, plan_of(ours, MANY, tmp_path), tmp_path)
    until(lambda: set(daemon.states.values()) == {"MASTER"} and ours.has("fe80::51"), "MASTER", 10)
    assert links(ours) == expected
    now = settings(ours)
    for name in ("vrrp/51", "vrrp1/51", "myvmac", "vrrp/53", "eth0", "eth1", "all", "default"):
        for word in ("arp_ignore", "arp_filter", "accept_local", "promote_secondaries"):
            key = f"net.ipv4.conf.{name}.{word}"
            assert now[key] == held[key], key
    assert now["net.ipv4.conf.all.rp_filter"] == "0"
    assert {name for name, value in now.items() if name.endswith(".rp_filter") and value == "0"} == {
        f"net.ipv4.conf.{name}.rp_filter" for name in ("all", "vrrp/51", "vrrp1/51", "myvmac", "vrrp/53")
    }
    daemon.stop()
    assert (settings(ours), kernel_tables.addresses(ours)) == before
    assert links(ours) == []


def test_adverts_and_announcements_come_from_the_virtual_mac_address(segment: Segment, tmp_path: Path) -> None:
    a, client = segment.node(), segment.node()
    capture = Capture(client.namespace, "eth0")
    client.closers.append(capture.close)
    daemon = FasthaVrrp(a, plan_of(a, plain() + SIX, tmp_path), tmp_path)
    master(daemon)
    until(lambda: daemon.state("V6") == "MASTER", "V6")
    until(lambda: len({f.ethertype for f in capture.adverts()}) == 2, "adverts of both families")
    four = [f for f in capture.adverts() if f.ethertype == 0x0800]
    six = [f for f in capture.adverts() if f.ethertype == 0x86DD]
    assert {f.data[6:12] for f in four} == {MAC4}
    assert {f.source for f in four} == {a.address}
    assert {f.data[6:12] for f in six} == {MAC6}
    garps = [f for f in capture.frames if f.ethertype == 0x0806 and f.data[28:32] == bytes([10, 77, 0, 100])]
    assert garps
    assert {f.data[6:12] for f in garps} | {f.data[22:28] for f in garps} == {MAC4}
    ping = Pinger(client.namespace, "10.77.0.100")
    until(lambda: ping.sent > 40, "pings")
    assert ping.lost() == 0
    replies = [f for f in capture.frames if f.ethertype == 0x0806 and f.data[20:22] == b"\0\2"]
    assert {f.data[22:28] for f in replies if f.data[28:32] == bytes([10, 77, 0, 100])} == {MAC4}


def test_a_takeover_between_virtual_mac_addresses_and_back(segment: Segment, tmp_path: Path) -> None:
    a, b = segment.node(), segment.node()
    strong = FasthaVrrp(a, plan_of(a, plain(200), tmp_path), tmp_path / "a")
    weak = FasthaVrrp(b, plan_of(b, plain(100), tmp_path), tmp_path / "b")
    master(strong)
    until(lambda: weak.state() == "BACKUP", "BACKUP")
    segment.cut(a)
    until(lambda: strong.state() == "FAULT" and weak.state() == "MASTER", "takeover")
    segment.plug(a)
    until(lambda: strong.state() == "MASTER" and weak.state() == "BACKUP", "return")
    assert not b.has("10.77.0.100")


@pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed")
def test_beside_keepalived_with_virtual_mac_addresses(segment: Segment, tmp_path: Path) -> None:
    a, b = segment.node(), segment.node()
    keepalived = Keepalived(a, plain(150), tmp_path / "c")
    until(lambda: keepalived.state() == "MASTER", "keepalived to be MASTER", 10)
    daemon = FasthaVrrp(b, plan_of(b, plain(100), tmp_path), tmp_path)
    until(lambda: daemon.state() == "BACKUP" and daemon.snapshot().engine["expected"] > 5, "BACKUP that hears")
    keepalived.stop()
    until(lambda: daemon.state() == "MASTER", "takeover")
    returned = Keepalived(a, plain(150), tmp_path / "d")
    until(lambda: returned.state() == "MASTER" and daemon.state() == "BACKUP", "keepalived back", 10)


def test_a_killed_process_converges(segment: Segment, tmp_path: Path) -> None:
    """Interfaces, settings and rules are found, used, and still put back at the end."""
    a, b = segment.node(), segment.node()
    a.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1")
    before = settings(a)
    config = plain(200, "no_accept")
    daemon = FasthaVrrp(a, plan_of(a, config, tmp_path), tmp_path)
    master(daemon)
    weak = FasthaVrrp(b, plan_of(b, plain(100), tmp_path), tmp_path / "b")
    until(lambda: weak.state() == "BACKUP", "BACKUP")
    index = a.ip("-o", "link", "show", "vrrp.51").split(":")[0]
    daemon.kill()
    again = FasthaVrrp(a, plan_of(a, config, tmp_path), tmp_path, resume=("VI",))
    master(again)
    assert a.ip("-o", "link", "show", "vrrp.51").split(":")[0] == index
    assert "10.77.0.100" in a.run("nft", "list", "ruleset")
    assert weak.states == {"VI": "BACKUP"}
    again.stop()
    assert links(a) == []
    assert settings(a) == before
    assert a.run("nft", "list", "ruleset").strip() == ""


def test_a_deleted_interface_of_ours_is_made_again(segment: Segment, tmp_path: Path) -> None:
    a = segment.node()
    daemon = FasthaVrrp(a, plan_of(a, plain(), tmp_path), tmp_path)
    master(daemon)
    a.ip("link", "del", "vrrp.51")
    until(lambda: any("FAULT" in line for line in daemon.log), "FAULT")
    until(lambda: daemon.state() == "MASTER" and a.has("10.77.0.100"), "MASTER on a new one")


def test_the_base_goes_and_comes_back(segment: Segment, tmp_path: Path) -> None:
    a = segment.node()
    daemon = FasthaVrrp(a, plan_of(a, plain(), tmp_path), tmp_path)
    master(daemon)
    a.ip("link", "del", "eth0")
    until(lambda: daemon.state() == "FAULT", "FAULT")
    assert links(a) == []
    segment.attach(a)
    until(lambda: daemon.state() == "MASTER" and a.has("10.77.0.100"), "MASTER with all of it made again")
    assert setting(a, "net.ipv4.conf.eth0.arp_filter") == "1"


def test_reloads_add_and_remove_them(segment: Segment, tmp_path: Path) -> None:
    a = segment.node()
    config = re.sub("use_vmac\n", "", plain())
    daemon = FasthaVrrp(a, plan_of(a, config, tmp_path), tmp_path)
    master(daemon)
    daemon.give(plan_of(a, plain(), tmp_path))
    until(lambda: daemon.state() == "MASTER" and shown(daemon).present == ("10.77.0.100/24 dev vrrp.51",), "a VMAC")
    assert setting(a, "net.ipv4.conf.eth0.arp_ignore") == "1"
    daemon.give(plan_of(a, config, tmp_path))
    until(lambda: daemon.state() == "MASTER" and shown(daemon).present == ("10.77.0.100/24 dev eth0",), "without")
    assert links(a) == []
    assert setting(a, "net.ipv4.conf.eth0.arp_ignore") == "0"


def test_a_reload_changes_the_address_of_one(segment: Segment, tmp_path: Path) -> None:
    a = segment.node()
    daemon = FasthaVrrp(a, plan_of(a, plain().replace("use_vmac", "use_vmac v0"), tmp_path), tmp_path)
    master(daemon)
    daemon.give(plan_of(a, plain().replace("use_vmac", "use_vmac v0 02:00:00:00:00:07"), tmp_path))
    until(lambda: "02:00:00:00:00:07" in "".join(links(a)) and a.has("10.77.0.100"), "the other MAC address")
    daemon.give(plan_of(a, plain().replace("use_vmac", "use_vmac v1 02:00:00:00:00:07"), tmp_path))
    until(lambda: shown(daemon).present == ("10.77.0.100/24 dev v1",), "the other name")
    assert len(links(a)) == 1
    assert not [line for line in daemon.log if line.startswith("error")]


def test_without_accept_mode_nobody_answers(segment: Segment, tmp_path: Path) -> None:
    a, client = segment.node(), segment.node()
    config = re.sub("use_vmac\n", "", plain(more="no_accept"))
    daemon = FasthaVrrp(a, plan_of(a, config, tmp_path), tmp_path)
    master(daemon)
    ping = Pinger(client.namespace, "10.77.0.100")
    until(lambda: ping.sent > 40, "pings")
    assert ping.lost() == ping.sent
    assert "lladdr" in client.ip("neigh", "show", "10.77.0.100"), "but the address is told"
    a.run("nft", "flush", "set", "ip", "keepalived", "vips")
    a.run("nft", "delete", "table", "ip", "keepalived")
    daemon.give(plan_of(a, config.replace("no_accept", "accept"), tmp_path))
    accepted = Pinger(client.namespace, "10.77.0.100")
    until(lambda: accepted.sent > 40, "pings")
    assert accepted.lost() == 0
    daemon.give(plan_of(a, config, tmp_path))
    assert "10.77.0.100" in a.run("nft", "list", "ruleset")
    daemon.stop()
    assert a.run("nft", "list", "ruleset").strip() == ""


def test_igmp_reports_leave_by_the_base(segment: Segment, tmp_path: Path) -> None:
    a = segment.node()
    capture = segment.capture()
    daemon = FasthaVrrp(a, plan_of(a, plain(), tmp_path), tmp_path)
    master(daemon)

    def reports() -> list[bytes]:
        return [f.data[6:12] for f in list(capture.frames) if f.ethertype == 0x0800 and f.data[23] == 2]

    until(reports, "an IGMP report", 10)
    assert MAC4 not in reports()


def test_mld_reports_and_the_base_s_neighbour_adverts_leave_by_the_base(segment: Segment, tmp_path: Path) -> None:
    """MLDv1 too; the VMAC has its base's link-local address, and only the base may say whose it is."""
    a, client = segment.node(), segment.node()
    a.run("sysctl", "-qw", "net.ipv6.conf.default.force_mld_version=1", "net.ipv6.conf.all.force_mld_version=1")
    capture = Capture(client.namespace, "eth0")
    client.closers.append(capture.close)
    daemon = FasthaVrrp(a, plan_of(a, SIX, tmp_path), tmp_path)
    master(daemon, "V6")

    def icmp(*kinds: int) -> list[bytes]:
        """Hop-by-hop options stand before a report."""
        found = [f.data for f in list(capture.frames) if f.ethertype == 0x86DD]
        at = [(d, 62 if d[20] == 0 else 54) for d in found if d[20] == 58 or (d[20] == 0 and d[54] == 58)]
        return [d for d, start in at if d[start] in kinds]

    until(lambda: icmp(131), "an MLDv1 report", 10)
    assert MAC6 not in {d[6:12] for d in icmp(131, 143)}
    own = next(found for found in a.ip("-o", "-6", "addr", "show", "dev", "eth0").split() if found.startswith("fe80"))
    link_local = own.partition("/")[0]
    for _ in range(3):
        client.ip("-6", "neigh", "flush", "dev", "eth0")
        client.run("ping", "-6", "-c1", "-W2", f"{link_local}%eth0")
    told = {d[6:12] for d in icmp(136) if d[22:38] == socket.inet_pton(socket.AF_INET6, link_local)}
    assert told
    assert MAC6 not in told


def test_vmac_xmit_base_needs_no_link_local_address_on_top(segment: Segment, tmp_path: Path) -> None:
    a = segment.node()
    config = SIX.replace("no_accept", "vmac_xmit_base").replace("fe80::51/64", "")
    daemon = FasthaVrrp(a, plan_of(a, config, tmp_path), tmp_path)
    master(daemon, "V6")
    assert "fe80" not in a.ip("-6", "addr", "show", "dev", "vrrp.51")
    daemon.give(plan_of(a, config.replace("vmac_xmit_base", ""), tmp_path))
    until(lambda: "fe80" in a.ip("-6", "addr", "show", "dev", "vrrp.51"), "the address that adverts leave from")


def test_settings_of_the_words_that_are_about_settings(segment: Segment, tmp_path: Path) -> None:
    a = segment.node()
    names = ("net.ipv4.conf.eth0.promote_secondaries", "net.ipv4.igmp_link_local_mcast_reports")
    before = [setting(a, name) for name in names]
    config = "global_defs { disable_local_igmp }\n" + plain(more="promote_secondaries").replace("use_vmac\n", "")
    daemon = FasthaVrrp(a, plan_of(a, config, tmp_path), tmp_path)
    master(daemon)
    assert [setting(a, name) for name in names] == ["1", "0"]
    daemon.kill()
    again = FasthaVrrp(a, plan_of(a, config, tmp_path), tmp_path)
    master(again)
    again.stop()
    assert [setting(a, name) for name in names] == before


def test_a_retired_process_leaves_everything_to_the_next(segment: Segment, tmp_path: Path) -> None:
    a = segment.node()
    before = settings(a)
    config = plain(more="no_accept")
    daemon = FasthaVrrp(a, plan_of(a, config, tmp_path), tmp_path)
    master(daemon)
    held = links(a), settings(a), a.run("nft", "list", "ruleset")
    daemon.retire()
    assert (links(a), settings(a), a.run("nft", "list", "ruleset")) == held
    following = FasthaVrrp(a, plan_of(a, config, tmp_path), tmp_path, resume=("VI",))
    master(following)
    following.stop()
    assert links(a) == []
    assert settings(a) == before
