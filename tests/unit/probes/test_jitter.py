"""`jitter`: pauses that differ, within bounds, and in the twin as in the engine."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from fastha._checks import ProbeEngine
from fastha.checks.engine import ModelProbes, Outcome, moved
from fastha.checks.recipes import Kind, ProbeOrder, Recipe, Verdict
from fastha.model.net import Address
from fastha.model.units import MS, S
from tests.poll import until
from tests.probe_bench import connections

RECIPE = Recipe(kind=Kind.TCP, address=Address("127.0.0.1"), port=9, timeout=S, jitter=20 * MS)


def test_the_dice_are_fair_and_within_bounds() -> None:
    drawn = [moved(7, run, 20 * MS) for run in range(2000)]
    assert max(map(abs, drawn)) <= 20 * MS
    assert abs(sum(drawn) / len(drawn)) < 2 * MS
    assert len(set(drawn)) > 1990
    assert moved(7, 1, 0) == 0


def test_twin() -> None:
    starts: list[int] = []

    def behave(_target: int, _recipe: Recipe, at: int) -> Outcome:
        starts.append(at)
        return Outcome(Verdict.SUCCESS)

    probes = ModelProbes(behave)
    probes.order(ProbeOrder(target=3, generation=1, recipe=RECIPE, first=S, interval=100 * MS), 0)
    probes.advance(20 * S)
    pauses = [later - earlier for earlier, later in pairwise(starts)]
    assert pauses == [100 * MS + moved(3, run, 20 * MS) for run in range(1, len(starts))]


def test_engine_and_twin_move_a_start_alike() -> None:
    with connections(lambda connection: None) as server:
        engine = ProbeEngine()
        engine.start()
        try:
            recipe = replace(RECIPE, port=server.port)
            engine.order(ProbeOrder(target=3, generation=1, recipe=recipe, first=0, interval=200 * MS))
            found: dict[int, int] = {}

            def five() -> bool:
                last = engine.last(3)
                if last.runs:
                    found[last.runs] = last.started - last.lateness
                return len(found) >= 5

            until(five, "five runs", step=0.005)
        finally:
            engine.stop()
    runs = sorted(found)
    for earlier, later in pairwise(runs):
        if later == earlier + 1:
            assert found[later] - found[earlier] == 200 * MS + moved(3, earlier, 20 * MS)


def test_out_of_range() -> None:
    engine = ProbeEngine()
    with pytest.raises(ValueError, match="jitter"):
        engine.order(ProbeOrder(target=1, generation=1, recipe=replace(RECIPE, jitter=-1), first=0, interval=S))
