"""The simulation can fail: each bug put into the core on purpose breaks an invariant within a few seeds."""

from collections.abc import Callable

import pytest

from fastha.model.units import Ns
from fastha.vrrp import actions, adverts, fsm, group, instance
from fastha.vrrp.core import Core
from fastha.vrrp.fsm import TRANSITIONS, Heard, Input, State, Step, Transition
from fastha.vrrp.orders import Mode
from tests.simulation import invariants
from tests.simulation.scenario import Story

SEEDS = 40

pytestmark = pytest.mark.simulation


def broken_by(make_core: Callable[..., Core] = Core) -> set[str]:
    """What the first seeds find, without names and numbers of nodes; stops at the first seed that finds something."""
    for seed in range(SEEDS):
        story = Story(seed, make_core)
        story.run()
        found = invariants.all_of(story) or invariants.one_takeover(story, orderly=seed % 2 == 0)
        if found:
            return set(found)
    return set()


def filtered(drop: Callable[[actions.Action], bool]) -> type[Core]:
    """A core whose actions that `drop` picks never happen."""

    class Forgetful(Core):
        def _actions(self) -> list[actions.Action]:
            return [a for a in super()._actions() if not drop(a)]

    return Forgetful


def without(monkeypatch: pytest.MonkeyPatch, state: State, what: Input, step: Step) -> None:
    """A table whose transition lacks a step."""
    found = TRANSITIONS[state, what]
    steps = tuple(s for s in found.steps if s is not step)
    monkeypatch.setitem(TRANSITIONS, (state, what), Transition(found.to, steps))


def test_no_skew(monkeypatch: pytest.MonkeyPatch) -> None:
    def plain(_version: int, _priority: int, interval: Ns, adverts: int = 3) -> Ns:
        return adverts * interval

    monkeypatch.setattr(instance, "skew_time", lambda *_: 0)
    monkeypatch.setattr(instance, "master_down_interval", plain)
    assert any("after node" in b for b in broken_by())


def test_a_master_that_never_yields(monkeypatch: pytest.MonkeyPatch) -> None:
    def stubborn(*args: object) -> Heard:
        heard = fsm.in_master(*args)  # type: ignore[arg-type]
        return Heard.SAME if heard is Heard.BETTER else heard

    monkeypatch.setattr(adverts, "in_master", stubborn)
    assert any("masters are nodes" in b for b in broken_by())


def test_a_backup_that_believes_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    def gullible(priority: int, *_: object, **__: object) -> Heard:
        return Heard.ACCEPTED if priority else Heard.RESIGNED

    monkeypatch.setattr(adverts, "in_backup", gullible)
    assert any("is master, priorities are" in b for b in broken_by())


def test_addresses_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, State.MASTER, Input.OUTRANKED, Step.ABSENT)
    assert any("and has" in b for b in broken_by())


def test_no_priority_0_on_leaving(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, State.MASTER, Input.STOP, Step.PRIORITY_0)
    assert any("taken over after" in b for b in broken_by())


def test_a_stopped_master_that_goes_on_speaking(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, State.MASTER, Input.STOP, Step.IDLE)
    assert any("and is no master" in b for b in broken_by())


def test_announcements_after_mastership(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, State.MASTER, Input.OUTRANKED, Step.QUIET)
    assert any("announced" in b for b in broken_by())


def test_members_that_are_not_pulled_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group.Group, "_pull", lambda *_: [])
    assert any("group members are" in b for b in broken_by())


def test_orders_that_get_lost() -> None:
    count = 0

    def every_seventh(action: actions.Action) -> bool:
        nonlocal count
        if isinstance(action, actions.Give) and action.order.mode is Mode.LISTEN:
            count += 1
            return count % 7 == 0
        return False

    assert broken_by(filtered(every_seventh))


def test_nothing_is_found_where_no_bug_is() -> None:
    assert broken_by() == set()
