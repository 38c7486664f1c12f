"""The life of one checker: what a success or a failure makes of it, and when it is tried again.

A checker is up or down. A failure while it is up is retried `retry` times, `delay_before_retry` apart, before it
counts; while it is down nothing is retried. After `delay_loop` it is tried again in any case. The kinds differ in
details that operators rely on, so each has its class:

    TcpChecker   the plain rule
    MiscChecker  a script; with misc_dynamic its exit code is also a weight
    HttpChecker  several urls, one per run; after a failure the failed url must pass first, then all of them

`succeed` and `fail` return what became of it and the delay until the next start. `interval` says whether that next
probe may become a standing order, that is whether the expected outcome changes nothing here: in that case no Python
runs until something else happens.

At the first start of the process the retry counter is already full, so that the first failure decides; a checker
that a reload brings starts with none used (`fresh`). Source: reference of keepalived 2.4.3's behaviour.
"""

from fastha.checks.actions import Change
from fastha.checks.recipes import Kind, Report, Verdict
from fastha.model.plan import HttpCheck, MiscCheck, TcpCheck
from fastha.model.units import Ns

Check = TcpCheck | HttpCheck | MiscCheck


class Checker:
    """State and rules shared by all kinds. `target` is its number at the engine, `since` when `up` last changed."""

    __slots__ = ("check", "enabled", "generation", "has_run", "retries", "since", "target", "up")

    kind: Kind
    name: str
    mails_first = False
    """Whether a first result that only confirms what was assumed is mailed too."""
    check: Check

    def __init__(self, target: int, check: Check, *, up: bool, fresh: bool, since: Ns) -> None:
        self.target = target
        self.check = check
        self.generation = 0
        self.up = up
        self.has_run = False
        self.retries = check.retry if fresh else 0
        """Failures in a row that have been forgiven."""
        self.since = since
        self.enabled = True

    def succeed(self, status: int) -> tuple[Change, Ns]:  # noqa: ARG002 - a script's is a weight
        """A success: up from now on."""
        change = Change.UP if not self.up else Change.NONE if self.has_run else Change.FIRST_UP
        self.up = self.has_run = True
        self.retries = 0
        return change, self.check.delay_loop

    def fail(self) -> tuple[Change, Ns]:
        """A failure: forgiven while up (or not yet run) and retries are left, else down."""
        if (self.up or not self.has_run) and self.retries < self.check.retry:
            self.retries += 1
            return Change.NONE, self.check.delay_before_retry
        return self._down(), self.check.delay_loop

    def _down(self) -> Change:
        change = Change.DOWN if self.up else Change.NONE if self.has_run else Change.FIRST_DOWN
        self.up = False
        self.has_run = True
        return change

    def interval(self) -> Ns:
        """Interval of the next order if it may stand, 0 if its result must be reported whatever it is."""
        if not self.has_run or (self.up and self.retries):
            return 0
        return self.check.delay_loop

    def is_failure(self, report: Report) -> bool:
        """Whether this verdict is a failure of the server."""
        return report.verdict != Verdict.SUCCESS

    def adopt(self, old: "Checker") -> None:
        """Take over what an earlier checker with the same parameters knew (reload)."""
        self.up = old.up
        self.has_run = old.has_run
        self.since = old.since
        self.retries = self.check.retry + 1 if not old.up else min(old.retries, self.check.retry)

    @property
    def retries_left(self) -> int:
        """Failures that would still be forgiven."""
        return max(0, self.check.retry - self.retries) if self.up else 0

    def mail(self, change: Change, report: Report) -> str:  # noqa: ARG002
        """The body of keepalived's mail about this change."""
        return f"=> TCP CHECK {'succeed' if change.up else 'failed'} on service <="


class TcpChecker(Checker):
    """TCP_CHECK."""

    __slots__ = ()
    kind = Kind.TCP
    name = "TCP_CHECK"
    check: TcpCheck

    def fail(self) -> tuple[Change, Ns]:
        """As for all, but while down and not yet run (alpha after a reload) waiting does not count as a retry."""
        if not self.up and not self.has_run and self.retries < self.check.retry:
            return Change.NONE, self.check.delay_loop
        return super().fail()

    def interval(self) -> Ns:
        if not self.up and self.retries < self.check.retry:
            return self.check.delay_loop  # a failure changes nothing here
        return super().interval()


class MiscChecker(Checker):
    """MISC_CHECK. `weight` is what a dynamic script last asked for, None: the configured one."""

    __slots__ = ("heard", "lateness", "seen_wall", "status", "verdict", "weight")
    kind = Kind.SCRIPT
    name = "MISC_CHECK"
    mails_first = True
    check: MiscCheck

    def __init__(self, target: int, check: MiscCheck, *, up: bool, fresh: bool, since: Ns) -> None:
        super().__init__(target, check, up=up, fresh=fresh, since=since)
        self.weight: int | None = None
        self.status = 0
        """Exit code of the last run, 128 + signal."""
        self.verdict = Verdict.LOCAL
        """Of the last run."""
        self.heard = since
        """When the runner last said anything about it, or was to start it."""
        self.seen_wall = 0.0
        self.lateness = 0

    def is_failure(self, report: Report) -> bool:
        weighs = self.check.dynamic and report.verdict == Verdict.EXIT and 2 <= report.status <= 255
        return report.verdict != Verdict.SUCCESS and not weighs

    def succeed(self, status: int) -> tuple[Change, Ns]:
        self.weight = status - 2 if self.check.dynamic and status >= 2 else None
        return super().succeed(status)

    def _down(self) -> Change:
        self.weight = None
        return super()._down()

    def adopt(self, old: Checker) -> None:
        super().adopt(old)
        if isinstance(old, MiscChecker):
            self.weight = old.weight
            self.status = old.status
            self.verdict = old.verdict
            self.seen_wall = old.seen_wall

    def mail(self, change: Change, report: Report) -> str:
        word = "succeeded" if change.up else "timed out" if report.verdict == Verdict.TIMEOUT else "failed"
        return f"=> MISC CHECK {word} on service <="


class HttpChecker(Checker):
    """HTTP_GET. `url` is the index fetched next; `failed_url` the one that took the checker down, -1: none."""

    __slots__ = ("failed_url", "url")
    kind = Kind.HTTP
    name = "HTTP_GET"
    check: HttpCheck

    def __init__(self, target: int, check: HttpCheck, *, up: bool, fresh: bool, since: Ns) -> None:
        super().__init__(target, check, up=up, fresh=fresh, since=since)
        self.url = 0
        self.failed_url = -1

    def succeed(self, status: int) -> tuple[Change, Ns]:
        hurry = self.check.fast_recovery and not self.up
        if self.failed_url >= 0:
            self.failed_url = -1
            self.url = 0
            return Change.NONE, 0 if hurry else self.check.delay_loop
        if self.url + 1 < len(self.check.urls):
            self.url += 1
            if self.has_run:
                self.retries = 0
            return Change.NONE, 0 if hurry else self.check.delay_loop
        self.url = 0
        return super().succeed(status)

    def fail(self) -> tuple[Change, Ns]:
        check = self.check
        pause = max(check.delay_before_retry, check.delay_loop)
        if self.up:
            self.has_run = True
            self.retries += 1
            if self.retries <= check.retry:
                return Change.NONE, check.delay_before_retry
            self.failed_url = self.url
            return self._down(), pause
        if not self.has_run:
            # The first failure of an alpha checker: keepalived tells nobody.
            self.failed_url = self.url
            self.has_run = True
            return Change.NONE, pause
        return Change.NONE, pause if self.failed_url >= 0 else self._pass_pause()

    def _pass_pause(self) -> Ns:
        """Pause after a failure in the pass that would bring the checker up: the same url is tried again."""
        return self.check.delay_before_retry or self.check.delay_loop

    def interval(self) -> Ns:
        if not self.has_run:
            return 0
        if self.up:
            return self.check.delay_loop if len(self.check.urls) == 1 and not self.retries else 0
        if self.failed_url >= 0:
            return max(self.check.delay_before_retry, self.check.delay_loop)
        return self._pass_pause()

    def adopt(self, old: Checker) -> None:
        super().adopt(old)
        if isinstance(old, HttpChecker):
            self.url = old.url
            self.failed_url = old.failed_url

    def mail(self, change: Change, report: Report) -> str:  # noqa: ARG002
        return (
            "=> CHECK succeed on service <=" if change.up else "=> CHECK failed on service : HTTP/SSL request failed <="
        )


def make(target: int, check: Check, *, up: bool, fresh: bool, since: Ns) -> Checker:
    """The checker for a definition."""
    if isinstance(check, TcpCheck):
        return TcpChecker(target, check, up=up, fresh=fresh, since=since)
    if isinstance(check, HttpCheck):
        return HttpChecker(target, check, up=up, fresh=fresh, since=since)
    return MiscChecker(target, check, up=up, fresh=fresh, since=since)


def same_parameters(one: Check, other: Check) -> bool:
    """Whether a reload may hand the state of `one` to `other`: same kind, same thing probed; timing may differ.

    Rule of keepalived: connection options for network kinds (not the HTTP version), urls in order, command and
    dynamic flag of a script.
    """
    if isinstance(one, TcpCheck) and isinstance(other, TcpCheck):
        return one.connection == other.connection
    if isinstance(one, HttpCheck) and isinstance(other, HttpCheck):
        return one.connection == other.connection and one.urls == other.urls
    if isinstance(one, MiscCheck) and isinstance(other, MiscCheck):
        return one.command == other.command and one.dynamic == other.dynamic
    return False
