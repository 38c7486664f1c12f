"""Unsolicited neighbour advertisements (RFC 4861 4.4): what gratuitous ARP is for IPv6."""

import struct
from dataclasses import dataclass

from fastha.model.net import Address, packed, unpacked
from fastha.wire.checksum import checksum, pseudo_header

ALL_NODES = Address("ff02::1")
ALL_NODES_MAC = bytes.fromhex("333300000001")
ICMPV6 = 58
ADVERTISEMENT = 136
ROUTER, SOLICITED, OVERRIDE = 0x80, 0x40, 0x20
TARGET_LINK_LAYER = 2

ETHERNET = struct.Struct("!6s6sH")
IPV6 = struct.Struct("!IHBB16s16s")
NA = struct.Struct("!BBHB3x16sBB6s")


@dataclass(frozen=True, slots=True)
class Advertisement:
    source: Address
    destination: Address
    target: Address
    mac: bytes
    router: bool
    solicited: bool
    override: bool
    hop_limit: int


def unsolicited(mac: bytes, address: Address, *, router: bool) -> bytes:
    """The Ethernet frame (86 bytes) that says `address` is at `mac`: to all nodes, from the address itself, override
    set, `router` set when the interface forwards."""
    flags = OVERRIDE | (ROUTER if router else 0)

    def message(check: int) -> bytes:
        return NA.pack(ADVERTISEMENT, 0, check, flags, packed(address), TARGET_LINK_LAYER, 1, mac)

    check = checksum(pseudo_header(address, ALL_NODES, ICMPV6, NA.size) + message(0))
    return (
        ETHERNET.pack(ALL_NODES_MAC, mac, 0x86DD)
        + IPV6.pack(6 << 28, NA.size, ICMPV6, 255, packed(address), packed(ALL_NODES))
        + message(check)
    )


def parse(frame: bytes) -> Advertisement | None:
    """The advertisement in an Ethernet frame; None when it is something else or its checksum is wrong."""
    start = ETHERNET.size + IPV6.size
    if len(frame) < start + NA.size or ETHERNET.unpack_from(frame)[2] != 0x86DD:
        return None
    _, length, following, hops, source, destination = IPV6.unpack_from(frame, ETHERNET.size)
    body = frame[start : start + length]
    if following != ICMPV6 or len(body) != length or length < NA.size:
        return None
    kind, code, _, flags, target, option, words, mac = NA.unpack_from(body)
    if (kind, code, option, words) != (ADVERTISEMENT, 0, TARGET_LINK_LAYER, 1):
        return None
    if checksum(pseudo_header(unpacked(source), unpacked(destination), ICMPV6, length) + body):
        return None
    return Advertisement(
        source=unpacked(source),
        destination=unpacked(destination),
        target=unpacked(target),
        mac=mac,
        router=bool(flags & ROUTER),
        solicited=bool(flags & SOLICITED),
        override=bool(flags & OVERRIDE),
        hop_limit=hops,
    )
