"""The words of route and rule lines (virtual_routes, static_routes, virtual_rules, static_rules)."""

from fastha.config.arguments import (
    INT,
    UINT,
    AddressArgument,
    Argument,
    Choice,
    Custom,
    Flag,
    Integer,
    InterfaceName,
    Reading,
    Text,
    one_of,
)
from fastha.config.schema.entry import Block, Word

NUMBER = Integer(0, UINT, "N")
ROUTE_TYPES = (
    "local", "nat", "broadcast", "brd", "anycast", "multicast", "prohibit", "unreachable", "blackhole", "xresolve",
    "unicast", "throw",
)  # fmt: skip
DESTINATIONS = ("default", "any", "all", "default6")
LOCKABLE = frozenset({"mtu", "advmss", "rtt", "rttvar", "reordering", "cwnd", "ssthresh", "rto_min", "congctl"})
NAMED = {
    "table": ("rt_tables", UINT),
    "protocol": ("rt_protos", 255),
    "scope": ("rt_scopes", 255),
    "tos": ("rt_dsfield", 255),
    "realms": ("rt_realms", 255),
}
"""Settings whose value is a number up to the second item, or a name out of a file of iproute2."""


def _words(r: Reading) -> object:
    return tuple(r.words[1:])


def _entries(
    rows: tuple[tuple[str, Argument, str, str], ...], synonyms: dict[str, str] | None = None
) -> tuple[Word, ...]:
    """Words from rows (name, arguments, effect, example)."""
    stores = synonyms or {}
    return tuple(
        Word(
            name=name,
            arguments=arguments,
            default="none",
            effect=effect,
            store=stores.get(name, ""),
            example=example,
        )
        for name, arguments, effect, example in rows
    )


PREFIX = "ADDRESS[/LEN]|default|any|all"
TIME = Text("TIME (N, Ns, Nms)", required="error")
GATEWAY = Custom(_words, "[inet|inet6] ADDRESS")
BIT = Integer(0, 1, "0|1")

ROUTE_LINE = Block(
    path="route line",
    words=_entries(
        (
            ("to", Text(PREFIX), "Destination; the word itself may be left out.", "to 198.51.100.0/24 via 192.0.2.1"),
            ("inet", Flag(), "It is an IPv4 route.", "inet default via 192.0.2.1"),
            ("inet6", Flag(), "It is an IPv6 route.", "inet6 default via 2001:db8::1"),
            (
                "src",
                AddressArgument(strict=True),
                "Source address that connections get.",
                "default via 192.0.2.1 src 192.0.2.10",
            ),
            ("as", Custom(_words, "[to] ADDRESS"), "Not supported by keepalived either; skipped.", ""),
            ("via", GATEWAY, "Next router.", "198.51.100.0/24 via 192.0.2.1"),
            ("gw", GATEWAY, "Older spelling of via.", "198.51.100.0/24 gw 192.0.2.1"),
            ("from", Text(PREFIX), "Source prefix of an IPv6 route.", "default from 2001:db8:1::/48 via 2001:db8::1"),
            ("tos", Text("NAME|NUMBER"), "Type of service (IPv4).", "default tos 0x10 via 192.0.2.1"),
            ("dsfield", Text("NAME|NUMBER"), "The same as tos.", "default dsfield 0x10 via 192.0.2.1"),
            ("table", Text("NAME|NUMBER"), "Routing table.", "default via 192.0.2.1 table 10"),
            ("protocol", Text("NAME|0..255"), "Who set the route.", "default via 192.0.2.1 protocol 18"),
            ("scope", Text("NAME|0..255"), "Scope (IPv4).", "198.51.100.0/24 dev eth0 scope link"),
            ("metric", NUMBER, "Order among routes to one destination.", "default via 192.0.2.1 metric 100"),
            ("priority", NUMBER, "The same as metric.", "default via 192.0.2.1 priority 100"),
            ("preference", NUMBER, "The same as metric.", "default via 192.0.2.1 preference 100"),
            ("dev", InterfaceName(), "Interface.", "198.51.100.0/24 dev eth0"),
            ("oif", InterfaceName(), "The same as dev.", "198.51.100.0/24 oif eth0"),
            ("onlink", Flag(), "The gateway is on the link (IPv4).", "default via 192.0.2.1 dev eth0 onlink"),
            ("encap", Custom(_words, "ip|ip6|mpls|ila ..."), "Encapsulation.", "default encap mpls 100 via 192.0.2.1"),
            ("expires", Integer(0, UINT, "SECONDS"), "Life of an IPv6 route.", "2001:db8:1::/48 dev eth0 expires 60"),
            ("mtu", NUMBER, "Path MTU.", "default via 192.0.2.1 mtu lock 1400"),
            ("hoplimit", Integer(0, 255, "HOPS"), "Hop limit.", "default via 192.0.2.1 hoplimit 64"),
            ("advmss", NUMBER, "MSS to offer.", "default via 192.0.2.1 advmss 1400"),
            ("rtt", TIME, "First estimate of the round trip.", "default via 192.0.2.1 rtt 300ms"),
            ("rttvar", TIME, "First estimate of its variation.", "default via 192.0.2.1 rttvar 300ms"),
            ("reordering", NUMBER, "Reordering that is no loss.", "default via 192.0.2.1 reordering 5"),
            ("window", NUMBER, "Largest window.", "default via 192.0.2.1 window 65535"),
            ("cwnd", NUMBER, "Clamp of the congestion window.", "default via 192.0.2.1 cwnd 100"),
            ("ssthresh", NUMBER, "Slow start threshold.", "default via 192.0.2.1 ssthresh 100"),
            ("realms", Text("[SRC/]DST"), "Routing realms (IPv4).", "default via 192.0.2.1 realms 10"),
            ("rto_min", TIME, "Shortest retransmission time.", "default via 192.0.2.1 rto_min 200ms"),
            ("initcwnd", NUMBER, "First congestion window.", "default via 192.0.2.1 initcwnd 10"),
            ("initrwnd", NUMBER, "First receive window.", "default via 192.0.2.1 initrwnd 20"),
            (
                "features",
                Choice({"ecn": "ecn"}, required="error", what="feature"),
                "ecn: explicit congestion notification.",
                "default via 192.0.2.1 features ecn",
            ),
            ("quickack", BIT, "Acknowledges at once.", "default via 192.0.2.1 quickack 1"),
            ("congctl", Text("NAME"), "Congestion control.", "default via 192.0.2.1 congctl bbr"),
            (
                "pref",
                Choice(one_of(["low", "medium", "high", *map(str, range(256))]), required="error", what="preference"),
                "Preference of an IPv6 router.",
                "default via 2001:db8::1 pref high",
            ),
            (
                "ttl-propagate",
                Choice(one_of(["enabled", "disabled"]), required="error", what="value"),
                "MPLS copies the TTL.",
                "default via 192.0.2.1 ttl-propagate enabled",
            ),
            ("fastopen_no_cookie", BIT, "TCP fast open without cookie.", "default via 192.0.2.1 fastopen_no_cookie 1"),
            ("add", Flag(), "Fails when there is such a route.", "default via 192.0.2.1 add"),
            ("prepend", Flag(), "Goes before routes like it; the default.", "default via 192.0.2.1 prepend"),
            ("append", Flag(), "Goes after routes like it.", "default via 192.0.2.1 append"),
            (
                "or",
                AddressArgument(strict=True),
                "Older way to name a second router.",
                "default via 192.0.2.1 or 192.0.2.2",
            ),
            (
                "nexthop",
                Custom(_words, "via ADDRESS [dev INTERFACE] [weight 1..256] ..."),
                "One of several ways; last on the line.",
                "default nexthop via 192.0.2.1 weight 1 nexthop via 192.0.2.2 weight 2",
            ),
            ("no_track", Flag(), "Its loss has no consequences.", "default via 192.0.2.1 no_track"),
            (
                "track_group",
                Text("NAME"),
                "Static routes: the track_group that follows the interface.",
                "198.51.100.0/24 dev eth0 track_group TG",
            ),
            ("vrf", InterfaceName(), "Uses the table of this VRF.", "default via 192.0.2.1 vrf red"),
        ),
        {"gw": "via", "dsfield": "tos", "priority": "metric", "preference": "metric", "oif": "dev"},
    ),
)

NEXTHOP_LINE = Block(
    path="route nexthop",
    words=_entries(
        (
            ("via", GATEWAY, "Router of this way.", "nexthop via 192.0.2.1"),
            ("dev", InterfaceName(), "Interface of this way.", "nexthop dev eth1"),
            ("weight", Integer(1, 256, "WEIGHT"), "Share of this way.", "nexthop via 192.0.2.1 weight 2"),
            ("onlink", Flag(), "The router is on the link (IPv4).", "nexthop via 192.0.2.1 dev eth1 onlink"),
            ("encap", Custom(_words, "ip|ip6|mpls|ila ..."), "Encapsulation of this way.", ""),
            ("realms", Text("[SRC/]DST"), "Realms of this way (IPv4).", "nexthop via 192.0.2.1 realms 10"),
            ("as", Custom(_words, "[to] ADDRESS"), "Not supported by keepalived either.", ""),
            ("nexthop", Custom(_words, "..."), "Begins the next way.", ""),
        ),
    ),
)

ENCAP_LINE = Block(
    path="route encap",
    words=_entries(
        (
            ("ip", Custom(_words, "[id N] [dst A] [src A] [tos T] [ttl N] [flags N]"), "IPv4 tunnel data.", ""),
            ("ip6", Custom(_words, "[id N] [dst A] [src A] [tc T] [hoplimit N] [flags N]"), "IPv6 tunnel data.", ""),
            ("mpls", Text("LABEL[/LABEL...]"), "MPLS labels.", "encap mpls 100/200"),
            ("ila", Text("LOCATOR"), "Identifier-locator addressing.", "encap ila 2001:db8:0:1"),
            (
                "id",
                Integer(0, 2**64 - 1, "ID"),
                "Number of the tunnel.",
                "encap ip id 7 dst 192.0.2.9",
            ),
            ("dst", AddressArgument(strict=True), "Far end of the tunnel.", "encap ip dst 192.0.2.9"),
            ("src", AddressArgument(strict=True), "Near end of the tunnel.", "encap ip src 192.0.2.1 dst 192.0.2.9"),
            ("tos", Text("NAME|NUMBER"), "Type of service outside (ip).", ""),
            ("ttl", Integer(0, 255, "TTL"), "TTL outside (ip).", ""),
            ("flags", Integer(0, 65535, "FLAGS", c_notation=True), "Tunnel flags.", ""),
            ("tc", Text("NAME|NUMBER"), "Traffic class outside (ip6).", ""),
            ("hoplimit", Integer(0, 255, "HOPS"), "Hop limit outside (ip6).", ""),
        ),
    ),
)

RULE_LINE = Block(
    path="rule line",
    words=_entries(
        (
            ("inet", Flag(), "It is an IPv4 rule.", "inet table 10 priority 100"),
            ("inet6", Flag(), "It is an IPv6 rule.", "inet6 table 10 priority 100"),
            ("from", Text(PREFIX, required="fatal"), "Source addresses.", "from 192.0.2.10 table 10 priority 100"),
            ("to", Text(PREFIX, required="fatal"), "Destinations.", "to 198.51.100.0/24 table 10 priority 100"),
            ("table", Text("NAME|NUMBER"), "Looks into this table.", "from 192.0.2.10 table 10 priority 100"),
            ("lookup", Text("NAME|NUMBER"), "The same as table.", "from 192.0.2.10 lookup main priority 100"),
            ("not", Flag(), "For everything else.", "not from 192.0.2.0/24 table 10 priority 100"),
            *(
                (
                    name,
                    Integer(0, UINT, "N", c_notation=True),
                    "Order among the rules.",
                    f"from 192.0.2.10 table 10 {name} 100",
                )
                for name in ("preference", "order", "priority")
            ),
            ("tos", Text("NAME|NUMBER"), "Type of service.", "tos 0x10 table 10 priority 100"),
            ("dsfield", Text("NAME|NUMBER"), "The same as tos.", "dsfield 0x10 table 10 priority 100"),
            ("fwmark", Text("MARK[/MASK]"), "Firewall mark.", "fwmark 7 table 10 priority 100"),
            ("realms", Text("[SRC/]DST"), "Realms set by the rule (IPv4).", "from 192.0.2.10 table 10 realms 10"),
            *(
                (name, Integer(0, INT, "LEN"), effect, f"table main {name} 0 priority 100")
                for name, effect in (
                    ("suppress_prefixlength", "Results with a prefix no longer than this do not count."),
                    ("sup_pl", "The same as suppress_prefixlength."),
                )
            ),
            *(
                (name, Text("NAME|NUMBER"), effect, f"table main {name} 1 priority 100")
                for name, effect in (
                    ("suppress_ifgroup", "Results through this group of interfaces do not count."),
                    ("sup_group", "The same as suppress_ifgroup."),
                )
            ),
            ("dev", InterfaceName(), "Interface it came in by.", "dev eth0 table 10 priority 100"),
            ("iif", InterfaceName(), "The same as dev.", "iif eth0 table 10 priority 100"),
            ("oif", InterfaceName(), "Interface the socket is bound to.", "oif eth0 table 10 priority 100"),
            ("tunnel-id", Integer(0, 2**64 - 1, "ID", c_notation=True), "Tunnel.", "tunnel-id 7 table 10 priority 1"),
            ("uidrange", Text("N-N"), "Users.", "uidrange 1000-1999 table 10 priority 100"),
            ("l3mdev", Flag(), "Looks into the table of the VRF.", "l3mdev priority 100"),
            ("protocol", Integer(0, 255, "N"), "Who set the rule.", "from 192.0.2.10 table 10 protocol 18"),
            ("ipproto", Text("NAME|NUMBER"), "IP protocol.", "ipproto tcp table 10 priority 100"),
            ("sport", Text("LOW-HIGH"), "Source ports.", "sport 80-81 table 10 priority 100"),
            ("dport", Text("LOW-HIGH"), "Destination ports.", "dport 80-81 table 10 priority 100"),
            ("no_track", Flag(), "Its loss has no consequences.", "from 192.0.2.10 table 10 no_track priority 100"),
            ("track_group", Text("NAME"), "Static rules: the track_group that follows the interface.", ""),
            ("type", Text("ACTION", required="fatal"), "Stands before an action.", "type blackhole priority 100"),
            ("goto", NUMBER, "Goes on at that preference.", "from 192.0.2.10 goto 200 priority 100"),
            ("nop", Flag(), "Does nothing.", "nop priority 100"),
            *(
                (name, Flag(), f"Answers as a {name} route.", f"from 192.0.2.10 {name} priority 100")
                for name in ("blackhole", "unreachable", "prohibit")
            ),
        ),
        {
            "lookup": "table",
            "order": "preference",
            "priority": "preference",
            "dsfield": "tos",
            "sup_pl": "suppress_prefixlength",
            "sup_group": "suppress_ifgroup",
            "dev": "iif",
        },
    ),
)

BLOCKS = (ROUTE_LINE, NEXTHOP_LINE, ENCAP_LINE, RULE_LINE)
