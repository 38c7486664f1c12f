"""VRRP version 2 (RFC 3768): what differs from version 3, one test for each binding sentence, in our words."""

from __future__ import annotations

import pytest

from fastha.model.plan import AuthType
from fastha.model.units import MS, S
from fastha.vrrp import actions, events
from fastha.vrrp.orders import Mode
from fastha.wire.checksum import checksum
from tests.unit.vrrp.bench import HIGHER, LOWER, OURS, VIP, Bench, instance


def v2(**words: object) -> Bench:
    return Bench(instance(**words))


def octets(bench: Bench) -> bytes:
    return bench.order().datagrams[0].payload


def test_5_2_3_another_ttl_is_discarded() -> None:
    bench = v2().start().hear(200, ttl=254)
    assert (bench.new_orders(), bench[0].stats["ip_ttl_err"]) == ([], 1)


def test_5_3_1_and_5_3_2_version_2_type_1() -> None:
    assert octets(v2().master())[0] == 0x21


def test_5_3_2_an_unknown_type_is_discarded() -> None:
    bench = v2().start().hear(200, message={"type": 3})
    assert (bench.new_orders(), bench[0].stats["invalid_type_rcvd"]) == ([], 1)


def test_5_3_4_an_owner_has_255_and_the_default_is_100() -> None:
    assert octets(v2(priority=255).master())[2] == 255
    assert octets(v2().master())[2] == 100


@pytest.mark.parametrize("kind", [3, 255])
def test_5_3_6_an_unknown_authentication_type_is_discarded(kind: int) -> None:
    bench = v2().start().hear(200, message={"auth_type": kind})
    assert (bench.new_orders(), bench[0].stats["invalid_authtype"]) == ([], 1)


@pytest.mark.parametrize("kind", [1, 2])
def test_5_3_6_another_authentication_than_ours_is_discarded(kind: int) -> None:
    bench = v2().start().hear(200, message={"auth_type": kind})
    assert (bench.new_orders(), bench[0].stats["authtype_mismatch"]) == ([], 1)


def test_5_3_6_1_without_authentication_the_data_is_0_when_sent_and_ignored_when_received() -> None:
    assert octets(v2().master())[-8:] == bytes(8)
    bench = v2().start().hear(200, message={"auth_data": b"whatever"})
    assert bench.order().expected


def test_5_3_7_the_interval_is_in_seconds() -> None:
    assert octets(v2(adver_int=7 * S).master())[5] == 7


def test_5_3_8_the_checksum_is_over_the_message_alone() -> None:
    assert checksum(octets(v2().master())) == 0


def test_5_3_9_the_addresses_follow_the_header() -> None:
    assert octets(v2().master())[8:12] == bytes((10, 0, 0, 100))


@pytest.mark.parametrize("interval", [S, 5 * S, 100 * S])
def test_6_1_skew_is_a_part_of_a_second_whatever_the_interval(interval: int) -> None:
    one = v2(adver_int=interval, priority=128).start()[0]
    assert one.skew_time == 500 * MS
    assert one.master_down_interval == 3 * interval + 500 * MS


def test_6_4_1_an_owner_becomes_master_with_an_advert_and_announcements() -> None:
    bench = v2(priority=255).start().down()
    assert (bench.state, [m.priority for m in bench.sent()]) == ("MASTER", [255])
    assert bench.asked(actions.Announce)[0].addresses == (("eth0", VIP),)


def test_6_4_1_others_become_backup() -> None:
    bench = v2().start()
    assert (bench.state, bench.order().deadline) == ("BACKUP", bench.now + 3_609_375_000)


def test_6_4_2_a_backup_does_not_hold_the_addresses() -> None:
    assert v2().start().asked(actions.WantAddresses) == [actions.WantAddresses(0, present=False)]


def test_6_4_2_master_down_sends_an_advert_announces_and_is_master() -> None:
    bench = v2().start()
    bench.now += 4 * S
    bench.down()
    assert (bench.state, [m.priority for m in bench.sent()]) == ("MASTER", [100])
    assert bench.asked(actions.Announce)


def test_6_4_2_priority_0_sets_the_timer_to_the_skew() -> None:
    bench = v2().start().hear(200).hear(0)
    assert bench.order().deadline == bench.now + 609_375_000


def test_6_4_2_priority_not_lower_resets_the_timer() -> None:
    bench = v2().start()
    bench.now += 2 * S
    bench.hear(100)
    assert bench.order().deadline == bench.now + 3_609_375_000


def test_6_4_2_a_lower_one_only_without_preemption() -> None:
    assert v2().start().hear(99).new_orders() == []
    assert v2(nopreempt=True).start().hear(99).new_orders()


def test_6_4_3_shutdown_says_priority_0() -> None:
    bench = v2().master().say(events.Shutdown())
    assert ([m.priority for m in bench.sent()], bench.state) == ([0], "INIT")


def test_6_4_3_priority_0_is_answered() -> None:
    assert [m.priority for m in v2().master().hear(0).sent()] == [100]


@pytest.mark.parametrize(
    ("priority", "source", "state"),
    [
        (101, LOWER, "BACKUP"),
        (100, HIGHER, "BACKUP"),
        (100, LOWER, "MASTER"),
        (99, HIGHER, "MASTER"),
        (100, OURS, "MASTER"),
    ],
)
def test_6_4_3_who_is_better(priority: int, source: object, state: str) -> None:
    bench = v2().master().hear(priority, source)  # type: ignore[arg-type]
    assert bench.state == state
    if state == "BACKUP":
        assert (bench.order().mode, bench.order().deadline) == (Mode.LISTEN, bench.now + 3_609_375_000)


def test_7_1_the_version_is_verified() -> None:
    bench = v2().start().hear(200, message={"version": 3})
    assert (bench.new_orders(), bench[0].stats["vers_err"]) == ([], 1)


@pytest.mark.parametrize("keep", [7, 8, 12, 19])
def test_7_1_fields_addresses_and_authentication_data_are_all_there(keep: int) -> None:
    bench = v2().start()
    bench.hear(200, payload=bench.advert(200).payload[:keep])
    assert (bench.new_orders(), bench[0].stats["advert_rcvd"]) == ([], 0)


def test_7_1_the_checksum_is_verified() -> None:
    bench = v2().start()
    payload = bench.advert(200).payload
    bench.hear(200, payload=payload[:2] + b"\xfa" + payload[3:])
    assert (bench.new_orders(), bench[0].stats["checksum_err"]) == ([], 1)


def test_7_1_the_vrid_is_ours() -> None:
    assert v2().start().hear(200, message={"virtual_router_id": 1}).new_orders() == []


def test_7_1_the_authentication_is_performed() -> None:
    secret = {"auth_type": AuthType.PASS, "auth_pass": b"secret\0\0"}
    assert v2(**secret).start().hear(200).new_orders()
    bench = v2(**secret).start().hear(200, message={"auth_data": b"wrong\0\0\0"})
    assert (bench.new_orders(), bench[0].stats["auth_failure"]) == ([], 1)


def test_7_1_failures_are_logged() -> None:
    assert v2().start().hear(200, ttl=3).logged()


def test_7_1_another_address_list_of_an_owner_is_logged_and_used() -> None:
    bench = v2().start().hear(255, message={"addresses": ()})
    assert bench[0].stats["addr_list_err"] == 1
    assert bench.order().expected


def test_7_1_another_interval_is_discarded_and_logged() -> None:
    bench = v2().start().hear(200, message={"interval": 2 * S})
    assert bench.new_orders() == []
    assert "interval mismatch" in bench.logged()


def test_7_2_adverts_go_to_the_group_from_the_primary_address() -> None:
    bench = v2().master()
    assert bench.order().datagrams[0].destination == "224.0.0.18"
    assert bench.core.endpoints()[0].source == OURS


def test_8_2_no_arp_on_starting() -> None:
    assert v2().start().asked(actions.Announce) == []
