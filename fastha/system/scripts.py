"""Running the operator's scripts: own process group, user and groups, clean environment, output captured, time-outs.

A script that overruns its time gets SIGTERM, 2 s later SIGKILL, again after 2 s, then every 10 s; always its whole
process group. What it writes to stdout and stderr is kept (the end of it) and never stops it: the pipe is read until
the last holder has closed it, so that a daemon started by a script does not die of SIGPIPE.
"""

import asyncio
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from fastha.model.plan import Command
from fastha.model.units import Ns, S

_ESCALATION: Final = (2.0, 2.0, 10.0)
"""Seconds from SIGTERM to SIGKILL, to the next SIGKILL, and between all later ones."""
_KEPT: Final = 2048
"""Bytes of output kept per run: the last ones."""
_LINGERING: Final = 256
"""Pipes still read after their script has ended."""
_DROPPED: Final = ("IFS", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended."""

    status: int
    """Exit code; 128 + signal number when a signal ended it; 127 when it could not be run."""
    signal: int
    """The signal that ended it, or 0."""
    timed_out: bool
    started: Ns
    finished: Ns
    started_wall: float
    output: str = ""
    """The end of what it wrote."""
    error: str = ""
    """Why it could not be run at all."""

    @property
    def success(self) -> bool:
        return self.status == 0 and not self.timed_out and not self.error

    def text(self) -> str:
        """In words: `exit 1`, `signal 9`, `timed out`, `cannot run: ...`."""
        if self.error:
            return f"cannot run: {self.error}"
        if self.timed_out:
            return "timed out"
        return f"signal {self.signal}" if self.signal else f"exit {self.status}"


def environment(source: Mapping[str, str]) -> dict[str, str]:
    """What scripts get of our environment: all but IFS, LD_* and what is between systemd and us."""
    return {name: value for name, value in source.items() if name not in _DROPPED and not name.startswith("LD_")}


def argv_of(command: Command, extra: Sequence[str] = ()) -> list[str]:
    """The words to execute. A shell command has each word quoted, but for the `<` of a test whether a file opens."""
    words = [*command.argv, *extra]
    if not command.shell:
        return words
    first, rest = words[0], words[1:]
    head = "<" + shlex.quote(first[1:]) if first.startswith("<") else shlex.quote(first)
    return ["/bin/sh", "-c", " ".join([head, *map(shlex.quote, rest)])]


class _Output:
    """The reading end of a script's stdout and stderr."""

    def __init__(self, launcher: "Launcher", on_line: Callable[[str], None] | None) -> None:
        self._launcher = launcher
        self._on_line = on_line
        self._tail = b""
        self._partial = b""
        self.fd, self.writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(self.writer, True)

    def watch(self) -> None:
        os.close(self.writer)
        self._launcher.loop.add_reader(self.fd, self.read)

    def read(self) -> bool:
        """Take what is there; whether the pipe is still open."""
        for _ in range(16):
            try:
                data = os.read(self.fd, 65536)
            except BlockingIOError:
                return True
            if not data:
                self.close()
                return False
            self._take(data)
        return True

    def _take(self, data: bytes) -> None:
        if self._on_line is None:
            self._tail = (self._tail + data)[-_KEPT:]
            return
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._partial = self._partial[-_KEPT:]
        for line in lines:
            self._on_line(line[:_KEPT].decode(errors="replace"))

    def text(self) -> str:
        return self._tail.decode(errors="replace").strip()

    def close(self) -> None:
        if self.fd < 0:
            return
        if self._partial and self._on_line is not None:
            self._on_line(self._partial.decode(errors="replace"))
        self._launcher.loop.remove_reader(self.fd)
        os.close(self.fd)
        self.fd = -1
        self._launcher.forget_output(self)


class Run:
    """A script that runs. `Launcher.start` makes it."""

    def __init__(
        self,
        launcher: "Launcher",
        command: Command,
        process: subprocess.Popen[bytes],
        output: _Output,
        on_done: Callable[[Result], None],
    ) -> None:
        self._launcher = launcher
        self.command = command
        self._process = process
        self._output = output
        self._on_done = on_done
        self._timer: asyncio.TimerHandle | None = None
        self._kills = 0
        self.terminated = False
        """It was told to end."""
        self.timed_out = False
        self.started = time.monotonic_ns()
        self._started_wall = time.time()
        self._pidfd = os.pidfd_open(process.pid)
        launcher.loop.add_reader(self._pidfd, self._ended)
        output.watch()

    @property
    def pid(self) -> int:
        return self._process.pid

    def limit(self, timeout: Ns) -> None:
        """From now on it has `timeout` to end."""
        self._timer = self._launcher.loop.call_later(timeout / S, self._time_out)

    def terminate(self) -> None:
        """SIGTERM to its group now, then the escalation."""
        if self.terminated:
            return
        self.terminated = True
        if self._timer is not None:
            self._timer.cancel()
        self._signal(signal.SIGTERM)
        self._timer = self._launcher.loop.call_later(_ESCALATION[0], self._kill)

    def kill(self) -> None:
        """SIGKILL to its group, at once."""
        self._signal(signal.SIGKILL)

    def _time_out(self) -> None:
        self.timed_out = True
        self.terminate()

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._kills += 1
        if self._kills > 2:
            self._launcher.log("warning", f"{self.command.argv[0]} [{self.pid}] does not end on SIGKILL")
        pause = _ESCALATION[min(self._kills, len(_ESCALATION) - 1)]
        self._timer = self._launcher.loop.call_later(pause, self._kill)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _ended(self) -> None:
        if self.terminated:
            self._signal(signal.SIGKILL)  # the rest of its group; the leader is not reaped yet, the number still ours
        code = self._process.wait()
        self._launcher.loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        if self._timer is not None:
            self._timer.cancel()
        if self._output.fd >= 0 and self._output.read():
            self._launcher.linger(self._output)
        self._launcher.runs.discard(self)
        self._on_done(
            Result(
                status=128 - code if code < 0 else code,
                signal=max(0, -code),
                timed_out=self.timed_out,
                started=self.started,
                finished=time.monotonic_ns(),
                started_wall=self._started_wall,
                output=self._output.text(),
            )
        )


class Launcher:
    """Starts scripts on one event loop and knows those that run."""

    def __init__(self, loop: asyncio.AbstractEventLoop, log: Callable[[str, str], None]) -> None:
        self.loop = loop
        self.log = log
        self.runs: set[Run] = set()
        self.started = 0
        self._lingering: dict[_Output, None] = {}
        self._environment = environment(os.environ)

    def start(
        self,
        command: Command,
        on_done: Callable[[Result], None],
        *,
        extra: Sequence[str] = (),
        timeout: Ns = 0,
        on_line: Callable[[str], None] | None = None,
    ) -> Run | None:
        """Run `command` with `extra` words behind its own; `on_done` is called once, never from inside this call.

        `timeout` 0: none. With `on_line` output is handed on line by line instead of being kept. None: it could not be
        started, and the result says why.
        """
        self.started += 1
        try:
            output = _Output(self, on_line)
        except OSError as error:
            self._refuse(command, on_done, error)
            return None
        try:
            process = self._spawn(command, extra, output.writer)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            os.close(output.writer)
            os.close(output.fd)
            self._refuse(command, on_done, error)
            return None
        run = Run(self, command, process, output, on_done)
        self.runs.add(run)
        if timeout:
            run.limit(timeout)
        return run

    def _spawn(self, command: Command, extra: Sequence[str], out: int) -> subprocess.Popen[bytes]:
        ids = (None, None, None)
        if (command.uid, command.gid) != (os.geteuid(), os.getegid()) or command.groups is not None:
            ids = (command.uid, command.gid, list(command.groups or ()))  # type: ignore[assignment]
        user, group, groups = ids
        return subprocess.Popen(
            argv_of(command, extra),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=self._environment,
            cwd="/",
            process_group=0,
            user=user,
            group=group,
            extra_groups=groups,
        )

    def _refuse(self, command: Command, on_done: Callable[[Result], None], error: Exception) -> None:
        now = time.monotonic_ns()
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        text = f"{command.argv[0]}: {reason}"
        self.loop.call_soon(on_done, Result(127, 0, False, now, now, time.time(), error=text))

    def terminate_all(self) -> None:
        """SIGTERM, and the escalation, to everything that runs."""
        for run in list(self.runs):
            run.terminate()

    def linger(self, output: _Output) -> None:
        """Go on reading a pipe whose script has ended; the oldest is given up when there are too many."""
        self._lingering[output] = None
        if len(self._lingering) > _LINGERING:
            next(iter(self._lingering)).close()

    def forget_output(self, output: _Output) -> None:
        """A pipe was closed."""
        self._lingering.pop(output, None)
