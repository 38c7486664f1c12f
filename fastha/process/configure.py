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
    @property
    def canonical(self) -> str: ...


def errors(diagnostics: Iterable[Diagnostic]) -> set[str]:
    """The findings that count, without their places: what is compared between two readings."""
    return {each.message for each in diagnostics if each.severity is Severity.ERROR}


def refusal(read: Read, accepted: set[str]) -> str:
    """Why a reload must not take this reading; `` when it may.

    A file with errors is refused, unless these are the errors the running configuration was accepted with: a file that
    was good enough to start with can also be reloaded. Advice never counts.
    """
    counting = [each for each in read.diagnostics if each.severity is Severity.ERROR and not each.advice]
    if read.plan is None:
        return _said(counting) or "the configuration cannot be read"
    return _said([each for each in counting if each.message not in accepted])


def _said(findings: list[Diagnostic]) -> str:
    """The first of them with its place, and how many more there are."""
    if not findings:
        return ""
    first, more = findings[0], f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{first.where}: {first.message}{more}" if first.where else f"{first.message}{more}"


def unchangeable(old: SupervisorPlan, new: SupervisorPlan) -> list[str]:
    """Words whose change a reload does not follow; their old values stay."""
    return [word for word in ("net_namespace", "instance", "use_pid_dir") if getattr(old, word) != getattr(new, word)]
