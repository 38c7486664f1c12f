"""virtual_ipaddress, virtual_ipaddress_excluded, static_ipaddress."""

from collections.abc import Callable

from fastha.config.lines import AddressLine
from fastha.config.semantics.context import Context
from fastha.config.tree import Node
from fastha.model.net import Family
from fastha.model.plan import VirtualAddress


def plan_address(item: AddressLine, dev: str) -> VirtualAddress:
    """The address as it is to be configured on `dev`. A /128 is not preferred as a source, as keepalived has it."""
    options = item.options
    default_lft = 0 if item.family == 6 and item.prefixlen == 128 else None
    return VirtualAddress(
        address=item.address,
        prefixlen=item.prefixlen,
        dev=dev,
        scope=options.get("scope", 0),
        broadcast=options.get("brd"),
        label=options.get("label"),
        peer=options.get("peer"),
        home=options.get("home", False),
        nodad=item.family == 6 and not options.get("dad", False),
        mngtmpaddr=options.get("mngtmpaddr", False),
        noprefixroute=options.get("noprefixroute", False),
        autojoin=options.get("autojoin", False),
        no_track=options.get("no_track", False),
        preferred_lft=options.get("preferred_lft", default_lft),
    )


def virtual_addresses(
    ctx: Context,
    node: Node,
    path: str,
    *,
    place_of: Callable[[AddressLine], str],
    family: Family | None,
    what: str,
    taken: tuple[VirtualAddress, ...] = (),
) -> tuple[VirtualAddress, ...]:
    """The addresses of one block; `place_of` gives the interface of each. With `family` others are refused, line by
    line; so are repeated ones, and those `taken` by another block."""
    elsewhere = {(other.address, other.dev) for other in taken}
    advertised = {(item.address, item.dev) for item in node.entries("virtual_ipaddress")} if taken else set()
    seen: dict[tuple[str, str], set[str | None]] = {}
    result = []
    for item in node.entries(path):
        if family is not None and item.family != family:
            ctx.error(f"{what} is IPv{family}, and {item} is not; it is ignored", item.line)
            continue
        place = place_of(item)
        if not place:
            ctx.error(f"{what} has no interface, so {item} needs 'dev'; it is ignored", item.line)
            continue
        if item.dev is not None:
            ctx.interface(item.dev, f"address {item}", item.line, item.line.words.index(item.dev))
        # an advert has an address once; others are compared by the interfaces that are written
        place_seen = seen.setdefault((item.address, "" if family is not None else place), set())
        if (item.address, place) in elsewhere:
            complain = ctx.error if (item.address, item.dev) in advertised else ctx.report.note
            complain(f"{what} has {item} in virtual_ipaddress too; this one is ignored", item.line)
            continue
        if place_seen:
            complain = ctx.error if family is not None or item.dev in place_seen else ctx.report.note
            complain(f"{what} has {item} twice; the second one is ignored", item.line)
            continue
        place_seen.add(item.dev)
        result.append(plan_address(item, place))
    return tuple(result)


def static_addresses(ctx: Context) -> tuple[VirtualAddress, ...]:
    """static_ipaddress, at default_interface where none is named."""
    default = str(ctx.defs.get("default_interface", "eth0"))
    result: list[VirtualAddress] = []
    for item in ctx.root.entries("static_ipaddress"):
        dev = item.dev or default
        at = item.line.words.index(item.dev) if item.dev else 0
        if not ctx.interface(dev, f"static address {item}", item.line, at):
            continue
        result.append(plan_address(item, dev))
    return tuple(result)
