"""One child as the supervisor sees it: start by exec, channel, watchdog, back-off, end."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from fastha.model.snapshot import ProcessSnapshot
from fastha.process.channel import Channel, pair
from fastha.process.child import REFUSED
from fastha.process.messages import Link, Message, NewPlan, Ping, Pong, Ready, Stop
from fastha.system import pidfile
from fastha.system.memfd import write_sealed

if TYPE_CHECKING:
    from fastha.model.units import Ns

BACK_OFF: Final = (0, 1, 2, 4, 8, 16, 32, 60)
"""Seconds before the first, second, ... restart in a row."""
LONG_LIFE: Final = 60.0
"""Seconds of life after which a death counts as the first again."""
_SUPERSEDED: Final = "another Plan followed"
_ENDED: Final = "the process ended meanwhile"
_BUSY_GRACE: Final = 60.0
"""Seconds a child may take to put a Plan in force before the watchdog judges it."""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Owner(Protocol):
    """What a child tells its supervisor."""

    def child_said(self, child: "ChildProcess", message: Message, fds: tuple[int, ...]) -> None:
        """A message other than Pong; owns the descriptors."""

    def child_started(self, child: "ChildProcess") -> None:
        """A process was started and has not got its Plan yet."""

    def child_ended(self, child: "ChildProcess", exit_code: int | None) -> None:
        """Its process is gone; `exit_code` None: a signal ended it. Restarting is the owner's decision (`restart`)."""

    def release_failed(self, child: "ChildProcess", state: str) -> None:
        """No process of it could be had to release what its last one left (`ChildProcess.release`)."""

    def log(self, level: str, text: str) -> None: ...


class ChildProcess:
    """The child `name`. It runs `command` with `--control FD` behind it."""

    def __init__(
        self, name: str, loop: asyncio.AbstractEventLoop, owner: Owner, command: Sequence[str], pid_path: str
    ) -> None:
        self.name = name
        self.state = "not needed"
        self.restarts = 0
        self.last_exit = ""
        self.heard_at: Ns = 0
        """CLOCK_MONOTONIC of the last sign that it does its work: until then at least a master has spoken."""
        self.left = False
        """Its last process was not able to leave in order: what it put into the kernel may still be there."""
        self.last_pid: int | None = None
        self.plan = b""
        self._loop = loop
        self._owner = owner
        self._command = command
        self._pid_path = pid_path
        self._since_wall = time.time()
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._channel: Channel | None = None
        self._failures = 0
        self._started = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._serial = 0
        self._busy_since: float | None = None
        self._last_pong = 0.0
        self._by_watchdog = False
        self._gone: asyncio.Future[None] | None = None
        self._in_force: asyncio.Future[str] | None = None
        self._down_since_wall = 0.0
        self._holds = name != "runner"
        """It puts something into the kernel."""
        self._due: float | None = None
        """When a restart is due that a release has put off, by the loop's clock."""
        self._resume: Callable[[], tuple[str, ...]] = tuple

    # ----------------------------------------------------------------------------------------- facts

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def alive(self) -> bool:
        return self._process is not None

    def snapshot(self) -> ProcessSnapshot:
        return ProcessSnapshot(
            name=self.name,
            pid=self.pid,
            state=self.state,
            since_wall=self._since_wall,
            restarts=self.restarts,
            last_exit=self.last_exit,
            down_since_wall=self._down_since_wall,
        )

    def _become(self, state: str) -> None:
        self.state = state
        if state == "running":
            self._down_since_wall = 0.0
        self._since_wall = time.time()

    # ----------------------------------------------------------------------------------------- start

    def start(self, plan: bytes, resume: tuple[str, ...] = ()) -> None:
        """Start a process with this part of the Plan. `resume` as in `messages.NewPlan`.

        When it cannot be started (no memory, too many processes) that is told, and tried again after the back-off.
        """
        self.plan = plan
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._started = time.monotonic()
        try:
            self._spawn()
        except OSError as error:
            self._owner.log("error", f"{self.name}: cannot start it: {error}")
            self.restart(lambda: resume)
            return
        self._last_pong = self._started
        self._by_watchdog = False
        self._become("starting")
        self._owner.child_started(self)
        self._send_plan(resume)

    def _spawn(self) -> None:
        ours, theirs = pair()
        with theirs:
            self._process = subprocess.Popen(
                [*self._command, "--control", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env={name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"},
            )
        self.last_pid = self._process.pid
        self._pidfd = os.pidfd_open(self._process.pid)
        self._loop.add_reader(self._pidfd, self._ended)
        self._channel = Channel(ours, self._loop, self._received, self._channel_closed)
        try:
            pidfile.write_pid(self._pid_path, self._process.pid)
        except OSError as error:
            self._owner.log("warning", f"pid file {self._pid_path}: {error.strerror}")

    def restart(self, resume: Callable[[], tuple[str, ...]]) -> None:
        """Start again after the back-off; `resume` is asked at that moment."""
        if time.monotonic() - self._started >= LONG_LIFE:
            self._failures = 0
        delay = BACK_OFF[min(self._failures, len(BACK_OFF) - 1)]
        self._failures += 1
        self._become("waiting")
        if delay:
            self._owner.log("notice", f"{self.name}: starting it again in {delay} s")
        self._resume = resume
        self._timer = self._loop.call_later(delay, self._start_again)

    def _start_again(self) -> None:
        self._timer = None
        self.restarts += 1
        self.start(self.plan, self._resume())

    async def release(self, state: str, patience: float) -> bool:
        """While there is no process: have one take out of the kernel what the last one has left there, and tell `state`
        (`messages.NewPlan.release`); it is killed after `patience` seconds. Whether that was done. A restart that was
        due meanwhile follows."""
        if self._timer is not None:
            self._due = self._timer.when()
            self._timer.cancel()
            self._timer = None
        self._become("releasing")
        done = False
        try:
            self._spawn()
        except OSError as error:
            self._owner.log("error", f"{self.name}: cannot start a process that releases: {error}")
        else:
            gone = self._gone = self._loop.create_future()
            self._owner.child_started(self)
            answer = self._send_plan((), state)
            if not await self._wait(gone, patience):
                self._owner.log("warning", f"{self.name}: the release took longer than {patience:g} s: killed")
            done = answer.done() and not answer.result()
        if done and state == "STOP":
            self.left = False
        if not done:
            self._owner.log("error", f"{self.name}: what its last process put into the kernel may still be there")
            self._owner.release_failed(self, state)
        if self._due is not None:
            self._become("waiting")
            self._timer = self._loop.call_at(self._due, self._start_again)
            self._due = None
        return done

    async def _wait(self, gone: "asyncio.Future[None]", patience: float) -> bool:
        """Until it is gone; whether it went within `patience` seconds. Else it is killed."""
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(gone), patience)
            return True
        self.kill()
        await gone
        return False

    # ---------------------------------------------------------------------------------------- talking

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Say something; a child that is not there hears nothing."""
        if self._channel is not None:
            self._channel.send(message, fds)
        else:
            for fd in fds:
                os.close(fd)

    def link(self, peer: str, sock: socket.socket) -> None:
        """Hand over one end of a link; ours is closed."""
        self.send(Link(peer), (sock.detach(),))

    def reload(self, plan: bytes) -> asyncio.Future[str]:
        """Send a new part; the future is the child's answer: `` or why it refused, and then the old part stays."""
        older, self.plan = self.plan, plan
        done = self._send_plan(())
        done.add_done_callback(lambda future: self._refused(future, older, plan))
        return done

    def _refused(self, future: "asyncio.Future[str]", older: bytes, newer: bytes) -> None:
        refused = not future.cancelled() and future.result() not in ("", _SUPERSEDED, _ENDED)
        if refused and self.plan == newer:
            self.plan = older

    def _send_plan(self, resume: tuple[str, ...], release: str = "") -> "asyncio.Future[str]":
        self._serial += 1
        self._busy_since = time.monotonic()
        self._finish_plan(_SUPERSEDED)
        self._in_force = self._loop.create_future()
        self.send(NewPlan(self._serial, resume, release), (write_sealed(f"fastha-{self.name}", self.plan),))
        return self._in_force

    def _finish_plan(self, answer: str) -> None:
        if self._in_force is not None and not self._in_force.done():
            self._in_force.set_result(answer)

    @property
    def in_force(self) -> "asyncio.Future[str] | None":
        """Done when the last Plan sent was answered."""
        return self._in_force

    def _received(self, message: Message, fds: tuple[int, ...]) -> None:
        match message:
            case Pong():
                self._last_pong = time.monotonic()
                if self.state == "running":
                    self.heard_at = time.monotonic_ns()
            case Ready(serial, error) if serial == self._serial:
                self._busy_since = None
                self._last_pong = time.monotonic()
                if self.state == "starting" and not error:
                    self._become("running")
                    self.heard_at = time.monotonic_ns()
                self._finish_plan(error)
                self._owner.child_said(self, message, fds)
            case _:
                self._owner.child_said(self, message, fds)

    def _channel_closed(self) -> None:
        """The end follows (`_ended`); a child that closed its channel and lives on is caught by the watchdog."""

    # --------------------------------------------------------------------------------------- watchdog

    def watch(self, serial: int, patience: float) -> None:
        """Ask for a sign of life; kill a child that gave none for `patience` seconds."""
        if self._process is None or self.state in {"stopping", "releasing"}:
            return
        now = time.monotonic()
        if self._busy_since is not None and now - self._busy_since < max(_BUSY_GRACE, patience):
            self._last_pong = now
        if now - self._last_pong > patience:
            self._owner.log("error", f"{self.name} [{self.pid}]: no sign of life for {now - self._last_pong:.1f} s")
            self._by_watchdog = True
            self._signal(signal.SIGABRT)
            self._loop.call_later(0.5, self._kill_if, self._process)
            self._last_pong = now
        self.send(Ping(serial))

    def excuse(self) -> None:
        """The supervisor itself was away: start counting anew."""
        self._last_pong = time.monotonic()

    def _kill_if(self, process: subprocess.Popen[bytes]) -> None:
        if self._process is process:
            self.kill()

    # -------------------------------------------------------------------------------------------- end

    async def stop(self, release: bool, patience: float) -> None:
        """Let it leave in order; SIGKILL after `patience` seconds. What a process that died has left in the kernel is
        released by another one then, for as long again. Returns when it is gone."""
        self._due = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._process is not None:
            self._become("stopping")
            gone = self._gone = self._gone or self._loop.create_future()
            self.send(Stop(release))
            pid = self.pid
            if not await self._wait(gone, patience):
                self._owner.log("warning", f"{self.name} [{pid}] did not end within {patience:g} s: killed")
        if release and self.left:
            self._owner.log("notice", f"{self.name}: releasing what its last process left")
            await self.release("STOP", patience)
        self._become("stopped")

    def kill(self) -> None:
        """SIGKILL."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def _ended(self) -> None:
        process = self._process
        assert process is not None
        code = process.wait()
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        self._process = None
        if self._channel is not None:
            self._channel.read_rest()
            self._channel.close()
            self._channel.outbox.clear()
            self._channel = None
        pidfile.remove(self._pid_path)
        self._busy_since = None
        self._finish_plan(_ENDED)
        if self._by_watchdog:
            self.last_exit = "watchdog"
        elif code > REFUSED:
            self.last_exit = f"refused ({code - REFUSED})"
        else:
            self.last_exit = f"killed by {_signal_name(-code)}" if code < 0 else f"exit {code}"
        if self._holds and code <= REFUSED and self.state != "releasing":
            self.left = code != 0
        if not self._down_since_wall:
            self._down_since_wall = time.time()
        self._become("stopped")
        lived = time.monotonic() - self._started
        self._owner.log(
            "info" if code == 0 else "error",
            f"{self.name} [{process.pid}] ended ({self.last_exit}) after {lived:.1f} s",
        )
        if self._gone is not None:
            self._gone.set_result(None)
            self._gone = None
        else:
            self._owner.child_ended(self, None if code < 0 else code)
