"""Gratuitous ARP and neighbour advertisements: they wait for the addresses and leave at the end of a turn."""

from collections.abc import Callable

from fastha._vrrp import AdvertEngine
from fastha.model.net import Address, family_of
from fastha.model.units import Ns
from fastha.system.addresses import Addresses
from fastha.system.links import Forwarding, Interface
from fastha.system.sockets import packet_sender
from fastha.vrrp.actions import Announce
from fastha.wire import arp, ndisc


class Announcements:
    """`link_of` gives an interface by name. PermissionError without the right to raw sockets."""

    def __init__(self, engine: AdvertEngine, link_of: Callable[[str], Interface | None]) -> None:
        self._engine = engine
        self._link_of = link_of
        self._frames = packet_sender()
        self._forwarding = Forwarding()
        self._waiting: list[Announce] = []

    def add(self, what: Announce) -> None:
        self._waiting.append(what)

    def send(self, addresses: Addresses, now: Ns) -> None:
        """Everything that waits, now that the addresses are there. First one pass over all of them, then the next: in
        a great failover every address is told once before any is told again."""
        waiting, self._waiting = self._waiting, []
        made = [
            [frame for place in one.addresses if (frame := self._frame(*place, addresses, now)) is not None]
            for one in waiting
        ]
        for number in range(max((one.count for one in waiting), default=0)):
            frames = [frame for one, own in zip(waiting, made, strict=True) if number < one.count for frame in own]
            self._engine.frames(self._frames.fileno(), frames)

    def close(self) -> None:
        self._frames.close()

    def _frame(self, interface: str, address: Address, addresses: Addresses, now: Ns) -> tuple[int, bytes] | None:
        """None where there is nothing to announce: given up again in the same turn, or a link without ARP."""
        link = self._link_of(interface)
        if link is None or not link.arp or not link.mac:
            return None
        if addresses.known(interface, address) and not addresses.wanted(interface, address):
            return None
        if family_of(address) == 4:
            return link.index, arp.gratuitous(link.mac, address)
        return link.index, ndisc.unsolicited(link.mac, address, router=self._forwarding(interface, now))
