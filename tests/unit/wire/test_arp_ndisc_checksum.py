"""Gratuitous ARP and neighbour advertisements as keepalived 2.2.7 sends them; the Internet checksum."""

import pytest

from fastha.model.net import Address
from fastha.wire import arp, ndisc
from fastha.wire.checksum import checksum, ones_sum, pseudo_header

MAC = bytes.fromhex("020000000001")
GARP = bytes.fromhex("ffffffffffff020000000001080600010800060400010200000000010a090066ffffffffffff0a090066")
NA = bytes.fromhex(
    "33330000000102000000000186dd6000000000203afffd000000000000000000000000000053ff020000000000000000000000000001"
    "880059f720000000fd0000000000000000000000000000530201020000000001"
)


def test_gratuitous_arp_as_keepalived() -> None:
    assert arp.gratuitous(MAC, Address("10.9.0.102")) == GARP
    message = arp.parse(GARP + bytes(18))  # padded to the Ethernet minimum
    assert message == arp.Arp(MAC, Address("10.9.0.102"), b"\xff" * 6, Address("10.9.0.102"), 1)


@pytest.mark.parametrize(
    "frame", [b"", GARP[:-1], GARP[:12] + b"\x08\x00" + GARP[14:], GARP[:14] + b"\0\2" + GARP[16:]]
)
def test_no_arp(frame: bytes) -> None:
    assert arp.parse(frame) is None


def test_neighbour_advertisement_as_keepalived() -> None:
    assert ndisc.unsolicited(MAC, Address("fd00::53"), router=False) == NA


@pytest.mark.parametrize("router", [True, False])
def test_flags_of_an_unsolicited_advertisement(router: bool) -> None:
    frame = ndisc.unsolicited(MAC, Address("fd00::53"), router=router)
    assert ndisc.parse(frame) == ndisc.Advertisement(
        source=Address("fd00::53"),
        destination=ndisc.ALL_NODES,
        target=Address("fd00::53"),
        mac=MAC,
        router=router,
        solicited=False,
        override=True,
        hop_limit=255,
    )


@pytest.mark.parametrize(
    "frame",
    [b"", NA[:-1], GARP + bytes(60), NA[:-1] + b"\x02", NA[:20] + b"\x3b" + NA[21:], NA[:18] + b"\0\x10" + NA[20:]],
)
def test_no_advertisement(frame: bytes) -> None:
    assert ndisc.parse(frame) is None


def test_checksum_of_the_rfc_1071_example() -> None:
    data = bytes.fromhex("0001f203f4f5f6f7")
    assert ones_sum(data) == 0xDDF2
    assert checksum(data) == 0x220D


@pytest.mark.parametrize(("data", "total"), [(b"", 0), (bytes(8), 0), (b"\xff\xff", 0xFFFF), (b"\xff\xff" * 3, 0xFFFF)])
def test_the_two_zeros(data: bytes, total: int) -> None:
    assert ones_sum(data) == total
    assert checksum(data) == 0xFFFF - total


def test_an_odd_octet_is_the_high_one() -> None:
    assert ones_sum(b"\x01") == 0x0100


def test_pseudo_headers() -> None:
    assert pseudo_header(Address("10.0.0.1"), Address("10.0.0.2"), 112, 12).hex() == "0a0000010a0000020070000c"
    six = pseudo_header(Address("fe80::1"), Address("ff02::12"), 112, 24)
    assert len(six) == 40
    assert six[32:].hex() == "0000001800000070"
