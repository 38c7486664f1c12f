"""The script that reads a notify FIFO: runs as long as we do, and is started again when it ends."""

import asyncio
from collections.abc import Callable
from typing import Final

from fastha.model.plan import Command
from fastha.model.units import S
from fastha.system.scripts import Launcher, Result, Run

_PAUSES: Final = (1, 2, 4, 8, 16, 32, 60)
"""Seconds before it is started again, longer each time it ended within a minute."""
_LONG_LIFE: Final = 60 * S


class FifoReader:
    """Runs `command` with the path of the FIFO as its last word."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        launcher: Launcher,
        command: Command,
        path: str,
        log: Callable[[str, str, str], None],
    ) -> None:
        self._loop = loop
        self._launcher = launcher
        self._command = command
        self._path = path
        self._log = log
        self._failures = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._run: Run | None = None
        self._start()

    def _start(self) -> None:
        name = self._command.argv[0]
        self._timer = None
        self._run = self._launcher.start(
            self._command,
            self._ended,
            extra=(self._path,),
            on_line=lambda line: self._log("info", f"{name}: {line}", name),
        )

    def _ended(self, result: Result) -> None:
        self._run = None
        if self._closed:
            return
        if result.finished - result.started >= _LONG_LIFE:
            self._failures = 0
        pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
        self._failures += 1
        text = f"FIFO script {self._command.argv[0]} ended ({result.text()}); starting it again in {pause} s"
        self._log("warning", text, self._path)
        self._timer = self._loop.call_later(pause, self._start)

    def close(self) -> None:
        """SIGTERM to it, and no more starts."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._run is not None:
            self._run.terminate()
