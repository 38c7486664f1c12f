"""The runner's part of the Plan: scripts, files and processes to track, and whom to tell."""

from dataclasses import dataclass, field
from enum import StrEnum

from fastha.model.plan.common import Command
from fastha.model.units import Ns, S


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
    process_monitor_buffer: int = 0
    """Octets that the process connector's receive buffer has at least."""
    script_limit: int = 64
    """`SupervisorPlan.script_limit`: the supervisor copies it."""
