"""Routes and policy rules <-> rtnetlink payloads (rtnetlink(7), linux/rtnetlink.h, linux/fib_rules.h).

One payload serves adding and deleting: the kernel deletes what agrees in all that a request names.
"""

from collections.abc import Callable
from struct import Struct
from typing import Final, NamedTuple

from fastha.model.net import Address, Family, packed, unpacked
from fastha.model.routes import Encap, EncapKind, Nexthop, Route, RouteMode, Rule
from fastha.wire.netlink import attribute, attributes

RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34
CREATE, EXCL, APPEND = 0x400, 0x200, 0x800
"""Flags of a request (NLM_F_*)."""
MODE_FLAGS: Final = {
    RouteMode.PREPEND: CREATE,
    RouteMode.ADD: CREATE | EXCL,
    RouteMode.APPEND: CREATE | APPEND,
}
AF_INET, AF_INET6 = 2, 10
_FAMILIES: Final[dict[Family, int]] = {4: AF_INET, 6: AF_INET6}
RTNH_F_ONLINK: Final = 4
FIB_RULE_INVERT: Final = 2
IPV6_METRIC: Final = 1024
"""What the kernel takes for an IPv6 route that names none."""

_ROUTE: Final = Struct("=8BI")
_HOP: Final = Struct("=HBBi")
_RULE: Final = Struct("=8BI")
_U8: Final = Struct("=B")
_U16: Final = Struct("=H")
_U32: Final = Struct("=I")
_PORTS: Final = Struct("=HH")
_UIDS: Final = Struct("=II")
_BE16: Final = Struct("!H")
_BE32: Final = Struct("!I")
_BE64: Final = Struct("!Q")

# RTA_*
_DST, _SRC, _OIF, _GATEWAY, _PRIORITY, _PREFSRC, _METRICS, _MULTIPATH = 1, 2, 4, 5, 6, 7, 8, 9
_FLOW, _TABLE, _VIA, _PREF, _ENCAP_TYPE, _ENCAP, _EXPIRES, _TTL_PROPAGATE = 11, 15, 18, 20, 21, 22, 23, 26
# RTAX_*
_LOCK, _CC_ALGO = 1, 16
# FRA_*
_FRA_DST, _FRA_SRC, _FRA_IIF, _FRA_GOTO, _FRA_PRIORITY, _FRA_MARK, _FRA_FLOW, _FRA_TUNNEL = 1, 2, 3, 4, 6, 10, 11, 12
_FRA_IFGROUP, _FRA_PREFIXLEN, _FRA_TABLE, _FRA_MASK, _FRA_OIF, _FRA_L3MDEV, _FRA_UIDS = 13, 14, 15, 16, 17, 19, 20
_FRA_PROTOCOL, _FRA_IP_PROTO, _FRA_SPORT, _FRA_DPORT = 21, 22, 23, 24


class RouteKey(NamedTuple):
    """What the kernel tells routes apart by, gateways aside."""

    family: int
    table: int
    destination: Address | None
    prefixlen: int
    tos: int
    metric: int


def route(line: Route, index_of: Callable[[str], int], table: int) -> bytes | None:
    """struct rtmsg with its attributes. `table`: that of the line, or of its VRF. None while an interface that it
    names is not there (`index_of` gives 0)."""
    if any(not index_of(name) for name in line.devices):
        return None
    attrs = []
    if line.prefixlen:
        attrs.append(attribute(_DST, packed(line.destination)))
    if line.source is not None and line.source_len:
        attrs.append(attribute(_SRC, packed(line.source)))
    attrs.append(attribute(_TABLE, _U32.pack(table)))
    if line.metric is not None:
        attrs.append(attribute(_PRIORITY, _U32.pack(line.metric)))
    if line.prefsrc is not None:
        attrs.append(attribute(_PREFSRC, packed(line.prefsrc)))
    if metrics := _metrics(line):
        attrs.append(attribute(_METRICS, metrics))
    if line.expires is not None:
        attrs.append(attribute(_EXPIRES, _U32.pack(line.expires)))
    if line.pref is not None:
        attrs.append(attribute(_PREF, _U8.pack(line.pref)))
    if line.ttl_propagate is not None:
        attrs.append(attribute(_TTL_PROPAGATE, _U8.pack(line.ttl_propagate)))
    flags = 0
    if len(line.hops) == 1:
        (hop,) = line.hops
        flags = RTNH_F_ONLINK if hop.onlink else 0
        if hop.dev is not None:
            attrs.append(attribute(_OIF, _U32.pack(index_of(hop.dev))))
        attrs.append(_hop_attributes(line.family, hop))
    elif line.hops:
        attrs.append(attribute(_MULTIPATH, b"".join(_multipath(line.family, hop, index_of) for hop in line.hops)))
    header = _ROUTE.pack(
        _FAMILIES[line.family],
        line.prefixlen,
        line.source_len,
        line.tos,
        table if table < 256 else 0,
        line.protocol,
        line.scope,
        line.kind,
        flags,
    )
    return header + b"".join(attrs)


def _metrics(line: Route) -> bytes:
    found = [attribute(number, _U32.pack(value)) for number, value in line.metrics]
    if line.congctl is not None:
        found.append(attribute(_CC_ALGO, line.congctl.encode() + b"\0"))
    if line.locked:
        found.append(attribute(_LOCK, _U32.pack(line.locked)))
    return b"".join(found)


def _hop_attributes(family: Family, hop: Nexthop) -> bytes:
    attrs = b""
    if hop.via is not None:
        address = packed(hop.via)
        if len(address) == (4 if family == 4 else 16):
            attrs += attribute(_GATEWAY, address)
        else:  # an IPv6 router for IPv4, or the other way round
            attrs += attribute(_VIA, _U16.pack(AF_INET if len(address) == 4 else AF_INET6) + address)
    if hop.realms:
        attrs += attribute(_FLOW, _U32.pack(hop.realms))
    if hop.encap is not None:
        attrs += attribute(_ENCAP_TYPE, _U16.pack(hop.encap.kind)) + attribute(_ENCAP, _encap(hop.encap))
    return attrs


def _multipath(family: Family, hop: Nexthop, index_of: Callable[[str], int]) -> bytes:
    """struct rtnexthop with its attributes."""
    attrs = _hop_attributes(family, hop)
    index = index_of(hop.dev) if hop.dev is not None else 0
    return _HOP.pack(_HOP.size + len(attrs), RTNH_F_ONLINK if hop.onlink else 0, hop.weight - 1, index) + attrs


def _encap(encap: Encap) -> bytes:
    """The attributes of RTA_ENCAP (linux/lwtunnel.h, mpls_iptunnel.h, ila.h)."""
    if encap.kind is EncapKind.MPLS:
        last = len(encap.labels) - 1
        stack = b"".join(_BE32.pack(label << 12 | (at == last) << 8) for at, label in enumerate(encap.labels))
        return attribute(1, stack)
    if encap.kind is EncapKind.ILA:
        return attribute(1, _BE64.pack(encap.locator))
    parts = []
    if encap.id is not None:
        parts.append(attribute(1, _BE64.pack(encap.id)))
    if encap.dst is not None:
        parts.append(attribute(2, packed(encap.dst)))
    if encap.src is not None:
        parts.append(attribute(3, packed(encap.src)))
    if encap.ttl is not None:
        parts.append(attribute(4, _U8.pack(encap.ttl)))
    if encap.tos is not None:
        parts.append(attribute(5, _U8.pack(encap.tos)))
    if encap.flags is not None:
        parts.append(attribute(6, _BE16.pack(encap.flags)))
    return b"".join(parts)


def route_key(line: Route, table: int) -> RouteKey:
    """The key of a route of ours, as `route_told` finds it in the kernel's word about it."""
    metric = line.metric or (IPV6_METRIC if line.family == 6 else 0)
    destination = line.destination if line.prefixlen else None
    return RouteKey(_FAMILIES[line.family], table, destination, line.prefixlen, line.tos, metric)


def route_told(payload: bytes) -> tuple[RouteKey, int]:
    """(key, protocol) of a route that the kernel tells about; ValueError when the message is torn."""
    family, prefixlen, _, tos, short_table, protocol, _, _, _ = _ROUTE.unpack_from(payload)
    found = attributes(payload, _ROUTE.size)
    table = _U32.unpack(found[_TABLE])[0] if _TABLE in found else short_table
    metric = _U32.unpack(found[_PRIORITY])[0] if _PRIORITY in found else 0
    destination = unpacked(found[_DST]) if _DST in found else None
    return RouteKey(family, table, destination, prefixlen, tos, metric), protocol


def route_filter(family: Family, protocol: int) -> bytes:
    """The payload of a dump that is to tell the routes of one protocol only (NETLINK_GET_STRICT_CHK)."""
    return _ROUTE.pack(_FAMILIES[family], 0, 0, 0, 0, protocol, 0, 0, 0)


def rule(line: Rule) -> bytes:
    """struct fib_rule_hdr with its attributes."""
    attrs = [attribute(_FRA_PRIORITY, _U32.pack(line.preference)), attribute(_FRA_PROTOCOL, _U8.pack(line.protocol))]
    if line.source is not None and line.source_len:
        attrs.append(attribute(_FRA_SRC, packed(line.source)))
    if line.destination is not None and line.destination_len:
        attrs.append(attribute(_FRA_DST, packed(line.destination)))
    if line.table:
        attrs.append(attribute(_FRA_TABLE, _U32.pack(line.table)))
    for kind, name in ((_FRA_IIF, line.iif), (_FRA_OIF, line.oif)):
        if name is not None:
            attrs.append(attribute(kind, name.encode() + b"\0"))
    for kind, number in (
        (_FRA_GOTO, line.goto or None),
        (_FRA_MARK, line.fwmark),
        (_FRA_MASK, line.fwmask),
        (_FRA_FLOW, line.realms or None),
        (_FRA_PREFIXLEN, line.suppress_prefixlength),
        (_FRA_IFGROUP, line.suppress_ifgroup),
    ):
        if number is not None:
            attrs.append(attribute(kind, _U32.pack(number)))
    if line.tunnel_id is not None:
        attrs.append(attribute(_FRA_TUNNEL, _BE64.pack(line.tunnel_id)))
    if line.l3mdev:
        attrs.append(attribute(_FRA_L3MDEV, _U8.pack(1)))
    if line.uid_range is not None:
        attrs.append(attribute(_FRA_UIDS, _UIDS.pack(*line.uid_range)))
    if line.ip_proto is not None:
        attrs.append(attribute(_FRA_IP_PROTO, _U8.pack(line.ip_proto)))
    for kind, ports in ((_FRA_SPORT, line.sport), (_FRA_DPORT, line.dport)):
        if ports is not None:
            attrs.append(attribute(kind, _PORTS.pack(*ports)))
    header = _RULE.pack(
        _FAMILIES[line.family],
        line.destination_len,
        line.source_len,
        line.tos,
        line.table if line.table < 256 else 0,
        0,
        0,
        line.action,
        FIB_RULE_INVERT if line.invert else 0,
    )
    return header + b"".join(attrs)


RuleKey = tuple[int, int, int, int, int, int, frozenset[tuple[int, bytes]]]
_TELLING: Final = frozenset(
    {
        *(_FRA_DST, _FRA_SRC, _FRA_IIF, _FRA_GOTO, _FRA_PRIORITY, _FRA_MARK, _FRA_FLOW, _FRA_TUNNEL, _FRA_TABLE),
        *(_FRA_OIF, _FRA_L3MDEV, _FRA_PROTOCOL, _FRA_IP_PROTO, _FRA_SPORT, _FRA_DPORT),
    }
)
"""Attributes that the kernel repeats as they were given."""


def rule_key(payload: bytes) -> RuleKey:
    """What tells rules apart, from our request or from the kernel's word; ValueError when the message is torn."""
    family, destination_len, source_len, tos, _, _, _, action, flags = _RULE.unpack_from(payload)
    found = attributes(payload, _RULE.size)
    given = frozenset((kind, value) for kind, value in found.items() if kind in _TELLING and any(value))
    return family, destination_len, source_len, tos, action, flags & FIB_RULE_INVERT, given
