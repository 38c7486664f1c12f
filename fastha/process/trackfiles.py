"""track_file: the number in a file, read when something was written to it, told to the vrrp process and the checker."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from fastha.model.plan import TrackFile
from fastha.system.inotify import Inotify
from fastha.track.files import SIZE, read_value

_LOOK_AGAIN: Final = 1.0
"""Seconds between two looks for a directory that is not there."""


class TrackFiles:
    """All of them. `tell(name, value)` is called for each changed value.

    Watched are the directories, so that files may come, go and be replaced. A directory that is missing is looked for
    again every second; so is one that cannot be watched (no inotify left, a file system without it), and then its files
    are read each time.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tell: Callable[[str, int], None],
        log: Callable[[str, str, str], None],
    ) -> None:
        self._loop = loop
        self._tell = tell
        self._log = log
        self._inotify: Inotify | None = None
        self._by_directory: dict[str, list[TrackFile]] = {}
        self._unwatched: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.values: dict[str, int] = {}

    def adopt(self, plans: tuple[TrackFile, ...]) -> None:
        """Go over to these; all are read again."""
        self.close()
        known = {plan.name for plan in plans}
        fresh = known - self.values.keys()
        self.values = {name: value for name, value in self.values.items() if name in known}
        if not plans:
            return
        for plan in plans:
            self._by_directory.setdefault(os.path.dirname(plan.path) or "/", []).append(plan)
            if plan.name in fresh:
                self._initialise(plan)
        try:
            self._inotify = Inotify(self._loop, self._changed, self._lost)
        except OSError as error:
            self._log("warning", f"tracked files are read once a second: {error}", "inotify")
        for directory in self._by_directory:
            self._watch(directory)
            self._changed(directory, "")
        self._look_again()

    def close(self) -> None:
        """Stop watching; the values stay known."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._by_directory.clear()
        self._unwatched.clear()

    def _initialise(self, plan: TrackFile) -> None:
        """init_file: the value a file gets when it is missing, or in any case with `overwrite`."""
        if plan.init_value is None:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if plan.init_overwrite else os.O_EXCL)
        try:
            fd = os.open(plan.path, flags, 0o644)
        except FileExistsError:
            return
        except OSError as error:
            self._log("warning", f"track file {plan.name}: {plan.path} cannot be made: {error.strerror}", plan.name)
            return
        with os.fdopen(fd, "w") as file:
            file.write(f"{plan.init_value}\n")

    def _watch(self, directory: str) -> None:
        self._unwatched.add(directory)
        if self._inotify is not None:
            with suppress(OSError):
                self._inotify.watch(directory)
                self._unwatched.discard(directory)

    def _lost(self, directory: str) -> None:
        if directory in self._by_directory:
            self._unwatched.add(directory)
            self._look_again()

    def _look_again(self) -> None:
        if self._unwatched and self._timer is None:
            self._timer = self._loop.call_later(_LOOK_AGAIN, self._look)

    def _look(self) -> None:
        self._timer = None
        for directory in list(self._unwatched):
            self._watch(directory)
            self._changed(directory, "")
        self._look_again()

    def _changed(self, directory: str, name: str) -> None:
        for plan in self._by_directory.get(directory, ()):
            if not name or os.path.basename(plan.path) == name:
                self._read(plan)

    def _read(self, plan: TrackFile) -> None:
        try:
            # A FIFO put there must not make us wait.
            fd = os.open(plan.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                data = os.read(fd, SIZE)
            finally:
                os.close(fd)
        except FileNotFoundError:
            value: int | None = 0
        except OSError as error:
            self._log("warning", f"track file {plan.name}: {plan.path}: {error.strerror}, taken as 0", plan.name)
            value = 0
        else:
            reading = read_value(data)
            value = reading.value
            if reading.problem:
                self._log("warning", f"track file {plan.name}: {plan.path}: {reading.problem}", plan.name)
        if value is None:
            value = self.values.get(plan.name, 0)
        if self.values.get(plan.name) != value:
            self.values[plan.name] = value
            self._tell(plan.name, value)
