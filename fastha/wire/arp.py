"""Gratuitous ARP: the new master tells the link where the virtual address lives now (RFC 5798 6.4.2, vrrp-wise: a
request for the address itself, broadcast)."""

import struct
from dataclasses import dataclass

from fastha.model.net import Address, packed, unpacked

BROADCAST = b"\xff" * 6
FRAME = struct.Struct("!6s6sHHHBBH6s4s6s4s")


@dataclass(frozen=True, slots=True)
class Arp:
    """An ARP message over Ethernet. `operation` 1 is a request, 2 a reply; hardware addresses are 6 bytes."""

    sender_mac: bytes
    sender: Address
    target_mac: bytes
    target: Address
    operation: int = 1


def gratuitous(mac: bytes, address: Address) -> bytes:
    """The Ethernet frame (42 bytes) that says `address` is at `mac`: sender and target protocol address are the
    address, the target hardware address is broadcast as keepalived sends it."""
    ip = packed(address)
    return FRAME.pack(BROADCAST, mac, 0x0806, 1, 0x0800, 6, 4, 1, mac, ip, BROADCAST, ip)


def parse(frame: bytes) -> Arp | None:
    """The ARP message of an Ethernet frame (padding allowed); None when it is something else."""
    if len(frame) < FRAME.size:
        return None
    _, _, kind, hardware, protocol, hlen, plen, operation, smac, sip, tmac, tip = FRAME.unpack_from(frame)
    if (kind, hardware, protocol, hlen, plen) != (0x0806, 1, 0x0800, 6, 4):
        return None
    return Arp(smac, unpacked(sip), tmac, unpacked(tip), operation)
