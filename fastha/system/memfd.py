"""Big values between processes: sealed memfds. What was sealed can no longer change under the reader."""

import fcntl
import os
from typing import Final

_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def write_sealed(name: str, data: bytes | memoryview) -> int:
    """A new close-on-exec descriptor holding `data`, sealed. `name` is for /proc only. OSError when memory is short."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_sealed(fd: int) -> bytes:
    """All of it, whatever the file position. Closes `fd`. ValueError when it is not sealed, OSError when no memfd."""
    try:
        if fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
            raise ValueError("the memory file is not sealed")
        size = os.fstat(fd).st_size
        parts: list[bytes] = []
        at = 0
        while at < size:
            part = os.pread(fd, size - at, at)
            parts.append(part)
            at += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
    finally:
        os.close(fd)
