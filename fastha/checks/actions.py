"""What the check core says: orders for those who probe, and what became of a checker for those who decide."""

from dataclasses import dataclass
from enum import IntEnum

from fastha.checks.recipes import ProbeOrder
from fastha.model.plan import Command, ServiceCheck
from fastha.model.units import Ns


class Change(IntEnum):
    """What a result means for its checker."""

    NONE = 0
    UP = 1
    DOWN = 2
    FIRST_UP = 3
    """The first result confirms what was assumed: up."""
    FIRST_DOWN = 4
    """The first result confirms what `alpha` assumed: down."""

    @property
    def up(self) -> bool:
        return self in (Change.UP, Change.FIRST_UP)

    @property
    def first(self) -> bool:
        """Nothing changed; the checker has only been heard for the first time."""
        return self in (Change.FIRST_UP, Change.FIRST_DOWN)


@dataclass(frozen=True, slots=True)
class Probe:
    """Give this to the probe engine; it replaces any earlier order for the target."""

    order: ProbeOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class RunScript:
    """Give this to the runner: the same order for a script.

    `delay` counts from now. The next start is `interval` after the last start; 0: one run.
    """

    target: int
    generation: int
    command: Command
    timeout: Ns
    delay: Ns
    interval: Ns
    expect_success: bool
    dynamic: bool
    expect_status: int
    jitter: Ns = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldDialogue:
    """Give this to the runner: the same order for a dialogue with a service. `delay` counts from now."""

    target: int
    generation: int
    check: ServiceCheck
    delay: Ns
    interval: Ns
    expect_success: bool


@dataclass(frozen=True, slots=True)
class Drop:
    """Do not probe this target any more."""

    target: int
    runner: bool
    """It is with the runner, not with the probe engine."""
    forget: bool = True
    """False: it is only suspended, and its last result is still to be shown."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A checker's result that somebody may have to be told of. `mail` is the body keepalived mails."""

    target: int
    change: Change
    mail: str


@dataclass(frozen=True, slots=True)
class Weighed:
    """A dynamic script wants its server to have this weight; None: the configured one."""

    target: int
    weight: int | None


@dataclass(frozen=True, slots=True)
class Added:
    """A tracked file adds this to the weight of its checker's server."""

    target: int
    amount: int


Order = Probe | RunScript | HoldDialogue | Drop
"""What a prober is told."""
Action = Order | Changed | Weighed | Added
