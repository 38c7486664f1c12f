"""Interfaces: what the kernel says, and after which delay it counts (interface_up_down_delays)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastha.vrrp.world import Link

if TYPE_CHECKING:
    from collections.abc import Collection

    from fastha.model.units import Ns
    from fastha.vrrp.events import LinkChanged
    from fastha.vrrp.instance import Instance
    from fastha.vrrp.world import World


class Links:
    def __init__(self, world: World) -> None:
        self._world = world

    def changed(self, event: LinkChanged, delays: tuple[Ns, Ns], instances: Collection[Instance], now: Ns) -> bool:
        """Notes the link; True when something that trackers or instances look at changed now, False when nothing did
        or it is put off. `delays` are its (down, up) delays, `instances` those that live on it. An interface that is
        gone, or up for the first time, counts at once."""
        world = self._world
        before = world.links.get(event.name)
        up = event.exists and event.up
        link = Link(exists=event.exists, up=up, multicast=event.multicast, mtu=event.mtu)
        if link == before:
            return False
        world.links[event.name] = link
        if before is not None and before.up is not up:
            world.log("info", f"Netlink reports {event.name} {'up' if up else 'down'}")
        counted = world.seen.interfaces.get(event.name)
        key = ("link", event.name)
        if counted is up:
            world.timers.cancel(key)
            return True
        down_delay, up_delay = limited_delays(delays, instances)
        delay = up_delay if up else down_delay
        if counted is None or not event.exists or not delay:
            world.timers.cancel(key)
            world.seen.interfaces[event.name] = up
            return True
        if key not in world.timers:
            world.timers.set(key, now + delay)
        return False

    def settled(self, name: str) -> None:
        """The delay is over without a return: the link counts as it is."""
        self._world.seen.interfaces[name] = self._world.links[name].up


def limited_delays(delays: tuple[Ns, Ns], instances: Collection[Instance]) -> tuple[Ns, Ns]:
    """(down, up) delay of an interface. The down delay must be over before peers miss the adverts that are not sent
    meanwhile: at most (down_timer_adverts - 1) intervals less 1/256 of one, of any instance on it; the up delay too
    when it was configured equal."""
    down, up = delays
    limits = [
        (i.plan.down_timer_adverts - 1) * interval - interval // 256
        for i in instances
        for interval in (min(i.plan.adver_int, i.master_adver_int),)
    ]
    limit = max(0, min(limits, default=max(down, up)))
    return min(down, limit), min(up, limit) if up == down else up
