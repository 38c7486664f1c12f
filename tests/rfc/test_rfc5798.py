"""VRRP version 3 (RFC 5798): a test for each sentence that binds a router, named by section, in our words.

What the kernel does with packets and ARP for an address (6.4.2 310-340, 6.4.3 610-650) follows from whether it holds
the address: tested here as "wants it present"; on real interfaces in tests/netns.
"""

from __future__ import annotations

import pytest

from fastha.model.net import Address
from fastha.model.plan import Track, VirtualAddress, VrrpInstance, VrrpPlan
from fastha.model.units import MS, S
from fastha.vrrp import actions, events
from fastha.vrrp.core import Core
from fastha.vrrp.orders import Mode
from fastha.wire import ndisc
from fastha.wire import vrrp as wire
from tests.unit.vrrp.bench import HIGHER, LOWER, OURS, VIP, Bench, instance

LINK_LOCAL, PEER6 = Address("fe80::5"), Address("fe80::6")
VIP6 = (
    VirtualAddress(address=Address("fe80::100"), prefixlen=64, dev="eth0"),
    VirtualAddress(address=Address("fd00::100"), prefixlen=64, dev="eth0"),
)


def v3(**words: object) -> Bench:
    return Bench(instance(**{"version": 3, **words}))


def six(**words: object) -> Bench:
    return v3(**{"family": 6, "group": Address("ff02::12"), "addresses": VIP6, **words})


def octets(bench: Bench) -> bytes:
    """The advert of the order in force."""
    return bench.order().datagrams[0].payload


# ------------------------------------------------------------------------------------- 5.1 and 5.2, the packet


def test_5_1_1_1_ipv4_adverts_leave_from_the_primary_address() -> None:
    assert v3().start().core.endpoints()[0].source == OURS


def test_5_1_1_2_ipv4_adverts_go_to_224_0_0_18() -> None:
    assert v3().master().order().datagrams[0].destination == "224.0.0.18"


def test_5_1_1_3_adverts_leave_with_ttl_255() -> None:
    assert v3().start().core.endpoints()[0].ttl == 255


@pytest.mark.parametrize("ttl", [0, 1, 64, 254])
def test_5_1_1_3_another_ttl_is_discarded(ttl: int) -> None:
    bench = v3().start().hear(200, ttl=ttl)
    assert bench.new_orders() == []
    assert bench[0].stats["ip_ttl_err"] == 1


def test_5_1_2_1_ipv6_adverts_leave_from_the_link_local_address() -> None:
    assert six().start().core.endpoints()[0].source == LINK_LOCAL


def test_5_1_2_2_ipv6_adverts_go_to_ff02_12() -> None:
    assert six().master().order().datagrams[0].destination == "ff02::12"


def test_5_1_2_3_another_hop_limit_is_discarded() -> None:
    bench = six().start().hear(200, PEER6, ttl=254)
    assert bench.new_orders() == []
    assert bench[0].stats["ip_ttl_err"] == 1
    assert bench.core.endpoints()[0].ttl == 255


def test_5_2_1_the_version_is_3() -> None:
    assert octets(v3().master())[0] >> 4 == 3


def test_5_2_2_the_type_is_1() -> None:
    assert octets(v3().master())[0] & 15 == 1


@pytest.mark.parametrize("kind", [0, 2, 15])
def test_5_2_2_an_unknown_type_is_discarded(kind: int) -> None:
    bench = v3().start().hear(200, message={"type": kind})
    assert bench.new_orders() == []
    assert bench[0].stats["invalid_type_rcvd"] == 1


def test_5_2_3_the_vrid_says_which_virtual_router_it_is() -> None:
    assert octets(v3(virtual_router_id=77).master())[1] == 77


def test_5_2_4_an_owner_has_priority_255() -> None:
    assert octets(v3(priority=255).master())[2] == 255


@pytest.mark.parametrize(("weight", "priority"), [(-253, 1), (253, 254)])
def test_5_2_4_who_backs_up_stays_within_1_and_254(weight: int, priority: int) -> None:
    bench = v3(track_scripts=(Track(name="s", weight=weight),)).start()
    bench.say(events.ScriptResult("s", up=weight > 0)).down()
    assert octets(bench)[2] == priority


def test_5_2_4_the_default_priority_is_100() -> None:
    assert VrrpInstance(name="x", interface="eth0", virtual_router_id=1).priority == 100


def test_5_2_4_priority_0_says_the_master_has_stopped() -> None:
    assert [m.priority for m in v3().master().say(events.Shutdown()).sent()] == [0]


def test_5_2_5_the_count_is_that_of_the_addresses() -> None:
    assert octets(six().master())[3] == 2


def test_5_2_6_reserved_bits_are_0_when_sent() -> None:
    assert octets(v3(adver_int=40_950 * MS).master())[4] >> 4 == 0


def test_5_2_6_reserved_bits_are_ignored_when_received() -> None:
    bench = v3().start()
    payload = bytearray(bench.advert(200).payload)
    payload[4] |= 0xF0
    payload[6:8] = bytes(2)
    payload[6:8] = wire.message_checksum(bytes(payload), HIGHER, Address("224.0.0.18"), pseudo=True).to_bytes(2)
    bench.hear(200, payload=bytes(payload))
    assert bench[0].master_adver_int == S


@pytest.mark.parametrize(("interval", "field"), [(S, 100), (10 * MS, 1), (40_950 * MS, 4095)])
def test_5_2_7_the_interval_is_in_centiseconds(interval: int, field: int) -> None:
    assert int.from_bytes(octets(v3(adver_int=interval).master())[4:6]) == field


def test_5_2_7_the_default_interval_is_1_s() -> None:
    assert VrrpInstance(name="x", interface="eth0", virtual_router_id=1).adver_int == S


def test_5_2_8_the_checksum_is_over_message_and_pseudo_header() -> None:
    for bench, source, group in ((v3(), OURS, "224.0.0.18"), (six(), LINK_LOCAL, "ff02::12")):
        payload = octets(bench.master())
        assert wire.message_checksum(payload, source, Address(group), pseudo=True) == 0


def test_5_2_9_the_addresses_are_those_of_the_virtual_router_in_order() -> None:
    message = six().master().sent()[0]
    assert message.addresses == ("fe80::100", "fd00::100")


def test_5_2_9_no_advert_mixes_families() -> None:
    both = (VirtualAddress(address=VIP, prefixlen=24, dev="eth0"), *VIP6)
    assert v3(addresses=both).master().sent()[0].addresses == (VIP,)
    assert six(addresses=both).master().sent()[0].addresses == ("fe80::100", "fd00::100")


# -------------------------------------------------------------------------------------- 6.1, the parameters


def test_6_1_master_adver_interval_is_at_first_the_own_one() -> None:
    assert v3(adver_int=300 * MS).start()[0].master_adver_int == 300 * MS


@pytest.mark.parametrize(("priority", "skew_us"), [(255, 3_906), (254, 7_812), (100, 609_375), (1, 996_093)])
def test_6_1_skew_time(priority: int, skew_us: int) -> None:
    assert v3(priority=priority).start()[0].skew_time == skew_us * 1_000


def test_6_1_master_down_interval_is_three_intervals_and_the_skew() -> None:
    one = v3(adver_int=100 * MS, priority=128).start()[0]
    assert one.master_down_interval == 350 * MS


def test_6_1_the_owner_preempts_whatever_the_mode() -> None:
    bench = v3(priority=255, nopreempt=True).start()
    assert bench.order().deadline <= bench.now + 1_000


# --------------------------------------------------------------------------------------- 6.4.1, initialize


def test_6_4_1_110_to_145_an_owner_becomes_master() -> None:
    bench = v3(priority=255).start()
    bench.now = bench.order().deadline
    bench.down()
    assert bench.state == "MASTER"
    assert [m.priority for m in bench.sent()] == [255]
    assert bench.asked(actions.Announce)
    assert (bench.order().mode, bench.order().interval) == (Mode.SPEAK, S)


def test_6_4_1_155_to_165_others_become_backup_for_a_master_down_interval() -> None:
    bench = v3(priority=200).start()
    assert bench.state == "BACKUP"
    assert bench.order().deadline == bench.now + bench[0].master_down_interval


# -------------------------------------------------------------------------------------------- 6.4.2, backup


def test_6_4_2_310_to_340_a_backup_does_not_hold_the_addresses() -> None:
    bench = v3().master().hear(200)
    assert bench.asked(actions.WantAddresses) == [actions.WantAddresses(0, present=False)]
    assert bench.asked(actions.Announce) == []


def test_6_4_2_345_to_355_shutdown_cancels_the_timer_and_initializes() -> None:
    bench = v3().start().say(events.Shutdown())
    assert bench.state == "INIT"
    assert bench.order().mode is Mode.IDLE
    assert bench.sent() == []


def test_6_4_2_370_the_master_down_timer_sends_an_advertisement_first() -> None:
    bench = v3().start()
    bench.now += 4 * S
    bench.down()
    kinds = [type(a) for a in bench.said]
    assert [m.priority for m in bench.sent()] == [100]
    assert kinds.index(actions.Give) < kinds.index(actions.WantAddresses) < kinds.index(actions.Announce)


def test_6_4_2_380_it_announces_each_ipv4_address() -> None:
    bench = v3().master()
    assert bench.asked(actions.Announce)[0].addresses == (("eth0", VIP),)


def test_6_4_2_395_it_announces_each_ipv6_address() -> None:
    bench = six().master()
    assert bench.asked(actions.Announce)[0].addresses == (("eth0", "fe80::100"), ("eth0", "fd00::100"))


def test_6_4_2_395_the_announcement_is_unsolicited_and_overrides() -> None:
    found = ndisc.parse(ndisc.unsolicited(b"\0\0\x5e\0\2\7", Address("fd00::100"), router=True))
    assert found is not None
    assert (found.router, found.solicited, found.override, found.target) == (True, False, True, "fd00::100")


def test_6_4_2_405_adverts_follow_every_advertisement_interval() -> None:
    assert v3(adver_int=200 * MS).master().order().interval == 200 * MS


def test_6_4_2_430_priority_0_sets_the_timer_to_the_skew() -> None:
    bench = v3().start().hear(200)
    bench.now += S
    bench.hear(0)
    assert bench.order().deadline == bench.now + bench[0].skew_time


@pytest.mark.parametrize("priority", [100, 101, 255])
def test_6_4_2_445_to_460_priority_not_lower_resets_the_timer_by_the_masters_interval(priority: int) -> None:
    bench = v3().start()
    bench.now += S
    bench.hear(priority, message={"interval": 2 * S})
    assert bench[0].master_adver_int == 2 * S
    assert bench.order().deadline == bench.now + 6 * S + 2 * 609_375_000
    assert bench.order().restart == 6 * S + 2 * 609_375_000


def test_6_4_2_445_without_preempt_mode_lower_priority_too() -> None:
    bench = v3(nopreempt=True).start().hear(1, message={"interval": 2 * S})
    assert bench[0].master_adver_int == 2 * S


def test_6_4_2_470_otherwise_it_is_discarded() -> None:
    bench = v3().start().hear(99, message={"interval": 2 * S})
    assert bench.new_orders() == []
    assert bench[0].master_adver_int == S


# -------------------------------------------------------------------------------------------- 6.4.3, master


def test_6_4_3_610_to_650_a_master_holds_the_addresses() -> None:
    assert v3().master().asked(actions.WantAddresses) == [actions.WantAddresses(0, present=True)]


def test_6_4_3_preempt_mode_is_not_considered() -> None:
    assert v3(nopreempt=True).master().hear(101).state == "BACKUP"


def test_6_4_3_655_to_670_shutdown_stops_adverts_says_priority_0_and_initializes() -> None:
    bench = v3().master().say(events.Shutdown())
    kinds = [type(a) for a in bench.said]
    assert bench.order().mode is Mode.IDLE
    assert kinds.index(actions.Give) < kinds.index(actions.Send)
    assert [m.priority for m in bench.sent()] == [0]
    assert bench.state == "INIT"


def test_6_4_3_710_to_715_priority_0_is_answered_and_the_adver_timer_reset() -> None:
    bench = v3().master().hear(0)
    assert [m.priority for m in bench.sent()] == [100]
    order = bench.order()
    assert (order.mode, order.first, order.interval, order.shift) == (Mode.SPEAK, bench.now, S, None)


@pytest.mark.parametrize(("priority", "source"), [(101, LOWER), (101, HIGHER), (100, HIGHER)])
def test_6_4_3_725_to_765_better_masters_make_it_backup(priority: int, source: Address) -> None:
    bench = v3().master().hear(priority, source, message={"interval": 3 * S})
    assert bench.state == "BACKUP"
    assert bench[0].master_adver_int == 3 * S
    assert bench.order().mode is Mode.LISTEN
    assert bench.order().deadline == bench.now + 9 * S + 3 * 609_375_000


def test_6_4_3_735_ipv6_addresses_decide_too() -> None:
    assert six().master().hear(100, PEER6).state == "BACKUP"
    assert six().master().hear(100, Address("fe80::4")).state == "MASTER"


@pytest.mark.parametrize(("priority", "source"), [(99, HIGHER), (1, HIGHER), (100, LOWER)])
def test_6_4_3_775_others_are_not_yielded_to(priority: int, source: Address) -> None:
    assert v3().master().hear(priority, source).state == "MASTER"


# ------------------------------------------------------------------------------------- 7.1, what is received


def test_7_1_the_version_is_verified() -> None:
    bench = v3().start().hear(200, message={"version": 2})
    assert (bench.new_orders(), bench[0].stats["vers_err"]) == ([], 1)


@pytest.mark.parametrize("keep", [0, 7, 8, 11])
def test_7_1_the_packet_is_complete(keep: int) -> None:
    bench = v3().start()
    bench.hear(200, payload=bench.advert(200).payload[:keep])
    assert bench.new_orders() == []
    assert bench[0].stats["advert_rcvd"] == 0


def test_7_1_the_checksum_is_verified() -> None:
    bench = v3().start()
    payload = bench.advert(200).payload
    bench.hear(200, payload=payload[:-1] + bytes([payload[-1] ^ 1]))
    assert (bench.new_orders(), bench[0].stats["checksum_err"]) == ([], 1)


def test_7_1_the_vrid_is_one_of_ours() -> None:
    bench = v3().start().hear(200, message={"virtual_router_id": 52})
    assert bench.new_orders() == []


def test_7_1_an_owner_ignores_adverts_in_strict_operation() -> None:
    bench = v3(priority=255, owner_ignore_adverts=True).master().hear(255, HIGHER)
    assert (bench.state, bench.said) == ("MASTER", [])


def test_7_1_what_fails_is_logged_and_counted() -> None:
    bench = v3().start().hear(200, ttl=7)
    assert "invalid TTL" in bench.logged()
    assert bench[0].stats["ip_ttl_err"] == 1


def test_7_1_other_addresses_are_logged_and_counted() -> None:
    bench = v3().start().hear(200, message={"addresses": (Address("10.0.0.77"),)})
    assert "not present in advert from" in bench.logged()
    assert bench[0].stats["addr_list_err"] == 1


# ---------------------------------------------------------------------------------------- 7.2, what is sent


def test_7_2_the_fields_are_those_of_the_configuration() -> None:
    bench = v3(priority=150, adver_int=500 * MS, virtual_router_id=9).master()
    assert bench.sent() == [
        wire.Message(version=3, virtual_router_id=9, priority=150, interval=500 * MS, addresses=(VIP,))
    ]


# ------------------------------------------------------------------------------- 8, on top of IPv4 and IPv6


def test_8_1_2_nothing_is_announced_on_starting() -> None:
    assert v3().start().asked(actions.Announce) == []


def test_8_2_2_no_neighbour_advertisement_on_starting() -> None:
    assert six().start().asked(actions.Announce) == []


def test_8_2_2_duplicate_address_detection_does_not_run() -> None:
    assert VirtualAddress(address=VIP, prefixlen=24, dev="eth0").nodad


def test_8_3_2_without_an_owner_and_without_preemption_nobody_preempts() -> None:
    bench = v3(nopreempt=True, priority=254).start()
    for _ in range(5):
        bench.now += S
        bench.hear(1)
    assert bench.state == "BACKUP"
    assert bench.order().deadline == bench.now + bench[0].master_down_interval


def test_8_4_versions_are_not_mixed() -> None:
    bench = v3().master()
    assert len(bench.order().datagrams) == 1


def test_a_virtual_router_is_its_own_election() -> None:
    """6.4: one state machine for each virtual router."""
    core = Core(VrrpPlan(instances=(instance("A"), instance("B", virtual_router_id=52))))
    assert len({id(i) for i in core.instances.values()}) == 2
    bench = Bench(instance("A"), instance("B", virtual_router_id=52)).master().hear(200, index=1)
    assert bench.core.states() == {"A": "MASTER", "B": "BACKUP"}
