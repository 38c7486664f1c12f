"""Routes and rules from the configuration to the kernel, compared with what C keepalived makes of the same file."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.netns import kernel_tables
from tests.netns.kernel_tables import plan_of
from tests.netns.segment import Node, Segment
from tests.netns.vrrp_daemons import FasthaVrrp, Keepalived
from tests.poll import until

pytestmark = pytest.mark.netns

EVERYTHING = """
vrrp_instance VI {
  interface eth0
  virtual_router_id 51
  priority 200
  version 3
  advert_int 0.1
  garp_master_delay 0
  virtual_ipaddress {
    10.77.0.100/24 dev eth0 label eth0:vip brd +
    10.77.0.101/32 dev eth1 scope link
    10.77.0.102 peer 10.77.0.103
    10.77.0.104/24 noprefixroute
    10.77.0.106/29 brd -
  }
  virtual_ipaddress_excluded {
    2001:db8:7::100/64 dev eth0
    2001:db8:7::101 dev eth0
    2001:db8:7::102/64 dev eth1 preferred_lft 100 -nodad home mngtmpaddr noprefixroute
    2001:db8:7::104/128 preferred_lft forever peer 2001:db8:7::105
  }
  virtual_routes {
    198.51.100.0/24 via 10.77.0.9
    198.51.101.0/24 dev eth1
    198.51.102.0/24 dev eth1 scope link
    198.51.103.0/24 via 10.77.0.9 src 10.77.0.100 metric 55 table 10 tos 0x10
    blackhole 198.51.104.0/24
    unreachable 198.51.105.0/24 table 12
    prohibit 198.51.106.0/24
    throw 198.51.107.0/24 table 13
    198.51.108.0/24 via 10.77.0.9 mtu lock 1400 advmss 1300 rtt 300ms rttvar 0.25s reordering 5 window 65535 \
      cwnd 100 ssthresh 90 rto_min 250 initcwnd 10 initrwnd 20 features ecn quickack 1 hoplimit 63
    198.51.109.0/24 via 10.77.0.9 congctl lock reno realms 5/10 fastopen_no_cookie 1
    198.51.110.0/24 nexthop via 10.77.0.9 weight 3 nexthop via 10.78.0.9 dev eth1 weight 5 onlink
    198.51.111.0/24 via 192.0.2.99 dev eth0 onlink
    198.51.112.0/24 via 10.77.0.9 protocol 99 no_track
    198.51.113.0/24 encap ip id 7 dst 192.0.2.9 src 192.0.2.8 tos 0x10 ttl 9 via 10.77.0.9
    198.51.120.0/24 dev eth1 src 10.78.0.1 append
    198.51.120.0/24 dev eth0 add metric 7
    multicast 239.1.0.0/16 dev eth0 scope link
    default via 10.77.0.9 table 20
    10.99.0.0/16 via 10.77.0.9 or 10.77.0.10
    2001:db8:8::/48 via 2001:db8:7::9 dev eth0 metric 100 pref high
    2001:db8:9::/48 dev eth0 expires 600
    2001:db8:a::/48 via 2001:db8:7::9 dev eth0 from 2001:db8:b::/48
    blackhole 2001:db8:c::/48
    2001:db8:d::/48 nexthop via 2001:db8:7::9 dev eth0 weight 2 nexthop via 2001:db8:7::a dev eth0
  }
  virtual_rules {
    from 10.77.0.0/24 table 10 priority 100
    not to 198.51.100.0/24 lookup main priority 101
    from 10.0.0.0/8 to 11.0.0.0/8 iif eth0 oif eth1 tos 0x10 fwmark 7/15 table 11 priority 102
    from 10.77.0.5 blackhole priority 103
    type unreachable from 10.77.0.6 priority 104
    prohibit to 10.77.0.7 priority 105
    goto 200 from 1.2.3.4 priority 106
    from 2001:db8::/32 table 10 priority 107
    uidrange 1000-1999 table 10 priority 108
    ipproto tcp sport 80-81 dport 443-444 table 10 priority 109
    table main suppress_prefixlength 0 priority 110
    table main suppress_ifgroup 1 priority 111
    tunnel-id 7 table 10 priority 112
    from 10.1.1.1 table 14 realms 5/10 priority 113
    from 10.1.1.2 table 15
    from 10.1.1.3 table 300
    nop priority 200
    l3mdev priority 201 protocol 5 no_track
  }
}
static_routes {
  198.51.130.0/24 dev eth1
}
static_rules {
  from 10.5.5.5 table 30 priority 300
}
static_ipaddress {
  10.5.5.5/24 dev eth1
}
"""
BRIEF = """
vrrp_instance VI {
  interface eth0
  virtual_router_id 51
  version 3
  advert_int 0.1
  garp_master_delay 0
  virtual_ipaddress { 10.77.0.100/32 }
  virtual_routes {
    198.51.100.0/24 dev eth1 src 10.77.0.100
    198.51.101.0/24 via 10.77.0.9 no_track
  }
  virtual_rules { from 10.77.0.100 table 10 priority 100 }
}
static_routes { 198.51.130.0/24 dev eth1 }
static_rules { from 10.5.5.5 table 30 priority 300 }
"""


@pytest.fixture
def node(segment: Segment) -> Node:
    made = segment.node()
    furnish(made)
    return made


def furnish(made: Node) -> None:
    made.ip("addr", "add", "2001:db8:7::1/64", "dev", "eth0")
    kernel_tables.second_interface(made)


def started(node: Node, config: str, directory: Path, **options: object) -> FasthaVrrp:
    daemon = FasthaVrrp(node, plan_of(node, config, directory), directory, **options)  # type: ignore[arg-type]
    until(lambda: daemon.state() == "MASTER" and has(node, "198.51.100.0/24"), "MASTER with its routes")
    return daemon


def has(node: Node, destination: str) -> bool:
    return any(f'"{destination}"' in route for route in kernel_tables.routes(node))


def has_rule(node: Node, preference: int) -> bool:
    return any(f'"priority": {preference},' in rule for rule in kernel_tables.rules(node))


def tables(node: Node) -> tuple[list[str], list[str], list[str]]:
    return kernel_tables.routes(node), kernel_tables.rules(node), kernel_tables.addresses(node)


@pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed")
def test_the_kernel_gets_what_keepalived_gives_it(segment: Segment, node: Node, tmp_path: Path) -> None:
    keepalived = Keepalived(node, EVERYTHING, tmp_path / "c")
    until(lambda: keepalived.state() == "MASTER" and has_rule(node, 201), "keepalived to be MASTER", 15)
    theirs = tables(node)
    keepalived.stop()
    segment.cut(node)
    twin = segment.node()
    twin.ip("addr", "flush", "dev", "eth0", "scope", "global")
    furnish(twin)
    twin.ip("addr", "add", "10.77.0.1/24", "dev", "eth0")
    before = tables(twin)
    daemon = started(twin, EVERYTHING, tmp_path)
    ours = tables(twin)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine == other
    assert [len(table) - len(old) for table, old in zip(ours, before, strict=True)] == [25, 19, 10]
    assert not [line for line in daemon.log if line.startswith("error")]
    daemon.stop()
    assert tables(twin) == before


@pytest.mark.parametrize(
    ("what", "tracked"),
    [
        (("route", "del", "198.51.100.0/24"), True),
        (("rule", "del", "priority", "100"), True),
        (("route", "del", "198.51.101.0/24"), False),
    ],
)
def test_what_somebody_deletes(node: Node, tmp_path: Path, what: tuple[str, ...], tracked: bool) -> None:
    """What is tracked costs mastership for a moment and is back afterwards; the rest is not looked after."""
    daemon = started(node, BRIEF, tmp_path)
    node.ip(*what)
    if tracked:
        until(lambda: any("was removed by somebody else" in line for line in daemon.log), "the loss in the log")
        until(
            lambda: daemon.state() == "MASTER" and has(node, "198.51.100.0/24") and has_rule(node, 100),
            "MASTER again, with everything",
        )
    else:
        daemon.snapshot()
        assert daemon.states == {"VI": "MASTER"}
        assert not has(node, "198.51.101.0/24")
    assert [line for line in daemon.log if "Entering MASTER" in line].__len__() == (2 if tracked else 1)


NO_DEVICE = """
vrrp_instance VI {
  interface eth0
  virtual_router_id 51
  version 3
  advert_int 0.1
  garp_master_delay 0
  virtual_ipaddress { 10.77.0.100/32 }
  virtual_routes {
    198.51.100.0/24 via 10.77.0.9
    192.0.5.0/24 via 10.77.0.9 table 77
    192.0.6.0/24 via 10.77.0.9 metric 5
    blackhole 192.0.9.0/24
    unreachable 2001:db8:c::/48
  }
}
"""


def test_a_route_without_an_interface_is_missed_too(node: Node, tmp_path: Path) -> None:
    daemon = started(node, NO_DEVICE, tmp_path)
    gone: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("198.51.100.0/24", ("route", "del", "198.51.100.0/24")),
        ("192.0.5.0/24", ("route", "del", "192.0.5.0/24", "table", "77")),
        ("192.0.6.0/24", ("route", "del", "192.0.6.0/24", "metric", "5")),
        ("192.0.9.0/24", ("route", "del", "blackhole", "192.0.9.0/24")),
        ("2001:db8:c::/48", ("-6", "route", "del", "unreachable", "2001:db8:c::/48")),
    )
    for times, (destination, words) in enumerate(gone, 2):
        node.ip(*words)
        until(
            lambda times=times: len([line for line in daemon.log if "Entering MASTER" in line]) == times,
            f"MASTER again without {destination}",
        )
        until(lambda destination=destination: has(node, destination), f"{destination} again")


RENAMED = """
vrrp_instance VI {
  interface eth0
  virtual_router_id 51
  version 3
  advert_int 0.1
  garp_master_delay 0
  virtual_ipaddress { 10.77.0.101/32 dev eth1 }
  virtual_routes { 198.51.100.0/24 dev eth1 }
}
"""


def test_an_interface_that_is_renamed_keeps_nothing_of_ours(node: Node, tmp_path: Path) -> None:
    daemon = started(node, RENAMED, tmp_path)
    try:
        node.ip("link", "set", "eth1", "name", "other")
    except RuntimeError:
        pytest.skip("this kernel renames no interface that is up")
    until(lambda: daemon.state() == "FAULT", "FAULT")
    assert not has(node, "198.51.100.0/24")
    assert "10.77.0.101" not in node.ip("-o", "addr", "show", "dev", "other")
    node.ip("link", "set", "other", "name", "eth1")
    until(lambda: daemon.state() == "MASTER" and has(node, "198.51.100.0/24"), "MASTER, with its route")
    assert "10.77.0.101" in node.ip("-o", "addr", "show", "dev", "eth1")


def test_static_ones_are_put_back(node: Node, tmp_path: Path) -> None:
    daemon = started(node, BRIEF, tmp_path)
    node.ip("route", "del", "198.51.130.0/24")
    until(lambda: has(node, "198.51.130.0/24"), "the static route")
    node.ip("rule", "del", "priority", "300")
    until(lambda: has_rule(node, 300), "the static rule")
    node.ip("link", "set", "eth1", "down")
    until(lambda: daemon.state() == "FAULT", "FAULT: the route's interface is down")
    assert not has(node, "198.51.130.0/24")
    node.ip("link", "set", "eth1", "up")
    until(lambda: has(node, "198.51.130.0/24"), "the static route, with its interface")
    until(lambda: daemon.state() == "MASTER" and has(node, "198.51.100.0/24"), "MASTER")
    daemon.stop()
    assert not has(node, "198.51.130.0/24")
    assert not has_rule(node, 300)


def test_a_killed_process_leaves_routes_that_the_next_one_takes_over(node: Node, tmp_path: Path) -> None:
    daemon = started(node, BRIEF, tmp_path)
    before = tables(node)
    daemon.kill()
    assert tables(node) == before
    second = started(node, BRIEF, tmp_path, resume=("VI",))
    assert tables(node) == before
    second.kill()
    weak = BRIEF.replace("advert_int 0.1", "advert_int 10")
    third = FasthaVrrp(node, plan_of(node, weak, tmp_path), tmp_path)
    until(lambda: third.state() == "BACKUP", "BACKUP")
    until(lambda: not has(node, "198.51.100.0/24") and not has_rule(node, 100), "what is left over to go")
    assert has(node, "198.51.130.0/24")


def test_a_reload_changes_only_what_is_different(node: Node, tmp_path: Path) -> None:
    daemon = started(node, BRIEF, tmp_path)
    changed = BRIEF.replace("via 10.77.0.9 no_track", "via 10.77.0.10 no_track").replace("priority 100", "priority 101")
    daemon.give(plan_of(node, changed, tmp_path))
    until(lambda: has_rule(node, 101) and not has_rule(node, 100), "the new rule alone")
    (route,) = [json.loads(text) for text in kernel_tables.routes(node) if "198.51.101.0/24" in text]
    assert route["gateway"] == "10.77.0.10"
    assert daemon.states == {"VI": "MASTER"}


def test_a_track_group_ties_instances_to_static_items(node: Node, tmp_path: Path) -> None:
    config = re.sub(r"virtual_routes.*?\n  }\n|virtual_rules.*?}\n", "", BRIEF, flags=re.DOTALL)
    config = config.replace("dev eth1 }", "dev eth1 track_group G }") + "track_group G { group { VI } }\n"
    daemon = FasthaVrrp(node, plan_of(node, config, tmp_path), tmp_path)
    until(lambda: daemon.state() == "MASTER", "MASTER")
    node.ip("link", "set", "eth1", "down")
    until(lambda: daemon.state() == "FAULT", "FAULT with the static route's interface")
    node.ip("link", "set", "eth1", "up")
    until(lambda: daemon.state() == "MASTER", "MASTER with it")


def test_interfaces_that_come_later_and_come_again(node: Node, tmp_path: Path) -> None:
    node.ip("link", "del", "eth1")
    config = "global_defs { dynamic_interfaces }\n" + BRIEF
    daemon = FasthaVrrp(node, plan_of(node, config, tmp_path), tmp_path)
    until(lambda: daemon.state() == "FAULT", "FAULT without the interface of its route")
    for _ in range(2):
        kernel_tables.second_interface(node)
        until(lambda: has(node, "198.51.130.0/24"), "the static route")
        until(lambda: daemon.state() == "MASTER" and has(node, "198.51.100.0/24"), "MASTER with its route")
        node.ip("link", "del", "eth1")
        until(lambda: daemon.state() == "FAULT", "FAULT again")
        assert not has_rule(node, 100)


def test_an_interface_that_comes_back_as_another_is_not_used_unless_that_is_allowed(node: Node, tmp_path: Path) -> None:
    node.ip("link", "del", "eth1")
    kernel_tables.second_interface(node)
    plain = "global_defs { dynamic_interfaces }\n" + BRIEF
    daemon = FasthaVrrp(node, plan_of(node, plain, tmp_path), tmp_path)
    until(lambda: daemon.state() == "MASTER", "MASTER")
    node.ip("link", "del", "eth1")
    until(lambda: daemon.state() == "FAULT", "FAULT without it")
    node.ip("link", "add", "link", "eth0", "name", "eth1", "type", "macvlan")
    node.ip("link", "set", "eth1", "up")
    until(lambda: any("eth1 has come back a macvlan on eth0" in line for line in daemon.log), "the complaint")
    assert daemon.state() == "FAULT"
    node.ip("link", "del", "eth1")
    kernel_tables.second_interface(node)
    until(lambda: daemon.state() == "MASTER", "MASTER with one of the old type")
    daemon.give(plan_of(node, plain.replace("dynamic_interfaces", "dynamic_interfaces allow_if_changes"), tmp_path))
    node.ip("link", "del", "eth1")
    until(lambda: daemon.state() == "FAULT", "FAULT without it again")
    node.ip("link", "add", "link", "eth0", "name", "eth1", "type", "macvlan")
    node.ip("address", "add", "10.78.0.1/24", "dev", "eth1")
    node.ip("link", "set", "eth1", "up")
    until(lambda: daemon.state() == "MASTER", "MASTER with one of another type")
