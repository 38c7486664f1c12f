"""What the director wants done: orders for the engines, words for the world and the log, parts of the table to look at.
It comes together while a report, a tick or a reload is handled."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from fastha.checks.actions import Action, Order
from fastha.checks.life import Checker, FileChecker, HttpChecker
from fastha.checks.recipes import Report, Verdict
from fastha.checks.words import file_words, result_words
from fastha.lvs.notices import Notice, server_name
from fastha.lvs.quorum import Pool, Server, kernel_key
from fastha.model.table import DestinationKey, ServiceKey


@dataclass(slots=True)
class Effects:
    """What is to be done, in order within each list."""

    orders: list[Order] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    lines: list[tuple[str, str, str]] = field(default_factory=list)
    """(level, text, cause) for the log; lines are limited per cause, here per virtual server."""
    touched: dict[ServiceKey, set[DestinationKey] | None] = field(default_factory=dict)
    """What may differ from the kernel now; None: the whole service."""

    def order(self, actions: Iterable[Action]) -> None:
        self.orders += [action for action in actions if isinstance(action, Order)]

    def touch(self, pool: Pool, server: Server) -> None:
        for at in pool.services:
            keys = self.touched.setdefault(at, set())
            if keys is not None:
                keys.add(kernel_key(at, server.plan) if pool.plan.group else server.key)

    def touch_all(self, pool: Pool) -> None:
        for at in pool.services:
            self.touched[at] = None

    def say(self, pool: Pool, level: str, text: str) -> None:
        self.lines.append((level, f"{pool.plan.name}: {text}", pool.plan.name))

    def announce(self, pool: Pool, notices: list[Notice]) -> None:
        """Have it told, and say in the log what became of the quorum."""
        self.notices += notices
        for notice in notices:
            if notice.kind == "VS":
                gained = notice.state == "UP"
                weight = f"weight {pool.alive_weight}, quorum {pool.plan.quorum}, hysteresis {pool.plan.hysteresis}"
                sorry = "; the sorry server serves" if pool.sorry_in_use else ""
                level, word = ("notice", "gained") if gained else ("warning", "lost")
                self.say(pool, level, f"quorum {word}: {weight}{sorry}")

    def say_panic(self, pool: Pool) -> None:
        alive = f"{pool.alive_count} of {pool.primaries} servers are alive"
        alive += f", panic_threshold {pool.plan.panic_threshold} %"
        if pool.panics:
            self.say(pool, "warning", f"all servers serve, whatever their checks say: {alive}")
        else:
            self.say(pool, "notice", f"checks decide again: {alive}")

    def say_result(self, checker: Checker, server: Server, report: Report, level: str, state: str) -> None:
        """What a report says of a server's checker, and what became of it."""
        if isinstance(checker, FileChecker):
            words = file_words(checker)
        else:
            words = result_words(
                checker.check, report.verdict, report.errno, report.status, url=_url(checker), text=report.text
            )
        self.say(server.pool, level, f"{server_name(server.pool.plan, server.plan)}: {checker.name} {state}: {words}")

    def say_unchanged(self, checker: Checker, server: Server, report: Report) -> None:
        """A result that decides nothing is worth a line when we are to blame, or when it was asked for."""
        if report.verdict == Verdict.LOCAL:
            self.say_result(checker, server, report, "warning", "is as it was")
        elif checker.check.log_all_failures and checker.up and checker.is_failure(report):
            self.say_result(checker, server, report, "warning", f"fails, {checker.retries_left} retries left")


def _url(checker: Checker) -> int:
    """The url a result of this checker was about: the failed one while it is down."""
    if not isinstance(checker, HttpChecker):
        return 0
    return checker.failed_url if checker.failed_url >= 0 else checker.url
