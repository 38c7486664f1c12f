"""The check core: all checkers of the process, reports in, orders out.

    core = CheckCore(close_rst=False)
    target, actions = core.add(check, "10.0.0.1:80 tcp", now, fresh=True)
    actions = core.handle(report, now)

A target is always in one of two hands: the prober has a valid order for it, or the core is about to answer the report
that ended the last one. So none is ever lost, as long as the prober keeps its orders; `renew` is for the watchdog that
makes sure of it.
"""

from collections.abc import Iterator
from hashlib import blake2b

from fastha.checks.actions import Action, Added, Change, Changed, Drop, HoldDialogue, Probe, RunScript, Weighed
from fastha.checks.life import (
    Check,
    Checker,
    FileChecker,
    HttpChecker,
    MiscChecker,
    RunnerChecker,
    ServiceChecker,
    make,
    same_parameters,
)
from fastha.checks.recipes import Kind, ProbeOrder, Recipe, Report, Verdict
from fastha.checks.request import dns_recipe, http_recipe, ping_recipe, smtp_recipe, tcp_recipe, udp_recipe
from fastha.model.plan import DnsCheck, MiscCheck, PingCheck, SmtpCheck, TcpCheck, UdpCheck
from fastha.model.units import Ns, S

FIRST_DELAY = S
"""keepalived's: the first run of a checker is this late at least, and at most `warmup` more."""
RUNNER_GRACE = 15 * S
"""Beyond its timeout a script may take this long to die before the runner can report it."""
_GENERATIONS = 1 << 31


def spread(identity: str, within: Ns) -> Ns:
    """A point in [0, within) that depends on the identity alone: equal load, and the same phase after a restart.

    keepalived rolls dice here.
    """
    if within <= 0:
        return 0
    return int.from_bytes(blake2b(identity.encode("utf-8", "replace"), digest_size=8).digest(), "big") % within


class CheckCore:
    """Every checker, by target number. Pure: time comes in, actions go out."""

    def __init__(self, *, close_rst: bool = False) -> None:
        self.close_rst = close_rst
        self._checkers: list[Checker | None] = []
        self._free: list[tuple[int, int]] = []
        """(target, last generation) of numbers to be used again."""
        self.stale = 0
        """Reports that came for an order no longer in force."""

    def __len__(self) -> int:
        return len(self._checkers) - len(self._free)

    def __iter__(self) -> Iterator[Checker]:
        return (checker for checker in self._checkers if checker is not None)

    def get(self, target: int) -> Checker | None:
        """The checker with this number, if there is one."""
        return self._checkers[target] if 0 <= target < len(self._checkers) else None

    def __getitem__(self, target: int) -> Checker:
        checker = self._checkers[target]
        if checker is None:
            raise KeyError(target)
        return checker

    # ------------------------------------------------------------------------------ coming and going

    def add(
        self, check: Check, identity: str, now: Ns, *, fresh: bool, up: bool | None = None, like: Checker | None = None
    ) -> tuple[int, list[Action]]:
        """Start a checker; returns its target number and its first order.

        `fresh`: the process starts, so the first failure decides. `up`: what to assume until the first result; None:
        up unless the checker is alpha. `like`: an earlier checker with the same parameters, whose state it takes.
        """
        target, generation = self._free.pop() if self._free else (len(self._checkers), 0)
        checker = make(target, check, up=not check.alpha if up is None else up, fresh=fresh, since=now)
        checker.generation = generation
        if target == len(self._checkers):
            self._checkers.append(checker)
        else:
            self._checkers[target] = checker
        if like is not None:
            checker.adopt(like)
        return target, self._orders(checker, self._first(checker, identity, now), now)

    def remove(self, target: int) -> list[Action]:
        """Forget a checker; reports still on their way are ignored."""
        checker = self[target]
        self._checkers[target] = None
        self._free.append((target, checker.generation))
        return [] if checker.kind == Kind.FILE else [Drop(target, isinstance(checker, RunnerChecker))]

    def retime(self, target: int, check: Check, identity: str, now: Ns) -> list[Action]:
        """The same probe with another timing (reload): state stays, the next start follows the new timing."""
        checker = self[target]
        assert same_parameters(checker.check, check)
        checker.check = check
        checker.retries = min(checker.retries, check.retry + (not checker.up))
        if isinstance(checker, FileChecker):
            return self._judge_file(checker, now)
        return self._orders(checker, self._first(checker, identity, now), now) if checker.enabled else []

    def replace(self, target: int, check: Check) -> None:
        """An equal definition from a new Plan, so that the old Plan can be freed. Nothing else changes."""
        assert self[target].check == check
        self[target].check = check

    def suspend(self, target: int) -> list[Action]:
        """Stop probing, keep the state (ha_suspend)."""
        checker = self[target]
        if not checker.enabled:
            return []
        checker.enabled = False
        checker.generation = (checker.generation + 1) % _GENERATIONS
        runner = isinstance(checker, RunnerChecker)
        return [] if checker.kind == Kind.FILE else [Drop(target, runner, forget=False)]

    def resume(self, target: int, identity: str, now: Ns) -> list[Action]:
        """Probe again after `suspend`."""
        checker = self[target]
        if checker.enabled:
            return []
        checker.enabled = True
        if isinstance(checker, FileChecker):
            return self._judge_file(checker, now)
        return self._orders(checker, now + spread(identity, checker.check.delay_loop), now)

    def renew(self, target: int, first: Ns, now: Ns) -> list[Action]:
        """Give the order again, for a start at `first`: the prober lost it, or there is a new one."""
        checker = self.get(target)
        if checker is None or not checker.enabled:
            return []
        return self._orders(checker, first, now)

    def _first(self, checker: Checker, identity: str, now: Ns) -> Ns:
        """When a checker starts: spread over `warmup` at first, over its own delay_loop when it is known already."""
        check = checker.check
        if checker.has_run:
            return now + spread(identity, check.delay_loop)
        return now + FIRST_DELAY + spread(identity, check.warmup)

    # ------------------------------------------------------------------------------------- results

    def handle(self, report: Report, now: Ns) -> list[Action]:
        """One report: what became of the checker, and its next order.

        The next start counts from the end of this run, for scripts from its beginning (keepalived's rule).
        """
        checker = self.get(report.target)
        if checker is None or checker.generation != report.generation or not checker.enabled:
            self.stale += 1
            return []
        if report.verdict == Verdict.LOCAL:
            # We could not probe: nobody's failure, nothing is known.
            if isinstance(checker, RunnerChecker):
                checker.note(report)
            return [self._order(checker, report.finished + checker.check.delay_loop, now)]
        weight = checker.weight if isinstance(checker, MiscChecker) else None
        change, delay = self._judge(checker, report, now)
        actions: list[Action] = []
        if isinstance(checker, RunnerChecker):
            checker.note(report)
        if isinstance(checker, MiscChecker):
            if checker.weight != weight:
                actions.append(Weighed(report.target, checker.weight))
            first = report.started + delay
        else:
            first = report.finished + delay
        if change != Change.NONE:
            mail = checker.mail(change, report) if checker.mails_first or not change.first else ""
            actions.append(Changed(report.target, change, mail))
        actions.append(self._order(checker, first, now))
        return actions

    def _judge(self, checker: Checker, report: Report, now: Ns) -> tuple[Change, Ns]:
        """What a result makes of its checker."""
        was_up = checker.up
        failed = checker.is_failure(report)
        if report.turn and isinstance(checker, HttpChecker):
            checker.url = (checker.url + report.turn) % len(checker.check.urls)
        if failed:
            checker.rising = 0
            outcome = checker.fail()
        else:
            outcome = checker.succeed(report.status)
        if checker.up != was_up:
            checker.since = now
        if checker.up:
            checker.decided = None
        elif failed and (was_up or checker.decided is None):
            checker.decided = report
        return outcome

    def file_value(self, target: int, value: int, wall: float, now: Ns) -> list[Action]:
        """The number in a FILE_CHECK's file, as it is now (again, or for the first time)."""
        checker = self.get(target)
        if not isinstance(checker, FileChecker):
            return []
        checker.value = value
        checker.heard_wall = wall
        return self._judge_file(checker, now)

    def _judge_file(self, checker: FileChecker, now: Ns) -> list[Action]:
        if checker.value is None or not checker.enabled:
            return []
        failure, amount = checker.judge(checker.value)
        actions: list[Action] = []
        if amount != checker.amount:
            checker.amount = amount
            actions.append(Added(checker.target, amount))
        change, _ = checker.fail() if failure else checker.succeed(0)
        if change != Change.NONE:
            checker.since = now
            verdict = Verdict.EXIT if failure else Verdict.SUCCESS
            report = Report(checker.target, checker.generation, verdict, 0, 0, now, now)
            actions.append(Changed(checker.target, change, checker.mail(change, report)))
        return actions

    def seen(self, report: Report, wall: float, lateness: Ns, now: Ns) -> None:
        """The runner's check gave the expected result again, and held no order for it."""
        checker = self.get(report.target)
        if isinstance(checker, RunnerChecker):
            checker.note(report)
            checker.heard = now
            checker.seen_wall = wall
            checker.lateness = lateness

    def ran(self, target: int, wall: float, lateness: Ns) -> None:
        """When the run that was reported last had ended, and how late it began; only for the snapshot."""
        checker = self.get(target)
        if isinstance(checker, RunnerChecker):
            checker.seen_wall = wall
            checker.lateness = lateness

    def heard(self, target: int) -> Ns:
        """When the runner last said anything about its check, or was to start it."""
        checker = self[target]
        assert isinstance(checker, RunnerChecker)
        return checker.heard

    def silent(self, now: Ns) -> list[int]:
        """The runner's checks of which nothing was heard for two intervals beyond their time: it has lost them."""
        return [
            checker.target
            for checker in self
            if isinstance(checker, RunnerChecker)
            and checker.enabled
            and now - checker.heard > 2 * checker.check.delay_loop + checker.patience + RUNNER_GRACE
        ]

    # -------------------------------------------------------------------------------------- orders

    def _orders(self, checker: Checker, first: Ns, now: Ns) -> list[Action]:
        """The order of a checker that needs one: nobody has to be asked about a file."""
        return [] if checker.kind == Kind.FILE else [self._order(checker, first, now)]

    def _order(self, checker: Checker, first: Ns, now: Ns) -> Action:
        checker.generation = (checker.generation + 1) % _GENERATIONS
        first = max(first + self._jitter(checker), now)
        # what is expected of a checker that is on its way up changes with each result
        interval = 0 if checker.rising else checker.interval()
        if isinstance(checker, MiscChecker):
            check: MiscCheck = checker.check
            checker.heard = first
            return RunScript(
                target=checker.target,
                generation=checker.generation,
                command=check.command,
                timeout=check.timeout,
                delay=first - now,
                interval=interval,
                expect_success=checker.up,
                dynamic=check.dynamic,
                expect_status=0 if checker.weight is None else checker.weight + 2,
                jitter=check.jitter,
            )
        if isinstance(checker, ServiceChecker):
            checker.heard = first
            return HoldDialogue(
                target=checker.target,
                generation=checker.generation,
                check=checker.check,
                delay=first - now,
                interval=interval,
                expect_success=checker.up,
            )
        return Probe(
            ProbeOrder(
                target=checker.target,
                generation=checker.generation,
                recipe=self._recipe(checker),
                first=first,
                interval=interval,
                expect_success=checker.up,
                then=self._then(checker) if interval and checker.up else (),
            )
        )

    def _jitter(self, checker: Checker) -> Ns:
        """How far the start of this order is moved: no dice are rolled here, so that a run can be repeated."""
        jitter = checker.check.jitter
        return spread(f"{checker.target} {checker.generation}", 2 * jitter + 1) - jitter if jitter else 0

    def _then(self, checker: Checker) -> tuple[Recipe, ...]:
        """The urls that follow, in turn, while all is well."""
        if not isinstance(checker, HttpChecker) or len(checker.check.urls) == 1:
            return ()
        urls = len(checker.check.urls)
        following = ((checker.url + turn) % urls for turn in range(1, urls))
        return tuple(http_recipe(checker.check, url, close_rst=self.close_rst) for url in following)

    def _recipe(self, checker: Checker) -> Recipe:
        if isinstance(checker, HttpChecker):
            index = checker.failed_url if checker.failed_url >= 0 else checker.url
            return http_recipe(checker.check, index, close_rst=self.close_rst)
        match checker.check:
            case UdpCheck() as check:
                return udp_recipe(check)
            case DnsCheck() as check:
                return dns_recipe(check)
            case PingCheck() as check:
                return ping_recipe(check)
            case SmtpCheck() as check:
                return smtp_recipe(check, close_rst=self.close_rst)
            case check:
                assert isinstance(check, TcpCheck)
                return tcp_recipe(check, close_rst=self.close_rst)
