"""MISC_CHECK: the checker's standing orders for scripts, carried out here.

While a script ends as expected it is only counted and run again `interval` after its last start; on any other end the
target is held and a `ScriptReport` goes to the checker, which answers with the next order.
"""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final

from fastha.checks.recipes import Verdict
from fastha.model.plan import Command
from fastha.model.units import Ns, S
from fastha.process.gate import Gate, Ticket
from fastha.process.messages import Message, ScriptDrop, ScriptOrder, ScriptReport, ScriptSeen
from fastha.process.outcomes import Outcomes
from fastha.system.scripts import Result

_SEEN_EVERY: Final = 1.0
"""Seconds."""
_SEEN_CHUNK: Final = 500
_KIND: Final = "misc"
_CANNOT_RUN: Final = (126, 127)
"""What a shell says of a command that it could not run."""


class _Target:
    """One checker's script."""

    __slots__ = ("command", "due", "order", "owner", "ticket", "timer")

    def __init__(self, order: ScriptOrder, owner: "CheckScripts") -> None:
        self.owner = owner
        self.ticket: Ticket | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.obey(order)

    def obey(self, order: ScriptOrder) -> None:
        self.cancel()
        self.order = order
        self.command = Command(argv=order.argv, uid=order.uid, gid=order.gid, groups=order.groups, shell=order.shell)
        self.due = time.monotonic_ns() + order.delay
        self._schedule()

    def _schedule(self) -> None:
        wait = max(0, self.due - time.monotonic_ns())
        self.timer = self.owner.loop.call_later(wait / S, self._start)

    def _start(self) -> None:
        self.timer = None
        order = self.order
        self.owner.outcomes.started(_KIND)
        ticket = Ticket(self.command, self.due, self._ended, timeout=order.timeout, group=order.group)
        self.ticket = self.owner.gate.submit(ticket)

    def _ended(self, result: Result) -> None:
        assert self.ticket is not None
        lateness, self.ticket = self.ticket.lateness, None
        order = self.order
        error = result.error
        if order.shell and result.status in _CANNOT_RUN:
            error = result.output or f"the shell says {result.status}"
        self.owner.outcomes.ended(_KIND, _verdict(order, result, error))
        if order.interval and not error and _expected(order, result):
            self.owner.seen(order.target, result.status, lateness)
            moved = random.randint(-order.jitter, order.jitter) if order.jitter else 0  # noqa: S311 - it only spreads
            self.due = result.started + order.interval + moved
            self._schedule()
            return
        self.owner.report(
            ScriptReport(
                target=order.target,
                generation=order.generation,
                status=result.status,
                timed_out=result.timed_out,
                started_wall=result.started_wall,
                duration=result.finished - result.started,
                error=error,
                signal=result.signal or 0,
                lateness=lateness,
            )
        )

    def cancel(self) -> None:
        """Forget what was to be done; a run in progress is ended."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.ticket is not None:
            self.owner.gate.cancel(self.ticket)
            self.ticket = None


def _expected(order: ScriptOrder, result: Result) -> bool:
    """misc_dynamic: exit codes from 2 on are success too, and then only the very code is the expected one."""
    if result.timed_out or result.signal:
        return not order.expect_success
    if order.dynamic:
        success = result.status != 1
        return success == order.expect_success and (not success or result.status == order.expect_status)
    return (result.status == 0) == order.expect_success


def _verdict(order: ScriptOrder, result: Result, error: str) -> Verdict:
    """For the counters."""
    if error:
        return Verdict.LOCAL
    if result.timed_out:
        return Verdict.TIMEOUT
    weighs = order.dynamic and result.status != 1 and not result.signal
    return Verdict.SUCCESS if weighs or not (result.status or result.signal) else Verdict.EXIT


class CheckScripts:
    """All script checks of the checker process. `send` says a message to it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, gate: Gate, send: Callable[[Message], None]) -> None:
        self.loop = loop
        self.gate = gate
        self.report = send
        self.outcomes = Outcomes()
        self._send = send
        self._targets: dict[int, _Target] = {}
        self._seen: dict[int, tuple[int, float, Ns]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._targets)

    def take(self, message: ScriptOrder | ScriptDrop) -> None:
        """Obey."""
        target = self._targets.get(message.target)
        if isinstance(message, ScriptDrop):
            if target is not None:
                target.cancel()
                del self._targets[message.target]
                self._seen.pop(message.target, None)
        elif target is not None:
            target.obey(message)
        else:
            self._targets[message.target] = _Target(message, self)

    def forget_all(self) -> None:
        """The checker that gave these orders is gone."""
        for target in self._targets.values():
            target.cancel()
        self._targets.clear()
        self._seen.clear()

    def seen(self, target: int, status: int, lateness: Ns) -> None:
        """An expected end: told with others, at most once a second."""
        self._seen[target] = (status, time.time(), lateness)
        if self._timer is None:
            self._timer = self.loop.call_later(_SEEN_EVERY, self._tell_seen)

    def _tell_seen(self) -> None:
        self._timer = None
        rows = [(target, *row) for target, row in self._seen.items()]
        self._seen.clear()
        for at in range(0, len(rows), _SEEN_CHUNK):
            self._send(ScriptSeen(tuple(rows[at : at + _SEEN_CHUNK])))
