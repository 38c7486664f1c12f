"""The Plan: the validated configuration, as immutable values.

`config` makes it once, in the supervisor; each child gets its own part (`Plan.vrrp`, `Plan.checker`, `Plan.runner`)
as JSON in a sealed memfd (`model.codec`). Everything is resolved: defaults filled in, inheritance (checker <- real
server <- virtual server) done, references checked. Field names are keepalived's words; durations are nanoseconds.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from fastha.model.net import Address, Family
from fastha.model.routes import Route, Rule
from fastha.model.units import MS, Ns, S


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A script: what to run and as whom.

    `shell` is set for a text file without `#!`, and for commands that only a shell understands (`</dev/tcp/..`):
    they run as `/bin/sh -c` with each word quoted.
    """

    argv: tuple[str, ...]
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] | None = None
    shell: bool = False


# --------------------------------------------------------------------------------------------- VRRP


class AuthType(StrEnum):
    NONE = "none"
    PASS = "PASS"  # noqa: S105
    AH = "AH"


class HmacMode(StrEnum):
    """What auth_hmac does with signatures."""

    ENFORCE = "enforce"
    """Signs, and takes only what is signed."""
    PERMISSIVE = "permissive"
    """Signs, and takes what is not signed too."""
    RECEIVE_ONLY = "receive-only"
    """Does not sign; takes what is signed rightly, or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthHmac:
    """auth_hmac: signed adverts, for either version and family."""

    keys: dict[int, bytes] = field(repr=False)
    """id (1..255) -> 32..64 bytes."""
    active_key: int
    """The one that signs; it is in `keys`."""
    time_window: int
    """Seconds that clocks may be apart."""
    monotonic: bool = False
    """anti_replay monotonic: sequences only have to rise; clocks do not matter."""
    mode: HmacMode = HmacMode.ENFORCE


class UnicastChecksum(StrEnum):
    """old_unicast_checksum: the destination in the pseudo header of version 3 unicast over IPv4."""

    DETECT = "detect"
    """The peer's address, until a peer is heard that uses the multicast group."""
    OLD = "old"
    """The multicast group, as releases before 1.3.6 did."""
    NEVER_OLD = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualAddress:
    """One line of virtual_ipaddress, virtual_ipaddress_excluded or static_ipaddress."""

    address: Address
    prefixlen: int
    dev: str
    scope: int = 0
    broadcast: Address | None = None
    label: str | None = None
    peer: Address | None = None
    home: bool = False
    nodad: bool = True
    mngtmpaddr: bool = False
    noprefixroute: bool = False
    autojoin: bool = False
    no_track: bool = False
    preferred_lft: int | None = None
    """Seconds; None is forever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A reference to a tracked thing with its weight; 0 means FAULT on failure."""

    name: str
    weight: int = 0
    reverse: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UnicastPeer:
    address: Address
    min_ttl: int = 0
    max_ttl: int = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class VrrpInstance:
    name: str
    interface: str
    """Where adverts leave and arrive; empty: wherever routing says (unicast only)."""
    virtual_router_id: int
    base: str = ""
    """The interface underneath, when that is one of our own making."""
    vrf: str = ""
    """VRF that an instance without an interface is bound to."""
    family: Family = 4
    version: int = 2
    initial_master: bool = False
    """`state MASTER` was written (see vrrp-behaviour 2.5: it changes little)."""
    priority: int = 100
    adver_int: Ns = S
    down_timer_adverts: int = 3
    nopreempt: bool = False
    preempt_delay: Ns = 0
    timer_expired_backup: int | None = None
    """Priority of the router that has taken over when our own timer was late; None: not thought of."""
    auth_type: AuthType = AuthType.NONE
    auth_pass: bytes | None = None
    """8 bytes, zero-padded."""
    auth_hmac: AuthHmac | None = None
    source: Address | None = None
    """mcast_src_ip or unicast_src_ip; None: the interface's primary (IPv4) or link-local (IPv6) address."""
    track_src_ip: bool = False
    group: Address = Address("224.0.0.18")
    """Multicast destination; with unicast peers only the pseudo header of an old checksum has it."""
    unicast_peers: tuple[UnicastPeer, ...] = ()
    unicast_ttl: int | None = None
    """None: 255 over IPv4, the kernel's default over IPv6."""
    fault_no_peer: bool = False
    """unicast_fault_no_peer, and no peer is usable: FAULT for good."""
    old_unicast_checksum: UnicastChecksum = UnicastChecksum.DETECT
    check_unicast_src: bool = False
    addresses: tuple[VirtualAddress, ...] = ()
    excluded_addresses: tuple[VirtualAddress, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    track_interfaces: tuple[Track, ...] = ()
    track_scripts: tuple[Track, ...] = ()
    track_files: tuple[Track, ...] = ()
    track_processes: tuple[Track, ...] = ()
    dont_track_primary: bool = False
    garp_master_delay: Ns = 5 * S
    garp_master_repeat: int = 5
    garp_master_refresh: Ns = 0
    garp_master_refresh_repeat: int = 1
    garp_lower_prio_delay: Ns = 5 * S
    garp_lower_prio_repeat: int = 5
    garp_interval: Ns = 0
    gna_interval: Ns = 0
    garp_extra_if: Ns = 0
    """Period of announcements on its other interfaces; 0: none."""
    garp_extra_all: bool = False
    """On all of them, not only on those of our own making."""
    lower_prio_no_advert: bool = False
    higher_prio_send_advert: bool = False
    skip_check_adv_addr: bool = False
    strict_mode: bool = False
    accept: bool = True
    v3_checksum_as_v2: bool = False
    owner_ignore_adverts: bool = False
    notify_priority_changes: bool = False
    notify_deleted: bool = False
    """Removal by a reload is told as DELETED, not as FAULT."""

    @property
    def unicast(self) -> bool:
        return bool(self.unicast_peers)

    @property
    def source_interface(self) -> str:
        """Whose address adverts leave from when none is configured. An interface with a virtual MAC has no IPv4 address
        of its own, but a link-local IPv6 address."""
        return self.base if self.base and self.family == 4 else self.interface

    @property
    def owner(self) -> bool:
        """Priority 255: the address owner."""
        return self.priority == 255


@dataclass(frozen=True, slots=True, kw_only=True)
class GarpGroup:
    """garp_group: interfaces that share one queue of announcements."""

    interfaces: tuple[str, ...]
    garp_interval: Ns = 0
    gna_interval: Ns = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeLink:
    """An interface of our own making: a macvlan with a virtual MAC address (use_vmac), or an ipvlan."""

    name: str
    base: str
    """The interface underneath."""
    mac: str | None = None
    """Of a macvlan; None: an ipvlan, which has that of its base."""
    mode: int = 0
    """ipvlan: 0 bridge, 1 private, 2 vepa. A macvlan is always private."""
    group: int | None = None
    """Link group; None: that of the base."""
    family: Family = 4
    """Of the instance it was made for: what its sysctls are set to."""
    ipv6: bool = False
    """It has IPv6 addresses (family 4); without, IPv6 is off there."""
    address: Address | None = None
    """Its own address: what adverts of an ipvlan leave from."""
    prefixlen: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallSettings:
    """nftables and its kin: how the rules of no_accept and of virtual MAC addresses are made."""

    table: str = "keepalived"
    priority: int = -1
    counters: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncGroup:
    name: str
    members: tuple[str, ...]
    track_interfaces: tuple[Track, ...] = ()
    track_scripts: tuple[Track, ...] = ()
    track_files: tuple[Track, ...] = ()
    track_processes: tuple[Track, ...] = ()
    sync_group_tracking_weight: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """Scheduling words of one child (vrrp_rt_priority, checker_no_swap, ...); None: fastha's own default."""

    process_name: str | None = None
    priority: int = 0
    rt_priority: int | None = None
    no_swap: bool = False
    cpu_affinity: tuple[int, ...] = ()
    rlimit_rttime: int | None = None
    """Microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VrrpPlan:
    """All that the vrrp process gets."""

    instances: tuple[VrrpInstance, ...] = ()
    sync_groups: tuple[SyncGroup, ...] = ()
    static_addresses: tuple[VirtualAddress, ...] = ()
    static_routes: tuple[Route, ...] = ()
    static_rules: tuple[Rule, ...] = ()
    garp_groups: tuple[GarpGroup, ...] = ()
    made_links: tuple[MadeLink, ...] = ()
    promote_secondaries: tuple[str, ...] = ()
    """Interfaces that have it while running."""
    disable_local_igmp: bool = False
    firewall: FirewallSettings = FirewallSettings()
    linkbeat: dict[str, str] = field(default_factory=dict)
    """Interfaces whose link is polled -> MII, ETHTOOL, IOCTL; empty: whichever works."""
    interface_delays: dict[str, tuple[Ns, Ns]] = field(default_factory=dict)
    """interface -> (down delay, up delay)."""
    startup_delay: Ns = 0
    dynamic_interfaces: bool = False
    log_unknown_vrids: bool = False
    fifo_write_states_on_reload: bool = False
    """After a reload the FIFOs get the state of unchanged instances and groups too."""
    log_detail: bool = False
    process: ProcessSettings = ProcessSettings()


# ---------------------------------------------------------------------------------------- checkers


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
class Connection:
    """Where a network check goes; `address` and `port` are resolved (connect_ip, connect_port or the real server's)."""

    address: Address
    port: int
    bindto: Address | None = None
    bind_port: int = 0
    bind_if: str | None = None
    fwmark: int = 0
    connect_timeout: Ns = 5 * S


@dataclass(frozen=True, slots=True, kw_only=True)
class Regex:
    """A pattern that a body must contain, or must not; PCRE2's language."""

    pattern: str
    options: tuple[str, ...] = ()
    """PCRE2 options by keepalived's names: `caseless`, `dotall`, ..."""
    no_match: bool = False
    min_offset: int = 0
    """Octets of the body: where the search begins."""
    max_offset: int | None = None
    """Where a match must begin at the latest; None: anywhere."""
    stack: tuple[int, int] | None = None
    """Octets: what the matcher's stack has at first and at most; None: as the library has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    path: str
    digest: bytes | None = None
    """16 bytes of MD5."""
    status_codes: tuple[tuple[int, int], ...] = ((200, 299),)
    """Inclusive ranges."""
    virtualhost: str | None = None
    """Resolved: url, checker, real server or virtual server; None: target address and port."""
    regex: Regex | None = None
    sni: str | None = None
    """Resolved (sni_name, else the virtualhost of url, checker or virtual server); None: no name is sent."""
    tls_compliant: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckerTiming:
    """What every checker has, resolved through the inheritance."""

    delay_loop: Ns = 60 * S
    retry: int = 1
    delay_before_retry: Ns = S
    warmup: Ns = 60 * S
    alpha: bool = False
    log_all_failures: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpCheck(CheckerTiming):
    connection: Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCheck(CheckerTiming):
    """HTTP_GET, and SSL_GET (`tls`)."""

    connection: Connection
    urls: tuple[Url, ...]
    tls: bool = False
    http_protocol: str = "1.0"
    """1.0, 1.0C or 1.1."""
    fast_recovery: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UdpCheck(CheckerTiming):
    connection: Connection
    payload: bytes | None = None
    """None: keepalived's own."""
    require_reply: bool = False
    reply: bytes = b""
    """How an answer must begin, in the bits of `reply_mask`; empty: any answer will do."""
    reply_mask: bytes = b""
    min_reply_length: int = 0
    max_reply_length: int = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsCheck(CheckerTiming):
    connection: Connection
    type: str = "SOA"
    name: str = "."


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpCheck(CheckerTiming):
    connection: Connection
    helo_name: str = "smtpchecker.keepalived.org"


@dataclass(frozen=True, slots=True, kw_only=True)
class PingCheck(CheckerTiming):
    connection: Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck(CheckerTiming):
    """The number in a tracked file: its product with `weight` is added to the server's weight; weight 0: a number
    other than 0 is a failure (`reverse`: 0 is)."""

    track_file: str
    weight: int = 1
    reverse: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MiscCheck(CheckerTiming):
    command: Command
    timeout: Ns
    dynamic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkers:
    """The checkers of one real server, by kind (so that each tuple has one type)."""

    tcp: tuple[TcpCheck, ...] = ()
    http: tuple[HttpCheck, ...] = ()
    misc: tuple[MiscCheck, ...] = ()
    udp: tuple[UdpCheck, ...] = ()
    dns: tuple[DnsCheck, ...] = ()
    smtp: tuple[SmtpCheck, ...] = ()
    ping: tuple[PingCheck, ...] = ()
    file: tuple[FileCheck, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """The SSL block: what SSL_GET checks present of their own. Paths."""

    certificate: str | None = None
    key: str | None = None
    password: str | None = None
    ca: str | None = None
    """Loaded, so that a bad file is reported; servers are not verified."""


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
class CheckerPlan:
    """All that the checker process gets."""

    virtual_servers: tuple[VirtualServer, ...] = ()
    lvs_plane: PlaneChoice = PlaneChoice.AUTO
    lvs_flush: bool = False
    lvs_timeouts: tuple[int, int, int] = (0, 0, 0)
    """tcp, tcpfin, udp in seconds; 0 leaves the kernel's."""
    lvs_flush_on_stop: FlushOnStop = FlushOnStop.NO
    lvs_drift: Drift = Drift.REPAIR
    sync_daemon: SyncSettings | None = None
    net_namespace_ipvs: str | None = None
    """Network namespace whose IPVS is programmed; empty: the initial one; None: that of the process."""
    close_rst: bool = False
    """End a probe with a reset, the fast way (`close rst`); default: as keepalived, with FIN."""
    tls: ClientTls = ClientTls()
    rs_init_notifies: bool = False
    no_checker_emails: bool = False
    process: ProcessSettings = ProcessSettings()


# ------------------------------------------------------------------------------------------ runner


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackScript:
    """vrrp_script."""

    name: str
    command: Command
    interval: Ns = S
    timeout: Ns = S
    weight: int = 0
    reverse: bool = False
    rise: int = 1
    fall: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackFile:
    """track_file / vrrp_track_file: an integer in a file."""

    name: str
    path: str
    weight: int = 1
    reverse: bool = False
    init_value: int | None = None
    init_overwrite: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackProcess:
    """vrrp_track_process."""

    name: str
    process: tuple[str, ...]
    param_match: str = "none"
    weight: int = 0
    reverse: bool = False
    quorum: int = 1
    quorum_max: int | None = None
    fork_delay: Ns = 0
    terminate_delay: Ns = 0
    full_command: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifies:
    """What is told about one object. `kind` is INSTANCE, GROUP, VS or RS.

    `commands` maps an event to its script: MASTER, BACKUP, FAULT, STOP, DELETED, MASTER_RX_LOWER_PRI for instances
    and groups; QUORUM_UP, QUORUM_DOWN for VS; UP, DOWN for RS. `generic` is `notify`, with four more arguments.
    """

    kind: str
    name: str
    """RS: `<rs> <vs>`, both as keepalived prints them, separated by a blank."""
    commands: dict[str, Command] = field(default_factory=dict)
    generic: Command | None = None
    smtp_alert: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fifo:
    """notify_fifo, vrrp_notify_fifo or lvs_notify_fifo, with its script if any."""

    path: str
    kinds: tuple[str, ...]
    """Which objects' events it gets: INSTANCE and GROUP, VS and RS, or all four."""
    uid: int = 0
    gid: int = 0
    script: Command | None = None


class MailTls(StrEnum):
    """smtp_tls: how the mail server is spoken to."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """smtp_server and its kin; None in RunnerPlan when there is no server or no recipient."""

    server: str
    port: int = 25
    helo_name: str = "localhost"
    timeout: Ns = 30 * S
    sender: str = "keepalived@localhost"
    recipients: tuple[str, ...] = ()
    no_email_faults: bool = False
    tls: MailTls = MailTls.NONE
    ca_file: str | None = None
    """Certificates that the server's is judged by; None: the system's."""
    user: str | None = None
    password_file: str | None = None
    """Its first line is the password; read for each letter, so that it can be changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerPlan:
    """All that the runner gets."""

    router_id: str = ""
    track_scripts: tuple[TrackScript, ...] = ()
    track_files: tuple[TrackFile, ...] = ()
    track_processes: tuple[TrackProcess, ...] = ()
    notifies: tuple[Notifies, ...] = ()
    fifos: tuple[Fifo, ...] = ()
    mail: Mail | None = None
    script_limit: int = 64
    """`SupervisorPlan.script_limit`: the supervisor copies it."""


# ------------------------------------------------------------------------------------------- whole


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorPlan:
    """What the supervisor itself needs."""

    router_id: str = ""
    instance: str | None = None
    use_pid_dir: bool = False
    net_namespace: str | None = None
    child_wait_time: Ns = 5 * S
    startup_script: Command | None = None
    startup_script_timeout: Ns = 10 * S
    shutdown_script: Command | None = None
    shutdown_script_timeout: Ns = 10 * S
    umask: int = 0o177
    process_name: str | None = None
    reload_time_file: str | None = None
    reload_repeat: bool = False
    reload_file: str | None = None
    """Empty: `keepalived.reload` beside the pid file."""
    reload_check_config: str | None = None
    """Where the findings of a reload go."""
    state_dump_file: str | None = None
    data_use_instance: bool = False
    json_version: int = 1
    watchdog: Ns = 5 * S
    """A child that does not answer through its core loop for this long is restarted."""
    script_limit: int = 64
    """Scripts running at once in the runner, FIFO scripts apart."""
    control_timeout: Ns = 500 * MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    supervisor: SupervisorPlan = SupervisorPlan()
    vrrp: VrrpPlan = VrrpPlan()
    checker: CheckerPlan = CheckerPlan()
    runner: RunnerPlan = RunnerPlan()
