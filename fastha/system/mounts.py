"""A mount namespace of our own, in which a directory is seen in another's place."""

import ctypes
import os
from typing import Final

_CLONE_NEWNS: Final = 0x00020000
_MS_BIND, _MS_REC, _MS_SLAVE = 0x1000, 0x4000, 0x80000


def bind_for_us(source: str, target: str) -> None:
    """From now on this process, and what it starts, sees the directory `source` at `target`; nobody else does.

    OSError when that cannot be done; then nothing has changed for others either.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare(_CLONE_NEWNS), "a mount namespace of our own")
    # Slave, not private: what the host mounts later is still seen here.
    _check(libc.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None), "/")
    _check(libc.mount(source.encode(), target.encode(), None, _MS_BIND, None), target)


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
