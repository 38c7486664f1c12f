"""Interfaces of our own making: macvlans with the virtual MAC address, ipvlans, and the settings that go with them.

One that is there already with the same base and MAC address is taken over, so a restart after a crash changes nothing.
Settings follow keepalived: the base answers ARP only for its own addresses, an interface with a virtual MAC address
takes packets from our own addresses and has no reverse path filter; as the kernel takes the stricter of all/rp_filter
and the interface's own, the former moves into each interface's.
"""

import errno
from collections.abc import Callable, Iterable
from typing import Final

from fastha.model.net import Address, Family, unpacked
from fastha.model.plan import MadeLink, VirtualAddress
from fastha.system.addresses import at, encode
from fastha.system.links import NETLINK_ROUTE, RTM_DELLINK, RTM_NEWADDR, RTM_NEWLINK, Change, Interface, Network
from fastha.system.netlink import NetlinkSocket
from fastha.system.sysctls import Sysctls
from fastha.wire import links as wire
from fastha.wire.rtnetlink import CREATE, EXCL

ALL: Final = "ipv4/conf/all/rp_filter"
STEADY: Final[dict[Family, tuple[tuple[str, str], ...]]] = {
    4: (("arp_ignore", "1"), ("accept_local", "1"), ("rp_filter", "0"), ("promote_secondaries", "1")),
    6: (("arp_ignore", "1"),),
}
"""ipv4/conf settings of an interface with a virtual MAC address."""


class MadeLinks:
    """Makes what the Plan wants and removes what it no longer wants. `network` is read again when it has."""

    def __init__(self, network: Network, sysctls: Sysctls) -> None:
        self._network = network
        self._sysctls = sysctls
        self._socket = NetlinkSocket(NETLINK_ROUTE)
        self._ours: dict[str, MadeLink] = {}
        self._settings: dict[str, str] = {}
        self._news: list[Change] = []
        """What is new on the network by removals."""

    def close(self) -> None:
        self._socket.close()

    def missing(self) -> bool:
        """Whether one of them is not there although its base is."""
        indexes = self._network.indexes
        return any(link.name not in indexes and link.base in indexes for link in self._ours.values())

    def indexes(self) -> dict[Family, dict[int, int]]:
        """Those with virtual MAC addresses, index -> index of the base; by family whether they speak it."""
        found: dict[Family, dict[int, int]] = {4: {}, 6: {}}
        known = self._network.indexes
        for link in self._ours.values():
            if link.mac is not None and link.name in known and link.base in known:
                if link.family == 4:
                    found[4][known[link.name]] = known[link.base]
                if link.ipv6:
                    found[6][known[link.name]] = known[link.base]
        return found

    def borrowed(self) -> dict[int, Address]:
        """The link-local addresses that those with virtual MAC addresses have from their bases, by index."""
        known = self._network.indexes
        return {
            known[link.name]: address
            for link in self._ours.values()
            if link.name in known and link.base in known
            if (address := self._link_local(link, self._network.interfaces[known[link.base]])) is not None
        }

    def want(self, links: Iterable[MadeLink], promote: Iterable[str] = (), *, igmp: bool = True) -> list[str]:
        """These are wanted from now on; `make` makes them. `promote`: interfaces with promote_secondaries; `igmp`
        false: no reports for link-local groups on the whole host. Surplus ones go. What went wrong, in words."""
        places: dict[tuple[str, str], str] = {}
        wanted: dict[str, MadeLink] = {}
        for link in links:
            if link.mac is not None:  # a base carries a MAC address once: of two names the later one
                wanted.pop(places.get((link.base, link.mac), ""), None)
                places[link.base, link.mac] = link.name
            wanted[link.name] = link
        surplus = [name for name, link in self._ours.items() if not _alike(wanted.get(name), link)]
        problems = [problem for name in surplus for problem in self._remove(name)]
        if surplus:
            self._news += self._network.read()
        self._ours = wanted
        self._settings = {f"ipv4/conf/{name}/promote_secondaries": "1" for name in promote}
        if not igmp:
            self._settings["ipv4/igmp_link_local_mcast_reports"] = "0"
        return problems

    def make(self, guard: Callable[[], None]) -> tuple[list[Change], list[str]]:
        """Make what is missing and can be made. `guard` is called when all are there and the new ones are not yet up:
        as soon as they are the kernel sends from them, and rules must hold it. What is new on the network by that, and
        what went wrong; a base that is not there is no problem of ours."""
        problems = self._sysctls.hold({**self._settings, **self._base_settings()})
        changes, self._news = self._news, []
        usable: list[tuple[MadeLink, Interface, Interface]] = []
        for link in self._ours.values():
            base = self._network.interfaces.get(self._network.indexes.get(link.base, 0))
            if base is None:
                continue
            try:
                there = self._network.interfaces.get(self._network.indexes.get(link.name, 0))
                if there is None:
                    self._socket.do(RTM_NEWLINK, self._request(link, base), CREATE | EXCL)
                    changes += self._network.read()
                    there = self._network.interfaces[self._network.indexes[link.name]]
                if not _same(there, link, base):
                    problems.append(f"{link.name} is an interface of somebody else, not ours on {link.base}")
                    continue
                problems += self._settle(link)
                usable.append((link, base, there))
            except OSError as error:
                problems.append(f"cannot make interface {link.name} on {link.base}: {error.strerror}")
        guard()
        touched = False
        for link, base, there in usable:
            try:
                touched = self._furnish(link, base, there) or touched
            except OSError as error:
                problems.append(f"cannot set up interface {link.name} on {link.base}: {error.strerror}")
        return (changes + self._network.read() if touched else changes), problems

    def adopt(self, links: Iterable[MadeLink]) -> None:
        """What a process before us made, and is there, is ours: the next `want` removes it if it is not wanted."""
        for link in links:
            there = self._network.interfaces.get(self._network.indexes.get(link.name, 0))
            base = self._network.interfaces.get(self._network.indexes.get(link.base, 0))
            if there is not None and base is not None and _same(there, link, base):
                self._ours[link.name] = link

    def release(self) -> list[str]:
        """Remove all, and put the settings back."""
        problems = [problem for name in self._ours for problem in self._remove(name)]
        self._ours = {}
        return problems + self._sysctls.release()

    # ------------------------------------------------------------------------------------------- making

    def _request(self, link: MadeLink, base: Interface) -> bytes:
        group = base.group if link.group is None else link.group
        above = self._network.interfaces.get(base.master)
        master = base.master if above is not None and above.kind == "vrf" else 0
        if link.mac is None:
            return wire.ipvlan(link.name, base.index, mode=link.mode, group=group, master=master)
        mac = bytes.fromhex(link.mac.replace(":", ""))
        return wire.macvlan(link.name, base.index, mac, group=group, master=master)

    def _settle(self, link: MadeLink) -> Iterable[str]:
        """The settings of one of ours, before it comes up."""
        settings = {"ipv6/conf/{}/addr_gen_mode": "1", "ipv6/conf/{}/disable_ipv6": "0" if link.ipv6 else "1"}
        if link.mac is not None:
            settings |= {f"ipv4/conf/{{}}/{name}": value for name, value in STEADY[link.family]}
        for name, value in settings.items():
            path = name.format(link.name)
            if self._sysctls.read(path) not in {None, value} and (problem := self._sysctls.once(path, value)):
                yield problem

    def _base_settings(self) -> dict[str, str]:
        """What of others is ours while there are interfaces with virtual MAC addresses."""
        bases = {link.base for link in self._ours.values() if link.mac is not None and link.family == 4}
        bases = {name for name in bases if name in self._network.indexes}
        if not bases:
            return {}
        wanted = {f"ipv4/conf/{name}/{key}": "1" for name in bases for key in ("arp_ignore", "arp_filter")}
        strict = self._sysctls.original(ALL)
        if strict not in {None, "0"}:
            assert strict is not None
            wanted[ALL] = "0"
            for name in ("default", *self._network.indexes):
                path = f"ipv4/conf/{name}/rp_filter"
                own = self._sysctls.original(path)
                if name not in self._ours and own is not None and own < strict:
                    wanted[path] = strict
        return wanted

    def _addresses(self, link: MadeLink, base: Interface) -> Iterable[VirtualAddress]:
        """The address of an ipvlan; the link-local one that IPv6 adverts leave from."""
        if link.address is not None:
            yield VirtualAddress(address=link.address, prefixlen=link.prefixlen, dev=link.name)
        elif (address := self._link_local(link, base)) is not None:
            yield VirtualAddress(address=address, prefixlen=64, dev=link.name, preferred_lft=0)

    def _link_local(self, link: MadeLink, base: Interface) -> Address | None:
        """What it has from its base; None: nothing."""
        if link.mac is None or not link.ipv6 or not link.speaks:
            return None
        return self._network.primary(base.index, 6) or _eui64(base.mac)

    def _furnish(self, link: MadeLink, base: Interface, there: Interface) -> bool:
        """Its addresses, and up with it; whether anything was to be done."""
        done = False
        for address in self._addresses(link, base):
            if not self._network.has(link.name, address.address, address.prefixlen):
                self._add(there.index, address)
                done = True
        if not there.up:
            self._socket.do(RTM_NEWLINK, wire.up(there.index))
            done = True
        return done

    def _add(self, index: int, address: VirtualAddress) -> None:
        refusal = self._socket.batch(RTM_NEWADDR, [at(encode(address, protocol=0), index)], CREATE).get(0)
        if refusal is not None and refusal.errno != errno.EEXIST:
            raise OSError(refusal.errno, f"{address.address}: {refusal.text or errno.errorcode.get(refusal.errno)}")

    def _remove(self, name: str) -> list[str]:
        there = self._network.interfaces.get(self._network.indexes.get(name, 0))
        if there is None or there.kind not in {"macvlan", "ipvlan"}:
            return []
        refusal = self._socket.batch(RTM_DELLINK, [wire.by_index(there.index)]).get(0)
        if refusal is None or refusal.errno == errno.ENODEV:
            return []
        return [f"cannot remove interface {name}: {refusal.text or errno.errorcode.get(refusal.errno)}"]


def _alike(wanted: MadeLink | None, link: MadeLink) -> bool:
    """Whether the interface that was made for `link` will do."""
    if wanted is None:
        return False
    return (wanted.base, wanted.mac, wanted.mode, wanted.speaks) == (link.base, link.mac, link.mode, link.speaks)


def _same(there: Interface, link: MadeLink, base: Interface) -> bool:
    kind = "ipvlan" if link.mac is None else "macvlan"
    mac = base.mac if link.mac is None else bytes.fromhex(link.mac.replace(":", ""))
    return there.kind == kind and there.lower == base.index and there.mac == mac


def _eui64(mac: bytes) -> Address | None:
    """RFC 4291 appendix A: the link-local address that goes with a MAC address."""
    if len(mac) != 6:
        return None
    return unpacked(bytes.fromhex("fe80000000000000") + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:])
