"""Routes and policy rules of the Plan: names of iproute2's files are numbers here, interfaces are names.

Numbers are the kernel's (linux/rtnetlink.h, linux/fib_rules.h, linux/lwtunnel.h).
"""

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from fastha.model.net import Address, Family

MAIN_TABLE = 254
KEEPALIVED = 18
"""Protocol number of what VRRP sets."""


class EncapKind(IntEnum):
    """LWTUNNEL_ENCAP_*."""

    MPLS = 1
    IP = 2
    ILA = 3
    IP6 = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Encap:
    """A lightweight tunnel around what takes the route."""

    kind: EncapKind
    id: int | None = None
    """ip, ip6: number of the tunnel, 64 bits."""
    dst: Address | None = None
    src: Address | None = None
    tos: int | None = None
    """Traffic class for ip6."""
    ttl: int | None = None
    """Hop limit for ip6."""
    flags: int | None = None
    labels: tuple[int, ...] = ()
    """mpls: outermost first."""
    locator: int = 0
    """ila: the upper 64 bits of an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nexthop:
    """One way of a route."""

    via: Address | None = None
    dev: str | None = None
    weight: int = 1
    onlink: bool = False
    realms: int = 0
    """Source realm in the upper 16 bits, destination realm in the lower."""
    encap: Encap | None = None


class RouteMode(StrEnum):
    """What happens beside routes to the same destination."""

    PREPEND = "prepend"
    ADD = "add"
    """Refused when there is one."""
    APPEND = "append"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A line of virtual_routes or static_routes."""

    text: str = field(compare=False)
    """As written, for logs and dumps."""
    family: Family
    destination: Address
    prefixlen: int
    """0: the default route."""
    kind: int = 1
    """RTN_*: 1 unicast, 6 blackhole, ..."""
    table: int = MAIN_TABLE
    vrf: str | None = None
    """The table of this VRF interface instead."""
    source: Address | None = None
    source_len: int = 0
    """IPv6: only for packets from there."""
    prefsrc: Address | None = None
    tos: int = 0
    scope: int = 0
    protocol: int = KEEPALIVED
    metric: int | None = None
    hops: tuple[Nexthop, ...] = ()
    """None for kinds that lead nowhere."""
    metrics: tuple[tuple[int, int], ...] = ()
    """(RTAX_*, value)"""
    locked: int = 0
    """Bit N: metric N is locked."""
    congctl: str | None = None
    expires: int | None = None
    """Seconds."""
    pref: int | None = None
    """ICMPv6 router preference: 0 medium, 1 high, 3 low."""
    ttl_propagate: bool | None = None
    mode: RouteMode = RouteMode.PREPEND
    tracked: bool = True
    """Its loss takes mastership away."""

    @property
    def devices(self) -> tuple[str, ...]:
        """Interfaces it names."""
        return tuple(dict.fromkeys(hop.dev for hop in self.hops if hop.dev is not None))


class RuleAction(IntEnum):
    """FR_ACT_*."""

    TABLE = 1
    GOTO = 2
    NOP = 3
    BLACKHOLE = 6
    UNREACHABLE = 7
    PROHIBIT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A line of virtual_rules or static_rules."""

    text: str = field(compare=False)
    """As written, for logs and dumps."""
    family: Family
    preference: int
    action: RuleAction = RuleAction.TABLE
    table: int = 0
    goto: int = 0
    l3mdev: bool = False
    """Looks into the table of the VRF."""
    invert: bool = False
    source: Address | None = None
    source_len: int = 0
    destination: Address | None = None
    destination_len: int = 0
    tos: int = 0
    fwmark: int | None = None
    fwmask: int | None = None
    realms: int = 0
    suppress_prefixlength: int | None = None
    suppress_ifgroup: int | None = None
    iif: str | None = None
    oif: str | None = None
    tunnel_id: int | None = None
    uid_range: tuple[int, int] | None = None
    ip_proto: int | None = None
    sport: tuple[int, int] | None = None
    dport: tuple[int, int] | None = None
    protocol: int = KEEPALIVED
    tracked: bool = True
    """Its loss takes mastership away."""
