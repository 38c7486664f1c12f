"""A load-balancing table as a value, and the operations that change one: the language between the checker's core, the
reconciler and the planes (`system.ipvs`, `system.nftables`).

The names are those of the kernel (linux/ip_vs.h); `reference` of meanings: ipvsadm(8).
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, Protocol

from fastha.model.net import Address, Family
from fastha.model.plan import Method


class ServiceKey(NamedTuple):
    """Identity of a virtual service in the kernel: family and mark, or family, protocol, address, port."""

    family: Family
    fwmark: int = 0
    protocol: str = ""
    address: Address = Address("")
    port: int = 0

    def __str__(self) -> str:
        if self.fwmark:
            return f"FWM {self.fwmark}" + (" (IPv6)" if self.family == 6 else "")
        return f"{self.protocol.lower()} [{self.address}]:{self.port}"


class DestinationKey(NamedTuple):
    address: Address
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Attributes of a service other than its identity."""

    scheduler: str = "wlc"
    flags: int = 0
    """0x4 one-packet, 0x8 0x10 0x20 scheduler flags. Persistent (0x1) follows from `timeout`; hashed (0x2) is the
    kernel's own and never here."""
    timeout: int = 0
    """Persistence in seconds; 0: not persistent."""
    netmask: int = 0xFFFFFFFF
    """IPv4: mask as a number, first octet highest; IPv6: prefix length. Means something only with `timeout`."""
    engine: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Attributes of a real server inside a service."""

    weight: int = 1
    method: Method = Method()
    uthreshold: int = 0
    lthreshold: int = 0


@dataclass(slots=True)
class Entry:
    """A service with its destinations. `active` and `inactive` are the kernel's connection counts, when read."""

    service: Service
    destinations: dict[DestinationKey, Destination] = field(default_factory=dict)
    connections: dict[DestinationKey, tuple[int, int]] = field(default_factory=dict)


Table = dict[ServiceKey, Entry]

Marked = dict[tuple[Family, str, Address, int], int]
"""Which packets are to have a mark: family, protocol, address and port -> mark."""


class Op(IntEnum):
    ADD_SERVICE = 1
    EDIT_SERVICE = 2
    DELETE_SERVICE = 3
    ADD_DEST = 4
    EDIT_DEST = 5
    DELETE_DEST = 6


@dataclass(frozen=True, slots=True)
class Operation:
    """One change. `service` is set for services, `destination` and `key` for destinations."""

    op: Op
    at: ServiceKey
    service: Service | None = None
    key: DestinationKey | None = None
    destination: Destination | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The plane's answer to an operation that did not happen."""

    operation: Operation
    errno: int
    text: str
    """Which service, which operation, why, what to do: one line for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncDaemon:
    """One half of the connection synchronisation (lvs_sync_daemon). What is None or 0 is left to the kernel."""

    master: bool
    interface: str = ""
    syncid: int = 0
    maxlen: int = 0
    group: Address | None = None
    port: int = 0
    ttl: int = 0


class Plane(Protocol):
    """Where tables live. Synchronous: the kernel executes inside the call and the answers are read at once. One call at
    a time, from whatever thread."""

    name: str
    """ipvs, nftables or none."""
    note: str
    """One line for the log and the snapshot: in what it differs from plain IPVS here; empty: in nothing."""
    slow: bool
    """A change may take seconds, so that it is made beside the loop."""

    def read(self) -> Table:
        """The whole table as the kernel has it, foreign services included. OSError when it cannot be read."""

    def read_one(self, at: ServiceKey) -> Entry | None:
        """One service as the kernel has it, as far as that is quickly told (a slow plane: as last read); None: there is
        no such service. OSError when it cannot be read."""

    def disturbed(self) -> bool:
        """A cheap look for a sign that others have changed the table since it was last read or changed here. A sign
        proves little, and that there is none proves nothing. OSError when it cannot be had."""

    def apply(self, operations: list[Operation]) -> list[Refusal]:
        """Do them in order, batched; EEXIST on add and ENOENT on delete are success. Returns what was refused."""

    def read_timeouts(self) -> tuple[int, int, int]:
        """tcp, tcpfin, udp in seconds, to be restored by `set_timeouts` at the end; 0: the plane has none."""

    def set_timeouts(self, tcp: int, tcpfin: int, udp: int) -> None:
        """lvs_timeouts in seconds; 0 leaves a value. OSError when it is refused."""

    def read_daemons(self) -> list[SyncDaemon]:
        """The running halves of the connection synchronisation: none, one or both."""

    def start_daemon(self, daemon: SyncDaemon) -> None:
        """Start one half. OSError EEXIST when it runs already, ENODEV when there is no such interface, EOPNOTSUPP when
        the plane has no such thing."""

    def stop_daemon(self, daemon: SyncDaemon) -> None:
        """OSError ESRCH when it does not run."""

    def flush(self) -> None:
        """Remove everything, foreign services too (lvs_flush)."""

    def close(self) -> None: ...
