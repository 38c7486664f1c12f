"""The trailer of `auth_hmac`: 28 octets behind the VRRP message that say who sent it, and when.

    0 type (1)   1 key id   2 reserved   4 seconds   8 fraction (1/65536 s)   10 counter   12 signature (16)

The signature is HMAC-SHA-256, cut to 128 bits, over: IP version, VRRP version, VRID, 0, the sender's address in 16
octets; the message with a checksum of 0; the first 12 octets of the trailer; 16 zeros. Neither IP header nor
destination are covered. Seconds, fraction and counter are one number of 64 bits, the sequence: it is the sender's
clock, counted on by one where two adverts fall into one tick, and it always rises.

The trailer counts in the length of the IP packet. In the VRRP checksum it does not over IPv4; over IPv6 it does, since
the kernel makes that one over all it sends.
"""

import struct
from dataclasses import dataclass
from hmac import digest

from fastha.model.net import Address, packed
from fastha.model.units import Ns, S

SIZE = 28
HMAC_SHA256 = 1
FIELDS = struct.Struct("!BBHQ16s")
SIGNED = 12
"""Octets of the trailer that its signature covers."""
SIGNATURE = 16
SECOND = 1 << 32
"""One second of a sequence."""
_TICK = 1 << 16
_ALL = (1 << 64) - 1
_SIGN = 1 << 63


@dataclass(frozen=True, slots=True)
class Trailer:
    kind: int
    key_id: int
    reserved: int
    sequence: int
    signature: bytes


def read(octets: bytes) -> Trailer:
    """`octets` are `SIZE` long."""
    return Trailer(*FIELDS.unpack(octets))


def sign(message: bytes, source: Address, secret: bytes, key_id: int, sequence: int) -> bytes:
    """The trailer for a message (whose checksum does not matter) that leaves from `source`."""
    return _fields(key_id, sequence) + signature(message, source, secret, key_id, sequence)


def signature(message: bytes, source: Address, secret: bytes, key_id: int, sequence: int) -> bytes:
    address = packed(source)
    prefix = bytes((4 if len(address) == 4 else 6, message[0] >> 4, message[1], 0)) + address.ljust(16, b"\0")
    whole = prefix + message[:6] + b"\0\0" + message[8:] + _fields(key_id, sequence) + bytes(SIGNATURE)
    return digest(secret, whole, "sha256")[:SIGNATURE]


def _fields(key_id: int, sequence: int) -> bytes:
    return FIELDS.pack(HMAC_SHA256, key_id, 0, sequence, b"")[:SIGNED]


# ------------------------------------------------------------------------------------------------- sequences


def of_clock(wall: Ns) -> int:
    """The sequence that a wall clock (ns since the epoch) stands for."""
    seconds, rest = divmod(wall, S)
    return (seconds << 32 | rest * _TICK // S << 16) & _ALL


def ahead(sequence: int, other: int) -> int:
    """How far `sequence` is ahead of another, as serial numbers (RFC 1982): negative when it is behind."""
    difference = (sequence - other) & _ALL
    return difference - _ALL - 1 if difference & _SIGN else difference


def following(last: int, wall: Ns, window: int) -> int:
    """The sequence of the next advert: the clock's, or one more than the `last` (0: there was none). Where that is
    further ahead of the clock than `window` seconds (0: any) the clock was set back: begin from it."""
    clock = of_clock(wall)
    if not last or ahead(clock, last) > 0:
        return clock
    counted = (last + 1) & _ALL
    return clock if window and ahead(counted, clock) > window * SECOND else counted
