"""Words about the processes and their files."""

import pytest

from fastha.model.units import MS, S
from tests.config_machine import Machine, errors, read


@pytest.mark.parametrize(
    ("path", "kept", "problem"),
    [
        ("/etc", "/etc", ""),
        ("/etc/saved/", "/etc/saved", ""),
        ("saved", "/saved", ""),
        ("/etc/passwd", None, "is not a directory"),
        ("/etc/passwd/x", None, "/etc/passwd is not a directory"),
        ("/nowhere/x", None, "/nowhere is not a directory"),
        ('""', None, "is empty"),
    ],
)
def test_config_save_dir(path: str, kept: str | None, problem: str) -> None:
    machine = Machine(files={"/etc/passwd": b""})
    loaded = read(f"global_defs {{\nconfig_save_dir {path}\n}}\n", machine)
    assert loaded.plan is not None
    assert loaded.plan.supervisor.config_save_dir == kept
    assert [problem in message for message in errors(loaded)] == ([True] if problem else [])
    assert loaded.canonical.startswith("global_defs {") == (kept is not None)


def test_priorities_that_late_timers_raise() -> None:
    loaded = read("global_defs {\nmax_auto_priority 60\nmin_auto_priority_delay 20000\n}\n")
    assert loaded.plan is not None
    for process in (loaded.plan.vrrp.process, loaded.plan.checker.process):
        assert (process.auto_priority, process.auto_priority_delay) == (60, 20 * MS)
    plain = read("global_defs {\nmax_auto_priority\n}\n").plan
    assert plain is not None
    assert (plain.vrrp.process.auto_priority, plain.vrrp.process.auto_priority_delay) == (99, S)
