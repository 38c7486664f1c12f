"""A prober in virtual time: the pure twin of the probe engine for everything about orders.

It keeps the same rules (standing orders, generations, one-shot orders, a target held after an unexpected result, missed
intervals skipped, never a burst), but a probe is a question to a function instead of a packet. Tests and simulated
clusters drive the check core with it; the compiled engine must decide alike.
"""

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush

from fastha.checks.recipes import LastProbe, ProbeOrder, Recipe, Report, Verdict
from fastha.model.units import Ns


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a server does to a probe that starts now."""

    verdict: Verdict
    duration: Ns = 0
    errno: int = 0
    status: int = 0
    digest: bytes = b""


Behaviour = Callable[[int, Recipe, Ns], Outcome]
"""(target, recipe, start) -> what comes of it."""

_MASK = (1 << 64) - 1


def moved(target: int, runs: int, jitter: Ns) -> Ns:
    """Within +-jitter, by dice that fall the same way for the same run of the same target (splitmix64)."""
    x = ((target << 32 | runs) * 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & _MASK
    x ^= x >> 31
    return x % (2 * jitter + 1) - jitter


_START = 0
_FINISH = 1
_NEVER = LastProbe(Verdict.LOCAL, 0, 0, 0, 0, 0, 0)


@dataclass(slots=True)
class _Target:
    order: ProbeOrder
    due: Ns
    """The scheduled start of the probe that waits or runs."""
    since: Ns
    """Last sign of life: the order, or the last start."""
    last: LastProbe
    held: bool = False
    turn: int = 0
    """Of the order's recipes."""

    @property
    def recipe(self) -> Recipe:
        return (self.order.recipe, *self.order.then)[self.turn]


class ModelProbes:
    """Executes orders against `behave`. `advance` moves the clock and returns the reports of that stretch."""

    def __init__(self, behave: Behaviour) -> None:
        self._behave = behave
        self._targets: dict[int, _Target] = {}
        self._heap: list[tuple[Ns, int, int, int, int, Ns, Outcome | None]] = []
        self._count = 0
        self.missed = 0

    def order(self, order: ProbeOrder, now: Ns) -> None:
        """Take an order; it replaces the target's earlier one, a probe in flight included."""
        due = max(order.first, now)
        before = self._targets.get(order.target)
        self._targets[order.target] = _Target(order, due, now, before.last if before else _NEVER)
        self._push(due, order, _START, due, None)

    def remove(self, target: int) -> None:
        """Forget the target."""
        self._targets.pop(target, None)

    def lose(self, target: int) -> None:
        """Forget to probe the target, as a bug would: its order stands and nothing happens."""
        self._targets[target].held = True

    def last(self, target: int) -> LastProbe:
        """What came of the target's last probe."""
        return self._targets[target].last

    def deadline(self) -> Ns | None:
        """When `advance` has something to do."""
        return self._heap[0][0] if self._heap else None

    def overdue(self, now: Ns) -> list[int]:
        """Targets idle for more than two of their intervals beyond what was ordered."""
        return [
            number
            for number, target in self._targets.items()
            if now - max(target.due, target.since) > 2 * max(target.order.interval, target.order.recipe.timeout)
        ]

    def advance(self, now: Ns) -> list[Report]:
        """Do what is due up to `now`, in order of time."""
        reports: list[Report] = []
        while self._heap and self._heap[0][0] <= now:
            at, _, number, generation, what, due, outcome = heappop(self._heap)
            target = self._targets.get(number)
            if target is None or target.order.generation != generation or target.held:
                continue
            if what == _START:
                outcome = self._behave(number, target.recipe, at)
                target.since = at
                self._push(at + outcome.duration, target.order, _FINISH, due, outcome)
            else:
                assert outcome is not None
                report = self._finish(target, at, due, outcome)
                if report is not None:
                    reports.append(report)
        return reports

    def _finish(self, target: _Target, at: Ns, due: Ns, outcome: Outcome) -> Report | None:
        order = target.order
        started = at - outcome.duration
        target.last = LastProbe(
            outcome.verdict, outcome.errno, outcome.status, started, at, started - due, target.last.runs + 1
        )
        expected = (outcome.verdict == Verdict.SUCCESS) == order.expect_success and outcome.verdict != Verdict.LOCAL
        if expected and order.interval:
            following = due + order.interval + moved(order.target, target.last.runs, order.recipe.jitter)
            if following < at:
                skipped = -(-(at - following) // order.interval)
                self.missed += skipped
                following += skipped * order.interval
            target.due = following
            target.turn = (target.turn + 1) % (1 + len(order.then))
            self._push(following, order, _START, following, None)
            return None
        target.held = True
        verdict, errno, status = outcome.verdict, outcome.errno, outcome.status
        turn = target.turn
        return Report(order.target, order.generation, verdict, errno, status, started, at, outcome.digest, turn)

    def _push(self, at: Ns, order: ProbeOrder, what: int, due: Ns, outcome: Outcome | None) -> None:
        self._count += 1
        heappush(self._heap, (at, self._count, order.target, order.generation, what, due, outcome))
