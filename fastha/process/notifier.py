"""Telling the world: for each event its state script, the generic notify, the FIFOs, a mail, in this order.

Scripts of one object run in the order of its events: those of the next event wait until those of the one before have
ended, but not longer than `PATIENCE`; a script that hangs must not hold back the news that we are MASTER. FIFO lines
are written at once.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from fastha.model.plan import Command, Fifo, Mail, Notifies, RunnerPlan
from fastha.process.fiforeaders import FifoReader
from fastha.process.gate import Gate, Ticket
from fastha.process.messages import Tell
from fastha.system import fifo
from fastha.system.mail import Mailer
from fastha.system.scripts import Launcher, Result

PATIENCE: Final = 1.0
"""Seconds the next event's scripts wait for the last one's."""
STOP_PATIENCE: Final = 0.5
"""The same at the end."""
_LAST_WORDS: Final = 10.0
"""Seconds after a reload in which the objects it removed are still told of."""
_LINE: Final = 64
"""Events of one object that may wait for their scripts."""
_GENERIC: Final = ("MASTER", "BACKUP", "FAULT", "STOP", "DELETED")
_SERVICE_EVENTS: Final = {"UP": "QUORUM_UP", "DOWN": "QUORUM_DOWN"}
"""FIFO word -> key of the command, for virtual servers."""

Job = list[tuple[Command, tuple[str, ...]]]


def fifo_line(tell: Tell) -> bytes:
    """The line of an event. Virtual and real servers' lines have a NUL behind them, as keepalived writes them."""
    if tell.kind in ("INSTANCE", "GROUP"):
        priority = 0 if tell.kind == "GROUP" else tell.priority
        return f'{tell.kind} "{tell.name}" {tell.state} {priority}\n'.encode(errors="surrogateescape")
    return f"{tell.kind} {tell.name} {tell.state}\n\0".encode(errors="surrogateescape")


def job_of(tell: Tell, notifies: Notifies) -> Job:
    """What an event runs: its own script, then `notify` with four more words."""
    key = _SERVICE_EVENTS.get(tell.state, tell.state) if tell.kind == "VS" else tell.state
    job: Job = []
    if (own := notifies.commands.get(key)) is not None:
        job.append((own, ()))
    if notifies.generic is not None and tell.state in _GENERIC:
        priority = 0 if tell.kind == "GROUP" else tell.priority
        job.append((notifies.generic, (tell.kind, tell.name, tell.state, str(priority))))
    return job


@dataclass(slots=True)
class _Line:
    """The events of one object that still have scripts to run, each with whom to tell that they were started."""

    jobs: deque[tuple[Job, Callable[[], None]]] = field(default_factory=deque)
    running: list[Ticket] = field(default_factory=list)
    """Those of the event at hand that have not ended."""
    timer: asyncio.TimerHandle | None = None


class Notifier:
    """Scripts, FIFOs and mail for all objects of a RunnerPlan."""

    def __init__(  # noqa: PLR0917 - what it works with
        self,
        loop: asyncio.AbstractEventLoop,
        launcher: Launcher,
        gate: Gate,
        log: Callable[[str, str, str], None],
        made: fifo.Made,
        spool: str | None = None,
    ) -> None:
        """`spool`: a file for mail that is not delivered yet."""
        self._loop = loop
        self._launcher = launcher
        self._gate = gate
        self._log = log
        self._made = made
        self._spool = spool
        self._patience = PATIENCE
        self._plan = RunnerPlan()
        self._notifies: dict[tuple[str, str], Notifies] = {}
        self._removed: dict[tuple[str, str], Notifies] = {}
        """Of objects that the last reload removed: their last words come a moment after it."""
        self._lines: dict[tuple[str, str], _Line] = {}
        self._fifos: dict[Fifo, tuple[fifo.Fifo, FifoReader | None]] = {}
        self._mailer: Mailer | None = None
        self.told = 0
        self.lost = 0
        self.fifo_lost = 0

    # ------------------------------------------------------------------------------------------ plan

    def adopt(self, plan: RunnerPlan) -> None:
        """Go over to `plan`. FIFOs and mail that did not change stay as they are."""
        notifies = {(each.kind, each.name): each for each in plan.notifies}
        self._removed = {key: each for key, each in self._notifies.items() if key not in notifies}
        self._notifies = notifies
        self._loop.call_later(_LAST_WORDS, self._removed.clear)
        for gone in [each for each in self._fifos if each not in plan.fifos]:
            self._close_fifo(gone)
        for each in plan.fifos:
            if each not in self._fifos:
                self._open_fifo(each)
        if plan.mail != self._plan.mail:
            self._adopt_mail(plan.mail)
        self._plan = plan

    def _adopt_mail(self, plan: Mail | None) -> None:
        """What is queued goes as the new words say."""
        if self._mailer is None:
            self._mailer = None if plan is None else Mailer(plan, self._mail_problem, self._spool)
        elif plan is None:
            self._mailer.close(0.0)
            self._mailer = None
        else:
            self._mailer.plan = plan

    def _open_fifo(self, plan: Fifo) -> None:
        try:
            pipe = fifo.Fifo(plan.path, plan.uid, plan.gid, self._loop, self._made)
        except OSError as error:
            self._log("error", f"notify FIFO {plan.path} is not used: {error.strerror or error}", plan.path)
            return
        reader = None
        if plan.script is not None:
            reader = FifoReader(self._loop, self._launcher, plan.script, plan.path, self._log)
        self._fifos[plan] = (pipe, reader)

    def _close_fifo(self, plan: Fifo, *, leave: bool = False) -> None:
        pipe, reader = self._fifos.pop(plan)
        if reader is not None:
            reader.close()
        if pipe.waiting:
            text = f"notify FIFO {plan.path}: nobody read the last {pipe.waiting} lines; they are lost"
            self._log("warning", text, plan.path)
        self.fifo_lost += pipe.lost + pipe.waiting
        pipe.close(leave=leave)

    def _mail_problem(self, text: str) -> None:
        """Called from the mail thread."""
        self._loop.call_soon_threadsafe(self._log, "warning", text, "mail")

    # ---------------------------------------------------------------------------------------- events

    def tell(self, tell: Tell, told: Callable[[], None]) -> None:
        """Something happened. `told` is called when all that it asks for has been started."""
        self.told += 1
        key = (tell.kind, tell.name)
        notifies = self._notifies.get(key) or self._removed.get(key)
        job = job_of(tell, notifies) if notifies is not None and tell.state and not tell.only_fifo else []
        if job:
            self._enqueue(key, job, told)
        if tell.state:
            self._write_fifos(tell)
        if notifies is not None and not tell.only_fifo:
            self._mail(tell, notifies)
        if not job:
            told()

    def _write_fifos(self, tell: Tell) -> None:
        line = b""
        for plan, (pipe, _) in self._fifos.items():
            if tell.kind in plan.kinds:
                line = line or fifo_line(tell)
                before = pipe.lost
                pipe.write(line)
                if pipe.lost != before:
                    self._log("warning", f"notify FIFO {plan.path} is full: lines are lost", plan.path)

    def _mail(self, tell: Tell, notifies: Notifies) -> None:
        if self._mailer is None or not tell.mail_body or not notifies.smtp_alert:
            return
        if tell.state == "FAULT" and self._mailer.plan.no_email_faults:
            return
        self._mailer.send(f"[{self._plan.router_id}] {tell.mail_subject}", tell.mail_body)

    # --------------------------------------------------------------------------------------- scripts

    def _enqueue(self, key: tuple[str, str], job: Job, told: Callable[[], None]) -> None:
        line = self._lines.setdefault(key, _Line())
        if len(line.jobs) >= _LINE:
            self.lost += 1
            text = f"{key[0]} {key[1]}: {_LINE} events wait for their scripts, the oldest is lost"
            self._log("warning", text, f"lost {key}")
            line.jobs.popleft()[1]()
        line.jobs.append((job, told))
        if line.timer is None:
            self._next(key, line)

    def _next(self, key: tuple[str, str], line: _Line) -> None:
        """Start the scripts of the next event, or forget the line."""
        if line.timer is not None:
            line.timer.cancel()
            line.timer = None
        if not line.jobs:
            del self._lines[key]
            return
        job, told = line.jobs.popleft()
        line.timer = self._loop.call_later(self._patience, self._impatient, key, line)
        line.running = [self._ticket(key, line, command, extra) for command, extra in job]
        line.running[-1].on_start = told
        for ticket in list(line.running):
            self._gate.submit(ticket)

    def _ticket(self, key: tuple[str, str], line: _Line, command: Command, extra: tuple[str, ...]) -> Ticket:
        def ended(result: Result) -> None:
            self._ended(key, line, ticket, result)

        ticket = Ticket(command, time.monotonic_ns(), ended, extra=extra, on_line=self._line_of(command))
        return ticket

    def _line_of(self, command: Command) -> Callable[[str], None]:
        return lambda text: self._log("info", f"{command.argv[0]}: {text}", command.argv[0])

    def _ended(self, key: tuple[str, str], line: _Line, ticket: Ticket, result: Result) -> None:
        if not result.success:
            words = " ".join([*ticket.command.argv, *ticket.extra])
            self._log("notice", f"{key[0]} {key[1]}: notify script {words}: {result.text()}", f"notify {key}")
        if ticket in line.running:
            line.running.remove(ticket)
        if not line.running and self._lines.get(key) is line and line.timer is not None:
            self._next(key, line)

    def _impatient(self, key: tuple[str, str], line: _Line) -> None:
        """They take too long: they run on, and the next event's scripts start beside them."""
        line.timer = None
        for ticket in line.running:
            self._gate.excuse(ticket)
        if line.jobs:
            text = f"{key[0]} {key[1]}: a notify script still runs, the next one starts beside it"
            self._log("warning", text, f"late {key}")
        self._next(key, line)

    # ------------------------------------------------------------------------------------------- end

    @property
    def idle(self) -> bool:
        """No event waits for its scripts."""
        return not self._lines

    def hurry(self) -> None:
        """The end is near: nobody waits longer than `STOP_PATIENCE` any more."""
        self._patience = STOP_PATIENCE
        for key, line in self._lines.items():
            if line.timer is not None:
                line.timer.cancel()
                line.timer = self._loop.call_later(STOP_PATIENCE, self._impatient, key, line)

    async def close(self, mail_patience: float, *, leave: bool) -> None:
        """Close FIFOs, end their readers, give the mail `mail_patience` seconds. `leave` the FIFOs to a successor."""
        for plan in list(self._fifos):
            self._close_fifo(plan, leave=leave)
        if self._mailer is not None:
            await asyncio.to_thread(self._mailer.close, mail_patience, keep=leave)
            if self._mailer.queued:
                self._log("warning", f"{self._mailer.queued} mails were not delivered any more", "mail")

    def counters(self) -> dict[str, int]:
        pipes = [pipe for pipe, _ in self._fifos.values()]
        mailer = self._mailer
        return {
            "told": self.told,
            "notify_lost": self.lost,
            "notify_objects_waiting": len(self._lines),
            "notify_waiting": self._gate.waiting,
            "fifo_waiting": sum(pipe.waiting for pipe in pipes),
            "fifo_lost": self.fifo_lost + sum(pipe.lost for pipe in pipes),
            "mail_queued": mailer.queued if mailer is not None else 0,
            "mail_sent": mailer.sent if mailer is not None else 0,
            "mail_lost": mailer.lost + mailer.failed if mailer is not None else 0,
        }
