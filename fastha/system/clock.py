"""The two clocks: everything is timed by the monotonic one, the wall clock is only shown to people."""

import time

from fastha.model.units import Ns


def monotonic() -> Ns:
    """CLOCK_MONOTONIC in nanoseconds: the clock of cores and engines."""
    return time.monotonic_ns()


def wall() -> float:
    """Seconds since the epoch."""
    return time.time()
