"""Virtual addresses in the kernel: what is wanted, made so in one netlink batch.

Requests are encoded when the Plan is made (pyroute2 as the codec); at a failover only the interface's index is put in
and everything goes out at once. An address that is there already, or gone already, is success. Addresses carry
protocol number 18, as keepalived's do; whatever is not in the Plan is left alone.
"""

import errno
import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

from fastha.model.net import Address, family_of
from fastha.model.plan import VirtualAddress
from fastha.system.links import NETLINK_ROUTE, OURS, RTM_DELADDR, RTM_NEWADDR
from fastha.system.netlink import AnswersLost, NetlinkSocket

IFA_F_NODAD, IFA_F_HOMEADDRESS, IFA_F_MANAGETEMPADDR = 0x02, 0x10, 0x100
IFA_F_NOPREFIXROUTE, IFA_F_MCAUTOJOIN = 0x200, 0x400
FOREVER: Final = 0xFFFFFFFF
INDEX: Final = struct.Struct("=I")
INDEX_AT: Final = 4
"""Of the interface index in struct ifaddrmsg."""
STATIC: Final = -1
"""Holder of static_ipaddress: an instance that is always present."""


class Place(NamedTuple):
    """What an address is to the kernel."""

    dev: str
    address: Address
    prefixlen: int

    def __str__(self) -> str:
        return f"{self.address}/{self.prefixlen} dev {self.dev}"


@dataclass(slots=True)
class _Entry:
    line: VirtualAddress
    payload: bytes
    """struct ifaddrmsg and attributes, with index 0."""
    users: set[int]
    """Instances that have it in their lines."""
    holders: set[int]
    """Those of them that want it present."""


class Addresses:
    """All virtual and static addresses of a Plan. `index_of` gives an interface's index, 0 when there is none."""

    def __init__(self, index_of: Callable[[str], int]) -> None:
        self._index_of = index_of
        self._socket = NetlinkSocket(NETLINK_ROUTE)
        self._lines: dict[int, tuple[VirtualAddress, ...]] = {}
        self._entries: dict[Place, _Entry] = {}
        self._places: dict[tuple[str, Address], set[Place]] = {}
        self._present: set[int] = set()
        self._pending: dict[Place, bytes] = {}
        """Places to be looked at by `commit`, with the request that describes them."""

    def close(self) -> None:
        self._socket.close()

    # -------------------------------------------------------------------------------------- what is wanted

    def assign(self, holder: int, lines: tuple[VirtualAddress, ...]) -> None:
        """The addresses of an instance from now on. If it holds them, those that are new are wanted and those that
        are gone no longer; () forgets it."""
        old = self._lines.pop(holder, ())
        if lines:
            self._lines[holder] = lines
        holding = holder in self._present
        for line in lines:
            if line not in old:
                self._join(holder, line)
                if holding:
                    self._hold(holder, line)
        for line in set(old) - set(lines):
            self._leave(holder, line)
        if not lines:
            self._present.discard(holder)

    def want(self, holder: int, present: bool) -> None:
        """From the next `commit` on the addresses of this instance are there, or not."""
        if present:
            self._present.add(holder)
        else:
            self._present.discard(holder)
        for line in self._lines.get(holder, ()):
            if present:
                self._hold(holder, line)
            else:
                self._release(holder, line)

    def holders(self) -> frozenset[int]:
        return frozenset(self._lines)

    def lines(self, holder: int) -> tuple[VirtualAddress, ...]:
        return self._lines.get(holder, ())

    def wanted(self, interface: str, address: Address) -> bool:
        """Whether this address is to be there now."""
        return any(self._entries[place].holders for place in self._places.get((interface, address), ()))

    def known(self, interface: str, address: Address) -> bool:
        """Whether the Plan has this address, wanted now or not."""
        return (interface, address) in self._places

    def restore(self, interface: str | None = None) -> None:
        """Look after the static addresses (of one interface) again: one is gone, or the interface has come."""
        for line in self._lines.get(STATIC, ()):
            if interface is None or line.dev == interface:
                self._hold(STATIC, line)

    def _join(self, holder: int, line: VirtualAddress) -> None:
        place = _place(line)
        entry = self._entries.get(place)
        if entry is None:
            entry = self._entries[place] = _Entry(line, encode(line), set(), set())
            self._places.setdefault((place.dev, place.address), set()).add(place)
        elif entry.line != line:
            entry.line, entry.payload = line, encode(line)
        entry.users.add(holder)

    def _leave(self, holder: int, line: VirtualAddress) -> None:
        place = _place(line)
        entry = self._entries[place]
        if entry.line != line:
            return  # the same address stays, with other options
        entry.users.discard(holder)
        if holder in entry.holders:
            self._release(holder, line)
        if not entry.users:
            del self._entries[place]
            same = self._places[place.dev, place.address]
            same.discard(place)
            if not same:
                del self._places[place.dev, place.address]

    def _hold(self, holder: int, line: VirtualAddress) -> None:
        entry = self._entries[_place(line)]
        entry.holders.add(holder)
        self._pending[_place(line)] = entry.payload

    def _release(self, holder: int, line: VirtualAddress) -> None:
        entry = self._entries[_place(line)]
        entry.holders.discard(holder)
        if not entry.holders:
            self._pending[_place(line)] = entry.payload

    # ------------------------------------------------------------------------------------------ making it so

    def commit(self) -> list[str]:
        """Carry out what changed: removals in one send, then additions in one. Returns what was refused, in words."""
        pending, self._pending = self._pending, {}
        add: list[tuple[Place, bytes]] = []
        remove: list[tuple[Place, bytes]] = []
        problems: list[str] = []
        for place, payload in pending.items():
            entry = self._entries.get(place)
            wanted = entry is not None and bool(entry.holders)
            index = self._index_of(place.dev)
            if index:
                request = payload[:INDEX_AT] + INDEX.pack(index) + payload[INDEX_AT + INDEX.size :]
                (add if wanted else remove).append((place, request))
            elif wanted:
                problems.append(f"cannot add {place}: no such interface")
        problems += self._send(RTM_DELADDR, remove, {errno.EADDRNOTAVAIL, errno.ENODEV}, "remove")
        problems += self._send(RTM_NEWADDR, add, {errno.EEXIST}, "add")
        return problems

    def _send(self, kind: int, requests: list[tuple[Place, bytes]], fine: set[int], verb: str) -> Iterable[str]:
        if not requests:
            return ()
        payloads = [payload for _, payload in requests]
        try:
            try:
                refused = self._socket.batch(kind, payloads)
            except AnswersLost:  # doing it twice is as good as once
                refused = self._socket.batch(kind, payloads)
        except OSError as error:
            return (f"cannot {verb} {len(requests)} addresses: {error.strerror}",)
        return tuple(
            f"cannot {verb} {requests[i][0]}: {why.text or _name(why.errno)}"
            for i, why in refused.items()
            if why.errno not in fine
        )


def _place(line: VirtualAddress) -> Place:
    return Place(line.dev, line.address, line.prefixlen)


def _name(number: int) -> str:
    return errno.errorcode.get(number, str(number))


def encode(line: VirtualAddress) -> bytes:
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
    preferred = line.preferred_lft
    if preferred is None and family == 6 and line.prefixlen == 128:
        preferred = 0  # never the source of our own connections
    if preferred is not None:
        lifetime = {"ifa_preferred": preferred, "ifa_valid": FOREVER, "cstamp": 0, "tstamp": 0}
        attributes.append(("IFA_CACHEINFO", lifetime))
    attributes += [("IFA_FLAGS", flags), ("IFA_PROTO", OURS)]
    message["attrs"] = attributes
    message.encode()
    return bytes(message.data[16:])
