"""IPVS messages of generic netlink, by plain `struct`: `model.table` values <-> octets.

Commands and attributes are those of linux/ip_vs.h. What is encoded here is the payload behind the netlink header:
`wire.netlink.frame` and `system.netlink` add that. Host order, but for addresses, ports and IPv4 masks.

A director of ten thousand servers encodes ten thousand of these when it starts, so a destination is one `pack`: the
attribute headers between the values are constants of the format.
"""

from dataclasses import dataclass
from functools import lru_cache
from struct import Struct, pack, unpack
from struct import error as struct_error
from typing import Final

from fastha.model.net import Family, packed, unpacked
from fastha.model.plan import Forwarding, Method, TunnelType
from fastha.model.table import Destination, DestinationKey, Op, Operation, Service, ServiceKey, SyncDaemon
from fastha.wire.netlink import GENERIC_HEADER, attribute, attributes, generic

FAMILY_NAME: Final = "IPVS"

# Commands
NEW_SERVICE: Final = 1
SET_SERVICE: Final = 2
DEL_SERVICE: Final = 3
GET_SERVICE: Final = 4
NEW_DEST: Final = 5
SET_DEST: Final = 6
DEL_DEST: Final = 7
GET_DEST: Final = 8
NEW_DAEMON: Final = 9
DEL_DAEMON: Final = 10
GET_DAEMON: Final = 11
SET_CONFIG: Final = 12
GET_CONFIG: Final = 13
GET_INFO: Final = 15
FLUSH: Final = 17

# Attributes at the top
_SERVICE: Final = 1
_DEST: Final = 2
_DAEMON: Final = 3
_TIMEOUTS: Final = (4, 5, 6)
_INFO_VERSION: Final = 1
_INFO_SIZE: Final = 2

# Attributes of a service
_S_AF: Final = 1
_S_PROTOCOL: Final = 2
_S_ADDR: Final = 3
_S_PORT: Final = 4
_S_FWMARK: Final = 5
_S_SCHED: Final = 6
_S_FLAGS: Final = 7
_S_TIMEOUT: Final = 8
_S_NETMASK: Final = 9
_S_PE: Final = 11

# Attributes of a destination
_D_ADDR: Final = 1
_D_PORT: Final = 2
_D_METHOD: Final = 3
_D_WEIGHT: Final = 4
_D_UTHRESHOLD: Final = 5
_D_LTHRESHOLD: Final = 6
_D_ACTIVE: Final = 7
_D_INACTIVE: Final = 8
_D_FAMILY: Final = 11
_D_TUN_TYPE: Final = 13
_D_TUN_PORT: Final = 14
_D_TUN_FLAGS: Final = 15

PERSISTENT: Final = 0x1
HASHED: Final = 0x2
_ALL: Final = 0xFFFFFFFF

_AF: Final = {4: 2, 6: 10}
_FAMILY: Final[dict[int, Family]] = {2: 4, 10: 6}
_PROTOCOL: Final = {"TCP": 6, "UDP": 17, "SCTP": 132}
_PROTOCOL_NAME: Final = {number: name for name, number in _PROTOCOL.items()}
_METHOD: Final = {Forwarding.NAT: 0, Forwarding.TUN: 2, Forwarding.DR: 3}
_TUNNEL: Final = {TunnelType.IPIP: 0, TunnelType.GUE: 1, TunnelType.GRE: 2}
_FORWARDING: Final = {number: forwarding for forwarding, number in _METHOD.items()}
_TUNNEL_TYPE: Final = {number: tunnel for tunnel, number in _TUNNEL.items()}
_SERVICE_COMMAND: Final = {Op.ADD_SERVICE: NEW_SERVICE, Op.EDIT_SERVICE: SET_SERVICE}
_DEST_HEADER: Final = {Op.ADD_DEST: generic(NEW_DEST), Op.EDIT_DEST: generic(SET_DEST)}

_U16: Final = Struct("=H")
_U32: Final = Struct("=I")
_S32: Final = Struct("=i")
_PORT: Final = Struct("!H")


def _header(size: int, kind: int) -> bytes:
    return pack("=HH", 4 + size, kind)


# A destination: ADDR, PORT (2 octets and 2 of padding), then numbers of 4 octets, then the address family; each value
# follows the header of its attribute, and the headers are given as constants.
_DEST_FULL: Final = Struct("=4s4s16s4s2s6sI4si4sI4sI4sHxx")
_DEST_KEY: Final = Struct("=4s4s16s4s2s6sHxx")
_ADDR_HEADER: Final = _header(16, _D_ADDR)
_PORT_HEADER: Final = _header(2, _D_PORT)
_METHOD_HEADER: Final = b"\0\0" + _header(4, _D_METHOD)
_WEIGHT_HEADER: Final = _header(4, _D_WEIGHT)
_UTHRESHOLD_HEADER: Final = _header(4, _D_UTHRESHOLD)
_LTHRESHOLD_HEADER: Final = _header(4, _D_LTHRESHOLD)
_FAMILY_HEADER: Final = _header(2, _D_FAMILY)
_PADDED_FAMILY_HEADER: Final = b"\0\0" + _FAMILY_HEADER
_DEST_NEST: Final = _header(_DEST_FULL.size - 4, _DEST)
_DEST_KEY_NEST: Final = _header(_DEST_KEY.size - 4, _DEST)


@dataclass(frozen=True, slots=True)
class Info:
    version: tuple[int, int, int]
    connection_table_size: int


# ------------------------------------------------------------------------------------------ encode


@lru_cache(maxsize=4096)
def _identity(key: ServiceKey) -> bytes:
    """The attributes that name a service. ValueError for a protocol IPVS does not have."""
    family = attribute(_S_AF, _U16.pack(_AF[key.family]))
    if key.fwmark:
        return family + attribute(_S_FWMARK, _U32.pack(key.fwmark))
    number = _PROTOCOL.get(key.protocol)
    if number is None:
        raise ValueError(f"IPVS has no protocol '{key.protocol}'")
    return b"".join(
        (
            family,
            attribute(_S_PROTOCOL, _U16.pack(number)),
            attribute(_S_ADDR, packed(key.address).ljust(16, b"\0")),
            attribute(_S_PORT, _PORT.pack(key.port)),
        )
    )


@lru_cache(maxsize=4096)
def _identity_nest(key: ServiceKey) -> bytes:
    return attribute(_SERVICE, _identity(key))


def _service(key: ServiceKey, service: Service) -> bytes:
    """SERVICE with everything in it."""
    flags, timeout, netmask = service.flags, service.timeout, service.netmask
    if timeout:
        flags |= PERSISTENT
    else:
        netmask = _ALL if key.family == 4 else 128  # means nothing then, but the kernel checks it
    mask = pack("!I", netmask) if key.family == 4 else _U32.pack(netmask)
    parts = [
        _identity(key),
        attribute(_S_SCHED, service.scheduler.encode() + b"\0"),
        attribute(_S_FLAGS, pack("=II", flags, _ALL)),
        attribute(_S_TIMEOUT, _U32.pack(timeout)),
        attribute(_S_NETMASK, mask),
    ]
    if service.engine and timeout:
        parts.append(attribute(_S_PE, service.engine.encode() + b"\0"))
    return attribute(_SERVICE, b"".join(parts))


def _tunnel(method: Method) -> bytes:
    """The tunnel's attributes; only those that its type has."""
    parts = [attribute(_D_TUN_TYPE, bytes((_TUNNEL[method.tunnel],)))]
    if method.tunnel is TunnelType.GUE:
        parts.append(attribute(_D_TUN_PORT, _PORT.pack(method.tunnel_port)))
    if method.tunnel is not TunnelType.IPIP:
        parts.append(attribute(_D_TUN_FLAGS, _U16.pack(method.tunnel_flags)))
    return b"".join(parts)


def _destination(key: DestinationKey, destination: Destination) -> bytes:
    """DEST with everything in it."""
    address, port = key
    method = destination.method
    full = _DEST_FULL.pack(
        _DEST_NEST,
        _ADDR_HEADER,
        packed(address),
        _PORT_HEADER,
        port.to_bytes(2, "big"),
        _METHOD_HEADER,
        _METHOD[method.forwarding],
        _WEIGHT_HEADER,
        destination.weight,
        _UTHRESHOLD_HEADER,
        destination.uthreshold,
        _LTHRESHOLD_HEADER,
        destination.lthreshold,
        _FAMILY_HEADER,
        10 if ":" in address else 2,
    )
    if method.forwarding is Forwarding.TUN:
        return attribute(_DEST, full[4:] + _tunnel(method))
    return full


def _destination_key(key: DestinationKey) -> bytes:
    address, port = key
    return _DEST_KEY.pack(
        _DEST_KEY_NEST,
        _ADDR_HEADER,
        packed(address),
        _PORT_HEADER,
        port.to_bytes(2, "big"),
        _PADDED_FAMILY_HEADER,
        10 if ":" in address else 2,
    )


def encode(operation: Operation) -> bytes:
    """The payload of the message that does `operation`. ValueError when a value does not fit its attribute."""
    op = operation.op
    try:
        header = _DEST_HEADER.get(op)
        if header is not None:
            assert operation.key is not None
            assert operation.destination is not None
            return header + _identity_nest(operation.at) + _destination(operation.key, operation.destination)
        if op == Op.DELETE_DEST:
            assert operation.key is not None
            return generic(DEL_DEST, 1, _identity_nest(operation.at) + _destination_key(operation.key))
        if op == Op.DELETE_SERVICE:
            return generic(DEL_SERVICE, 1, _identity_nest(operation.at))
        assert operation.service is not None
        return generic(_SERVICE_COMMAND[op], 1, _service(operation.at, operation.service))
    except (OverflowError, struct_error) as error:
        raise ValueError(f"a value out of range: {error}") from None


def encode_get_services() -> bytes:
    """To be sent as a dump: all services."""
    return generic(GET_SERVICE)


def encode_get_service(key: ServiceKey) -> bytes:
    """Answered by the service; ESRCH when there is none."""
    return generic(GET_SERVICE, 1, _identity_nest(key))


def encode_get_destinations(key: ServiceKey) -> bytes:
    """To be sent as a dump: the destinations of one service; nothing comes when there is no such service."""
    return generic(GET_DEST, 1, _identity_nest(key))


def encode_timeouts(tcp: int, tcpfin: int, udp: int) -> bytes:
    """Seconds; 0 leaves the kernel's value."""
    given = zip(_TIMEOUTS, (tcp, tcpfin, udp), strict=True)
    return generic(SET_CONFIG, 1, b"".join(attribute(kind, _U32.pack(value)) for kind, value in given))


def encode_get_timeouts() -> bytes:
    return generic(GET_CONFIG)


def encode_get_info() -> bytes:
    return generic(GET_INFO)


def encode_flush() -> bytes:
    return generic(FLUSH)


def encode_start_daemon(daemon: SyncDaemon) -> bytes:
    parts = [
        attribute(1, _U32.pack(1 if daemon.master else 2)),
        attribute(2, daemon.interface.encode() + b"\0"),
        attribute(3, _U32.pack(daemon.syncid)),
    ]
    if daemon.maxlen:
        parts.append(attribute(4, _U16.pack(daemon.maxlen)))
    if daemon.group is not None:
        parts.append(attribute(6 if ":" in daemon.group else 5, packed(daemon.group)))
    if daemon.port:
        parts.append(attribute(7, _U16.pack(daemon.port)))  # host order, unlike every other port
    if daemon.ttl:
        parts.append(attribute(8, bytes((daemon.ttl,))))
    return generic(NEW_DAEMON, 1, attribute(_DAEMON, b"".join(parts)))


def encode_stop_daemon(daemon: SyncDaemon) -> bytes:
    parts = attribute(1, _U32.pack(1 if daemon.master else 2)) + attribute(3, _U32.pack(daemon.syncid))
    return generic(DEL_DAEMON, 1, attribute(_DAEMON, parts))


def encode_get_daemons() -> bytes:
    """To be sent as a dump."""
    return generic(GET_DAEMON)


# ------------------------------------------------------------------------------------------ decode


def _nest(payload: bytes, kind: int) -> dict[int, bytes]:
    nest = attributes(payload, GENERIC_HEADER).get(kind)
    if nest is None:
        raise ValueError(f"no attribute {kind} in an answer of IPVS")
    return attributes(nest)


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")


def _number(found: dict[int, bytes], kind: int, default: int = 0) -> int:
    data = found.get(kind)
    return int(_U32.unpack(data)[0]) if data is not None else default


def decode_service(payload: bytes) -> tuple[ServiceKey, Service]:
    """One service of a dump. ValueError when it is none, or of a family or protocol that is not known here."""
    found = _nest(payload, _SERVICE)
    try:
        family = _FAMILY[_U16.unpack(found[_S_AF])[0]]
        if _S_FWMARK in found:
            key = ServiceKey(family, fwmark=_number(found, _S_FWMARK))
        else:
            address = unpacked(found[_S_ADDR][: 4 if family == 4 else 16])
            protocol = _PROTOCOL_NAME[_U16.unpack(found[_S_PROTOCOL])[0]]
            key = ServiceKey(family, 0, protocol, address, _PORT.unpack(found[_S_PORT])[0])
        flags, _ = unpack("=II", found[_S_FLAGS])
        (netmask,) = unpack("!I" if family == 4 else "=I", found[_S_NETMASK])
        service = Service(
            scheduler=_text(found[_S_SCHED]),
            flags=flags & ~(PERSISTENT | HASHED),
            timeout=_number(found, _S_TIMEOUT) if flags & PERSISTENT else 0,
            netmask=netmask,
            engine=_text(found[_S_PE]) if _S_PE in found else None,
        )
    except (KeyError, struct_error) as error:
        raise ValueError(f"IPVS service not understood: {error!r}") from None
    return key, service


_NAT: Final = Method()
_DIRECT: Final = Method(forwarding=Forwarding.DR)


def _method(found: dict[int, bytes]) -> Method:
    number = _number(found, _D_METHOD)
    if number == 0:
        return _NAT
    if number == 3:
        return _DIRECT
    forwarding = _FORWARDING.get(number)
    if forwarding is None:
        raise ValueError(f"IPVS forwarding method {number} is the kernel's own")
    tunnel = _TUNNEL_TYPE[found[_D_TUN_TYPE][0]] if _D_TUN_TYPE in found else TunnelType.IPIP
    port = _PORT.unpack(found[_D_TUN_PORT])[0] if tunnel is TunnelType.GUE else 0
    flags = _U16.unpack(found[_D_TUN_FLAGS])[0] if tunnel is not TunnelType.IPIP else 0
    return Method(forwarding=forwarding, tunnel=tunnel, tunnel_port=port, tunnel_flags=flags)


def decode_destination(payload: bytes, family: Family) -> tuple[DestinationKey, Destination, tuple[int, int]]:
    """One destination of the dump of a service of `family`: identity, attributes, active and inactive connections.
    ValueError when it is none."""
    found = _nest(payload, _DEST)
    try:
        number = _U16.unpack(found[_D_FAMILY])[0] if _D_FAMILY in found else 0
        own = _FAMILY[number] if number else family
        key = DestinationKey(
            unpacked(found[_D_ADDR][: 4 if own == 4 else 16]),
            _PORT.unpack(found[_D_PORT])[0],
        )
        destination = Destination(
            weight=_S32.unpack(found[_D_WEIGHT])[0],
            method=_method(found),
            uthreshold=_number(found, _D_UTHRESHOLD),
            lthreshold=_number(found, _D_LTHRESHOLD),
        )
    except (KeyError, struct_error) as error:
        raise ValueError(f"IPVS destination not understood: {error!r}") from None
    return key, destination, (_number(found, _D_ACTIVE), _number(found, _D_INACTIVE))


def decode_timeouts(payload: bytes) -> tuple[int, int, int]:
    """tcp, tcpfin, udp in seconds."""
    found = attributes(payload, GENERIC_HEADER)
    tcp, tcpfin, udp = (_number(found, kind) for kind in _TIMEOUTS)
    return tcp, tcpfin, udp


def decode_info(payload: bytes) -> Info:
    found = attributes(payload, GENERIC_HEADER)
    version = _number(found, _INFO_VERSION)
    return Info((version >> 16, version >> 8 & 0xFF, version & 0xFF), _number(found, _INFO_SIZE))


def decode_daemon(payload: bytes) -> SyncDaemon:
    """One running half of a dump."""
    found = _nest(payload, _DAEMON)
    group = found.get(5) or found.get(6)
    return SyncDaemon(
        master=_number(found, 1) == 1,
        interface=_text(found.get(2, b"")),
        syncid=_number(found, 3),
        maxlen=_U16.unpack(found[4])[0] if 4 in found else 0,
        group=unpacked(group) if group else None,
        port=_U16.unpack(found[7])[0] if 7 in found else 0,
        ttl=found[8][0] if 8 in found else 0,
    )
