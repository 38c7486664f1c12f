"""vrrp_instance: defaults, what does not fit together, and what refuses the file."""

from typing import Any

import pytest

from fastha.model.plan import AuthType, Track, VrrpInstance
from fastha.model.units import MS, S
from tests.config_machine import GOOD_INSTANCE, Machine, errors, instance, messages, read


def planned(extra: str = "", before: str = "", machine: Machine | None = None) -> VrrpInstance:
    loaded = instance(extra, before=before, machine=machine)
    assert loaded.plan is not None, messages(loaded)
    return loaded.plan.vrrp.instances[0]


def test_the_defaults_are_keepalived_s() -> None:
    plan = planned()
    assert (plan.priority, plan.adver_int, plan.version, plan.family) == (100, S, 2, 4)
    assert (plan.garp_master_delay, plan.garp_master_repeat, plan.garp_lower_prio_repeat) == (5 * S, 5, 5)
    assert (plan.down_timer_adverts, plan.nopreempt, plan.accept, plan.group) == (3, False, True, "224.0.0.18")
    assert plan.addresses[0].dev == "eth0"


@pytest.mark.parametrize(
    ("extra", "field", "value"),
    [
        ("state MASTER", "priority", 255),
        ("state MASTER\npriority 150", "priority", 150),
        ("priority 255", "initial_master", True),
        ("priority +7", "priority", 7),
        ("priority 0100", "priority", 100),
        ("advert_int 3", "adver_int", 3 * S),
        ("version 3\nadvert_int 0.25", "adver_int", 250 * MS),
        ("nopreempt", "nopreempt", True),
        ("nopreempt\npreempt", "nopreempt", False),
        ("preempt\nnopreempt", "nopreempt", True),
        ("preempt_delay 1.5", "preempt_delay", 1500 * MS),
        ("garp_master_delay 1", "garp_lower_prio_delay", 5 * S),
        ("unicast_src_ip 192.0.2.1\nunicast_peer {\n192.0.2.2\n}", "source", "192.0.2.1"),
        ("track_interface {\neth1 weight -20\n}", "track_interfaces", (Track(name="eth1", weight=-20),)),
        ("dont_track_primary", "dont_track_primary", True),
        ("skip_check_adv_addr false", "skip_check_adv_addr", True),
        ("lower_prio_no_advert", "lower_prio_no_advert", True),
        ("notify_deleted", "notify_deleted", True),
    ],
)
def test_words_that_are_right(extra: str, field: str, value: Any) -> None:
    loaded = instance(extra)
    assert errors(loaded) == []
    assert getattr(planned(extra), field) == value


@pytest.mark.parametrize(
    ("before", "field", "value"),
    [
        ("vrrp_version 3", "version", 3),
        ("vrrp_garp_master_refresh 30", "garp_master_refresh", 30 * S),
        ("vrrp_garp_interval 0.001", "garp_interval", MS),
        ("vrrp_mcast_group4 224.0.0.99", "group", "224.0.0.99"),
        ("vrrp_strict", "strict_mode", True),
        ("vrrp_strict", "lower_prio_no_advert", True),
        ("vrrp_strict", "garp_lower_prio_repeat", 0),
        ("vrrp_min_garp", "garp_master_repeat", 1),
        ("vrrp_check_unicast_src", "check_unicast_src", True),
        ("vrrp_down_timer_adverts 5", "down_timer_adverts", 5),
    ],
)
def test_global_defaults_reach_the_instance(before: str, field: str, value: Any) -> None:
    assert getattr(planned(before=f"global_defs {{ {before} }}\n"), field) == value


@pytest.mark.parametrize(
    ("extra", "said", "field", "value"),
    [
        ("priority 0", "outside 1..255", "priority", 100),
        ("priority abc", "not a whole number", "priority", 100),
        ("priority 100;", "not a whole number", "priority", 100),
        ("state SLAVE", "unknown state 'SLAVE'", "initial_master", False),
        ("state MASTER\npriority 90\nnopreempt", "nopreempt does not work", "nopreempt", False),
        ("priority 255\nnopreempt", "nopreempt does not work", "nopreempt", False),
        ("nopreempt\npreempt_delay 5", "preempt_delay does not work", "preempt_delay", 0),
        ("advert_int 0.5", "whole number of seconds", "adver_int", S),
        ("advert_int 2.6", "whole number of seconds", "adver_int", 3 * S),
        ("advert_int 0", "outside 0.01..255", "adver_int", S),
        ("advert_int 1s", "after the number", "adver_int", S),
        ("version 3\nadvert_int 0.333", "multiple of 0.01", "adver_int", 330 * MS),
        ("version 3\nadvert_int 100", "at most 40.95", "adver_int", 40_950 * MS),
        ("garp_master_repeat 0", "makes no sense", "garp_master_repeat", 1),
        ("unicast_ttl 9", "without unicast peers", "unicast_ttl", None),
        ("unicast_src_ip 192.0.2.1", "no usable peer", "unicast_peers", ()),
        ("mcast_src_ip 2001:db8::1", "not IPv4", "source", None),
        ("track_interface {\neth0\n}", "its own interface", "track_interfaces", ()),
        ("track_script {\nchk\n}", "not defined", "track_scripts", ()),
        ("owner_ignore_adverts", "for priority 255", "owner_ignore_adverts", False),
    ],
)
def test_words_that_are_wrong_are_said_and_replaced(extra: str, said: str, field: str, value: Any) -> None:
    loaded = instance(extra)
    assert said in messages(loaded)
    assert loaded.exit_code == 5
    assert getattr(planned(extra), field) == value


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("interface eth0\nvirtual_ipaddress {\n192.0.2.1\n}", "virtual_router_id is missing"),
        ("virtual_router_id 1\nvirtual_ipaddress {\n192.0.2.1\n}", "interface is missing"),
        ("interface lo\nvirtual_router_id 1\nvirtual_ipaddress {\n192.0.2.1\n}", "loopback"),
        ("interface eth9\nvirtual_router_id 1\nvirtual_ipaddress {\n192.0.2.1\n}", "eth9 of vrrp_instance V does not"),
        ("interface eth0\nvirtual_router_id 1\nversion 3", "virtual_ipaddress is empty"),
        ("interface eth0\nvirtual_router_id 1\nvirtual_ipaddress {\n192.0.2.1 dev eth9\n}", "eth9 of address"),
        (
            "strict_mode\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {\n192.0.2.1\n}\n"
            "unicast_peer {\n192.0.2.2\n}",
            "unicast is not allowed",
        ),
    ],
)
def test_what_keepalived_does_not_run_gives_no_plan(lines: str, said: str) -> None:
    loaded = read(f"vrrp_instance V {{\n{lines}\n}}")
    assert loaded.plan is None
    assert said in loaded.refused[0]
    assert loaded.exit_code == 5


def test_dynamic_interfaces_may_come_later() -> None:
    text = GOOD_INSTANCE.format("").replace("eth0", "eth9")
    assert read(text).plan is None
    assert read("global_defs { dynamic_interfaces }" + text).plan is not None


def test_a_vmac_may_be_named_although_it_does_not_exist_yet() -> None:
    extra = "use_vmac vip0\ntrack_interface {\nvip0\n}\nvirtual_ipaddress_excluded {\n192.0.2.9 dev vip0\n}"
    assert errors(instance(extra)) == []
    plan = planned(extra)
    assert plan.track_interfaces == ()
    assert (plan.interface, plan.base) == ("vip0", "eth0")
    assert plan.excluded_addresses[0].dev == "vip0"


def test_one_vrid_per_interface_and_group() -> None:
    first, second = GOOD_INSTANCE.format(""), GOOD_INSTANCE.format("").replace("VI_1", "VI_2")
    assert "both use VRID 51" in messages(read(first + second))
    assert read(first + second.replace("eth0", "eth1")).plan is not None
    assert read(first + second.replace("VI_2 {", "VI_2 {\nmcast_dst_ip 224.0.0.19")).plan is not None
    peer = "VI_{} {{\nunicast_peer {{\n192.0.2.{}\n}}"
    two = first.replace("VI_1 {", peer.format(1, 2)) + second.replace("VI_2 {", peer.format(2, 3))
    assert read(two).plan is not None


def test_authentication() -> None:
    good = planned("authentication {\nauth_type PASS\nauth_pass abc\n}")
    assert (good.auth_type, good.auth_pass) == (AuthType.PASS, b"abc\0\0\0\0\0")
    assert "cut to '12345678'" in messages(instance("authentication {\nauth_type PASS\nauth_pass 123456789\n}"))
    for extra, said in (
        ("version 3\nauthentication {\nauth_type PASS\nauth_pass x\n}", "version 3 has no authentication"),
        ("authentication {\nauth_type PASS\n}", "without a password"),
        ('authentication {\nauth_type PASS\nauth_pass ""\n}', "without a password"),
        ("authentication {\nauth_type pass\nauth_pass x\n}", "case matters"),
        ("strict_mode\nauthentication {\nauth_type PASS\nauth_pass x\n}", "strict mode has no authentication"),
    ):
        loaded = instance(extra)
        assert said in messages(loaded) + loaded.diagnostics[0].suggestion
        assert planned(extra).auth_type is AuthType.NONE


def test_addresses_with_their_options() -> None:
    lines = (
        "192.0.2.1/24 dev eth1 label eth1:vip brd + scope link",
        "192.0.2.2/24 broadcast 192.0.2.255 home noprefixroute",
        "192.0.2.3 peer 192.0.2.4",
        "192.0.2.5/25 brd -",
    )
    text = "vrrp_instance V {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {\n" + "\n".join(lines) + "\n}\n}"
    loaded = read(text)
    assert errors(loaded) == []
    assert loaded.plan is not None
    one, two, three, four = loaded.plan.vrrp.instances[0].addresses
    assert (one.dev, one.label, one.broadcast, one.scope) == ("eth1", "eth1:vip", "192.0.2.255", 253)
    assert (two.dev, two.broadcast, two.home, two.noprefixroute) == ("eth0", "192.0.2.255", True, True)
    assert (three.prefixlen, three.peer) == (32, "192.0.2.4")
    assert four.broadcast == "192.0.2.0"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("192.0.2.300/24", "is not an IP address"),
        ("vip.example", "is not an IP address"),
        ("192.0.2.1/99", "'99' is no prefix length"),
        ("192.0.2.1/255.255.255.0", "no prefix length"),
        ("192.0.2.1/24,", "no prefix length"),
        ("192.0.2.1/24 192.0.2.2/24", "unknown word '192.0.2.2/24'"),
        ("192.0.2.1/24 foo bar", "unknown word 'bar'"),
        ("192.0.2.10/24", "has 192.0.2.10/24 twice"),
        ("2001:db8::1/64", "is IPv4, and 2001:db8::1/64 is not"),
        ("192.0.2.1/24 dev", "'dev' needs a value"),
        ("192.0.2.1/24 label eth0:123456789012345", "longer than 15"),
        ("192.0.2.1/24 scope foo", "unknown scope"),
        ("192.0.2.1/24 dev eth0 dev eth1", "a second interface"),
        ("192.0.2.1/24 peer 2001:db8::1", "not of the address's family"),
    ],
)
def test_bad_address_lines(line: str, said: str) -> None:
    text = GOOD_INSTANCE.format("").replace("192.0.2.10/24\n", f"192.0.2.10/24\n{line}\n")
    loaded = read(text)
    assert said in messages(loaded)
    assert errors(loaded)[0].startswith("7:")
    assert loaded.exit_code == 5


def test_ipv6_is_version_3_and_unpreferred_when_single() -> None:
    text = GOOD_INSTANCE.format("virtual_ipaddress_excluded {\n192.0.2.9\n}").replace("192.0.2.10/24", "fe80::1")
    loaded = read(text)
    assert errors(loaded) == []
    assert loaded.plan is not None
    (plan,) = loaded.plan.vrrp.instances
    assert (plan.family, plan.version, plan.group) == (6, 3, "ff02::12")
    assert (plan.addresses[0].nodad, plan.addresses[0].preferred_lft) == (True, 0)
    assert plan.excluded_addresses[0].address == "192.0.2.9"


def test_sync_groups() -> None:
    first = GOOD_INSTANCE.format("")
    second = first.replace("VI_1", "VI_2").replace("51", "52").replace(".10/", ".11/")
    loaded = read(first + second + "vrrp_sync_group G {\ngroup {\nVI_1\nVI_2\n}\n}")
    assert errors(loaded) == []
    assert loaded.plan is not None
    assert loaded.plan.vrrp.sync_groups[0].members == ("VI_1", "VI_2")
    assert "only one member" in messages(read(first + "vrrp_sync_group G {\ngroup {\nVI_1\n}\n}"))
    unknown = read(first + "vrrp_sync_group G {\ngroup {\nVI_1\nVI_9\n}\n}")
    assert "no vrrp_instance 'VI_9'" in messages(unknown)
    assert "has no group" in messages(read(first + "vrrp_sync_group G {\nsmtp_alert\n}"))
    twice = first + second + "vrrp_sync_group G {\ngroup { VI_1 VI_2 }\n}\nvrrp_sync_group H {\ngroup { VI_1 VI_2 }\n}"
    assert "already in group G" in messages(read(twice))


def test_members_of_a_group_lose_weighted_scripts() -> None:
    script = "vrrp_script chk {\nscript </dev/null\nweight 5\n}\n"
    first = GOOD_INSTANCE.format("track_script {\nchk\n}")
    second = first.replace("VI_1", "VI_2").replace("51", "52").replace(".10/", ".11/")
    group = "vrrp_sync_group G {\ngroup { VI_1 VI_2 }\n}\n"
    assert "cannot have different priorities" in messages(read(script + first + second + group))
    kept = read(
        script + first + second + group.replace("{ VI", "{ VI").replace("}\n}", "}\nsync_group_tracking_weight\n}")
    )
    assert errors(kept) == []


def test_a_tracked_script_must_stand_before_the_instance() -> None:
    script = "vrrp_script chk {\nscript </dev/null\n}\n"
    track = "track_script {\nchk weight 7\n}"
    assert planned(track, before=script).track_scripts == (Track(name="chk", weight=7),)
    late = read(GOOD_INSTANCE.format(track) + script)
    assert "must come before" in late.diagnostics[0].suggestion
    assert "twice" in messages(instance("track_script {\nchk\nchk\n}", before=script))


def test_interface_delays_and_static_addresses() -> None:
    text = "interface_up_down_delays {\neth0 1 2.5\n}\nstatic_ipaddress {\n192.0.2.1/24 dev eth1\n}\n"
    loaded = read(text)
    assert loaded.exit_code == 0
    assert loaded.plan is not None
    assert loaded.plan.vrrp.interface_delays == {"eth0": (S, 2500 * MS)}
    assert loaded.plan.vrrp.static_addresses[0].dev == "eth1"
    assert loaded.needs_vrrp


def test_static_items_name_track_groups_that_are_there() -> None:
    static = "static_ipaddress {\n192.0.2.1/24 dev eth0 track_group TG\n}\n"
    group = "track_group TG {\ngroup {\nVI_1\n}\n}\n"
    assert errors(read(group + static + GOOD_INSTANCE.format(""))) == []
    assert "there is no track_group 'TG'" in messages(read(static + GOOD_INSTANCE.format("")))
    routes = "static_routes {\ndefault dev eth0 track_group TG\n}\n"
    assert "there is no track_group 'TG'" in messages(read(routes))
