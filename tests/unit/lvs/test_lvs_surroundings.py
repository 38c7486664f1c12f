"""Settings of the host that defeat what is configured."""

from typing import Any

import pytest

from fastha.lvs.surroundings import CONNTRACK_COUNT, CONNTRACK_MAX, FORWARD, NODEST, QUIESCENT, SETTINGS, warnings
from fastha.model.net import Address
from fastha.model.plan import Forwarding, Method
from fastha.system.sysctl import read_numbers
from tests.check_builders import rs, vs

DIRECT = Method(forwarding=Forwarding.DR)
SIX = {"address": Address("fd00::1"), "family": 6}
BAD = {**dict.fromkeys(FORWARD.values(), 0), NODEST: 0, QUIESCENT: 0}


@pytest.mark.parametrize(
    ("service", "said"),
    [
        (vs(rs(1)), [FORWARD[4]]),
        (vs(rs(1), **SIX), [FORWARD[6]]),
        (vs(rs(1, method=DIRECT)), []),
        (vs(rs(1, method=DIRECT), sorry_server=rs(9)), [FORWARD[4]]),
        (vs(rs(1, method=DIRECT, inhibit_on_failure=True), persistence_timeout=60), [QUIESCENT]),
        (vs(rs(1, method=DIRECT), persistence_timeout=60), []),
        (vs(rs(1, method=DIRECT), protocol="UDP"), [NODEST]),
        (vs(rs(1, method=DIRECT), protocol="UDP", flags=4), []),
    ],
)
def test_what_is_in_the_way(service: Any, said: list[str]) -> None:
    found = warnings([service], BAD, "ipvs")
    assert [text.split(" is ")[0] for text in found] == said
    assert all(service.name in text for text in found)


def test_good_settings_and_unknown_ones_are_not_spoken_of() -> None:
    services = [vs(rs(1, inhibit_on_failure=True), persistence_timeout=60), vs(rs(1), protocol="UDP", last=2)]
    assert warnings(services, dict.fromkeys(BAD, 1), "ipvs") == []
    assert warnings(services, {}, "ipvs") == []
    assert len(warnings(services, BAD, "ipvs")) == 3


def test_a_full_connection_table_under_nftables() -> None:
    full = {CONNTRACK_COUNT: 95, CONNTRACK_MAX: 100}
    assert CONNTRACK_MAX in warnings([vs(rs(1))], full, "nftables")[0]
    assert warnings([vs(rs(1))], full, "ipvs") == []
    assert warnings([vs(rs(1))], {**full, CONNTRACK_COUNT: 5}, "nftables") == []


def test_settings_are_read() -> None:
    found = read_numbers([*SETTINGS, "net.nothing.here", "kernel.ostype"])
    assert found["net.ipv4.ip_forward"] in {0, 1}
    assert not {"net.nothing.here", "kernel.ostype"} & found.keys()
