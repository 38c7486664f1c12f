"""reload_time_file: a file whose first line says when to reload.

`HH:MM:SS` is today, or tomorrow when that has passed; `YY-MM-DD HH:MM:SS` and `YYYY-MM-DD HH:MM:SS` are once; a `Z` at
the end means UTC. The file is looked at once a second, and read when it has changed. When the time comes it is removed,
unless reload_repeat is set and there was no date.
"""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

_MOMENT: Final = re.compile(
    r"(?:(?P<year>\d{4}|\d{2})-(?P<month>\d{1,2})-(?P<day>\d{1,2})\s+)?"
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2}):(?P<second>\d{2})\s*(?P<utc>Z?)"
)
_LONGEST: Final = 64


def moment(line: str, now: float, zone: tzinfo | None = None) -> tuple[float, bool] | None:
    """(seconds since the epoch, whether it has a date) of a line; None when it has passed. ValueError: no such time.

    `zone` is the local time zone, the system's when None.
    """
    found = _MOMENT.fullmatch(line.strip())
    if found is None:
        raise ValueError(f"'{line.strip()}' is no time")
    here = datetime.fromtimestamp(now, UTC).astimezone(UTC if found["utc"] else zone)
    hour, minute, second = (int(found[name]) for name in ("hour", "minute", "second"))
    if found["year"] is None:
        at = here.replace(hour=hour, minute=minute, second=second, microsecond=0)
        at = _wall(at, zone if not found["utc"] else UTC)
        if at.timestamp() <= now:
            at = _wall(at + timedelta(days=1), zone if not found["utc"] else UTC)
        return at.timestamp(), False
    year = int(found["year"]) + (2000 if len(found["year"]) == 2 else 0)
    naive = datetime(year, int(found["month"]), int(found["day"]), hour, minute, second)  # noqa: DTZ001 - given one below
    at = _wall(naive, zone if not found["utc"] else UTC)
    return (at.timestamp(), True) if at.timestamp() > now else None


def _wall(at: datetime, zone: tzinfo | None) -> datetime:
    """This reading of a clock in `zone`: the offset of that day counts, not of today."""
    naive = at.replace(tzinfo=None)
    return naive.astimezone() if zone is None else naive.replace(tzinfo=zone)


class ReloadTime:
    """The file, and the time that is waited for."""

    def __init__(self, log: Callable[[str, str], None]) -> None:
        self._log = log
        self._path: str | None = None
        self._repeat = False
        self._stamp: tuple[int, int, int] | None = None
        """Inode, size and time of the file as it was read; None: it was not there."""
        self._at: float | None = None
        self._dated = False

    def follow(self, path: str | None, *, repeat: bool) -> None:
        """Look at `path` from now on; None at nothing."""
        if path != self._path:
            self._stamp = self._at = None
        self._path, self._repeat = path, repeat

    def due(self, now: float) -> bool:
        """Whether the time has come; true once. To be asked every second; `now` is wall time."""
        if self._path is None:
            return False
        self._look(self._path, now)
        if self._at is None or now < self._at:
            return False
        self._at = None
        if self._repeat and not self._dated:
            self._stamp = None  # read again: tomorrow
        else:
            with suppress(OSError):
                os.unlink(self._path)
        return True

    def _look(self, path: str, now: float) -> None:
        try:
            found = os.stat(path)
            stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
            if stamp == self._stamp:
                return
            with open(path, encoding="utf-8", errors="replace") as file:
                line = file.readline(_LONGEST)
        except OSError:
            if self._at is not None:
                self._log("notice", f"{path} is gone: no reload at a time")
            self._stamp = self._at = None
            return
        self._stamp, self._at = stamp, None
        try:
            when = moment(line, now)
        except ValueError as error:
            self._log("warning", f"reload_time_file {path}: {error}")
            return
        if when is None:
            self._log("warning", f"reload_time_file {path}: {line.strip()} has passed")
            return
        self._at, self._dated = when
        self._log("notice", f"reloading at {datetime.fromtimestamp(self._at, UTC).astimezone():%Y-%m-%d %H:%M:%S %z}")
