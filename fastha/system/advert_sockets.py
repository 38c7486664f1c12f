"""The sockets the advert engine has, made to fit the endpoints the core wants."""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from fastha._vrrp import AdvertEngine
from fastha.model.net import Address, Family
from fastha.system import sockets
from fastha.vrrp.orders import Endpoint


class Hearing(NamedTuple):
    """What tells receive sockets apart."""

    protocol: int
    family: Family
    interface: str
    ifindex: int
    group: Address | None
    source: Address | None


class Speaking(NamedTuple):
    """What tells send sockets apart."""

    family: Family
    interface: str
    ifindex: int


def _hearing(endpoint: Endpoint, index: int) -> Hearing | None:
    """The receive socket of an endpoint; None: it cannot hear anything."""
    if endpoint.group is None and endpoint.source is None:
        return None
    source = endpoint.source if endpoint.group is None else None
    return Hearing(endpoint.protocol, endpoint.family, endpoint.interface, index, endpoint.group, source)


class AdvertSockets:
    """`index_of` gives an interface's index, 0 when there is none; `room_of` the octets that an instance wants of the
    receive buffer (vrrp_rx_bufs_policy), which count when a socket is opened."""

    def __init__(
        self, engine: AdvertEngine, index_of: Callable[[str], int], room_of: Callable[[int], int] = lambda _: 0
    ) -> None:
        self._engine = engine
        self._index_of = index_of
        self._room_of = room_of
        self._room: Counter[Hearing] = Counter()
        """What the instances of a socket want together."""
        self._listeners: dict[Hearing, int] = {}
        """slots of the engine"""
        self._senders: dict[Speaking, int] = {}
        """descriptors"""
        self._bound: dict[int, tuple[Endpoint, int, int, int]] = {}

    def fit(self, endpoints: Iterable[Endpoint]) -> list[str]:
        """Open what is missing, bind the instances, close what is left over. What was not possible, in words."""
        problems: list[str] = []
        hearing: dict[Hearing, int] = {}
        speaking: dict[Speaking, int] = {}
        bound: dict[int, tuple[Endpoint, int, int, int]] = {}
        wanted = list(endpoints)
        self._room.clear()
        for endpoint in wanted:
            if (key := _hearing(endpoint, self._index_of(endpoint.interface))) is not None:
                self._room[key] += self._room_of(endpoint.instance)
        for endpoint in wanted:
            index = self._index_of(endpoint.interface)
            slot = sender = -1
            if index or not endpoint.interface:
                slot = self._listener(endpoint, index, hearing, problems)
                sender = self._sender(endpoint, index, speaking, problems)
            bound[endpoint.instance] = (endpoint, slot, sender, index)
            if self._bound.get(endpoint.instance) != bound[endpoint.instance]:
                self._engine.bind(endpoint, slot, sender, index)
        for instance in self._bound.keys() - bound.keys():
            self._engine.unbind(instance)
        for key in self._listeners.keys() - hearing.keys():
            self._engine.unlisten(self._listeners[key])
        for left in self._senders.keys() - speaking.keys():
            self._engine.close(self._senders[left])
        # what could not be opened is tried again next time
        self._listeners = {key: slot for key, slot in hearing.items() if slot >= 0}
        self._senders = {key: descriptor for key, descriptor in speaking.items() if descriptor >= 0}
        self._bound = bound
        return problems

    def unknown_vrids(self) -> set[tuple[str, int]]:
        """(interface, VRID) heard so far that belong to no instance."""
        return {
            (key.interface, vrid) for key, slot in self._listeners.items() for vrid in self._engine.unknown_vrids(slot)
        }

    def _listener(self, endpoint: Endpoint, index: int, kept: dict[Hearing, int], problems: list[str]) -> int:
        key = _hearing(endpoint, index)
        if key is None:
            return -1
        if key not in kept:
            slot = self._listeners.get(key)
            if slot is None:
                try:
                    sock = sockets.listener(*key[1:], protocol=key.protocol, room=self._room[key])
                except OSError as error:
                    problems.append(f"cannot hear adverts on {endpoint.interface}: {error.strerror}")
                    slot = -1
                else:
                    slot = self._engine.listen(sock.detach(), endpoint.family, index, endpoint.protocol)
            kept[key] = slot
        return kept[key]

    def _sender(self, endpoint: Endpoint, index: int, kept: dict[Speaking, int], problems: list[str]) -> int:
        key = Speaking(endpoint.family, endpoint.interface, index)
        if key not in kept:
            descriptor = self._senders.get(key)
            if descriptor is None:
                try:
                    descriptor = sockets.sender(*key).detach()
                except OSError as error:
                    problems.append(f"cannot send adverts from {endpoint.interface}: {error.strerror}")
                    descriptor = -1
            kept[key] = descriptor
        return kept[key]

    def close(self) -> None:
        """When the engine has stopped."""
        for descriptor in self._senders.values():
            os.close(descriptor)
        self._senders = {}
