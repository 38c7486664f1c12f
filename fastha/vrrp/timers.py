"""The protocol's arithmetic of time (RFC 5798 6.1, RFC 3768 6.1) and the core's own agenda."""

from heapq import heappop, heappush
from typing import Any

from fastha.model.units import MS, US, Ns

CENTISECOND: Ns = 10 * MS

Key = tuple[str, Any]
"""What it is about: a word, and the instance index, interface or queue it concerns."""


def skew_time(version: int, priority: int, master_adver_interval: Ns) -> Ns:
    """How much longer a lower priority waits: whole microseconds.

    Version 3: (256 - priority) / 256 of the master's interval, which counts in whole centiseconds; version 2: of a
    second, whatever the interval.
    """
    if version == 3:
        return (256 - priority) * (master_adver_interval // CENTISECOND) * 10_000 // 256 * US
    return (256 - priority) * 1_000_000 // 256 * US


def minimum_skew(version: int, master_adver_interval: Ns) -> Ns:
    """The skew of the highest priority: 1/256 of the interval (version 3) or of a second."""
    return skew_time(version, 255, master_adver_interval)


def master_down_interval(version: int, priority: int, master_adver_interval: Ns, adverts: int = 3) -> Ns:
    """Silence after which the master is down; `adverts` is down_timer_adverts."""
    return adverts * master_adver_interval + skew_time(version, priority, master_adver_interval)


def second_advert(first: Ns, interval: Ns) -> Ns:
    """When the advert after one at `first` leaves: an interval later, or a little earlier, at a whole millisecond. From
    then on adverts of many instances are due together, and the engine wakes once for all of them. Nobody can tell: an
    advert that comes early is never missed."""
    return (first + interval) // MS * MS


class Timers:
    """What the core wants to do later: one time per key, a later `set` moves it."""

    def __init__(self) -> None:
        self._at: dict[Key, Ns] = {}
        self._heap: list[tuple[Ns, int, Key]] = []
        self._count = 0

    def set(self, key: Key, at: Ns) -> None:
        self._at[key] = at
        self._count += 1
        heappush(self._heap, (at, self._count, key))

    def cancel(self, key: Key) -> None:
        self._at.pop(key, None)

    def __contains__(self, key: Key) -> bool:
        return key in self._at

    def next(self) -> Ns | None:
        """The earliest time; None when there is nothing to do."""
        self._tidy()
        return self._heap[0][0] if self._heap else None

    def due(self, now: Ns) -> Key | None:
        """Takes out the earliest key whose time has come; None when there is none."""
        self._tidy()
        if not self._heap or self._heap[0][0] > now:
            return None
        key = heappop(self._heap)[2]
        del self._at[key]
        return key

    def _tidy(self) -> None:
        """Entries that were moved or cancelled leave the top of the heap."""
        heap = self._heap
        while heap and self._at.get(heap[0][2]) != heap[0][0]:
            heappop(heap)
