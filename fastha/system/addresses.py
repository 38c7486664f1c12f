"""Virtual addresses in the kernel: what is wanted, made so in one netlink batch.

Requests are encoded when the Plan is made (pyroute2 as the codec); at a failover only the interface's index is put in
and everything goes out at once. An address that is there already, or gone already, is success. Addresses carry
protocol number 18, as keepalived's do; whatever is not in the Plan is left alone.
"""

import errno
import socket
import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from fastha.model.net import Address, family_of
from fastha.model.plan import VirtualAddress
from fastha.system.linkmessages import ifaddrmsg
from fastha.system.links import NETLINK_ROUTE, OURS, RTM_DELADDR, RTM_NEWADDR
from fastha.system.netlink import NetlinkSocket
from fastha.system.wanted import STATIC, Verb, Wanted, send

IFA_F_NODAD, IFA_F_HOMEADDRESS, IFA_F_MANAGETEMPADDR = 0x02, 0x10, 0x100
IFA_F_NOPREFIXROUTE, IFA_F_MCAUTOJOIN = 0x200, 0x400
FOREVER: Final = 0xFFFFFFFF
INDEX: Final = struct.Struct("=I")
INDEX_AT: Final = 4
"""Of the interface index in struct ifaddrmsg."""
REMOVE: Final = Verb("remove", RTM_DELADDR, 0, frozenset({errno.EADDRNOTAVAIL, errno.ENODEV}))
ADD: Final = Verb("add", RTM_NEWADDR, 0, frozenset({errno.EEXIST}))


class Place(NamedTuple):
    """What an address is to the kernel."""

    dev: str
    address: Address
    prefixlen: int

    def __str__(self) -> str:
        return f"{self.address}/{self.prefixlen} dev {self.dev}"


class Addresses(Wanted[VirtualAddress, Place, bytes]):
    """All virtual and static addresses of a Plan. `index_of` gives an interface's index, 0 when there is none."""

    def __init__(self, index_of: Callable[[str], int]) -> None:
        super().__init__(_place, encode)
        self._index_of = index_of
        self._socket = NetlinkSocket(NETLINK_ROUTE)
        self._places: dict[tuple[str, Address], set[Place]] = {}

    def close(self) -> None:
        self._socket.close()

    def wanted(self, interface: str, address: Address, prefixlen: int | None = None) -> bool:
        """Whether this address is to be there now; without `prefixlen`: with any."""
        places = self._places.get((interface, address), ())
        return any(self._entries[place].holders for place in places if prefixlen in {None, place.prefixlen})

    def known(self, interface: str, address: Address) -> bool:
        """Whether the Plan has this address, wanted now or not."""
        return (interface, address) in self._places

    def restore(self, interface: str | None = None) -> None:
        """Look after the static addresses (of one interface) again: one is gone, or the interface has come."""
        for line in self._lines.get(STATIC, ()):
            if interface is None or line.dev == interface:
                self._hold(STATIC, line)

    def remove_from(self, interface: str, index: int) -> list[str]:
        """This interface has lost its name, and with it what the name stands for: remove at once what is on it."""
        there = [(place, entry) for place, entry in self._entries.items() if place.dev == interface and entry.holders]
        return send(self._socket, REMOVE, [(place, at(entry.prepared, index)) for place, entry in there])

    def _joined(self, key: Place) -> None:
        self._places.setdefault((key.dev, key.address), set()).add(key)

    def _left(self, key: Place) -> None:
        same = self._places[key.dev, key.address]
        same.discard(key)
        if not same:
            del self._places[key.dev, key.address]

    def commit(self) -> list[str]:
        """Carry out what changed: removals in one send, then additions in one. Returns what was refused, in words."""
        return [*self.remove(), *self.add()]

    def remove(self) -> list[str]:
        """The first half of `commit`."""
        gone = self.removals()
        requests = [(place, at(payload, index)) for place, payload in gone if (index := self._index_of(place.dev))]
        return send(self._socket, REMOVE, requests)

    def add(self) -> list[str]:
        """The second half."""
        new = self.additions()
        requests = [(place, at(payload, index)) for place, payload in new if (index := self._index_of(place.dev))]
        problems = [f"cannot add {place}: no such interface" for place, _ in new if not self._index_of(place.dev)]
        return [*problems, *send(self._socket, ADD, requests)]


def at(payload: bytes, index: int) -> bytes:
    """The payload for the interface of that index."""
    return payload[:INDEX_AT] + INDEX.pack(index) + payload[INDEX_AT + INDEX.size :]


def _place(line: VirtualAddress) -> Place:
    return Place(line.dev, line.address, line.prefixlen)


def encode(line: VirtualAddress, protocol: int = OURS) -> bytes:
    """struct ifaddrmsg and its attributes for one address, without the interface's index (0)."""
    family = family_of(line.address)
    flags = 0
    for wanted, bit in (
        (family == 6 and line.nodad, IFA_F_NODAD),
        (line.home, IFA_F_HOMEADDRESS),
        (line.mngtmpaddr, IFA_F_MANAGETEMPADDR),
        (line.noprefixroute, IFA_F_NOPREFIXROUTE),
        (line.autojoin, IFA_F_MCAUTOJOIN),
    ):
        flags |= bit if wanted else 0
    message: Any = ifaddrmsg()
    message["family"] = socket.AF_INET if family == 4 else socket.AF_INET6
    message["prefixlen"] = line.prefixlen
    message["scope"] = line.scope
    message["flags"] = flags & 0xFF
    attributes: list[tuple[str, object]] = [
        ("IFA_LOCAL", line.address),
        ("IFA_ADDRESS", line.peer or line.address),
    ]
    if line.broadcast:
        attributes.append(("IFA_BROADCAST", line.broadcast))
    if line.label:
        attributes.append(("IFA_LABEL", line.label))
    if line.preferred_lft is not None:
        lifetime = {"ifa_preferred": line.preferred_lft, "ifa_valid": FOREVER, "cstamp": 0, "tstamp": 0}
        attributes.append(("IFA_CACHEINFO", lifetime))
    attributes += [("IFA_FLAGS", flags), ("IFA_PROTO", protocol)]
    message["attrs"] = attributes
    message.encode()
    return bytes(message.data[16:])
