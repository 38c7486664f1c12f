"""max_auto_priority: a process whose timers run late is given more real time, step by step, up to a ceiling."""

import os
from pathlib import Path
from typing import Final

from fastha.model.plan import ProcessSettings
from fastha.model.units import MS, Ns
from fastha.system.scheduling import limit_real_time

_NAMED: Final = os.SCHED_RR | os.SCHED_FIFO


class Raising:
    """Judges how late timers of this process are. One step is one priority of SCHED_RR; the first one leaves the normal
    class. Without a ceiling it never does anything."""

    def __init__(self, settings: ProcessSettings, threads: tuple[int, ...] | None = None) -> None:
        """`threads`: native ids that are raised with the calling thread; None: every one of the process."""
        self._settings = settings
        self._threads = threads
        self._ceiling = settings.auto_priority

    def late(self, lateness: Ns) -> str:
        """A timer was late by this. Returns what to say of it, mostly nothing."""
        if self._ceiling <= 0 or lateness < self._settings.auto_priority_delay:
            return ""
        now = _priority(0)
        if now >= self._ceiling:
            return ""
        try:
            if not now:
                limit_real_time(self._settings.rlimit_rttime)
            for thread in self._all():
                step = min(_priority(thread) + 1, self._ceiling)
                os.sched_setscheduler(thread, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(step))
        except (OSError, ValueError) as error:
            self._ceiling = 0
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return f"a timer was {lateness // MS} ms late, and real-time priority is not to be had: {reason}"
        return f"a timer was {lateness // MS} ms late: real-time priority is {now + 1} from now on"

    def _all(self) -> tuple[int, ...]:
        if self._threads is not None:
            return (*self._threads, 0)
        return tuple(int(task.name) for task in Path("/proc/self/task").iterdir())


def _priority(thread: int) -> int:
    """Of a thread in real time; 0: it is in another class."""
    if not os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK & _NAMED:
        return 0
    return os.sched_getparam(thread).sched_priority
