"""The VRRP half of the Plan: instances, groups, static addresses, and what they tell whom."""

from dataclasses import replace

from fastha.config.diagnostics import closest
from fastha.config.semantics.addresses import static_addresses
from fastha.config.semantics.context import Context
from fastha.config.semantics.garp import garp_groups
from fastha.config.semantics.instance import Reader, track_interfaces
from fastha.config.semantics.process import process_settings
from fastha.config.semantics.routes import Lines, static_followers
from fastha.config.semantics.scripts import Scripts
from fastha.config.semantics.tracking import Tracking
from fastha.config.semantics.vmac import Vmacs
from fastha.config.tree import Node
from fastha.model.plan import (
    Command,
    FirewallSettings,
    MadeLink,
    Notifies,
    Recording,
    SyncGroup,
    VrrpInstance,
    VrrpPlan,
)
from fastha.model.units import Ns, S

MOST_RECORDED = 4096
EVENTS = {
    "notify_master": "MASTER",
    "notify_backup": "BACKUP",
    "notify_fault": "FAULT",
    "notify_stop": "STOP",
    "notify_deleted": "DELETED",
    "notify_master_rx_lower_pri": "MASTER_RX_LOWER_PRI",
}


def vrrp_plan(ctx: Context, tracking: Tracking, *, log_detail: bool) -> VrrpPlan:
    """All instances and groups. Those that cannot be run are left out, and said."""
    nodes = ctx.root.blocks("vrrp_instance")
    vmacs = Vmacs(ctx)
    membership = _membership(ctx, nodes)
    lines = Lines(ctx)
    reader = Reader(ctx, tracking, lines, static_followers(ctx), vmacs)
    instances = []
    for node in nodes:
        instance = reader.read(node, membership.get(node.header))
        if instance is not None:
            _surplus(ctx, node, instance)
            instances.append(replace(instance, rx_buffer=_rx_buffer(ctx, node, instance)))
    _distinct(ctx, nodes, instances)
    defs = ctx.defs
    _track_groups(ctx, {node.header for node in nodes})
    vmacs.settle(tuple(line for i in instances for line in (*i.addresses, *i.excluded_addresses)))
    return VrrpPlan(
        instances=tuple(instances),
        sync_groups=_groups(ctx, membership, instances, tracking),
        static_addresses=static_addresses(ctx),
        static_routes=lines.routes(ctx.root, "static_routes"),
        static_rules=lines.rules(ctx.root, "static_rules"),
        garp_groups=garp_groups(ctx),
        made_links=vmacs.links(),
        promote_secondaries=_promoting(instances),
        disable_local_igmp=defs.has("disable_local_igmp"),
        firewall=_firewall(ctx),
        linkbeat=_linkbeat(ctx, nodes, instances),
        interface_delays=_interface_delays(ctx, vmacs.links()),
        startup_delay=_startup_delay(ctx),
        dynamic_interfaces=ctx.dynamic,
        allow_if_changes=defs.maybe("dynamic_interfaces") == "allow_if_changes",
        log_unknown_vrids=defs.has("log_unknown_vrids"),
        fifo_write_states_on_reload=defs.has("fifo_write_vrrp_states_on_reload"),
        log_detail=log_detail,
        recording=_recording(ctx),
        process=process_settings(ctx, "vrrp", "keepalived_vrrp"),
    )


def _rx_buffer(ctx: Context, node: Node, instance: VrrpInstance) -> int:
    """Octets of receive buffer for one instance: its own word, or what the policy for all says."""
    own: int | None = node.maybe("kernel_rx_buf_size")
    policy: object = ctx.defs.maybe("vrrp_rx_bufs_policy")
    if own is not None or policy is None or isinstance(policy, int):
        return own if own is not None else policy if isinstance(policy, int) else 0
    times: int = ctx.defs.get("vrrp_rx_bufs_multiplier", 3)
    link = ctx.host.interfaces().get(instance.base or instance.interface)
    return times * (instance.advert_octets() if policy == "ADVERT" else link.mtu if link else 1500)


def _surplus(ctx: Context, node: Node, instance: VrrpInstance) -> None:
    """More addresses than an advert carries: the others are there as well, and are not advertised."""
    link = ctx.host.interfaces().get(instance.base or instance.interface)
    room = instance.room_for_addresses(link.mtu if link else 1500)
    if len(instance.addresses) <= room:
        return
    first = instance.addresses[room].address
    lines = [item.line for item in node.entries("virtual_ipaddress") if item.address == first]
    ctx.advise(
        f"{instance.name}: an advert carries {room} addresses on {instance.interface}, and there are "
        f"{len(instance.addresses)}: from here on they are as in virtual_ipaddress_excluded",
        lines[0],
    )


def _membership(ctx: Context, nodes: list[Node]) -> dict[str, Node]:
    """instance -> its group. An instance is in one group only."""
    known = {node.header for node in nodes}
    result: dict[str, Node] = {}
    for group in ctx.root.blocks("vrrp_sync_group"):
        what = f"vrrp_sync_group {group.header}"
        if not group.blocks("group"):
            ctx.error(f"{what} has no group {{ }} of members; it is removed", group.line, 1)
            continue
        members = 0
        for item in group.entries("group"):
            if item.name not in known:
                ctx.error(
                    f"{what}: there is no vrrp_instance '{item.name}'; it is ignored",
                    item.line,
                    item.at,
                    suggestion=closest(item.name, known),
                )
            elif item.name in result:
                ctx.error(
                    f"{what}: {item.name} is already in group {result[item.name].header}; it is ignored",
                    item.line,
                    item.at,
                )
            else:
                result[item.name] = group
                members += 1
        if not members:
            ctx.error(f"{what} has no members; it is removed", group.line, 1)
        elif members == 1:
            ctx.advise(f"{what} has only one member, which is probably not what is meant", group.line, 1)
    return result


def _groups(
    ctx: Context, membership: dict[str, Node], instances: list[VrrpInstance], tracking: Tracking
) -> tuple[SyncGroup, ...]:
    result = []
    by_name = {instance.name: instance for instance in instances}
    for group in ctx.root.blocks("vrrp_sync_group"):
        names = [i.name for i in group.entries("group") if membership.get(i.name) is group and i.name in by_name]
        members = tuple(dict.fromkeys(names))
        what = f"vrrp_sync_group {group.header}"
        tracks = {
            "track_scripts": tracking.references(group, "script", "track_script", what),
            "track_files": tracking.references(group, "file", "track_file.references", what),
            "track_processes": tracking.references(group, "process", "track_process", what),
            "track_interfaces": track_interfaces(ctx, group, what),
        }
        tracking.references(group, "bfd", "track_bfd", what)
        _tracked_twice(ctx, group, [by_name[name] for name in members])
        owners = [name for name in members if by_name[name].owner]
        if owners and len(owners) < len(members):
            ctx.error(
                f"{what} mixes address owners ({', '.join(owners)}) with others, which cannot work", group.line, 1
            )
        if members:
            result.append(
                SyncGroup(
                    name=group.header,
                    members=members,
                    sync_group_tracking_weight=group.has("sync_group_tracking_weight"),
                    **tracks,
                )
            )
    return tuple(result)


def _tracked_twice(ctx: Context, group: Node, members: list[VrrpInstance]) -> None:
    """An interface is tracked by the group or by the member, not by both; a member tracks its own anyway."""
    for item in group.entries("track_interface"):
        for member in members:
            if item.name in {member.interface, member.base} or item.name in {
                track.name for track in member.track_interfaces
            }:
                ctx.error(
                    f"vrrp_sync_group {group.header} tracks {item.name}, and so does its member {member.name}",
                    item.line,
                    suggestion="leave it to one of them",
                )


def _distinct(ctx: Context, nodes: list[Node], instances: list[VrrpInstance]) -> None:
    """One VRID can be used once per interface, family and group; by unicast, with other peers."""
    lines = {node.header: node.line_of("virtual_router_id") for node in nodes}
    seen: dict[tuple[object, ...], str] = {}
    for instance in instances:
        base = (instance.base or instance.interface, instance.family, instance.virtual_router_id)
        places: list[tuple[object, ...]] = (
            [(*base, peer.address) for peer in instance.unicast_peers]
            if instance.unicast
            else [(*base, instance.group)]
        )
        rival = next((seen[place] for place in places if place in seen), None)
        if rival is not None:
            ctx.refuse(
                f"{rival} and {instance.name} both use VRID {instance.virtual_router_id} with IPv{instance.family} on "
                f"interface {instance.interface}",
                lines[instance.name],
                1,
            )
        for place in places:
            seen.setdefault(place, instance.name)


def _track_groups(ctx: Context, known: set[str]) -> None:
    note = ctx.report.note
    for node in ctx.root.blocks("track_group"):
        names = node.entries("group")
        for item in names:
            if item.name not in known:
                note(f"track_group {node.header}: there is no vrrp_instance '{item.name}'", item.line, item.at)
        if not names:
            ctx.error(f"track_group {node.header} has no members; it is removed", node.line, 1)
        elif not any(item.name in known for item in names):
            note(f"track_group {node.header} has no member that is there; it is removed", node.line, 1)


def _promoting(instances: list[VrrpInstance]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(i.interface for i in instances if i.promote_secondaries and not i.base))


def _linkbeat(ctx: Context, nodes: list[Node], instances: list[VrrpInstance]) -> dict[str, str]:
    """Interfaces to be polled, each with its way."""
    result: dict[str, str] = {}
    everyone = ctx.root.has("linkbeat_use_polling")
    asking = {node.header for node in nodes if everyone or node.has("linkbeat_use_polling")}
    for instance in instances:
        if instance.name in asking and (name := instance.base or instance.interface):
            result[name] = ""
    for item in ctx.root.entries("linkbeat_interfaces"):
        if not ctx.polled_interface(item.name, "linkbeat_interfaces", item.line):
            continue
        known = ctx.host.interfaces().get(item.name)
        if item.name in ctx.made or (known is not None and known.kind in {"macvlan", "ipvlan"}):
            ctx.error(f"{item.name} has no link of its own to be polled; it is ignored", item.line)
            continue
        result[item.name] = item.way
    return result


def _firewall(ctx: Context) -> FirewallSettings:
    """vrrp_iptables asks for the same rules: nftables carries them out."""
    defaults = FirewallSettings()
    return FirewallSettings(
        table=ctx.defs.maybe("nftables") or defaults.table,
        priority=ctx.defs.get("nftables_priority", defaults.priority),
        counters=ctx.defs.has("nftables_counters"),
    )


def _interface_delays(ctx: Context, made: tuple[MadeLink, ...]) -> dict[str, tuple[Ns, Ns]]:
    """Interfaces of our own making take the delays of the one underneath."""
    result = {}
    for item in ctx.root.entries("interface_up_down_delays"):
        if ctx.polled_interface(item.interface, "interface_up_down_delays", item.line):
            result[item.interface] = (item.down, item.up)
    result.update({link.name: result[link.base] for link in made if link.base in result})
    return result


def _startup_delay(ctx: Context) -> Ns:
    """The longer of vrrp_startup_delay and what is left of vrrp_delay_after_boot."""
    delay: Ns = ctx.defs.get("vrrp_startup_delay", 0)
    after_boot: Ns = ctx.defs.get("vrrp_delay_after_boot", 0)
    if after_boot:
        delay = max(delay, after_boot - int(ctx.host.uptime() * S))
    return delay


def _recording(ctx: Context) -> Recording | None:
    """vrrp_recording FILE [MIB]."""
    words: tuple[str, ...] | None = ctx.defs.maybe("vrrp_recording")
    if words is None:
        return None
    path, size = words[0], words[1] if len(words) > 1 else "16"
    if not path.startswith("/") or not size.isascii() or not size.isdigit() or not 1 <= int(size) <= MOST_RECORDED:
        ctx.error(
            f"vrrp_recording needs the whole path of a file, and at most {MOST_RECORDED} MiB: nothing is recorded",
            ctx.defs.line_of("vrrp_recording"),
            1,
        )
        return None
    return Recording(path, int(size) << 20)


def vrrp_notifies(ctx: Context, scripts: Scripts, plan: VrrpPlan) -> list[Notifies]:
    """Scripts and mail of instances and groups. Objects that tell nobody are left out."""
    alert: bool = ctx.defs.get("smtp_alert_vrrp", ctx.defs.get("smtp_alert", False))
    running = {instance.name for instance in plan.instances}
    groups = {group.name for group in plan.sync_groups}
    result = []
    for path, kind, names in (("vrrp_instance", "INSTANCE", running), ("vrrp_sync_group", "GROUP", groups)):
        for node in ctx.root.blocks(path):
            notifies = _notifies(scripts, node, kind, mail=node.get("smtp_alert", alert))
            if node.header in names and notifies is not None:
                result.append(notifies)
    return result


def _notifies(scripts: Scripts, node: Node, kind: str, *, mail: bool) -> Notifies | None:
    commands: dict[str, Command] = {}
    for word, event in EVENTS.items():
        command = scripts.command(node.maybe(word), f"{word} of {node.header}")
        if command is not None:
            commands[event] = command
    generic = scripts.command(node.maybe("notify"), f"notify of {node.header}")
    if not commands and generic is None and not mail:
        return None
    return Notifies(kind=kind, name=node.header, commands=commands, generic=generic, smtp_alert=mail)
