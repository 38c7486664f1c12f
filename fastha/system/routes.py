"""Virtual and static routes and policy rules in the kernel, and the kernel's word when one of them is gone.

Both carry protocol number 18, as keepalived's do. Deletions by others are heard on a socket of their own, with a filter
that lets only routes of that number through: a router with a million routes does not wake us.
"""

import contextlib
import ctypes
import errno
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fastha.model.routes import KEEPALIVED, Route, RouteMode, Rule
from fastha.system.buffers import widen
from fastha.system.links import NETLINK_ROUTE, RECEIVE_BUFFER
from fastha.system.netlink import NetlinkSocket
from fastha.system.wanted import STATIC, Verb, Wanted, send
from fastha.wire import netlink as wire
from fastha.wire import rtnetlink

GROUPS: Final = (7, 8, 11, 19)
"""RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV6_RULE."""
SO_ATTACH_FILTER: Final = 26
SOL_NETLINK, ADD_MEMBERSHIP, GET_STRICT_CHK = 270, 1, 12

GONE: Final = frozenset({errno.ESRCH, errno.ENOENT, errno.ENODEV})
THERE: Final = frozenset({errno.EEXIST})
REMOVE_ROUTE: Final = Verb("remove", rtnetlink.RTM_DELROUTE, 0, GONE | {errno.EOPNOTSUPP})
"""An encapsulation that the kernel does not know is not there either."""
ADD_ROUTE: Final = Verb("add", rtnetlink.RTM_NEWROUTE, 0, THERE)
REMOVE_RULE: Final = Verb("remove", rtnetlink.RTM_DELRULE, 0, GONE)
ADD_RULE: Final = Verb("add", rtnetlink.RTM_NEWRULE, rtnetlink.CREATE | rtnetlink.EXCL, THERE)


@dataclass(slots=True)
class _Request:
    """A route as it is sent, encoded for the indexes that its interfaces have."""

    line: Route
    indexes: tuple[int, ...] = ()
    payload: bytes | None = None


class Routes(Wanted[Route, Route, _Request]):
    """All routes of a Plan. `index_of` gives an interface's index, `table_of` the table of a VRF interface; 0 when
    there is none."""

    def __init__(self, index_of: Callable[[str], int], table_of: Callable[[str], int]) -> None:
        super().__init__(lambda line: line, self._encoded)
        self._index_of = index_of
        self._table_of = table_of
        self._socket = NetlinkSocket(NETLINK_ROUTE)

    def close(self) -> None:
        self._socket.close()

    def remove(self) -> list[str]:
        """Carry out removals, in one send."""
        gone = self.removals()
        requests = [(_Name(line), payload) for line, request in gone if (payload := self._payload(request))]
        return send(self._socket, REMOVE_ROUTE, requests)

    def add(self) -> list[str]:
        """Carry out additions: in one send, but for `add` and `append`, which have one each."""
        new = self.additions()
        problems = []
        by_mode: dict[RouteMode, list[tuple[_Name, bytes]]] = {}
        for line, request in new:
            payload = self._payload(request)
            if payload is None:
                problems.append(f"cannot add {_Name(line)}: no such interface")
            else:
                by_mode.setdefault(line.mode, []).append((_Name(line), payload))
        for mode, requests in by_mode.items():
            problems += send(self._socket, ADD_ROUTE._replace(flags=rtnetlink.MODE_FLAGS[mode]), requests)
        return problems

    def restore(self, interface: str) -> None:
        """This interface is up again: the kernel has dropped what went through it, without a word. A route that names
        no interface may have."""
        self.again(lambda line: not line.devices or interface in line.devices)

    def remove_from(self, interface: str, index: int) -> list[str]:
        """This interface has lost its name: remove at once what goes through it by that name."""

        def index_of(name: str) -> int:
            return index if name == interface else self._index_of(name)

        there = [line for line, entry in self._entries.items() if entry.holders and interface in line.devices]
        requests = [
            (_Name(line), payload)
            for line in there
            if (payload := rtnetlink.route(line, index_of, self._table(line))) is not None
        ]
        return send(self._socket, REMOVE_ROUTE, requests)

    def gone(self, keys: set[rtnetlink.RouteKey]) -> list[tuple[Route, frozenset[int]]]:
        """Wanted routes with one of these keys, each with those who want it; static ones are due again."""
        found = []
        for line, entry in self._entries.items():
            if entry.holders and rtnetlink.route_key(line, self._table(line)) in keys:
                found.append((line, frozenset(entry.holders)))
                if STATIC in entry.holders:
                    self._pending[line] = entry.prepared
        return found

    def wanted_keys(self) -> set[rtnetlink.RouteKey]:
        return {rtnetlink.route_key(line, self._table(line)) for line, entry in self._entries.items() if entry.holders}

    def _table(self, line: Route) -> int:
        return line.table if line.vrf is None else self._table_of(line.vrf)

    def _encoded(self, line: Route) -> _Request:
        request = _Request(line)
        self._payload(request)
        return request

    def _payload(self, request: _Request) -> bytes | None:
        line = request.line
        indexes = (*map(self._index_of, line.devices), self._table(line))
        if request.payload is None or request.indexes != indexes:
            request.indexes = indexes
            request.payload = rtnetlink.route(line, self._index_of, self._table(line)) if all(indexes) else None
        return request.payload


class Rules(Wanted[Rule, Rule, bytes]):
    """All policy rules of a Plan."""

    def __init__(self) -> None:
        super().__init__(lambda line: line, rtnetlink.rule)
        self._socket = NetlinkSocket(NETLINK_ROUTE)

    def close(self) -> None:
        self._socket.close()

    def remove(self) -> list[str]:
        gone = self.removals()
        requests = [(_Name(line), payload) for line, payload in gone]
        return send(self._socket, REMOVE_RULE, requests)

    def add(self) -> list[str]:
        new = self.additions()
        requests = [(_Name(line), payload) for line, payload in new]
        return send(self._socket, ADD_RULE, requests)

    def gone(self, keys: set[rtnetlink.RuleKey]) -> list[tuple[Rule, frozenset[int]]]:
        """Wanted rules with one of these keys, each with those who want it; static ones are due again."""
        found = []
        for line, entry in self._entries.items():
            if entry.holders and rtnetlink.rule_key(entry.prepared) in keys:
                found.append((line, frozenset(entry.holders)))
                if STATIC in entry.holders:
                    self._pending[line] = entry.prepared
        return found

    def wanted_keys(self) -> set[rtnetlink.RuleKey]:
        return {rtnetlink.rule_key(entry.prepared) for entry in self._entries.values() if entry.holders}


class _Name:
    """How a route or rule is called in the log."""

    def __init__(self, line: Route | Rule) -> None:
        self._line = line

    def __str__(self) -> str:
        return f"{'route' if isinstance(self._line, Route) else 'rule'} {self._line.text}"


class RouteWatch:
    """Hears of routes (of protocol 18) and rules that are deleted."""

    def __init__(self) -> None:
        self.overruns = 0
        """How often the kernel dropped notifications."""
        self._ask = NetlinkSocket(NETLINK_ROUTE)
        self._ask.option(GET_STRICT_CHK)
        self._monitor = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, NETLINK_ROUTE
        )
        widen(self._monitor, RECEIVE_BUFFER, "monitor")
        _attach(self._monitor)
        self._monitor.bind((0, 0))
        for group in GROUPS:
            self._monitor.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)

    def fileno(self) -> int:
        """Readable when `gone` has something."""
        return self._monitor.fileno()

    def close(self) -> None:
        self._monitor.close()
        self._ask.close()

    def gone(self, routes: Routes, rules: Rules) -> tuple[set[rtnetlink.RouteKey], set[rtnetlink.RuleKey]]:
        """What was deleted since, and not added again. After an overrun: which of what is wanted is missing."""
        lost_routes: set[rtnetlink.RouteKey] = set()
        lost_rules: set[rtnetlink.RuleKey] = set()
        try:
            while True:
                for message in wire.messages(self._monitor.recv(1 << 16)):
                    _follow(message, lost_routes, lost_rules)
        except BlockingIOError:
            return lost_routes, lost_rules
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
        self.overruns += 1
        with contextlib.suppress(BlockingIOError):
            while True:
                self._monitor.recv(1 << 16)
        return self._missing(routes, rules)

    def _missing(self, routes: Routes, rules: Rules) -> tuple[set[rtnetlink.RouteKey], set[rtnetlink.RuleKey]]:
        there = set()
        for family in (4, 6):
            request = rtnetlink.route_filter(family, KEEPALIVED)
            there |= {rtnetlink.route_told(payload)[0] for payload in self._ask.dump(rtnetlink.RTM_GETROUTE, request)}
        known = {rtnetlink.rule_key(payload) for payload in self._ask.dump(rtnetlink.RTM_GETRULE, bytes(12))}
        return routes.wanted_keys() - there, rules.wanted_keys() - known


def _follow(message: wire.Message, lost_routes: set[rtnetlink.RouteKey], lost_rules: set[rtnetlink.RuleKey]) -> None:
    if message.kind in {rtnetlink.RTM_NEWROUTE, rtnetlink.RTM_DELROUTE}:
        key, protocol = rtnetlink.route_told(message.payload)
        if message.kind == rtnetlink.RTM_NEWROUTE:
            lost_routes.discard(key)
        elif protocol == KEEPALIVED:
            lost_routes.add(key)
    elif message.kind == rtnetlink.RTM_NEWRULE:
        lost_rules.discard(rtnetlink.rule_key(message.payload))
    elif message.kind == rtnetlink.RTM_DELRULE:
        lost_rules.add(rtnetlink.rule_key(message.payload))


def _attach(sock: socket.socket) -> None:
    """A classic BPF filter: of routes only those of our protocol number (octet 5 of struct rtmsg)."""
    new, old = socket.htons(rtnetlink.RTM_NEWROUTE), socket.htons(rtnetlink.RTM_DELROUTE)
    program = (
        (0x28, 0, 0, 4),  # ldh [4]: the message's type, in host order
        (0x15, 1, 0, new),  # jeq: look at the protocol
        (0x15, 0, 2, old),  # not a route: take it
        (0x30, 0, 0, 16 + 5),  # ldb [21]
        (0x15, 0, 1, KEEPALIVED),
        (0x06, 0, 0, 0xFFFFFFFF),  # ret all
        (0x06, 0, 0, 0),  # ret nothing
    )
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code)
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HL", len(program), ctypes.addressof(buffer)))
