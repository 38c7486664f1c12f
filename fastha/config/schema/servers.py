"""Addresses of services and servers, forwarding methods, persistence masks."""

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from fastha.config.arguments import DROP, NO_LIMIT, UINT, Decimal, Integer, Reading, lone_address
from fastha.config.diagnostics import closest
from fastha.model.net import Address
from fastha.model.plan import Forwarding, Method, TunnelType

PORT = Integer(0, 65535, "PORT")
GUE_PORT = Integer(1, 65535, "PORT")
CHECKSUMS = {"nocsum": 0, "csum": 1, "remcsum": 2}


@dataclass(frozen=True, slots=True)
class ServerAddress:
    address: Address
    port: int


@dataclass(frozen=True, slots=True)
class VirtualKey:
    """What a virtual_server is: an address with a port, a mark, or a group."""

    address: Address | None = None
    port: int = 0
    fwmark: int = 0
    group: str = ""


def _address(r: Reading, at: int, what: str) -> Any:
    text = r.words[at]
    try:
        return lone_address(r, text, at)
    except ValueError as error:
        host, _, port = text.rpartition(":")
        hint = f"write the port as a word of its own: '{host} {port}'" if host and port.isdecimal() else ""
        r.error(f"{error}; the {what} is skipped", at, suggestion=hint)
        return DROP


def server(r: Reading) -> Any:
    """ADDRESS [PORT]."""
    address = _address(r, 1, "server")
    port = PORT.value(r, r.words[2], 2) if len(r.words) > 2 else 0
    return DROP if address is DROP or port is DROP else ServerAddress(address, port)


def virtual_address(r: Reading) -> Any:
    """ADDRESS [PORT], fwmark MARK or group NAME."""
    kind = r.words[1]
    if kind in {"fwmark", "group"}:
        if len(r.words) < 3:
            r.error(f"'{kind}' needs a value; the virtual server is skipped", 1)
            return DROP
        if kind == "group":
            return VirtualKey(group=r.words[2])
        mark = Integer(1, UINT, "MARK").value(r, r.words[2], 2)
        return DROP if mark is DROP else VirtualKey(fwmark=mark)
    address = _address(r, 1, "virtual server")
    port = PORT.value(r, r.words[2], 2) if len(r.words) > 2 else 0
    return DROP if address is DROP or port is DROP else VirtualKey(address=address, port=port)


def method(r: Reading) -> Any:
    """A forwarding method with its tunnel options; bad options leave the method without them."""
    name = r.words[1]
    if name not in Forwarding.__members__:
        r.error(
            f"unknown forwarding method '{name}'; the line is ignored",
            suggestion=closest(name, Forwarding.__members__) or "known: NAT, DR, TUN",
        )
        return DROP
    forwarding = Forwarding[name]
    plain = Method(forwarding=forwarding)
    if len(r.words) == 2:
        return plain
    kind, port, flags = TunnelType.IPIP, 0, 0
    at = 2
    while at < len(r.words):
        word = r.words[at]
        if word in CHECKSUMS:
            flags = CHECKSUMS[word]
        elif word in {"type", "port"} and at + 1 < len(r.words):
            at += 1
            if word == "port":
                port = GUE_PORT.value(r, r.words[at], at)
                if port is DROP:
                    return plain
            elif r.words[at] in {t.value for t in TunnelType}:
                kind = TunnelType(r.words[at])
            else:
                r.error(f"unknown tunnel type '{r.words[at]}'; the tunnel options are dropped", at)
                return plain
        else:
            r.error(f"unknown tunnel option '{word}'; the tunnel options are dropped", at)
            return plain
        at += 1
    problem = _tunnel_problem(kind, port, flags)
    if problem:
        r.error(f"{problem}; the tunnel options are dropped", 2)
        return plain
    if forwarding is not Forwarding.TUN:
        r.note(f"'{r.words[2]}': only TUN has options; they are ignored", 2)
        return plain
    return Method(forwarding=forwarding, tunnel=kind, tunnel_port=port, tunnel_flags=flags)


def _tunnel_problem(kind: TunnelType, port: int, flags: int) -> str:
    if kind is TunnelType.GUE and not port:
        return "a gue tunnel needs a port"
    if kind is not TunnelType.GUE and port:
        return f"a {kind} tunnel has no port"
    if kind is TunnelType.IPIP and flags:
        return "an ipip tunnel has no checksum options"
    if kind is TunnelType.GRE and flags == CHECKSUMS["remcsum"]:
        return "a gre tunnel has no remcsum"
    return ""


def granularity(r: Reading) -> Any:
    """(family, value): a mask as a number, or a prefix length."""
    text = r.words[1]
    if "." in text:
        try:
            return 4, int(IPv4Address(text))
        except ValueError:
            r.error(f"'{text}' is not an IPv4 mask; the line is ignored")
            return DROP
    length = Integer(1, 128, "PREFIX LENGTH").value(r, text, 1)
    return DROP if length is DROP else (6, length)


def damping(r: Reading) -> Any:
    """(count, nanoseconds)."""
    count = Integer(1, 100, "COUNT").value(r, r.words[1], 1)
    span = Decimal("0.001", NO_LIMIT).value(r, r.words[2], 2)
    return DROP if count is DROP or span is DROP else (count, span)
