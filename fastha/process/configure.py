"""The configuration file as the supervisor reads it."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from fastha.config.diagnostics import Diagnostic, Severity
from fastha.model.plan import Plan, SupervisorPlan


class Read(Protocol):
    """What a reading gave (`config.load.Loaded`)."""

    @property
    def plan(self) -> Plan | None: ...
    @property
    def diagnostics(self) -> list[Diagnostic]: ...
    @property
    def exit_code(self) -> int: ...
    @property
    def notes_not_in_effect(self) -> list[str]: ...
    @property
    def canonical(self) -> str: ...


def _said(findings: list[Diagnostic]) -> str:
    """The first of them with its place, and how many more there are."""
    if not findings:
        return ""
    first, more = findings[0], f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{first.where}: {first.message}{more}" if first.where else f"{first.message}{more}"


def unchangeable(old: SupervisorPlan, new: SupervisorPlan) -> list[str]:
    """Words whose change a reload does not follow; their old values stay."""
    return [word for word in ("net_namespace", "instance", "use_pid_dir") if getattr(old, word) != getattr(new, word)]


class ConfigurationFile:
    """Reads the file, with `read`, at the start and for every reload, and tells what is wrong with it."""

    def __init__(self, read: Callable[[], Read], log: Callable[[str, str], None]) -> None:
        self._read = read
        self._log = log
        self._accepted: set[str] = set()
        """The errors of the reading that is in force."""
        self.adopted_wall = 0.0

    def read(self) -> Read:
        """The first reading. OSError: the machine cannot be looked at as the file wants."""
        read = self._read()
        self._tell(read)
        return read

    async def read_again(self, settings: SupervisorPlan, usual_sign: str) -> Read:
        """For a reload, in a thread. `settings` in force say what operators see of it; `usual_sign` is the path of
        reload_file when none is written."""
        sign = settings.reload_file
        with self._sign(usual_sign if sign == "" else sign):
            read = await asyncio.get_running_loop().run_in_executor(None, self._read)
        self._tell(read)
        if settings.reload_check_config is not None:
            self._save(read, settings.reload_check_config)
        return read

    def refusal(self, read: Read) -> str:
        """Why a reload must not take this reading; `` when it may.

        A file with errors is refused, unless these are the errors the running configuration was accepted with: a file
        that was good enough to start with can also be reloaded. Advice never counts.
        """
        counting = [each for each in read.diagnostics if each.severity is Severity.ERROR and not each.advice]
        if read.plan is None:
            return _said(counting) or "the configuration cannot be read"
        return _said([each for each in counting if each.message not in self._accepted])

    def adopt(self, read: Read) -> None:
        """This reading comes into force."""
        self._accepted = {each.message for each in read.diagnostics if each.severity is Severity.ERROR}
        self.adopted_wall = time.time()

    def _tell(self, read: Read) -> None:
        pending = {text.removeprefix("WARNING: ") for text in read.notes_not_in_effect}
        for finding in read.diagnostics:
            line = f"{finding.file}:{finding.line}: {finding.message}"
            if finding.severity is Severity.ERROR:
                self._log("warning", finding.log_line())
            elif line not in pending:
                self._log("notice", line)
        for text in read.notes_not_in_effect:
            self._log("warning" if text.startswith("WARNING: ") else "notice", text)

    @contextmanager
    def _sign(self, path: str | None) -> Iterator[None]:
        """reload_file is there while the configuration is being read."""
        if path is None:
            yield
            return
        try:
            with open(path, "w", encoding="utf-8"):
                pass
        except OSError as error:
            self._log("warning", f"reload_file {path}: {error.strerror}")
        try:
            yield
        finally:
            with suppress(OSError):
                os.unlink(path)

    def _save(self, read: Read, path: str) -> None:
        """reload_check_config: what is wrong with the new files goes to a file of the operator's too."""
        try:
            with open(path, "a", encoding="utf-8", errors="surrogateescape") as file:
                file.writelines(f"{finding.text()}\n" for finding in read.diagnostics)
        except OSError as error:
            self._log("warning", f"reload_check_config {path}: {error.strerror}")
