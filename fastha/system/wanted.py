"""Who wants what in a kernel table: lines of the Plan, their holders, and what is to be sent at the next commit.

The bookkeeping that addresses, routes and rules share. A holder is an instance (or `STATIC`); a line that two of them
have is there while one wants it. Requests are encoded when the Plan is made; at a failover they are only sent.
"""

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

from fastha.system.netlink import AnswersLost, NetlinkSocket, Refused

STATIC: Final = -1
"""Holder of static_ipaddress, static_routes and static_rules: an instance that is always present."""

L = TypeVar("L")
K = TypeVar("K")
P = TypeVar("P")


@dataclass(slots=True)
class Entry(Generic[L, P]):
    line: L
    prepared: P
    """What there is to send for it, encoded ahead."""
    users: set[int] = field(default_factory=set)
    """Holders that have it in their lines."""
    holders: set[int] = field(default_factory=set)
    """Those of them that want it present."""


class Wanted(Generic[L, K, P]):
    """The lines of all holders. `key` is what the kernel tells them apart by, `prepare` encodes one."""

    def __init__(self, key: Callable[[L], K], prepare: Callable[[L], P]) -> None:
        self._key = key
        self._prepare = prepare
        self._lines: dict[int, tuple[L, ...]] = {}
        self._entries: dict[K, Entry[L, P]] = {}
        self._present: set[int] = set()
        self._pending: dict[K, P] = {}
        """What is to be looked at by the next commit."""
        self._replaced: dict[K, P] = {}
        """What is there with options of before."""

    def assign(self, holder: int, lines: tuple[L, ...]) -> None:
        """The lines of a holder from now on. If it is present, those that are new are wanted and those that are gone
        no longer; () forgets it."""
        old = self._lines.pop(holder, ())
        if lines:
            self._lines[holder] = lines
        holding = holder in self._present
        before = set(old)
        for line in lines:
            if line not in before:
                self._join(holder, line)
                if holding:
                    self._hold(holder, line)
        for line in before - set(lines):
            self._leave(holder, line)
        if not lines:
            self._present.discard(holder)

    def want(self, holder: int, present: bool) -> None:
        """From the next commit on the lines of this holder are there, or not."""
        if present:
            self._present.add(holder)
        else:
            self._present.discard(holder)
        for line in self._lines.get(holder, ()):
            if present:
                self._hold(holder, line)
            else:
                self._release(holder, line)

    def holders(self) -> frozenset[int]:
        return frozenset(self._lines)

    def lines(self, holder: int) -> tuple[L, ...]:
        return self._lines.get(holder, ())

    def again(self, concerned: Callable[[L], bool]) -> None:
        """Send once more what is wanted and concerned: it may be gone."""
        for key, entry in self._entries.items():
            if entry.holders and concerned(entry.line):
                self._pending[key] = entry.prepared

    def removals(self) -> list[tuple[K, P]]:
        """What is to be removed now; that is settled then. Before `additions`: of a line with other options than
        before the old one goes first."""
        replaced, self._replaced = self._replaced, {}
        gone = [(key, self._pending.pop(key)) for key in list(self._pending) if not self._wants(key)]
        return [*replaced.items(), *gone]

    def additions(self) -> list[tuple[K, P]]:
        """What is to be added now."""
        return [(key, self._pending.pop(key)) for key in list(self._pending) if self._wants(key)]

    def _wants(self, key: K) -> bool:
        entry = self._entries.get(key)
        return entry is not None and bool(entry.holders)

    def _joined(self, key: K) -> None:
        """A key is in use from now on; for subclasses with an index of their own."""

    def _left(self, key: K) -> None:
        """It is no longer."""

    def _join(self, holder: int, line: L) -> None:
        key = self._key(line)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = Entry(line, self._prepare(line))
            self._joined(key)
        elif entry.line != line:
            if entry.holders:
                self._replaced.setdefault(key, entry.prepared)
            entry.line, entry.prepared = line, self._prepare(line)
        entry.users.add(holder)

    def _leave(self, holder: int, line: L) -> None:
        key = self._key(line)
        entry = self._entries[key]
        if entry.line != line:
            return  # the same key stays, with other options
        entry.users.discard(holder)
        if holder in entry.holders:
            self._release(holder, line)
        if not entry.users:
            del self._entries[key]
            self._left(key)

    def _hold(self, holder: int, line: L) -> None:
        key = self._key(line)
        entry = self._entries[key]
        entry.holders.add(holder)
        self._pending[key] = entry.prepared

    def _release(self, holder: int, line: L) -> None:
        key = self._key(line)
        entry = self._entries[key]
        entry.holders.discard(holder)
        if not entry.holders:
            self._pending[key] = entry.prepared


class Verb(NamedTuple):
    """A kind of request."""

    word: str
    """For the log."""
    kind: int
    flags: int
    fine: frozenset[int]
    """Errnos that are success."""


def send(sock: NetlinkSocket, verb: Verb, requests: Sequence[tuple[object, bytes]]) -> list[str]:
    """One batch of (what, payload). What the kernel refused, in words."""
    if not requests:
        return []
    payloads = [payload for _, payload in requests]
    try:
        try:
            refused = sock.batch(verb.kind, payloads, verb.flags)
        except AnswersLost:  # doing it twice is as good as once
            refused = sock.batch(verb.kind, payloads, verb.flags)
    except OSError as error:
        return [f"cannot {verb.word} {requests[0][0]} and {len(requests) - 1} more: {error.strerror}"]
    return [
        f"cannot {verb.word} {requests[index][0]}: {_reason(why)}"
        for index, why in refused.items()
        if why.errno not in verb.fine
    ]


def _reason(why: Refused) -> str:
    return why.text or errno.errorcode.get(why.errno, str(why.errno))
