"""Seeded clusters in virtual time: whatever happened, after healing and quiet time the invariants hold."""

import pytest

from fastha._vrrp import AdvertEngine
from fastha.model.units import S
from tests.simulation import invariants
from tests.simulation.scenario import Story

SEEDS, BATCH = 200, 10
SOAK_SEEDS = 20_000

pytestmark = pytest.mark.simulation


def play(seed: int) -> None:
    """One story, then one failure more."""
    story = Story(seed)
    story.run()
    broken = invariants.all_of(story)
    if not broken:
        broken = invariants.one_takeover(story, orderly=seed % 2 == 0)
    tale = "\n".join(story.log)
    assert not broken, f"seed {seed}: {broken}\n{story.routers}\npriorities {story.priorities}\n{tale}"


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_invariants_hold(first: int) -> None:
    for seed in range(first, first + BATCH):
        play(seed)


def test_a_run_is_a_function_of_its_seed() -> None:
    stories = [Story(11), Story(11)]
    for story in stories:
        story.run(8 * S)
    assert stories[0].cluster.transitions == stories[1].cluster.transitions
    assert stories[0].cluster.transitions


@pytest.mark.parametrize("seed", range(30))
def test_the_compiled_engine_makes_the_same_cluster(seed: int) -> None:
    """One story over `fastha._vrrp` (in virtual time) and over its twin: transition by transition where there is one
    virtual router; of several that are due in one instant either engine may take the one or the other first."""
    compiled = Story(seed, make_engine=lambda: AdvertEngine(8, virtual=True))
    compiled.run()
    assert invariants.all_of(compiled) == []
    if len(compiled.routers) == 1:
        model = Story(seed)
        model.run()
        assert compiled.cluster.transitions == model.cluster.transitions


@pytest.mark.timeout(24 * 3600)
def test_many_more(soak: bool) -> None:
    if not soak:
        pytest.skip("thousands of seeds are for ./dev soak")
    for seed in range(SEEDS, SEEDS + SOAK_SEEDS):
        play(seed)
