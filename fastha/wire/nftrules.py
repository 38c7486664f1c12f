"""nf_tables over netlink (linux/netfilter/nf_tables.h): the small tables that VRRP needs, as one transaction.

A message is (type, flags, payload). Numbers of attributes are in network order, what rules compare packets with is as
it stands in the packet, interface indexes are in host order.
"""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Final, NamedTuple

from fastha.model.net import Family
from fastha.wire.netlink import attribute

SUBSYSTEM: Final = 10
BATCH_BEGIN, BATCH_END = 0x10, 0x11
CREATE: Final = 0x400
_NEWTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE, _NEWSET, _NEWSETELEM, _DELSETELEM = 0, 2, 3, 6, 9, 12, 14
_APPEND: Final = 0x800
_NESTED: Final = 0x8000
_HEADER: Final = Struct("!BBH")
_U32: Final = Struct("!I")
_S32: Final = Struct("!i")
_INDEX: Final = Struct("=I")
_FAMILIES: Final[dict[Family, int]] = {4: 2, 6: 10}
_MAP: Final = 8
"""NFT_SET_MAP"""
_DROP, _ACCEPT = 0, 1
_IIF, _OIF, _L4PROTO, _OIFKIND = 4, 5, 16, 27
"""NFT_META_*"""
_NETWORK, _TRANSPORT = 1, 2
_HOST_KEY, _HOST_DATA = b"\x00\x04" + _INDEX.pack(1), b"\x01\x04" + _INDEX.pack(1)
_ICMPV6: Final = 58
_IGMP: Final = 2
_MLD1_REPORT, _MLD2_REPORT, _ROUTER_SOLICIT, _NEIGHBOUR_SOLICIT, _NEIGHBOUR_ADVERT = 131, 143, 133, 135, 136
_MACVLAN: Final = b"macvlan".ljust(16, b"\0")

Message = tuple[int, int, bytes]


class SetType(NamedTuple):
    """What a set holds: nft's numbers of types and lengths in octets. `data` 0: no map."""

    key: int
    key_len: int
    data: int = 0
    data_len: int = 0


IFACE: Final = 20
ADDRESSES: Final[dict[Family, SetType]] = {4: SetType(7, 4), 6: SetType(8, 16)}
LINK_LOCAL: Final = SetType(8 << 6 | IFACE, 20)
"""IPv6 address and interface."""
INDEXES: Final = SetType(IFACE, 4)
INDEX_MAP: Final = SetType(IFACE, 4, IFACE, 4)


def _message(command: int, flags: int, family: Family, attrs: bytes) -> Message:
    return SUBSYSTEM << 8 | command, flags, _HEADER.pack(_FAMILIES[family], 0, 0) + attrs


def _nest(kind: int, payload: bytes) -> bytes:
    return attribute(kind | _NESTED, payload)


def _text(kind: int, text: str) -> bytes:
    return attribute(kind, text.encode() + b"\0")


def _number(kind: int, number: int) -> bytes:
    return attribute(kind, _U32.pack(number))


def border() -> bytes:
    """The payload of BATCH_BEGIN and BATCH_END."""
    return _HEADER.pack(0, 0, SUBSYSTEM)


def table(family: Family, name: str) -> Message:
    return _message(_NEWTABLE, CREATE, family, _text(1, name))


def delete_table(family: Family, name: str) -> Message:
    return _message(_DELTABLE, 0, family, _text(1, name))


def base_chain(family: Family, table_name: str, name: str, hook: int, priority: int) -> Message:
    """A filter chain; `hook` 1 input, 3 output."""
    place = _nest(4, _number(1, hook) + attribute(2, _S32.pack(priority)))
    attrs = _text(1, table_name) + _text(3, name) + place + _number(5, _ACCEPT) + _text(7, "filter")
    return _message(_NEWCHAIN, CREATE, family, attrs)


def new_set(family: Family, table_name: str, name: str, number: int, kind: SetType) -> Message:
    """`number` is unique within the transaction."""
    attrs = _text(1, table_name) + _text(2, name) + _number(3, _MAP if kind.data else 0)
    attrs += _number(4, kind.key) + _number(5, kind.key_len)
    if kind.data:
        attrs += _number(6, kind.data) + _number(7, kind.data_len)
    attrs += _number(10, number)
    if kind.key == IFACE:  # for those who list it: which octet comes first (NFTNL_UDATA_SET_KEYBYTEORDER and DATA)
        attrs += attribute(13, _HOST_KEY + (_HOST_DATA if kind.data else b""))
    return _message(_NEWSET, CREATE, family, attrs)


def elements(
    family: Family, table_name: str, name: str, keys: Iterable[bytes | tuple[bytes, bytes]], *, add: bool = True
) -> Message:
    """Elements of a set, or (key, value) of a map."""
    found = []
    for key in keys:
        bare, value = key if isinstance(key, tuple) else (key, b"")
        one = _nest(1, attribute(1, bare))
        if value:
            one += _nest(2, attribute(1, value))
        found.append(_nest(1, one))
    attrs = _text(1, table_name) + _text(2, name) + _nest(3, b"".join(found))
    return _message(_NEWSETELEM if add else _DELSETELEM, CREATE if add else 0, family, attrs)


def index(number: int) -> bytes:
    """The key of an interface."""
    return _INDEX.pack(number)


# ----------------------------------------------------------------------------------------------- rules


def rule(family: Family, table_name: str, chain: str, expressions: Sequence[bytes]) -> Message:
    attrs = _text(1, table_name) + _text(2, chain) + _nest(4, b"".join(expressions))
    return _message(_NEWRULE, CREATE | _APPEND, family, attrs)


def _expression(name: str, attrs: bytes = b"") -> bytes:
    return _nest(1, _text(1, name) + _nest(2, attrs))


def _payload(register: int, base: int, offset: int, length: int) -> bytes:
    return _expression("payload", _number(1, register) + _number(2, base) + _number(3, offset) + _number(4, length))


def _meta(register: int, key: int) -> bytes:
    return _expression("meta", _number(1, register) + _number(2, key))


def _equal(register: int, value: bytes) -> bytes:
    return _expression("cmp", _number(1, register) + _number(2, 0) + _nest(3, attribute(1, value)))


def _lookup(register: int, name: str, number: int, result: int | None = None) -> bytes:
    attrs = _text(1, name) + _number(2, register)
    if result is not None:
        attrs += _number(3, result)
    return _expression("lookup", attrs + _number(4, number))


def _verdict(code: int) -> bytes:
    return _expression("immediate", _number(1, 0) + _nest(2, _nest(2, _number(1, code))))


def _end(code: int, *, counters: bool) -> list[bytes]:
    return [*([_expression("counter")] if counters else []), _verdict(code)]


def _icmpv6(kind: int) -> list[bytes]:
    return [
        _meta(1, _L4PROTO),
        _equal(1, bytes([_ICMPV6])),
        _payload(1, _TRANSPORT, 0, 1),
        _equal(1, bytes([kind])),
    ]


def reports_by_base(family: Family, map_name: str, number: int, *, counters: bool) -> list[list[bytes]]:
    """IGMP and MLD reports that an interface with a virtual MAC address would send leave by its base instead."""
    if family == 4:
        kinds = [[_payload(1, _NETWORK, 9, 1), _equal(1, bytes([_IGMP]))]]
        destination = _payload(1, _NETWORK, 16, 4)
    else:
        kinds = [_icmpv6(_MLD1_REPORT), _icmpv6(_MLD2_REPORT)]
        destination = _payload(1, _NETWORK, 24, 16)
    send = _expression("dup", _number(1, 1) + _number(2, 2))
    made = [_meta(1, _OIFKIND), _equal(1, _MACVLAN)]
    moved = [destination, _meta(2, _OIF), _lookup(2, map_name, number, 2), send, *_end(_DROP, counters=counters)]
    return [[*kind, *made, *moved] for kind in kinds]


def no_neighbour_adverts(set_name: str, number: int, *, counters: bool) -> list[bytes]:
    """The link-local addresses of a set are not told of on their interface."""
    place = [_payload(1, _NETWORK, 8, 16), _meta(2, _OIF), _lookup(1, set_name, number)]
    return [*_icmpv6(_NEIGHBOUR_ADVERT), *place, *_end(_DROP, counters=counters)]


def no_router_solicitations(set_name: str, number: int, *, counters: bool) -> list[bytes]:
    """Interfaces with virtual MAC addresses look for no routers."""
    return [*_icmpv6(_ROUTER_SOLICIT), _meta(1, _OIF), _lookup(1, set_name, number), *_end(_DROP, counters=counters)]


def neighbour_discovery(*, counters: bool) -> list[list[bytes]]:
    """Neighbours are told all the same."""
    return [[*_icmpv6(kind), *_end(_ACCEPT, counters=counters)] for kind in (_NEIGHBOUR_SOLICIT, _NEIGHBOUR_ADVERT)]


def no_address(family: Family, set_name: str, number: int, *, incoming: bool, counters: bool) -> list[bytes]:
    """Packets to (or from) the addresses of a set are dropped."""
    offset = {(4, True): 16, (4, False): 12, (6, True): 24, (6, False): 8}[family, incoming]
    address = _payload(1, _NETWORK, offset, 4 if family == 4 else 16)
    return [address, _lookup(1, set_name, number), *_end(_DROP, counters=counters)]


def no_link_local(set_name: str, number: int, *, incoming: bool, counters: bool) -> list[bytes]:
    """The same for link-local addresses, on their interface."""
    address = _payload(1, _NETWORK, 24 if incoming else 8, 16)
    interface = _meta(2, _IIF if incoming else _OIF)
    return [address, interface, _lookup(1, set_name, number), *_end(_DROP, counters=counters)]
