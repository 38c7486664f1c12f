"""Netlink messages: headers, attributes, answers. Numbers are in host order unless a family says otherwise.

Layout (RFC 3549, linux/netlink.h): a header of 16 octets, the payload, padding to 4; an attribute is a length that
counts its own 4 octets of header, a type, the payload, padding to 4.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

# Flags of a request
REQUEST: Final = 0x1
ACK: Final = 0x4
DUMP: Final = 0x300
# Flags of an answer
DUMP_INTR: Final = 0x10
CAPPED: Final = 0x100
"""The request's payload is not echoed."""
ACK_TLVS: Final = 0x200

# Types below 16 are netlink's own
NOOP: Final = 1
ERROR: Final = 2
DONE: Final = 3

GENERIC_CONTROL: Final = 0x10
_GETFAMILY: Final = 3
_FAMILY_ID: Final = 1
_FAMILY_NAME: Final = 2
_EXT_ACK_TEXT: Final = 1
_TYPE_MASK: Final = 0x3FFF
"""Without the nested (0x8000) and the network-order (0x4000) bit."""

_HEADER: Final = Struct("=IHHII")
_GENERIC: Final = Struct("=BBxx")
_ATTRIBUTE: Final = Struct("=HH")
_S32: Final = Struct("=i")
_U16: Final = Struct("=H")
_PADDING: Final = (b"", b"\0\0\0", b"\0\0", b"\0")

GENERIC_HEADER: Final = _GENERIC.size


class Message(NamedTuple):
    """One received message; `payload` is what follows the header (16 octets), without padding."""

    kind: int
    flags: int
    seq: int
    payload: bytes


def frame(kind: int, flags: int, seq: int, payload: bytes) -> bytes:
    """A whole message, padded, so that several can be joined and sent at once."""
    size = 16 + len(payload)
    return _HEADER.pack(size, kind, flags, seq, 0) + payload + _PADDING[size & 3]


def messages(datagram: bytes | memoryview) -> Iterator[Message]:
    """The messages of one datagram. ValueError when a length is wrong: the rest of the datagram is lost then."""
    data = bytes(datagram)
    offset, end = 0, len(data)
    while offset + 16 <= end:
        size, kind, flags, seq, _ = _HEADER.unpack_from(data, offset)
        if size < 16 or offset + size > end:
            raise ValueError(f"netlink message of {size} octets at {offset} of {end}")
        yield Message(kind, flags, seq, data[offset + 16 : offset + size])
        offset += (size + 3) & ~3


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded."""
    return _ATTRIBUTE.pack(4 + len(payload), kind) + payload + _PADDING[len(payload) & 3]


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """type -> payload of the attributes in `data` from `offset` on; the last of a type wins, as in the kernel.
    ValueError when a length is wrong."""
    found = {}
    end = len(data)
    unpack = _ATTRIBUTE.unpack_from
    while offset + 4 <= end:
        size, kind = unpack(data, offset)
        if size < 4 or offset + size > end:
            raise ValueError(f"netlink attribute {kind & _TYPE_MASK} of {size} octets at {offset} of {end}")
        found[kind & _TYPE_MASK] = data[offset + 4 : offset + size]
        offset += (size + 3) & ~3
    return found


def failure(message: Message) -> tuple[int, str]:
    """The errno (0: an acknowledgement) and the kernel's own words, often none, of an ERROR or DONE message."""
    payload = message.payload
    if len(payload) < 4:
        return 0, ""
    (value,) = _S32.unpack_from(payload)
    text = ""
    if message.flags & ACK_TLVS:
        start = 4
        if message.kind == ERROR:
            # error, echoed header, and the echoed payload unless capped
            echoed = 16 if message.flags & CAPPED else _HEADER.unpack_from(payload, 4)[0]
            start += (echoed + 3) & ~3
        text = attributes(payload, start).get(_EXT_ACK_TEXT, b"").rstrip(b"\0").decode(errors="replace")
    return -value, text


def generic(command: int, version: int = 1, attrs: bytes = b"") -> bytes:
    """The payload of a generic netlink message: command, version, attributes."""
    return _GENERIC.pack(command, version) + attrs


def family_request(name: str) -> bytes:
    """The payload that asks GENERIC_CONTROL for the number of the generic family `name`."""
    return generic(_GETFAMILY, 1, attribute(_FAMILY_NAME, name.encode() + b"\0"))


def family_id(payload: bytes) -> int:
    """The number in the answer to `family_request`; ValueError when there is none."""
    try:
        number: int = _U16.unpack(attributes(payload, GENERIC_HEADER)[_FAMILY_ID])[0]
    except KeyError:
        raise ValueError("no family number in the answer") from None
    return number
