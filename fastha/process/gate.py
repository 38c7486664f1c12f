"""Bounded concurrency for scripts: so many at once, the others wait their turn, and how late they start is counted."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from fastha.model.plan import Command
from fastha.model.units import Ns
from fastha.system.scripts import Launcher, Result, Run

_PER_TURN: Final = 8


@dataclass(slots=True, eq=False)
class Ticket:
    """A run asked for: waiting, running, or over."""

    command: Command
    due: Ns
    on_done: Callable[[Result], None]
    extra: Sequence[str] = ()
    timeout: Ns = 0
    on_line: Callable[[str], None] | None = None
    on_start: Callable[[], None] | None = None
    """Called as it starts, or cannot be started."""
    run: Run | None = None
    lateness: Ns = 0
    """How long after `due` it started."""
    cancelled: bool = False
    counts: bool = False
    """It takes one of the places."""


class Gate:
    """Lets `limit` runs through at a time, in order."""

    def __init__(self, launcher: Launcher, limit: int) -> None:
        self.limit = limit
        self._launcher = launcher
        self._waiting: deque[Ticket] = deque()
        self._asked = False
        self.running = 0
        self.latest: Ns = 0
        """The worst lateness so far."""

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def submit(self, ticket: Ticket) -> Ticket:
        """Run it as soon as there is a place. `on_done` is never called from inside this."""
        self._waiting.append(ticket)
        self._admit_soon()
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Do not run it any more; a run in progress is ended. `on_done` is not called."""
        ticket.cancelled = True
        if ticket.run is not None:
            ticket.run.terminate()

    def excuse(self, ticket: Ticket) -> None:
        """It goes on running, but no longer keeps others from starting."""
        if ticket.counts:
            ticket.counts = False
            self.running -= 1
            self._admit_soon()

    def _admit(self) -> None:
        """Start what may start, a few in one turn of the loop: starting a program takes a millisecond."""
        self._asked = False
        for _ in range(_PER_TURN):
            if not self._waiting or self.running >= self.limit:
                return
            ticket = self._waiting.popleft()
            if ticket.cancelled:
                continue
            ticket.lateness = max(0, time.monotonic_ns() - ticket.due)
            self.latest = max(self.latest, ticket.lateness)
            ticket.counts = True
            self.running += 1
            ticket.run = self._launcher.start(
                ticket.command,
                lambda result, ticket=ticket: self._ended(ticket, result),  # type: ignore[misc]
                extra=ticket.extra,
                timeout=ticket.timeout,
                on_line=ticket.on_line,
            )
            if ticket.on_start is not None:
                ticket.on_start()
        if self._waiting and self.running < self.limit:
            self._admit_soon()

    def _admit_soon(self) -> None:
        if not self._asked:
            self._asked = True
            self._launcher.loop.call_soon(self._admit)

    def _ended(self, ticket: Ticket, result: Result) -> None:
        ticket.run = None
        if ticket.counts:
            ticket.counts = False
            self.running -= 1
        if not ticket.cancelled:
            ticket.on_done(result)
        self._admit_soon()
