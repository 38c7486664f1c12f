"""The table of nftables that marks packets for IPVS (nftables_ipvs): the text for `nft`, as keepalived lays it down.

    table ip|ip6 NAME           one for each family that has addresses
        tcp_map, udp_map, ...   address . port -> mark
        chain in                filter, input hook: the mark is set, counted, and nothing more is done with the packet

A service of IPVS by mark is found in the same hook behind it.
"""

from collections.abc import Iterator

from fastha.model.plan import MarkedGroups
from fastha.model.table import Marked
from fastha.wire.nftables import FAMILIES


def removal(table: str) -> str:
    """The text that takes the table away, whether it is there or not."""
    return "".join(f"add table {word} {table}\ndelete table {word} {table}\n" for _, word in FAMILIES)


def transaction(settings: MarkedGroups, marked: Marked) -> str:
    """The text that makes the table what it should be, in one step."""
    return removal(settings.table) + "\n".join(_tables(settings, marked)) + "\n"


def _tables(settings: MarkedGroups, marked: Marked) -> Iterator[str]:
    for family, word in FAMILIES:
        maps: dict[str, list[str]] = {}
        for (of, protocol, address, port), mark in marked.items():
            if of == family:
                maps.setdefault(protocol.lower(), []).append(f"{address} . {port} : {mark}")
        if not maps:
            continue
        yield f"table {word} {settings.table} {{"
        for protocol, elements in maps.items():
            yield f"map {protocol}_map {{"
            yield f"type ipv{family}_addr . inet_service : mark"
            if settings.counters:
                yield "counter"
            yield "elements = { " + ", ".join(elements) + " }"
            yield "}"
        yield "chain in {"
        yield f"type filter hook input priority {settings.priority}; policy accept;"
        for protocol in maps:
            yield f"meta mark set {word} daddr . {protocol} dport map @{protocol}_map counter return"
        yield "}"
        yield "}"
