"""What a tracked file says: an integer, read as C's strtol with base 0 reads it."""

import re
from dataclasses import dataclass

SIZE = 127
"""Bytes that are looked at."""
LOWEST, HIGHEST = -(2**31), 2**31 - 1
NUMBER = re.compile(rb"[ \t\n\v\f\r]*([+-]?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))")


@dataclass(frozen=True, slots=True)
class Reading:
    value: int | None
    """None: leave the old value."""
    problem: str = ""
    """For the log; empty: a good number."""


def read_value(data: bytes) -> Reading:
    """The number at the start of `data` (decimal, 0x hexadecimal, leading 0 octal); what follows it does not matter.
    Text that is no number counts as 0; a number beyond 32 bits leaves the old value."""
    head = data[:SIZE]
    match = NUMBER.match(head)
    if match is None:
        return Reading(0, f"{head.decode(errors='replace').strip()!r} is not a number, taken as 0")
    sign, hexadecimal, octal, decimal = match.groups()
    digits, base = (hexadecimal, 16) if hexadecimal else (octal, 8) if octal else (decimal, 10)
    value = int(digits, base) * (-1 if sign == b"-" else 1)
    if not LOWEST <= value <= HIGHEST:
        return Reading(None, f"{match[0].decode().strip()} does not fit 32 bits, the old value stays")
    return Reading(value)


def parse_value(data: bytes) -> int | None:
    """The number alone; None: leave the old value."""
    return read_value(data).value
