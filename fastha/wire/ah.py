"""The IPsec authentication header of `auth_type AH` (RFC 2402 in the form RFC 2338 5.3.6.3 gives it): values <-> bytes.

    IPv4 header | next header 112, length 4, reserved | SPI | sequence | ICV (12 octets) | VRRP message

The ICV is HMAC-MD5, cut to 96 bits, over the whole packet with the ICV itself and what may change on the way set to
zero: TOS, fragment field, header checksum; of unicast packets the TTL too (multicast ones do not pass a router). The
SPI is the sender's address, the key the password in 8 octets.
"""

import struct
from dataclasses import dataclass
from hmac import compare_digest, digest

from fastha.model.net import Address, packed
from fastha.wire import ip

PROTOCOL = 51
SIZE = 24
LENGTH = SIZE // 4 - 2
"""The length field: 32-bit words, less two."""
HEADER = struct.Struct("!BBHII12s")
ICV_SIZE = 12
FIRST_MULTICAST = 224


@dataclass(frozen=True, slots=True)
class Header:
    next_header: int
    length: int
    spi: int
    sequence: int
    icv: bytes


def read(before: bytes) -> Header | None:
    """The authentication header at the end of `before`, which is all that stands in front of the VRRP message; None
    when there is no room for it behind an IPv4 header."""
    if len(before) < ip.HEADER.size + SIZE:
        return None
    next_header, length, _, spi, sequence, icv = HEADER.unpack(before[-SIZE:])
    return Header(next_header, length, spi, sequence, icv)


def icv(before: bytes, message: bytes, key: bytes) -> bytes:
    """The ICV that belongs to a packet; `before` is its IPv4 and authentication header, whatever ICV is in it."""
    packet = bytearray(before[:-ICV_SIZE] + bytes(ICV_SIZE) + message)
    packet[1] = 0
    packet[6:8] = packet[10:12] = b"\0\0"
    if not FIRST_MULTICAST <= packet[16] < 240:
        packet[8] = 0
    return digest(key, packet, "md5")[:ICV_SIZE]


def right(before: bytes, message: bytes, key: bytes) -> bool:
    """Whether the header is one of ours with the right ICV."""
    header = read(before)
    if header is None or (header.next_header, header.length) != (ip.VRRP, LENGTH):
        return False
    return compare_digest(header.icv, icv(before, message, key))


def build(source: Address, destination: Address, message: bytes, key: bytes, *, sequence: int, **words: int) -> bytes:
    """The whole packet. `words`: fields of the IPv4 header (`ttl`, `ident`)."""
    header = HEADER.pack(ip.VRRP, LENGTH, 0, int.from_bytes(packed(source)), sequence, bytes(ICV_SIZE))
    packet = ip.build(ip.Ipv4(source, destination, header + message, protocol=PROTOCOL, **words))
    end = ip.HEADER.size + SIZE
    return packet[: end - ICV_SIZE] + icv(packet[:end], message, key) + message
