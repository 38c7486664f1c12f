"""Children of a supervisor that was killed: found by their pid files, retired, their states taken over.

Retired means: they stop and leave everything in the kernel as it is, so that the children of the new supervisor find
it, reconcile, and go on.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress

from fastha.model.units import Ns
from fastha.process.child import RETIRE
from fastha.process.messages import States
from fastha.process.resume import take_states
from fastha.system import pidfile, procs


def _is_ours(name: str, pid: int, run_dir: str) -> bool:
    words = procs.cmdline(pid)
    return run_dir in words and any(word.endswith(f"process.{name}") for word in words)


async def retire(
    run_dir: str, pid_files: Mapping[str, str], patience: float, log: Callable[[str, str], None]
) -> tuple[States, Ns]:
    """Retire the orphans named by `pid_files` (child -> path); what the vrrp orphan left to be resumed, and when.

    An orphan that does not leave within `patience` seconds is killed. A pid that is someone else's is left alone.
    """
    loop = asyncio.get_running_loop()
    waiting: list[int] = []
    for name, path in pid_files.items():
        pid = pidfile.read_pid(path)
        if pid is None:
            continue
        with suppress(ProcessLookupError):
            fd = os.pidfd_open(pid)
            # Looked at after the pidfd holds it: what we signal is what we looked at.
            if _is_ours(name, pid, run_dir):
                log("notice", f"retiring the {name} process [{pid}] of a supervisor that is gone")
                signal.pidfd_send_signal(fd, RETIRE)
                waiting.append(fd)
            else:
                os.close(fd)
        pidfile.remove(path)
    if not waiting:
        take_states(run_dir)
        return States(), 0
    await asyncio.gather(*(_gone(loop, fd, patience) for fd in waiting))
    for fd in waiting:
        os.close(fd)
    return take_states(run_dir)


async def _gone(loop: asyncio.AbstractEventLoop, fd: int, patience: float) -> None:
    """Wait for the end of the process behind a pidfd, and help after `patience` seconds."""
    ended = asyncio.Event()
    loop.add_reader(fd, ended.set)
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), patience)
        if not ended.is_set():
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            await ended.wait()
    finally:
        loop.remove_reader(fd)
