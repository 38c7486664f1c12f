"""A synchronous netlink socket: batches of requests, single questions, dumps.

The kernel executes a request inside `send` and has queued every answer when that returns (the rest of a dump is made
inside `recv`), so the socket is a non-blocking one: an answer that is not there will not come. That happens when a
request ends with EINTR inside the kernel, which netlink never tells. Measured on Linux 6.18, and what is done about it:

- Success without the ACK flag is silent, errors are answered anyhow. So only the last request of a batch asks for an
  acknowledgement; it is the barrier behind which no answer is outstanding, and silence before it is success.
- One send may carry at most SO_SNDBUF - 32 octets, else EMSGSIZE: a batch is cut into as many sends as it takes.
- An answer that does not fit the receive buffer is lost and the next receive says ENOBUFS: the requests were carried
  out, but nobody knows how. The buffer is enlarged where that is allowed, and a send never carries more requests than
  there is room for answers. Should answers be lost all the same, that is `AnswersLost`, and the caller asks again.

A socket belongs to the network namespace it was opened in. pyroute2 is not used: this is on the path of failovers.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from fastha.system.buffers import widen
from fastha.wire import netlink as wire

NETLINK_GENERIC: Final = 16
NETLINK_NETFILTER: Final = 12
SOL_NETLINK: Final = 270
NETLINK_CAP_ACK: Final = 10
NETLINK_EXT_ACK: Final = 11

RECEIVE_BUFFER: Final = 4 << 20
"""Octets asked for; the kernel doubles it. Room for the answers of some 8,000 requests."""
ANSWER_SIZE: Final = 1024
"""Octets of receive buffer that one answer takes, rounded up from the 832 measured."""
DUMP_TRIES: Final = 5


class AnswersLost(OSError):  # noqa: N818
    """The kernel dropped answers (ENOBUFS): the requests were carried out, with unknown success."""

    def __init__(self) -> None:
        super().__init__(errno.ENOBUFS, "netlink answers were lost")


class Refused(NamedTuple):
    """The kernel's no to one request of a batch. `text` is its own explanation, often empty."""

    errno: int
    text: str


class NetlinkSocket:
    """One socket of `protocol` (NETLINK_GENERIC, NETLINK_NETFILTER, ...). OSError when the kernel has no such."""

    def __init__(self, protocol: int = NETLINK_GENERIC) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._sequence = 0
        self._buffer = bytearray(1 << 16)
        self._view = memoryview(self._buffer)
        try:
            self._configure()
        except BaseException:
            self._socket.close()
            raise

    def _configure(self) -> None:
        sock = self._socket
        sock.setblocking(False)
        # An error then echoes the header of the request only, and may carry the kernel's own words.
        sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        widen(sock, RECEIVE_BUFFER, "command")
        sock.bind((0, 0))
        self.batch_octets = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) - 1024
        """The most that one send carries."""
        self.batch_requests = max(1, sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // ANSWER_SIZE)
        """The most requests that one send carries."""

    def close(self) -> None:
        self._socket.close()

    def option(self, number: int) -> None:
        """Turn a socket option of SOL_NETLINK on."""
        self._socket.setsockopt(SOL_NETLINK, number, 1)

    # ------------------------------------------------------------------------------------- requests

    def batch(self, kind: int, payloads: Sequence[bytes], flags: int = 0) -> dict[int, Refused]:
        """Send requests of message type `kind`, in order, in as few sends as possible. `flags`: those of the kind
        (NLM_F_CREATE, ...).

        A refused request does not stop those behind it. Returns index -> refusal, for the refused only. AnswersLost
        when that is not known for some; OSError when the kernel takes no requests at all, InterruptedError when it
        does not answer.
        """
        refused: dict[int, Refused] = {}
        for first, count in self._portions(payloads):
            for index, why in self._send_portion(kind, flags, payloads[first : first + count]):
                refused[first + index] = why
        return refused

    def _portions(self, payloads: Sequence[bytes]) -> Iterator[tuple[int, int]]:
        """(first, count) of what one send can carry."""
        first = size = 0
        for index, payload in enumerate(payloads):
            octets = 16 + (len(payload) + 3 & ~3)
            if index > first and (size + octets > self.batch_octets or index - first >= self.batch_requests):
                yield first, index - first
                first, size = index, 0
            size += octets
        if first < len(payloads):
            yield first, len(payloads) - first

    def _send_portion(self, kind: int, flags: int, payloads: Sequence[bytes]) -> Iterator[tuple[int, Refused]]:
        """Send what fits in one; (index, refusal) of the refused."""
        base = self._reserve(len(payloads))
        last = len(payloads) - 1
        flags |= wire.REQUEST
        frames = [
            wire.frame(kind, flags if index < last else flags | wire.ACK, base + index, payload)
            for index, payload in enumerate(payloads)
        ]
        self._socket.send(b"".join(frames))
        for message in self._messages():
            index = message.seq - base
            if message.kind != wire.ERROR or not 0 <= index <= last:
                continue  # left over from a request that was given up
            code, text = wire.failure(message)
            if code:
                yield index, Refused(code, text)
            if index == last:
                return

    def transaction(self, messages: Sequence[tuple[int, int, bytes]]) -> None:
        """Send (type, flags, payload) as one: nf_tables carries out all or nothing of what stands between its begin
        and its end. OSError with the errno of the first that was refused."""
        base = self._reserve(len(messages))
        last = len(messages) - 2
        """The end itself is not answered."""
        frames = [
            wire.frame(
                kind, flags | (wire.REQUEST if index != last else wire.REQUEST | wire.ACK), base + index, payload
            )
            for index, (kind, flags, payload) in enumerate(messages)
        ]
        self._socket.send(b"".join(frames))
        refusal: OSError | None = None
        for message in self._messages():
            index = message.seq - base
            if message.kind != wire.ERROR or not 0 <= index < len(messages):
                continue
            code, text = wire.failure(message)
            if code and refusal is None:
                refusal = OSError(code, text or os.strerror(code))
            if index == last or (code and index == 0):
                break
        if refusal is not None:
            raise refusal

    def ask(self, kind: int, payload: bytes) -> bytes:
        """Send one request that has one answer; its payload. OSError with the kernel's errno when it is refused."""
        sequence = self._reserve(1)
        self._socket.send(wire.frame(kind, wire.REQUEST, sequence, payload))
        for message in self._messages():
            if message.seq != sequence:
                continue
            if message.kind == wire.ERROR:
                code, text = wire.failure(message)
                raise OSError(code, text or os.strerror(code))
            return message.payload
        raise AssertionError("unreachable: messages() ends by exception")

    def do(self, kind: int, payload: bytes, flags: int = 0) -> None:
        """Send one request that is only acknowledged. OSError with the kernel's errno when it is refused."""
        refusal = self.batch(kind, [payload], flags).get(0)
        if refusal is not None:
            raise OSError(refusal.errno, refusal.text or os.strerror(refusal.errno))

    def dump(self, kind: int, payload: bytes) -> list[bytes]:
        """The payloads of a dump. One that the kernel marks as torn by a change meanwhile is taken again, a few times.
        OSError with the kernel's errno when it is refused."""
        for _ in range(DUMP_TRIES):
            payloads, torn = self._dump_once(kind, payload)
            if not torn:
                return payloads
        raise OSError(errno.EINTR, f"the kernel's table changed during each of {DUMP_TRIES} readings")

    def _dump_once(self, kind: int, payload: bytes) -> tuple[list[bytes], bool]:
        sequence = self._reserve(1)
        self._socket.send(wire.frame(kind, wire.REQUEST | wire.DUMP, sequence, payload))
        payloads: list[bytes] = []
        torn = False
        for message in self._messages():
            if message.seq != sequence:
                continue
            torn = torn or bool(message.flags & wire.DUMP_INTR)
            if message.kind in {wire.DONE, wire.ERROR}:
                code, text = wire.failure(message)
                if code:
                    raise OSError(code, text or os.strerror(code))
                break
            payloads.append(message.payload)
        return payloads, torn

    # -------------------------------------------------------------------------------------- receiving

    def _reserve(self, count: int) -> int:
        """The first of `count` sequence numbers in a row, none of them 0."""
        if self._sequence + count >= 1 << 32:
            self._sequence = 0
        first = self._sequence + 1
        self._sequence += count
        return first

    def _messages(self) -> Iterator[wire.Message]:
        """What the kernel sends, without end; the caller knows which message is the last one."""
        while True:
            try:
                size, sender = self._socket.recvfrom_into(self._buffer)
            except BlockingIOError:
                raise InterruptedError(errno.EINTR, "the kernel did not answer a netlink request") from None
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._drain()
                raise AnswersLost from None
            if sender[0] == 0:  # from the kernel, not from another process
                yield from wire.messages(self._view[:size])

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv_into(self._buffer)


def generic_family(sock: NetlinkSocket, name: str) -> int:
    """The number of a generic netlink family. The lookup loads the module that carries its alias; OSError ENOENT when
    there is no such family."""
    return wire.family_id(sock.ask(wire.GENERIC_CONTROL, wire.family_request(name)))
