"""The process connector of the kernel (linux/cn_proc.h): who forks, execs, renames itself and ends. Needs
CAP_NET_ADMIN, and the initial user and process namespaces: to others the kernel does not even say no."""

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Final

from fastha.system.buffers import widen

_NETLINK_CONNECTOR: Final = 11
_CN_IDX_PROC: Final = 1
_CN_VAL_PROC: Final = 1
_LISTEN: Final = 1
_IGNORE: Final = 2
_NLMSG_DONE: Final = 3
_NLMSG: Final = struct.Struct("=IHHII")
_CN_MSG: Final = struct.Struct("=IIIIHH")
_EVENT: Final = struct.Struct("=IIQ")
"""what, cpu, timestamp"""
_TWO_PIDS: Final = struct.Struct("=II")
_BUFFER: Final = 4 << 20
_INITIAL: Final = {"user": 0xEFFFFFFD, "pid": 0xEFFFFFFC}
"""Inode numbers of the namespaces the kernel starts with (linux/proc_ns.h)."""


class Happened(IntEnum):
    """proc_cn_event, those that matter here."""

    FORK = 0x1
    EXEC = 0x2
    COMM = 0x200
    EXIT = 0x80000000


class ProcessConnector:
    """Calls `on_event(what, pid)` for whole processes (not threads), and `on_lost()` when the kernel dropped events."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_event: Callable[[Happened, int], None],
        on_lost: Callable[[], None],
    ) -> None:
        """OSError when the kernel or our rights do not allow it."""
        for kind, inode in _INITIAL.items():
            if os.stat(f"/proc/self/ns/{kind}").st_ino != inode:
                raise OSError(errno.EOPNOTSUPP, f"the kernel does not tell outside the initial {kind} namespace")
        self._loop = loop
        self._on_event = on_event
        self._on_lost = on_lost
        self._sock = socket.socket(
            socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, _NETLINK_CONNECTOR
        )
        try:
            widen(self._sock, _BUFFER, "process")
            self._sock.bind((0, _CN_IDX_PROC))
            self._ask(_LISTEN)
        except OSError:
            self._sock.close()
            raise
        loop.add_reader(self._sock, self._readable)

    def _ask(self, operation: int) -> None:
        body = struct.pack("=I", operation)
        message = _CN_MSG.pack(_CN_IDX_PROC, _CN_VAL_PROC, 0, 0, len(body), 0) + body
        head = _NLMSG.pack(_NLMSG.size + len(message), _NLMSG_DONE, 0, 0, os.getpid())
        self._sock.send(head + message)

    def _readable(self) -> None:
        for _ in range(256):
            try:
                data, address = self._sock.recvfrom(4096)
            except BlockingIOError:
                return
            except OSError:  # ENOBUFS
                self._on_lost()
                return
            if address[0] == 0:  # from the kernel
                self._datagram(data)

    def _datagram(self, data: bytes) -> None:
        at = _NLMSG.size + _CN_MSG.size
        if len(data) < at + _EVENT.size + _TWO_PIDS.size:
            return
        what = _EVENT.unpack_from(data, at)[0]
        at += _EVENT.size
        if what == Happened.FORK:
            if len(data) < at + 16:
                return
            at += 8  # parent first, then child
        if what in _KNOWN:
            pid, group = _TWO_PIDS.unpack_from(data, at)
            if pid == group:
                self._on_event(Happened(what), group)

    def close(self) -> None:
        """Stop listening."""
        self._loop.remove_reader(self._sock)
        self._sock.close()


_KNOWN: Final = frozenset(int(each) for each in Happened)
