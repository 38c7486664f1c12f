"""A node that was away does not judge a master it could not hear: pauses of backups cause no takeover."""

import pytest

from fastha.model.units import MS, S
from fastha.vrrp import events
from tests.simulation import invariants
from tests.simulation.scenario import Story

pytestmark = pytest.mark.simulation

LENGTHS = (5 * MS, 80 * MS, 500 * MS, 3 * S, 9 * S)


@pytest.mark.parametrize("seed", range(30))
def test_pauses_of_backups_cause_no_takeover(seed: int) -> None:
    story = Story(seed)
    cluster, random = story.cluster, story.random
    for node in cluster.nodes:
        node.boot()
    story.heal()
    story.quiet()
    assert invariants.all_of(story) == []
    masters = {id(node) for router in story.routers for node in invariants.masters(story, router)}
    backups = [node for node in cluster.nodes if id(node) not in masters]
    if not backups:
        pytest.skip("every node is master of something")
    before, rested = len(cluster.transitions), dict[int, int]()
    for _ in range(40):
        node = random.choice(backups)
        if rested.get(node.number, 0) <= cluster.now:
            node.pause(core=True, engine=random.random() < 0.6, deaf=random.random() < 0.5)
            length = random.choice(LENGTHS)
            cluster.later(length, node.go_on)
            rested[node.number] = cluster.now + length + 3 * story.slowest // 2  # it hears an advert in between
        cluster.run(random.randrange(2 * S))
        # the masters change what they say, so that it goes up to the cores
        story.priorities = [p + 1 if p < 250 else p for p in story.priorities]
        for one in cluster.nodes:
            if id(one) in masters:
                one.tell(events.Reload(story.plan(one.number)))
    cluster.run(12 * S)
    assert cluster.transitions[before:] == [], story.routers


@pytest.mark.parametrize("seed", range(20))
def test_a_hung_master_stops_speaking_and_somebody_takes_over(seed: int) -> None:
    """Its engine goes on without the core: the lease ends, and with it the adverts."""
    story = Story(seed)
    for node in story.cluster.nodes:
        node.boot()
    story.heal()
    story.quiet()
    router = story.routers[0]
    hung = invariants.masters(story, router)[0]
    since = story.cluster.now
    hung.pause(core=True, engine=False)
    story.cluster.run(4 * story.slowest + 4 * max(S, 3 * story.slowest))
    assert [t.node for t in invariants.takeovers(story, router, since)] != []
    hung.go_on()
    story.heal()
    story.quiet()
    assert invariants.all_of(story) == []
