"""Whose turn it is when there are more who want to run than places: fair among groups, and how late they start.

A group is a virtual server. A dead one, whose checks all run into their timeouts, would hold every place after a while;
so the last quarter of the places is for groups that hold few, and groups that wait take turns. Where there is only one
group it has all places.
"""

from bisect import bisect_left
from collections import deque
from typing import Final, Generic, TypeVar

from fastha.model.snapshot import Histogram
from fastha.model.units import MS, Ns

T = TypeVar("T")
_RESERVED: Final = 4
"""One place in so many is kept for groups that hold few."""
_FEW: Final = 8
"""One place in so many is few."""
_BOUNDS: Final = tuple(n * MS for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000))


class Turns(Generic[T]):
    """Those that wait, by group, and how many places each group holds. `limit`: places in all."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        """Places taken."""
        self._holds: dict[str, int] = {}
        self._waiting: dict[str, deque[T]] = {}
        """In the order in which groups have their turn."""
        self._known: set[str] = set()
        """Groups there have been."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, group: str, item: T) -> None:
        """`item` waits."""
        self._known.add(group)
        self._waiting.setdefault(group, deque()).append(item)
        self._count += 1

    def take(self) -> T | None:
        """The next one, which has a place from now on until its group `leave`s it; None: nobody may start now."""
        group = self._next()
        if group is None:
            return None
        line = self._waiting.pop(group)
        item = line.popleft()
        if line:
            self._waiting[group] = line  # behind the others
        self._count -= 1
        self.held += 1
        self._holds[group] = self._holds.get(group, 0) + 1
        return item

    def leave(self, group: str) -> None:
        """One of the group's places is free."""
        self.held -= 1
        left = self._holds[group] - 1
        if left:
            self._holds[group] = left
        else:
            del self._holds[group]

    def _next(self) -> str | None:
        if self.held >= self.limit:
            return None
        if len(self._known) == 1 or self.held < self.limit - self.limit // _RESERVED:
            return next(iter(self._waiting), None)
        few = max(1, self.limit // _FEW)
        return next((group for group in self._waiting if self._holds.get(group, 0) < few), None)


class Lateness:
    """Counts how late things started (`model.snapshot.Histogram`)."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS) + 1)
        self._total = 0
        self.maximum: Ns = 0

    def count(self, late: Ns) -> None:
        """One more."""
        self._counts[bisect_left(_BOUNDS, late)] += 1
        self._total += late
        self.maximum = max(self.maximum, late)

    def histogram(self) -> Histogram:
        """What was counted so far."""
        return Histogram(bounds=_BOUNDS, counts=tuple(self._counts), total=self._total, maximum=self.maximum)
