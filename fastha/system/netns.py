"""Network namespaces: entering one by name."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_CLONE_NEWNET: Final = 0x40000000
_DIR: Final = "/run/netns"


def exists(name: str) -> bool:
    """Whether `ip netns` knows a network namespace of that name."""
    try:
        # all namespaces are files of one filesystem
        return os.stat(os.path.join(_DIR, name)).st_dev == os.stat("/proc/self/ns/net").st_dev
    except (OSError, ValueError):
        return False


def enter(name: str) -> None:
    """Go into the network namespace that `ip netns` calls `name`. OSError, saying which, when that cannot be."""
    _enter_path(os.path.join(_DIR, name))


def _enter_path(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _set(fd, path)
    finally:
        os.close(fd)


def _set(fd: int, path: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)


@contextmanager
def inside(name: str | None) -> Iterator[None]:
    """This thread in the network namespace `name` for a while; empty: that of process 1; None: where it is anyway.

    What is opened meanwhile (sockets, /proc/net, /proc/sys/net) belongs to it for good. OSError when it cannot be.
    """
    if name is None:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter_path(os.path.join(_DIR, name) if name else "/proc/1/ns/net")
        try:
            yield
        finally:
            _set(home, "/proc/thread-self/ns/net")
    finally:
        os.close(home)
