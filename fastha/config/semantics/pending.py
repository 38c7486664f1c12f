"""What is not yet in effect is judged all the same: BFD sessions, virtual MAC names, ARP groups."""

from fastha.config.semantics.context import Context
from fastha.config.semantics.process import affinity
from fastha.config.tree import Node


def check_pending(ctx: Context) -> None:
    """Reports what does not fit in blocks that come to nothing yet."""
    peers: set[tuple[object, object]] = set()
    for node in ctx.root.blocks("bfd_instance"):
        _bfd(ctx, node)
        pair = (node.maybe("source_ip"), node.maybe("neighbor_ip"))
        if pair[1] is not None and pair in peers:
            ctx.error(
                f"bfd_instance {node.header}: {pair[1]} is the neighbour of another one; it is dropped", node.line
            )
        peers.add(pair)
    for node in ctx.root.blocks("SSL")[1:]:
        ctx.error("a second SSL block; it replaces the first", node.line)
    affinity(ctx, "bfd")
    group = ctx.defs.maybe("vrrp_mcast_group6")
    if group is not None and not group.startswith("ff02"):
        ctx.error(f"vrrp_mcast_group6 {group} is not link-local", ctx.defs.line_of("vrrp_mcast_group6"), 1)


def _bfd(ctx: Context, node: Node) -> None:
    neighbour, source = node.maybe("neighbor_ip"), node.maybe("source_ip")
    if neighbour is None:
        ctx.error(f"bfd_instance {node.header} has no neighbor_ip; it is dropped", node.line, 1)
    elif ctx.address_conflict(neighbour, source):
        ctx.error(f"bfd_instance {node.header}: source_ip is of another family; it is dropped", node.line, 1)
    ttl, hops = node.get("ttl", 64 if neighbour and ":" in neighbour else 255), node.get("max_hops", 0)
    if hops > ttl:
        ctx.error(f"bfd_instance {node.header}: max_hops {hops} is above ttl {ttl}", node.line_of("max_hops"), 1)
