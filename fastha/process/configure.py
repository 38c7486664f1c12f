"""The configuration file as the supervisor reads it."""

from collections.abc import Iterable
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


def errors(diagnostics: Iterable[Diagnostic]) -> set[str]:
    """The findings that count, without their places: what is compared between two readings."""
    return {each.message for each in diagnostics if each.severity is Severity.ERROR}


def refusal(read: Read, accepted: set[str]) -> str:
    """Why a reload must not take this reading; `` when it may.

    A file with errors is refused, unless these are the errors the running configuration was accepted with: a file that
    was good enough to start with can also be reloaded.
    """
    if read.plan is None:
        found = [each for each in read.diagnostics if each.severity is Severity.ERROR]
        return found[0].message if found else "the configuration cannot be read"
    new = [each for each in read.diagnostics if each.severity is Severity.ERROR and each.message not in accepted]
    if not new:
        return ""
    more = f" (and {len(new) - 1} more)" if len(new) > 1 else ""
    return f"{new[0].where}: {new[0].message}{more}" if new[0].where else f"{new[0].message}{more}"


def unchangeable(old: SupervisorPlan, new: SupervisorPlan) -> list[str]:
    """Words whose change a reload does not follow; their old values stay."""
    return [word for word in ("net_namespace", "instance", "use_pid_dir") if getattr(old, word) != getattr(new, word)]
