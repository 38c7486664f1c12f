"""RFC 9568, which replaces 5798: each change, and what fastha does with it. keepalived's ways win where peers depend on
them; what the RFC asks for instead can be configured."""

from __future__ import annotations

import pytest

from fastha.model.net import Address
from fastha.model.units import MS, S
from fastha.vrrp.fsm import State
from fastha.wire import vrrp as wire
from fastha.wire.checksum import checksum
from tests.unit.vrrp.bench import HIGHER, Bench, instance


def v3(**words: object) -> Bench:
    return Bench(instance(**{"version": 3, **words}))


def test_active_is_still_called_master() -> None:
    """The RFC renames Master to Active; operators' scripts know MASTER."""
    assert State.MASTER.value == "MASTER"


def test_the_ipv4_checksum_without_pseudo_header_is_sent_when_configured() -> None:
    plain, default = (v3(v3_checksum_as_v2=on).master().order().datagrams[0].payload for on in (True, False))
    assert checksum(plain) == 0
    assert checksum(default) != 0


def test_the_ipv4_checksum_without_pseudo_header_is_taken_when_configured() -> None:
    def heard(*, configured: bool) -> Bench:
        bench = v3(v3_checksum_as_v2=configured).start()
        message = wire.Message(
            version=3, virtual_router_id=51, priority=200, interval=S, addresses=(Address("10.0.0.100"),)
        )
        payload = wire.build(message, HIGHER, Address("224.0.0.18"), checksum_as_v2=True)
        return bench.hear(200, payload=payload)

    assert heard(configured=True).new_orders()
    assert not heard(configured=False).new_orders()


def test_over_ipv6_the_pseudo_header_stays() -> None:
    words = {"family": 6, "group": Address("ff02::12"), "addresses": (), "v3_checksum_as_v2": True}
    payload = v3(**words).master().order().datagrams[0].payload
    assert wire.message_checksum(payload, Address("fe80::5"), Address("ff02::12"), pseudo=True) == 0


def test_another_address_list_is_logged_and_not_dropped() -> None:
    bench = v3().start().hear(200, message={"addresses": (Address("10.0.0.77"),)})
    assert "not present in advert from" in bench.logged()
    assert bench.order().expected


@pytest.mark.parametrize("interval", [10 * MS, 20 * MS, 100 * MS])
def test_sub_second_operation_has_sub_second_skew(interval: int) -> None:
    bench = v3(adver_int=interval, priority=128).start()
    assert bench[0].skew_time == interval // 2
    assert bench.order().deadline == bench.now + 3 * interval + interval // 2


def test_no_authentication_in_version_3() -> None:
    assert len(v3().master().order().datagrams[0].payload) == 12
