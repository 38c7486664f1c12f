"""The Snapshot: running state as one immutable value; every rendering is a pure function of it.

Each process describes its own part; the supervisor joins them. What cannot be had (a child that is down) is None,
never made up.
"""

from dataclasses import dataclass, field

from fastha.model.net import Address
from fastha.model.units import Ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Counts by upper bound (inclusive, nanoseconds); the last count is everything above."""

    bounds: tuple[Ns, ...] = ()
    counts: tuple[int, ...] = ()
    total: int = 0
    maximum: Ns = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityTerm:
    """One part of a priority: the configured value, or a tracker's contribution right now."""

    source: str
    """`configured`, `script chk_haproxy`, `interface eth1`, ..."""
    value: int
    failed: bool = False
    """Weight 0 and failed: a reason for FAULT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSnapshot:
    name: str
    interface: str
    virtual_router_id: int
    family: int
    version: int
    state: str
    """INIT, BACKUP, MASTER, FAULT."""
    wanted: str
    since_wall: float
    """Time of the last transition, seconds since the epoch."""
    reason: str
    """Why it is in this state, in words."""
    priority: int
    effective_priority: int
    priority_terms: tuple[PriorityTerm, ...] = ()
    master_address: Address | None = None
    master_priority: int = 0
    adver_int: Ns = 0
    master_adver_int: Ns = 0
    addresses: tuple[str, ...] = ()
    """Configured, as `address/prefix dev NAME`."""
    present: tuple[str, ...] = ()
    """Those of `addresses` that the kernel has right now."""
    source: Address | None = None
    """What adverts are sent from."""
    total_priority: int = 0
    """Configured priority and all terms, unlimited."""
    faults: tuple[str, ...] = ()
    """Why it cannot be anything but FAULT now."""
    pending: tuple[str, ...] = ()
    """Trackers without a first result that it waits for."""
    master_down: Ns = 0
    """How long a silent master is believed."""
    stats: dict[str, int] = field(default_factory=dict)
    """keepalived's names: advert_rcvd, advert_sent, become_master, release_master, packet_len_err, ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSnapshot:
    name: str
    state: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSnapshot:
    """An interface of the network namespace, as the kernel has it."""

    name: str
    index: int
    up: bool
    mtu: int
    mac: str
    """`00:00:5e:00:01:33`; empty: it has none."""
    addresses: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VrrpSnapshot:
    instances: tuple[InstanceSnapshot, ...] = ()
    sync_groups: tuple[GroupSnapshot, ...] = ()
    interfaces: dict[str, bool] = field(default_factory=dict)
    """Interface -> up, for those that matter."""
    links: tuple[LinkSnapshot, ...] = ()
    """All interfaces there are."""
    realtime: str = ""
    """`SCHED_RR 50, memory locked`, or why not."""
    engine: dict[str, int] = field(default_factory=dict)
    """Counters of the advert engine: sent, received, expected (handled in C), unknown_vrid, overflow, ..."""
    lateness: Histogram = Histogram()
    """How late adverts were sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSnapshot:
    kind: str
    """TCP_CHECK, HTTP_GET, MISC_CHECK."""
    target: str
    up: bool
    has_run: bool
    result: str
    """The last result in words: `connected`, `connection refused`, `status 503 not in 200-299`, `exit 1`."""
    since_wall: float
    last_wall: float
    """When it last finished; 0: never."""
    retries_left: int
    lateness: Ns
    """How late its last start was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealServerSnapshot:
    address: Address
    port: int
    alive: bool
    weight: int
    effective_weight: int
    programmed: bool
    """The kernel has it."""
    backup: bool = False
    held: bool = False
    """It fell too often and stays out for a time (flap_damping)."""
    ramp: int = 100
    """Percent of its weight that it has so far (slow_start)."""
    kernel_weight: int | None
    """What the kernel really has; None: not there."""
    snmp_name: str = ""
    active: int = 0
    inactive: int = 0
    checkers: tuple[CheckSnapshot, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualServerSnapshot:
    name: str
    scheduler: str
    quorum: int
    hysteresis: int
    quorum_up: bool
    weight_alive: int
    programmed: bool
    services: tuple[str, ...] = ()
    """The kernel's services of a group; empty for a virtual server that is one service itself."""
    snmp_name: str = ""
    sorry_server: str | None = None
    sorry_in_use: bool = False
    backup_in_use: bool = False
    """The others have no quorum, and servers marked as backup serve."""
    panics: bool = False
    """Fewer servers are alive than panic_threshold, so all of them serve."""
    draining: tuple[str, ...] = ()
    """Servers that were removed and keep their connections for a time (drain_time)."""
    real_servers: tuple[RealServerSnapshot, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckerSnapshot:
    plane: str
    """ipvs, nftables or none."""
    plane_note: str = ""
    virtual_servers: tuple[VirtualServerSnapshot, ...] = ()
    foreign_services: tuple[str, ...] = ()
    """Services in the kernel that are not ours; left alone."""
    drift: tuple[str, ...] = ()
    """What others have changed in our services and is left so (lvs_drift report)."""
    not_understood: tuple[str, ...] = ()
    """Why there is more in the kernel than this program has words for; left alone too."""
    host: dict[str, int] = field(default_factory=dict)
    """Settings of the host that matter to the plane, by their sysctl names."""
    warnings: tuple[str, ...] = ()
    """Which of them defeat the configuration, and how."""
    sync_daemon: tuple[str, ...] = ()
    """The halves of the connection synchronisation that run: `master`, `backup`."""
    refusals: tuple[str, ...] = ()
    """What the kernel refused and has not taken since."""
    counters: dict[str, int] = field(default_factory=dict)
    """Probe engine and plane: started, succeeded, failed, timed_out, local_errors, in_flight, plane_writes, ..."""
    lateness: Histogram = Histogram()
    """How late checks started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptSnapshot:
    name: str
    state: str
    """up, down or unknown."""
    result: str
    last_wall: float
    running: bool
    lateness: Ns
    against: int = 0
    """Results in a row that contradict the state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedProcessSnapshot:
    """A vrrp_track_process."""

    name: str
    count: int
    up: bool
    """It has its quorum."""
    fork_pending: bool = False
    """Enough processes, but fork_delay is not over."""
    terminate_pending: bool = False
    """Too few (or too many), but terminate_delay is not over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSnapshot:
    scripts: tuple[ScriptSnapshot, ...] = ()
    files: dict[str, int] = field(default_factory=dict)
    processes: tuple[TrackedProcessSnapshot, ...] = ()
    counters: dict[str, int] = field(default_factory=dict)
    """started, running, timed_out, notify_lost, fifo_lost, mail_queued, ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSnapshot:
    name: str
    pid: int | None
    state: str
    """running, starting, waiting (back-off), releasing (what a dead one left in the kernel), stopped, not needed."""
    since_wall: float
    restarts: int
    last_exit: str
    """How the one before ended: `` (never), `killed by SIGKILL`, `exit 1`, `watchdog`, `refused (4)`."""
    down_since_wall: float = 0.0
    """Since when there has been no process that works, seconds since the epoch; 0: there is one, or there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    version: str
    wall: float
    config: str
    config_loaded_wall: float
    config_note: str
    """What became of the last reload, `` when nothing is wrong."""
    processes: tuple[ProcessSnapshot, ...] = ()
    vrrp: VrrpSnapshot | None = None
    checker: CheckerSnapshot | None = None
    runner: RunnerSnapshot | None = None
