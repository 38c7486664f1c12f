"""VRRP messages against bytes captured from keepalived 2.2.7 on a link, and against their own rules."""

import pytest

from fastha.model.net import Address
from fastha.model.units import MS, S
from fastha.wire import ip, vrrp

GROUP4, GROUP6 = Address("224.0.0.18"), Address("ff02::12")
ONE, LINK_LOCAL = Address("10.9.0.1"), Address("fe80::ff:fe00:1")

CAPTURED = {
    "version 2, PASS, two addresses": (
        "2133960201 01f6a1 0a090064 0a090065 7365637265740000",
        ONE,
        GROUP4,
        vrrp.Message(
            version=2,
            virtual_router_id=51,
            priority=150,
            interval=S,
            addresses=(Address("10.9.0.100"), Address("10.9.0.101")),
            auth_type=vrrp.AUTH_PASS,
            auth_data=b"secret\0\0",
        ),
    ),
    "version 3, owner, 0.5 s": (
        "3134ff01 0032da8f 0a090066",
        ONE,
        GROUP4,
        vrrp.Message(
            version=3, virtual_router_id=52, priority=255, interval=500 * MS, addresses=(Address("10.9.0.102"),)
        ),
    ),
    "version 3, priority 0": (
        "31340001 0032d990 0a090066",
        ONE,
        GROUP4,
        vrrp.Message(
            version=3, virtual_router_id=52, priority=0, interval=500 * MS, addresses=(Address("10.9.0.102"),)
        ),
    ),
    "version 3 over IPv6": (
        "31356402 0064710d fe800000000000000000000000000053 fd000000000000000000000000000053",
        LINK_LOCAL,
        GROUP6,
        vrrp.Message(
            version=3,
            virtual_router_id=53,
            priority=100,
            interval=S,
            addresses=(Address("fe80::53"), Address("fd00::53")),
        ),
    ),
    "version 2 over IPv6: the type of authentication, but no bytes of it": (
        "21366401 01017dd3 fe800000000000000000000000000054",
        LINK_LOCAL,
        GROUP6,
        vrrp.Message(
            version=2,
            virtual_router_id=54,
            priority=100,
            interval=S,
            addresses=(Address("fe80::54"),),
            auth_type=vrrp.AUTH_PASS,
            auth_data=b"",
        ),
    ),
}


@pytest.mark.parametrize("name", CAPTURED)
def test_as_keepalived(name: str) -> None:
    text, source, destination, message = CAPTURED[name]
    octets = bytes.fromhex(text.replace(" ", ""))
    assert vrrp.build(message, source, destination) == octets
    assert vrrp.parse(octets, source, destination) == message


def test_the_whole_packet_as_keepalived() -> None:
    packet = bytes.fromhex(
        "45c0002c00010000ff70d0840a090001e00000122133960201 01f6a10a0900640a0900657365637265740000".replace(" ", "")
    )
    parsed = ip.parse(packet)
    assert parsed is not None
    header, whole = parsed
    assert whole
    assert (header.source, header.destination, header.ttl, header.protocol, header.tos, header.ident) == (
        ONE,
        GROUP4,
        255,
        112,
        0xC0,
        1,
    )
    assert ip.build(header) == packet
    assert ip.parse(packet + b"\0\0") == (ip.Ipv4(**{**_fields(header), "payload": header.payload + b"\0\0"}), False)


def _fields(packet: ip.Ipv4) -> dict[str, object]:
    return {name: getattr(packet, name) for name in packet.__slots__}


@pytest.mark.parametrize("octets", [b"", b"E" * 19, bytes(20), bytes([0x4F]) + bytes(30), bytes([0x44]) + bytes(30)])
def test_no_ipv4_header(octets: bytes) -> None:
    assert ip.parse(octets) is None


MESSAGE = vrrp.Message(version=3, virtual_router_id=1, priority=7, interval=S, addresses=(Address("10.0.0.1"),))
GOOD = vrrp.build(MESSAGE, ONE, GROUP4)


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", vrrp.Malformed.SHORT),
        (GOOD[:7], vrrp.Malformed.SHORT),
        (b"\x41" + GOOD[1:], vrrp.Malformed.VERSION),
        (b"\x32" + GOOD[1:], vrrp.Malformed.TYPE),
        (GOOD[:-1], vrrp.Malformed.LENGTH),
        (GOOD + b"\0", vrrp.Malformed.LENGTH),
        (GOOD[:3] + b"\x02" + GOOD[4:], vrrp.Malformed.LENGTH),
        (GOOD[:2] + b"\x08" + GOOD[3:], vrrp.Malformed.CHECKSUM),
    ],
)
def test_malformed(octets: bytes, why: vrrp.Malformed) -> None:
    assert vrrp.parse(octets, ONE, GROUP4) is why


def test_the_pseudo_header_counts_in_version_3() -> None:
    assert vrrp.parse(GOOD, Address("10.9.0.2"), GROUP4) is vrrp.Malformed.CHECKSUM
    plain = vrrp.build(MESSAGE, ONE, GROUP4, checksum_as_v2=True)
    assert plain != GOOD
    assert vrrp.parse(plain, Address("10.9.0.2"), GROUP4, checksum_as_v2=True) == MESSAGE


def test_reserved_bits_of_version_3_are_ignored() -> None:
    header = vrrp.read_header(GOOD[:4] + bytes([GOOD[4] | 0xF0]) + GOOD[5:])
    assert header is not None
    assert header.interval == S


@pytest.mark.parametrize(("version", "interval"), [(3, 40_960 * MS), (2, 256 * S)])
def test_an_interval_that_does_not_fit(version: int, interval: int) -> None:
    message = vrrp.Message(version=version, virtual_router_id=1, priority=1, interval=interval, addresses=())
    with pytest.raises(ValueError, match="does not fit"):
        vrrp.build(message, ONE, GROUP4)


def test_too_many_addresses() -> None:
    message = vrrp.Message(
        version=3, virtual_router_id=1, priority=1, interval=S, addresses=(Address("10.0.0.1"),) * 256
    )
    with pytest.raises(ValueError, match="256 addresses"):
        vrrp.build(message, ONE, GROUP4)
