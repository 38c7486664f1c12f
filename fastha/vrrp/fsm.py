"""The state machine, as data. Who reads one file about VRRP reads this one.

An instance is in one of four states. INIT: it has not begun (or has left). BACKUP: it listens for the master. MASTER:
it speaks and holds the addresses. FAULT: something it needs is missing, it neither speaks nor holds anything.

`TRANSITIONS` says for each (state, input) where to go and what to do on the way, in order; a pair that is absent
changes nothing. `instance.Instance.take` executes the steps, and nothing else changes a state. What an advert amounts
to in a state is decided by `in_backup` and `in_master`, which compare numbers and know nothing else.

Two orders of steps matter. A master that leaves first stops its engine and only then says priority 0, so that no
ordinary advert can follow it. A new master speaks before it takes the addresses, so that rivals know it by the time
the link does.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto


class State(StrEnum):
    INIT = "INIT"
    BACKUP = "BACKUP"
    MASTER = "MASTER"
    FAULT = "FAULT"


class Input(Enum):
    START = auto()
    START_OWNER = auto()
    """As address owner: MASTER as soon as the timer path allows."""
    START_FAULT = auto()
    HOLD = auto()
    """A tracker that decides between BACKUP and FAULT has no result yet."""
    RESUME = auto()
    """The process before this one was MASTER a moment ago."""
    TIMEOUT = auto()
    """The master is down (and, in a sync group, for every member)."""
    OUTRANKED = auto()
    """An advert of a better master."""
    ADDRESS_LOST = auto()
    """Somebody took a virtual address from the interface."""
    PULLED_BACKUP = auto()
    """Another member of the sync group became BACKUP."""
    PULLED_LOST = auto()
    """Another member lost an address."""
    FAULT = auto()
    """A reason of its own."""
    PULLED_FAULT = auto()
    CLEAR = auto()
    """The last reason for FAULT is gone, of the whole group."""
    STOP = auto()
    RETIRE = auto()
    """Stop without releasing anything: another process carries on."""
    DELETE = auto()
    """Gone from the configuration."""


class Step(Enum):
    LOG = auto()
    LOG_INIT = auto()
    IDLE = auto()
    SPEAK = auto()
    LISTEN = auto()
    """For a whole master-down time."""
    LISTEN_SKEW = auto()
    """Only for the skew: come back soon."""
    LISTEN_NOW = auto()
    """For a microsecond: through the timer path, at once."""
    PRIORITY_0 = auto()
    PRIORITY_0_UNCOUNTED = auto()
    """Not in the statistics: keepalived does not count the one that it sends for the transition to FAULT."""
    PRESENT = auto()
    ABSENT = auto()
    GARP = auto()
    QUIET = auto()
    """No more announcements of this instance."""
    FRESHEN = auto()
    """Unicast: peers learn our own address again."""
    TELL_PRIORITY = auto()
    """At the start, where trackers have moved it."""
    TELL = auto()
    TELL_STOP = auto()
    TELL_DELETED = auto()


@dataclass(frozen=True, slots=True)
class Transition:
    to: State
    steps: tuple[Step, ...]


_S = Step
_BEGIN = (_S.ABSENT, _S.LOG_INIT, _S.LISTEN, _S.FRESHEN, _S.TELL_PRIORITY, _S.TELL)
_LEAVE_BACKUP = (_S.LOG, _S.IDLE, _S.TELL)
_TO_BACKUP = (_S.LOG, _S.LISTEN, _S.FRESHEN, _S.TELL)
_MASTER_TO_BACKUP = (_S.LOG, _S.LISTEN, _S.QUIET, _S.ABSENT, _S.TELL)
_MASTER_LOST = (_S.LOG, _S.LISTEN_SKEW, _S.PRIORITY_0, _S.QUIET, _S.ABSENT, _S.TELL)
_BECOME_MASTER = (_S.LOG, _S.SPEAK, _S.PRESENT, _S.GARP, _S.TELL)

TRANSITIONS: dict[tuple[State, Input], Transition] = {
    (State.INIT, Input.START): Transition(State.BACKUP, _BEGIN),
    (State.INIT, Input.START_OWNER): Transition(State.BACKUP, (_S.LISTEN_NOW,)),
    (State.INIT, Input.START_FAULT): Transition(State.FAULT, (_S.ABSENT, _S.LOG_INIT, _S.IDLE, _S.TELL)),
    (State.INIT, Input.HOLD): Transition(State.INIT, (_S.ABSENT, _S.IDLE)),
    (State.INIT, Input.RESUME): Transition(State.MASTER, _BECOME_MASTER),
    (State.INIT, Input.STOP): Transition(State.INIT, (_S.IDLE, _S.TELL_STOP)),
    (State.INIT, Input.RETIRE): Transition(State.INIT, (_S.IDLE,)),
    (State.INIT, Input.DELETE): Transition(State.INIT, (_S.IDLE, _S.TELL_DELETED)),
    (State.BACKUP, Input.TIMEOUT): Transition(State.MASTER, _BECOME_MASTER),
    (State.BACKUP, Input.FAULT): Transition(State.FAULT, _LEAVE_BACKUP),
    (State.BACKUP, Input.PULLED_FAULT): Transition(State.FAULT, _LEAVE_BACKUP),
    (State.BACKUP, Input.STOP): Transition(State.INIT, (_S.IDLE, _S.TELL_STOP)),
    (State.BACKUP, Input.RETIRE): Transition(State.INIT, (_S.IDLE,)),
    (State.BACKUP, Input.DELETE): Transition(State.INIT, (_S.IDLE, _S.TELL_DELETED)),
    (State.MASTER, Input.OUTRANKED): Transition(State.BACKUP, _MASTER_TO_BACKUP),
    (State.MASTER, Input.PULLED_BACKUP): Transition(State.BACKUP, _MASTER_TO_BACKUP),
    (State.MASTER, Input.ADDRESS_LOST): Transition(State.BACKUP, _MASTER_LOST),
    (State.MASTER, Input.PULLED_LOST): Transition(State.BACKUP, _MASTER_LOST),
    # a cause of its own says priority 0 twice, as keepalived does: on the transition and on the withdrawal
    (State.MASTER, Input.FAULT): Transition(
        State.FAULT,
        (_S.LOG, _S.IDLE, _S.PRIORITY_0_UNCOUNTED, _S.PRIORITY_0, _S.QUIET, _S.ABSENT, _S.TELL),
    ),
    (State.MASTER, Input.PULLED_FAULT): Transition(
        State.FAULT, (_S.LOG, _S.IDLE, _S.PRIORITY_0_UNCOUNTED, _S.QUIET, _S.ABSENT, _S.TELL)
    ),
    (State.MASTER, Input.STOP): Transition(State.INIT, (_S.IDLE, _S.PRIORITY_0, _S.QUIET, _S.ABSENT, _S.TELL_STOP)),
    (State.MASTER, Input.RETIRE): Transition(State.INIT, (_S.IDLE, _S.QUIET)),
    (State.MASTER, Input.DELETE): Transition(
        State.INIT, (_S.IDLE, _S.PRIORITY_0, _S.QUIET, _S.ABSENT, _S.TELL_DELETED)
    ),
    (State.FAULT, Input.CLEAR): Transition(State.BACKUP, _TO_BACKUP),
    (State.FAULT, Input.STOP): Transition(State.INIT, (_S.IDLE, _S.TELL_STOP)),
    (State.FAULT, Input.RETIRE): Transition(State.INIT, (_S.IDLE,)),
    (State.FAULT, Input.DELETE): Transition(State.INIT, (_S.IDLE, _S.TELL_DELETED)),
}


class Heard(Enum):
    """What a valid advert amounts to."""

    RESIGNED = auto()
    """Priority 0: its sender stops being master."""
    ACCEPTED = auto()
    """BACKUP: the master lives."""
    LOWER = auto()
    """BACKUP: to be ignored, the timer runs on. MASTER: to be answered."""
    BETTER = auto()
    """MASTER: we yield."""
    SAME = auto()
    """MASTER: our priority and our address."""
    OWNER_YIELDS = auto()
    """MASTER: two owners, ours is the lower address."""
    OWNER_HOLDS = auto()
    """MASTER: two owners, ours is the higher address."""


def in_backup(priority: int, effective: int, *, nopreempt: bool, delaying: bool) -> Heard:
    """RFC 5798 6.4.2. Equal priority is accepted without any look at addresses. `delaying`: a preempt_delay that has
    not run out."""
    if priority == 0:
        return Heard.RESIGNED
    return Heard.ACCEPTED if nopreempt or delaying or priority >= effective else Heard.LOWER


def in_master(priority: int, effective: int, sender: bytes, ours: bytes) -> Heard:
    """RFC 5798 6.4.3. Addresses are packed; ones of different families count as equal."""
    if priority == 0:
        return Heard.RESIGNED
    if priority != effective:
        return Heard.BETTER if priority > effective else Heard.LOWER
    if len(sender) != len(ours) or sender == ours:
        return Heard.SAME
    higher = sender > ours
    if priority == 255:
        return Heard.OWNER_YIELDS if higher else Heard.OWNER_HOLDS
    return Heard.BETTER if higher else Heard.LOWER
