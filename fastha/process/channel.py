"""The channel between two processes: messages over a SOCK_SEQPACKET socket, descriptors by SCM_RIGHTS.

The sender never waits: what the socket does not take at once waits in an `Outbox`, and goes when the receiver has read.
Neither side does more than a budget of messages in one turn of its loop.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Final

from fastha.process import datagram
from fastha.process.messages import Message
from fastha.process.outbox import Outbox
from fastha.system.memfd import read_sealed, write_sealed

BUDGET: Final = 64
"""Messages in one turn of the loop, each way."""
_MAX_FDS: Final = 8
_ANCILLARY: Final = socket.CMSG_LEN(_MAX_FDS * 4)
_SEND_BUFFER: Final = 1 << 20
_AGAIN: Final = 0.02
"""Seconds until the next try when the kernel is short of memory or of descriptors in flight."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends, neither inherited by exec."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)


class _Sent(Enum):
    YES = 0
    FULL = 1
    """Wait until the socket is writable."""
    SHORT = 2
    """The kernel lacks something that passes (ENOBUFS, ETOOMANYREFS): try again soon."""
    GONE = 3
    """No one reads any more; the reader's side of us closes the channel."""


def _outcome(error: OSError) -> _Sent:
    if isinstance(error, BlockingIOError):
        return _Sent.FULL
    return _Sent.GONE if isinstance(error, ConnectionError) else _Sent.SHORT


class Channel:
    """One end.

    `on_message(message, fds)` is called for every message received and owns the descriptors; `on_close()` once, when
    the other end is gone. A datagram that is no message goes to the loop's exception handler and is counted in `bad`,
    the others in `received`.
    `outbox` outlives the channel: what still waits when the peer dies goes to the peer's successor.
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        on_message: Callable[[Message, tuple[int, ...]], None],
        on_close: Callable[[], None],
        outbox: Outbox | None = None,
    ) -> None:
        self._sock = sock
        self._loop = loop
        self._on_message = on_message
        self._on_close = on_close
        self.outbox = outbox if outbox is not None else Outbox()
        self.closed = False
        self.bad = 0
        self.received = 0
        self._largest = datagram.MAX_DATAGRAM
        """Bytes in one datagram; less where the kernel's send buffer is small."""
        self._writing = False
        self._again: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        loop.add_reader(sock, self._readable)
        self.outbox.resend()
        if len(self.outbox):
            self._drain()

    # -------------------------------------------------------------------------------------- sending

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Send `message`, now or when the receiver has read. The channel owns `fds` from now on and closes its copies.

        On a closed channel the message waits in the outbox.
        """
        waits = bool(len(self.outbox))
        self.outbox.put(message, fds)
        if not waits and not self.closed:
            self._drain()

    async def flush(self, patience: float) -> bool:
        """Wait at most `patience` seconds until nothing waits any more; whether that is so."""
        if len(self.outbox) and not self.closed:
            self._drained = self._loop.create_future()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._drained, patience)
        return not len(self.outbox)

    def _drain(self) -> None:
        """Send what waits, up to the budget."""
        outcome = _Sent.FULL
        for _ in range(BUDGET):
            waiting = self.outbox.first()
            if waiting is None:
                outcome = _Sent.YES
                break
            outcome = self._transmit(waiting.message, waiting.fds)
            if outcome is not _Sent.YES:
                break
            self.outbox.done()
        else:
            outcome = _Sent.FULL if len(self.outbox) else _Sent.YES
        self._watch_writable(outcome is _Sent.FULL)
        if outcome is _Sent.SHORT and self._again is None:
            self._again = self._loop.call_later(_AGAIN, self._try_again)
        if not len(self.outbox) and self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def _try_again(self) -> None:
        self._again = None
        self._drain()

    def _watch_writable(self, wanted: bool) -> None:
        if wanted and not self._writing:
            self._loop.add_writer(self._sock, self._drain)
        elif self._writing and not wanted:
            self._loop.remove_writer(self._sock)
        self._writing = wanted

    def _transmit(self, message: Message, fds: tuple[int, ...]) -> _Sent:
        data = datagram.encode(message)
        if len(data) > self._largest:
            return self._transmit_large(data, fds)
        try:
            if fds:
                socket.send_fds(self._sock, [data], list(fds))
            else:
                self._sock.send(data)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                self._largest = len(data) // 2
                return self._transmit_large(data, fds)
            return _outcome(error)
        return _Sent.YES

    def _transmit_large(self, data: bytes, fds: tuple[int, ...]) -> _Sent:
        try:
            large = write_sealed("fastha-message", data)
        except OSError:
            return _Sent.SHORT
        try:
            socket.send_fds(self._sock, [datagram.IN_MEMFD], [large, *fds])
        except OSError as error:
            return _outcome(error)
        finally:
            os.close(large)
        return _Sent.YES

    # ------------------------------------------------------------------------------------ receiving

    def _readable(self) -> None:
        for _ in range(BUDGET):
            if self.closed:
                return
            try:
                data, fds, flags = self._receive()
            except BlockingIOError:
                return
            except ConnectionResetError:
                # Told once, before what is still to be read: the peer left without reading all of ours (Linux 6.18).
                continue
            except OSError:
                data, fds, flags = b"", (), 0
            if not data:
                self._end()
                return
            try:
                message, fds = self._open(data, fds, flags)
            except ValueError as error:
                self.bad += 1
                for fd in fds:
                    os.close(fd)
                self._loop.call_exception_handler({"message": "bad datagram on a channel", "exception": error})
                continue
            self.received += 1
            self._on_message(message, fds)

    def read_rest(self) -> None:
        """The peer is known to be gone: take all it still said, then end (`on_close` is called)."""
        while not self.closed:
            before = self.received
            self._readable()
            if self.received == before:
                return

    def _receive(self) -> tuple[bytes, tuple[int, ...], int]:
        data, ancillary, flags, _ = self._sock.recvmsg(datagram.MAX_DATAGRAM, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
        fds: list[int] = []
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds += memoryview(content[: len(content) // 4 * 4]).cast("i")
        return data, tuple(fds), flags

    def _open(self, data: bytes, fds: tuple[int, ...], flags: int) -> tuple[Message, tuple[int, ...]]:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise ValueError("a datagram, or the descriptors beside it, came cut off")
        if data == datagram.IN_MEMFD:
            if not fds:
                raise ValueError("a datagram announces a memory file and brings none")
            data, fds = read_sealed(fds[0]), fds[1:]
        return datagram.decode(data), fds

    # --------------------------------------------------------------------------------------- ending

    def close(self) -> None:
        """End it from our side; `on_close` is not called. What waits stays in the outbox."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._sock)
        self._watch_writable(False)
        if self._again is not None:
            self._again.cancel()
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._sock.close()

    def _end(self) -> None:
        self.close()
        self._on_close()
