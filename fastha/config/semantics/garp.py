"""Gratuitous ARP and neighbour advertisements: how often, how fast, and which interfaces share a limit."""

from dataclasses import dataclass

from fastha.config.semantics.context import Context
from fastha.config.tree import Node
from fastha.model.plan import GarpGroup
from fastha.model.units import Ns, S


@dataclass(slots=True)
class Garp:
    """Gratuitous ARP settings, as global_defs or an instance has them."""

    master_delay: Ns = 5 * S
    master_repeat: int = 5
    master_refresh: Ns = 0
    master_refresh_repeat: int = 1
    lower_prio_delay: Ns = 5 * S
    lower_prio_repeat: int = 5

    @classmethod
    def of_globals(cls, defs: Node) -> "Garp":
        base = cls(0, 1, 0, 0) if defs.get("vrrp_min_garp", False) else cls()
        base.lower_prio_delay = _seconds(defs.maybe("vrrp_garp_master_delay"), base.master_delay)
        base.lower_prio_repeat = defs.get("vrrp_garp_master_repeat", base.master_repeat)
        return base.over(defs, "vrrp_")

    def of_instance(self, node: Node) -> "Garp":
        """With what the instance itself says. Nothing of it changes what the instance does not name."""
        return self.over(node, "")

    def over(self, node: Node, prefix: str) -> "Garp":
        """These settings with those of a block, whose words begin with `prefix`, laid over them."""
        return Garp(
            master_delay=_seconds(node.maybe(f"{prefix}garp_master_delay"), self.master_delay),
            master_repeat=node.get(f"{prefix}garp_master_repeat", self.master_repeat),
            master_refresh=_seconds(node.maybe(f"{prefix}garp_master_refresh"), self.master_refresh),
            master_refresh_repeat=node.get(f"{prefix}garp_master_refresh_repeat", self.master_refresh_repeat),
            lower_prio_delay=_seconds(node.maybe(f"{prefix}garp_lower_prio_delay"), self.lower_prio_delay),
            lower_prio_repeat=node.get(f"{prefix}garp_lower_prio_repeat", self.lower_prio_repeat),
        )


def _seconds(value: int | None, default: Ns) -> Ns:
    return default if value is None else value * S


def garp_groups(ctx: Context) -> tuple[GarpGroup, ...]:
    """An interface is in the first group that names it."""
    result = []
    taken: set[str] = set()
    for node in ctx.root.blocks("garp_group"):
        places = [(item.name, item.line, item.at) for block in node.blocks("interfaces") for item in block.items]
        if node.has("interface"):
            places.append((str(node.maybe("interface")), node.line_of("interface"), 1))
        if not node.has("garp_interval") and not node.has("gna_interval"):
            ctx.error("garp_group has no interval; it is removed", node.line)
        for block in node.blocks("interfaces"):
            if not block.items:
                ctx.error("interfaces is empty", block.line)
        members = []
        for name, line, at in places:
            if not ctx.interface(name, "garp_group", line, at):
                continue
            if name in taken:
                ctx.error(f"{name} is in a garp_group already; it is ignored", line, at)
            else:
                taken.add(name)
                members.append(name)
        if members:
            result.append(
                GarpGroup(
                    interfaces=tuple(members),
                    garp_interval=node.get("garp_interval", 0),
                    gna_interval=node.get("gna_interval", 0),
                )
            )
    return tuple(result)
