"""Gratuitous ARP and unsolicited neighbour advertisements: who is told when, and how fast.

Becoming master: `garp_master_repeat` passes over the addresses at once, the same again after `garp_master_delay`, then
`garp_master_refresh_repeat` passes every `garp_master_refresh`. A master that hears a lower priority repeats itself.
With `garp_interval` or `gna_interval` messages of one interface, or of the interfaces of one garp_group, queue up: the
first leaves at once, the next when the interval has passed, and an address that already waits only has its count
raised. With `garp_extra_if` a master says one message now and then on its other interfaces, so that switches do not
forget where they are.

Timers end with mastership. (keepalived lets them run: a master that returns within a refresh period has
two cycles.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastha.vrrp.actions import Announce

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastha.model.net import Address
    from fastha.model.plan import GarpGroup, VrrpInstance, VrrpPlan
    from fastha.model.units import Ns
    from fastha.vrrp.instance import Instance
    from fastha.vrrp.world import World

TIMERS = ("garp", "garp_lower", "refresh", "extra")
Target = tuple[str, "Address"]


@dataclass(slots=True)
class Queue:
    """Messages of one family that wait on one interface, or on those of a group."""

    waiting: dict[tuple[int, Target], int] = field(default_factory=dict)
    """(instance, target) -> how often still, in order."""
    interval: Ns = 0
    free_at: Ns = 0


class Announcer:
    """Decides about announcements for all instances of a core."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._queues: dict[tuple[str, int], Queue] = {}
        self._groups: dict[str, tuple[str, GarpGroup]] = {}
        """interface -> its garp_group, with a name to call it by"""
        self._bases: dict[str, str] = {}
        """interface of our own making -> the one underneath"""

    def configure(self, plan: VrrpPlan) -> None:
        """What the Plan says about interfaces, as opposed to instances."""
        self._groups = {
            name: (f"garp_group {number}", group)
            for number, group in enumerate(plan.garp_groups)
            for name in group.interfaces
        }
        self._bases = {link.name: link.base for link in plan.made_links}

    def became_master(self, instance: Instance, now: Ns) -> None:
        plan, timers = instance.plan, self._world.timers
        self._announce(instance, plan.garp_master_repeat, now)
        if plan.garp_master_delay:
            timers.set(("garp", instance.index), now + plan.garp_master_delay)
        if plan.garp_master_refresh:
            timers.set(("refresh", instance.index), now + plan.garp_master_delay + plan.garp_master_refresh)
        if plan.garp_extra_if:
            timers.set(("extra", instance.index), now + plan.garp_extra_if)

    def heard_lower(self, instance: Instance, now: Ns) -> None:
        plan = instance.plan
        self._announce(instance, plan.garp_lower_prio_repeat, now)
        if plan.garp_lower_prio_repeat and plan.garp_lower_prio_delay:
            self._world.timers.set(("garp_lower", instance.index), now + plan.garp_lower_prio_delay)

    def reloaded(self, instance: Instance, now: Ns, *, added: bool) -> None:
        """A master goes on under a new Plan: the link is told again when there is reason to, and refreshed as the Plan
        now says."""
        plan, timers = instance.plan, self._world.timers
        self._forget(instance, keep=set(targets(plan)))
        if added or plan.garp_master_refresh:
            self._announce(instance, plan.garp_master_repeat, now)
        if added and plan.garp_master_delay:
            timers.set(("garp", instance.index), now + plan.garp_master_delay)
        timers.cancel(("refresh", instance.index))
        if plan.garp_master_refresh:
            timers.set(("refresh", instance.index), now + plan.garp_master_refresh)
        timers.cancel(("extra", instance.index))
        if plan.garp_extra_if:
            timers.set(("extra", instance.index), now + plan.garp_extra_if)

    def left(self, instance: Instance) -> None:
        for name in TIMERS:
            self._world.timers.cancel((name, instance.index))
        self._forget(instance, keep=set())

    def _forget(self, instance: Instance, keep: set[Target]) -> None:
        """What waits of this instance, except for `keep`, is not sent."""
        for queue in self._queues.values():
            for key in [key for key in queue.waiting if key[0] == instance.index and key[1] not in keep]:
                del queue.waiting[key]

    def fire(self, name: str, instance: Instance, now: Ns) -> None:
        """One of `TIMERS` has come due."""
        plan = instance.plan
        if name == "garp":
            self._announce(instance, plan.garp_master_repeat, now)
        elif name == "garp_lower":
            self._announce(instance, plan.garp_lower_prio_repeat, now)
        elif name == "extra":
            self._extra(instance, now)
        elif plan.garp_master_refresh:
            self._announce(instance, plan.garp_master_refresh_repeat, now)
            self._world.timers.set(("refresh", instance.index), now + plan.garp_master_refresh)

    def _extra(self, instance: Instance, now: Ns) -> None:
        """One message for each interface besides the one that adverts leave from: those of our own making, or all."""
        plan = instance.plan
        first: dict[str, Target] = {}
        for target in targets(plan):
            if target[0] != plan.interface and (plan.garp_extra_all or target[0] in self._bases):
                first.setdefault(target[0], target)
        if first:
            self._world.out.append(Announce(instance.index, tuple(first.values())))
        self._world.timers.set(("extra", instance.index), now + plan.garp_extra_if)

    def freshen(self, instance: Instance) -> None:
        """A unicast instance comes up: its peers' neighbour entry for its own address is made fresh."""
        plan = instance.plan
        source = self._world.source_of(plan)
        if source is not None and plan.interface and self._world.has_source(plan):
            self._world.out.append(Announce(instance.index, ((plan.interface, source),)))

    def pace(self, key: tuple[str, int], now: Ns) -> None:
        """The interval of a queue has passed: its next message leaves."""
        queue = self._queues.get(key)
        if queue is None or not queue.waiting:
            return
        (index, target), count = next(iter(queue.waiting.items()))
        del queue.waiting[index, target]
        if count > 1:
            queue.waiting[index, target] = count - 1
        self._world.out.append(Announce(index, (target,)))
        queue.free_at = now + queue.interval
        if queue.waiting:
            self._world.timers.set(("pace", key), queue.free_at)

    def _announce(self, instance: Instance, count: int, now: Ns) -> None:
        """`count` passes over the addresses of the instance, split by whether their family is paced."""
        if count <= 0:
            return
        every = targets(instance.plan)
        for interface, address in every if self._world.detail else ():
            what = "Unsolicited Neighbour Adverts" if ":" in address else "gratuitous ARPs"
            instance.log("info", f"Sending/queueing {what} on {interface} for {address}")
        at_once = tuple(t for t in every if not self._pacing(instance.plan, t)[1])
        if at_once:
            self._world.out.append(Announce(instance.index, at_once, count))
        self._queue(instance, [t for t in every if t not in at_once], count, now)

    def _queue(self, instance: Instance, paced: Sequence[Target], count: int, now: Ns) -> None:
        """All wait in order; a queue that is free sends its first."""
        keys = []
        for target in paced:
            name, interval = self._pacing(instance.plan, target)
            keys.append((name, family(target)))
            queue = self._queues.setdefault(keys[-1], Queue())
            queue.interval = interval
            entry = (instance.index, target)
            queue.waiting[entry] = max(queue.waiting.get(entry, 0), count)
        for key in dict.fromkeys(keys):
            if ("pace", key) in self._world.timers:
                continue
            if (free_at := self._queues[key].free_at) > now:
                self._world.timers.set(("pace", key), free_at)
            else:
                self.pace(key, now)

    def _pacing(self, plan: VrrpInstance, target: Target) -> tuple[str, Ns]:
        """The queue that a message belongs to, and the interval between messages of its family there; 0: as fast as
        they come. Interfaces of our own making share the queue of the one underneath."""
        base = self._bases.get(target[0], target[0])
        if base in self._groups:
            name, group = self._groups[base]
            return name, group.garp_interval if family(target) == 4 else group.gna_interval
        return base, plan.garp_interval if family(target) == 4 else plan.gna_interval


def targets(plan: VrrpInstance) -> list[Target]:
    """Addresses in the order they are announced: virtual_ipaddress, then the excluded ones."""
    return [(a.dev, a.address) for a in plan.addresses + plan.excluded_addresses]


def family(target: Target) -> int:
    return 6 if ":" in target[1] else 4
