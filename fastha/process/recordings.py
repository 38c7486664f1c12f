"""Recordings of the VRRP core, as files (`vrrp_recording`; what is in them: `vrrp.recording`)."""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from fastha.process.messages import Recorded

MODE: Final = 0o600
"""There are passwords in it."""


def keep(recorded: Recorded, log: Callable[[str, str], None]) -> None:
    """Append lines; the first ones of a process begin a new file, and the one before stays as FILE.1."""
    path, flags = recorded.path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW
    try:
        if recorded.begins:
            with suppress(FileNotFoundError):
                os.rename(path, f"{path}.1")
            flags |= os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(path, flags, MODE), "ab") as file:
            file.write(recorded.text.encode())
    except FileNotFoundError as problem:
        if recorded.begins:  # else it was told then, or somebody has taken the file away
            log("error", f"vrrp_recording: {problem}")
    except OSError as problem:
        log("error", f"vrrp_recording: {problem}")
