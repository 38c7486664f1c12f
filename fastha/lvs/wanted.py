"""The table the kernel should have, as it follows from the state of the pools.

    server               alive, no sorry server in use: its weight, or a part of it (slow_start); else absent
    inhibit_on_failure   always there, with weight 0 instead of absent
    sorry server         while in use, weight 1; with inhibit always there, weight 0 while not in use

    backup               a server that is there only while the others have no quorum; a sorry server comes after it
    panic_threshold      so few are alive that all count as alive
    drain_time           a removed server stays for that time, with weight 0

A sorry server that is also one of the real servers appears once; while in use it is the sorry server that counts.

A pool over a group is in several services of the kernel. A service may be wanted by several pools (of one group, or of
groups that overlap): it has the settings of the first one, and the servers of all; a server that is wanted twice is
there with the first weight above 0. So it goes when the last pool that wants it does.
"""

from collections.abc import Iterable
from functools import lru_cache

from fastha.lvs.quorum import Pool, Server, clamp_weight, kernel_key
from fastha.model.net import Family
from fastha.model.plan import Method, RealServer, VirtualServer
from fastha.model.table import Destination, DestinationKey, Entry, Service, ServiceKey, Table

SORRY_WEIGHT = 1
_WHOLE_ADDRESS: dict[Family, int] = {4: 0xFFFFFFFF, 6: 128}

Services = dict[ServiceKey, tuple[Pool, ...]]
"""The kernel's services, in the order of the file, and whose they are."""


def services_of(pools: Iterable[Pool]) -> Services:
    """All services that the pools stand for."""
    services: Services = {}
    for pool in pools:
        for at in pool.services:
            services[at] = (*services.get(at, ()), pool)
    return services


@lru_cache(maxsize=8192)
def _destination(weight: int, method: Method, uthreshold: int, lthreshold: int) -> Destination:
    """Few different values are shared by very many servers."""
    return Destination(weight=weight, method=method, uthreshold=uthreshold, lthreshold=lthreshold)


def _with_weight(plan: RealServer, weight: int) -> Destination:
    return _destination(weight, plan.method, plan.uthreshold, plan.lthreshold)


def wanted_service(plan: VirtualServer, family: Family | None = None) -> Service:
    """The service's own attributes; `family` is that of an entry of a group with both."""
    other = family is not None and family != plan.family
    return Service(
        scheduler=plan.scheduler,
        flags=plan.flags,
        timeout=plan.persistence_timeout,
        netmask=_WHOLE_ADDRESS[family] if other and family is not None else plan.persistence_granularity,
        engine=plan.persistence_engine,
    )


def wanted_server(pool: Pool, server: Server) -> Destination | None:
    """What the kernel should have for a real server, leaving aside that the sorry server may be the same one."""
    if server.plan.backup:
        serving = server.alive and pool.backup_in_use
    else:
        serving = (server.alive or pool.panics) and not pool.sorry_in_use
    if not serving and not server.plan.inhibit_on_failure:
        return None
    weight = clamp_weight(server.effective_weight) if serving else 0
    if weight and server.ramp < 100:
        weight = max(1, weight * server.ramp // 100)
    return _with_weight(server.plan, weight)


def _rather(one: Destination | None, other: Destination | None) -> Destination | None:
    """Of two that want the same key, the one that serves; else the first one."""
    if one is None or (one.weight == 0 and other is not None and other.weight > 0):
        return other
    return one


def _wanted_of(pool: Pool, at: ServiceKey, key: DestinationKey) -> Destination | None:
    """What one pool wants under this key."""
    sorry = pool.plan.sorry_server
    is_sorry = sorry is not None and kernel_key(at, sorry) == key
    if sorry is not None and is_sorry and pool.sorry_in_use:
        return _with_weight(sorry, SORRY_WEIGHT)
    servers = pool.servers_at(at, key)
    if servers:
        found: Destination | None = None
        for server in servers:
            found = _rather(found, wanted_server(pool, server))
        return found
    if sorry is not None and is_sorry and pool.plan.sorry_server_inhibit:
        return _with_weight(sorry, 0)
    leaving = (each.plan for each in pool.draining.values() if kernel_key(at, each.plan) == key)
    return next((_with_weight(plan, 0) for plan in leaving), None)


def wanted_destination(pools: Iterable[Pool], at: ServiceKey, key: DestinationKey) -> Destination | None:
    """What the service of these pools should have under this key; None: nothing."""
    found: Destination | None = None
    for pool in pools:
        found = _rather(found, _wanted_of(pool, at, key))
    return found


def _add(destinations: dict[DestinationKey, Destination], key: DestinationKey, wanted: Destination | None) -> None:
    better = _rather(destinations.get(key), wanted)
    if better is not None:
        destinations[key] = better


def _servers_of(pool: Pool, at: ServiceKey) -> dict[DestinationKey, Destination]:
    destinations: dict[DestinationKey, Destination] = {}
    if pool.plan.group:
        for server in pool:
            _add(destinations, kernel_key(at, server.plan), wanted_server(pool, server))
    else:
        for key, server in pool.servers.items():
            destination = wanted_server(pool, server)
            if destination is not None:
                destinations[key] = destination
    for each in pool.draining.values():
        _add(destinations, kernel_key(at, each.plan), _with_weight(each.plan, 0))
    if pool.plan.sorry_server is not None:
        key = kernel_key(at, pool.plan.sorry_server)
        sorry = _wanted_of(pool, at, key)
        if sorry is not None:
            destinations[key] = sorry
    return destinations


def wanted_entry(pools: tuple[Pool, ...], at: ServiceKey) -> Entry:
    """The whole service."""
    destinations = _servers_of(pools[0], at)
    for pool in pools[1:]:
        for key, destination in _servers_of(pool, at).items():
            _add(destinations, key, destination)
    return Entry(wanted_service(pools[0].plan, at.family), destinations)


def wanted_table(services: Services) -> Table:
    """Everything we want, in the order of the file."""
    return {at: wanted_entry(pools, at) for at, pools in services.items()}
