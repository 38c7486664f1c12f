"""Waiting in tests: look again and again, up to a deadline; never a blind sleep."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(look: Callable[[], T], what: str, seconds: float = 5.0, step: float = 0.02) -> T:
    """The first true value of `look()`; fails the test, naming `what`, when there is none within `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:g} s still waiting for {what}")
        time.sleep(step)
    return value
