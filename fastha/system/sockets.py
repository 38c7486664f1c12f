"""The sockets of VRRP: raw ones for protocol 112, or 51 (with an authentication header), a packet socket for gratuitous
ARP and neighbour advertisements.

They are made here and used by the advert engine only. All are non-blocking and bound to their interface.
"""

import contextlib
import ctypes
import errno
import socket
import struct
from typing import Final

from fastha.model.net import Address, Family, packed
from fastha.system.buffers import widen

VRRP: Final = 112

IP_FREEBIND: Final = 15
IP_MULTICAST_ALL: Final = 49
IPV6_MULTICAST_ALL: Final = 29
IPV6_FREEBIND: Final = 78
SO_ATTACH_FILTER: Final = 26
SO_TIMESTAMPNS: Final = 35
SO_RXQ_OVFL: Final = 40

CHECKSUM_OFFSET: Final = 6
"""Of the checksum in a VRRP message: the kernel computes and verifies it for IPv6."""
INTERNETWORK_CONTROL: Final = 0xC0
RECEIVE_BUFFER: Final = 1 << 20
"""Octets; some 1,300 adverts, a second of 255 instances at 200 ms."""


def listener(
    family: Family,
    interface: str,
    index: int,
    group: Address | None,
    source: Address | None,
    *,
    protocol: int = VRRP,
    room: int = 0,
) -> socket.socket:
    """A socket that hears adverts to `group` on the interface, or unicast ones to `source`; OSError, the kernel's.

    `protocol` is 112, or 51 for adverts with an authentication header (IPv4). `room`: octets that its receive buffer is
    to have at least."""
    sock = _raw(family, protocol, interface)
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        widen(sock, max(RECEIVE_BUFFER, room))
        if family == 4:
            _listen4(sock, index, group, source)
        else:
            _listen6(sock, index, group, source)
        _discard(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _listen4(sock: socket.socket, index: int, group: Address | None, source: Address | None) -> None:
    sock.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
    sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    sock.bind((group or source or "", 0))
    if group is not None:
        member = struct.pack("=4s4si", packed(group), b"\0" * 4, index)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)


def _listen6(sock: socket.socket, index: int, group: Address | None, source: Address | None) -> None:
    sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)
    sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_CHECKSUM, CHECKSUM_OFFSET)
    sock.bind((group or source or "", 0, 0, index))
    if group is not None:
        member = struct.pack("=16si", packed(group), index)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)


def sender(family: Family, interface: str, index: int) -> socket.socket:
    """A socket that sends adverts from the interface and receives nothing. IPv4: with our own IP header."""
    if family == 4:
        sock = _raw(4, socket.IPPROTO_RAW, interface)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4s4si", b"\0" * 4, b"\0" * 4, index))
        return sock
    sock = _raw(6, VRRP, interface)
    _refuse_all(sock)
    sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)  # a last word leaves from an address that is gone
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, INTERNETWORK_CONTROL)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_CHECKSUM, CHECKSUM_OFFSET)
    return sock


def packet_sender() -> socket.socket:
    """A link-layer socket that sends whole frames from any interface and receives nothing."""
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)


def _raw(family: Family, protocol: int, interface: str) -> socket.socket:
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    sock = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, kind, protocol)
    try:
        if interface:  # a unicast instance may have none
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    except BaseException:
        sock.close()
        raise
    return sock


def _discard(sock: socket.socket) -> None:
    """Forget what came in before the socket was bound: it may be for others."""
    with contextlib.suppress(BlockingIOError):
        while True:
            try:
                sock.recv(1)
            except OSError as error:
                if error.errno == errno.ENETDOWN:  # said once, when the interface is down
                    continue
                raise


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _refuse_all(sock: socket.socket) -> None:
    """A filter of one instruction, `return 0`: nothing is queued for this socket."""
    instruction = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0))
    program = _Program(1, ctypes.cast(instruction, ctypes.c_void_p))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(program))
