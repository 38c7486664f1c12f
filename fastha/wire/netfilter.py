"""Netfilter over netlink (linux/nfnetlink_conntrack.h, nf_tables.h): what the nftables plane asks without `nft`.

Connection tracking: a dump that the kernel narrows to translated entries of one family, and the deletion of one.
nf_tables: the number of the last transaction. Numbers are in network order here.
"""

from struct import Struct
from struct import error as struct_error
from typing import Final, NamedTuple

from fastha.model.net import Address, Family, unpacked
from fastha.wire.netlink import attribute, attributes

# Message types: subsystem (1 connection tracking, 10 nf_tables) and command
GET_FLOW: Final = 1 << 8 | 1
DELETE_FLOW: Final = 1 << 8 | 2
GET_FLOW_STATISTICS: Final = 1 << 8 | 5
GET_GENERATION: Final = 10 << 8 | 16

# Attributes
_TUPLE_ORIG: Final = 1
_TUPLE_REPLY: Final = 2
_STATUS: Final = 3
_ID: Final = 12
_STATUS_MASK: Final = 26
_TUPLE_IP: Final = 1
_TUPLE_PROTO: Final = 2
_PROTO_NUM: Final = 1
_PROTO_SPORT: Final = 2
_PROTO_DPORT: Final = 3

_TRANSLATED: Final = 0x20
"""IPS_DST_NAT"""
_AF: Final = {4: 2, 6: 10}
_HEADER: Final = Struct("!BBH")
_U16: Final = Struct("!H")
_U32: Final = Struct("!I")


class Flow(NamedTuple):
    """An entry: where the client went, and who answers. `raw` is what deletes it."""

    protocol: int
    address: Address
    port: int
    server: Address
    server_port: int
    raw: bytes


def encode_get_flows(family: Family) -> bytes:
    """To be sent as a dump with GET_FLOW: the entries of a family whose destination was translated. A kernel before
    5.13 does not narrow it and sends them all."""
    status = attribute(_STATUS, _U32.pack(_TRANSLATED)) + attribute(_STATUS_MASK, _U32.pack(_TRANSLATED))
    return _HEADER.pack(_AF[family], 0, 0) + status


def decode_flow(payload: bytes) -> Flow | None:
    """An entry of the dump; None when its destination was not translated. ValueError when it is none."""
    found = attributes(payload, 4)
    try:
        (status,) = _U32.unpack(found[_STATUS])
        if not status & _TRANSLATED:
            return None
        original, reply = attributes(found[_TUPLE_ORIG]), attributes(found[_TUPLE_REPLY])
        address, server = _addresses(original)[1], _addresses(reply)[0]
        there, back = attributes(original[_TUPLE_PROTO]), attributes(reply[_TUPLE_PROTO])
        protocol = there[_PROTO_NUM][0]
        port, server_port = _port(there, _PROTO_DPORT), _port(back, _PROTO_SPORT)
        # The tuple and the identity: an entry that took its place meanwhile is not deleted.
        raw = payload[:4] + attribute(_TUPLE_ORIG, found[_TUPLE_ORIG]) + attribute(_ID, found[_ID])
    except (KeyError, IndexError, struct_error) as error:
        raise ValueError(f"connection tracking entry not understood: {error!r}") from None
    return Flow(protocol, address, port, server, server_port, raw)


def _addresses(tuple_: dict[int, bytes]) -> tuple[Address, Address]:
    """Source and destination: attributes 1 and 2 for IPv4, 3 and 4 for IPv6."""
    found = attributes(tuple_[_TUPLE_IP])
    return (unpacked(found[1]), unpacked(found[2])) if 1 in found else (unpacked(found[3]), unpacked(found[4]))


def _port(proto: dict[int, bytes], kind: int) -> int:
    return int(_U16.unpack(proto[kind])[0]) if kind in proto else 0


def encode_get() -> bytes:
    """The payload of GET_GENERATION and GET_FLOW_STATISTICS, which have no arguments."""
    return _HEADER.pack(0, 0, 0)


def decode_generation(payload: bytes) -> int:
    """The number grows by one with every transaction of anyone in this network namespace."""
    return int(_U32.unpack(attributes(payload, 4)[1])[0])
