"""Pid files: the locked one that keeps a second daemon out, and plain ones that name the children."""

import fcntl
import os
from typing import Final

_MODE: Final = 0o644


class HeldError(Exception):
    """Another live process holds the pid file."""

    def __init__(self, path: str, pid: int | None) -> None:
        super().__init__(f"already running{f' as pid {pid}' if pid else ''}: {path} is locked")
        self.pid = pid


class PidFile:
    """A pid file locked (flock) for as long as this process lives. A stale file of a dead process is no obstacle."""

    def __init__(self, path: str) -> None:
        """Lock `path` and write our pid into it. HeldError when someone lives there, OSError when it cannot be made."""
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise HeldError(path, read_pid(path)) from None
        os.fchmod(self._fd, _MODE)  # whatever the umask
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def remove(self) -> None:
        """Remove it and unlock."""
        remove(self.path)
        os.close(self._fd)


def write_pid(path: str, pid: int) -> None:
    """Name `pid` in `path`, at once or not at all. OSError when it cannot be written."""
    new = f"{path}.new"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
    with os.fdopen(fd, "w") as file:
        os.fchmod(fd, _MODE)
        file.write(f"{pid}\n")
    os.rename(new, path)


def read_pid(path: str) -> int | None:
    """The pid in `path`; None when there is no file or no number in it."""
    try:
        with open(path, encoding="ascii") as file:
            pid = int(file.read(32))
    except (OSError, ValueError):
        return None
    return pid if pid > 0 else None


def remove(path: str) -> None:
    """Remove a pid file; a missing one is no error."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
