"""Notify FIFOs: made, opened and written as keepalived does, but a full pipe delays lines instead of losing them."""

import asyncio
import os
import stat
from collections import deque
from contextlib import suppress
from typing import Final

_MODE: Final = 0o644
_BACKLOG: Final = 10_000
"""Lines kept for a reader that is slow or not there."""


class Made:
    """The FIFOs that we made, and so have to remove: a note in a file that outlives the process."""

    def __init__(self, note: str) -> None:
        self._note = note
        self.paths: set[str] = set()
        with suppress(OSError), open(note, encoding="utf-8", errors="surrogateescape") as file:
            self.paths.update(file.read().split("\0"))

    def add(self, path: str) -> None:
        self.paths.add(path)
        self._write()

    def discard(self, path: str) -> None:
        self.paths.discard(path)
        self._write()

    def _write(self) -> None:
        # Without the note a FIFO stays behind at the end, no more.
        with suppress(OSError):
            if not self.paths:
                os.unlink(self._note)
                return
            with open(f"{self._note}.new", "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write("\0".join(sorted(self.paths)))
            os.rename(f"{self._note}.new", self._note)


class Fifo:
    """One FIFO, open for writing. Opened for reading too, so that writing never needs a reader."""

    def __init__(self, path: str, uid: int, gid: int, loop: asyncio.AbstractEventLoop, made: Made) -> None:
        """Make it if it is missing (mode 0644 less umask, given to `uid` and `gid`) and open it.

        OSError when that cannot be done; an existing path must be a FIFO that belongs to us or to `uid`.
        """
        self.path = path
        self.lost = 0
        self._loop = loop
        self._backlog: deque[bytes] = deque()
        self._writing = False
        self._made = made
        fresh = False
        with suppress(FileExistsError):
            os.mkfifo(path, _MODE)
            fresh = True
            made.add(path)
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._check(uid)
            if fresh and (uid, gid) != (os.geteuid(), os.getegid()):
                os.fchown(self._fd, uid, gid)
        except OSError:
            os.close(self._fd)
            if fresh:
                self._remove()
            raise

    def _check(self, uid: int) -> None:
        found = os.fstat(self._fd)
        if not stat.S_ISFIFO(found.st_mode):
            raise FileExistsError(f"{self.path} exists and is no FIFO")
        if found.st_uid not in (os.geteuid(), uid):
            raise PermissionError(f"{self.path} belongs to user {found.st_uid}, neither to us nor to user {uid}")

    @property
    def waiting(self) -> int:
        """Lines that wait for a reader."""
        return len(self._backlog)

    def write(self, line: bytes) -> None:
        """Write `line`, whole, now or when there is room. When the backlog is full its oldest line is lost, counted."""
        if self._backlog or not self._try(line):
            if len(self._backlog) >= _BACKLOG:
                self._backlog.popleft()
                self.lost += 1
            self._backlog.append(line)
            if not self._writing:
                self._writing = True
                self._loop.add_writer(self._fd, self._writable)

    def _try(self, line: bytes) -> bool:
        try:
            os.write(self._fd, line)  # at most PIPE_BUF bytes: all or nothing
        except BlockingIOError:
            return False
        return True

    def _writable(self) -> None:
        while self._backlog and self._try(self._backlog[0]):
            self._backlog.popleft()
        if not self._backlog:
            self._writing = False
            self._loop.remove_writer(self._fd)

    def close(self, *, leave: bool = False) -> None:
        """Close it, and remove it if we made it; `leave`: for the one who goes on with it."""
        if self._writing:
            self._loop.remove_writer(self._fd)
        os.close(self._fd)
        if not leave and self.path in self._made.paths:
            self._remove()

    def _remove(self) -> None:
        with suppress(OSError):
            os.unlink(self.path)
        self._made.discard(self.path)
