"""vrrp_track_process: how many processes of a name there are, told to the vrrp process as quorum or not.

The kernel tells who starts and ends; after lost events, and at the start, the process table is read. Where the kernel
does not tell (no rights, a container), the table is read once a second.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from fastha.model.plan import TrackProcess
from fastha.model.snapshot import TrackedProcessSnapshot
from fastha.model.units import S
from fastha.system.procconn import Happened, ProcessConnector
from fastha.system.procs import Process, processes, read_process
from fastha.track.processes import Quorum, is_match

_READ_AGAIN: Final = 1.0
"""Seconds from lost events to reading the table again; and between two readings where the kernel does not tell."""


class _Tracked:
    def __init__(self, plan: TrackProcess) -> None:
        self.plan = plan
        self.quorum = Quorum(plan)
        self.pids: set[int] = set()


class TrackProcesses:
    """All of them. `tell(name, up)` is called for each changed result."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tell: Callable[[str, bool], None],
        log: Callable[[str, str, str], None],
    ) -> None:
        self._loop = loop
        self._tell = tell
        self._log = log
        self._tracked: dict[str, _Tracked] = {}
        self._connector: ProcessConnector | None = None
        self._rereading: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None

    def adopt(self, plans: tuple[TrackProcess, ...]) -> None:
        """Go over to these; everything is counted again."""
        self.close()
        self._tracked = {plan.name: _Tracked(plan) for plan in plans}
        if not plans:
            return
        try:
            self._connector = ProcessConnector(self._loop, self._happened, self._lost)
        except OSError as error:
            self._log("warning", f"tracked processes are counted once a second only: {error}", "process connector")
        self._read_all()

    def close(self) -> None:
        """Stop listening."""
        if self._connector is not None:
            self._connector.close()
            self._connector = None
        for timer in (self._rereading, self._timer):
            if timer is not None:
                timer.cancel()
        self._rereading = self._timer = None
        self._tracked = {}

    def tell_all(self) -> None:
        """Tell every result that is known."""
        for name, tracked in self._tracked.items():
            if tracked.quorum.up is not None:
                self._tell(name, tracked.quorum.up)

    def snapshot(self) -> tuple[TrackedProcessSnapshot, ...]:
        """What is counted now."""
        return tuple(
            TrackedProcessSnapshot(
                name=name,
                count=tracked.quorum.count,
                up=bool(tracked.quorum.up),
                fork_pending=tracked.quorum.deadline() is not None and not tracked.quorum.up,
                terminate_pending=tracked.quorum.deadline() is not None and bool(tracked.quorum.up),
            )
            for name, tracked in self._tracked.items()
        )

    def _read_all(self) -> None:
        self._rereading = None
        for tracked in self._tracked.values():
            tracked.pids.clear()
        for process in processes():
            self._sort(process)
        self._count()
        if self._connector is None and self._tracked:
            self._lost()

    def _lost(self) -> None:
        if self._rereading is None:
            self._rereading = self._loop.call_later(_READ_AGAIN, self._read_all)

    def _happened(self, what: Happened, pid: int) -> None:
        process = None if what is Happened.EXIT else read_process(pid)
        if process is None:
            for tracked in self._tracked.values():
                tracked.pids.discard(pid)
        else:
            self._sort(process)
        self._count()

    def _sort(self, process: Process) -> None:
        for tracked in self._tracked.values():
            if is_match(tracked.plan, process.comm, process.argv):
                tracked.pids.add(process.pid)
            else:
                tracked.pids.discard(process.pid)

    def _count(self) -> None:
        now = time.monotonic_ns()
        for name, tracked in self._tracked.items():
            if len(tracked.pids) != tracked.quorum.count or tracked.quorum.up is None:
                self._changed(name, tracked.quorum.counted(len(tracked.pids), now))
        self._set_timer()

    def _changed(self, name: str, up: bool | None) -> None:
        if up is not None:
            count = self._tracked[name].quorum.count
            words = "has" if up else "has no"
            self._log("info", f"Process {name} {words} quorum ({count} running)", f"process {name}")
            self._tell(name, up)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadlines = [at for each in self._tracked.values() if (at := each.quorum.deadline()) is not None]
        if deadlines:
            wait = max(0, min(deadlines) - time.monotonic_ns())
            self._timer = self._loop.call_later(wait / S + 0.001, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = time.monotonic_ns()
        for name, tracked in self._tracked.items():
            self._changed(name, tracked.quorum.tick(now))
        self._set_timer()
