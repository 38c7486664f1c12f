"""The IPv4 header of an advert, and its reading."""

import struct
from dataclasses import dataclass

from fastha.model.net import Address, packed, unpacked
from fastha.wire.checksum import checksum

VRRP = 112
TOS = 0xC0
"""Internetwork control: what adverts carry (TOS, or traffic class of IPv6)."""
HEADER = struct.Struct("!BBHHHBBH4s4s")


@dataclass(frozen=True, slots=True)
class Ipv4:
    """One packet: the header's fields that matter, and what follows."""

    source: Address
    destination: Address
    payload: bytes
    ttl: int = 255
    protocol: int = VRRP
    tos: int = TOS
    ident: int = 0


def build(packet: Ipv4) -> bytes:
    """The packet with a header of 20 bytes: no options, fragment field 0."""
    length = HEADER.size + len(packet.payload)

    def header(check: int) -> bytes:
        return HEADER.pack(
            0x45,
            packet.tos,
            length,
            packet.ident & 0xFFFF,
            0,
            packet.ttl,
            packet.protocol,
            check,
            packed(packet.source),
            packed(packet.destination),
        )

    return header(checksum(header(0))) + packet.payload


def parse(data: bytes) -> tuple[Ipv4, bool] | None:
    """The packet, and whether its total length is what was received; None when there is no whole IPv4 header.

    The header's checksum is the kernel's business: a raw socket never sees a bad one.
    """
    if len(data) < HEADER.size or data[0] >> 4 != 4:
        return None
    size = (data[0] & 15) * 4
    if not HEADER.size <= size <= len(data):
        return None
    _, tos, total, ident, _, ttl, protocol, _, source, destination = HEADER.unpack_from(data)
    packet = Ipv4(unpacked(source), unpacked(destination), bytes(data[size:]), ttl, protocol, tos, ident)
    return packet, total == len(data)
