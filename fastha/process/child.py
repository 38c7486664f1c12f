"""What the three children share: the life of a process that the supervisor started.

A child is started as `python -m fastha.process.NAME --control FD`. The first `NewPlan` on that channel starts its work,
later ones reload it. It answers the watchdog, hands out its part of the snapshot, keeps links to its peers, and ends
when told so. When the supervisor dies it goes on; a new supervisor retires it by signal (`RETIRE`: stop, release
nothing); nobody claims it for `UNCLAIMED`: it leaves in order.

The work itself is a `Work`; `run_child` is all that a child's `__main__` calls.
"""

import argparse
import asyncio
import faulthandler
import gc
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

import uvloop

from fastha.model import codec
from fastha.process.channel import Channel
from fastha.process.messages import (
    AskSnapshot,
    Link,
    LogLine,
    Message,
    NewPlan,
    NoPeer,
    Ping,
    Pong,
    Ready,
    SnapshotPart,
    States,
    Stop,
    Told,
)
from fastha.process.outbox import Outbox, merge_states
from fastha.process.resume import leave_states
from fastha.system.log import Limiter, Syslog, write_if_ready
from fastha.system.memfd import read_sealed, write_sealed
from fastha.system.proctitle import set_comm

RETIRE: Final = signal.SIGRTMIN + 7
"""Stop and leave everything in the kernel as it is: a new supervisor takes over."""
UNCLAIMED: Final = 30.0
"""Seconds an orphan goes on before it leaves in order."""
_LIMIT_TICK: Final = 5.0
_FLUSH: Final = 2.0

UNUSED: Final = (
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGRTMIN + 2,
    signal.SIGRTMAX - 1,
)
"""The supervisor's; `killall -USR1 keepalived` sends them to all of us."""

P = TypeVar("P")
P_contra = TypeVar("P_contra", contravariant=True)


REFUSED: Final = 100
"""A child that refused its first Plan ends with this and keepalived's exit code on top: so the end that it chose is
told from an accident, for which Python and the parsers of command lines have 1 and 2."""


class Refused(Exception):  # noqa: N818 - it is an answer, not an accident
    """This Plan cannot be put in force here (no IPVS in the kernel, ...): says why, and what to do.

    At the start the child ends then, and the supervisor too, with `exit_code`: another start would change nothing.
    """

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class Work(Protocol[P_contra]):
    """What one kind of child does. All calls come from the loop's thread."""

    def start(self, plan: P_contra, resume: frozenset[str]) -> None:
        """Begin. `resume`: instances to go on as MASTER (`messages.NewPlan`). May raise `Refused`."""

    def reload(self, plan: P_contra) -> None:
        """Go over to `plan` by difference. An exception means: the old one stays in force."""

    def linked(self, peer: str) -> None:
        """There is a (new) peer at the other end: tell it all it must know (trackers, script orders)."""

    def received(self, peer: str, message: Message) -> None:
        """`peer` said something."""

    def healthy(self) -> bool:
        """Whether the core and its engine still move; asked by the watchdog about once a second."""

    def snapshot(self) -> Any:
        """Our part of the Snapshot, or a coroutine that makes it."""

    def stop(self, release: bool) -> None:
        """Leave in order, then call `Child.finish`. Called once."""

    def release(self, plan: P_contra, state: str) -> None:
        """Called instead of `start` when nothing is to run: take what this Plan and the journals of the run directory
        name out of the kernel, tell `state` (`messages.NewPlan.release`), then call `Child.finish`."""


class Child(Generic[P]):
    """The shell around one `Work`."""

    def __init__(  # noqa: PLR0917 - what the command line says
        self,
        name: str,
        plan_kind: type[P],
        control: socket.socket,
        loop: asyncio.AbstractEventLoop,
        run_dir: str = "/run/fastha",
        ident: str = "",
    ) -> None:
        self.name = name
        self.loop = loop
        self.run_dir = run_dir
        """Where pid files, journals and the control socket are."""
        self.work: Work[P]
        self._ident = ident or f"fastha_{name}"
        self._plan_kind = plan_kind
        self._started = False
        self._stopping = False
        self._exit_code = 0
        self._done: asyncio.Future[None] = loop.create_future()
        self._limiter = Limiter()
        self._syslog: Syslog | None = None
        self._peers: dict[str, Channel] = {}
        self._early: dict[str, socket.socket] = {}
        self._describing: set[asyncio.Task[Any]] = set()
        """Snapshots that are being made."""
        self._absent: set[str] = set()
        self._outboxes: dict[str, Outbox] = {}
        self._states = States()
        self._control = Channel(control, loop, self._on_control, self._on_supervisor_gone)

    # ------------------------------------------------------------------------ services for the work

    def report(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Say `message` to the supervisor."""
        if isinstance(message, States):
            self._states = merge_states(self._states, message)
        if not self._control.closed:
            self._control.send(message, fds)

    def send(self, peer: str, message: Message) -> None:
        """Say `message` to a peer; it waits (see `Outbox`) while the peer is slow, restarting or not there yet. When
        there is to be no such peer it is dropped."""
        if peer in self._absent:
            return
        channel = self._peers.get(peer)
        if channel is not None:
            channel.send(message)
        else:
            self._outbox(peer).put(message)

    def log(self, level: str, text: str, cause: str = "") -> None:
        """A line for the log, under our ident. `cause` names what the rate limit counts by; the text when empty."""
        held = self._limiter.admit(cause or text, time.monotonic_ns())
        if held is None:
            return
        self._say(level, f"{text} ({held} more like this were held back)" if held else text)

    def lost(self) -> dict[str, int]:
        """Counters for the snapshot: events lost because a peer did not read them, by kind; log lines held back."""
        counts: dict[str, int] = {}
        for outbox in (self._control.outbox, *self._outboxes.values()):
            for kind, count in outbox.lost.items():
                key = f"lost_{kind}"
                counts[key] = counts.get(key, 0) + count
        counts["log_held_back"] = self._limiter.held
        return counts

    @property
    def orphan(self) -> bool:
        """The supervisor is gone."""
        return self._control.closed

    def peer_alive(self, peer: str) -> bool:
        """Whether there is an open link to `peer`."""
        return peer in self._peers

    def finish(self, exit_code: int = 0) -> None:
        """The work is over: let the last messages go, then end the process."""
        self._exit_code = exit_code
        if not self._done.done():
            self._done.set_result(None)

    # ------------------------------------------------------------------------------------- the life

    async def live(self) -> int:
        """Run until `finish`; the exit code."""
        self.loop.set_exception_handler(self._on_exception)
        self.loop.add_signal_handler(signal.SIGTERM, self._stop, True)
        self.loop.add_signal_handler(RETIRE, self._stop, False)
        for unused in UNUSED:
            # A handler that does nothing, since ignored signals would stay ignored in the scripts we start.
            signal.signal(unused, _ignore)
        self.loop.call_later(_LIMIT_TICK, self._tell_held)
        await self._done
        for channel in [*self._peers.values(), self._control]:
            await channel.flush(_FLUSH)
            channel.close()
        return self._exit_code

    def _on_control(self, message: Message, fds: tuple[int, ...]) -> None:
        match message:
            case NewPlan():
                self._take_plan(message, fds[0])
            case Link(peer):
                self._link(peer, socket.socket(fileno=fds[0]))
            case NoPeer(peer):
                self._absent.add(peer)
                self._outbox(peer).clear()
            case Ping(serial):
                if not self._started or self._stopping or self.work.healthy():
                    self.report(Pong(serial))
            case AskSnapshot(serial):
                if self._started:
                    self._describe(serial)
            case Stop(release):
                self._stop(release)
            case States():
                if self._started:
                    self.work.received("supervisor", message)
            case _:
                self.log("warning", f"the supervisor sent {type(message).__name__}, which is not for me")

    def _describe(self, serial: int) -> None:
        """Answer with our part of the Snapshot, now or when it is made."""

        def answer(part: Any) -> None:
            self.report(SnapshotPart(serial), (write_sealed("fastha-snapshot", codec.encode(part)),))

        def made(task: "asyncio.Task[Any]") -> None:
            self._describing.discard(task)
            if not task.cancelled():
                answer(task.result())

        part = self.work.snapshot()
        if not asyncio.iscoroutine(part):
            answer(part)
            return
        task = self.loop.create_task(part)
        self._describing.add(task)  # the loop itself does not hold it
        task.add_done_callback(made)

    def _take_plan(self, message: NewPlan, fd: int) -> None:
        if self._stopping:
            os.close(fd)
            return
        error = ""
        gc.disable()  # all of it is there to stay; looking it through on the way took a third of the time
        try:
            plan = codec.decode(self._plan_kind, read_sealed(fd))
            if self._started:
                self.work.reload(plan)
            elif message.release:
                self._stopping = True
                self._open_early_links(linked=False)
                self.work.release(plan, message.release)
            else:
                self.work.start(plan, frozenset(message.resume))
                self._started = True
                self._open_early_links()
        except Refused as refusal:
            error = str(refusal)
            if not self._started:
                self.finish(REFUSED + refusal.exit_code)
        except Exception as problem:  # noqa: BLE001 - whatever it is, the old plan stays or the process ends, and it is told
            error = f"{type(problem).__name__}: {problem}"
            self.log("error", "".join(traceback.format_exception(problem)))
            if not self._started:
                self.finish(70)
        finally:
            gc.enable()
        self.report(Ready(message.serial, error))
        gc.collect()

    def _open_early_links(self, *, linked: bool = True) -> None:
        """Links that came before the Plan: nobody listened to them until now. `linked` false: the work has nothing to
        tell on them at first."""
        early, self._early = self._early, {}
        for peer, sock in early.items():
            self._open(peer, sock)
            if linked:
                self.work.linked(peer)

    def _link(self, peer: str, sock: socket.socket) -> None:
        self._absent.discard(peer)
        if not self._started:
            if peer in self._early:
                self._early[peer].close()
            self._early[peer] = sock
            return
        self._open(peer, sock)
        self.work.linked(peer)

    def _open(self, peer: str, sock: socket.socket) -> None:
        older = self._peers.pop(peer, None)
        if older is not None:
            older.close()
        self._peers[peer] = Channel(
            sock,
            self.loop,
            lambda message, fds: self._on_peer(peer, message, fds),
            lambda: self._on_peer_gone(peer),
            self._outbox(peer),
        )

    def _on_peer(self, peer: str, message: Message, fds: tuple[int, ...]) -> None:
        for fd in fds:
            os.close(fd)
        if isinstance(message, Told):
            self._outbox(peer).confirm(message.serials)
        elif self._started:
            self.work.received(peer, message)

    def _on_peer_gone(self, peer: str) -> None:
        self._peers.pop(peer, None)

    def _outbox(self, peer: str) -> Outbox:
        return self._outboxes.setdefault(peer, Outbox())

    def _on_supervisor_gone(self) -> None:
        if self._stopping:
            return
        self._syslog = Syslog()
        if not self._started:
            self.finish()
            return
        self._say("warning", "the supervisor is gone; going on, until another one takes over")
        self.loop.call_later(UNCLAIMED, self._unclaimed)

    def _unclaimed(self) -> None:
        self._say("warning", "no supervisor came back: leaving in order")
        self._stop(True)

    def _stop(self, release: bool) -> None:
        if self._stopping:
            return
        self._stopping = True
        if not release and self._states.states:
            leave_states(self.run_dir, self._states)
        if self._started:
            self.work.stop(release)
        else:
            self.finish()

    # ------------------------------------------------------------------------------------------ log

    def _say(self, level: str, text: str) -> None:
        if not self._control.closed:
            self._control.send(LogLine(level, text, time.time()))
        elif self._syslog is not None:
            self._syslog.send(self._ident, os.getpid(), level, text, time.time())
            write_if_ready(self._ident, os.getpid(), level, text)

    def _tell_held(self) -> None:
        self.loop.call_later(_LIMIT_TICK, self._tell_held)
        for cause, held in self._limiter.due(time.monotonic_ns()):
            self._say("notice", f"{held} more lines like this were held back: {cause}")

    def _on_exception(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        problem = context.get("exception")
        text = "".join(traceback.format_exception(problem)) if problem is not None else ""
        cause = f"{context.get('message')} {type(problem).__name__} {problem}"
        self.log("error", f"{context.get('message')}\n{text}".rstrip(), cause)


def _ignore(_number: int, _frame: object) -> None:
    """The supervisor decides what these mean."""


def _tell_where_it_hung() -> None:
    """The watchdog's SIGABRT prints what every thread was at.

    faulthandler gives the thread that enables it a small stack of its own for signals, on which all of Python's signals
    then run. Five at once, with the registers of a large processor saved for each, write past its end into the heap. So
    another thread does it, and ours goes on with the stack it has.
    """
    thread = threading.Thread(target=faulthandler.enable)
    thread.start()
    thread.join()


def run_child(name: str, plan_kind: type[P], make: Callable[[Child[P]], Work[P]]) -> int:
    """Be the child `name`: parse the command line, live, and return the exit code."""
    parser = argparse.ArgumentParser(prog=f"fastha.process.{name}", description=f"fastha's {name} process")
    parser.add_argument("--control", type=int, required=True, metavar="FD", help="socket to the supervisor")
    parser.add_argument(
        "--run-dir", default="/run/fastha", help="where pid files and journals are (default %(default)s)"
    )
    parser.add_argument("--ident", default=f"fastha_{name}", help="who we are in the log (default %(default)s)")
    parser.add_argument("--comm", default=f"fastha_{name}", help="who we are in ps (default %(default)s)")
    options = parser.parse_args()
    _tell_where_it_hung()
    set_comm(options.comm)
    control = socket.socket(fileno=options.control)
    control.set_inheritable(False)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        child = Child(name, plan_kind, control, loop, options.run_dir, options.ident)
        child.work = make(child)
        return loop.run_until_complete(child.live())
    finally:
        loop.close()
        sys.stdout.flush()
