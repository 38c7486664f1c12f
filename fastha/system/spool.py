"""Letters that are not delivered yet, in a file of the run directory: they outlive the process that sends them."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import astuple, dataclass
from typing import Final

import orjson

_OLDEST: Final = 24 * 3600.0
"""Seconds after which a letter is no news."""


@dataclass(frozen=True, slots=True)
class Letter:
    subject: str
    body: str
    wall: float
    tries: int = 0


class Spool:
    """A file of JSON, one array a letter; `path` None: nothing is kept. Losing it costs mails, no more."""

    def __init__(self, path: str | None) -> None:
        self._path = path

    def load(self, now: float) -> list[Letter]:
        """What the process before us left, oldest first; `now` is wall time."""
        if self._path is None:
            return []
        try:
            with open(self._path, "rb") as file:
                letters = [Letter(*fields) for fields in orjson.loads(file.read())]
        except (OSError, ValueError, TypeError):
            return []
        return [letter for letter in letters if now - letter.wall < _OLDEST]

    def save(self, letters: Iterable[Letter]) -> None:
        """Remember these, whole or not at all."""
        if self._path is None:
            return
        with suppress(OSError):
            content = orjson.dumps([_fields(letter) for letter in letters])
            fd = os.open(
                f"{self._path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            with os.fdopen(fd, "wb") as file:
                file.write(content)
            os.rename(f"{self._path}.new", self._path)

    def clear(self) -> None:
        """Nothing is left to send."""
        if self._path is not None:
            with suppress(OSError):
                os.unlink(self._path)


def _fields(letter: Letter) -> tuple[object, ...]:
    """orjson takes no lone surrogates, which names that are not UTF-8 have."""
    return tuple(
        field.encode(errors="surrogateescape").decode(errors="replace") if isinstance(field, str) else field
        for field in astuple(letter)
    )
