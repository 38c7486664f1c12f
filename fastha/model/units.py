"""Time and its units: every time and duration in fastha is an `int` of nanoseconds.

Times are CLOCK_MONOTONIC unless a name says `wall`. Durations carry no suffix in the Plan
(`adver_int`, `delay_loop`): the type alias says the unit.
"""

from typing import Final

Ns = int
"""Nanoseconds: a duration, or a time of CLOCK_MONOTONIC."""

US: Final = 1_000
MS: Final = 1_000_000
S: Final = 1_000_000_000


def seconds_text(duration: Ns) -> str:
    """A duration for people: `1.5 s`, `20 ms`, `40 us`."""
    for unit, name in ((S, "s"), (MS, "ms"), (US, "us")):
        if abs(duration) >= unit:
            return f"{duration / unit:.4g} {name}"
    return f"{duration} ns"
