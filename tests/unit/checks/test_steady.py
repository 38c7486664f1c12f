"""`rise`, `jitter`, `deadline`: what keepalived has no words for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fastha.checks.actions import Change, HoldDialogue
from fastha.checks.core import CheckCore
from fastha.checks.life import same_parameters
from fastha.checks.recipes import Report, Verdict
from fastha.model.net import Address
from fastha.model.plan import Connection, PingCheck, Service, ServiceCheck, SmtpCheck
from fastha.model.units import MS, S
from tests.check_builders import REFUSED, Lab, Life, connection, http, misc, plan, rs, tcp, told, vs


def smtp(**words: Any) -> SmtpCheck:
    return SmtpCheck(**{"delay_loop": 6 * S, "warmup": 0, "connection": connection(), **words})


def down(check: Any) -> Life:
    life = Life(check)
    while life.checker.up:
        life.bad()
    return life


@pytest.mark.parametrize("kind", [tcp, smtp, misc])
def test_rise_counts_successes_in_a_row(kind: Any) -> None:
    life = down(kind(rise=3, retry=0))
    assert life.checker.successes_left == 3
    assert life.ok()[0] is Change.NONE
    assert not life.standing, "whatever comes next changes the count"
    assert life.ok()[0] is Change.NONE
    assert life.checker.successes_left == 1
    assert life.ok()[0] is Change.UP
    assert life.checker.successes_left == 0
    assert life.standing


def test_a_failure_begins_the_count_anew() -> None:
    life = down(tcp(rise=2, retry=0))
    for _ in range(3):
        assert life.ok()[0] is Change.NONE
        assert life.bad()[0] is Change.NONE
        assert life.checker.rising == 0
        assert life.standing
    life.ok()
    assert life.ok()[0] is Change.UP


def test_rise_of_several_urls_counts_whole_rounds() -> None:
    life = down(http(urls=("/a", "/b"), rise=2, retry=0))
    changes = [life.ok()[0] for _ in range(5)]
    assert changes == [Change.NONE] * 4 + [Change.UP], "the failed url, then two rounds"


def test_rise_and_alpha() -> None:
    life = Life(tcp(rise=2, alpha=True))
    assert life.ok()[0] is Change.NONE
    assert life.ok()[0] is Change.UP
    life = Life(tcp(rise=2))
    assert life.ok()[0] is Change.FIRST_UP, "what is up needs not rise"


def test_the_count_survives_a_reload() -> None:
    life = down(tcp(rise=3, retry=0))
    life.ok()
    core, target = life.core, life.target
    core.retime(target, tcp(rise=2, retry=0), "one", life.now)
    other, _ = core.add(tcp(rise=2, retry=0), "two", life.now, fresh=False, like=core[target])
    assert core[other].successes_left == 1


def test_a_dynamic_weight_waits_for_the_rise() -> None:
    life = down(misc(rise=2, dynamic=True))
    life.bad(Verdict.EXIT, status=12)
    assert life.checker.weight is None
    life.bad(Verdict.EXIT, status=12)
    assert (life.checker.up, life.checker.weight) == (True, 10)


def test_rise_in_the_director() -> None:
    lab = Lab(plan(vs(rs(1, tcp(1, rise=3, retry=0)), rs(2))))
    lab.state["10.0.1.1"] = REFUSED
    lab.run(10)
    lab.state.clear()
    notices = lab.run(12)
    assert told(notices) == []
    assert told(lab.run(8)) == ["RS 10.0.1.1 UP"]


def test_jitter_moves_first_starts_and_retries_without_dice() -> None:
    starts = {Life(tcp(jitter=S, warmup=0)).first for _ in range(3)}
    assert len(starts) == 1
    assert 0 <= starts.pop() <= 2
    firsts = set()
    core = CheckCore()
    for number in range(50):
        _, (action,) = core.add(tcp(jitter=S, warmup=0), str(number), 0, fresh=True)
        firsts.add(action.order.first)  # type: ignore[union-attr]
        assert 0 <= action.order.first <= 2 * S  # type: ignore[union-attr]
        assert action.order.recipe.jitter == S  # type: ignore[union-attr]
    assert len(firsts) > 40


def test_deadline_reaches_the_recipe() -> None:
    for check in (tcp(deadline=S), http(deadline=S), smtp(deadline=S), http(deadline=S, tls=True)):
        assert Life(check).recipe.deadline == S
    assert Life(tcp()).recipe.deadline == 0
    assert Life(http()).recipe.deadline == 16 * S, "as without the word"
    assert Life(PingCheck(connection=connection())).recipe.deadline == 0


# ------------------------------------------------------------------------------------ dialogues


def service(kind: Service = Service.REDIS, **words: Any) -> ServiceCheck:
    to = Connection(address=Address("10.0.1.1"), port=6379, connect_timeout=2 * S)
    return ServiceCheck(**{"service": kind, "delay_loop": 6 * S, "warmup": 0, "connection": to, **words})


def test_a_dialogue_is_ordered_of_the_runner_and_follows_the_plain_rule() -> None:
    core = CheckCore()
    target, (order,) = core.add(service(retry=1), "one", 0, fresh=False)
    assert isinstance(order, HoldDialogue)
    assert (order.check, order.delay, order.interval, order.expect_success) == (service(retry=1), S, 0, True)

    def hear(verdict: Verdict, at: int, text: str = "") -> list[Any]:
        nonlocal order
        report = Report(target, order.generation, verdict, 0, 0, at - MS, at, text=text)  # type: ignore[union-attr]
        *changes, order = core.handle(report, at)
        return changes

    (changed,) = hear(Verdict.SUCCESS, S, "PONG")
    assert changed.change is Change.FIRST_UP
    assert (order.interval, order.delay) == (6 * S, 6 * S)
    assert hear(Verdict.LOCAL, 7 * S) == [], "nobody's failure"
    assert core[target].retries == 0
    assert hear(Verdict.TIMEOUT, 13 * S) == []
    assert (order.interval, order.delay) == (0, S)
    (changed,) = hear(Verdict.STATUS, 14 * S, "LOADING")
    assert (changed.change, changed.mail) == (Change.DOWN, "=> REDIS_CHECK: failed on service <=")
    assert order.expect_success is False
    assert core[target].decided.text == "LOADING"  # type: ignore[union-attr]
    assert core[target].name == "REDIS_CHECK"
    (drop,) = core.remove(target)
    assert drop.runner


def test_a_runner_that_says_nothing_has_lost_its_orders() -> None:
    core = CheckCore()
    target, _ = core.add(service(), "one", 0, fresh=True)
    late = S + 2 * 6 * S + 2 * 2 * S + 15 * S
    assert core.silent(late) == []
    assert core.silent(late + 1) == [target]
    core.seen(Report(target, 0, Verdict.SUCCESS, 0, 0, 0, 0, text="PONG"), 5.0, 3, late)
    assert core.silent(late + 1) == []


def test_same_parameters() -> None:
    one = service()
    assert same_parameters(one, replace(one, retry=5, deadline=S, rise=2))
    assert not same_parameters(one, service(Service.LDAP))
    assert not same_parameters(one, replace(one, name="other"))
