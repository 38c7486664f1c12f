"""VRRP messages, versions 2 (RFC 3768 5.1) and 3 (RFC 5798 5.1), over IPv4 and IPv6: values <-> bytes.

    version 2:  version/type  VRID  priority  count | auth type  interval (s)   checksum | addresses | 8 auth bytes
    version 3:  version/type  VRID  priority  count | 0, interval (12 bits, cs) checksum | addresses

Version 2 over IPv6 (an extension keepalived has) carries no authentication bytes. The checksum of version 2 is over the
message; of version 3 over a pseudo header too, unless `checksum_as_v2`, which RFC 9568 now asks for over IPv4.
"""

import struct
from dataclasses import dataclass
from enum import StrEnum

from fastha.model.net import Address, Family, packed, unpacked
from fastha.model.units import MS, Ns, S
from fastha.wire.checksum import checksum, pseudo_header
from fastha.wire.ip import VRRP

ADVERTISEMENT = 1
AUTH_NONE, AUTH_PASS, AUTH_AH = 0, 1, 2
AUTH_SIZE = 8
CENTISECOND: Ns = 10 * MS
MAX_CENTISECONDS = 0xFFF

HEADER = struct.Struct("!BBBBHH")
"""version/type, VRID, priority, count, (auth type and interval) or 12 bits of interval, checksum."""


class Malformed(StrEnum):
    """Why bytes are no advert."""

    SHORT = "shorter than a header"
    VERSION = "of an unknown version"
    TYPE = "not an advertisement"
    LENGTH = "of a length that is not what its header says"
    CHECKSUM = "with a wrong checksum"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    version: int
    virtual_router_id: int
    priority: int
    interval: Ns
    addresses: tuple[Address, ...]
    auth_type: int = AUTH_NONE
    """Version 2 only."""
    auth_data: bytes = b""
    """Version 2 over IPv4: 8 bytes. Else empty."""
    type: int = ADVERTISEMENT


@dataclass(frozen=True, slots=True)
class Header:
    """The first 8 bytes, nothing judged."""

    version: int
    type: int
    virtual_router_id: int
    priority: int
    count: int
    auth_type: int
    interval: Ns
    checksum: int


def read_header(payload: bytes) -> Header | None:
    """The header; None when there are not even 8 bytes."""
    if len(payload) < HEADER.size:
        return None
    first, vrid, priority, count, word, check = HEADER.unpack_from(payload)
    version = first >> 4
    if version == 3:
        auth, interval = AUTH_NONE, (word & MAX_CENTISECONDS) * CENTISECOND
    else:
        auth, interval = word >> 8, (word & 0xFF) * S
    return Header(version, first & 15, vrid, priority, count, auth, interval, check)


def message_length(version: int, family: Family, count: int) -> int:
    """Bytes of a message with `count` addresses."""
    return HEADER.size + count * (4 if family == 4 else 16) + auth_length(version, family)


def auth_length(version: int, family: Family) -> int:
    return AUTH_SIZE if version == 2 and family == 4 else 0


def read_addresses(payload: bytes, count: int, family: Family) -> tuple[Address, ...]:
    """The `count` addresses behind the header; `payload` is long enough."""
    size = 4 if family == 4 else 16
    return tuple(unpacked(payload[at : at + size]) for at in range(HEADER.size, HEADER.size + count * size, size))


def message_checksum(payload: bytes, source: Address, destination: Address, *, pseudo: bool) -> int:
    """The checksum over `payload` as it stands: to be 0 for a right one. `pseudo`: with the pseudo header in front."""
    before = pseudo_header(source, destination, VRRP, len(payload)) if pseudo else b""
    return checksum(before + payload)


def build(message: Message, source: Address, destination: Address, *, checksum_as_v2: bool = False) -> bytes:
    """The bytes of `message`, checksum set. The family is that of `source`.

    ValueError when an interval, or the number of addresses, does not fit its field.
    """
    family: Family = 6 if ":" in source else 4
    if len(message.addresses) > 0xFF:
        raise ValueError(f"{len(message.addresses)} addresses do not fit one advert")
    if message.version == 3:
        word, limit = message.interval // CENTISECOND, MAX_CENTISECONDS
        after = b""
    else:
        word, limit = message.interval // S, 0xFF
        after = message.auth_data.ljust(AUTH_SIZE, b"\0")[: auth_length(message.version, family)]
    if not 0 <= word <= limit:
        raise ValueError(f"an interval of {message.interval} ns does not fit version {message.version}")
    if message.version != 3:
        word |= message.auth_type << 8

    def whole(check: int) -> bytes:
        first = message.version << 4 | message.type
        head = HEADER.pack(first, message.virtual_router_id, message.priority, len(message.addresses), word, check)
        return head + b"".join(packed(a) for a in message.addresses) + after

    pseudo = family == 6 or (message.version == 3 and not checksum_as_v2)
    return whole(message_checksum(whole(0), source, destination, pseudo=pseudo))


def parse(
    payload: bytes, source: Address, destination: Address, *, checksum_as_v2: bool = False
) -> Message | Malformed:
    """The message in `payload` as an outsider reads it (tools, tests). The core validates in its own order and counts
    (`fastha.vrrp.validate`)."""
    family: Family = 6 if ":" in source else 4
    header = read_header(payload)
    if header is None:
        return Malformed.SHORT
    if header.version not in (2, 3):
        return Malformed.VERSION
    if header.type != ADVERTISEMENT:
        return Malformed.TYPE
    if len(payload) != message_length(header.version, family, header.count):
        return Malformed.LENGTH
    pseudo = family == 6 or (header.version == 3 and not checksum_as_v2)
    if message_checksum(payload, source, destination, pseudo=pseudo):
        return Malformed.CHECKSUM
    return Message(
        version=header.version,
        virtual_router_id=header.virtual_router_id,
        priority=header.priority,
        interval=header.interval,
        addresses=read_addresses(payload, header.count, family),
        auth_type=header.auth_type,
        auth_data=payload[len(payload) - auth_length(header.version, family) :],
    )
