"""Weights as numbered slots: shares, their spread, and what moves when a server goes."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fastha.wire.slots import TURNS_LIMIT, places, turns

WEIGHTS = st.lists(st.integers(1, 65535), min_size=1, max_size=40)


def test_equal_weights_take_turns() -> None:
    assert turns([7, 7, 7]) == ([0, 1, 2], True)


def test_turns_are_spread() -> None:
    slots, exact = turns([5, 1, 1])
    assert exact
    assert Counter(slots) == {0: 5, 1: 1, 2: 1}
    assert "".join(map(str, slots)) not in {"0000012", "1200000"}
    slots, _ = turns([2, 1])
    assert sorted(("".join(map(str, slots * 2))).split("1")[1]) == ["0", "0"]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_small_weights_are_exact_in_every_round(weights: list[int]) -> None:
    slots, exact = turns(weights)
    assert exact
    count = Counter(slots)
    assert all(count[i] * weights[j] == count[j] * weights[i] for i in range(len(weights)) for j in range(i))


@given(st.lists(st.integers(1, 50), min_size=2, max_size=20))
def test_no_server_is_ahead_of_its_share_by_a_turn(weights: list[int]) -> None:
    """At every moment of a round a server has had its share so far, give or take one turn."""
    slots, _ = turns(weights)
    total = len(slots)
    per_round = Counter(slots)
    seen: Counter[int] = Counter()
    for done, index in enumerate(slots, 1):
        seen[index] += 1
        for each in range(len(weights)):
            assert abs(seen[each] - per_round[each] * done / total) <= 1 + len(weights) / 2


@given(WEIGHTS)
def test_great_weights_are_near_and_the_table_is_bounded(weights: list[int]) -> None:
    slots, exact = turns(weights)
    limit = max(TURNS_LIMIT, 4 * len(weights))
    assert len(slots) <= limit + len(weights)
    count, total = Counter(slots), sum(weights)
    for index, weight in enumerate(weights):
        assert count[index] >= 1
        if not exact:
            assert abs(count[index] / len(slots) - weight / total) < (len(weights) + 2) / limit


def test_many_servers_have_a_slot_each() -> None:
    slots, exact = turns([1] * 5000)
    assert exact
    assert slots == list(range(5000))


def test_nobody_has_no_slots() -> None:
    assert turns([]) == ([], True)
    assert places([], []) == []


NAMES = [f"[10.0.0.{host}]:80" for host in range(1, 11)]


def test_places_follow_the_weights() -> None:
    table = places(NAMES, list(range(1, 11)))
    count = Counter(table)
    for index in range(10):
        assert abs(count[index] / len(table) - (index + 1) / 55) < 0.01


def test_places_depend_on_nothing_but_names_and_weights() -> None:
    assert places(NAMES, [1] * 10) == places(list(NAMES), [1] * 10)


def test_the_loss_of_a_server_moves_few_others() -> None:
    before = [NAMES[index] for index in places(NAMES, [1] * 10)]
    left = NAMES[:3] + NAMES[4:]
    after = [left[index] for index in places(left, [1] * 9)]
    assert len(before) == len(after)
    moved = sum(old != new for old, new in zip(before, after, strict=True) if old != NAMES[3])
    assert moved < len(before) * 0.1


@given(st.lists(st.sampled_from([1, 2, 3, 100, 1000, 65535]), min_size=1, max_size=300))
def test_everybody_has_a_place(weights: list[int]) -> None:
    table = places([str(index) for index in range(len(weights))], weights)
    assert set(table) == set(range(len(weights)))
