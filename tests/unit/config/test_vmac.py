"""use_vmac, use_vmac_addr, use_ipvlan: names, places of addresses, what the machine has already."""

from dataclasses import dataclass, field

import pytest

from fastha.config.host import Interface
from fastha.model.plan import MadeLink, VrrpPlan
from tests.config_machine import Machine, errors, messages, read


@dataclass
class Furnished(Machine):
    """With interfaces of other kinds."""

    others: dict[str, Interface] = field(default_factory=dict)

    def interfaces(self) -> dict[str, Interface]:
        return {**super().interfaces(), **self.others}


def text(name: str = "VI", vrid: int = 51, interface: str = "eth0", more: str = "", vips: str = "192.0.2.1") -> str:
    return (
        f"vrrp_instance {name} {{\n interface {interface}\n virtual_router_id {vrid}\n priority 100\n {more}\n"
        f" virtual_ipaddress {{\n {vips}\n }}\n}}\n"
    )


def plan(config: str, machine: Machine | None = None) -> VrrpPlan:
    loaded = read(config, machine)
    assert loaded.plan is not None
    return loaded.plan.vrrp


def names(found: VrrpPlan) -> list[tuple[str, str, str | None]]:
    return [(link.name, link.base, link.mac) for link in found.made_links]


def test_one_of_each_family() -> None:
    found = plan(text(more="use_vmac") + text("V6", more="use_vmac", vips="fe80::1\n2001:db8::1"))
    assert names(found) == [
        ("vrrp.51", "eth0", "00:00:5e:00:01:33"),
        ("vrrp6.51", "eth0", "00:00:5e:00:02:33"),
    ]
    four, six = found.instances
    assert (four.interface, four.base, four.source_interface) == ("vrrp.51", "eth0", "eth0")
    assert (six.interface, six.base, six.source_interface) == ("vrrp6.51", "eth0", "vrrp6.51")
    assert [link.ipv6 for link in found.made_links] == [False, True]
    assert {a.dev for a in four.addresses} == {"vrrp.51"}


@pytest.mark.parametrize(
    ("prefix", "name"),
    [("vmac_prefix vip", "vip.51"), ("vmac_prefix averyveryverylongprefix", "averyveryver.51"), ("", "vrrp.51")],
)
def test_prefixes(prefix: str, name: str) -> None:
    assert names(plan(f"global_defs {{\n{prefix}\n}}\n" + text(more="use_vmac")))[0][0] == name


def test_names_that_are_taken_are_passed_over() -> None:
    found = plan(text(more="use_vmac") + text("B", interface="eth1", more="use_vmac") + text("C", 7, more="use_vmac"))
    assert [name for name, _, _ in names(found)] == ["vrrp.51", "vrrp1.51", "vrrp.7"]
    other = {"vrrp.51": Interface("vrrp.51", kind="dummy")}
    assert names(plan(text(more="use_vmac"), Furnished(others=other)))[0][0] == "vrrp1.51"


def test_one_that_is_there_already_is_used() -> None:
    there = Interface("vrrp7.51", kind="macvlan", mac="00:00:5e:00:01:33", lower="eth0")
    assert names(plan(text(more="use_vmac"), Furnished(others={"vrrp7.51": there})))[0][0] == "vrrp7.51"
    foreign = Interface("vrrp.51", kind="macvlan", mac="00:00:5e:00:01:33", lower="eth1")
    assert names(plan(text(more="use_vmac"), Furnished(others={"vrrp.51": foreign})))[0][0] == "vrrp1.51"


def test_the_words_of_the_line() -> None:
    found = plan(text(more="use_vmac myvmac 02:00:00:00:01 group 7"))
    assert names(found) == [("myvmac", "eth0", "02:00:00:00:01:33")]
    assert found.made_links[0].group == 7
    loaded = read(text(more="use_vmac myvmac") + text("B", 52, more="use_vmac myvmac"))
    assert "already uses the name myvmac" in messages(loaded)
    assert "there is no group 'nosuch'" in messages(read(text(more="use_vmac group nosuch")))
    strict = read(text(more="strict_mode\nuse_vmac 02:00:00:00:01:02\npriority 100"))
    assert "not for strict mode" in messages(strict)


def test_adverts_by_the_base() -> None:
    (one,) = plan(text(more="use_vmac\nvmac_xmit_base")).instances
    assert (one.interface, one.base) == ("eth0", "")
    assert one.addresses[0].dev == "vrrp.51"
    assert [track.name for track in one.track_interfaces] == ["vrrp.51"]
    loaded = read(text(more="use_vmac\nunicast_peer {\n192.0.2.9\n}"))
    assert "taken as set" in messages(loaded)
    assert loaded.plan is not None
    assert loaded.plan.vrrp.instances[0].interface == "eth0"


def test_where_addresses_go() -> None:
    vips = "192.0.2.1\n192.0.2.2 dev eth0\n192.0.2.3 dev eth1\n192.0.2.4 dev eth1 use_vmac"
    found = plan("global_defs {\nvmac_addr_prefix va\n}\n" + text(more="use_vmac", vips=vips))
    assert [a.dev for a in found.instances[0].addresses] == ["vrrp.51", "vrrp.51", "eth1", "va.51"]
    assert [track.name for track in found.instances[0].track_interfaces] == ["eth1", "va.51"]


def test_use_vmac_addr_is_for_other_interfaces_and_the_other_family() -> None:
    more = "use_vmac\nuse_vmac_addr\nvirtual_ipaddress_excluded {\n2001:db8::1\n2001:db8::2 dev eth1\n}"
    (one,) = (found := plan(text(more=more, vips="192.0.2.1\n192.0.2.2 dev eth1"))).instances
    assert [a.dev for a in one.addresses] == ["vrrp.51", "vrrp1.51"]
    assert [a.dev for a in one.excluded_addresses] == ["vrrp6.51", "vrrp2.51"]
    assert [(link.base, link.family) for link in found.made_links] == [
        ("eth0", 4), ("eth1", 4), ("eth0", 6), ("eth1", 6),
    ]  # fmt: skip


def test_ipv6_stays_on_where_it_is_needed() -> None:
    more = "use_vmac\nvirtual_ipaddress_excluded {\n2001:db8::1\n}"
    assert [link.ipv6 for link in plan(text(more=more)).made_links] == [True]


@pytest.mark.parametrize(("more", "speaks"), [("", True), ("vmac_xmit_base", False), ("unicast_peer {\n}", False)])
def test_adverts_leave_from_it_or_from_its_base(more: str, speaks: bool) -> None:
    assert [link.speaks for link in plan(text(more=f"use_vmac\n{more}")).made_links] == [speaks]


def test_ipvlan() -> None:
    found = plan(text(more="use_ipvlan ip51 192.0.2.77/24 vepa"))
    expected = MadeLink(
        name="ip51", base="eth0", mode=2, family=4, ipv6=True, address="192.0.2.77", prefixlen=24  # type: ignore[arg-type]
    )  # fmt: skip
    assert found.made_links == (expected,)
    assert (found.instances[0].interface, found.instances[0].source) == ("ip51", "192.0.2.77")
    assert "needs an address of its own" in messages(read(text(more="use_ipvlan")))


def test_delays_and_settings_follow() -> None:
    config = text(more="use_vmac") + text("B", 52, more="promote_secondaries")
    found = plan(config + "interface_up_down_delays {\neth0 1 2\n}\nglobal_defs {\ndisable_local_igmp\n}\n")
    assert found.interface_delays["vrrp.51"] == found.interface_delays["eth0"]
    assert found.promote_secondaries == ("eth0",)
    assert found.disable_local_igmp


def test_the_firewall_words() -> None:
    found = plan("global_defs {\nnftables mine\nnftables_priority 5\nnftables_counters\n}\n" + text(more="no_accept"))
    assert (found.firewall.table, found.firewall.priority, found.firewall.counters) == ("mine", 5, True)
    assert not found.instances[0].accept


def test_links_that_are_polled() -> None:
    found = plan(text() + "linkbeat_interfaces {\neth1 MII\n}\nlinkbeat_use_polling\n")
    assert found.linkbeat == {"eth0": "", "eth1": "MII"}
    assert errors(read(text(more="use_vmac v0") + "linkbeat_interfaces {\nv0\n}\n"))


@pytest.mark.parametrize("word", ["unicast_peer {\n}", "unicast_src_ip 192.0.2.1", "unicast_fault_no_peer"])
def test_any_word_of_unicast_puts_adverts_on_the_interface_underneath(word: str) -> None:
    (one,) = plan(text(more=f"use_vmac\n{word}")).instances
    assert (one.interface, one.unicast) == ("eth0", False)


def test_a_name_that_cannot_be_had_is_no_name() -> None:
    other = {"mine": Interface("mine", kind="veth")}
    assert names(plan(text(more="use_vmac mine"), Furnished(others=other)))[0][0] == "vrrp.51"
    twice = plan(text(more="use_vmac mine") + text("B", 7, more="use_vmac mine"))
    assert [name for name, _, _ in names(twice)] == ["mine", "vrrp.7"]
