"""Children of a supervisor that was killed: found by their pid files, retired, their states taken over.

Retired means: they stop and leave everything in the kernel as it is, so that the children of the new supervisor find
it, reconcile, and go on.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from fastha.model.units import Ns
from fastha.process.child import RETIRE
from fastha.process.messages import States
from fastha.process.resume import take_states
from fastha.system import pidfile, procs

_RUNNER_PATIENCE: Final = 30.0


def _is_ours(name: str, pid: int, run_dir: str) -> bool:
    words = procs.cmdline(pid)
    return run_dir in words and any(word.endswith(f"process.{name}") for word in words)


async def retire(
    run_dir: str, pid_files: Mapping[str, str], patience: float, log: Callable[[str, str], None]
) -> tuple[States, Ns, asyncio.Task[None]]:
    """Retire the orphans named by `pid_files` (child -> path); what the vrrp orphan left to be resumed, and when.

    An orphan that does not leave within `patience` seconds is killed. A pid that is someone else's is left alone. The
    runner may still have scripts to wait for, and nobody waits for it: the task is done when it is gone.
    """
    found: dict[str, int] = {}
    for name, path in pid_files.items():
        fd = _retire_one(name, path, run_dir, log)
        if fd is not None:
            found[name] = fd
    await asyncio.gather(*(_gone(fd, patience) for name, fd in found.items() if name != "runner"))
    rest = asyncio.create_task(_gone(found.get("runner"), _RUNNER_PATIENCE))
    states, at = take_states(run_dir)
    return states, at, rest


def _retire_one(name: str, path: str, run_dir: str, log: Callable[[str, str], None]) -> int | None:
    """A pidfd of the orphan, which was told to retire; None when there is none."""
    pid = pidfile.read_pid(path)
    if pid is None:
        return None
    pidfile.remove(path)
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        if name == "runner" and procs.end_scripts(pid):
            # It was killed together with its supervisor, who would have ended them.
            log("notice", f"ending scripts that a runner [{pid}] left behind")
        return None
    # Looked at after the pidfd holds it: what we signal is what we looked at.
    if not _is_ours(name, pid, run_dir):
        os.close(fd)
        return None
    log("notice", f"retiring the {name} process [{pid}] of a supervisor that is gone")
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(fd, RETIRE)
    return fd


async def _gone(fd: int | None, patience: float) -> None:
    """Wait for the end of the process behind a pidfd, and help after `patience` seconds."""
    if fd is None:
        return
    loop = asyncio.get_running_loop()
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
        os.close(fd)
