"""What waits for a slow (or restarting) receiver.

Three rules, by kind of message:

* a state replaces an older one of the same thing that still waits (a tracker, a standing order, a Ping);
* an event waits in line; each object (a `Tell`'s instance or server, the log) has a line of bounded length, and when it
  is full its oldest event is lost, counted; a `Tell` is kept even when it was sent, until the receiver confirms it;
* anything else waits without bound: plans, links, stops. They are few.

So the whole is bounded by the number of objects.
"""

import os
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any, Final

from fastha.process.messages import (
    AskSnapshot,
    Link,
    LogLine,
    Message,
    NoPeer,
    Ping,
    Pong,
    ScriptDrop,
    ScriptOrder,
    ScriptReport,
    ScriptSeen,
    ServiceOrder,
    ServiceReport,
    ServiceSeen,
    SnapshotPart,
    States,
    Tell,
    TrackerFile,
    TrackerProcess,
    TrackerScript,
)


def merge_states(old: States, new: States) -> States:
    """What is known after both."""
    return replace(new, states=old.states | new.states, master_down=old.master_down | new.master_down)


_STATE_OF: Final[dict[type, Callable[[Any], Hashable]]] = {
    Ping: lambda _: "ping",
    Pong: lambda _: "pong",
    AskSnapshot: lambda _: "ask",
    SnapshotPart: lambda _: "part",
    Link: lambda message: ("link", message.peer),
    NoPeer: lambda message: ("link", message.peer),
    States: lambda _: "states",
    TrackerScript: lambda message: ("script", message.name),
    TrackerFile: lambda message: ("file", message.name),
    TrackerProcess: lambda message: ("process", message.name),
    ScriptOrder: lambda message: ("order", message.target),
    ScriptDrop: lambda message: ("order", message.target),
    ScriptReport: lambda message: ("report", message.target),
    ServiceOrder: lambda message: ("order", message.target),
    ServiceReport: lambda message: ("report", message.target),
}
"""The thing whose state a message is; the latest wins."""

_LINE_OF: Final[dict[type, tuple[Callable[[Any], Hashable], int]]] = {
    Tell: (lambda message: (message.kind, message.name), 64),
    LogLine: (lambda _: "log", 1000),
    ScriptSeen: (lambda _: "seen", 1000),
    ServiceSeen: (lambda _: "seen", 1000),
}
"""The line an event waits in, and how many may wait there."""


_UNCONFIRMED: Final = 100_000


@dataclass(slots=True)
class Waiting:
    """One message and the descriptors that go with it."""

    message: Message
    fds: tuple[int, ...]
    line: Hashable = None


class Outbox:
    """Messages in the order to be sent. `lost` counts events lost by kind."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, Waiting] = {}
        self._lines: dict[Hashable, deque[Hashable]] = {}
        self._unconfirmed: dict[int, Tell] = {}
        self._serial = 0
        self.lost: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Let `message` wait. The outbox owns `fds` from now on."""
        if state_of := _STATE_OF.get(type(message)):
            self._put_state(state_of(message), Waiting(message, fds))
            return
        self._serial += 1
        if isinstance(message, Tell):
            message = replace(message, serial=self._serial)
        self._enqueue(self._serial, Waiting(message, fds))

    def _enqueue(self, serial: int, waiting: Waiting) -> None:
        if found := _LINE_OF.get(type(waiting.message)):
            line_of, limit = found
            waiting.line = line_of(waiting.message)
            line = self._lines.setdefault(waiting.line, deque())
            if len(line) >= limit:
                self._lose(line.popleft())
            line.append(serial)
        self._waiting[serial] = waiting

    def _put_state(self, key: Hashable, waiting: Waiting) -> None:
        older = self._waiting.get(key)
        if older is not None:
            _close(older.fds)
            if isinstance(older.message, States) and isinstance(waiting.message, States):
                waiting.message = merge_states(older.message, waiting.message)
        self._waiting[key] = waiting

    def _lose(self, key: Hashable) -> None:
        waiting = self._waiting.pop(key)
        _close(waiting.fds)
        kind = type(waiting.message).__name__
        self.lost[kind] = self.lost.get(kind, 0) + 1

    def first(self) -> Waiting | None:
        """The next one to be sent; `done` takes it off."""
        return next(iter(self._waiting.values()), None)

    def done(self) -> None:
        """`first()` has been sent: close our copies of its descriptors."""
        key = next(iter(self._waiting))
        waiting = self._waiting.pop(key)
        _close(waiting.fds)
        if isinstance(waiting.message, Tell):
            self._unconfirmed[waiting.message.serial] = waiting.message
            if len(self._unconfirmed) > _UNCONFIRMED:
                del self._unconfirmed[next(iter(self._unconfirmed))]
        if waiting.line is not None:
            line = self._lines[waiting.line]
            line.popleft()
            if not line:
                del self._lines[waiting.line]

    def confirm(self, serials: tuple[int, ...]) -> None:
        """The receiver has done what these events asked for."""
        for serial in serials:
            self._unconfirmed.pop(serial, None)

    def resend(self) -> None:
        """There is a new receiver: events that the one before did not confirm go first."""
        if not self._unconfirmed:
            return
        again, self._unconfirmed = self._unconfirmed, {}
        waiting, self._waiting, self._lines = self._waiting, {}, {}
        for serial, tell in again.items():
            self._enqueue(serial, Waiting(tell, ()))
        for key, each in waiting.items():
            if isinstance(key, int):
                self._enqueue(key, each)
            else:
                self._waiting[key] = each

    def clear(self) -> None:
        """Forget everything, without counting."""
        for waiting in self._waiting.values():
            _close(waiting.fds)
        self._waiting.clear()
        self._unconfirmed.clear()
        self._lines.clear()


def _close(fds: tuple[int, ...]) -> None:
    for fd in fds:
        os.close(fd)
