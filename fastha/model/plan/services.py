"""The checker process's part of the Plan: services, their servers, the plane that carries them."""

from dataclasses import dataclass
from enum import StrEnum

from fastha.model.net import Address, Family
from fastha.model.plan.checkers import Checkers, ClientTls
from fastha.model.plan.common import ProcessSettings
from fastha.model.units import Ns


class Forwarding(StrEnum):
    """lb_kind / lvs_method."""

    NAT = "NAT"
    DR = "DR"
    TUN = "TUN"


class TunnelType(StrEnum):
    IPIP = "ipip"
    GUE = "gue"
    GRE = "gre"


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A forwarding method with its tunnel options."""

    forwarding: Forwarding = Forwarding.NAT
    tunnel: TunnelType = TunnelType.IPIP
    tunnel_port: int = 0
    tunnel_flags: int = 0
    """0 nocsum, 1 csum, 2 remcsum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealServer:
    address: Address
    port: int
    weight: int = 1
    method: Method = Method()
    inhibit_on_failure: bool = False
    uthreshold: int = 0
    lthreshold: int = 0
    smtp_alert: bool = False
    snmp_name: str = ""
    backup: bool = False
    """It serves only while the others have no quorum."""
    checkers: Checkers = Checkers()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEntry:
    """One service of a virtual_server_group: `address` and `port`, or `fwmark`, is set."""

    family: Family = 4
    address: Address | None = None
    port: int = 0
    fwmark: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualServer:
    """One virtual_server. `address` and `port`, `fwmark`, or `group` with its `entries` is set."""

    name: str
    """As keepalived prints it in FIFO lines and mails: `[10.0.0.1]:tcp:80`, `FWM 5`, `[group]:0`."""
    family: Family = 4
    address: Address | None = None
    port: int = 0
    fwmark: int = 0
    group: str = ""
    """Name of its virtual_server_group: one pool for all of `entries`."""
    sequence: int = 0
    """Which one of the virtual servers of that group it is, from 0; with the name, its identity over a reload."""
    entries: tuple[ServiceEntry, ...] = ()
    mark: int = 0
    """nftables_ipvs: what comes for its `entries` is given this mark, and is one service of each family; 0: each entry
    is a service of its own. The director gives it, and keeps it over reloads."""
    protocol: str = "TCP"
    """TCP, UDP, SCTP; NONE for a mark."""
    scheduler: str = "wlc"
    flags: int = 0
    """Kernel service flags other than persistent: ops 0x4, sched flags 0x8, 0x10, 0x20."""
    persistence_timeout: int = 0
    """Seconds; 0 is not persistent."""
    persistence_granularity: int = 0xFFFFFFFF
    """IPv4: mask as a number, first octet highest; IPv6: prefix length."""
    persistence_engine: str | None = None
    quorum: int = 1
    hysteresis: int = 0
    alpha: bool = False
    omega: bool = False
    ha_suspend: bool = False
    smtp_alert: bool = False
    snmp_name: str = ""
    sorry_server: RealServer | None = None
    sorry_server_inhibit: bool = False
    drain_time: Ns = 0
    """A server that is removed by a reload stays at weight 0 for so long."""
    slow_start: Ns = 0
    """A server that comes up by its checks reaches its weight over this time."""
    flap_damping: tuple[int, Ns] | None = None
    """A server that fell so often within the time stays out until it has been up for that time."""
    panic_threshold: int = 0
    """Percent: with fewer servers alive, all of them serve; 0: never."""
    real_servers: tuple[RealServer, ...] = ()


class PlaneChoice(StrEnum):
    """global_defs lvs_plane: where virtual servers are programmed."""

    AUTO = "auto"
    IPVS = "ipvs"
    NFTABLES = "nftables"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSettings:
    """lvs_sync_daemon: IPVS connections are copied to the other director. 0 and None leave a value to the kernel."""

    interface: str
    instance: str = ""
    """The vrrp_instance it follows: the sending half while MASTER, else the receiving one; empty: both, always."""
    syncid: int = 0
    maxlen: int = 0
    """Bytes."""
    port: int = 0
    ttl: int = 0
    group: Address | None = None


class Drift(StrEnum):
    """lvs_drift: what is done when somebody else has changed our part of the kernel's table."""

    REPORT = "report"
    REPAIR = "repair"
    IGNORE = "ignore"


class FlushOnStop(StrEnum):
    """lvs_flush_on_stop: what is done instead of removing servers one by one."""

    NO = ""
    ALL = "all"
    """The whole table, foreign services too."""
    SERVICES = "VS"
    """Our services, with their servers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedGroups:
    """nftables_ipvs: groups of addresses come to IPVS by one mark each, which a table of nftables sets."""

    table: str = "keepalived_ipvs"
    """Of the families ip and ip6."""
    priority: int = -1
    """Of the chain in the input hook."""
    first: int = 1000
    """The first mark that is given."""
    counters: bool = False
    """Count packets by address, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckerPlan:
    """All that the checker process gets."""

    virtual_servers: tuple[VirtualServer, ...] = ()
    lvs_plane: PlaneChoice = PlaneChoice.AUTO
    lvs_flush: bool = False
    lvs_timeouts: tuple[int, int, int] = (0, 0, 0)
    """tcp, tcpfin, udp in seconds; 0 leaves the kernel's."""
    lvs_flush_on_stop: FlushOnStop = FlushOnStop.NO
    lvs_drift: Drift = Drift.REPAIR
    marked_groups: MarkedGroups | None = None
    sync_daemon: SyncSettings | None = None
    net_namespace_ipvs: str | None = None
    """Network namespace whose IPVS is programmed; empty: the initial one; None: that of the process."""
    close_rst: bool = False
    """End a probe with a reset, the fast way (`close rst`); default: as keepalived, with FIN."""
    share_checks: bool = False
    """Identical checkers of several virtual servers are one."""
    tls: ClientTls = ClientTls()
    rs_init_notifies: bool = False
    no_checker_emails: bool = False
    process: ProcessSettings = ProcessSettings()
