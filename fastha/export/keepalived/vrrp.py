"""keepalived.data: the vrrp process's dump."""

from collections.abc import Iterator
from typing import Final

from fastha.export.keepalived import routes, words
from fastha.export.keepalived.definitions import definitions
from fastha.model.net import family_of
from fastha.model.plan import AuthType, Notifies, Plan, SyncGroup, Track, TrackScript, UnicastChecksum, VrrpInstance
from fastha.model.snapshot import InstanceSnapshot, LinkSnapshot, RunnerSnapshot, VrrpSnapshot
from fastha.model.units import MS, US, S

_AUTH: Final = {AuthType.NONE: "none", AuthType.PASS: "SIMPLE_PASSWORD", AuthType.AH: "IPSEC_AH"}
_CHECKSUMS: Final = {UnicastChecksum.DETECT: "no", UnicastChecksum.OLD: "config", UnicastChecksum.NEVER_OLD: "never"}
_EVENTS: Final = {
    "BACKUP": "Backup",
    "MASTER": "Master",
    "FAULT": "Fault",
    "STOP": "Stop",
    "DELETED": "Deleted",
    "MASTER_RX_LOWER_PRI": "Master rx lower pri",
}
_SCRIPT_STATUS: Final = {"up": "GOOD", "down": "BAD", "unknown": "INIT"}


def render_data(plan: Plan, vrrp: VrrpSnapshot, runner: RunnerSnapshot | None) -> str:
    """keepalived.data. Without a runner's snapshot its trackers are shown as unknown."""
    return "".join(f"{line}\n" for line in _lines(plan, vrrp, runner or RunnerSnapshot()))


def _lines(plan: Plan, vrrp: VrrpSnapshot, runner: RunnerSnapshot) -> Iterator[str]:
    yield from definitions(plan)
    notifies = {(each.kind, each.name): each for each in plan.runner.notifies}
    plans = {one.name: one for one in plan.vrrp.instances}
    groups = {member: group.name for group in plan.vrrp.sync_groups for member in group.members}
    if plan.vrrp.static_addresses:
        yield words.title("Static Addresses")
        for line in plan.vrrp.static_addresses:
            yield f" {words.address(line, present=True)}"
    if plan.vrrp.static_routes:
        yield words.title("Static Routes")
        yield from (f" {routes.route(line)}" for line in plan.vrrp.static_routes)
    if plan.vrrp.static_rules:
        yield words.title("Static Rules")
        yield from (f" {routes.rule(line)}" for line in plan.vrrp.static_rules)
    indexes = {link.name: link.index for link in vrrp.links}
    yield words.title("VRRP Topology")
    for now in vrrp.instances:
        if (one := plans.get(now.name)) is not None:
            yield f" VRRP Instance = {one.name}"
            its, told = groups.get(one.name), notifies.get(("INSTANCE", one.name))
            for text in _instance(plan, one, now, its, told, index=indexes.get(one.interface, 0)):
                yield f"   {text}"
    if plan.vrrp.sync_groups:
        yield words.title("VRRP Sync groups")
        states = {group.name: group.state for group in vrrp.sync_groups}
        members = {now.name: now for now in vrrp.instances}
        for group in plan.vrrp.sync_groups:
            yield f" VRRP Sync Group = {group.name}, {states.get(group.name, 'INIT')}"
            for text in _group(group, members, notifies.get(("GROUP", group.name))):
                yield f"   {text}"
    yield from _trackers(plan, runner)
    yield from _interfaces(plan, vrrp)


# ---------------------------------------------------------------------------------------- instances


def _instance(
    plan: Plan, one: VrrpInstance, now: InstanceSnapshot, group: str | None, notifies: Notifies | None, *, index: int
) -> Iterator[str]:
    yield f"VRRP Version = {one.version}"
    if one.family == 6:
        yield "Using Native IPv6"
    if group is not None:
        yield f"Sync group = {group}"
    yield f"State = {now.state}"
    if now.state == "BACKUP":
        yield f"Master router = {now.master_address or '0.0.0.0'}"  # noqa: S104 - keepalived's word for none
        yield f"Master priority = {now.master_priority}"
    yield from _flags(one, made=words.made_link(plan.vrrp, one) is not None)
    yield f"Wantstate = {now.wanted}"
    yield "Number of config faults = 0"
    yield f"Number of interface and track script faults = {len(now.faults)}"
    yield f"Number of track scripts init = {len(now.pending)}"
    yield f"Last transition = {words.moment(now.since_wall)}"
    yield f"Master down timer = {now.master_down // US} usecs"
    yield from _interface(plan, one)
    if one.dont_track_primary:
        yield "VRRP interface tracking disabled"
    if one.skip_check_adv_addr:
        yield "Skip checking advert IP addresses"
    if one.strict_mode:
        yield "Enforcing strict VRRP compliance"
    if now.source is not None:
        yield f"Using src_ip = {now.source}{' (from configuration)' if one.source is not None else ''}"
    if not one.unicast:
        yield f"Multicast address {one.group}" + (f", ifindex {index}" if one.family == 6 else "")
    yield from _bursts(one)
    yield f"Virtual Router ID = {one.virtual_router_id}"
    yield f"Priority = {one.priority}"
    yield f"Effective priority = {now.effective_priority}"
    yield f"Total priority = {now.total_priority}"
    yield _interval(one)
    yield f"Accept = {words.enabled(one.accept)}"
    yield f"Preempt = {words.enabled(not one.nopreempt)}"
    if one.preempt_delay and not one.nopreempt:
        yield f"Preempt delay = {words.number(one.preempt_delay)} secs"
    yield f"Promote_secondaries = {words.enabled(one.promote_secondaries)}"
    if one.version == 2:
        yield f"Authentication type = {_AUTH[one.auth_type]}"
        if one.auth_type is not AuthType.NONE:
            yield "Password = ********"
    yield from _addresses(plan, one, now)
    if one.unicast:
        yield from _peers(one)
    if one.routes:
        yield "Virtual Routes :"
        yield from (f"  {routes.route(line)}" for line in one.routes)
    if one.rules:
        yield "Virtual Rules :"
        yield from (f"  {routes.rule(line)}" for line in one.rules)
    yield from _tracked(
        "interfaces",
        [each for each in one.track_interfaces if each.name != one.interface and not each.implied],
        " weight ",
    )
    yield from _tracked("scripts", one.track_scripts, " weight ")
    yield from _tracked("files", one.track_files, ", weight ")
    yield from _tracked("processes", one.track_processes, ", weight ")
    yield f"Using smtp notification = {words.yes(notifies is not None and notifies.smtp_alert)}"
    yield f"Notify deleted = {'Deleted' if one.notify_deleted else 'Fault'}"
    yield from _scripts(notifies)
    yield f"Notify priority changes = {words.true(one.notify_priority_changes)}"


def _flags(one: VrrpInstance, *, made: bool) -> Iterator[str]:
    """keepalived names one of its flags, and says none when no other is set either."""
    some = (made, one.unicast, one.nopreempt, one.dont_track_primary, one.skip_check_adv_addr, one.source is not None)
    yield "Flags:" if any(some) else "Flags: none"
    if one.unicast:
        yield "  Using unicast"


def _bursts(one: VrrpInstance) -> Iterator[str]:
    """Gratuitous ARP, and adverts in answer to rivals."""
    yield f"Gratuitous ARP delay = {words.number(one.garp_master_delay)}"
    yield f"Gratuitous ARP repeat = {one.garp_master_repeat}"
    yield f"Gratuitous ARP refresh = {words.number(one.garp_master_refresh)}"
    yield f"Gratuitous ARP refresh repeat = {one.garp_master_refresh_repeat}"
    yield f"Gratuitous ARP lower priority delay = {words.number(one.garp_lower_prio_delay)}"
    yield f"Gratuitous ARP lower priority repeat = {one.garp_lower_prio_repeat}"
    yield f"Down timer adverts = {one.down_timer_adverts}"
    yield f"Send advert after receive lower priority advert = {words.true(not one.lower_prio_no_advert)}"
    yield f"Send advert after receive higher priority advert = {words.true(one.higher_prio_send_advert)}"


def _interval(one: VrrpInstance) -> str:
    if one.version == 2:
        return f"Advert interval = {one.adver_int // S} sec"
    return f"Advert interval = {one.adver_int // MS} milli-sec"


def _interface(plan: Plan, one: VrrpInstance) -> Iterator[str]:
    made = words.made_link(plan.vrrp, one)
    if made is None:
        yield f"Interface = {one.interface}"
        return
    kind = "VMAC" if made.mac is not None else "IPVLAN"
    on_base = one.interface == made.base
    yield f"Use {kind}, i/f name {made.name}, is_up = true, xmit_base = {words.true(on_base)}"
    yield f"Interface = {made.name}, {kind.lower()} on {made.base}{', xmit base i/f' if on_base else ''}"


def _addresses(plan: Plan, one: VrrpInstance, now: InstanceSnapshot) -> Iterator[str]:
    if one.addresses:
        yield f"Virtual IP ({len(one.addresses)}):"
        yield from (f"  {line}" for line in words.addresses(one, one.addresses, now.present, plan.vrrp))
    if one.excluded_addresses:
        yield "Virtual IP Excluded :"
        yield from (f"  {line}" for line in words.addresses(one, one.excluded_addresses, now.present, plan.vrrp))


def _peers(one: VrrpInstance) -> Iterator[str]:
    yield f"Unicast TTL = {one.unicast_ttl if one.unicast_ttl is not None else 255}"
    yield f"Check unicast src : {words.yes(one.check_unicast_src)}"
    yield "Unicast Peer :"
    for peer in one.unicast_peers:
        yield f"  {peer.address} min_ttl {peer.min_ttl} max_ttl {peer.max_ttl}"
    yield f"Unicast checksum compatibility = {_CHECKSUMS[one.old_unicast_checksum]}"


def _tracked(kind: str, tracks: tuple[Track, ...] | list[Track], weight: str) -> Iterator[str]:
    if tracks:
        yield f"Tracked {kind} :"
        for track in tracks:
            yield f"  {track.name}{weight}{track.weight}{' reverse' if track.reverse else ''}"


def _scripts(notifies: Notifies | None) -> Iterator[str]:
    if notifies is None:
        return
    for event, name in _EVENTS.items():
        if (command := notifies.commands.get(event)) is not None:
            yield f"{name} state transition script = {words.script(command)}"
    if notifies.generic is not None:
        yield f"Generic state transition script = {words.script(notifies.generic)}"


def _group(group: SyncGroup, members: dict[str, InstanceSnapshot], notifies: Notifies | None) -> Iterator[str]:
    found = [members[name] for name in group.members if name in members]
    faults = sum(one.state == "FAULT" for one in found)
    waiting = sum(one.state == "INIT" for one in found)
    yield f"Num member fault {faults}, num member init {waiting}"
    yield "VRRP member instances :"
    for name in group.members:
        yield f"  {name}"
    yield f"Using smtp notification = {words.yes(notifies is not None and notifies.smtp_alert)}"
    yield from _tracked("interfaces", group.track_interfaces, " weight ")
    yield from _tracked("scripts", group.track_scripts, " weight ")
    yield from _tracked("files", group.track_files, ", weight ")
    yield from _tracked("processes", group.track_processes, ", weight ")
    yield from _scripts(notifies)


# ----------------------------------------------------------------------------------------- trackers


def _users(plan: Plan, kind: str, name: str) -> Iterator[str]:
    """The instances that look at a tracker, themselves or through their group."""
    groups = {member: group for group in plan.vrrp.sync_groups for member in group.members}
    for one in plan.vrrp.instances:
        holders: list[VrrpInstance | SyncGroup] = [one]
        if one.name in groups:
            holders.append(groups[one.name])
        for holder in holders:
            for track in getattr(holder, kind):
                if track.name == name:
                    yield f"     {one.name}, weight {track.weight}{' reverse' if track.reverse else ''}"


def _trackers(plan: Plan, runner: RunnerSnapshot) -> Iterator[str]:
    if plan.runner.track_scripts:
        yield words.title("VRRP Scripts")
        for script in plan.runner.track_scripts:
            yield from _script(script, runner)
            yield "   Tracking instances :"
            yield from _users(plan, "track_scripts", script.name)
            running = any(now.name == script.name and now.running for now in runner.scripts)
            yield f"   State = {'running' if running else 'idle'}"
    if plan.runner.track_files:
        yield words.title("VRRP Track files")
        for file in plan.runner.track_files:
            yield f" Track file = {file.name}"
            yield f"   File = {file.path}"
            yield f"   Status = {runner.files.get(file.name, 0)}"
            yield f"   Weight = {file.weight}{' reverse' if file.reverse else ''}"
            yield "   Tracking instances :"
            yield from _users(plan, "track_files", file.name)
    if plan.runner.track_processes:
        yield words.title("VRRP Track processes")
        yield from _processes(plan, runner)


def _script(script: TrackScript, runner: RunnerSnapshot) -> Iterator[str]:
    now = next((each for each in runner.scripts if each.name == script.name), None)
    state, against = (now.state, now.against) if now is not None else ("unknown", 0)
    result = script.rise + script.fall - 1 - against if state == "up" else against
    yield f" VRRP Script = {script.name}"
    yield f"   Command = {words.quoted(script.command.argv)}"
    yield f"   Interval = {words.number(script.interval)} sec"
    yield f"   Timeout = {words.number(script.timeout)} sec"
    yield f"   Weight = {script.weight}{' reverse' if script.reverse else ''}"
    yield f"   Rise = {script.rise}"
    yield f"   Fall = {script.fall}"
    yield f"   Result = {result}"
    yield "   Insecure = no"
    yield f"   Status = {_SCRIPT_STATUS.get(state, 'INIT')}"
    yield f"   Script uid:gid = {script.command.uid}:{script.command.gid}"


def _processes(plan: Plan, runner: RunnerSnapshot) -> Iterator[str]:
    seen = {now.name: now for now in runner.processes}
    for process in plan.runner.track_processes:
        now = seen.get(process.name)
        yield f" VRRP Track process = {process.name}"
        yield f"   Process = {process.process[0]}"
        if len(process.process) > 1:
            yield f"   Parameters = {words.quoted(process.process[1:])}"
        if process.param_match != "none":
            yield f"   Parameter match = {process.param_match}"
        yield f"   Min processes = {process.quorum}"
        if process.quorum_max is not None:
            yield f"   Max processes = {process.quorum_max}"
        yield f"   Current processes = {now.count if now else 0}"
        yield f"   Have quorum = {words.true(now is not None and now.up)}"
        yield f"   Weight = {process.weight}{' reverse' if process.reverse else ''}"
        yield f"   Terminate delay = {process.terminate_delay / S:f}s"
        yield f"   Fork delay = {process.fork_delay / S:f}s"
        yield f"   Fork delay timer {'running' if now and now.fork_pending else 'not running'}"
        yield f"   Terminate delay timer {'running' if now and now.terminate_pending else 'not running'}"
        yield f"   Full command = {words.true(process.full_command)}"
        yield "   Tracking instances :"
        yield from _users(plan, "track_processes", process.name)


def _interfaces(plan: Plan, vrrp: VrrpSnapshot) -> Iterator[str]:
    yield words.title("Interfaces")
    known = {link.name: link for link in vrrp.links}
    for name in dict.fromkeys((*known, *vrrp.interfaces)):
        link = known.get(name)
        down_delay, up_delay = plan.vrrp.interface_delays.get(name, (0, 0))
        yield f" Name = {name}"
        if link is not None:
            yield from _link(link)
        up = vrrp.interfaces.get(name, link is not None and link.up)
        yield f"   State = {'UP, RUNNING' if up else 'DOWN'}"
        yield f"   Up debounce timer = {up_delay // US}us"
        yield f"   Down debounce timer = {down_delay // US}us"
        if link is not None:
            yield f"   MTU = {link.mtu}"
        users = [
            *(f"     {one.name}, weight 0" for one in plan.vrrp.instances if one.interface == name),
            *(line for line in _users(plan, "track_interfaces", name)),
        ]
        if users:
            yield "   Tracking VRRP instances :"
            yield from users


def _link(link: LinkSnapshot) -> Iterator[str]:
    yield f"   index = {link.index}"
    for family in (4, 6):
        found = next((str(each) for each in link.addresses if family_of(each) == family), "(none)")
        yield f"   IPv{family} address = {found}"
    if link.mac and link.mac.strip("0:"):
        yield f"   MAC = {link.mac}"
