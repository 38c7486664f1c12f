"""Where a daemon lives: its run directory, its pid files, its names. Fixed from the start to the end."""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Final

from fastha.model.plan import SupervisorPlan
from fastha.process.program import KEEPALIVED, RUN_DIR, Program
from fastha.system.mounts import bind_for_us
from fastha.system.pidfile import PidFile

DEFAULT_RUN_DIR: Final = "/run/fastha"


def run_dir_of(namespace: str | None, instance: str | None, pid_file: str | None = None) -> str:
    """Where a daemon keeps its files unless told otherwise: daemons with different names do not meet, nor do those
    that are told apart by nothing but the supervisor's `pid_file` of their command lines."""
    names = [name for name in (namespace, instance) if name]
    if pid_file is not None:
        names.append(pid_file.strip("/").replace("/", "-"))
    return os.path.join(DEFAULT_RUN_DIR, "_".join(names)) if names else DEFAULT_RUN_DIR


class Place:
    """`run_dir`, `pid_files` (process -> path) and `namespace` are the command line's, where it says anything."""

    def __init__(
        self,
        program: Program,
        settings: SupervisorPlan,
        *,
        run_dir: str | None,
        pid_files: Mapping[str, str],
        namespace: str | None,
    ) -> None:
        self._program = program
        self._namespace = namespace or settings.net_namespace
        self._instance = settings.instance
        self._own_dir = settings.use_pid_dir or self._namespace is not None
        self._pid_files = pid_files
        self._bound = False
        """The directory of the pid files is mounted in its usual place."""
        self.run_dir = run_dir or run_dir_of(self._namespace, self._instance, pid_files.get("supervisor"))

    def enter(self, log: Callable[[str, str], None]) -> PidFile:
        """Make the directories and take the pid file. HeldError when another daemon has it, OSError when that cannot be
        done."""
        os.makedirs(self.run_dir, mode=0o755, exist_ok=True)
        if self._namespace is not None and self._program is KEEPALIVED:
            self._bind(self._namespace, log)
        path = self.pid_path("supervisor")
        if "supervisor" not in self._pid_files:
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        return PidFile(path)

    def _bind(self, namespace: str, log: Callable[[str, str], None]) -> None:
        """As keepalived: in a network namespace the pid files are seen by us, and by scripts, where they always are."""
        directory = os.path.join(RUN_DIR, "keepalived")
        try:
            os.makedirs(os.path.join(directory, namespace), mode=0o755, exist_ok=True)
            bind_for_us(os.path.join(directory, namespace), directory)
        except OSError as error:
            log("warning", f"pid files stay in {directory}/{namespace}: {error}")
        else:
            self._bound = True

    def pid_path(self, process: str) -> str:
        """The pid file of `supervisor`, `vrrp`, `checker` or `runner`."""
        if process in self._pid_files:
            return self._pid_files[process]
        namespace = None if self._bound else self._namespace
        return self._program.pid_path(process, self.run_dir, self._instance, namespace=namespace, own_dir=self._own_dir)

    def beside_pid_file(self, name: str) -> str:
        """A file of that name in the directory of the supervisor's pid file."""
        return os.path.join(os.path.dirname(self.pid_path("supervisor")), name)

    def ident(self, process: str = "") -> str:
        """What the log calls a process; the supervisor when empty."""
        return self._program.log_ident(process, self._namespace, self._instance)

    def command(self, package: str, process: str) -> list[str]:
        """How a child is started."""
        # -P: what happens to lie in the working directory is nothing to us
        words = [sys.executable, "-P", "-m", f"{package}.{process}", "--run-dir", self.run_dir]
        return [*words, "--ident", self.ident(process), "--comm", self._program.comm(process)]
