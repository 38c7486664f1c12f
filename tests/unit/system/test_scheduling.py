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


RAISING = """
import json, os, sys, threading
from fastha.model.plan import ProcessSettings
from fastha.system.raising import Raising
ceiling, delay = map(int, sys.argv[1:])
end = threading.Event()
other = threading.Thread(target=end.wait)
other.start()
raising = Raising(ProcessSettings(auto_priority=ceiling, auto_priority_delay=delay))
said = [raising.late(lateness) for lateness in (delay - 1, delay, 10 * delay, delay, delay)]
threads = [os.sched_getparam(thread).sched_priority for thread in (0, other.native_id)]
end.set()
print(json.dumps([said, threads]))
"""


def raised(ceiling: int, delay: int = 500_000_000) -> tuple[list[str], list[int]]:
    done = subprocess.run(
        [sys.executable, "-c", RAISING, str(ceiling), str(delay)], capture_output=True, text=True, check=True
    )
    said, threads = json.loads(done.stdout)
    if any("not to be had" in line for line in said):
        pytest.skip(f"no real-time class here: {said}")
    return said, threads


def test_late_timers_raise_the_priority_step_by_step_to_the_ceiling() -> None:
    said, threads = raised(3)
    assert threads == [3, 3]
    assert said[0] == said[4] == ""
    assert [line.partition(" ms late: ")[2] for line in said[1:4]] == [
        f"real-time priority is {n} from now on" for n in (1, 2, 3)
    ]


@pytest.mark.parametrize("ceiling", [0, -1])
def test_without_a_ceiling_it_stays(ceiling: int) -> None:
    assert raised(ceiling) == ([""] * 5, [0, 0])
