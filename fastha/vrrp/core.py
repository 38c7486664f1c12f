"""The VRRP core: `handle(event, now)` and `tick(now)` give the actions that follow; nothing else has an effect.

The shell's contract, in four lines:

    before `Start`   tell interfaces and addresses (`LinkChanged`, `SourceChanged`); actions may come already
    after any event  do the actions in order; call `tick` by `deadline()`, earlier does no harm
    on `Rebuild`     make the sockets of `endpoints()`
    `Finished`       the last action there is

The two timers of the protocol run in the engine (`orders`); the core's own agenda holds bursts, delays and debounce.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastha.model.snapshot import GroupSnapshot, InstanceSnapshot, VrrpSnapshot
from fastha.model.units import S, seconds_text
from fastha.vrrp import events, reload
from fastha.vrrp.actions import Action, Finished, Rebuild, Tell
from fastha.vrrp.adverts import Listener
from fastha.vrrp.fsm import Input, State
from fastha.vrrp.garp import TIMERS, Announcer
from fastha.vrrp.instance import MICROSECOND, Instance
from fastha.vrrp.links import Links
from fastha.vrrp.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastha.model.plan import VirtualAddress, VrrpPlan
    from fastha.model.units import Ns
    from fastha.vrrp.group import Group
    from fastha.vrrp.orders import Endpoint
    from fastha.vrrp.timers import Key


START_UP: Final = 3 * S
"""So long after the start it is no news that the core was busy with it."""


class Core:
    """All virtual routers of one Plan. Drivers: events, and time."""

    def __init__(self, plan: VrrpPlan) -> None:
        self.plan = plan
        self.world = World(detail=plan.log_detail)
        self.announcer = Announcer(self.world)
        self.announcer.configure(plan)
        self.listener = Listener(self.world, self.announcer)
        self.links = Links(self.world)
        self.instances: dict[int, Instance] = {}
        """By index."""
        self.groups: list[Group] = []
        self.watchers: dict[tuple[str, str], dict[Instance, None]] = {}
        """(interface, script, file or process; its name) -> the instances that look at it."""
        self.started_at: Ns | None = None
        self.stopped = False
        for instance_plan in plan.instances:
            reload.add_instance(self, instance_plan, 0)
        reload.regroup(self)

    # ----------------------------------------------------------------------------------------- drivers

    def handle(self, event: events.Event, now: Ns) -> list[Action]:
        """What follows from `event`; timers that are due come first."""
        self._run_timers(now)
        if not self.stopped:
            HANDLERS[type(event)](self, event, now)
        return self._actions()

    @property
    def started(self) -> bool:
        return self.started_at is not None

    def tick(self, now: Ns) -> list[Action]:
        """What has become due."""
        self._run_timers(now)
        return self._actions()

    def deadline(self) -> Ns | None:
        """When `tick` has something to do; None: not before another event."""
        return None if self.stopped else self.world.timers.next()

    def _actions(self) -> list[Action]:
        actions, self.world.out = self.world.out, []
        return actions

    def _run_timers(self, now: Ns) -> None:
        while not self.stopped and (key := self.world.timers.due(now)) is not None:
            self._fire(key, now)

    def _fire(self, key: Key, now: Ns) -> None:
        name, what = key
        if name == "delay":
            self._delay_over(now)
        elif name == "link":
            self.links.settled(what)
            self.reassess("interface", what, now)
        elif name == "pace":
            self.announcer.pace(what, now)
        elif (instance := self.instances.get(what)) is not None:
            if name in TIMERS:
                self.announcer.fire(name, instance, now)
            elif name == "preempt":
                self.listener.preempt_delay_over(instance, now)
            elif name == "conflict":
                self.listener.conflict_over(instance, now)

    # ------------------------------------------------------------------------------------------ events

    def _start(self, event: events.Start, now: Ns) -> None:
        if self.started:
            return
        self.started_at = now
        self.world.out.append(Rebuild())
        for instance in self.instances.values():
            instance.tell_surplus()
        if self.plan.startup_delay:
            self.world.log("info", f"Delaying startup for {seconds_text(self.plan.startup_delay)}")
            self.delay_until(now + self.plan.startup_delay)
        begun = len(self.world.out)
        for group in self.groups:
            group.start(now, event.resume)
        self.order_first_words(begun)

    def order_first_words(self, begun: int) -> None:
        """At the start and after a reload keepalived tells of faults first, then of groups, then of the others, each in
        the order of the file; later of members first. `begun`: how many actions there were before."""
        out = self.world.out
        place_of = {i.name: place for place, i in enumerate(self.instances.values())}
        places = [at for at in range(begun, len(out)) if isinstance(out[at], Tell)]
        tells = [told for at in places if isinstance(told := out[at], Tell)]
        tells.sort(key=lambda told: _rank_at_start(told, place_of))
        for at, told in zip(places, tells, strict=True):
            out[at] = told

    def delay_until(self, when: Ns) -> None:
        """vrrp_startup_delay: nothing is heard, and nobody becomes master, before then."""
        self.world.delayed_until = when
        self.world.timers.set(("delay", None), when)

    def _delay_over(self, now: Ns) -> None:
        """The timers of the protocol begin now."""
        self.world.delayed_until = None
        self.world.log("info", "Delayed start completed")
        for instance in self.instances.values():
            if instance.state is State.BACKUP:
                owner = instance.wanted is State.MASTER
                instance.listen(now + (MICROSECOND if owner else instance.master_down_interval))

    def _advert(self, event: events.AdvertReceived, now: Ns) -> None:
        """Adverts are facts: they are judged by what we are now, whatever order they were reported under."""
        if (instance := self.instances.get(event.instance)) is not None:
            self.listener.heard(instance, event, now)

    def _master_down(self, event: events.MasterDown, now: Ns) -> None:
        instance = self._current(event)
        if instance is None or instance.state is not State.BACKUP or self.world.delayed_until is not None:
            return
        if now - event.at > instance.master_adver_int and not instance.judged_late:
            # we were away: adverts may wait behind this event; once, they get the chance to be heard
            instance.judged_late = True
            instance.listen(now + instance.grace)
            return
        instance.group.timeout(instance, now)

    def _lease_lost(self, event: events.LeaseLost, now: Ns) -> None:
        """We were too slow to be believed. We still hold the addresses: speak again and let the protocol decide; who
        took over meanwhile has told the link so, and is answered."""
        instance = self._current(event)
        if instance is None or instance.state is not State.MASTER:
            return
        if instance.patience and now - event.at > instance.patience:
            self._step_down(instance, now)
            return
        begins = self.started_at is not None and now - self.started_at < START_UP
        instance.log("info" if begins else "warning", "adverts had stopped because the core was away; speaking again")
        instance.speak(now)
        instance.announce(now)

    def _overslept(self, event: events.Overslept, now: Ns) -> None:
        """timer_expired_backup: whoever took over meanwhile is not made to give way by our being the better one."""
        instance = self._current(event)
        if instance is not None and instance.state is State.MASTER:
            self._step_down(instance, now)

    @staticmethod
    def _step_down(instance: Instance, now: Ns) -> None:
        """Without priority 0: those who hear it would elect again."""
        instance.log("warning", "our adverts are so late that another router must be master")
        instance.group.yield_to(instance, "timer expired, another router must have taken over", now, None)

    def _current(self, event: events.MasterDown | events.LeaseLost | events.Overslept) -> Instance | None:
        """The instance, when the event was said under its present order."""
        instance = self.instances.get(event.instance)
        return instance if instance is not None and instance.generation == event.generation else None

    def _late(self, event: events.EngineLate, _now: Ns) -> None:
        self.world.log("warning", f"the advert engine was away for {seconds_text(event.away)}")

    def _link(self, event: events.LinkChanged, now: Ns) -> None:
        here = [i for i in self._watching("interface", event.name) if i.plan.interface == event.name]
        before = {i.index: self.world.advert_addresses(i.plan) for i in here}
        if self.links.changed(event, self.plan.interface_delays.get(event.name, (0, 0)), here, now):
            self.reassess("interface", event.name, now)
        for instance in here:
            if self.started:
                instance.tell_surplus()
            if instance.state is State.MASTER and before[instance.index] != self.world.advert_addresses(instance.plan):
                instance.speak(now, shift=0)  # the MTU changed, and with it how many addresses an advert carries

    def _source(self, event: events.SourceChanged, now: Ns) -> None:
        world = self.world
        here = [i for i in self._watching("interface", event.interface) if i.plan.source_interface == event.interface]
        before = {i.index: i.source for i in here}
        if event.configured is not None:
            key = (event.interface, event.configured)
            if event.address is None:
                world.configured.discard(key)
            else:
                world.configured.add(key)
        elif event.address is None:
            world.sources.pop((event.interface, event.family), None)
        else:
            world.sources[event.interface, event.family] = event.address
        moved = [i for i in here if i.source != before[i.index]]
        if not moved or not self.started:
            return
        if event.address is None:  # a last word still leaves from the address that goes
            self.reassess("interface", event.interface, now)
            world.out.append(Rebuild())
        else:
            world.out.append(Rebuild())
            self.reassess("interface", event.interface, now)
        for instance in moved:
            if instance.state is State.MASTER:
                instance.master_address = instance.source
                instance.speak(now, shift=0)

    def _address_gone(self, event: events.AddressGone, now: Ns) -> None:
        def has(instance: Instance) -> bool:
            return any(
                (a.dev, a.address, a.prefixlen) == (event.interface, event.address, event.prefixlen) and not a.no_track
                for a in _all_addresses(instance)
            )

        for instance in [i for i in self.instances.values() if i.state is State.MASTER and has(i)]:
            instance.log("info", f"{event.address} was removed from {event.interface} by somebody else")
            if instance.state is State.MASTER:  # not yet pulled along by a member of its group
                reason = f"{event.address} was removed from {event.interface}"
                instance.group.address_lost(instance, reason, now)

    def _route_gone(self, event: events.RouteGone, now: Ns) -> None:
        for instance in [i for index, i in self.instances.items() if index in event.instances]:
            if instance.state is State.MASTER:
                instance.log("info", f"{event.what} was removed by somebody else")
                instance.group.address_lost(instance, f"{event.what} was removed", now)

    def _script(self, event: events.ScriptResult, now: Ns) -> None:
        """Unknown again (the runner is gone) changes nothing: the last result stands until there is a new one."""
        scripts = self.world.seen.scripts
        if event.up is not None and scripts.get(event.name) is not event.up:
            scripts[event.name] = event.up
            self.reassess("script", event.name, now)

    def _file(self, event: events.FileValue, now: Ns) -> None:
        if self.world.seen.files.get(event.name) != event.value:
            self.world.seen.files[event.name] = event.value
            self.reassess("file", event.name, now)

    def _process(self, event: events.ProcessQuorum, now: Ns) -> None:
        if self.world.seen.processes.get(event.name) is not event.up:
            self.world.seen.processes[event.name] = event.up
            self.reassess("process", event.name, now)

    def _reload(self, event: events.Reload, now: Ns) -> None:
        reload.reload(self, event.plan, now)

    def _shutdown(self, event: events.Shutdown, now: Ns) -> None:
        what, reason = (Input.STOP, "stopped") if event.release else (Input.RETIRE, "retired")
        for instance in self.instances.values():
            instance.take(what, now, reason)
        if event.release:
            self.world.out += [Tell("GROUP", g.plan.name, "STOP", 0) for g in self.groups if g.plan]
        self.world.out.append(Finished())
        self.stopped = True

    # --------------------------------------------------------------------------------------- what follows

    def _watching(self, kind: str, name: str) -> list[Instance]:
        return list(self.watchers.get((kind, name), ()))

    def reassess(self, kind: str, name: str, now: Ns) -> None:
        """A tracked thing is otherwise than it was: priorities of those that look at it move, their groups settle."""
        watching = self._watching(kind, name)
        for instance in watching:
            before, down = instance.effective, instance.master_down_interval
            instance.assess()
            if self.started:
                instance.move(before, down, now)
        if self.started:
            for group in dict.fromkeys(i.group for i in watching):
                group.settle(now, watching)

    # ---------------------------------------------------------------------------------------- what it is

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where each instance listens and what its adverts leave from, now."""
        return tuple(instance.endpoint() for instance in self.instances.values())

    def states(self) -> dict[str, str]:
        """name -> state."""
        return {i.name: i.state.value for i in self.instances.values()}

    def moved(self) -> dict[str, Instance]:
        """name -> instance, of those whose state is another than when this was asked last; or their name."""
        moved, self.world.moved = self.world.moved, set()
        return {one.name: one for index in moved if (one := self.instances.get(index)) is not None}

    def snapshot(
        self,
        now: Ns,
        wall: float,
        *,
        counts: Mapping[int, tuple[int, int]] | None = None,
        present: Mapping[str, tuple[str, ...]] | None = None,
    ) -> VrrpSnapshot:
        """Running state, as far as the core knows it. `counts`: the engine's (sent, expected) adverts by instance
        index, which never came through here; `present`: the addresses the kernel has, by instance name."""
        counts, present = counts or {}, present or {}
        return VrrpSnapshot(
            instances=tuple(
                self._describe(i, now, wall, counts.get(i.index, (0, 0)), present.get(i.name, ()))
                for i in self.instances.values()
            ),
            sync_groups=tuple(
                GroupSnapshot(
                    name=g.plan.name,
                    state=(g.state or State.INIT).value,
                    members=tuple(m.name for m in g.members),
                )
                for g in self.groups
                if g.plan
            ),
            interfaces=dict(self.world.seen.interfaces),
        )

    def _describe(
        self, i: Instance, now: Ns, wall: float, counts: tuple[int, int], present: tuple[str, ...]
    ) -> InstanceSnapshot:
        sent, expected = counts
        stats = dict(i.stats)
        stats["advert_sent"] += sent
        stats["advert_rcvd"] += expected
        return InstanceSnapshot(
            name=i.name,
            interface=i.plan.interface,
            virtual_router_id=i.plan.virtual_router_id,
            family=i.plan.family,
            version=i.plan.version,
            state=i.state.value,
            wanted=i.wanted.value,
            since_wall=wall - (now - i.since) / S,
            reason=i.reason,
            priority=i.plan.priority,
            effective_priority=i.effective,
            priority_terms=i.assessment.terms,
            master_address=i.master_address,
            master_priority=i.effective if i.state is State.MASTER else i.master_priority,
            adver_int=i.plan.adver_int,
            master_adver_int=i.master_adver_int,
            addresses=tuple(f"{a.address}/{a.prefixlen} dev {a.dev}" for a in _all_addresses(i)),
            present=present,
            source=i.source,
            total_priority=i.assessment.total,
            faults=i.faults(),
            pending=i.assessment.pending,
            master_down=i.master_down_interval,
            stats=stats,
        )


def _rank_at_start(told: Tell, place_of: dict[str, int]) -> tuple[int, int]:
    if told.kind == "GROUP":
        return 1, 0
    return 0 if told.state == State.FAULT else 2, place_of.get(told.name, 0)


def _all_addresses(instance: Instance) -> tuple[VirtualAddress, ...]:
    return instance.plan.addresses + instance.plan.excluded_addresses


HANDLERS: dict[type[Any], Callable[[Core, Any, int], None]] = {
    events.Start: Core._start,  # noqa: SLF001
    events.AdvertReceived: Core._advert,  # noqa: SLF001
    events.MasterDown: Core._master_down,  # noqa: SLF001
    events.LeaseLost: Core._lease_lost,  # noqa: SLF001
    events.Overslept: Core._overslept,  # noqa: SLF001
    events.EngineLate: Core._late,  # noqa: SLF001
    events.LinkChanged: Core._link,  # noqa: SLF001
    events.SourceChanged: Core._source,  # noqa: SLF001
    events.AddressGone: Core._address_gone,  # noqa: SLF001
    events.RouteGone: Core._route_gone,  # noqa: SLF001
    events.ScriptResult: Core._script,  # noqa: SLF001
    events.FileValue: Core._file,  # noqa: SLF001
    events.ProcessQuorum: Core._process,  # noqa: SLF001
    events.Reload: Core._reload,  # noqa: SLF001
    events.Shutdown: Core._shutdown,  # noqa: SLF001
}
