"""config_save_dir: what was in force, and in what state before and after each reload, kept for whoever has to find out
why a reload went wrong.

`keepalived.conf.PID.N` is the configuration of reload N (0: of the start), as `fastha dump` prints it, passwords too;
`keepalived_vrrp.PID.N.pre` and `.post`, and the same of `keepalived_check`, are the data dumps around that reload. PID
is the process concerned. Only root can read the files, and only the operator removes them.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

from fastha.model.plan import Plan
from fastha.process.dumps import Ask, data

DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600
PROCESSES: Final = {"": ("vrrp", "vrrp"), "_check": ("checker", "check")}
"""What names a data dump -> the child, and what keepalived calls it here."""


class SaveDir:
    """Counts reloads and writes what belongs to each. What cannot be written is told, and costs nothing else."""

    def __init__(self, ask: Ask, pid_of: Callable[[str], int | None], log: Callable[[str, str], None]) -> None:
        self._ask = ask
        self._pid_of = pid_of
        self._log = log
        self._reloads = 0

    def configuration(self, plan: Plan, text: str) -> None:
        """What comes into force."""
        if plan.supervisor.config_save_dir is not None:
            self._write(plan.supervisor.config_save_dir, f"keepalived.conf.{os.getpid()}.{self._reloads}", text)

    async def before_reload(self, plan: Plan) -> None:
        """`plan` is in force still."""
        self._reloads += 1
        await self._states(plan, "pre")

    async def after_reload(self, plan: Plan) -> None:
        """`plan` is in force."""
        await self._states(plan, "post")

    async def _states(self, plan: Plan, when: str) -> None:
        directory = plan.supervisor.config_save_dir
        if directory is None:
            return
        parts = await self._ask(("vrrp", "runner", "checker"))

        def write() -> None:
            for name, text in data(plan, parts).items():
                child, process = PROCESSES[name]
                self._write(directory, f"keepalived_{process}.{self._pid_of(child)}.{self._reloads}.{when}", text)

        await asyncio.to_thread(write)

    def _write(self, directory: str, name: str, text: str) -> None:
        path = os.path.join(directory, name)
        try:
            os.makedirs(directory, DIRECTORY_MODE, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
        except OSError as error:
            self._log("warning", f"config_save_dir: cannot write {path}: {error.strerror}")
