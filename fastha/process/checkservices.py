"""Service checks (GRPC_CHECK, MYSQL_CHECK, ...): the checker's standing orders for dialogues, carried out here.

As for the probe engine: while a dialogue ends as expected it is only counted and held again `interval` after its
scheduled start; on any other end the target is held and a `ServiceReport` goes to the checker, which answers with the
next order. So many at a time, fair among virtual servers (`Turns`).
"""

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from fastha.checks.recipes import Verdict
from fastha.model.snapshot import Histogram
from fastha.model.units import Ns, S
from fastha.process.messages import Message, ScriptDrop, ServiceOrder, ServiceReport, ServiceSeen
from fastha.process.outcomes import Outcomes
from fastha.process.turns import Lateness, Turns
from fastha.system.dialogues.dial import Answer
from fastha.system.dialogues.hold import hold

AT_ONCE: Final = 256
"""Dialogues at a time, and threads at most for those that need one."""
_SEEN_EVERY: Final = 1.0
"""Seconds."""
_SEEN_CHUNK: Final = 300


class _Target:
    """One checker's dialogue."""

    __slots__ = ("due", "group", "order", "owner", "task", "timer", "waits")

    def __init__(self, order: ServiceOrder, owner: "CheckServices") -> None:
        self.owner = owner
        self.group = order.group
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.waits = False
        """In line for a place."""
        self.obey(order)

    def obey(self, order: ServiceOrder) -> None:
        self.cancel()
        self.order = order
        self.due = time.monotonic_ns() + order.delay
        self._schedule()

    def _schedule(self) -> None:
        wait = max(0, self.due - time.monotonic_ns())
        self.timer = self.owner.loop.call_later(wait / S, self._start)

    def _start(self) -> None:
        self.timer = None
        if not self.waits:  # an earlier order may still be in line: then its place serves this one
            self.waits = True
            self.owner.wants_to_run(self)

    def run(self) -> None:
        """There is a place."""
        self.waits = False
        self.task = self.owner.loop.create_task(self._run(self.order))
        self.task.add_done_callback(lambda _: self.owner.over(self.group))

    async def _run(self, order: ServiceOrder) -> None:
        started = time.monotonic_ns()
        lateness = max(0, started - self.due)
        self.owner.lateness.count(lateness)
        kind = order.check.service.lower()
        self.owner.outcomes.started(kind)
        answer = await hold(order.check, self.owner.threads)
        self.owner.outcomes.ended(kind, answer.verdict)
        self.task = None
        finished = time.monotonic_ns()
        expected = (answer.verdict is Verdict.SUCCESS) == order.expect_success and answer.verdict is not Verdict.LOCAL
        if expected and order.interval:
            self.owner.seen(order.target, answer, lateness)
            self.due = _following(self.due, order.interval, order.check.jitter, finished)
            self._schedule()
            return
        self.owner.report(
            ServiceReport(
                target=order.target,
                generation=order.generation,
                verdict=int(answer.verdict),
                errno=answer.errno,
                status=answer.status,
                text=answer.text,
                ended_wall=time.time(),
                duration=finished - started,
                lateness=lateness,
            )
        )

    def cancel(self) -> None:
        """Forget what was to be done; a dialogue under way is broken off."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.task is not None:
            self.task.cancel()
            self.task = None


def _following(due: Ns, interval: Ns, jitter: Ns, now: Ns) -> Ns:
    """The next start: in the phase of the last one, what has been missed left out, then moved by the jitter."""
    following = due + interval
    if following < now:
        following += -(-(now - following) // interval) * interval
    return following + random.randint(-jitter, jitter) if jitter else following  # noqa: S311 - it only spreads


class CheckServices:
    """All service checks of the checker process. `send` says a message to it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Callable[[Message], None]) -> None:
        self.loop = loop
        self.report = send
        self.threads = ThreadPoolExecutor(AT_ONCE, "fastha-login")
        self.lateness = Lateness()
        self.outcomes = Outcomes()
        self._send = send
        self._turns: Turns[_Target] = Turns(AT_ONCE)
        self._targets: dict[int, _Target] = {}
        self._seen: dict[int, tuple[int, str, float, Ns]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.held = 0
        """Dialogues held so far."""

    def __len__(self) -> int:
        return len(self._targets)

    @property
    def waiting(self) -> int:
        return len(self._turns)

    @property
    def running(self) -> int:
        return self._turns.held

    def take(self, message: ServiceOrder | ScriptDrop) -> None:
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

    def close(self) -> None:
        """No more dialogues; threads at work end with their connections."""
        self.forget_all()
        if self._timer is not None:
            self._timer.cancel()
        self.threads.shutdown(wait=False, cancel_futures=True)

    def histogram(self) -> Histogram:
        """How late dialogues began."""
        return self.lateness.histogram()

    # ------------------------------------------------------------------------------- for the targets

    def wants_to_run(self, target: _Target) -> None:
        """As soon as there is a place."""
        self._turns.put(target.group, target)
        self._admit()

    def over(self, group: str) -> None:
        """A dialogue has ended: its place is free."""
        self._turns.leave(group)
        self._admit()

    def _admit(self) -> None:
        while (target := self._turns.take()) is not None:
            if (
                self._targets.get(target.order.target) is not target
                or target.task is not None
                or target.timer is not None
            ):
                # it was dropped, or has another order that is not due yet
                target.waits = False
                self._turns.leave(target.group)
                continue
            self.held += 1
            target.run()

    def seen(self, target: int, answer: Answer, lateness: Ns) -> None:
        """An expected end: told with others, at most once a second."""
        self._seen[target] = (int(answer.verdict), answer.text, time.time(), lateness)
        if self._timer is None:
            self._timer = self.loop.call_later(_SEEN_EVERY, self._tell_seen)

    def _tell_seen(self) -> None:
        self._timer = None
        rows = [(target, *row) for target, row in self._seen.items()]
        self._seen.clear()
        for at in range(0, len(rows), _SEEN_CHUNK):
            self._send(ServiceSeen(tuple(rows[at : at + _SEEN_CHUNK])))
