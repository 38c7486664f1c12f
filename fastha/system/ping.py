"""Who may send ICMP echo requests without a raw socket: /proc/sys/net/ipv4/ping_group_range, for both families."""

import os
from pathlib import Path
from typing import Final

RANGE: Final = Path("/proc/sys/net/ipv4/ping_group_range")


def widened(low: int, high: int, group: int) -> tuple[int, int]:
    """The range with `group` in it; a range whose low is above its high is empty."""
    if low > high:
        return group, group
    return min(low, group), max(high, group)


def allow_ping() -> str | None:
    """Let our group send pings; what the range was, None when nothing had to be changed. OSError: refused."""
    before = RANGE.read_text()
    low, high = (int(word) for word in before.split())
    group = os.getegid()
    if low <= group <= high:
        return None
    RANGE.write_text("{} {}\n".format(*widened(low, high, group)))
    return before


def restore_ping(before: str) -> None:
    """Set the range to what it was."""
    RANGE.write_text(before)
