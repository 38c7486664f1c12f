"""Other processes, as /proc shows them."""

import os
import signal
from contextlib import suppress


def cmdline(pid: int) -> list[str]:
    """The words a process was started with; empty when it is gone or a kernel thread."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().decode(errors="surrogateescape").rstrip("\0")
    except OSError:
        return []
    return words.split("\0") if words else []


def session_members(session: int) -> list[int]:
    """The processes of a session (setsid(2)) that still live, its leader apart."""
    members: list[int] = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == session:
            continue
        with suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as file:
            # pid (comm) state ppid pgrp session: comm may hold blanks and brackets
            fields = file.read().rpartition(b")")[2].split()
            if fields[0] != b"Z" and int(fields[3]) == session:
                members.append(int(name))
    return members


def end_session(session: int) -> int:
    """SIGTERM to what a dead session leader left behind, group by group; how many processes that were."""
    members = session_members(session)
    for pid in members:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)
    return len(members)
