"""Scheduling of a process that has no need of real time: only what the operator's own words ask for."""

import ctypes
import os
import resource
from typing import Final

from fastha.model.plan import ProcessSettings

_MCL_CURRENT: Final = 1
_MCL_FUTURE: Final = 2


def apply_settings(settings: ProcessSettings) -> tuple[str, ...]:
    """Nice value, real-time class, CPUs and locked memory of this process, as far as they are set.

    To be called before other threads start, for they inherit. Returns a line for each thing that is refused.
    """
    refused: list[str] = []
    if settings.rt_priority is not None:
        _real_time(settings.rt_priority, settings.rlimit_rttime, refused)
    elif settings.priority:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, settings.priority)
        except OSError as error:
            refused.append(f"cannot set nice value {settings.priority}: {error.strerror}")
    if settings.cpu_affinity:
        try:
            os.sched_setaffinity(0, settings.cpu_affinity)
        except OSError as error:
            refused.append(f"cannot run on CPUs {settings.cpu_affinity}: {error.strerror}")
    if settings.no_swap:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE):
            refused.append(f"cannot lock memory: {os.strerror(ctypes.get_errno())}")
    return tuple(refused)


def _real_time(priority: int, rttime: int | None, refused: list[str]) -> None:
    """SCHED_RR, inherited by threads but not by what they start (reset on fork would spare the threads too)."""
    try:
        limit_real_time(rttime)
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(priority))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        refused.append(f"cannot be scheduled in real time with priority {priority}: {reason}")


def limit_real_time(rttime: int | None) -> None:
    """The longest stretch of real-time work without a wait, in microseconds; None: as it is. OSError, ValueError."""
    if rttime:
        ceiling = resource.getrlimit(resource.RLIMIT_RTTIME)[1]
        limit = rttime if ceiling == resource.RLIM_INFINITY else min(rttime, ceiling)
        resource.setrlimit(resource.RLIMIT_RTTIME, (limit, ceiling))
