"""Real time for the vrrp process: SCHED_RR, locked memory, a frozen heap. What is refused is told, and we go on."""

import ctypes
import gc
import os
import resource
from typing import Final

from fastha.model.plan import ProcessSettings

PRIORITY: Final = 50
"""SCHED_RR, when the operator names none."""
RTTIME: Final = 2_000_000
"""Microseconds of CPU without a sleep until the kernel ends us (RLIMIT_RTTIME): a wild loop must not own a core."""
SHORTEST_RTTIME: Final = 500_000
"""keepalived's 10 ms would end a Python process in the middle of a reload."""
MCL_CURRENT, MCL_FUTURE = 1, 2


def enter(settings: ProcessSettings, threads: tuple[int, ...]) -> tuple[str, tuple[str, ...]]:
    """Put this thread and `threads` (native ids, to run one priority above it) into real time.

    Returns what came of it in short (`SCHED_RR 50, memory locked`) and a line for each thing refused.
    """
    refused: list[str] = []
    done = [_schedule(settings, threads, refused), _lock_memory(refused)]
    if settings.cpu_affinity:
        try:
            for thread in (0, *threads):
                os.sched_setaffinity(thread, settings.cpu_affinity)
        except OSError as error:
            refused.append(f"cannot run on CPUs {settings.cpu_affinity}: {error.strerror}")
    gc.collect()
    gc.freeze()
    return ", ".join(done), tuple(refused)


def _schedule(settings: ProcessSettings, threads: tuple[int, ...], refused: list[str]) -> str:
    priority = settings.rt_priority if settings.rt_priority is not None else PRIORITY
    if settings.rt_priority is None and settings.priority:
        return _nice(settings.priority, refused)
    try:
        _limit(settings.rlimit_rttime)
        # new threads do not inherit the class (reset on fork), so each is told
        for thread in threads:
            os.sched_setscheduler(thread, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
        below = os.sched_param(max(1, priority - 1))
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, below)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        refused.append(f"no real-time scheduling ({reason}): adverts may be late on a busy machine")
        return f"no SCHED_RR ({reason})"
    return f"SCHED_RR {priority}"


def _nice(value: int, refused: list[str]) -> str:
    """The operator asked for vrrp_priority and no real time."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, value)
    except OSError as error:
        refused.append(f"cannot set nice value {value}: {error.strerror}")
    return f"nice {os.getpriority(os.PRIO_PROCESS, 0)}"


def _limit(wanted: int | None) -> None:
    hard = max(SHORTEST_RTTIME, wanted) if wanted else RTTIME
    ceiling = resource.getrlimit(resource.RLIMIT_RTTIME)[1]
    if ceiling != resource.RLIM_INFINITY:
        hard = min(hard, ceiling)
    resource.setrlimit(resource.RLIMIT_RTTIME, (hard, hard))


def _lock_memory(refused: list[str]) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(MCL_CURRENT | MCL_FUTURE) == 0:
        return "memory locked"
    reason = os.strerror(ctypes.get_errno())
    refused.append(f"memory is not locked ({reason}): adverts may be late when the machine swaps")
    return f"memory not locked ({reason})"
