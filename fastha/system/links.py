"""Interfaces and their addresses as the kernel has them, by rtnetlink: read once, then followed.

The monitor is a non-blocking socket for `loop.add_reader`; pyroute2's message classes are the codec (its own asyncio
core does not run on uvloop). When the kernel drops notifications (ENOBUFS) everything is read again and the difference
told, so nobody has to care.
"""

import errno
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from fastha.model.net import Address, Family, family_of, unpacked
from fastha.model.units import Ns, S
from fastha.system.buffers import widen
from fastha.system.linkmessages import ifinfmsg
from fastha.system.netlink import NetlinkSocket
from fastha.vrrp.events import AddressGone, LinkChanged, SourceChanged
from fastha.wire import netlink as wire

NETLINK_ROUTE: Final = 0
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
GROUPS: Final = 0x1 | 0x10 | 0x100
"""Links, IPv4 addresses, IPv6 addresses."""
RECEIVE_BUFFER: Final = 4 << 20
IFF_UP, IFF_RUNNING, IFF_NOARP, IFF_MULTICAST = 0x1, 0x40, 0x80, 0x1000
IFADDRMSG: Final = struct.Struct("=BBBBI")
"""Family, prefix length, flags, scope, index: <linux/if_addr.h>, as are the numbers that follow."""
IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS, IFA_PROTO = 1, 2, 8, 11
IFA_F_SECONDARY, IFA_F_DADFAILED, IFA_F_TENTATIVE, IFA_F_OPTIMISTIC = 0x1, 0x8, 0x40, 0x4
SCOPE_LINK: Final = 253
OURS: Final = 18
"""Protocol number of addresses set by VRRP (keepalived's)."""


@dataclass(frozen=True, slots=True)
class Interface:
    name: str
    index: int
    up: bool
    """IFF_UP and IFF_RUNNING."""
    mtu: int
    multicast: bool
    arp: bool
    mac: bytes
    kind: str = ""
    """`macvlan`, `vrf`, ...; empty for hardware."""
    lower: int = 0
    """Index of the interface underneath a macvlan or ipvlan."""
    master: int = 0
    """Index of the bridge, bond or VRF that it belongs to."""
    group: int = 0
    vrf_table: int = 0
    """Of a VRF interface."""


@dataclass(frozen=True, slots=True)
class Present:
    """An address on an interface."""

    address: Address
    prefixlen: int
    flags: int
    scope: int
    protocol: int

    @property
    def usable(self) -> bool:
        """As a source: not (or not yet) refused by duplicate address detection."""
        pending = self.flags & IFA_F_TENTATIVE and not self.flags & IFA_F_OPTIMISTIC
        return not pending and not self.flags & IFA_F_DADFAILED


Change = LinkChanged | SourceChanged | AddressGone
_Source = tuple[str, Family, Address | None]
"""Interface, family, and which configured source; None: the interface's own."""
Key = tuple[Address, int]
"""Address and prefix length: what tells the addresses of an interface apart."""


class Network:
    """What the kernel has.

    `sources` are configured sources to be watched, (interface, address); `virtual` tells whether an address is a
    virtual one of ours, which is no good as a source while there is any other.
    """

    def __init__(self, sources: frozenset[tuple[str, Address]], virtual: Callable[[str, Address], bool]) -> None:
        self.interfaces: dict[int, Interface] = {}
        self.indexes: dict[str, int] = {}
        """name -> index"""
        self.addresses: dict[int, dict[Key, Present]] = {}
        self.overruns = 0
        """How often the kernel dropped notifications."""
        self._renamed: list[tuple[str, int]] = []
        self._sources = sources
        self._virtual = virtual
        self._told: dict[_Source, Address | None] = {}
        self._ask = NetlinkSocket(NETLINK_ROUTE)
        self._monitor = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, NETLINK_ROUTE
        )
        widen(self._monitor, RECEIVE_BUFFER, "monitor")
        self._monitor.bind((0, GROUPS))

    def fileno(self) -> int:
        """Readable when `changes` has something."""
        return self._monitor.fileno()

    def close(self) -> None:
        self._monitor.close()
        self._ask.close()

    def has(self, interface: str, address: Address, prefixlen: int) -> bool:
        return self.protocol(interface, address, prefixlen) is not None

    def protocol(self, interface: str, address: Address, prefixlen: int) -> int | None:
        """Who has set this address, by its protocol number (0: not tagged); None: it is not there."""
        present = self.addresses.get(self.indexes.get(interface, 0), {}).get((address, prefixlen))
        return None if present is None else present.protocol

    def take_renamed(self) -> list[tuple[str, int]]:
        """(former name, index) of interfaces that somebody has renamed since this was asked last."""
        renamed, self._renamed = self._renamed, []
        return renamed

    def watch(self, sources: frozenset[tuple[str, Address]]) -> None:
        """These are the configured sources to be watched from now on; `described` tells about them."""
        self._sources = sources

    def described(self, names: frozenset[str]) -> list[Change]:
        """How it is with these interfaces and their sources, whether told before or not."""
        changes: list[Change] = [_link(one) for one in self.interfaces.values() if one.name in names]
        self._told = self._sources_now()
        changes += [_source(key, address) for key, address in self._told.items() if key[0] in names]
        return changes

    # ------------------------------------------------------------------------------------------ reading

    def read(self) -> list[Change]:
        """Reads everything (at the start, and when the kernel dropped notifications); what is new."""
        interfaces, addresses = self._dump()
        before, had = self.interfaces, self.addresses
        self.interfaces, self.addresses = interfaces, addresses
        self._renamed += [
            (one.name, index)
            for index, one in before.items()
            if index in interfaces and interfaces[index].name != one.name
        ]
        self.indexes = {one.name: one.index for one in interfaces.values()}
        changes: list[Change] = []
        changes += [_gone_link(one) for one in before.values() if one.name not in self.indexes]
        changes += [_link(one) for one in interfaces.values() if before.get(one.index) != one]
        changes += [
            AddressGone(before[index].name, *key)
            for index, keys in had.items()
            for key in keys
            if index in before and key not in addresses.get(index, {})
        ]
        return [*changes, *self._source_changes()]

    def changes(self) -> list[Change]:
        """What the kernel has told since: links first, since an interface that goes takes its addresses with it."""
        links: dict[str, Change] = {}
        gone: dict[tuple[int, Key], str] = {}
        try:
            for message in self._notifications():
                self._follow(message, links, gone)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self.overruns += 1
            self._drain()
            return [*links.values(), *self.read()]
        return [*links.values(), *self._told_in_order(gone)]

    def _told_in_order(self, gone: dict[tuple[int, Key], str]) -> Iterator[Change]:
        """Addresses that are gone, and what comes of it for sources, as the kernel told: before a primary address it
        removes its secondary ones, which may be virtual, and who holds those steps back before there is no source."""
        told = dict(self._told)
        changes = {(c.interface, c.family, c.configured): c for c in self._source_changes()}
        for (index, key), name in gone.items():
            if key in self.addresses.get(index, {}):
                continue
            yield AddressGone(name, *key)
            for source in [s for s in changes if s[0] == name and told.get(s) == key[0]]:
                yield changes.pop(source)
        yield from changes.values()

    def _notifications(self) -> Iterator[wire.Message]:
        while True:
            try:
                data, sender = self._monitor.recvfrom(1 << 16)
            except BlockingIOError:
                return
            if sender[0] == 0:
                yield from wire.messages(data)

    def _drain(self) -> None:
        while True:
            try:
                self._monitor.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise

    def _follow(self, message: wire.Message, links: dict[str, Change], gone: dict[tuple[int, Key], str]) -> None:
        if message.kind in {RTM_NEWLINK, RTM_DELLINK}:
            one = _decode_link(message.payload)
            if one is not None:
                self._follow_link(one, message.kind == RTM_NEWLINK, links)
        elif message.kind in {RTM_NEWADDR, RTM_DELADDR}:
            index, present = _decode_address(message.payload)
            key = present.address, present.prefixlen
            if message.kind == RTM_NEWADDR:
                self.addresses.setdefault(index, {})[key] = present
            elif self.addresses.get(index, {}).pop(key, None) is not None and index in self.interfaces:
                gone[index, key] = self.interfaces[index].name

    def _follow_link(self, one: Interface, exists: bool, links: dict[str, Change]) -> None:
        before = self.interfaces.get(one.index)
        if before is not None and (not exists or before.name != one.name):
            links[before.name] = _gone_link(before)
            self.indexes.pop(before.name, None)
        if not exists:
            self.interfaces.pop(one.index, None)
            self.addresses.pop(one.index, None)
            return
        if before is not None and before.name != one.name:
            self._renamed.append((before.name, one.index))
        self.interfaces[one.index] = one
        self.indexes[one.name] = one.index
        if before != one:
            links[one.name] = _link(one)

    def _dump(self) -> tuple[dict[int, Interface], dict[int, dict[Key, Present]]]:
        found = [_decode_link(payload) for payload in self._ask.dump(RTM_GETLINK, bytes(16))]
        interfaces = {one.index: one for one in found if one is not None}
        addresses: dict[int, dict[Key, Present]] = {}
        for payload in self._ask.dump(RTM_GETADDR, bytes(8)):
            index, present = _decode_address(payload)
            addresses.setdefault(index, {})[present.address, present.prefixlen] = present
        return interfaces, addresses

    # ------------------------------------------------------------------------------------------ sources

    def primary(self, index: int, family: Family) -> Address | None:
        """What adverts leave from when no source is configured: the first IPv4 address that is not secondary, or the
        link-local IPv6 address. Virtual addresses only when there is nothing else, those set by VRRP never."""
        name = self.interfaces[index].name
        second_best: Address | None = None
        for one in self.addresses.get(index, {}).values():
            if one.protocol == OURS or family_of(one.address) != family or not one.usable:
                continue
            if one.scope != SCOPE_LINK if family == 6 else one.flags & IFA_F_SECONDARY:
                continue
            if not self._virtual(name, one.address):
                return one.address
            second_best = second_best or one.address
        return second_best

    def _sources_now(self) -> dict[_Source, Address | None]:
        families: tuple[Family, Family] = (4, 6)
        now: dict[_Source, Address | None] = {
            (one.name, family, None): self.primary(one.index, family)
            for one in self.interfaces.values()
            for family in families
        }
        for interface, address in self._sources:
            there = any(key[0] == address for key in self.addresses.get(self.indexes.get(interface, 0), {}))
            now[interface, family_of(address), address] = address if there else None
        return now

    def _source_changes(self) -> Iterator[SourceChanged]:
        """Sources that are not what was told last."""
        now = self._sources_now()
        for key in {**self._told, **now}:
            if self._told.get(key) != now.get(key):
                yield _source(key, now.get(key))
        self._told = now


class Forwarding:
    """Whether interfaces forward IPv6, which neighbour advertisements tell; looked up at most every 5 s."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Ns, bool]] = {}

    def __call__(self, interface: str, now: Ns) -> bool:
        until, known = self._known.get(interface, (0, False))
        if now >= until:
            try:
                with open(f"/proc/sys/net/ipv6/conf/{interface}/forwarding", encoding="ascii") as file:
                    known = file.read().strip() != "0"
            except OSError:  # no IPv6 there, or the interface is gone
                known = False
            self._known[interface] = (now + 5 * S, known)
        return known


def _link(one: Interface) -> LinkChanged:
    return LinkChanged(one.name, exists=True, up=one.up, index=one.index, mtu=one.mtu, multicast=one.multicast)


def _source(key: _Source, address: Address | None) -> SourceChanged:
    return SourceChanged(key[0], key[1], address, configured=key[2])


def _gone_link(one: Interface) -> LinkChanged:
    return LinkChanged(one.name, exists=False, up=False, index=one.index)


def _decode_link(payload: bytes) -> Interface | None:
    """None for a message that is not about an interface itself (a bridge's word about its port, for instance)."""
    if payload[0] != socket.AF_UNSPEC:
        return None
    message: Any = ifinfmsg(wire.frame(RTM_NEWLINK, 0, 0, payload))
    message.decode()
    flags = message["flags"]
    mac = message.get_attr("IFLA_ADDRESS") or ""
    info = message.get_attr("IFLA_LINKINFO")
    kind = info.get_attr("IFLA_INFO_KIND") if info is not None else None
    data = info.get_attr("IFLA_INFO_DATA") if info is not None else None
    return Interface(
        name=message.get_attr("IFLA_IFNAME"),
        index=message["index"],
        up=flags & (IFF_UP | IFF_RUNNING) == IFF_UP | IFF_RUNNING,
        mtu=message.get_attr("IFLA_MTU") or 1500,
        multicast=bool(flags & IFF_MULTICAST),
        arp=not flags & IFF_NOARP,
        mac=bytes.fromhex(mac.replace(":", "")) if mac.count(":") == 5 else b"",
        kind=kind or "",
        lower=message.get_attr("IFLA_LINK") or 0,
        master=message.get_attr("IFLA_MASTER") or 0,
        group=message.get_attr("IFLA_GROUP") or 0,
        vrf_table=data.get_attr("IFLA_VRF_TABLE") or 0 if kind == "vrf" and data is not None else 0,
    )


def _decode_address(payload: bytes) -> tuple[int, Present]:
    """By hand: a failover of a thousand addresses is followed by as many of these, at a tenth of a codec's price."""
    _, prefixlen, flags, scope, index = IFADDRMSG.unpack_from(payload)
    found = wire.attributes(payload, IFADDRMSG.size)
    return index, Present(
        address=unpacked(found.get(IFA_LOCAL) or found[IFA_ADDRESS]),
        prefixlen=prefixlen,
        flags=_number(found[IFA_FLAGS]) if IFA_FLAGS in found else flags,
        scope=scope,
        protocol=found[IFA_PROTO][0] if IFA_PROTO in found else 0,
    )


def _number(octets: bytes) -> int:
    return int.from_bytes(octets[:4], sys.byteorder)
