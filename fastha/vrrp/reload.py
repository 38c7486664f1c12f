"""A new Plan while running: instances go on when they are the same virtual router on the wire, whatever their name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastha.model.net import Address
from fastha.vrrp.actions import Rebuild, Tell
from fastha.vrrp.fsm import Input, State
from fastha.vrrp.group import Group
from fastha.vrrp.instance import Instance
from fastha.vrrp.priority import OWNER, Tracks, tracks_of

if TYPE_CHECKING:
    from fastha.model.plan import VrrpInstance, VrrpPlan
    from fastha.model.units import Ns
    from fastha.vrrp.core import Core

Identity = tuple[int, int, str, str, Address | None]


def identity(plan: VrrpInstance) -> Identity:
    """What makes it the same virtual router: VRID, family, interface and cast; unicast by source, multicast by
    group."""
    cast = ("unicast", plan.source) if plan.unicast else ("multicast", plan.group)
    return (plan.virtual_router_id, plan.family, plan.interface, *cast)


def match(running: list[Instance], plans: tuple[VrrpInstance, ...]) -> dict[str, Instance]:
    """name in the new Plan -> the running instance that goes on under it. Several unicast instances may be alike but
    for their peers: then the name tells them apart, then the peers they share."""
    left: dict[Identity, list[Instance]] = {}
    for instance in running:
        left.setdefault(identity(instance.plan), []).append(instance)
    result: dict[str, Instance] = {}

    def pair(plan: VrrpInstance, instance: Instance) -> None:
        left[identity(plan)].remove(instance)
        result[plan.name] = instance

    for plan in plans:
        for instance in left.get(identity(plan), ()):
            if instance.name == plan.name:
                pair(plan, instance)
                break
    for plan in plans:
        alike = left.get(identity(plan), ())
        if plan.name not in result and alike:
            pair(plan, max(alike, key=lambda instance: len(set(plan.unicast_peers) & set(instance.plan.unicast_peers))))
    return result


def add_instance(core: Core, plan: VrrpInstance, now: Ns, taken: frozenset[int] = frozenset()) -> Instance:
    """A new instance at the lowest index that neither lives nor is in `taken` (its orders may still be on their way).
    The generation of an index goes on rising."""
    index = next(i for i in range(len(core.instances) + len(taken) + 1) if i not in core.instances and i not in taken)
    generations = core.world.generations
    if index >= len(generations):
        generations.extend([0] * (index + 1 - len(generations)))
    instance = Instance(index, plan, core.world, core.announcer, now)
    core.instances[index] = instance
    return instance


def regroup(core: Core) -> None:
    """Makes the groups of the core's Plan, and gives every instance its trackers. A sync group of the same name goes on
    in its state, if any member is in it; a member name that is no instance is left out: the configuration has
    complained."""
    by_name = {i.name: i for i in core.instances.values()}
    states = {g.plan.name: g.state for g in core.groups if g.plan}
    groups: list[Group] = []
    grouped: set[str] = set()
    for plan in core.plan.sync_groups:
        members = [by_name[name] for name in plan.members if name in by_name and name not in grouped]
        grouped.update(m.name for m in members)
        if not members:
            continue
        group = Group(plan, members, core.world)
        if (state := states.get(plan.name)) in {m.state for m in members}:
            group.state = group.known = state
        groups.append(group)
        has_owner = any(m.plan.priority == OWNER for m in members)
        for member in members:
            member.tracks = tracks_of(member.plan, plan, group_has_owner=has_owner)
    for instance in core.instances.values():
        if instance.name not in grouped:
            instance.tracks = tracks_of(instance.plan, None)
            groups.append(Group(None, [instance], core.world))
    core.groups = groups
    for instance in core.instances.values():
        instance.assess()
    core.watchers = watchers(list(core.instances.values()))


def watchers(instances: list[Instance]) -> dict[tuple[str, str], dict[Instance, None]]:
    """(kind, name) of a tracked thing -> those that look at it, in keepalived's order: first those that name it
    themselves, then those whose group does."""
    found: dict[tuple[str, str], dict[Instance, None]] = {}
    for themselves in (True, False):
        for instance in instances:
            keys = watched(instance.plan, instance.tracks)
            if themselves:
                keys &= watched(instance.plan, tracks_of(instance.plan, None))
            for key in keys:
                found.setdefault(key, {})[instance] = None
    return found


def watched(plan: VrrpInstance, tracks: Tracks) -> set[tuple[str, str]]:
    """(kind, name) of what an instance with these trackers looks at, its own interface always."""
    kinds = (
        ("interface", tracks.interfaces),
        ("script", tracks.scripts),
        ("file", tracks.files),
        ("process", tracks.processes),
    )
    own = {("interface", name) for name in (plan.interface, plan.base) if name}
    return own | {(kind, t.name) for kind, named in kinds for t in named}


def reload(core: Core, plan: VrrpPlan, now: Ns) -> None:
    """Go on under `plan`. Kept for a match: state (not FAULT, which is judged anew), statistics, addresses. Not kept:
    the learned interval and the running master-down timer. Results of trackers stay, also of those that nobody tracks
    any more: they are told when they change, and may be wanted again."""
    matched = match(list(core.instances.values()), plan.instances)
    going_on = {i.index for i in matched.values()}
    removed = [i for i in core.instances.values() if i.index not in going_on]
    for instance in removed:
        if instance.state is State.MASTER:  # keepalived's masters speak once more before they reload
            instance.send()
        instance.take(Input.DELETE, now, "no longer configured")
        del core.instances[instance.index]
    core.plan = plan
    core.announcer.configure(plan)
    core.world.detail = plan.log_detail
    taken = frozenset(i.index for i in removed)
    groups = {g.plan.name: g.state for g in core.groups if g.plan}
    kept: list[tuple[Instance, VrrpInstance, State]] = []
    for instance_plan in plan.instances:
        if (same := matched.get(instance_plan.name)) is None:
            add_instance(core, instance_plan, now, taken)
        else:
            kept.append((same, same.plan, same.state))
            same.adopt(instance_plan)
    regroup(core)
    if not core.started:
        return
    core.world.out.append(Rebuild())
    for instance in core.instances.values():
        instance.tell_surplus()
    if core.world.delayed_until is not None and core.started_at is not None:
        core.delay_until(max(now, core.started_at + plan.startup_delay))
    begun = len(core.world.out)
    for group in core.groups:
        if any(m.state is not State.INIT for m in group.members):
            group.after_reload(now)
        else:
            group.start(now)
    core.order_first_words(begun)
    for instance, before, state in kept:
        if instance.state is state:
            go_on(core, instance, before, now)
    if plan.fifo_write_states_on_reload:
        tell_unchanged(core, [i for i, _, state in kept if i.state is state], groups)


def tell_unchanged(core: Core, instances: list[Instance], groups: dict[str, State | None]) -> None:
    """fifo_write_vrrp_states_on_reload: readers of FIFOs hear of those too whose state is what it was,
    groups first."""
    out = core.world.out
    for group in core.groups:
        if group.plan and group.state is not None and groups.get(group.plan.name) is group.state:
            out.append(Tell("GROUP", group.plan.name, group.state.value, 0, only_fifo=True))
    out += [Tell("INSTANCE", i.name, i.state.value, i.effective, only_fifo=True) for i in instances]


def go_on(core: Core, instance: Instance, before: VrrpInstance, now: Ns) -> None:
    """A matched instance whose state stands: a master speaks at once, a backup waits a whole master-down time."""
    if instance.state is State.MASTER:
        instance.speak(now)
        instance.addresses(True)
        # one with other options is put there anew
        had = {*before.addresses, *before.excluded_addresses}
        has = {*instance.plan.addresses, *instance.plan.excluded_addresses}
        core.announcer.reloaded(instance, now, added=bool(has - had))
    elif instance.state is State.BACKUP:
        instance.expect_nothing()
        instance.listen(now + instance.master_down_interval)
