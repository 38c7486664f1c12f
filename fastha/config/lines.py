"""Blocks whose contents are lines of one kind, not keywords: addresses, peers, tracked things, names."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from fastha.config.arguments import DROP, UINT, Flag, Integer, InterfaceName, Reading, lone_address, one_of
from fastha.config.diagnostics import closest
from fastha.config.routes import route, rule
from fastha.config.schema.lines import ADDRESS_LINE, PEER_LINE
from fastha.config.source import Line
from fastha.model.net import Address, Family, family_of, parse_address


@dataclass(slots=True, kw_only=True)
class AddressLine:
    """A line of virtual_ipaddress and its kin, as written; `dev` None: the instance's interface."""

    line: Line
    address: Address
    prefixlen: int
    options: dict[str, Any]

    @property
    def family(self) -> Family:
        return family_of(self.address)

    @property
    def dev(self) -> str | None:
        return self.options.get("dev")

    def __str__(self) -> str:
        return f"{self.address}/{self.prefixlen}"


@dataclass(slots=True)
class PeerLine:
    line: Line
    address: Address
    min_ttl: int | None
    max_ttl: int | None


@dataclass(slots=True)
class TrackLine:
    """A reference to a tracked thing. `weight` and `reverse` None: as the thing itself says."""

    line: Line
    name: str
    weight: int | None
    reverse: bool | None


@dataclass(slots=True)
class NameLine:
    line: Line
    name: str
    at: int
    """Index of the word."""


@dataclass(slots=True)
class DelayLine:
    line: Line
    interface: str
    down: int
    up: int


@dataclass(slots=True)
class LinkbeatLine:
    line: Line
    name: str
    way: str
    """MII, ETHTOOL or IOCTL; empty: whichever works."""


@dataclass(slots=True)
class GroupEntry:
    """An entry of virtual_server_group: a mark, or addresses from `first` to `last`."""

    line: Line
    fwmark: int | None = None
    family: Family | None = None
    first: Address | None = None
    last: Address | None = None
    port: int = 0


def _names(r: Reading) -> Any:
    return [NameLine(r.line, name, at) for at, name in enumerate(r.words)]


def _virtual_address(r: Reading) -> Any:
    return _address(r, "track_group")


def _static_address(r: Reading) -> Any:
    return _address(r, "use_vmac")


def _address(r: Reading, foreign: str) -> Any:
    """ADDRESS[/LEN] and options, except the one that is foreign here."""
    text, slash, length = r.words[0].partition("/")
    try:
        address = parse_address(text)
    except ValueError as error:
        r.error(f"{error}; the line is ignored", 0, suggestion=_several(r.words[0]))
        return DROP
    full = 128 if family_of(address) == 6 else 32
    prefixlen = full
    if slash and not length:
        r.note(f"a prefix length is missing after '/'; {full} is used", 0)
    elif slash:
        number = int(length) if length.removeprefix("+").isdecimal() and length.isascii() else -1
        if 0 <= number <= full:
            prefixlen = number
        else:
            r.error(f"'{length}' is no prefix length of 0..{full}; {full} is used", 0)
    result = AddressLine(line=r.line, address=address, prefixlen=prefixlen, options={})
    return DROP if _address_options(r, result, foreign) is DROP else result


def _address_options(r: Reading, result: AddressLine, foreign: str) -> Any:
    options, at = result.options, 1
    v6 = result.family == 6
    while at < len(r.words):
        name = r.words[at]
        word = ADDRESS_LINE.index.get(name)
        if word is None or name == foreign:
            r.error(
                f"unknown word '{name}' for an address; it is ignored",
                at,
                suggestion=_second_address(name) or closest(name, ADDRESS_LINE.index),
            )
            r.passed_over.add(at)
            at += 1
            continue
        if isinstance(word.arguments, Flag):
            options[word.setting] = True
            at += 1
            continue
        if at + 1 >= len(r.words):
            r.error(f"'{name}' needs a value; the line is ignored", at)
            return DROP
        text = r.words[at + 1]
        if name == "track_group" and name in options:
            r.error("a second track_group; the rest of the line is ignored", at)
            break
        if word.setting == "dev" and "dev" in options:
            r.error("a second interface; the line is ignored", at)
            return DROP
        value = _broadcast(r, result, text, at + 1) if word.setting == "brd" else word.arguments.value(r, text, at + 1)
        if value is DROP:
            if word.setting in {"brd", "label"}:
                return DROP
        elif v6 and word.setting in {"scope", "label"}:
            r.error(f"'{name}' is for IPv4 addresses only; it is ignored", at)
        elif word.setting == "peer" and not _peer(r, result, value, at + 1):
            pass
        else:
            options[word.setting] = value
        at += 2
    if "peer" not in options:
        return None
    if options.pop("brd", None) is not None:
        r.error("an address with a peer has no broadcast address; it is dropped", 0)
    full = 128 if v6 else 32
    if result.prefixlen != full:
        r.error(f"an address with a peer has no prefix length; '/{result.prefixlen}' is ignored", 0)
        result.prefixlen = full
    return None


def _second_address(text: str) -> str:
    try:
        parse_address(text.partition("/")[0])
    except ValueError:
        return _several(text)
    return "each address needs a line of its own"


def _several(text: str) -> str:
    """About addresses with commas between them."""
    first, comma, _ = text.partition(",")
    return _second_address(first) if comma else ""


def _broadcast(r: Reading, item: AddressLine, text: str, at: int) -> Any:
    if item.family == 6:
        r.error("IPv6 has no broadcast; the line is ignored", at)
        return DROP
    if text in {"+", "-"}:
        if item.prefixlen > 30:
            r.error(f"a /{item.prefixlen} has no broadcast address; it is dropped", at)
            return None
        host = (1 << (32 - item.prefixlen)) - 1
        number = int(IPv4Address(item.address))
        return Address(str(IPv4Address(number | host if text == "+" else number & ~host)))
    try:
        address = parse_address(text)
    except ValueError as error:
        r.error(f"{error}; the line is ignored", at)
        return DROP
    if family_of(address) == 6:
        r.error(f"{text} is no IPv4 address; the line is ignored", at)
        return DROP
    return address


def _peer(r: Reading, item: AddressLine, address: Address, at: int) -> bool:
    if family_of(address) != item.family:
        r.error(f"{address} is not of the address's family; it is ignored", at)
        return False
    if "peer" in item.options:
        r.error(f"a second peer: {address} is ignored", at)
        return False
    return True


def _unicast_peer(r: Reading) -> Any:
    try:
        address = lone_address(r, r.words[0], 0)
    except ValueError as error:
        r.error(f"{error}; the peer is skipped", 0, suggestion=_several(r.words[0]))
        return DROP
    limits: dict[str, int | None] = {"min_ttl": None, "max_ttl": None}
    at = 1
    while at < len(r.words):
        name = r.words[at]
        if name not in limits:
            r.error(f"unknown word '{name}'; the rest of the line is ignored", at, suggestion=closest(name, limits))
            break
        if at + 1 >= len(r.words):
            r.error(f"'{name}' needs a value", at)
            break
        value = PEER_LINE.index[name].arguments.value(r, r.words[at + 1], at + 1)
        if value is not DROP:
            limits[name] = value
        at += 2
    low, high = limits["min_ttl"], limits["max_ttl"]
    if low is not None and high is not None and low > high:
        r.error(f"min_ttl {low} is above max_ttl {high}: every advert of this peer will be dropped", 0)
    return PeerLine(r.line, address, low, high)


def track_reader(limit: int, *, noreverse: bool, strict: bool) -> Callable[[Reading], Any]:
    """Lines `NAME [weight N [reverse|noreverse]]`. `strict`: a bad last word loses the whole line."""
    words = {"reverse": True} | ({"noreverse": False} if noreverse else {})

    def read(r: Reading) -> Any:
        name = r.words[0]
        r.wants(4)
        if len(r.words) == 1:
            return TrackLine(r.line, name, None, None)
        if r.words[1] != "weight" or len(r.words) < 3:
            r.error(
                f"expected 'weight N' after '{name}'; the line is ignored",
                min(1, len(r.words) - 1),
                suggestion=closest(r.words[1], ["weight"]),
            )
            return DROP
        weight = _track_weight(r, limit)
        reverse = None
        if len(r.words) > 3:
            reverse = words.get(r.words[3])
            if reverse is None:
                r.error(f"unknown word '{r.words[3]}'", 3, suggestion=closest(r.words[3], words))
                if strict:
                    return DROP
        return TrackLine(r.line, name, weight, reverse)

    return read


def _track_weight(r: Reading, limit: int) -> int | None:
    text = r.words[2]
    if limit == 253 and text.lstrip("+-") == "254":
        nearest = -253 if text.startswith("-") else 253
        r.error(f"{text} is outside -253..253; {nearest} is used", 2)
        return nearest
    value = Integer(-limit, limit, "WEIGHT").value(r, text, 2)
    return None if value is DROP else int(value)


def _delays(r: Reading) -> Any:
    """INTERFACE DOWN [UP] in seconds."""
    if len(r.words) < 2:
        r.error("expected INTERFACE DOWN [UP] in seconds; the line is ignored", 0)
        return DROP
    r.wants(3)
    times = []
    for at, text in enumerate(r.words[1:3], 1):
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds <= 255:
            r.error(f"'{text}' is no time of 0..255 seconds; the line is ignored", at)
            return DROP
        times.append(round(seconds * 1_000_000) * 1000)
    name = InterfaceName().value(r, r.words[0], 0)
    return DROP if name is DROP else DelayLine(r.line, name, times[0], times[1] if len(times) > 1 else 0)


def _linkbeat(r: Reading) -> Any:
    methods = one_of(["MII", "ETHTOOL", "IOCTL"])
    if len(r.words) > 1 and r.words[1] not in methods:
        r.error(f"unknown way to poll '{r.words[1]}'", 1, suggestion=closest(r.words[1], methods))
        return LinkbeatLine(r.line, r.words[0], "")
    if len(r.words) > 2:
        r.error(f"extra words ignored: {' '.join(r.words[2:])}", 2)
    return LinkbeatLine(r.line, r.words[0], r.words[1] if len(r.words) > 1 else "")


def _group_entry(r: Reading) -> Any:
    """fwmark N [inet|inet6], or ADDRESS[-LAST|/LEN] [PORT]."""
    if r.words[0] == "fwmark":
        r.wants(3)
        if len(r.words) < 2:
            r.error("'fwmark' needs a number", 0)
            return DROP
        mark = Integer(0, UINT, "MARK").value(r, r.words[1], 1)
        families: dict[str, Family] = {"inet": 4, "inet6": 6}
        if len(r.words) > 2 and r.words[2] not in families:
            r.error(f"unknown family '{r.words[2]}'; the entry is dropped", 2, suggestion=closest(r.words[2], families))
            return DROP
        return (
            DROP if mark is DROP else GroupEntry(r.line, mark, families.get(r.words[2]) if len(r.words) > 2 else None)
        )
    r.wants(2)
    port = Integer(0, 65535, "PORT").value(r, r.words[1], 1) if len(r.words) > 1 else 0
    try:
        first, last = _range(r.words[0])
    except ValueError as error:
        r.error(f"{error}; the entry is dropped", 0)
        return DROP
    return DROP if port is DROP else GroupEntry(r.line, None, family_of(first), first, last, port)


def _range(text: str) -> tuple[Address, Address]:
    """First and last address of ADDRESS, ADDRESS-LAST or ADDRESS/LEN; ValueError says what is wrong."""
    start, dash, end = text.partition("-")
    if dash:
        first = parse_address(start)
        v6 = ":" in first
        if ":" in end or "." in end:
            last = parse_address(end)
        elif v6:
            last = Address(str(IPv6Address(int(IPv6Address(first)) >> 16 << 16 | int(end, 16))))
        else:
            last = parse_address(f"{first.rpartition('.')[0]}.{end}")
        if family_of(first) != family_of(last) or _number(last) < _number(first):
            raise ValueError(f"'{text}' does not end after its start")
        return first, last
    host, slash, length = text.partition("/")
    first = parse_address(host)
    if not slash:
        return first, first
    full = 128 if ":" in first else 32
    if not length.isdecimal() or not 1 <= int(length) <= full:
        raise ValueError(f"'{length}' is no prefix length of 1..{full}")
    span = (1 << (full - int(length))) - 1
    if _number(first) & span:
        raise ValueError(f"'{text}' has host bits set")
    last_number = _number(first) | span
    return first, Address(str(IPv6Address(last_number) if full == 128 else IPv4Address(last_number)))


def _number(address: Address) -> int:
    return int(IPv6Address(address)) if ":" in address else int(IPv4Address(address))


TRACK_READERS: dict[str, Callable[[Reading], Any]] = {
    "track_interface": track_reader(253, noreverse=False, strict=False),
    "track_script": track_reader(253, noreverse=True, strict=False),
    "track_file.references": track_reader(254, noreverse=True, strict=True),
    "track_process": track_reader(254, noreverse=True, strict=False),
    "track_bfd": track_reader(253, noreverse=True, strict=True),
}
LINE_READERS: dict[str, Callable[[Reading], Any]] = {
    "name": _names,
    "address": _virtual_address,
    "static address": _static_address,
    "peer": _unicast_peer,
    "delays": _delays,
    "linkbeat": _linkbeat,
    "group_entry": _group_entry,
    "route": route,
    "rule": rule,
}
