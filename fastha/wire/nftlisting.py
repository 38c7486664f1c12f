"""What `nft -n -j list table` says of the table that `wire.nftables` makes, as a `Table` again.

Services, servers and weights are read from the maps, and then held against the chains that packets really go through:
what does not hang together is no part of the table, and is told as damage.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from fastha.model.net import Address, Family, parse_address
from fastha.model.table import Destination, DestinationKey, Entry, Service, ServiceKey, Table
from fastha.wire.nftables import (
    FAMILIES,
    LAYOUT,
    PROTOCOL_NAME,
    chain_name,
    clients_map,
    is_served,
    mixed_ports,
    numbers,
    pick_chain,
    server_chain,
    service_obstacle,
    share,
    target_of,
)


@dataclass(slots=True)
class Reading:
    """What is in the kernel. `damage` says what is not as it was made; the table wants making anew then."""

    table: Table = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)


_BASE_RULES: Final = {"balance": 6, "unserved": 6, "prerouting": 1, "output": 1, "input": 1, "forward": 1}


def parse(listing: bytes) -> Reading:
    """The answer of `nft -n -j list table` as a table. What does not hang together is left out and told."""
    try:
        return _parse(orjson.loads(listing))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        # Objects that we never make: somebody else did.
        return Reading(damage=[f"it is not understood ({type(error).__name__}: {error})"])


def _parse(document: Mapping[str, Any]) -> Reading:
    reading = Reading()
    objects = _Objects(document)
    if LAYOUT not in objects.rules:
        reading.damage.append("it is of another make")
        return reading
    for name, count in _BASE_RULES.items():
        if len(objects.rules.get(name, ())) != count:
            reading.damage.append(f"chain {name} is not as it was made")
            return reading
    for family, _ in FAMILIES:
        for at, chain in objects.services(family):
            _parse_service(reading, objects, at, chain)
        for at, server, weight in objects.servers(family):
            entry = reading.table.get(at)
            if entry is not None:
                entry.destinations[server] = Destination(weight=weight)
            elif not reading.damage:
                reading.damage.append(f"{at}: server {server} has no service")
    for at, entry in reading.table.items():
        _check_slots(reading, objects, at, entry)
    for family, _ in FAMILIES:
        count = sum(at.family == family and not is_served(entry) for at, entry in reading.table.items())
        if objects.unserved(family) != count:
            reading.damage.append(f"the sets of IPv{family} services without a server are not as they were made")
    return reading


def _parse_service(reading: Reading, objects: "_Objects", at: ServiceKey, chain: str) -> None:
    rules = objects.rules.get(chain, [])
    words = str(rules[0].get("comment", "")).split() if rules else []
    if chain != chain_name(at) or len(words) != 4 or not all(word.isdecimal() for word in words[1:]):
        reading.damage.append(f"{at}: chain {chain} is not as it was made")
        return
    scheduler, flags, timeout, netmask = words[0], *map(int, words[1:])
    service = Service(scheduler=scheduler, flags=flags, timeout=timeout, netmask=netmask)
    if service_obstacle(at, service):
        reading.damage.append(f"{at}: chain {chain} is not as it was made")
        return
    reading.table[at] = Entry(service)


def _check_slots(reading: Reading, objects: "_Objects", at: ServiceKey, entry: Entry) -> None:
    """A server counts as there only when connections really go to it."""
    chain, service = chain_name(at), entry.service
    mixed, persistent = mixed_ports(at, entry), bool(service.timeout and entry.destinations)
    end = {server: server_chain(chain, server) if mixed else target_of(at, server) for server in entry.destinations}
    astray = {
        server for server in entry.destinations if mixed and not objects.leads_to(end[server], target_of(at, server))
    }
    served = share(entry).servers
    sound = not astray and len(objects.rules[chain]) == 1 + 2 * persistent + bool(served)
    if service.timeout and not objects.has_map(clients_map(chain)):
        sound = False
    if persistent:
        number = numbers(entry.destinations)
        picks = objects.targets(pick_chain(chain))
        sound = sound and picks == {number[server]: end[server] for server in entry.destinations}
        astray |= {server for server in entry.destinations if picks.get(number[server]) != end[server]}
        end = dict(number)
    found = set(objects.targets(chain).values())
    if sound and found == {end[server] for server in served}:
        return
    reading.damage.append(f"{at}: the slots are not as they were made")
    for server in served:
        if end[server] not in found or server in astray:
            del entry.destinations[server]


class _Objects:
    """The objects of a listing, by kind and name."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.rules: dict[str, list[dict[str, Any]]] = {}
        self._maps: dict[str, list[Any]] = {}
        for item in document.get("nftables", ()):
            for kind, value in item.items():
                if kind == "chain":
                    self.rules.setdefault(value["name"], [])
                elif kind == "rule":
                    self.rules.setdefault(value["chain"], []).append(value)
                elif kind in {"map", "set"}:
                    self._maps[value["name"]] = value.get("elem", [])

    def has_map(self, name: str) -> bool:
        return name in self._maps

    def leads_to(self, chain: str, target: str) -> bool:
        """Whether a server's chain has its rule, a translation to `address . port` or `address`."""
        found = self.rules.get(chain, [])
        if len(found) != 1:
            return False
        last = found[-1]["expr"][-1]["dnat"]
        port = f" . {last['port']}" if "port" in last else ""
        return f"{_address(last['addr'])}{port}" == target

    def unserved(self, family: Family) -> int:
        """How many services are known to have no server."""
        return sum(len(self._maps.get(f"unserved-{kind}{family}", ())) for kind in ("marks", "services", "any"))

    def services(self, family: Family) -> Iterator[tuple[ServiceKey, str]]:
        """Services and their chains."""
        for key, verdict in self._maps.get(f"marks{family}", ()):
            yield ServiceKey(family, fwmark=key), verdict["goto"]["target"]
        for key, verdict in self._maps.get(f"services{family}", ()):
            address, protocol, port = key["concat"]
            yield _service_key(family, address, protocol, port), verdict["goto"]["target"]
        for key, verdict in self._maps.get(f"any{family}", ()):
            address, protocol = key["concat"]
            yield _service_key(family, address, protocol, 0), verdict["goto"]["target"]

    def servers(self, family: Family) -> Iterator[tuple[ServiceKey, DestinationKey, int]]:
        for key, weight in self._maps.get(f"servers{family}", ()):
            address, protocol, port, server, server_port = key["concat"]
            at = _service_key(family, address, protocol, port)
            yield at, DestinationKey(_address(server), server_port), weight
        for key, weight in self._maps.get(f"marked{family}", ()):
            mark, server, server_port = key["concat"]
            yield ServiceKey(family, fwmark=mark), DestinationKey(_address(server), server_port), weight

    def targets(self, chain: str) -> dict[Any, str]:
        """Where the table of slots of a chain, or that of numbers, leads: `address . port`, `address`, the name of a
        server's chain, or the number of a server."""
        found: dict[Any, str] = {}
        for rule in self.rules.get(chain, ()):
            for expression in rule["expr"]:
                if isinstance(expression, dict):
                    found.update({key: _slot_target(value) for key, value in _map_of(expression)})
        return found


def _map_of(expression: Mapping[str, Any]) -> list[Any]:
    """The pairs of the table that a connection is looked up in, if this is the expression that does it."""
    if "dnat" in expression and isinstance(expression["dnat"]["addr"], dict):
        data = expression["dnat"]["addr"]["map"]["data"]
    elif "vmap" in expression:
        data = expression["vmap"]["data"]
    elif "mangle" in expression:
        data = expression["mangle"]["value"]["map"]["data"]
    else:
        return []
    return data["set"] if isinstance(data, dict) else []  # a named map is that of clients


def _slot_target(value: Any) -> str:
    if isinstance(value, str):
        return _address(value) if value.count(":") != 1 else value  # a number has one colon, no address has
    if "goto" in value:
        return str(value["goto"]["target"])
    address, port = value["concat"]
    return f"{_address(address)} . {port}"


def _service_key(family: Family, address: str, protocol: int, port: int) -> ServiceKey:
    return ServiceKey(family, 0, PROTOCOL_NAME.get(protocol, str(protocol)), _address(address), port)


def _address(text: str) -> Address:
    """Canonical: nft writes the last 32 bits of some IPv6 addresses with dots."""
    return parse_address(text) if ":" in text else Address(text)
