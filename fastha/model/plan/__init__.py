"""The Plan: the validated configuration, as immutable values.

`config` makes it once, in the supervisor; each child gets its own part (`Plan.vrrp`, `Plan.checker`, `Plan.runner`)
as JSON in a sealed memfd (`model.codec`). Everything is resolved: defaults filled in, inheritance (checker <- real
server <- virtual server) done, references checked. Field names are keepalived's words; durations are nanoseconds.
One module for each process that reads it; all names are to be had from here.
"""

from dataclasses import dataclass

from fastha.model.plan.checkers import (
    EXTRA,
    Checkers,
    CheckerTiming,
    ClientTls,
    Connection,
    DnsCheck,
    FileCheck,
    HttpCheck,
    MiscCheck,
    PingCheck,
    Service,
    ServiceCheck,
    SmtpCheck,
    TcpCheck,
    UdpCheck,
    Url,
)
from fastha.model.plan.common import Command, ProcessSettings
from fastha.model.plan.probing import UNJUDGED, Proxy, Regex, ServerTls, StartTls, Step
from fastha.model.plan.runner import Fifo, Mail, MailTls, Notifies, RunnerPlan, TrackFile, TrackProcess, TrackScript
from fastha.model.plan.services import (
    CheckerPlan,
    Drift,
    FlushOnStop,
    Forwarding,
    MarkedGroups,
    Method,
    PlaneChoice,
    RealServer,
    ServiceEntry,
    SyncSettings,
    TunnelType,
    VirtualServer,
)
from fastha.model.plan.vrrp import (
    AuthHmac,
    AuthType,
    FirewallSettings,
    GarpGroup,
    HmacMode,
    MadeLink,
    Recording,
    SyncGroup,
    Track,
    UnicastChecksum,
    UnicastPeer,
    VirtualAddress,
    VrrpInstance,
    VrrpPlan,
)
from fastha.model.units import MS, Ns, S

__all__ = [
    "EXTRA",
    "UNJUDGED",
    "AuthHmac",
    "AuthType",
    "CheckerPlan",
    "CheckerTiming",
    "Checkers",
    "ClientTls",
    "Command",
    "Connection",
    "DnsCheck",
    "Drift",
    "Fifo",
    "FileCheck",
    "FirewallSettings",
    "FlushOnStop",
    "Forwarding",
    "GarpGroup",
    "HmacMode",
    "HttpCheck",
    "MadeLink",
    "Mail",
    "MailTls",
    "MarkedGroups",
    "Method",
    "MiscCheck",
    "Notifies",
    "PingCheck",
    "Plan",
    "PlaneChoice",
    "ProcessSettings",
    "Proxy",
    "RealServer",
    "Recording",
    "Regex",
    "RunnerPlan",
    "ServerTls",
    "Service",
    "ServiceCheck",
    "ServiceEntry",
    "SmtpCheck",
    "StartTls",
    "Step",
    "SupervisorPlan",
    "SyncGroup",
    "SyncSettings",
    "TcpCheck",
    "Track",
    "TrackFile",
    "TrackProcess",
    "TrackScript",
    "TunnelType",
    "UdpCheck",
    "UnicastChecksum",
    "UnicastPeer",
    "Url",
    "VirtualAddress",
    "VirtualServer",
    "VrrpInstance",
    "VrrpPlan",
]


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
    config_save_dir: str | None = None
    """Where configurations and states before and after reloads are kept; absolute."""
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
