"""Pools of many servers in virtual time: random behaviour, reloads, crashes of the process, lost orders. Seeded."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from fastha.checks.engine import Outcome
from fastha.checks.recipes import Recipe, Verdict
from fastha.lvs.wanted import wanted_table
from fastha.model.plan import CheckerPlan, RealServer
from fastha.model.units import MS, S
from tests.check_builders import OK, REFUSED, Lab, http, misc, plan, rs, tcp, vs

pytestmark = pytest.mark.simulation
SEEDS = range(40)


class Servers:
    """How servers behave: each is good or bad for a while, with slow answers, timeouts and local trouble in between."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._until: dict[str, int] = {}
        self._good: dict[str, bool] = {}
        self.calm = False

    def __call__(self, recipe: Recipe, now: int) -> Outcome:
        dice, name = self._dice, str(recipe.address) + str(recipe.script)
        if self.calm:
            return OK
        if now >= self._until.get(name, 0):
            self._until[name] = now + dice.randrange(1, 60) * S
            self._good[name] = dice.random() < 0.6
        if self._good[name]:
            return Outcome(Verdict.SUCCESS, dice.randrange(1, 50) * MS)
        return dice.choice(
            [
                Outcome(Verdict.REFUSED, MS, errno=111),
                Outcome(Verdict.TIMEOUT, 5 * S),
                Outcome(Verdict.STATUS, 20 * MS, status=503),
                Outcome(Verdict.LOCAL, 0, errno=99),
                Outcome(Verdict.EXIT, 30 * MS, status=dice.choice([1, 5, 200])),
            ]
        )


def random_server(dice: random.Random, last: int) -> RealServer:
    words = {"delay_loop": dice.choice([2, 6, 10]) * S, "retry": dice.randrange(4), "alpha": dice.random() < 0.3}
    words["warmup"] = dice.choice([0, 5, 20]) * S
    check = dice.choice(
        [
            lambda: tcp(last, **words),
            lambda: http(last, urls=dice.choice([("/a",), ("/a", "/b")]), fast_recovery=dice.random() < 0.5, **words),
            lambda: misc(dynamic=dice.random() < 0.5, **words),
        ]
    )
    return rs(last, check(), weight=dice.randrange(1, 5), inhibit_on_failure=dice.random() < 0.3)


def random_plan(dice: random.Random) -> CheckerPlan:
    services = []
    for number in range(1, dice.randrange(2, 5)):
        servers = [random_server(dice, last) for last in sorted(dice.sample(range(1, 40), dice.randrange(1, 12)))]
        quorum = dice.randrange(1, 5)
        sorry = dice.choice([None, rs(99)])
        hysteresis = dice.randrange(quorum)
        services.append(vs(*servers, last=number, quorum=quorum, hysteresis=hysteresis, sorry_server=sorry))
    return plan(*services)


def new_lab(dice: random.Random, config: CheckerPlan, servers: Servers, before: Lab | None = None) -> Lab:
    lab = Lab(config, kernel=before.kernel.table if before else None, ours=before.ours if before else set())
    for last in range(1, 40):
        lab.state[f"10.0.1.{last}"] = servers
    lab.state["/bin/check"] = servers
    return lab


@pytest.mark.parametrize("seed", SEEDS)
def test_every_target_keeps_being_checked_and_the_kernel_follows(seed: int) -> None:
    dice = random.Random(seed)
    servers = Servers(dice)
    config = random_plan(dice)
    lab = new_lab(dice, config, servers)
    for _ in range(12):
        for _ in range(10):
            lab.run(2)
            assert lab.probes.overdue(lab.now) == [], f"seed {seed}: idle for two intervals at {lab.now / S} s"
        assert lab.errors == [], f"seed {seed}"
        assert lab.kernel.table == wanted_table(lab.director.services), f"seed {seed}"
        what = dice.random()
        if what < 0.3:
            config = random_plan(dice)
            lab.reload(config)
        elif what < 0.5:
            lab = new_lab(dice, config, servers, lab)  # the process was killed; the next one finds the kernel as it was
    servers.calm = True
    lab.run(300)
    for pool in lab.director.pools.values():
        assert all(server.alive for server in pool), f"seed {seed}: all is well, so all servers serve"
        assert pool.quorum_up or pool.alive_weight < pool.plan.quorum + pool.plan.hysteresis
    assert lab.kernel.table == wanted_table(lab.director.services)


@pytest.mark.parametrize("seed", SEEDS[:10])
def test_orders_that_get_lost_are_given_again(seed: int) -> None:
    dice = random.Random(seed)
    lab = new_lab(dice, random_plan(dice), Servers(dice))
    lab.run(30)
    lost = dice.sample([checker.target for checker in lab.director.core], 1)
    for target in lost:
        lab.probes.lose(target)
    lab.run(60)
    assert lab.probes.overdue(lab.now) == lost
    lab.director.renew(lost, lab.now, at_once=True)
    lab.settle()
    lab.run(60)
    assert lab.probes.overdue(lab.now) == []


def test_detection_takes_as_long_as_the_words_say() -> None:
    """delay_loop to notice, then retry times delay_before_retry."""
    lab = Lab(plan(vs(rs(1, tcp(1, delay_loop=6 * S, retry=2, delay_before_retry=S)), rs(2))))
    lab.run(20)
    lab.state["10.0.1.1"] = REFUSED
    broken = lab.now
    lab.run(60)
    runs = [at for at, _ in lab.runs if at * S >= broken][:3]
    assert runs[1] - runs[0] == 1
    assert runs[2] - runs[1] == 1
    assert runs[2] * S - broken <= 8 * S
    assert lab.weights() == {"10.0.1.2": 1}


def test_a_slot_is_not_made_up_for_after_a_long_probe() -> None:
    """Timeouts longer than delay_loop: the next start keeps the phase, there is no burst."""
    lab = Lab(plan(vs(rs(1, tcp(1, delay_loop=2 * S)), rs(2))))
    lab.state["10.0.1.1"] = Outcome(Verdict.TIMEOUT, 5 * S)
    lab.run(60)
    starts = [at for at, _ in lab.runs]
    gaps = {round(after - before, 3) for before, after in pairwise(starts[1:])}
    assert gaps == {6.0}
