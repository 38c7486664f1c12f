"""Virtual routes and rules as keepalived shows them: iproute2's words, numbers for names."""

from fastha.model.routes import MAIN_TABLE, Nexthop, Route, Rule, RuleAction

_KINDS = {2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", 6: "blackhole", 7: "unreachable", 8: "prohibit"} | {
    9: "throw",
    10: "nat",
}
"""RTN_*, but for unicast, which is not said."""


def route(line: Route) -> str:
    """`prepend 10.77.0.0/24 via inet 10.7.7.9 dev d0 proto 18 metric 7`."""
    words = [str(line.mode)]
    if (kind := _KINDS.get(line.kind)) is not None:
        words.append(kind)
    words.append(f"{line.destination}/{line.prefixlen}" if line.prefixlen else "default")
    if line.source is not None:
        words += ["from", f"{line.source}/{line.source_len}"]
    one = line.hops[0] if len(line.hops) == 1 else None
    if one is not None:
        words += _via(one)
    if line.prefsrc is not None:
        words += ["src", str(line.prefsrc)]
    if one is not None and one.dev is not None:
        words += ["dev", one.dev]
    if line.tos:
        words += ["tos", f"0x{line.tos:x}"]
    if line.table != MAIN_TABLE:
        words += ["table", str(line.table)]
    words += ["proto", str(line.protocol)]
    if line.scope:
        words += ["scope", str(line.scope)]
    if line.metric is not None:
        words += ["metric", str(line.metric)]
    if one is not None and one.onlink:
        words.append("onlink")
    if line.expires is not None:
        words += ["expires", f"{line.expires}sec"]
    if len(line.hops) > 1:
        for hop in line.hops:
            words += ["nexthop", *_via(hop), *(["dev", hop.dev] if hop.dev else []), "weight", str(hop.weight)]
    if not line.tracked:
        words.append("no_track")
    return " ".join(words)


def _via(hop: Nexthop) -> list[str]:
    if hop.via is None:
        return []
    return ["via", "inet6" if ":" in str(hop.via) else "inet", str(hop.via)]


def rule(line: Rule) -> str:
    """`from 10.77.0.0/24 priority 16384 tos 0x0 protocol 18 lookup 33`."""
    words = ["not"] if line.invert else []
    words += ["from", "all" if line.source is None else f"{line.source}/{line.source_len}"]
    if line.destination is not None:
        words += ["to", f"{line.destination}/{line.destination_len}"]
    words += ["priority", str(line.preference), "tos", f"0x{line.tos:x}"]
    if line.fwmark is not None:
        words += ["fwmark", f"0x{line.fwmark:x}" + (f"/0x{line.fwmask:x}" if line.fwmask is not None else "")]
    if line.iif is not None:
        words += ["iif", line.iif]
    if line.oif is not None:
        words += ["oif", line.oif]
    if line.uid_range is not None:
        words += ["uidrange", f"{line.uid_range[0]}-{line.uid_range[1]}"]
    words += ["protocol", str(line.protocol)]
    if line.action is RuleAction.TABLE:
        words += ["lookup", str(line.table)]
    elif line.goto:
        words += ["goto", str(line.goto)]
    else:
        words.append(line.action.name.lower())
    if not line.tracked:
        words.append("no_track")
    return " ".join(words)
