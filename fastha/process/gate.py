"""Bounded concurrency for scripts: so many at once, the others wait their turn, and how late they start is counted."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from fastha.model.plan import Command
from fastha.model.units import Ns
from fastha.process.turns import Lateness, Turns
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
    group: str = ""
    """Whom it is for: a group that is slow must leave places for others (`Turns`)."""
    run: Run | None = None
    lateness: Ns = 0
    """How long after `due` it started."""
    cancelled: bool = False
    counts: bool = False
    """It takes one of the places."""


class Gate:
    """Lets `limit` runs through at a time, in order within each group."""

    def __init__(self, launcher: Launcher, limit: int) -> None:
        self._launcher = launcher
        self._turns: Turns[Ticket] = Turns(limit)
        self._asked = False
        self.lateness = Lateness()
        """How late runs started."""

    @property
    def limit(self) -> int:
        return self._turns.limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._turns.limit = limit
        self._admit_soon()

    @property
    def waiting(self) -> int:
        return len(self._turns)

    @property
    def running(self) -> int:
        """Those that take a place."""
        return self._turns.held

    def submit(self, ticket: Ticket) -> Ticket:
        """Run it as soon as there is a place. `on_done` is never called from inside this."""
        self._turns.put(ticket.group, ticket)
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
            self._turns.leave(ticket.group)
            self._admit_soon()

    def _admit(self) -> None:
        """Start what may start, a few in one turn of the loop: starting a program takes a millisecond."""
        self._asked = False
        for _ in range(_PER_TURN):
            ticket = self._turns.take()
            if ticket is None:
                return
            if ticket.cancelled:
                self._turns.leave(ticket.group)
                continue
            ticket.lateness = max(0, time.monotonic_ns() - ticket.due)
            self.lateness.count(ticket.lateness)
            ticket.counts = True
            ticket.run = self._launcher.start(
                ticket.command,
                lambda result, ticket=ticket: self._ended(ticket, result),  # type: ignore[misc]
                extra=ticket.extra,
                timeout=ticket.timeout,
                on_line=ticket.on_line,
            )
            if ticket.on_start is not None:
                ticket.on_start()
        self._admit_soon()

    def _admit_soon(self) -> None:
        if not self._asked and self._turns:
            self._asked = True
            self._launcher.loop.call_soon(self._admit)

    def _ended(self, ticket: Ticket, result: Result) -> None:
        ticket.run = None
        if ticket.counts:
            ticket.counts = False
            self._turns.leave(ticket.group)
        if not ticket.cancelled:
            ticket.on_done(result)
        self._admit_soon()
