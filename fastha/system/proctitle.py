"""What `ps` and the logs call this process."""

import ctypes
from typing import Final

_PR_SET_NAME: Final = 15


def set_comm(name: str) -> None:
    """The name of this thread in /proc (15 bytes at most): `ps -o comm`, `top`, `killall`."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)
