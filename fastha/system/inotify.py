"""Watching directories: inotify(7) on an event loop, through libc."""

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable
from typing import Final

CLOSE_WRITE: Final = 0x8
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
DELETE: Final = 0x200
DELETE_SELF: Final = 0x400
MOVE_SELF: Final = 0x800
OVERFLOW: Final = 0x4000
IGNORED: Final = 0x8000
ONLYDIR: Final = 0x01000000
_HEAD: Final = struct.Struct("iIII")
_WANTED: Final = CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF | ONLYDIR


class Inotify:
    """Calls `on_change(directory, name)` for each entry that may have changed; `name` is empty when any may have, or
    when the directory itself is gone (it is then no longer watched, and `on_gone(directory)` follows)."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_change: Callable[[str, str], None],
        on_gone: Callable[[str], None],
    ) -> None:
        """OSError when the kernel gives no more instances."""
        self._loop = loop
        self._on_change = on_change
        self._on_gone = on_gone
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify")
        self._directories: dict[int, str] = {}
        loop.add_reader(self._fd, self._readable)

    def watch(self, directory: str) -> None:
        """Watch `directory`; OSError when it is not there or cannot be watched."""
        number = self._libc.inotify_add_watch(self._fd, os.fsencode(directory), _WANTED)
        self._directories[self._checked(number, directory)] = directory

    def close(self) -> None:
        """Stop watching everything."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _checked(self, result: int, what: str) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), what)
        return result

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            watch, mask, _, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            name = os.fsdecode(data[at : at + length].rstrip(b"\0"))
            at += length
            self._event(watch, mask, name)

    def _event(self, watch: int, mask: int, name: str) -> None:
        if mask & OVERFLOW:
            for directory in list(self._directories.values()):
                self._on_change(directory, "")
            return
        found = self._directories.get(watch)
        if found is None:
            return
        if mask & (IGNORED | DELETE_SELF | MOVE_SELF):
            del self._directories[watch]
            if not mask & IGNORED:
                self._libc.inotify_rm_watch(self._fd, watch)
            self._on_change(found, "")
            self._on_gone(found)
        else:
            self._on_change(found, name)
