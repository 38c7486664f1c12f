"""Settings of the host that decide whether the load balancer can do what is configured, and what to say of them.

They are the host's and never written here; what defeats the configuration is told, in the log and in the status.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from fastha.lvs.quorum import service_keys
from fastha.model.plan import Forwarding, RealServer, VirtualServer

ONE_PACKET: Final = 0x4
FORWARD: Final = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}
NODEST: Final = "net.ipv4.vs.expire_nodest_conn"
QUIESCENT: Final = "net.ipv4.vs.expire_quiescent_template"
CONNTRACK_MAX: Final = "net.netfilter.nf_conntrack_max"
CONNTRACK_COUNT: Final = "net.netfilter.nf_conntrack_count"
SETTINGS: Final = (
    *FORWARD.values(),
    "net.ipv4.vs.conntrack",
    NODEST,
    QUIESCENT,
    "net.ipv4.vs.conn_reuse_mode",
    "net.ipv4.vs.sloppy_tcp",
    CONNTRACK_COUNT,
    CONNTRACK_MAX,
)
"""What is read: names of sysctl(8)."""
_NEARLY_FULL: Final = 0.9


def warnings(servers: Iterable[VirtualServer], settings: Mapping[str, int], plane: str) -> list[str]:
    """What is in the way. A setting that could not be read is not judged."""
    servers = list(servers)
    found = [*_forwarding(servers, settings)]
    if plane == "ipvs":
        found += _expiry(servers, settings)
    if plane == "nftables":
        count, most = settings.get(CONNTRACK_COUNT, 0), settings.get(CONNTRACK_MAX, 0)
        if most and count > _NEARLY_FULL * most:
            found.append(
                f"{CONNTRACK_MAX} is {most} and {count} are in use: every connection takes one, and when they have run "
                "out new ones are dropped"
            )
    return found


def _forwarding(servers: list[VirtualServer], settings: Mapping[str, int]) -> Iterable[str]:
    for family, name in FORWARD.items():
        if settings.get(name) != 0:
            continue
        for server in servers:
            translated = any(real.method.forwarding is Forwarding.NAT for real in _all_servers(server))
            if translated and any(at.family == family for at in service_keys(server)):
                yield f"{name} is 0: {server.name} does NAT, and the answers of its servers are not passed on"
                break


def _expiry(servers: list[VirtualServer], settings: Mapping[str, int]) -> Iterable[str]:
    if settings.get(QUIESCENT) == 0:
        for server in servers:
            if server.persistence_timeout and any(real.inhibit_on_failure for real in server.real_servers):
                yield (
                    f"{QUIESCENT} is 0: {server.name} is persistent and leaves failed servers in the table at weight 0 "
                    "(inhibit_on_failure), so their clients are still sent to them"
                )
                break
    if settings.get(NODEST) == 0:
        for server in servers:
            if server.protocol == "UDP" and not server.flags & ONE_PACKET:
                yield (
                    f"{NODEST} is 0: clients of {server.name} (UDP) that go on sending from one port lose what they "
                    "send to a server that was removed"
                )
                break


def _all_servers(server: VirtualServer) -> tuple[RealServer, ...]:
    sorry = server.sorry_server
    return (*server.real_servers, *((sorry,) if sorry is not None else ()))
