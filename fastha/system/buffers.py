"""Receive buffers of sockets: what waits there until it is read."""

import socket
from typing import Final

SO_RCVBUFFORCE: Final = 33

_asked: dict[str, int] = {}
"""What this process was asked for, in octets, by kind of socket."""


def ask(kind: str, size: int) -> None:
    """Sockets of this kind that are opened from now on have at least so much room: `command` (netlink, carries out
    orders), `monitor` (netlink, hears of changes), `process` (the process connector). 0: what they have anyway."""
    _asked[kind] = size


def widen(sock: socket.socket, size: int, kind: str = "") -> None:
    """Room for `size` octets, or for more when that was asked for of this kind; beyond what the system grants to
    anybody where we are allowed to."""
    size = min(max(size, _asked.get(kind, 0)), 2**31 - 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
