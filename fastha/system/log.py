"""The log: rate limits per cause, and writing to the console and to syslog without ever waiting for either."""

import os
import select
import socket
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final, TextIO

from fastha.model.units import Ns, S

LEVELS: Final = {"error": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7}
"""Our levels and syslog's numbers for them."""


@dataclass(slots=True)
class _Cause:
    began: Ns
    lines: int = 0
    held: int = 0


class Limiter:
    """At most `burst` lines per cause in each window of `window` nanoseconds; the rest are counted."""

    def __init__(self, burst: int = 20, window: Ns = 10 * S, causes: int = 4096) -> None:
        self._burst = burst
        self._window = window
        self._limit = causes
        self._causes: dict[str, _Cause] = {}
        self.held = 0
        """Lines held back since the beginning."""

    def admit(self, cause: str, now: Ns) -> int | None:
        """None: hold this line back. Else write it; the number says how many of its cause were held back before it."""
        state = self._causes.get(cause)
        if state is None:
            if len(self._causes) >= self._limit:
                self._causes.clear()
            state = self._causes[cause] = _Cause(now)
        before = 0
        if now - state.began >= self._window:
            before, state.held = state.held, 0
            state.began, state.lines = now, 0
        if state.lines >= self._burst:
            state.held += 1
            self.held += 1
            return None
        state.lines += 1
        return before

    def due(self, now: Ns) -> list[tuple[str, int]]:
        """Causes whose window is over and that held lines back: (cause, how many). Each is told once."""
        told: list[tuple[str, int]] = []
        for cause, state in list(self._causes.items()):
            if now - state.began >= self._window:
                if state.held:
                    told.append((cause, state.held))
                del self._causes[cause]
        return told


class Log:
    """Writes lines, from a thread of its own: a full pipe or a slow terminal delays nothing. `lost` counts what did not
    fit into the queue of `depth` lines."""

    def __init__(
        self, *, console: bool, syslog: bool, facility: int = 3, depth: int = 20000, path: str | None = None
    ) -> None:
        """`path`: a file that gets every line too. OSError when it cannot be opened."""
        self._file: TextIO | None = open(path, "a", encoding="utf-8", errors="backslashreplace") if path else None  # noqa: SIM115
        self._console: TextIO | None = sys.stderr if console else None  # it writes backslashes for what is no text
        self._syslog = Syslog(facility) if syslog else None
        self._queue: deque[tuple[str, int, str, str, float]] = deque()
        self._depth = depth
        self._wake = threading.Event()
        self._ending = False
        self.lost = 0
        self._journal = bool(os.environ.get("JOURNAL_STREAM"))
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, ident: str, pid: int, level: str, text: str, wall: float | None = None) -> None:
        """One line (newlines inside make several) under `ident`; `wall` is when it was said, now when None."""
        if len(self._queue) >= self._depth:
            self.lost += 1
            return
        self._queue.append((ident, pid, level, text, time.time() if wall is None else wall))
        self._wake.set()

    def close(self, timeout: float = 1.0) -> None:
        """Write what is queued, waiting at most `timeout` seconds, and end."""
        self._ending = True
        self._wake.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._queue:
                entry = self._queue.popleft()
                for line in entry[3].splitlines() or [""]:
                    self._write_line(entry, line)
            if self._ending:
                return

    def _write_line(self, entry: tuple[str, int, str, str, float], line: str) -> None:
        ident, pid, level, _, wall = entry
        if self._console is not None:
            try:
                self._console.write(self._console_line(ident, pid, level, line, wall))
                self._console.flush()
            except (OSError, ValueError):
                self.lost += 1
        if self._file is not None:
            try:
                self._file.write(_dated(ident, pid, level, line, wall))
                self._file.flush()
            except OSError:
                self.lost += 1
        if self._syslog is not None and not self._syslog.send(ident, pid, level, line, wall):
            self.lost += 1

    def _console_line(self, ident: str, pid: int, level: str, line: str, wall: float) -> str:
        if self._journal:
            return f"<{LEVELS[level]}>{ident}[{pid}]: {line}\n"
        return _dated(ident, pid, level, line, wall)


def _dated(ident: str, pid: int, level: str, line: str, wall: float) -> str:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall))
    return f"{stamp}.{int(wall * 1000) % 1000:03d} {ident}[{pid}] {level}: {line}\n"


def write_if_ready(ident: str, pid: int, level: str, text: str, fd: int = 2) -> bool:
    """A line to the standard error output (or `fd`), whoever gave it to us, if that takes it at once: a pipe that says
    it is ready has room for PIPE_BUF bytes. Whether it was written; never waits."""
    line = _dated(ident, pid, level, " | ".join(text.splitlines()), time.time()).encode(errors="backslashreplace")
    if len(line) > select.PIPE_BUF:
        line = line[: select.PIPE_BUF - 1] + b"\n"
    try:
        ready = select.poll()
        ready.register(fd, select.POLLOUT)
        if not any(what & select.POLLOUT for _, what in ready.poll(0)):
            return False
        os.write(fd, line)
    except OSError:
        return False
    return True


class Syslog:
    """Lines to /dev/log. A machine without a syslog daemon is no error: `send` says False."""

    def __init__(self, facility: int = 3, path: str = "/dev/log") -> None:
        self._facility = facility
        self._path = path
        self._sock: socket.socket | None = None

    def send(self, ident: str, pid: int, level: str, text: str, wall: float) -> bool:
        """Whether the line was handed over (RFC 3164's local form). Never waits."""
        stamp = time.strftime("%b %e %H:%M:%S", time.localtime(wall))
        line = f"<{self._facility * 8 + LEVELS[level]}>{stamp} {ident}[{pid}]: {text}".encode(errors="replace")
        for _ in range(2):
            try:
                if self._sock is None:
                    self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                    self._sock.setblocking(False)
                    self._sock.connect(self._path)
                self._sock.send(line)
            except OSError:
                # A restarted syslog daemon has a new socket: connect once more.
                self.close()
                continue
            return True
        return False

    def close(self) -> None:
        """Disconnect."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None
