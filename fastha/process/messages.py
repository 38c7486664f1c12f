"""What the processes say to each other. One datagram is one JSON array `[kind, fields...]` of orjson, at most 64 KiB.

Links (socket pairs made by the supervisor, each end handed to a child by `Link`):

    supervisor - vrrp, supervisor - checker, supervisor - runner     control
    vrrp - runner                                                     trackers up, events down
    checker - runner                                                  script checks, events down

Big things (Plan parts, Snapshot parts, the full set of tracker states) travel as sealed memfds beside the datagram
(`fds`). State messages coalesce under their key when the receiver is slow; `Tell` never does.
"""

from dataclasses import dataclass, field

from fastha.model.plan import ServiceCheck
from fastha.model.units import Ns

# ------------------------------------------------------------------------------- supervisor -> child


@dataclass(frozen=True, slots=True)
class NewPlan:
    """Your part of the Plan is in the memfd beside this. The first one starts you, later ones are reloads.

    `resume`: instances that were MASTER when the process before you died, less than their master-down time ago.
    `release`: do not work by this Plan: take what it and the journals name out of the kernel, tell what becomes of the
    instances (`STOP`, or `FAULT`: there will be another process), and end.
    """

    serial: int
    resume: tuple[str, ...] = ()
    release: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """The descriptor beside this is your end of the link to `peer` (`vrrp`, `checker` or `runner`); it replaces any
    earlier one, whose other end is gone."""

    peer: str


@dataclass(frozen=True, slots=True)
class NoPeer:
    """There is no process `peer`, nor will there be one until a `Link` comes: what you would tell it, nobody wants."""

    peer: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Watchdog: to be answered with `Pong` from the core loop, not from the IO layer alone."""

    serial: int


@dataclass(frozen=True, slots=True)
class AskSnapshot:
    """Answer with `SnapshotPart`."""

    serial: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Leave in order. `release` false: stop and leave everything as it is in the kernel (you are being replaced)."""

    release: bool = True


# ------------------------------------------------------------------------------- child -> supervisor


@dataclass(frozen=True, slots=True)
class Pong:
    serial: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The Plan of this serial is in force (or was refused, and why)."""

    serial: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class SnapshotPart:
    """The part is in the memfd beside this."""

    serial: int


@dataclass(frozen=True, slots=True)
class States:
    """vrrp -> supervisor: instance -> state, at each transition; what a restarted process may resume. The supervisor
    hands it on to the checker (lvs_sync_daemon follows an instance), and all it knows to a new one."""

    states: dict[str, str] = field(default_factory=dict)
    master_down: dict[str, Ns] = field(default_factory=dict)
    """instance -> its master-down time."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line for the log; the supervisor writes it under the child's ident. Rate-limited by the sender per cause."""

    level: str
    text: str
    wall: float


@dataclass(frozen=True, slots=True)
class Recorded:
    """vrrp -> supervisor: lines for the recording at `path` (`vrrp.recording`); `begins`: the first of a process."""

    path: str
    text: str
    begins: bool


# --------------------------------------------------------------------------------- runner -> vrrp


@dataclass(frozen=True, slots=True)
class TrackerScript:
    name: str
    up: bool | None


@dataclass(frozen=True, slots=True)
class TrackerFile:
    name: str
    value: int


@dataclass(frozen=True, slots=True)
class TrackerProcess:
    name: str
    up: bool


# ----------------------------------------------------------------------- vrrp, checker -> runner


@dataclass(frozen=True, slots=True)
class Tell:
    """Something happened to an object: run its scripts, write FIFOs, mail. In order per object, never dropped.

    kind INSTANCE, GROUP, VS, RS; name as in `plan.Notifies`; state as in keepalived's FIFO lines, empty when there is
    only a mail to send. The runner puts `[router_id] ` before the subject.
    """

    kind: str
    name: str
    state: str
    priority: int = 0
    mail_subject: str = ""
    mail_body: str = ""
    """Empty: no mail for this one."""
    only_fifo: bool = False
    """Said again for the readers of FIFOs: no scripts, no mail."""
    serial: int = 0
    """Given by the sender's outbox."""


@dataclass(frozen=True, slots=True)
class Told:
    """runner -> vrrp, checker: the scripts of these events (`Tell.serial`) have been started. What was not confirmed is
    said again to the runner's successor: rather a FIFO line twice than a script not run."""

    serials: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ScriptOrder:
    """checker -> runner: a `checks.recipes.ProbeOrder` of kind SCRIPT. `delay` and `interval` count from receipt; the
    next start is the last start + interval (keepalived's rule for MISC_CHECK).

    `interval` 0: one run, whatever comes out is reported, then the target is held. With `dynamic` an exit code of 2 or
    more is a success that carries a weight: then a result is the expected one only when it is a success, one was
    expected, and its exit code is `expect_status`.
    """

    target: int
    generation: int
    argv: tuple[str, ...]
    uid: int
    gid: int
    groups: tuple[int, ...] | None
    shell: bool
    timeout: Ns
    delay: Ns
    interval: Ns
    expect_success: bool
    dynamic: bool = False
    expect_status: int = 0
    jitter: Ns = 0
    """Each interval is longer or shorter by up to this."""
    group: str = ""
    """The virtual server: one that is slow must leave places for others."""


@dataclass(frozen=True, slots=True)
class ServiceOrder:
    """checker -> runner: a `checks.recipes.ProbeOrder` of kind SERVICE. `delay` counts from receipt; later starts are
    `interval` apart, in the phase of the first. `interval` 0: one run, then the target is held."""

    target: int
    generation: int
    check: ServiceCheck
    delay: Ns
    interval: Ns
    expect_success: bool
    group: str = ""


@dataclass(frozen=True, slots=True)
class ScriptDrop:
    """checker -> runner: forget this target (removed or reloaded), a script or a service."""

    target: int


@dataclass(frozen=True, slots=True)
class ScriptReport:
    """runner -> checker: a run ended otherwise than expected; the target is held until the next order."""

    target: int
    generation: int
    status: int
    """Exit code; 128 + signal when a signal ended it."""
    timed_out: bool
    started_wall: float
    duration: Ns
    error: str = ""
    """Why it could not be run at all (`local` then)."""
    signal: int = 0
    """The signal that ended it, 0: it exited. Only so can a dynamic script's exit code 137 be told from a SIGKILL."""
    lateness: Ns = 0
    """How late it was started."""


@dataclass(frozen=True, slots=True)
class ScriptSeen:
    """runner -> checker: expected results since the last one, per target (coalesced, at most one a second)."""

    seen: tuple[tuple[int, int, float, Ns], ...] = ()
    """(target, exit status, wall time of the end, lateness of its start)"""


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """runner -> checker: a dialogue ended otherwise than expected; the target is held until the next order."""

    target: int
    generation: int
    verdict: int
    """`checks.recipes.Verdict`."""
    errno: int
    status: int
    text: str
    """What came of it, in words; empty: `errno` says it."""
    ended_wall: float
    duration: Ns
    lateness: Ns


@dataclass(frozen=True, slots=True)
class ServiceSeen:
    """runner -> checker: expected results since the last one, per target (coalesced, at most one a second)."""

    seen: tuple[tuple[int, int, str, float, Ns], ...] = ()
    """(target, verdict, text, wall time of the end, lateness of its start)"""


Message = (
    NewPlan
    | Link
    | NoPeer
    | Ping
    | AskSnapshot
    | Stop
    | Pong
    | Ready
    | SnapshotPart
    | States
    | LogLine
    | Recorded
    | TrackerScript
    | TrackerFile
    | TrackerProcess
    | Tell
    | Told
    | ScriptOrder
    | ScriptDrop
    | ScriptReport
    | ScriptSeen
    | ServiceOrder
    | ServiceReport
    | ServiceSeen
)
