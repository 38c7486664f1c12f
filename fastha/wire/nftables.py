"""A load-balancing table as nftables: a `Table` to the text of one `nft` transaction; `wire.nftlisting` reads it back.

The table is `inet fastha_lvs`. What is in it:

    services4, services6        address . protocol . port -> goto the service's chain
    any4, any6                  address . protocol        -> the same, for services of every port
    marks4, marks6              packet mark               -> the same, for services by mark
    unserved-services4, ...     the same keys, of services without a server, in sets: answered with an ICMP error
    servers4, servers6          address . protocol . port . server . port -> weight: what was asked for
    marked4, marked6            mark . server . port -> weight, for services by mark (nft joins five fields at most)
    tcp-10.0.0.1-80             a service's chain: a number out of a counter or a hash, looked up in a table of slots
    tcp-10.0.0.1-80-pick        persistence: the number of a server -> the server, and the client is written down
    tcp-10.0.0.1-80-to-...      a server's chain, where some servers keep the port and others do not
    clients-tcp-10.0.0.1-80     client -> number of its server, with a timeout: persistence
    prerouting, output          where connections of others and of this host come in
    input, forward              where connections to services without a server are refused

It is destination NAT as IPVS does it: the client's address is kept and servers answer through this host. Connection
tracking holds what is established, whatever happens to the tables. Order of lookup as in IPVS: mark, port, any port.

Persistence goes through the packet's priority, used as a register: client -> number -> server; the client is written
down (again). A number whose server is gone matches nothing; then the client is forgotten and chosen for anew. So no
clean-up is needed when servers leave, and there is nothing that could be out of step.

It is text and not JSON: nft 1.0.6 has no JSON for the statements that change maps, and is no faster with it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv6Network
from typing import Final
from zlib import crc32

from fastha.model.net import Address, Family
from fastha.model.plan import Forwarding
from fastha.model.table import Destination, DestinationKey, Entry, Service, ServiceKey, Table
from fastha.wire.slots import places, turns

TABLE: Final = "inet fastha_lvs"
LAYOUT: Final = "layout-2"
"""A chain without rules that says how the table is made; one of another make is made anew."""
_SEED: Final = 0x66617374
"""Of the hash; the same on all directors, so that they choose alike."""
_CLIENTS_LIMIT: Final = 1 << 20
FAMILIES: Final[tuple[tuple[Family, str], ...]] = ((4, "ip"), (6, "ip6"))
PROTOCOL_NAME: Final = {6: "TCP", 17: "UDP", 132: "SCTP"}
_REJECT: Final = "reject with icmpx port-unreachable"
"""What IPVS answers when a service has no server; for TCP too."""
_PORTS_OF_ANY: Final = "meta l4proto { tcp, udp, sctp } "

_ONE_PACKET: Final = 0x4
_HASH_PORT: Final = 0x10


class Spread(Enum):
    """How connections are shared out."""

    EQUAL = "in turn"
    WEIGHTED = "in turn by weight"
    SOURCE = "by hash of the client"
    DESTINATION = "by hash of the virtual address"
    HIGHEST = "all to the greatest weight"


SPREAD: Final = {
    "rr": Spread.EQUAL,
    "wrr": Spread.WEIGHTED,
    "sh": Spread.SOURCE,
    "mh": Spread.SOURCE,
    "dh": Spread.DESTINATION,
    "fo": Spread.HIGHEST,
}
"""Schedulers that are what they say."""
APPROXIMATED: Final = {
    "lc": Spread.EQUAL,
    "wlc": Spread.WEIGHTED,
    "sed": Spread.WEIGHTED,
    "nq": Spread.WEIGHTED,
    "twos": Spread.WEIGHTED,
    "lblc": Spread.DESTINATION,
    "lblcr": Spread.DESTINATION,
    "ovf": Spread.HIGHEST,
}
"""Schedulers that look at the number of connections, which a packet filter cannot."""


# --------------------------------------------------------------------------------- what is possible


def service_obstacle(at: ServiceKey, service: Service) -> str:
    """Why nftables cannot do this service; empty when it can."""
    if at.protocol not in {"", *PROTOCOL_NAME.values()}:
        return f"protocol {at.protocol} is not balanced"
    if service.scheduler not in SPREAD and service.scheduler not in APPROXIMATED:
        return f"there is no scheduler '{service.scheduler}'"
    if service.flags & _ONE_PACKET:
        return "one-packet scheduling takes IPVS: connection tracking keeps a client's datagrams together"
    if service.engine and service.timeout:
        return f"the persistence engine '{service.engine}' takes IPVS"
    return ""


def server_obstacle(destination: Destination) -> str:
    """Why nftables cannot do this server; empty when it can."""
    if destination.method.forwarding is not Forwarding.NAT:
        return f"forwarding by {destination.method.forwarding} takes IPVS: nftables can only do NAT"
    if destination.uthreshold or destination.lthreshold:
        return "connection thresholds take IPVS"
    if not 0 <= destination.weight < 1 << 31:
        return f"weight {destination.weight} is not within 0 to 2147483647"
    return ""


def approximation(service: Service) -> str:
    """What nftables does instead of the scheduler that is asked for; empty when it does that one."""
    spread = APPROXIMATED.get(service.scheduler)
    return f"{service.scheduler} becomes {spread.value}" if spread else ""


# -------------------------------------------------------------------------------------------- names


def chain_name(at: ServiceKey) -> str:
    if at.fwmark:
        return f"mark{at.family}-{at.fwmark}"
    return f"{at.protocol.lower()}-{at.address.replace(':', '_')}-{at.port}"


def pick_chain(chain: str) -> str:
    return f"{chain}-pick"


def server_chain(chain: str, server: DestinationKey) -> str:
    return f"{chain}-to-{server.address.replace(':', '_')}-{server.port}"


def clients_map(chain: str) -> str:
    return f"clients-{chain}"


def _dispatch(at: ServiceKey) -> tuple[str, str]:
    """The map that sends packets of a service to its chain, and the key there."""
    if at.fwmark:
        return f"marks{at.family}", str(at.fwmark)
    protocol = at.protocol.lower()
    if not at.port:
        return f"any{at.family}", f"{at.address} . {protocol}"
    return f"services{at.family}", f"{at.address} . {protocol} . {at.port}"


def _weight_map(at: ServiceKey) -> str:
    return f"marked{at.family}" if at.fwmark else f"servers{at.family}"


def _weight_key(at: ServiceKey, server: DestinationKey) -> str:
    service = str(at.fwmark) if at.fwmark else f"{at.address} . {at.protocol.lower()} . {at.port}"
    return f"{service} . {server.address} . {server.port}"


def numbers(servers: Iterable[DestinationKey]) -> dict[DestinationKey, str]:
    """The number of each server in a map of clients, as nft writes it: 32 bits out of its address, the same again after
    a restart. Neither half is 0, which nft leaves out, and all ones mean something in a packet's priority."""
    found: dict[DestinationKey, str] = {}
    taken = {0xFFFFFFFF}
    for server in sorted(servers):
        number = crc32(str(server).encode())
        while number in taken or not number >> 16 or not number & 0xFFFF:
            number = (number + 1) & 0xFFFFFFFF
        taken.add(number)
        found[server] = f"{number >> 16:x}:{number & 0xFFFF:x}"
    return found


# ------------------------------------------------------------------------------------------- render


def skeleton() -> Iterator[str]:
    """The lines that make the table without services."""
    yield f"table {TABLE} {{"
    for family, _ in FAMILIES:
        address = f"ipv{family}_addr"
        for name, key in (
            (f"services{family}", f"{address} . inet_proto . inet_service"),
            (f"any{family}", f"{address} . inet_proto"),
            (f"marks{family}", "mark"),
        ):
            yield f"map {name} {{ type {key} : verdict; }}"
            yield f"set unserved-{name} {{ type {key}; }}"
        server = f"{address} . inet_service"
        yield f"map servers{family} {{ type {address} . inet_proto . inet_service . {server} : mark; }}"
        yield f"map marked{family} {{ type mark . {server} : mark; }}"
    yield f"chain {LAYOUT} {{ }}"
    yield "chain balance {"
    for family, _ in FAMILIES:
        yield f"meta nfproto ipv{family} meta mark vmap @marks{family}"
    for family, word in FAMILIES:
        yield f"{word} daddr . meta l4proto . th dport vmap @services{family}"
        yield f"{word} daddr . meta l4proto vmap @any{family}"
    yield "}"
    yield "chain unserved {"
    for family, word in FAMILIES:
        yield f"meta nfproto ipv{family} meta mark @unserved-marks{family} {_REJECT}"
        yield f"{word} daddr . meta l4proto . th dport @unserved-services{family} {_REJECT}"
        yield f"{word} daddr . meta l4proto @unserved-any{family} {_REJECT}"
    yield "}"
    # One before the usual priority of destination NAT: a rule of the host's own must not come first by chance.
    for hook in ("prerouting", "output"):
        yield f"chain {hook} {{ type nat hook {hook} priority -101; policy accept; jump balance; }}"
    for hook in ("input", "forward"):
        yield f"chain {hook} {{ type filter hook {hook} priority 0; policy accept;"
        yield "ct state new ct status & dnat == 0 jump unserved; }"
    yield "}"


@dataclass(frozen=True, slots=True)
class Share:
    """Servers and their slots."""

    servers: list[DestinationKey]
    slots: list[int]
    """Indices of `servers`."""
    exact: bool


def share(entry: Entry) -> Share:
    """How the connections of a service are shared out among its servers with a weight above 0."""
    spread = SPREAD.get(entry.service.scheduler) or APPROXIMATED[entry.service.scheduler]
    live = [(server, each.weight) for server, each in sorted(entry.destinations.items()) if each.weight > 0]
    if spread is Spread.HIGHEST and live:
        live = [max(live, key=lambda pair: pair[1])]
    servers = [server for server, _ in live]
    weights = [1 if spread is Spread.EQUAL else weight for _, weight in live]
    if spread in {Spread.SOURCE, Spread.DESTINATION}:
        return Share(servers, places([str(server) for server in servers], weights), exact=True)
    slots, exact = turns(weights)
    return Share(servers, slots, exact)


def is_served(entry: Entry) -> bool:
    return any(each.weight > 0 for each in entry.destinations.values())


def _selector(at: ServiceKey, service: Service, slots: int) -> str:
    """The expression that gives a new connection its slot."""
    spread = SPREAD.get(service.scheduler) or APPROXIMATED[service.scheduler]
    word = "ip" if at.family == 4 else "ip6"
    if spread is Spread.SOURCE:
        what = f"{word} saddr . th sport" if service.flags & _HASH_PORT else f"{word} saddr"
    elif spread is Spread.DESTINATION:
        what = f"{word} daddr"
    else:
        return f"numgen inc mod {slots}"
    return f"jhash {what} mod {slots} seed {_SEED:#x}"


def _client(at: ServiceKey, service: Service) -> str:
    """The expression for the client as persistence sees it."""
    if at.family == 4:
        mask = service.netmask & 0xFFFFFFFF
        if mask == 0xFFFFFFFF:
            return "ip saddr"
        return "ip saddr & " + ".".join(str(mask >> shift & 0xFF) for shift in (24, 16, 8, 0))
    if service.netmask >= 128:
        return "ip6 saddr"
    return f"ip6 saddr & {IPv6Network((0, service.netmask)).netmask}"


def _port(at: ServiceKey, server: DestinationKey) -> int:
    """The port a connection is sent to; 0: the one it came for."""
    return server.port or at.port


def mixed_ports(at: ServiceKey, entry: Entry) -> bool:
    """Whether each server has a chain of its own, because some keep the port that a connection came for, others not."""
    return len({_port(at, server) == 0 for server in entry.destinations}) > 1


def _transport(at: ServiceKey) -> str:
    """nft wants to see that there are ports."""
    return f"meta l4proto {at.protocol.lower()} " if at.protocol else _PORTS_OF_ANY


def _table(pairs: Iterable[tuple[object, str]]) -> str:
    return "{ " + ", ".join(f"{key} : {value}" for key, value in pairs) + " }"


def _to_servers(at: ServiceKey, entry: Entry, selector: str, pairs: Iterable[tuple[object, DestinationKey]]) -> str:
    """The end of a rule: what `selector` says is looked up in `pairs`, and the connection goes to that server."""
    if mixed_ports(at, entry):
        chain = chain_name(at)
        return f"{selector} vmap {_table((key, f'goto {server_chain(chain, server)}') for key, server in pairs)}"
    ported = any(_port(at, server) for server in entry.destinations)
    word = "ip" if at.family == 4 else "ip6"
    table = _table((key, target_of(at, server)) for key, server in pairs)
    return f"{_transport(at) if ported else ''}dnat {word} to {selector} map {table}"


def _service_rules(at: ServiceKey, entry: Entry) -> Iterator[str]:
    chain, service = chain_name(at), entry.service
    # The first rule carries the attributes, and counts connections for whoever looks.
    yield f'counter comment "{service.scheduler} {service.flags} {service.timeout} {service.netmask}"'
    shared = share(entry)
    selector = _selector(at, service, len(shared.slots)) if shared.slots else ""
    if not service.timeout:
        if selector:
            yield _to_servers(at, entry, selector, ((slot, shared.servers[i]) for slot, i in enumerate(shared.slots)))
        return
    if not entry.destinations:
        return
    clients, client, number = clients_map(chain), _client(at, service), numbers(entry.destinations)
    yield f"meta priority set {client} map @{clients} jump {pick_chain(chain)}"
    yield f"delete @{clients} {{ {client} : 0:0 }}"
    if selector:
        table = _table((slot, number[shared.servers[index]]) for slot, index in enumerate(shared.slots))
        yield f"meta priority set {selector} map {table} jump {pick_chain(chain)}"


def target_of(at: ServiceKey, server: DestinationKey) -> str:
    port = _port(at, server)
    return f"{server.address} . {port}" if port else server.address


def _pick_rule(at: ServiceKey, entry: Entry) -> str:
    """Of persistence: to the server whose number is in the packet's priority, if there is one."""
    clients, client = clients_map(chain_name(at)), _client(at, entry.service)
    pairs = ((number, server) for server, number in numbers(entry.destinations).items())
    remember = f"update @{clients} {{ {client} timeout {entry.service.timeout}s : meta priority }}"
    return f"{remember} {_to_servers(at, entry, 'meta priority', pairs)}"


def _server_rule(at: ServiceKey, server: DestinationKey) -> str:
    port = _port(at, server)
    word, address = ("ip", server.address) if at.family == 4 else ("ip6", f"[{server.address}]")
    return f"{_transport(at) if port else ''}dnat {word} to {address}" + (f":{port}" if port else "")


def transaction(old: Table, new: Table, changed: Iterable[ServiceKey], *, fresh: bool) -> str:
    """The text that brings the services of `changed` from `old` to `new`; all or nothing. `fresh`: the table is made
    first, and whatever is there under its name goes."""
    lines: list[str] = []
    if fresh:
        lines += [f"add table {TABLE}", f"delete table {TABLE}", *skeleton()]
        old = {}
    for at in changed:
        was, now = old.get(at), new.get(at)
        if now is not None:
            lines += _define(at, was, now)
        elif was is not None:
            lines += _remove(at, was)
    return "\n".join(lines) + "\n"


def rehearsal() -> str:
    """A transaction that makes a table with one of everything and deletes it again: what nft and the kernel of this
    host cannot do shows as its failure, and nothing is left of it."""
    table: Table = {}
    for family, _ in FAMILIES:
        network, netmask = ("192.0.2.", 0xFFFFFF00) if family == 4 else ("2001:db8::", 64)
        pair = {DestinationKey(Address(f"{network}{host}"), 8080): Destination() for host in (2, 3)}
        at = ServiceKey(family, 0, "TCP", Address(f"{network}1"), 80)
        table[at] = Entry(Service(scheduler="wrr", netmask=netmask), pair)
        table[at._replace(protocol="UDP")] = Entry(Service(scheduler="sh", timeout=300, netmask=netmask), pair)
    text = transaction({}, table, table, fresh=True) + f"delete table {TABLE}\n"
    return text.replace(TABLE, f"{TABLE}_rehearsal")


def _define(at: ServiceKey, was: Entry | None, now: Entry) -> Iterator[str]:
    chain = chain_name(at)
    yield f"add chain {TABLE} {chain}"
    if now.service.timeout and not (was and was.service.timeout):
        limits = f"flags dynamic,timeout; size {_CLIENTS_LIMIT};"
        yield f"add map {TABLE} {clients_map(chain)} {{ type ipv{at.family}_addr : classid; {limits} }}"
    before = _side_chains(at, was)
    after = _side_chains(at, now)
    for name, rule in after.items():
        if before.get(name) != rule:
            yield f"{'flush' if name in before else 'add'} chain {TABLE} {name}"
            yield f"add rule {TABLE} {name} {rule}"
    if was is not None:
        yield f"flush chain {TABLE} {chain}"
    yield from (f"add rule {TABLE} {chain} {rule}" for rule in _service_rules(at, now))
    yield from _drop_chains(name for name in before if name not in after)
    if was and was.service.timeout and not now.service.timeout:
        yield f"delete map {TABLE} {clients_map(chain)}"
    name, element = _dispatch(at)
    if was is None:
        yield f"add element {TABLE} {name} {{ {element} : goto {chain} }}"
    was_served, served = was is not None and is_served(was), is_served(now)
    if not served and (was is None or was_served):
        yield f"add element {TABLE} unserved-{name} {{ {element} }}"
    elif served and was is not None and not was_served:
        yield f"delete element {TABLE} unserved-{name} {{ {element} }}"
    yield from _weights(at, was.destinations if was else {}, now.destinations)


def _remove(at: ServiceKey, was: Entry) -> Iterator[str]:
    chain = chain_name(at)
    name, element = _dispatch(at)
    yield f"delete element {TABLE} {name} {{ {element} }}"
    if not is_served(was):
        yield f"delete element {TABLE} unserved-{name} {{ {element} }}"
    yield from _drop_chains([chain, *_side_chains(at, was)])
    if was.service.timeout:
        yield f"delete map {TABLE} {clients_map(chain)}"
    yield from _weights(at, was.destinations, {})


def _drop_chains(names: Iterable[str]) -> Iterator[str]:
    """Rules first: they may refer to chains behind them in the list."""
    names = list(names)
    yield from (f"flush chain {TABLE} {name}" for name in names)
    yield from (f"delete chain {TABLE} {name}" for name in names)


def _side_chains(at: ServiceKey, entry: Entry | None) -> dict[str, str]:
    """The chains behind a service's own, each after those it refers to: name -> rule."""
    if entry is None:
        return {}
    chain = chain_name(at)
    chains: dict[str, str] = {}
    if mixed_ports(at, entry):
        chains = {server_chain(chain, server): _server_rule(at, server) for server in entry.destinations}
    if entry.service.timeout and entry.destinations:
        chains[pick_chain(chain)] = _pick_rule(at, entry)
    return chains


def _weights(
    at: ServiceKey, was: Mapping[DestinationKey, Destination], now: Mapping[DestinationKey, Destination]
) -> Iterator[str]:
    """The elements that say which weights were asked for."""
    name = _weight_map(at)
    gone = [server for server, each in was.items() if server not in now or now[server].weight != each.weight]
    come = [server for server, each in now.items() if server not in was or was[server].weight != each.weight]
    if gone:
        yield f"delete element {TABLE} {name} {{ " + ", ".join(_weight_key(at, server) for server in gone) + " }"
    if come:
        pairs = (f"{_weight_key(at, server)} : {now[server].weight}" for server in come)
        yield f"add element {TABLE} {name} {{ " + ", ".join(pairs) + " }"
