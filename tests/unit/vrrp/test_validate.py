"""Validation of adverts: each way to be wrong, its counter, and that nothing else happens."""

import pytest

from fastha.model.net import Address
from fastha.model.plan import AuthType, UnicastPeer, VirtualAddress
from fastha.model.units import MS, S
from fastha.vrrp.events import AdvertReceived
from fastha.vrrp.validate import Outcome, Verdict, validate
from tests.unit.vrrp.bench import HIGHER, LOWER, Bench, instance


def verdict(bench: Bench, advert: AdvertReceived) -> Verdict:
    return validate(advert, bench[0].view(advert.source))


def judged(plan: dict[str, object], **words: object) -> Verdict:
    bench = Bench(instance(**plan)).start()
    return verdict(bench, bench.advert(200, **words))  # type: ignore[arg-type]


V2: dict[str, object] = {}
PASS: dict[str, object] = {"auth_type": AuthType.PASS, "auth_pass": b"secret\0\0"}
V3: dict[str, object] = {"version": 3}
PEER = UnicastPeer(address=HIGHER)


def cut(by: int) -> bytes:
    payload = Bench().start().advert(200).payload
    return payload[:-by]


def flipped(at: int, value: int, plan: dict[str, object]) -> bytes:
    payload = bytearray(Bench(instance(**plan)).start().advert(200).payload)
    payload[at] = value
    return bytes(payload)


@pytest.mark.parametrize(
    "plan", [V2, PASS, V3, {"family": 6, "group": "ff02::12"}, {"version": 3, "family": 6, "group": "ff02::12"}]
)
def test_good_ones(plan: dict[str, object]) -> None:
    bench = Bench(instance(**plan, addresses=())).start()
    source = HIGHER if plan.get("family", 4) == 4 else Address("fe80::6")
    found = verdict(bench, bench.advert(200, source))
    assert (found.outcome, found.counters, found.text) == (Outcome.OK, ("advert_rcvd",), "")
    assert found.header is not None
    assert found.header.priority == 200


@pytest.mark.parametrize(
    ("plan", "words", "counter"),
    [
        (V2, {"payload": cut(1)}, "packet_len_err"),
        (V2, {"payload": flipped(3, 2, V2)}, "packet_len_err"),
        (V2, {"length_ok": False}, "packet_len_err"),
        (V2, {"ttl": 254}, "ip_ttl_err"),
        (V3, {"ttl": 1}, "ip_ttl_err"),
        (V3, {"message": {"version": 2}}, "vers_err"),
        (V2, {"message": {"version": 3}}, "vers_err"),
        (V2, {"message": {"auth_type": 3}}, "invalid_authtype"),
        (V2, {"message": {"auth_type": 1}}, "authtype_mismatch"),
        (PASS, {"message": {"auth_type": 0}}, "authtype_mismatch"),
        (PASS, {"message": {"auth_type": 2}}, "authtype_mismatch"),
        (PASS, {"message": {"auth_data": b"secret\0x"}}, "auth_failure"),
        (V2, {"message": {"type": 2}}, "invalid_type_rcvd"),
        (V2, {"payload": flipped(6, 0, V2)}, "checksum_err"),
        (V3, {"source": LOWER, "payload": flipped(0, 0x31, V3)}, "checksum_err"),
        (V2, {"multicast": False}, "addr_list_err"),
        ({"unicast_peers": (PEER,)}, {"multicast": True}, "addr_list_err"),
    ],
)
def test_errors_and_their_counters(plan: dict[str, object], words: dict[str, object], counter: str) -> None:
    found = judged(plan, **words)
    assert (found.outcome, found.counters) == (Outcome.KO, (counter,))
    assert found.text


@pytest.mark.parametrize("payload", [b"", b"!3", bytes(7)])
def test_too_short_is_skipped_without_a_counter(payload: bytes) -> None:
    found = judged(V2, payload=payload)
    assert (found.outcome, found.counters) == (Outcome.DROP, ())


def test_another_vrid_is_skipped() -> None:
    assert judged(V2, message={"virtual_router_id": 52}).outcome is Outcome.DROP


def test_version_2_drops_another_interval_without_counting() -> None:
    found = judged(V2, message={"interval": 2 * S})
    assert (found.outcome, found.counters) == (Outcome.DROP, ())
    assert found.text == "advertisement interval mismatch with 10.0.0.6 mine=1 sec rcv'd=2 sec"


def test_version_3_accepts_another_interval_with_a_word() -> None:
    found = judged(V3, message={"interval": 200 * MS})
    assert found.outcome is Outcome.OK
    assert "ours = 100 centi-sec rcv'd=20 centi-sec" in found.text


def test_version_3_accepts_an_interval_of_0_too() -> None:
    """Its sender is believed down as soon as it has spoken."""
    bench = Bench(instance(version=3)).master().hear(200, message={"interval": 0})
    assert (bench.state, bench.order().deadline) == ("BACKUP", bench.now)
    assert bench[0].stats["advert_interval_err"] == 0
    assert bench.down().state == "MASTER"
    assert bench[0].master_adver_int == S


@pytest.mark.parametrize(("plan", "padding"), [(V2, 6), (V3, 14)])
def test_ethernet_padding_is_no_error(plan: dict[str, object], padding: int) -> None:
    payload = Bench(instance(**plan)).start().advert(200).payload
    assert judged(plan, payload=payload + bytes(padding)).outcome is Outcome.OK
    assert judged(plan, payload=payload + bytes(padding + 1)).counters == ("packet_len_err",)


def test_a_packet_longer_than_the_ethernet_minimum_is_not_padded() -> None:
    three = tuple(VirtualAddress(address=Address(f"10.0.0.{i}"), prefixlen=32, dev="eth0") for i in (1, 2, 3))
    bench = Bench(instance(addresses=three)).start()
    payload = bench.advert(200).payload
    assert verdict(bench, bench.advert(200, payload=payload)).outcome is Outcome.OK
    assert verdict(bench, bench.advert(200, payload=payload + bytes(2))).counters == ("packet_len_err",)


def test_ipv6_of_the_wrong_cast_is_no_error() -> None:
    bench = Bench(instance(family=6, version=3, group=Address("ff02::12"), addresses=())).start()
    found = verdict(bench, bench.advert(200, Address("fe80::6"), multicast=False, ttl=1))
    assert (found.outcome, found.counters, found.text) == (Outcome.DROP, (), "")


def test_another_address_list_is_counted_and_used() -> None:
    found = judged(V2, message={"addresses": (Address("10.0.0.77"),)})
    assert (found.outcome, found.counters) == (Outcome.OK, ("advert_rcvd", "addr_list_err"))
    assert found.text == "ip address associated with VRID 51 not present in advert from 10.0.0.6: 10.0.0.100"
    found = judged(V2, message={"addresses": ()})
    assert (found.outcome, found.text) == (Outcome.OK, "expected 1 VIPs but received 0")


def test_a_repeated_address_is_another_list() -> None:
    vip = Address("10.0.0.100")
    assert "addr_list_err" in judged(V2, message={"addresses": (vip, vip)}).counters


def test_skip_check_adv_addr_trusts_the_known_master() -> None:
    bench = Bench(instance(skip_check_adv_addr=True)).start()
    other = {"addresses": (Address("10.0.0.77"),)}
    assert "addr_list_err" in verdict(bench, bench.advert(200, message=other)).counters
    bench.hear(200)
    assert "addr_list_err" not in verdict(bench, bench.advert(200, message=other)).counters
    assert "addr_list_err" in verdict(bench, bench.advert(200, LOWER, message=other)).counters


def test_v3_checksum_as_v2_overlooks_checksums() -> None:
    assert judged(V3 | {"v3_checksum_as_v2": True}, payload=flipped(6, 0, V3)).outcome is Outcome.OK


def test_an_owner_may_ignore_adverts_uncounted() -> None:
    found = judged({"priority": 255, "owner_ignore_adverts": True})
    assert (found.outcome, found.counters, found.text) == (Outcome.DROP, (), "")
    assert judged({"priority": 254, "owner_ignore_adverts": True}).outcome is Outcome.OK


class TestUnicast:
    def test_anybody_without_a_check(self) -> None:
        assert judged({"unicast_peers": (PEER,)}, source=LOWER, ttl=3).outcome is Outcome.OK

    def test_check_unicast_src_refuses_strangers(self) -> None:
        plan = {"unicast_peers": (PEER,), "check_unicast_src": True}
        assert judged(plan).outcome is Outcome.OK
        assert judged(plan, source=LOWER).outcome is Outcome.KO

    @pytest.mark.parametrize(("ttl", "outcome"), [(63, Outcome.DROP), (64, Outcome.OK), (65, Outcome.DROP)])
    def test_ttl_bounds(self, ttl: int, outcome: Outcome) -> None:
        peer = UnicastPeer(address=HIGHER, min_ttl=64, max_ttl=64)
        found = judged({"unicast_peers": (peer,)}, ttl=ttl)
        assert found.outcome is outcome
        assert ("ip_ttl_err" in found.counters) is (outcome is Outcome.DROP)


class TestLogging:
    def test_each_kind_once_until_the_master_changes(self) -> None:
        bench = Bench().start()
        assert "invalid TTL/HL from 10.0.0.6. Received 1 and expect 255" in bench.hear(200, ttl=1).logged()
        assert bench.hear(200, ttl=1).logged() == ""
        assert bench.hear(200, payload=cut(1)).logged()
        assert bench.hear(200).logged() == ""
        assert bench.hear(200, ttl=1).logged()  # a validated master, then the error again
        assert bench[0].stats["ip_ttl_err"] == 3

    def test_a_forged_sender_does_not_clear_it(self) -> None:
        bench = Bench().start().hear(200).hear(200, ttl=1)
        assert bench.hear(200, LOWER, ttl=1).logged() == ""

    def test_a_change_of_state_does(self) -> None:
        bench = Bench().start().hear(200, ttl=1).down()
        assert bench.hear(50, ttl=1).logged()


def test_a_rejected_advert_changes_nothing() -> None:
    bench = Bench().start().hear(255, ttl=1)
    assert bench.new_orders() == []
    bench.master().hear(255, ttl=1)
    assert bench.state == "MASTER"
