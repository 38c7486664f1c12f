"""The timer wheel against a dictionary: whatever is armed fires once, at its tick, and never later."""

from hypothesis import given
from hypothesis import strategies as st

from fastha._checks import TimerWheel

SIZE = 40


def add(a: int, b: int) -> int:
    return a + b


near = st.integers(0, 600)
edges = st.sampled_from([255, 256, 257, 511, 512, 65_279, 65_535, 65_536, 65_537, 16_777_215, 16_777_216, 16_777_217])
ahead = st.one_of(
    near, edges, st.integers(0, 70_000), st.integers(0, 1 << 26), st.builds(lambda a, b: a + b, edges, near)
)
steps = st.one_of(
    st.tuples(st.just("arm"), st.integers(0, SIZE - 1), ahead),
    st.tuples(st.just("cancel"), st.integers(0, SIZE - 1), st.just(0)),
    st.tuples(st.just("advance"), st.just(0), ahead),
    st.tuples(st.just("jump"), st.just(0), st.just(0)),
)
origins = st.one_of(st.just(0), edges, st.integers(0, 1 << 34))


def check(origin: int, todo: list[tuple[str, int, int]]) -> None:
    wheel, now = TimerWheel(SIZE, origin), origin
    model: dict[int, int] = {}
    for what, subject, ticks in [*todo, ("advance", 0, 1 << 31)]:
        if what == "arm":
            wheel.arm(subject, now + ticks)
            model[subject] = max(now + ticks, now + 1)
        elif what == "cancel":
            wheel.cancel(subject)
            model.pop(subject, None)
        else:
            # "jump": to where the wheel says that something happens next, as the engine does
            now = wheel.next() or now if what == "jump" else now + ticks
            fired = wheel.advance(now)
            due = {timer: tick for timer, tick in model.items() if tick <= now}
            assert sorted(fired) == sorted(due)
            assert [due[timer] for timer in fired] == sorted(due.values())
            for timer in fired:
                del model[timer]
        following = wheel.next()
        assert (following is None) == (not model)
        if following is not None:
            assert now < following <= min(model.values())


@given(origins, st.lists(steps, max_size=60))
def test_wheel_is_a_sorted_list(origin: int, todo: list[tuple[str, int, int]]) -> None:
    check(origin, todo)


def test_timers_just_before_and_after_every_cascade() -> None:
    """The trap: a timer dealt out by a cascade, due in the last slot before the next one, must not wait a round."""
    for origin in (0, 1, 254, 255, 256, 65_535, 65_536):
        for step in (1, 100, 255, 256, 1000):
            ticks = [d + e for d in (256, 512, 65_536, 65_536 + 256) for e in range(-3, 4)]
            wheel = TimerWheel(len(ticks), origin)
            for timer, tick in enumerate(ticks):
                wheel.arm(timer, origin + tick)
            fired: dict[int, int] = {}
            now = origin
            while now < origin + 70_000:
                before, now = now, now + step
                for timer in wheel.advance(now):
                    fired[timer] = now
                    assert before < origin + ticks[timer] <= now
            assert len(fired) == len(ticks)


def test_a_timer_beyond_the_wheel_fires_early() -> None:
    """Its owner sees that it is not due and arms it again."""
    wheel = TimerWheel(1)
    wheel.arm(0, 1 << 40)
    assert wheel.advance((1 << 31) - 2) == []
    assert wheel.advance(1 << 31) == [0]
