"""Answers of mail servers: the engine's reader against a plain one in Python, in any pieces."""

from __future__ import annotations

import itertools
import re

from hypothesis import example, given
from hypothesis import strategies as st

from fastha._checks import smtp_codes

LINE = 512
parts = st.sampled_from(
    [b"220 ", b"220", b"220-", b"250 ok", b"25", b"\r\n", b"\n", b"\r", b" ", b"\x00", b"999", b"2200 ", b"x" * 500]
)
answers = st.lists(st.one_of(parts, st.binary(max_size=6)), max_size=20).map(b"".join)


def plain(data: bytes) -> list[int]:
    """With all of it at hand; a line that has no end yet says nothing."""
    found = []
    for whole in data.split(b"\n")[:-1]:
        line = whole[(len(whole) - 1) // LINE * LINE :] if whole else whole
        code = re.fullmatch(rb"([0-9]{3})( .*)?", line, re.DOTALL)
        found.append(int(code[1]) if code else 0)
    return found


@given(answers, st.lists(st.integers(0, 3000), max_size=8))
@example(b"220 ready\r\n", [3])
@example(b"x" * 512 + b"220 \n", [])
@example(b"x" * 512 + b"\n", [])
@example(b"220\n250 \n", [1, 2, 3, 4])
def test_codes(data: bytes, places: list[int]) -> None:
    bounds = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    assert smtp_codes([data[a:b] for a, b in itertools.pairwise(bounds)]) == plain(data)
