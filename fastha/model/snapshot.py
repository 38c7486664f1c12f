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
    """Upper bounds of the bins."""
    counts: tuple[int, ...] = ()
    """How often, per bin, and above the last bound."""
    total: int = 0
    """Sum of all the durations counted, in nanoseconds."""
    maximum: Ns = 0
    """The longest there was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityTerm:
    """One part of a priority: the configured value, or a tracker's contribution right now."""

    source: str
    """`configured`, `script chk_haproxy`, `interface eth1`, ..."""
    value: int
    """What it adds to the priority."""
    failed: bool = False
    """Weight 0 and failed: a reason for FAULT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSnapshot:
    name: str
    """As in the configuration."""
    interface: str
    """Where adverts go."""
    virtual_router_id: int
    """1 to 255."""
    family: int
    """4 or 6."""
    version: int
    """Of VRRP: 2 or 3."""
    state: str
    """INIT, BACKUP, MASTER, FAULT."""
    wanted: str
    """The state the configuration begins with."""
    since_wall: float
    """Time of the last transition, seconds since the epoch."""
    reason: str
    """Why it is in this state, in words."""
    priority: int
    """As configured."""
    effective_priority: int
    """What is advertised: with all terms, between 1 and 254 (255: the owner)."""
    priority_terms: tuple[PriorityTerm, ...] = ()
    """What the priority is made of."""
    master_address: Address | None = None
    """Who sent the last accepted advert, or itself; null: nobody yet."""
    master_priority: int = 0
    """The priority of that."""
    adver_int: Ns = 0
    """Between two adverts of its own."""
    master_adver_int: Ns = 0
    """Between two adverts of the master, as learned."""
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
    """As in the configuration."""
    state: str
    """INIT, BACKUP, MASTER, FAULT."""
    members: tuple[str, ...]
    """Names of instances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSnapshot:
    """An interface of the network namespace, as the kernel has it."""

    name: str
    """Of the interface."""
    index: int
    """The kernel's number of it."""
    up: bool
    """Administratively up and with a carrier."""
    mtu: int
    """Octets."""
    mac: str
    """`00:00:5e:00:01:33`; empty: it has none."""
    addresses: tuple[Address, ...] = ()
    """Without prefix lengths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VrrpSnapshot:
    instances: tuple[InstanceSnapshot, ...] = ()
    """In the order of the configuration."""
    sync_groups: tuple[GroupSnapshot, ...] = ()
    """In the order of the configuration."""
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
    """What it connects to or runs."""
    up: bool
    """Its verdict."""
    has_run: bool
    """Whether there was a result at all."""
    result: str
    """The last result in words: `connected`, `connection refused`, `status 503 not in 200-299`, `exit 1`."""
    since_wall: float
    """When the verdict last changed."""
    last_wall: float
    """When it last finished; 0: never."""
    retries_left: int
    """Failures that are still forgiven."""
    lateness: Ns
    """How late its last start was."""
    successes_left: int = 0
    """Successes in a row that it still takes to come up; 0 while it is up."""
    reason: str = ""
    """The result that took it down, in words; empty: it is up, or as it began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealServerSnapshot:
    address: Address
    """Of the server."""
    port: int
    """0: that of the connection."""
    alive: bool
    """No check holds it out."""
    weight: int
    """As configured."""
    effective_weight: int
    """What its checks have made of it."""
    programmed: bool
    """The kernel has it."""
    backup: bool = False
    """It serves only when the others have no quorum."""
    held: bool = False
    """It fell too often and stays out for a time (flap_damping)."""
    unproven: bool = False
    """A check of it cannot be run, and alpha keeps it down until another check finds it well."""
    ramp: int = 100
    """Percent of its weight that it has so far (slow_start)."""
    kernel_weight: int | None
    """What the kernel really has; None: not there."""
    snmp_name: str = ""
    """snmp_server_name of the configuration."""
    active: int = 0
    """Connections the kernel counts as active."""
    inactive: int = 0
    """Connections the kernel counts as ended or ending."""
    checkers: tuple[CheckSnapshot, ...] = ()
    """In the order of the configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualServerSnapshot:
    name: str
    """`[address]:protocol:port`, `FWM n` or the name of a group."""
    scheduler: str
    """`rr`, `wrr`, ..."""
    quorum: int
    """Weight that must be alive."""
    hysteresis: int
    """How much more it takes to come back, less to go."""
    quorum_up: bool
    """Whether it has its quorum."""
    weight_alive: int
    """Sum of the weights of servers that are alive."""
    programmed: bool
    """The kernel has it."""
    services: tuple[str, ...] = ()
    """The kernel's services of a group; empty for a virtual server that is one service itself."""
    snmp_name: str = ""
    """snmp_server_name of the configuration."""
    sorry_server: str | None = None
    """null: there is none."""
    sorry_in_use: bool = False
    """It serves."""
    backup_in_use: bool = False
    """The others have no quorum, and servers marked as backup serve."""
    panics: bool = False
    """Fewer servers are alive than panic_threshold, so all of them serve."""
    draining: tuple[str, ...] = ()
    """Servers that were removed and keep their connections for a time (drain_time)."""
    real_servers: tuple[RealServerSnapshot, ...] = ()
    """In the order of the configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckerSnapshot:
    plane: str
    """ipvs, nftables or none."""
    plane_note: str = ""
    """What the plane cannot do here."""
    virtual_servers: tuple[VirtualServerSnapshot, ...] = ()
    """In the order of the configuration."""
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
    overdue: Histogram = Histogram()
    """Checks that nobody had started for two intervals when the watchdog looked: for how long. No counts: none ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptSnapshot:
    name: str
    """As in the configuration."""
    state: str
    """up, down or unknown."""
    result: str
    """How it last ended, in words."""
    last_wall: float
    """When it last ended; 0: never."""
    running: bool
    """Right now."""
    lateness: Ns
    """How late its last start was."""
    against: int = 0
    """Results in a row that contradict the state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedProcessSnapshot:
    """A vrrp_track_process."""

    name: str
    """As in the configuration."""
    count: int
    """Processes there are."""
    up: bool
    """It has its quorum."""
    fork_pending: bool = False
    """Enough processes, but fork_delay is not over."""
    terminate_pending: bool = False
    """Too few (or too many), but terminate_delay is not over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSnapshot:
    scripts: tuple[ScriptSnapshot, ...] = ()
    """Those of vrrp_script."""
    files: dict[str, int] = field(default_factory=dict)
    """Tracked file -> the number in it."""
    processes: tuple[TrackedProcessSnapshot, ...] = ()
    """Those of vrrp_track_process."""
    counters: dict[str, int] = field(default_factory=dict)
    """started, running, notify_lost, fifo_lost, mail_queued, ...; of checks by kind: misc_started, redis_failed, ..."""
    script_lateness: Histogram = Histogram()
    """How late scripts of checks and trackers were started: the place they waited for is part of it."""
    service_lateness: Histogram = Histogram()
    """The same for dialogues with services (GRPC_CHECK, MYSQL_CHECK, ...)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSnapshot:
    name: str
    """vrrp, checker or runner."""
    pid: int | None
    """null: it does not run."""
    state: str
    """running, starting, waiting (back-off), releasing (what a dead one left in the kernel), stopped, not needed."""
    since_wall: float
    """Since when it is in that state."""
    restarts: int
    """How often it was started again."""
    last_exit: str
    """How the one before ended: `` (never), `killed by SIGKILL`, `exit 1`, `watchdog`, `refused (4)`."""
    down_since_wall: float = 0.0
    """Since when there has been no process that works, seconds since the epoch; 0: there is one, or there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    version: str
    """Of fastha."""
    wall: float
    """When this was made."""
    config: str
    """Path of the configuration file."""
    config_loaded_wall: float
    """When it was last read with success."""
    config_note: str
    """What became of the last reload, `` when nothing is wrong."""
    processes: tuple[ProcessSnapshot, ...] = ()
    """The children of the supervisor."""
    vrrp: VrrpSnapshot | None = None
    """null: that process does not run or does not answer."""
    checker: CheckerSnapshot | None = None
    """null: that process does not run or does not answer."""
    runner: RunnerSnapshot | None = None
    """null: that process does not run or does not answer."""
