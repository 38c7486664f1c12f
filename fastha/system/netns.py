"""Network namespaces: entering one by name."""

import ctypes
import os
from typing import Final

_CLONE_NEWNET: Final = 0x40000000
_DIR: Final = "/run/netns"


def exists(name: str) -> bool:
    """Whether `ip netns` knows a network namespace of that name."""
    return "\0" not in name and os.path.exists(os.path.join(_DIR, name))


def enter(name: str) -> None:
    """Go into the network namespace that `ip netns` calls `name`. OSError, saying which, when that cannot be."""
    path = os.path.join(_DIR, name)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(fd, _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(fd)
