"""Other processes, as /proc shows them."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple


class Process(NamedTuple):
    """A process that is no zombie."""

    pid: int
    comm: str
    argv: list[str]


def read_process(pid: int) -> Process | None:
    """The process `pid`; None when it is gone, or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            head, _, tail = file.read().rpartition(b")")
    except OSError:
        return None
    if tail.split()[0] in (b"Z", b"X"):
        return None
    return Process(pid, os.fsdecode(head.partition(b"(")[2]), cmdline(pid))


def processes() -> Iterator[Process]:
    """All processes there are."""
    for name in os.listdir("/proc"):
        if name.isdigit() and (process := read_process(int(name))) is not None:
            yield process


def cmdline(pid: int) -> list[str]:
    """The words a process was started with; empty when it is gone or a kernel thread."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().decode(errors="surrogateescape").rstrip("\0")
    except OSError:
        return []
    return words.split("\0") if words else []


def group_leaders(session: int) -> list[int]:
    """The leaders of process groups in a session (setsid(2)) that still live, the session's leader apart."""
    leaders: list[int] = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == session:
            continue
        with suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as file:
            # pid (comm) state ppid pgrp session: comm may hold blanks and brackets
            fields = file.read().rpartition(b")")[2].split()
            if fields[0] != b"Z" and int(fields[3]) == session and int(fields[2]) == int(name):
                leaders.append(int(name))
    return leaders


def end_scripts(runner: int) -> int:
    """SIGTERM to the scripts that a dead runner left behind; how many there were.

    The runner leads a session, each script a process group in it. What a script has started in the background is left
    alone: it leads no group.
    """
    leaders = group_leaders(runner)
    for pid in leaders:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)
    return len(leaders)
