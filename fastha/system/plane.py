"""Which plane: where the virtual servers of a Plan are programmed on this host.

    auto       IPVS; where the kernel has none, nftables, if every service can be expressed there
    ipvs       IPVS or nothing
    nftables   nftables; what it cannot do is refused service by service
    none       nowhere: checks and notifies only

`note` of a plane is one line for the log and for `fastha status`: what is different from plain IPVS.
"""

import errno
import os
from collections import Counter
from collections.abc import Iterable, Iterator

from fastha.lvs.quorum import service_keys
from fastha.lvs.wanted import wanted_service
from fastha.model.plan import CheckerPlan, PlaneChoice, RealServer, VirtualServer
from fastha.model.table import Destination, Entry, Operation, Plane, Refusal, ServiceKey, SyncDaemon, Table
from fastha.system.ipvs import IpvsPlane
from fastha.system.nftables import NftablesPlane
from fastha.wire.nftables import approximation, server_obstacle, service_obstacle


class NonePlane:
    """Programs nothing: the kernel's table is none of ours and reads as empty."""

    name = "none"
    note = "lvs_plane none: virtual servers are checked, not programmed"
    slow = False

    def read(self) -> Table:
        """Nothing."""
        return {}

    def read_one(self, at: ServiceKey) -> Entry | None:  # noqa: ARG002
        """Nothing."""
        return None

    def disturbed(self) -> bool:
        """Never."""
        return False

    def apply(self, operations: list[Operation]) -> list[Refusal]:  # noqa: ARG002
        """Nothing to do, so nothing is refused."""
        return []

    def read_timeouts(self) -> tuple[int, int, int]:
        """None."""
        return 0, 0, 0

    def set_timeouts(self, tcp: int, tcpfin: int, udp: int) -> None:
        """Nothing."""

    def read_daemons(self) -> list[SyncDaemon]:
        """None."""
        return []

    def start_daemon(self, daemon: SyncDaemon) -> None:
        """Nothing."""

    def stop_daemon(self, daemon: SyncDaemon) -> None:
        """Nothing."""

    def flush(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def open_plane(choice: PlaneChoice, plan: CheckerPlan) -> Plane:
    """The plane for the virtual servers of `plan`, in the network namespace of the caller.

    OSError when it cannot be had; its text says what was tried, and names the first service that is in the way of
    nftables.
    """
    if choice is PlaneChoice.NONE:
        return NonePlane()
    if choice is PlaneChoice.NFTABLES:
        return _nftables(plan, "lvs_plane nftables")
    try:
        return IpvsPlane()
    except OSError as error:
        if choice is PlaneChoice.IPVS:
            raise
        return _fallback(plan, error)


def _fallback(plan: CheckerPlan, no_ipvs: OSError) -> Plane:
    """nftables instead of IPVS, when it can do all that is asked for."""
    because = f"{_errno_name(no_ipvs)}: {no_ipvs.strerror}"
    obstacle = next(obstacles(plan.virtual_servers), None)
    if obstacle is not None:
        raise OSError(no_ipvs.errno, f"{because}; and nftables cannot stand in: {obstacle}")
    try:
        return _nftables(plan, f"no IPVS ({because})")
    except OSError as error:
        raise OSError(
            no_ipvs.errno, f"{because}; and nftables cannot stand in: {_errno_name(error)}: {error.strerror}"
        ) from None


def _nftables(plan: CheckerPlan, why: str) -> NftablesPlane:
    plane = NftablesPlane()
    parts = [f"{why}: virtual servers are done by NAT of nftables"]
    counts = Counter(filter(None, (approximation(wanted_service(server)) for server in plan.virtual_servers)))
    parts += [f"{what} ({_services(count)})" for what, count in counts.items()]
    impossible = list(obstacles(plan.virtual_servers))
    if impossible:
        more = f", and {len(impossible) - 1} more" if len(impossible) > 1 else ""
        parts.append(f"not possible: {impossible[0]}{more}")
    plane.note = "; ".join(filter(None, [*parts, plane.note]))
    return plane


def obstacles(servers: Iterable[VirtualServer]) -> Iterator[str]:
    """Why nftables cannot do some of `servers`: a line for each of them, naming it."""
    for virtual_server in servers:
        wanted = ((at, wanted_service(virtual_server, at.family)) for at in service_keys(virtual_server))
        why = next(filter(None, (service_obstacle(at, service) for at, service in wanted)), "")
        if not why:
            real_servers = [*virtual_server.real_servers]
            if virtual_server.sorry_server is not None:
                real_servers.append(virtual_server.sorry_server)
            why = next(filter(None, map(_server_obstacle, real_servers)), "")
        if why:
            yield f"{virtual_server.name}: {why}"


def _server_obstacle(server: RealServer) -> str:
    destination = Destination(method=server.method, uthreshold=server.uthreshold, lthreshold=server.lthreshold)
    return server_obstacle(destination)


def _services(count: int) -> str:
    return "1 service" if count == 1 else f"{count} services"


def _errno_name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, os.strerror(error.errno or 0))
