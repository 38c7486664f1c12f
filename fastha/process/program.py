"""What differs by the name the program was called by: `fastha`, or `keepalived` for those who look for that one."""

import os
from dataclasses import dataclass
from typing import Final

RUN_DIR: Final = "/run"


@dataclass(frozen=True, slots=True)
class Program:
    """A name and what follows from it."""

    name: str
    """Of the supervisor in `ps`; the children's too, when `one_name`."""
    ident: str
    """Of the supervisor in the log."""
    one_name: bool = False
    idents: tuple[tuple[str, str], ...] = ()
    """process -> what follows the ident in the log, where that is not the process's own name."""

    def log_ident(self, process: str, namespace: str | None, instance: str | None) -> str:
        """`Keepalived_vrrp_NAMESPACE_INSTANCE`; the supervisor's own when `process` is empty."""
        word = dict(self.idents).get(process, process)
        return "_".join(part for part in (self.ident, word, namespace, instance) if part)

    def comm(self, process: str) -> str:
        """The name of a child in `ps`, unless the configuration has another one."""
        return self.name if self.one_name else f"{self.name}_{process}"

    def pid_path(
        self, process: str, run_dir: str, instance: str | None, *, namespace: str | None, own_dir: bool
    ) -> str:
        """Where the pid of `process` (`supervisor`, `vrrp`, ...) is found. keepalived's are in /run, or with `own_dir`
        in a directory below it; what it writes there under a namespace is seen at the same place from outside."""
        file = {"supervisor": "keepalived", "checker": "checkers"}.get(process, process)
        directory = run_dir
        if self is KEEPALIVED:
            if process == "runner":
                file = "keepalived_runner"
            directory = os.path.join(RUN_DIR, "keepalived", namespace or "") if own_dir else RUN_DIR
        return os.path.join(directory, f"{file}_{instance}.pid" if instance else f"{file}.pid")


FASTHA: Final = Program("fastha", "fastha")
KEEPALIVED: Final = Program("keepalived", "Keepalived", one_name=True, idents=(("checker", "healthcheckers"),))
