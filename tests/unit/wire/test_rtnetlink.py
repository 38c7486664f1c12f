"""Routes and rules as messages: pyroute2 reads back what was meant."""

from dataclasses import replace
from typing import Any

import pytest
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from fastha.model.net import Address
from fastha.model.routes import Encap, EncapKind, Nexthop, Route, Rule, RuleAction
from fastha.wire import netlink, rtnetlink

NET = Address("198.51.100.0")
VIA = Address("10.77.0.9")


def route(**words: object) -> Route:
    hops = (Nexthop(via=VIA, dev="eth0"),)
    return Route(**{"text": "x", "family": 4, "destination": NET, "prefixlen": 24, "hops": hops, **words})  # type: ignore[arg-type]


def rule(**words: object) -> Rule:
    return Rule(**{"text": "x", "family": 4, "preference": 100, "table": 10, **words})  # type: ignore[arg-type]


def payload(line: Route) -> bytes:
    data = rtnetlink.route(line, {"eth0": 3, "eth1": 4}.get, line.table)  # type: ignore[arg-type]
    assert data is not None
    return data


def decoded(line: Route) -> Any:
    message = rtmsg(netlink.frame(rtnetlink.RTM_NEWROUTE, 0, 0, payload(line)))
    message.decode()
    return message


def decoded_rule(line: Rule) -> Any:
    message = fibmsg(netlink.frame(rtnetlink.RTM_NEWRULE, 0, 0, rtnetlink.rule(line)))
    message.decode()
    return message


def test_a_plain_route() -> None:
    message = decoded(route())
    assert (message["family"], message["dst_len"], message["proto"], message["scope"], message["type"]) == (
        2, 24, 18, 0, 1,
    )  # fmt: skip
    assert message.get_attr("RTA_DST") == NET
    assert message.get_attr("RTA_GATEWAY") == VIA
    assert message.get_attr("RTA_OIF") == 3
    assert message.get_attr("RTA_TABLE") == 254
    assert message.get_attr("RTA_PRIORITY") is None


def test_what_a_route_may_have() -> None:
    line = route(
        table=1000, metric=7, tos=16, scope=253, prefsrc=Address("10.77.0.1"), congctl="reno", locked=1 << 2 | 1 << 16,
        metrics=((2, 1400), (8, 1300), (12, 1)), hops=(Nexthop(via=VIA, dev="eth1", onlink=True, realms=5 << 16 | 10),),
    )  # fmt: skip
    message = decoded(line)
    assert (message["table"], message["tos"], message["scope"], message["flags"]) == (0, 16, 253, 4)
    assert message.get_attr("RTA_TABLE") == 1000
    assert message.get_attr("RTA_PRIORITY") == 7
    assert message.get_attr("RTA_PREFSRC") == "10.77.0.1"
    assert message.get_attr("RTA_FLOW") == 0x5000A
    metrics = message.get_attr("RTA_METRICS")
    assert metrics.get_attr("RTAX_MTU") == 1400
    assert metrics.get_attr("RTAX_ADVMSS") == 1300
    assert metrics.get_attr("RTAX_FEATURES") == 1
    assert metrics.get_attr("RTAX_CC_ALGO") == "reno"
    assert metrics.get_attr("RTAX_LOCK") == 1 << 2 | 1 << 16


def test_several_ways() -> None:
    hops = (Nexthop(via=VIA, dev="eth0", weight=3), Nexthop(via=Address("10.78.0.9"), dev="eth1", onlink=True))
    ways = decoded(route(hops=hops)).get_attr("RTA_MULTIPATH")
    assert [(way["oif"], way["hops"], way["flags"], way.get_attr("RTA_GATEWAY")) for way in ways] == [
        (3, 2, 0, VIA),
        (4, 0, 4, "10.78.0.9"),
    ]


def test_a_router_of_the_other_family() -> None:
    message = decoded(route(hops=(Nexthop(via=Address("2001:db8::1"), dev="eth0"),)))
    assert message.get_attr("RTA_GATEWAY") is None
    assert message.get_attr("RTA_VIA") == {"family": 10, "addr": "2001:db8::1"}


def test_ipv6_from_somewhere_by_default_leads_nowhere() -> None:
    line = route(family=6, destination=Address("::"), prefixlen=0, kind=6, hops=(), source=Address("2001:db8::"))
    message = decoded(replace(line, source_len=32, pref=3, expires=60))
    assert (message["family"], message["dst_len"], message["src_len"], message["type"]) == (10, 0, 32, 6)
    assert message.get_attr("RTA_DST") is None
    assert message.get_attr("RTA_SRC") == "2001:db8::"
    assert message.get_attr("RTA_PREF") == 3


@pytest.mark.parametrize(
    ("encap", "octets"),
    [
        # labels 100 and 200, the second at the bottom of the stack (RFC 3032 2.1)
        (Encap(kind=EncapKind.MPLS, labels=(100, 200)), "0c000100" + "00064000" + "000c8100"),
        (Encap(kind=EncapKind.ILA, locator=0x20010DB800000001), "0c000100" + "20010db800000001"),
        (
            Encap(kind=EncapKind.IP, id=7, dst=Address("192.0.2.9"), ttl=9, tos=16, flags=1),
            "0c000100" + "0000000000000007" + "08000200" + "c0000209" + "05000400" + "09000000"
            "05000500" + "10000000" + "06000600" + "00010000",
        ),
    ],
)  # fmt: skip
def test_encapsulations(encap: Encap, octets: str) -> None:
    attributes = netlink.attributes(payload(route(hops=(Nexthop(via=VIA, dev="eth0", encap=encap),))), 12)
    assert attributes[21] == bytes([encap.kind, 0])
    assert attributes[22].hex() == octets


def test_a_route_waits_for_its_interfaces() -> None:
    assert rtnetlink.route(route(), lambda _: 0, 254) is None


SIXTH = {"family": 6, "destination": Address("2001:db8::"), "prefixlen": 32, "hops": (Nexthop(dev="eth0"),)}


@pytest.mark.parametrize("words", [{}, {"metric": 5, "tos": 8}, {**SIXTH, "metric": 1024}])
def test_a_route_is_known_again(words: dict[str, object]) -> None:
    line = route(**words)
    assert rtnetlink.route_told(payload(line)) == (rtnetlink.route_key(line, 254), 18)


def test_an_ipv6_route_without_a_metric_has_the_kernels() -> None:
    assert rtnetlink.route_key(route(**SIXTH), 254).metric == 1024


def test_what_a_rule_may_have() -> None:
    line = rule(
        invert=True, source=Address("10.0.0.0"), source_len=8, destination=Address("11.0.0.0"), destination_len=8,
        iif="eth0", oif="eth1", tos=16, fwmark=7, fwmask=15, realms=10, suppress_prefixlength=0, suppress_ifgroup=1,
        tunnel_id=7, uid_range=(1000, 1999), ip_proto=6, sport=(80, 81), dport=(443, 444),
    )  # fmt: skip
    message = decoded_rule(line)
    assert (message["src_len"], message["dst_len"], message["tos"], message["action"], message["flags"]) == (
        8, 8, 16, 1, 2,
    )  # fmt: skip
    expected = {
        "SRC": "10.0.0.0", "DST": "11.0.0.0", "IIFNAME": "eth0", "OIFNAME": "eth1", "FWMARK": 7, "FWMASK": 15,
        "FLOW": 10, "SUPPRESS_PREFIXLEN": 0, "SUPPRESS_IFGROUP": 1, "TUN_ID": 7, "UID_RANGE": "1000:1999",
        "IP_PROTO": 6, "SPORT_RANGE": "80:81", "DPORT_RANGE": "443:444", "PRIORITY": 100, "TABLE": 10, "PROTOCOL": 18,
    }  # fmt: skip
    assert {name: message.get_attr(f"FRA_{name}") for name in expected} == expected


@pytest.mark.parametrize("action", list(RuleAction))
def test_actions_of_rules(action: RuleAction) -> None:
    message = decoded_rule(rule(action=action, goto=200 if action is RuleAction.GOTO else 0))
    assert message["action"] == action
    assert message.get_attr("FRA_GOTO") == (200 if action is RuleAction.GOTO else None)


def test_rules_are_told_apart_by_what_they_match() -> None:
    one = rtnetlink.rule_key(rtnetlink.rule(rule()))
    assert one == rtnetlink.rule_key(rtnetlink.rule(rule(text="written otherwise")))
    for words in ({"fwmark": 1}, {"iif": "eth0"}, {"invert": True}, {"preference": 101}, {"protocol": 5}):
        assert one != rtnetlink.rule_key(rtnetlink.rule(rule(**words)))
