"""Places of the runner: bounded, fair among groups, lateness counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fastha.model.units import MS
from fastha.process.turns import Lateness, Turns


def test_one_group_has_all_places() -> None:
    turns: Turns[int] = Turns(8)
    for number in range(20):
        turns.put("a", number)
    assert [turns.take() for _ in range(9)] == [*range(8), None]
    assert len(turns) == 12
    turns.leave("a")
    assert turns.take() == 8


def test_a_dead_group_leaves_places_for_others() -> None:
    turns: Turns[str] = Turns(16)
    for number in range(100):
        turns.put("dead", f"dead {number}")
    turns.put("well", "well 0")
    taken = [turns.take() for _ in range(16)]
    assert taken.count(None) == 4, "a quarter is kept"
    assert "well 0" in taken[:2]
    for number in range(1, 3):
        turns.put("well", f"well {number}")
        assert turns.take() == f"well {number}"
        turns.leave("well")
    assert turns.take() is None, "the dead one still holds its share"


def test_groups_that_wait_take_turns() -> None:
    turns: Turns[str] = Turns(100)
    for group in "ab":
        for number in range(3):
            turns.put(group, f"{group}{number}")
    assert [turns.take() for _ in range(6)] == ["a0", "b0", "a1", "b1", "a2", "b2"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=200), st.integers(1, 12))
def test_never_more_than_the_limit_and_nobody_is_lost(steps: list[tuple[str, bool]], limit: int) -> None:
    turns: Turns[tuple[str, int]] = Turns(limit)
    held: list[str] = []
    put = taken = 0
    for group, comes in steps:
        if comes:
            turns.put(group, (group, put))
            put += 1
        elif held:
            turns.leave(held.pop(0))
        while (item := turns.take()) is not None:
            held.append(item[0])
            taken += 1
        assert turns.held == len(held) <= limit
        assert len(turns) == put - taken
    while held or len(turns):
        if held:
            turns.leave(held.pop())
        before = taken
        while (item := turns.take()) is not None:
            held.append(item[0])
            taken += 1
        assert held or taken > before or not len(turns), "somebody may always start when nobody runs"
    assert taken == put


def test_lateness() -> None:
    lateness = Lateness()
    for late in (0, MS, 3 * MS, 100_000 * MS):
        lateness.count(late)
    histogram = lateness.histogram()
    assert (histogram.counts[0], histogram.counts[2], histogram.counts[-1]) == (2, 1, 1)
    assert (histogram.maximum, histogram.total) == (100_000 * MS, 100_004 * MS)
