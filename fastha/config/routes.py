"""Route and rule lines: options in any order, read along their tables."""

import re
from dataclasses import dataclass, field
from typing import Any

from fastha.config.arguments import DROP, Flag, Reading, c_integer
from fastha.config.diagnostics import Exit, closest
from fastha.config.schema.entry import Block, Word
from fastha.config.schema.routes import (
    DESTINATIONS,
    ENCAP_LINE,
    LOCKABLE,
    NEXTHOP_LINE,
    ROUTE_LINE,
    ROUTE_TYPES,
    RULE_LINE,
)
from fastha.config.source import Line
from fastha.model.net import Family, family_of, parse_address

DURATION = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:s|sec|secs|ms|msec|msecs)?")
LOCATOR_GROUP = re.compile(r"[0-9a-fA-F]{1,4}")
RANGE = re.compile(r"[0-9]+-[0-9]+")
DURATIONS = {"rtt": 960_000, "rttvar": 480_000, "rto_min": 120_000}
"""Greatest bare number of each: two minutes in 1/8 ms, 1/4 ms and ms."""
ACTIONS = frozenset({"blackhole", "unreachable", "prohibit"})
CHOSEN = frozenset({"table", "l3mdev", "goto", "nop", *ACTIONS})
"""What a rule does: one of these."""
V4_ONLY = frozenset({"tos", "realms", "scope", "onlink"})
V6_ONLY = frozenset({"from", "expires", "pref"})


@dataclass(slots=True)
class OptionLine:
    """A route or rule: options by the name they are stored under, each with the index of its word."""

    line: Line
    options: dict[str, tuple[Any, int]]
    family: Family | None = None
    hops: tuple[dict[str, tuple[Any, int]], ...] = ()
    locked: set[str] = field(default_factory=set)
    """Metrics with `lock`."""


@dataclass(slots=True)
class EncapLine:
    """`encap KIND ...`: what it says, by the names of the words; `labels` of mpls, `locator` of ila."""

    kind: str
    values: dict[str, Any]
    at: int
    """Index of the word `encap`."""


class _Options:
    """Reads the options of one line from left to right. A problem that costs the line ends the reading: `lost`."""

    def __init__(self, r: Reading, block: Block) -> None:
        self.r = r
        self.block = block
        self.result = OptionLine(r.line, {})
        self.lost = False

    def lose(self, message: str, at: int, suggestion: str = "", exit_code: Exit = Exit.ERRORS) -> None:
        self.r.error(f"{message}; the line is ignored", at, suggestion=suggestion, exit_code=exit_code)
        self.lost = True

    def family(self, family: Family, at: int) -> None:
        """Settles the family; a second one that differs costs the line."""
        if self.result.family is not None and self.result.family != family:
            self.lose(f"'{self.r.words[at]}' is IPv{family}, and the line is IPv{self.result.family}", at)
        self.result.family = family

    def prefix(self, text: str, at: int) -> Any:
        """An address with an optional length, or a word for all addresses; DROP when it is none."""
        if text in DESTINATIONS:
            if text == "default6":
                self.r.advise("'default6' is deprecated", at, suggestion="write: inet6 default")
                self.family(6, at)
            return "default"
        host, slash, length = text.partition("/")
        try:
            address = parse_address(host)
        except ValueError as error:
            self.lose(str(error), at)
            return DROP
        full = 128 if family_of(address) == 6 else 32
        length = length.removeprefix("+")
        if slash and length and not (length.isdecimal() and int(length) <= full):
            self.lose(f"'{length}' is no prefix length of 0..{full}", at)
            return DROP
        self.family(family_of(address), at)
        return f"{address}/{length or full}"

    def option(self, word: Word, at: int) -> int:
        """One option; the index after it."""
        r, name = self.r, word.name
        if name in {"inet", "inet6"}:
            self.family(4 if name == "inet" else 6, at)
            return at + 1
        if isinstance(word.arguments, Flag):
            self.store(word, True, at)
            return at + 1
        value_at = at + 1
        if name in LOCKABLE and value_at < len(r.words) and r.words[value_at] == "lock":
            self.result.locked.add(name)
            value_at += 1
        if name in {"via", "gw"} and value_at < len(r.words) and r.words[value_at] in {"inet", "inet6"}:
            value_at += 1
        if value_at >= len(r.words):
            message = f"'{name}' needs a value: {word.arguments.describe()}; the line is ignored"
            r.error(message, at, exit_code=Exit.ERRORS if name == "track_group" else Exit.MISSING_ARGUMENT)
            self.lost = True
            return value_at
        value = self.value(word, r.words[value_at], value_at)
        if value is DROP:
            self.lost = True
        else:
            self.store(word, value, value_at)
        return value_at + 1

    def store(self, word: Word, value: object, at: int) -> None:
        if self.block is RULE_LINE and word.setting in CHOSEN and word.setting in self.result.options:
            self.lose(f"a rule has one action, and '{self.r.words[at]}' would be another", at)
        self.result.options[word.setting] = (value, at)

    def value(self, word: Word, text: str, at: int) -> Any:
        """The value of an option; DROP, and said, when it is bad."""
        name = word.setting
        if name in {"from", "to"}:
            return self.prefix(text, at)
        if name in {"via", "src", "or"}:
            try:
                address = parse_address(text)
            except ValueError as error:
                self.lose(str(error), at)
                return DROP
            self.family(family_of(address), at)
            return address
        if name in DURATIONS:
            bare = text.replace(".", "").isdecimal()
            if not DURATION.fullmatch(text) or (bare and ("." in text or int(text) > DURATIONS[name])):
                self.lose(f"'{text}' is no time (a whole number up to {DURATIONS[name]}, or with s or ms)", at)
                return DROP
        if name in {"sport", "dport", "uidrange"} and not RANGE.fullmatch(text):
            self.r.error(f"'{text}' is no range LOW-HIGH; it is ignored", at, suggestion=f"write: {text}-{text}")
            return text
        if name == "fwmark" and any(c_integer(part) is None for part in text.split("/")):
            self.lose(f"'{text}' is no MARK[/MASK]", at)
            return DROP
        return word.arguments.value(self.r, text, at)


def _encap(options: _Options, at: int) -> int:
    """`encap TYPE ...`; the index after it. One that is not understood is dropped, and said."""
    r, begin = options.r, at
    kind = r.words[at + 1] if at + 1 < len(r.words) else ""
    if kind not in {"ip", "ip6", "mpls", "ila"}:
        r.error(f"unknown encapsulation '{kind}'", min(at + 1, len(r.words) - 1))
        return at + 2
    at += 2
    found = EncapLine(kind, {}, begin)
    if kind in {"mpls", "ila"}:
        if at >= len(r.words):
            r.error(f"'{kind}' needs a value", at - 1)
        elif (_labels if kind == "mpls" else _locator)(r, found, at):
            options.result.options["encap"] = (found, begin)
        return at + 1
    while at + 1 < len(r.words) and r.words[at] in ENCAP_LINE.index:
        word = ENCAP_LINE.index[r.words[at]]
        value = word.arguments.value(r, r.words[at + 1], at + 1)
        if value is not DROP:
            found.values[word.name] = value
        at += 2
    if found.values.keys() & {"dst", "id"}:
        options.result.options["encap"] = (found, begin)
    else:
        r.error(f"encap {kind} needs dst or id", at - 1)
    return at


def _labels(r: Reading, found: EncapLine, at: int) -> bool:
    """MPLS labels, 20 bits each, outermost first."""
    labels = [int(text) if text.isdecimal() else -1 for text in r.words[at].split("/")]
    if all(0 <= label < 1 << 20 for label in labels):
        found.values["labels"] = tuple(labels)
        return True
    r.error(f"'{r.words[at]}' are no MPLS labels", at)
    return False


def _locator(r: Reading, found: EncapLine, at: int) -> bool:
    """Four groups of hexadecimal digits: the upper half of an IPv6 address."""
    groups = r.words[at].split(":")
    if len(groups) == 4 and all(LOCATOR_GROUP.fullmatch(group) for group in groups):
        found.values["locator"] = int("".join(group.zfill(4) for group in groups), 16)
        return True
    r.error(f"'{r.words[at]}' is no locator", at)
    return False


def _hops(options: _Options, at: int) -> int:
    """The list of nexthops, which takes the rest of the line."""
    r = options.r
    hops: list[dict[str, tuple[Any, int]]] = []
    while at < len(r.words) and not options.lost:
        name = r.words[at]
        word = NEXTHOP_LINE.index.get(name)
        if name == "nexthop":
            hops.append({})
            at += 1
        elif word is None:
            r.error(f"unknown word '{name}' for a nexthop", at, suggestion=closest(name, NEXTHOP_LINE.index))
            at += 1
        elif name == "encap":
            at = _encap(options, at)
        else:
            before = options.result.options
            options.result.options = hops[-1]
            at = options.option(word, at)
            options.result.options = before
    options.result.hops = tuple(hops)
    return at


def route(r: Reading) -> Any:
    """[to] [TYPE] DESTINATION and options."""
    options = _Options(r, ROUTE_LINE)
    found = options.result.options
    at = 0
    while at < len(r.words) and not options.lost:
        name = r.words[at]
        word = ROUTE_LINE.index.get(name)
        if word is None and "to" not in found:
            last, behind_to = at + 1 == len(r.words), at > 0 and r.words[at - 1] == "to"
            if last and _is_type(name) and "type" not in found and not behind_to:
                code = Exit.MISSING_ARGUMENT
                options.lose(f"'{name}' at the end is a type of route, and its destination is missing", at, "", code)
            elif name in ROUTE_TYPES and "type" not in found:
                found["type"] = (name, at)
                if at + 1 < len(r.words) and r.words[at + 1] == "to":
                    options.lose(f"'to' cannot follow '{name}'", at + 1)
            else:
                value = options.prefix(name, at)
                found["to"] = (value, at)
            at += 1
        elif word is None:
            # a type (or its number) wants a destination behind it
            wanting = _is_type(name) and at + 1 == len(r.words)
            code = Exit.MISSING_ARGUMENT if wanting else Exit.ERRORS
            options.lose(f"unknown word '{name}' for a route", at, closest(name, ROUTE_LINE.index), code)
        elif name == "to":
            at += 1
            if at >= len(r.words):
                r.error("'to' needs a destination", at - 1, exit_code=Exit.MISSING_ARGUMENT)
                options.lost = True
        elif name == "as":
            r.error("'as' is not supported", at)
            at += 3 if at + 1 < len(r.words) and r.words[at + 1] == "to" else 2
        elif name == "encap":
            at = _encap(options, at)
        elif name == "nexthop":
            if "or" in found:
                options.lose("'nexthop' after 'or'", at)
            at = _hops(options, at)
        else:
            if name in {"gw", "or"}:
                instead = "via" if name == "gw" else "nexthop"
                r.advise(f"'{name}' is deprecated for routes", at, suggestion=f"write: {instead}")
            at = options.option(word, at)
    if not options.lost and "to" not in found:
        options.lose("a route needs a destination", 0)
    _families(options)
    _untracked_protocol(options)
    return DROP if options.lost else options.result


def _is_type(text: str) -> bool:
    """Whether a word is a type of route, or the number of one (linux/rtnetlink.h: an octet)."""
    number = c_integer(text or "0")
    return text in ROUTE_TYPES or (number is not None and 0 <= number <= 255)


def _untracked_protocol(options: _Options) -> None:
    """What is tracked carries keepalived's own protocol number."""
    found = options.result.options
    if "protocol" in found and "no_track" not in found and str(found["protocol"][0]) not in {"18", "keepalived"}:
        options.r.error("'protocol' needs no_track; it is ignored", found["protocol"][1])


def _families(options: _Options) -> None:
    """Options that fit one family only."""
    family = options.result.family or 4
    for name, (_, at) in options.result.options.items():
        if options.lost:
            return
        if name in (V4_ONLY if family == 6 else V6_ONLY):
            options.lose(f"'{name}' is not for IPv{family}", at)


def rule(r: Reading) -> Any:
    """Selectors, a table or an action, and a preference."""
    options = _Options(r, RULE_LINE)
    found = options.result.options
    at = 0
    while at < len(r.words) and not options.lost:
        name = r.words[at]
        word = RULE_LINE.index.get(name)
        if word is None:
            options.lose(f"unknown word '{name}' for a rule", at, closest(name, RULE_LINE.index))
        elif name == "type":
            at += 1
            if at >= len(r.words) or r.words[at] not in ACTIONS:
                code = Exit.ERRORS if at < len(r.words) else Exit.MISSING_ARGUMENT
                r.error("'type' needs an action: blackhole, unreachable or prohibit", at - 1, exit_code=code)
                options.lost = True
        else:
            at = options.option(word, at)
    if options.lost:
        return DROP
    chosen = [name for name in found if name in CHOSEN]
    if not chosen:
        options.lose("a rule needs a table or an action", 0)
    elif len(chosen) > 1:
        options.lose(f"a rule has one action, not {' and '.join(chosen)}", found[chosen[1]][1])
    elif "table" not in found:
        for name in ("realms", "suppress_prefixlength", "suppress_ifgroup"):
            if name in found:
                options.lose(f"'{name}' needs a table", found[name][1])
                break
    if not options.lost and "goto" in found and "preference" in found and found["preference"][0] >= found["goto"][0]:
        target, at = found["goto"]
        options.lose(f"'goto {target}' leads to a rule before this one", at)
    if not options.lost and "preference" not in found:
        if "goto" in found:
            options.lose("'goto' needs a preference", found["goto"][1])
        else:
            r.advise("a rule without a preference gets 16384 and downwards, which is probably not meant", 0)
    _untracked_protocol(options)
    return DROP if options.lost else options.result
