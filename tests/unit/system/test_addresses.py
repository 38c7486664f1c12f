"""Requests for addresses, as the kernel will read them: pyroute2 decodes what was encoded."""

import socket

import pytest
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

from fastha.model.plan import VirtualAddress
from fastha.system.addresses import FOREVER, encode
from fastha.wire import netlink as wire


def decoded(line: VirtualAddress) -> dict[str, object]:
    message = ifaddrmsg(wire.frame(20, 0, 0, encode(line)))
    message.decode()
    return {
        "family": message["family"],
        "prefixlen": message["prefixlen"],
        "scope": message["scope"],
        "index": message["index"],
        **dict(message["attrs"]),
    }


def line(address: str, prefixlen: int, **words: object) -> VirtualAddress:
    return VirtualAddress(address=address, prefixlen=prefixlen, dev="eth0", **words)  # type: ignore[arg-type]


def test_an_ipv4_address() -> None:
    assert decoded(line("10.0.0.9", 24)) == {
        "family": socket.AF_INET,
        "prefixlen": 24,
        "scope": 0,
        "index": 0,
        "IFA_LOCAL": "10.0.0.9",
        "IFA_ADDRESS": "10.0.0.9",
        "IFA_FLAGS": 0,
        "IFA_PROTO": 18,
    }


def test_every_option_of_an_ipv4_address() -> None:
    words = {"scope": 253, "broadcast": "10.0.0.255", "label": "eth0:1", "peer": "10.9.9.9", "noprefixroute": True}
    found = decoded(line("10.0.0.9", 24, **words))
    assert found["scope"] == 253
    assert found["IFA_BROADCAST"] == "10.0.0.255"
    assert found["IFA_LABEL"] == "eth0:1"
    assert found["IFA_ADDRESS"] == "10.9.9.9"
    assert found["IFA_FLAGS"] == 0x200


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ({}, 0x02),
        ({"nodad": False}, 0),
        ({"home": True}, 0x12),
        ({"mngtmpaddr": True, "autojoin": True}, 0x502),
    ],
)
def test_flags_of_an_ipv6_address(words: dict[str, object], flags: int) -> None:
    assert decoded(line("fd00::9", 64, **words))["IFA_FLAGS"] == flags


def test_a_host_address_is_no_source_of_our_own_connections() -> None:
    lifetime = decoded(line("fd00::9", 128, preferred_lft=0))["IFA_CACHEINFO"]
    assert isinstance(lifetime, dict)
    assert (lifetime["ifa_preferred"], lifetime["ifa_valid"]) == (0, FOREVER)
    assert "IFA_CACHEINFO" not in decoded(line("fd00::9", 64))
    wanted = decoded(line("fd00::9", 128, preferred_lft=300))["IFA_CACHEINFO"]
    assert isinstance(wanted, dict)
    assert wanted["ifa_preferred"] == 300
