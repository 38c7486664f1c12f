"""How the director holds a Plan: one copy of what is equal, orders handed over as they are made."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from fastha.process.director import Director
from tests.check_builders import plan, rs, tcp, vs


def two_services() -> Any:
    return plan(vs(rs(1, tcp(1)), rs(2, tcp(2))), vs(rs(3, tcp(3)), last=2))


def test_of_what_is_equal_after_a_reload_one_copy_is_left() -> None:
    before, again = two_services(), copy.deepcopy(two_services())
    first, second = again.virtual_servers
    changed = replace(first, real_servers=(replace(first.real_servers[0], weight=7), first.real_servers[1]))
    director = Director()
    director.start(before, 0)
    director.reload(replace(again, virtual_servers=(changed, second)), 1)
    held = director.plan.virtual_servers
    assert held == (changed, second)
    assert held[1] is before.virtual_servers[1]
    assert held[0].real_servers[0].weight == 7
    assert held[0].real_servers[1] is before.virtual_servers[0].real_servers[1]


def test_orders_are_handed_over_service_by_service() -> None:
    at_once = Director()
    at_once.start(two_services(), 5)
    batches: list[list[Any]] = []
    director = Director()
    director.start(two_services(), 5, hand_over=batches.append)
    assert [len(batch) for batch in batches] == [2, 1]
    assert director.take().orders == []
    assert [order for batch in batches for order in batch] == at_once.take().orders
