"""The table the kernel should have, as it follows from the state of the pools.

    server               alive, no sorry server in use: its weight; else absent
    inhibit_on_failure   always there, with weight 0 instead of absent
    sorry server         while in use, weight 1; with inhibit always there, weight 0 while not in use

A sorry server that is also one of the real servers appears once; while in use it is the sorry server that counts.
"""

from collections.abc import Iterable
from functools import lru_cache

from fastha.lvs.quorum import Pool, Server, clamp_weight
from fastha.model.plan import Method, RealServer, VirtualServer
from fastha.model.table import Destination, DestinationKey, Entry, Service, Table

SORRY_WEIGHT = 1


@lru_cache(maxsize=8192)
def _destination(weight: int, method: Method, uthreshold: int, lthreshold: int) -> Destination:
    """Few different values are shared by very many servers."""
    return Destination(weight=weight, method=method, uthreshold=uthreshold, lthreshold=lthreshold)


def _with_weight(plan: RealServer, weight: int) -> Destination:
    return _destination(weight, plan.method, plan.uthreshold, plan.lthreshold)


def wanted_service(plan: VirtualServer) -> Service:
    """The service's own attributes."""
    return Service(
        scheduler=plan.scheduler,
        flags=plan.flags,
        timeout=plan.persistence_timeout,
        netmask=plan.persistence_granularity,
        engine=plan.persistence_engine,
    )


def wanted_server(pool: Pool, server: Server) -> Destination | None:
    """What the kernel should have for a real server, leaving aside that the sorry server may be the same one."""
    serving = server.alive and not pool.sorry_in_use
    if not serving and not server.plan.inhibit_on_failure:
        return None
    return _with_weight(server.plan, clamp_weight(server.effective_weight) if serving else 0)


def wanted_destination(pool: Pool, key: DestinationKey) -> Destination | None:
    """What the kernel should have under this key; None: nothing."""
    sorry = pool.plan.sorry_server
    if sorry is not None and key == pool.sorry_key and pool.sorry_in_use:
        return _with_weight(sorry, SORRY_WEIGHT)
    server = pool.servers.get(key)
    if server is not None:
        return wanted_server(pool, server)
    if sorry is not None and key == pool.sorry_key and pool.plan.sorry_server_inhibit:
        return _with_weight(sorry, 0)
    return None


def wanted_entry(pool: Pool) -> Entry:
    """The whole service."""
    destinations: dict[DestinationKey, Destination] = {}
    for key, server in pool.servers.items():
        destination = wanted_server(pool, server)
        if destination is not None:
            destinations[key] = destination
    if pool.sorry_key is not None:
        destination = wanted_destination(pool, pool.sorry_key)
        if destination is not None:
            destinations[pool.sorry_key] = destination
    return Entry(wanted_service(pool.plan), destinations)


def wanted_table(pools: Iterable[Pool]) -> Table:
    """Everything we want, in the order of the file."""
    return {pool.key: wanted_entry(pool) for pool in pools}
