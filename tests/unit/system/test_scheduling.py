"""Scheduling words of a child, in processes of their own."""

import json
import os
import subprocess
import sys

import pytest

from fastha.model.plan import ProcessSettings

PROGRAM = """
import json, os, sys
from fastha.model.plan import ProcessSettings
from fastha.system.scheduling import apply_settings
settings = json.loads(sys.argv[1])
settings["cpu_affinity"] = tuple(settings["cpu_affinity"])
lines = apply_settings(ProcessSettings(**settings))
status = open("/proc/self/status").read()
locked = int(status.split("VmLck:")[1].split()[0])
nice = os.getpriority(os.PRIO_PROCESS, 0)
print(json.dumps([lines, nice, os.sched_getscheduler(0), sorted(os.sched_getaffinity(0)), locked]))
"""


def apply(**words: object) -> tuple[list[str], int, int, list[int], int]:
    default = ProcessSettings()
    settings = {name: words.get(name, getattr(default, name)) for name in default.__slots__}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(settings)], capture_output=True, text=True, check=True
    )
    lines, nice, scheduler, cpus, locked = json.loads(done.stdout)
    return lines, nice, scheduler, cpus, locked


def test_nothing_asked_nothing_done() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert apply() == ([], before, os.SCHED_OTHER, sorted(os.sched_getaffinity(0)), 0)


def test_nice_value_and_cpus() -> None:
    cpu = min(os.sched_getaffinity(0))
    lines, nice, _, cpus, _ = apply(priority=7, cpu_affinity=(cpu,))
    assert (lines, nice, cpus) == ([], 7, [cpu])


def test_what_is_refused_is_told() -> None:
    lines, *_ = apply(cpu_affinity=(4000,), rt_priority=1000)
    assert len(lines) == 2
    assert "4000" in lines[1]
    assert "1000" in lines[0]


def test_real_time_where_it_is_allowed() -> None:
    lines, _, scheduler, _, _ = apply(rt_priority=3)
    if lines:
        pytest.skip(f"no real-time class here: {lines[0]}")
    assert scheduler == os.SCHED_RR


def test_memory_is_locked_where_it_is_allowed() -> None:
    lines, _, _, _, locked = apply(no_swap=True)
    if lines:
        pytest.skip(f"memory cannot be locked here: {lines[0]}")
    assert locked > 0
