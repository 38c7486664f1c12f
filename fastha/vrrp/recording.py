"""What a core heard and what it asked for, as text: to be replayed, and to be the same again.

A core is a function of its Plan and of its inputs with their times. So a recording of these is a report of a fault that
can be carried home, and a test for ever. One JSON array a line:

    ["plan", PLAN]                       the first; `Reload` events bring others
    [NOW, KIND, EVENT, ACTIONS]          an event; ACTIONS null: the core failed over it
    [NOW, "", null, ACTIONS]             time passed, and something was due
    ["full"]                             the last, when there was more than was asked for

NOW in nanoseconds, ACTIONS as `[[KIND, FIELDS], ...]`, fields without those that have their defaults. A recording holds
the passwords and keys of the Plan.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, get_args

import msgspec

from fastha.model import codec
from fastha.model.plan import VrrpPlan
from fastha.model.units import Ns
from fastha.vrrp import events
from fastha.vrrp.actions import Action
from fastha.vrrp.core import Core

EVENTS: Final = {kind.__name__: kind for kind in get_args(events.Event)}


class RecordingCore(Core):
    """A core that writes down its life; `take` it from time to time."""

    def __init__(self, plan: VrrpPlan, room: int) -> None:
        """`room`: octets, after which nothing more is written."""
        super().__init__(plan)
        self._room = room
        self._lines: list[bytes] = []
        self._full = False
        self._write(b'["plan",' + codec.encode(plan, sparse=True) + b"]")

    def handle(self, event: events.Event, now: Ns) -> list[Action]:
        """As `Core.handle`."""
        try:
            actions = super().handle(event, now)
        except BaseException:
            self._write(line(event, now, b"null"))
            raise
        self._write(line(event, now, encoded(actions)))
        return actions

    def tick(self, now: Ns) -> list[Action]:
        """As `Core.tick`. Only what has an effect is written."""
        due = self.deadline()
        actions = super().tick(now)
        if actions or (due is not None and due <= now):
            self._write(line(None, now, encoded(actions)))
        return actions

    def take(self) -> bytes:
        """What has been written since the last time."""
        lines, self._lines = self._lines, []
        return b"".join(lines)

    def _write(self, text: bytes) -> None:
        if self._full:
            return
        self._room -= len(text) + 1
        self._full = self._room < 0
        self._lines.append((b'["full"]' if self._full else text) + b"\n")


def line(event: events.Event | None, now: Ns, actions: bytes) -> bytes:
    """A line of a recording, without its end; `actions` encoded."""
    kind, fields = ("", b"null") if event is None else (type(event).__name__, codec.encode(event, sparse=True))
    return b'[%d,"%s",%s,%s]' % (now, kind.encode(), fields, actions)


def encoded(actions: Sequence[Action]) -> bytes:
    """ACTIONS."""
    each = (b'["%s",%s]' % (type(a).__name__.encode(), codec.encode(a, sparse=True)) for a in actions)
    return b"[" + b",".join(each) + b"]"


@dataclass(frozen=True, slots=True)
class Step:
    """One line, replayed."""

    number: int
    """Of the line, from 1."""
    now: Ns
    event: events.Event | None
    recorded: bytes
    replayed: bytes

    @property
    def same(self) -> bool:
        """The core did what it did."""
        return self.recorded == self.replayed


def replay(recording: bytes) -> Iterator[Step]:
    """Lets a new core live that life. ValueError, with the number of the line, when the text is no recording; what the
    core raises comes through. A last line that is cut off is passed over: its process died in the middle of it."""
    lines = recording.split(b"\n")
    lines.pop()
    core: Core | None = None
    for number, text in enumerate(lines, 1):
        try:
            if core is None:
                _, plan = msgspec.json.decode(text, type=tuple[str, msgspec.Raw])
                core = Core(codec.decode(VrrpPlan, bytes(plan)))
                continue
            if text == b'["full"]':
                return
            now, kind, fields, actions = msgspec.json.decode(text, type=tuple[int, str, msgspec.Raw, msgspec.Raw])
            event = codec.decode(EVENTS[kind], bytes(fields)) if kind else None
        except (ValueError, KeyError) as problem:
            raise ValueError(f"line {number}: {problem}") from None
        done = core.tick(now) if event is None else core.handle(event, now)
        yield Step(number, now, event, bytes(actions), encoded(done))
