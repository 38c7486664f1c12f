"""Route and rule lines: what they say, and what costs them."""

import pytest

from fastha.config.diagnostics import Report
from fastha.config.parse import Parser
from fastha.config.preprocess import Preprocessor
from fastha.config.routes import OptionLine
from tests.config_machine import MAIN, Machine, instance, messages


def item(block: str, line: str) -> OptionLine:
    """The line as it is read."""
    report = Report()
    text = f"vrrp_instance V {{\n{block} {{\n{line}\n}}\n}}"
    source = Preprocessor(Machine(files={MAIN: text.encode()}), "x", report)
    source.read(MAIN)
    root = Parser(source.lines, report).parse()
    assert [d.message for d in report.diagnostics if d.severity == "error"] == []
    (read,) = root.children[0].entries(block)
    assert isinstance(read, OptionLine)
    return read


def options(line: OptionLine) -> dict[str, object]:
    return {name: value for name, (value, _) in line.options.items()}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("198.51.100.0/24 via 192.0.2.1 dev eth0", {"to": "198.51.100.0/24", "via": "192.0.2.1", "dev": "eth0"}),
        ("default via 192.0.2.1 metric 7", {"to": "default", "via": "192.0.2.1", "metric": 7}),
        ("src 192.0.2.9 to 198.51.100.1 dev eth0", {"src": "192.0.2.9", "to": "198.51.100.1/32", "dev": "eth0"}),
        ("blackhole 198.51.100.0/24", {"type": "blackhole", "to": "198.51.100.0/24"}),
        ("default via inet 192.0.2.1 mtu lock 1400", {"to": "default", "via": "192.0.2.1", "mtu": 1400}),
        ("2001:db8::/32 oif eth1 pref high", {"to": "2001:db8::/32", "dev": "eth1", "pref": "high"}),
        ("default dev eth0 onlink features ecn", {"to": "default", "dev": "eth0", "onlink": True, "features": "ecn"}),
    ],
)
def test_routes(line: str, expected: dict[str, object]) -> None:
    assert options(item("virtual_routes", line)) == expected


def test_nexthops() -> None:
    read = item("virtual_routes", "default nexthop via 192.0.2.1 weight 1 nexthop via 192.0.2.2 dev eth1 weight 2")
    assert [{name: value for name, (value, _) in hop.items()} for hop in read.hops] == [
        {"via": "192.0.2.1", "weight": 1},
        {"via": "192.0.2.2", "dev": "eth1", "weight": 2},
    ]


def test_the_family_follows_from_the_line() -> None:
    assert item("virtual_routes", "default via 192.0.2.1").family == 4
    assert item("virtual_routes", "inet6 default via 2001:db8::1").family == 6
    assert item("virtual_routes", "default dev eth0").family is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("via 192.0.2.1", "needs a destination"),
        ("foo via 192.0.2.1", "'foo' is not an IP address"),
        ("default via foo", "'foo' is not an IP address"),
        ("default via 192.0.2.1 foo", "unknown word 'foo'"),
        ("default via 2001:db8::1 src 192.0.2.1", "is IPv4, and the line is IPv6"),
        ("198.51.100.0/33 dev eth0", "'33' is no prefix length"),
        ("default via 192.0.2.1 mtu x", "not a whole number"),
        ("default via 192.0.2.1 rtt soon", "'soon' is no time"),
        ("default via 192.0.2.1 expires 9", "'expires' is not for IPv4"),
        ("default gw 192.0.2.1", "'gw' is deprecated"),
        ("default via 192.0.2.1 or 192.0.2.2", "'or' is deprecated"),
        ("default via 192.0.2.1 table nosuch", "'nosuch' is no number up to 4294967295 and not in rt_tables"),
        ("default via 192.0.2.1 encap foo", "unknown encapsulation"),
        ("default nexthop via 192.0.2.1 weight 0", "outside 1..256"),
        ("default dev eth9", "eth9 of virtual_routes does not exist"),
        ("default via 192.0.2.1 protocol 99", "needs no_track"),
        ("default tos 300 dev eth0", "'300' is no number up to 255"),
        ("default realms 1/nosuch dev eth0", "'nosuch' is no number up to 255"),
        ("default vrf red dev eth0", "there is no VRF red"),
        ("default dev eth0 track_group T", "for static routes and rules only"),
    ],
)
def test_bad_routes(line: str, said: str) -> None:
    loaded = instance(f"virtual_routes {{\n{line}\n}}")
    assert said in messages(loaded)
    assert loaded.exit_code == 5


@pytest.mark.parametrize("line", ["default via", "default via 192.0.2.1 mtu", "to", "default dev eth0 metric"])
def test_a_missing_value_is_exit_2(line: str) -> None:
    assert instance(f"virtual_routes {{\n{line}\n}}").exit_code == 2


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("from 192.0.2.0/24 table 10 priority 5", {"from": "192.0.2.0/24", "table": "10", "preference": 5}),
        ("not to any lookup main order 0x10", {"not": True, "to": "default", "table": "main", "preference": 16}),
        ("fwmark 7/0xff blackhole preference 1", {"fwmark": "7/0xff", "blackhole": True, "preference": 1}),
        ("sport 80-90 l3mdev priority 1", {"sport": "80-90", "l3mdev": True, "preference": 1}),
    ],
)  # fmt: skip
def test_rules(line: str, expected: dict[str, object]) -> None:
    assert options(item("virtual_rules", line)) == expected


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("from 192.0.2.1 priority 5", "needs a table or an action"),
        ("from 192.0.2.1 table 10", "without a preference"),
        ("from 192.0.2.1 table 10 blackhole priority 1", "has one action"),
        ("from 192.0.2.1 table 10 pref 1", "unknown word 'pref'"),
        ("from 192.0.2.1 table nosuch priority 1", "'nosuch' is no number up to 4294967295 and not in rt_tables"),
        ("fwmark x table 10 priority 1", "no MARK"),
        ("sport 80 table 10 priority 1", "no range"),
        ("from 192.0.2.1 goto 9", "'goto' needs a preference"),
        ("realms 1 blackhole priority 1", "'realms' needs a table"),
        ("from 192.0.2.1 to 2001:db8::1 table 1 priority 1", "the line is IPv4"),
        ("iif eth9 table 1 priority 1", "eth9 of virtual_rules does not exist"),
    ],
)
def test_bad_rules(line: str, said: str) -> None:
    loaded = instance(f"virtual_rules {{\n{line}\n}}")
    assert said in messages(loaded)
    assert loaded.exit_code == 5


def test_names_of_tables_are_read_from_iproute2() -> None:
    machine = Machine(files={"/etc/iproute2/rt_tables": b"# tables\n10 blue # ours\n"})
    assert messages(instance("virtual_routes {\ndefault dev eth0 table blue\n}", machine=machine)) == ""


@pytest.mark.parametrize("ports", ["1-2-3", "2\x1d00-300", "80", "a-b", "-", "1-"])
def test_a_range_that_is_none_is_said_and_ignored(ports: str) -> None:
    loaded = instance(f"virtual_rules {{\nsport {ports} table 10 priority 100\n}}")
    assert "is no range LOW-HIGH" in messages(loaded)
    assert loaded.plan is not None
