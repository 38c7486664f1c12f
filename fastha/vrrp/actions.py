"""What the VRRP core asks for, in the order to be done. The shell does each and decides nothing."""

from dataclasses import dataclass

from fastha.model.net import Address
from fastha.vrrp.orders import Datagram, Order


@dataclass(frozen=True, slots=True)
class Give:
    """Give the engine this standing order."""

    order: Order


@dataclass(frozen=True, slots=True)
class Send:
    """Send these adverts now, once, whatever the order in force (priority 0, the last word before yielding)."""

    instance: int
    datagrams: tuple[Datagram, ...]


@dataclass(frozen=True, slots=True)
class WantAddresses:
    """From now on the addresses of this instance are to be present (or absent): all of virtual_ipaddress and
    virtual_ipaddress_excluded. The address reconciler makes it so in one netlink batch."""

    instance: int
    present: bool


@dataclass(frozen=True, slots=True)
class Announce:
    """Send gratuitous ARP (IPv4) or unsolicited neighbour advertisements (IPv6), `count` passes over `addresses`, each
    from the interface that carries the address."""

    instance: int
    addresses: tuple[tuple[str, Address], ...]
    """(interface, address)"""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the world: notify scripts, FIFOs, mail. `kind` INSTANCE or GROUP; `state` as in keepalived's FIFO lines."""

    kind: str
    name: str
    state: str
    priority: int
    only_fifo: bool = False
    """Nothing new: only for the readers of FIFOs."""


@dataclass(frozen=True, slots=True)
class Log:
    level: str
    """debug, info, notice, warning, error."""
    text: str


@dataclass(frozen=True, slots=True)
class Rebuild:
    """The set of instances, or what an instance listens on, changed (start, reload): `core.endpoints()` tells the
    sockets wanted now."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Shutdown is complete: everything asked for before this is all there is."""


Action = Give | Send | WantAddresses | Announce | Tell | Log | Rebuild | Finished
