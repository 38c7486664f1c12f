"""The life of one checker: what a success or a failure makes of it, and when it is tried again.

A checker is up or down. A failure while it is up is retried `retry` times, `delay_before_retry` apart, before it
counts; while it is down nothing is retried. After `delay_loop` it is tried again in any case. The kinds differ in
details that operators rely on, so each has its class:

    Checker      the plain rule: DNS
    TcpChecker   the same, but for a detail; UDP and PING, too
    SmtpChecker  retries also while it is down
    FileChecker  a number in a file: no probe, no retry, no timer
    MiscChecker  a script; with misc_dynamic its exit code is also a weight
    ServiceChecker  a dialogue that the runner holds
    HttpChecker  several urls, one per run; after a failure the failed url must pass first, then all of them

`succeed` and `fail` return what became of it and the delay until the next start. `interval` says whether that next
probe may become a standing order, that is whether the expected outcome changes nothing here: in that case no Python
runs until something else happens. (Several urls are one order, too: the prober goes round them.)

At the first start of the process the retry counter is already full, so that the first failure decides; a checker
that a reload brings starts with none used (`fresh`). With `rise` above 1 (our own word) so many successes in a row
bring a checker up; until they are complete it stays down, and a failure begins the count anew. Source: reference of
keepalived 2.4.3's behaviour.
"""

from typing import Final

from fastha.checks.actions import Change
from fastha.checks.recipes import Kind, Report, Verdict
from fastha.model.plan import (
    DnsCheck,
    FileCheck,
    HttpCheck,
    MiscCheck,
    PingCheck,
    ServiceCheck,
    SmtpCheck,
    TcpCheck,
    UdpCheck,
)
from fastha.model.units import Ns

Check = TcpCheck | HttpCheck | MiscCheck | UdpCheck | DnsCheck | SmtpCheck | PingCheck | FileCheck | ServiceCheck


class Checker:
    """State and rules shared by all kinds. `target` is its number at the engine, `since` when `up` last changed."""

    __slots__ = ("check", "decided", "enabled", "generation", "has_run", "retries", "rising", "since", "target", "up")

    kind: Kind
    word = ""
    """What stands for the kind in mails."""
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
        self.rising = 0
        """Successes in a row while down."""
        self.decided: Report | None = None
        """The result that took it down; None: it is up, or as it began."""
        self.since = since
        self.enabled = True

    def succeed(self, status: int) -> tuple[Change, Ns]:  # noqa: ARG002 - a script's is a weight
        """A success: up from now on, or when there have been `rise` of them."""
        if not self.up and self.rising + 1 < self.check.rise:
            self.rising += 1
            return Change.NONE, self.check.delay_loop
        self.rising = 0
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

    @property
    def name(self) -> str:
        """The keyword."""
        return f"{self.kind.name}_CHECK"

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
        self.decided = old.decided
        self.rising = min(old.rising, self.check.rise - 1)
        self.retries = self.check.retry + 1 if not old.up else min(old.retries, self.check.retry)

    @property
    def retries_left(self) -> int:
        """Failures that would still be forgiven."""
        return max(0, self.check.retry - self.retries) if self.up else 0

    @property
    def successes_left(self) -> int:
        """How many successes in a row it still takes to come up; 0 while up."""
        return 0 if self.up else self.check.rise - self.rising

    def mail(self, change: Change, report: Report) -> str:  # noqa: ARG002
        """The body of keepalived's mail about this change."""
        return f"=> {self.word} {'succeed' if change.up else 'failed'} on service <="


class TcpChecker(Checker):
    """TCP_CHECK."""

    __slots__ = ()
    kind = Kind.TCP
    word = "TCP CHECK"

    def fail(self) -> tuple[Change, Ns]:
        """As for all, but while down and not yet run (alpha after a reload) waiting does not count as a retry."""
        if not self.up and not self.has_run and self.retries < self.check.retry:
            return Change.NONE, self.check.delay_loop
        return super().fail()

    def interval(self) -> Ns:
        if not self.up and self.retries < self.check.retry:
            return self.check.delay_loop  # a failure changes nothing here
        return super().interval()


class UdpChecker(TcpChecker):
    """UDP_CHECK."""

    __slots__ = ()
    kind = Kind.UDP
    word = "UDP CHECK"


class PingChecker(TcpChecker):
    """PING_CHECK."""

    __slots__ = ()
    kind = Kind.PING
    word = "ICMP CHECK"


class DnsChecker(Checker):
    """DNS_CHECK."""

    __slots__ = ()
    kind = Kind.DNS
    word = "DNS_CHECK:"


class SmtpChecker(Checker):
    """SMTP_CHECK: every cycle has all its retries, the first one and those while down, too."""

    __slots__ = ()
    kind = Kind.SMTP
    check: SmtpCheck

    def __init__(self, target: int, check: SmtpCheck, *, up: bool, fresh: bool, since: Ns) -> None:  # noqa: ARG002
        super().__init__(target, check, up=up, fresh=False, since=since)

    def fail(self) -> tuple[Change, Ns]:
        if self.retries < self.check.retry:
            self.retries += 1
            return Change.NONE, self.check.delay_before_retry
        self.retries = 0
        return self._down(), self.check.delay_loop

    def interval(self) -> Ns:
        if not self.has_run or self.retries or (not self.up and self.check.retry):
            return 0
        return self.check.delay_loop

    def adopt(self, old: Checker) -> None:
        super().adopt(old)
        self.retries = 0

    @property
    def retries_left(self) -> int:
        return self.check.retry - self.retries

    def mail(self, change: Change, report: Report) -> str:
        return (
            "=> CHECK succeed on service <=" if change.up else f"=> CHECK failed on service : {_smtp_reason(report)} <="
        )


def _smtp_reason(report: Report) -> str:
    if report.verdict == Verdict.STATUS:
        return f"answer {report.status}" if report.status else "answer without a code"
    if report.verdict == Verdict.TIMEOUT:
        return "timed out"
    return "connection closed" if report.verdict == Verdict.NO_DATA else "cannot connect"


INT_MIN, INT_MAX = -(2**31), 2**31 - 1


class FileChecker(Checker):
    """FILE_CHECK. `value` is the number in the file, None: not told yet; `amount` what it adds to the weight.

    It begins as up, whatever alpha says, and counts as having run.
    """

    __slots__ = ("amount", "heard_wall", "value")
    kind = Kind.FILE
    check: FileCheck

    def __init__(self, target: int, check: FileCheck, *, up: bool, fresh: bool, since: Ns) -> None:  # noqa: ARG002
        super().__init__(target, check, up=True, fresh=False, since=since)
        self.has_run = True
        self.value: int | None = None
        self.amount = 0
        self.heard_wall = 0.0

    def judge(self, value: int) -> tuple[bool, int]:
        """(failure, what is added to the weight) for a number in the file."""
        check = self.check
        if not check.weight:
            return (value == 0) if check.reverse else (value != 0), 0
        amount = max(INT_MIN, min(INT_MAX, value * check.weight * (-1 if check.reverse else 1)))
        return (True, 0) if amount == INT_MIN else (False, amount)

    def fail(self) -> tuple[Change, Ns]:
        return self._down(), 0

    def adopt(self, old: Checker) -> None:
        super().adopt(old)
        self.retries = 0
        if isinstance(old, FileChecker):
            self.value = old.value
            self.amount = old.amount
            self.heard_wall = old.heard_wall

    def mail(self, change: Change, report: Report) -> str:  # noqa: ARG002
        return f"=> FILE CHECK {self.check.track_file} {'succeeded' if change.up else 'failed'} on service <="


class RunnerChecker(Checker):
    """A check that the runner carries out: what it said of the last run is kept here, there is no engine to ask."""

    __slots__ = ("errno", "heard", "lateness", "seen_wall", "status", "text", "verdict")
    mails_first = True

    def __init__(self, target: int, check: Check, *, up: bool, fresh: bool, since: Ns) -> None:
        super().__init__(target, check, up=up, fresh=fresh, since=since)
        self.status = 0
        """Exit code of the last run, 128 + signal; a service's own code."""
        self.errno = 0
        self.text = ""
        """The result in the words of the runner."""
        self.verdict = Verdict.LOCAL
        """Of the last run."""
        self.heard = since
        """When the runner last said anything about it, or was to start it."""
        self.seen_wall = 0.0
        self.lateness = 0

    def note(self, report: Report) -> None:
        """Keep what came of a run."""
        self.verdict, self.errno, self.status, self.text = report.verdict, report.errno, report.status, report.text

    @property
    def patience(self) -> Ns:
        """How long a run may take."""
        raise NotImplementedError

    def adopt(self, old: Checker) -> None:
        super().adopt(old)
        if isinstance(old, RunnerChecker):
            self.status = old.status
            self.errno = old.errno
            self.text = old.text
            self.verdict = old.verdict
            self.seen_wall = old.seen_wall


class MiscChecker(RunnerChecker):
    """MISC_CHECK. `weight` is what a dynamic script last asked for, None: the configured one."""

    __slots__ = ("weight",)
    kind = Kind.SCRIPT
    name = "MISC_CHECK"
    check: MiscCheck

    def __init__(self, target: int, check: MiscCheck, *, up: bool, fresh: bool, since: Ns) -> None:
        super().__init__(target, check, up=up, fresh=fresh, since=since)
        self.weight: int | None = None

    @property
    def patience(self) -> Ns:
        return self.check.timeout

    def is_failure(self, report: Report) -> bool:
        weighs = self.check.dynamic and report.verdict == Verdict.EXIT and 2 <= report.status <= 255
        return report.verdict != Verdict.SUCCESS and not weighs

    def succeed(self, status: int) -> tuple[Change, Ns]:
        outcome = super().succeed(status)
        if self.up:
            self.weight = status - 2 if self.check.dynamic and status >= 2 else None
        return outcome

    def _down(self) -> Change:
        self.weight = None
        return super()._down()

    def adopt(self, old: Checker) -> None:
        super().adopt(old)
        if isinstance(old, MiscChecker):
            self.weight = old.weight

    def mail(self, change: Change, report: Report) -> str:
        word = "succeeded" if change.up else "timed out" if report.verdict == Verdict.TIMEOUT else "failed"
        return f"=> MISC CHECK {word} on service <="


class ServiceChecker(RunnerChecker):
    """GRPC_CHECK, MYSQL_CHECK, PGSQL_CHECK, REDIS_CHECK, LDAP_CHECK: the plain rule."""

    __slots__ = ()
    kind = Kind.SERVICE
    mails_first = False
    check: ServiceCheck

    @property
    def name(self) -> str:
        return f"{self.check.service}_CHECK"

    @property
    def patience(self) -> Ns:
        return self.check.deadline or 2 * self.check.connection.connect_timeout

    def mail(self, change: Change, report: Report) -> str:  # noqa: ARG002
        return f"=> {self.name}: {'succeed' if change.up else 'failed'} on service <="


class HttpChecker(Checker):
    """HTTP_GET. `url` is the index fetched next; `failed_url` the one that took the checker down, -1: none."""

    __slots__ = ("failed_url", "url")
    kind = Kind.HTTP
    check: HttpCheck

    def __init__(self, target: int, check: HttpCheck, *, up: bool, fresh: bool, since: Ns) -> None:
        super().__init__(target, check, up=up, fresh=fresh, since=since)
        self.url = 0
        self.failed_url = -1

    @property
    def name(self) -> str:
        return "SSL_GET" if self.check.tls else "HTTP_GET"

    def succeed(self, status: int) -> tuple[Change, Ns]:
        hurry = self.check.fast_recovery and not (self.up and self.has_run)
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
            return 0 if self.retries else self.check.delay_loop
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


_CLASSES: Final[dict[type, type[Checker]]] = {
    TcpCheck: TcpChecker,
    HttpCheck: HttpChecker,
    MiscCheck: MiscChecker,
    UdpCheck: UdpChecker,
    DnsCheck: DnsChecker,
    SmtpCheck: SmtpChecker,
    PingCheck: PingChecker,
    FileCheck: FileChecker,
    ServiceCheck: ServiceChecker,
}


def make(target: int, check: Check, *, up: bool, fresh: bool, since: Ns) -> Checker:
    """The checker for a definition."""
    return _CLASSES[type(check)](target, check, up=up, fresh=fresh, since=since)


def same_parameters(one: Check, other: Check) -> bool:
    """Whether a reload may hand the state of `one` to `other`: same kind, same thing probed; timing may differ.

    Rule of keepalived: connection options for network kinds (not the HTTP version, nor the payload of UDP), urls in
    order, the HELO name, type and name of a query, command and dynamic flag of a script. HTTP and SSL are one kind. A
    file is judged anew in any case. Of our own words: the dialogue, the PROXY header, what a certificate must be.
    """
    return _essence(one) == _essence(other)


def _essence(check: Check) -> tuple[object, ...]:
    match check:
        case HttpCheck():
            return Kind.HTTP, check.connection, check.urls, check.proxy, check.judge
        case TcpCheck():
            dialogue = check.talk, check.tls, check.starttls, check.sni
            return Kind.TCP, check.connection, dialogue, check.proxy, check.judge
        case SmtpCheck():
            return Kind.SMTP, check.connection, check.helo_name, check.proxy
        case DnsCheck():
            return Kind.DNS, check.connection, check.type, check.name
        case MiscCheck():
            return Kind.SCRIPT, check.command, check.dynamic
        case FileCheck():
            return Kind.FILE, check.track_file
        case ServiceCheck():
            return check.service, check.connection, check.name
    return _CLASSES[type(check)].kind, check.connection
