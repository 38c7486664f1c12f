"""The kernel's own load balancer as a plane: IPVS over generic netlink.

Operations go out in batches; what the kernel refuses comes back as refusals that say what to do. Three answers are no
refusals, because the wanted state decides and not the way to it: EEXIST on an add becomes an edit (keepalived leaves
what a crash left behind as it is), ENOENT on the edit of a destination becomes an add, and what is to be deleted and
is not there is deleted.
"""

import contextlib
import errno
import os
import socket
import struct
import subprocess
from collections.abc import Sequence
from typing import Final

from fastha.model.plan import Forwarding
from fastha.model.table import Entry, Op, Operation, Refusal, ServiceKey, SyncDaemon, Table
from fastha.system.netlink import AnswersLost, NetlinkSocket, Refused, generic_family
from fastha.wire import ipvs as wire

_SERVICE_OPS: Final = frozenset((Op.ADD_SERVICE, Op.EDIT_SERVICE, Op.DELETE_SERVICE))
_VERB: Final = {
    Op.ADD_SERVICE: "add the service",
    Op.EDIT_SERVICE: "change the service",
    Op.DELETE_SERVICE: "delete the service",
    Op.ADD_DEST: "add server",
    Op.EDIT_DEST: "change server",
    Op.DELETE_DEST: "delete server",
}
_GONE: Final = {
    Op.DELETE_SERVICE: {errno.ESRCH, errno.ENOENT},
    Op.DELETE_DEST: {errno.ENOENT, errno.ESRCH},
}
"""Answers that say that what is to be deleted is not there."""
_INSTEAD: Final = {
    (Op.ADD_SERVICE, errno.EEXIST): Op.EDIT_SERVICE,
    (Op.EDIT_SERVICE, errno.ESRCH): Op.ADD_SERVICE,
    (Op.ADD_DEST, errno.EEXIST): Op.EDIT_DEST,
    (Op.EDIT_DEST, errno.ENOENT): Op.ADD_DEST,
}
"""What reaches the wanted state when the kernel was in another one than expected."""
_GET_INFO: Final = 64 + 1024 + 64 + 1
"""IP_VS_SO_GET_INFO of linux/ip_vs.h: version, size of the connection table, number of IPv4 services."""
_CAREFUL: Final = 100
"""Requests per batch after answers were lost."""


class IpvsPlane:
    """IPVS of the network namespace that the caller is in while it makes this.

    OSError ENOENT when the kernel has no IPVS, EPERM when it may not be programmed (it takes CAP_NET_ADMIN in the
    initial user namespace).
    """

    name = "ipvs"
    note = ""
    slow = False

    def __init__(self) -> None:
        self.not_understood: list[str] = []
        self._count = 0
        """IPv4 services after our last reading or change."""
        self._old = _old_interface()
        self._socket = NetlinkSocket()
        try:
            self._family = _load(self._socket)
            # A dump that is still running makes the next one on its socket fail, so they have one of their own.
            self._dumps = NetlinkSocket()
        except BaseException:
            self._close_old()
            self._socket.close()
            raise
        try:
            self.info = wire.decode_info(self._socket.ask(self._family, wire.encode_get_info()))
        except PermissionError as error:
            self.close()
            raise PermissionError(
                error.errno, "IPVS may not be programmed: it takes CAP_NET_ADMIN in the initial user namespace"
            ) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._close_old()
        self._socket.close()
        self._dumps.close()

    def _close_old(self) -> None:
        if self._old is not None:
            self._old.close()

    # ------------------------------------------------------------------------------------------ read

    def read(self) -> Table:
        """See `model.table.Plane`. What another program made and this one has no words for is left out of the table and
        told in `not_understood`."""
        table: Table = {}
        self.not_understood = []
        for payload in self._dumps.dump(self._family, wire.encode_get_services()):
            try:
                key, service = wire.decode_service(payload)
            except ValueError as error:
                self.not_understood.append(str(error))
                continue
            table[key] = Entry(service)
        for key, entry in table.items():
            self._read_destinations(key, entry)
        self._count = self._services()
        return table

    def _read_destinations(self, key: ServiceKey, entry: Entry) -> None:
        for payload in self._dumps.dump(self._family, wire.encode_get_destinations(key)):
            try:
                server, destination, connections = wire.decode_destination(payload, key.family)
            except ValueError as error:
                self.not_understood.append(f"{key}: {error}")
                continue
            entry.destinations[server] = destination
            entry.connections[server] = connections

    def read_one(self, at: ServiceKey) -> Entry | None:
        """See `model.table.Plane`."""
        try:
            _, service = wire.decode_service(self._socket.ask(self._family, wire.encode_get_service(at)))
        except OSError as error:
            if error.errno == errno.ESRCH:
                return None
            raise
        except ValueError:
            return None  # `read` tells of what is not understood
        entry = Entry(service)
        self._read_destinations(at, entry)
        return entry

    def disturbed(self) -> bool:
        """See `model.table.Plane`: the number of IPv4 services is another one. It is all that IPVS tells without a
        reading of the table; nobody is notified of changes."""
        return self._services() != self._count

    def _services(self) -> int:
        """0 where the kernel has not the interface of old that tells it."""
        if self._old is None:
            return 0
        try:
            info = self._old.getsockopt(socket.IPPROTO_IP, _GET_INFO, 12)
        except OSError:
            return 0
        return int(struct.unpack("=3I", info)[2])

    def read_timeouts(self) -> tuple[int, int, int]:
        """See `model.table.Plane`."""
        return wire.decode_timeouts(self._socket.ask(self._family, wire.encode_get_timeouts()))

    def read_daemons(self) -> list[SyncDaemon]:
        """See `model.table.Plane`."""
        return [wire.decode_daemon(each) for each in self._dumps.dump(self._family, wire.encode_get_daemons())]

    # ----------------------------------------------------------------------------------------- change

    def apply(self, operations: list[Operation]) -> list[Refusal]:
        """See `model.table.Plane`."""
        refusals: list[Refusal] = []
        sendable, payloads = _encoded(operations, refusals)
        refused = self._send(payloads)
        again: list[Operation] = []
        last_word = _LastWord(sendable) if refused else None
        for index in sorted(refused):
            operation, refusal = sendable[index], refused[index]
            if refusal.errno in _GONE.get(operation.op, ()):
                continue
            instead = _INSTEAD.get((operation.op, refusal.errno))
            if instead is None:
                refusals.append(_refusal(operation, refusal))
            elif last_word is not None and last_word.is_at(index, operation):
                again.append(_as(instead, operation))
        refused = self._send([wire.encode(operation) for operation in again])
        refusals += [_refusal(again[index], refused[index]) for index in sorted(refused)]
        self._count = self._services()
        return refusals

    def _send(self, payloads: list[bytes]) -> dict[int, Refused]:
        """index -> refusal. Every operation says the state it wants, so when answers are lost the whole batch may be
        sent once more, in portions whose answers fit any buffer."""
        try:
            return self._socket.batch(self._family, payloads)
        except AnswersLost:
            refused = {}
            for first in range(0, len(payloads), _CAREFUL):
                portion = self._socket.batch(self._family, payloads[first : first + _CAREFUL])
                refused.update({first + index: refusal for index, refusal in portion.items()})
            return refused

    def set_timeouts(self, tcp: int, tcpfin: int, udp: int) -> None:
        """See `model.table.Plane`. OSError when the kernel refuses."""
        self._socket.do(self._family, wire.encode_timeouts(tcp, tcpfin, udp))

    def flush(self) -> None:
        """See `model.table.Plane`. OSError when the kernel refuses."""
        self._socket.do(self._family, wire.encode_flush())
        self._count = self._services()

    def start_daemon(self, daemon: SyncDaemon) -> None:
        """See `model.table.Plane`."""
        self._socket.do(self._family, wire.encode_start_daemon(daemon))

    def stop_daemon(self, daemon: SyncDaemon) -> None:
        """See `model.table.Plane`."""
        # One that never got to run yet is stopped with EINTR, that is, without an answer (Linux 6.1).
        with contextlib.suppress(InterruptedError):
            self._socket.do(self._family, wire.encode_stop_daemon(daemon))


def _old_interface() -> socket.socket | None:
    """A socket whose options are those of IPVS; None where none may be had."""
    try:
        return socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW)
    except OSError:
        return None


def _load(sock: NetlinkSocket) -> int:
    """The number of the family, after loading the module when the kernel does not do so by itself."""
    try:
        return generic_family(sock, wire.FAMILY_NAME)
    except FileNotFoundError:
        pass
    try:
        environment = {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
        found = subprocess.run(
            ["modprobe", "ip_vs"], capture_output=True, text=True, check=False, timeout=30, env=environment
        )
        said = (found.stderr.strip().splitlines() or [""])[-1]
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    try:
        return generic_family(sock, wire.FAMILY_NAME)
    except FileNotFoundError:
        because = f" (modprobe ip_vs: {said})" if said else ""
        raise FileNotFoundError(errno.ENOENT, f"this kernel has no IPVS{because}") from None


def _encoded(operations: list[Operation], refusals: list[Refusal]) -> tuple[list[Operation], list[bytes]]:
    """The operations whose values fit their attributes, and their messages; the others become refusals."""
    sendable, payloads = [], []
    for operation in operations:
        try:
            payloads.append(wire.encode(operation))
        except ValueError as error:
            refusals.append(_refusal(operation, Refused(errno.ERANGE, str(error)), advice=False))
        else:
            sendable.append(operation)
    return sendable, payloads


class _LastWord:
    """Which operation of a list decides about each thing: a later one about the same thing has the last word."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._last = {(operation.at, operation.key): index for index, operation in enumerate(operations)}
        self._gone = {op.at: index for index, op in enumerate(operations) if op.op == Op.DELETE_SERVICE}

    def is_at(self, index: int, operation: Operation) -> bool:
        return self._last[operation.at, operation.key] == index and self._gone.get(operation.at, -1) < index


def _as(op: Op, operation: Operation) -> Operation:
    return Operation(op, operation.at, operation.service, operation.key, operation.destination)


# ----------------------------------------------------------------------------------------- in words


def _refusal(operation: Operation, refused: Refused, *, advice: bool = True) -> Refusal:
    code = refused.errno
    what = _VERB[operation.op] + (f" {operation.key}" if operation.key is not None else "")
    name = errno.errorcode.get(code, f"errno {code}")
    said = f"IPVS {operation.at}: cannot {what}: {name} ({os.strerror(code)})"
    parts = (said, refused.text, _advice(operation, code) if advice else "")
    return Refusal(operation, code, "; ".join(part for part in parts if part))


def _advice(operation: Operation, code: int) -> str:
    """Why the kernel says this, as far as it can be known, and what helps."""
    if code in {errno.EPERM, errno.EACCES}:
        return "it takes CAP_NET_ADMIN in the initial user namespace"
    if code == errno.ENOMEM:
        return "the kernel is out of memory; it is tried again"
    if code in {errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EOPNOTSUPP}:
        return "this kernel's IPVS was built without that family or protocol"
    if operation.op in _SERVICE_OPS:
        return _service_advice(operation, code)
    return _server_advice(operation, code)


def _service_advice(operation: Operation, code: int) -> str:
    service = operation.service
    if code == errno.ENOENT and service is not None:
        engine = f", or the engine '{service.engine}': modprobe ip_vs_pe_{service.engine}" if service.engine else ""
        return f"the kernel has no scheduler '{service.scheduler}': modprobe ip_vs_{service.scheduler}{engine}"
    if code == errno.EINVAL:
        return "check the protocol, the persistence granularity and that port 0 is persistent"
    return ""


def _server_advice(operation: Operation, code: int) -> str:
    destination = operation.destination
    if code == errno.ESRCH:
        return "its service is not in the kernel"
    if code == errno.ERANGE and destination is not None:
        if destination.weight < 0:
            return f"weight {destination.weight} is negative"
        return f"the lower threshold {destination.lthreshold} is above the upper one {destination.uthreshold}"
    if code == errno.EINVAL and operation.key is not None and destination is not None:
        if (":" in operation.key.address) != (operation.at.family == 6):
            if destination.method.forwarding is not Forwarding.TUN:
                return "a server of the other IP family can be reached by TUN only"
            return "servers of the other IP family are refused while a sync daemon runs"
        return "the address must be unicast and, with GUE, the tunnel needs a port"
    return ""
