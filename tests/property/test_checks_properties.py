"""Whatever servers do, the check core keeps its promises."""

from hypothesis import given
from hypothesis import strategies as st

from fastha.checks.actions import Change
from fastha.checks.recipes import Recipe, Verdict
from fastha.model.units import S
from tests.check_builders import Life, http, misc, tcp

verdicts = st.sampled_from([Verdict.SUCCESS, Verdict.REFUSED, Verdict.TIMEOUT, Verdict.LOCAL, Verdict.EXIT])
results = st.tuples(verdicts, st.integers(1, 300), st.integers(0, 9 * S)).map(
    lambda result: (result[0], result[1] if result[0] == Verdict.EXIT else 0, result[2])
)
histories = st.lists(results, max_size=60)
checks = st.one_of(
    st.builds(tcp, retry=st.integers(0, 3), alpha=st.booleans()),
    st.builds(
        http,
        urls=st.sampled_from([("/a",), ("/a", "/b"), ("/a", "/b", "/c")]),
        retry=st.integers(0, 3),
        alpha=st.booleans(),
        fast_recovery=st.booleans(),
        delay_before_retry=st.sampled_from([0, S, 9 * S]),
    ),
    st.builds(misc, retry=st.integers(0, 3), alpha=st.booleans(), dynamic=st.booleans()),
)


@given(checks, st.booleans(), histories)
def test_every_report_is_answered_with_one_order_that_is_due_in_time(
    check: object, fresh: bool, history: list[tuple[Verdict, int, int]]
) -> None:
    life = Life(check, fresh=fresh)
    for verdict, status, took in history:
        generation = life.checker.generation
        _, delay = life.report(verdict, status=status, took=took)  # Life takes exactly one order
        assert life.checker.generation > generation
        longest = max(life.checker.check.delay_loop, life.checker.check.delay_before_retry)
        assert 0 <= round(delay * S) <= longest


@given(checks, st.booleans(), histories)
def test_what_is_told_is_what_is(check: object, fresh: bool, history: list[tuple[Verdict, int, int]]) -> None:
    life = Life(check, fresh=fresh)
    up = life.checker.up
    for verdict, status, took in history:
        change, _ = life.report(verdict, status=status, took=took)
        assert life.checker.up == (change.up if change in (Change.UP, Change.DOWN) else up), (
            "told exactly when it changes"
        )
        assert life.checker.since <= life.now
        assert life.checker.retries_left >= 0
        up = life.checker.up


def rounds(life: Life) -> tuple[Recipe, ...]:
    """The recipes of its order; a script has none."""
    order = getattr(life.order, "order", None)
    return (order.recipe, *order.then) if order is not None else ()


@given(checks, st.booleans(), histories)
def test_a_standing_order_leaves_out_only_what_changes_nothing(
    check: object, fresh: bool, history: list[tuple[Verdict, int, int]]
) -> None:
    """Where an order may stand, reporting the expected outcome would change nothing and give the same order; of several
    recipes it would be the next one's turn."""
    life = Life(check, fresh=fresh)
    for verdict, status, took in history:
        life.report(verdict, status=status, took=took)
        if not life.standing:
            continue
        before = (life.checker.up, life.checker.has_run, life.checker.retries)
        recipes = rounds(life)
        expected = Verdict.SUCCESS if before[0] else Verdict.REFUSED
        if getattr(check, "dynamic", False) and before[0] and life.order.expect_status:
            change, _ = life.report(Verdict.EXIT, status=life.order.expect_status)
        else:
            change, _ = life.report(expected, status=int(expected == Verdict.REFUSED))
        assert change == Change.NONE
        assert (life.checker.up, life.checker.has_run, life.checker.retries) == before
        assert rounds(life) == (recipes[1:] + recipes[:1])


@given(st.integers(0, 4), st.booleans(), st.lists(st.booleans(), max_size=60))
def test_down_after_retry_plus_one_failures_in_a_row_and_never_before(
    retry: int, fresh: bool, outcomes: list[bool]
) -> None:
    life = Life(tcp(retry=retry), fresh=fresh)
    forgiven = retry if fresh else 0
    for good in outcomes:
        change, _ = life.ok() if good else life.bad()
        was_up = life.checker.up or change == Change.DOWN
        forgiven = 0 if good else forgiven + (1 if was_up else 0)
        assert (change == Change.DOWN) == (was_up and forgiven > retry)
        if good:
            assert life.checker.up


@given(st.sampled_from([1, 2, 3]), st.integers(0, 2), st.lists(st.booleans(), max_size=60))
def test_http_comes_up_only_through_a_full_pass(urls: int, retry: int, outcomes: list[bool]) -> None:
    life = Life(http(urls=tuple(f"/{n}" for n in range(urls)), retry=retry))
    good_in_a_row = 0
    for good in outcomes:
        down = not life.checker.up
        change, _ = life.ok() if good else life.bad()
        good_in_a_row = good_in_a_row + 1 if good else good_in_a_row
        if not down:
            good_in_a_row = 0
        if change == Change.UP:
            assert good_in_a_row >= urls + 1, "the failed url, then all of them"
