"""share_checks: equal checks of several virtual servers run once, and all hear of it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fastha.checks.recipes import Verdict
from fastha.model.plan import CheckerPlan, VirtualServer
from fastha.model.units import S
from tests.check_builders import OK, REFUSED, Lab, misc, plan, rs, tcp, told, vs


def config(*services: VirtualServer) -> CheckerPlan:
    return plan(*services, share_checks=True)


def three(**words: object) -> CheckerPlan:
    """Three virtual servers on one real server, checked alike."""
    return config(*(vs(rs(1, tcp(1, retry=0, **words)), port=80 + number) for number in range(3)))


def test_one_probe_for_all_and_all_hear_of_it() -> None:
    lab = Lab(three())
    lab.run(10)
    assert len(lab.director.core) == 1
    assert lab.director.shared == 2
    runs = len(lab.runs)
    assert runs == 2
    lab.state["10.0.1.1"] = REFUSED
    assert told(lab.run(10)).count("RS 10.0.1.1 DOWN") == 3
    assert [lab.weights(number) for number in range(3)] == [{}] * 3
    lab.state.clear()
    assert told(lab.run(10)).count("RS 10.0.1.1 UP") == 3


def test_off_by_default() -> None:
    lab = Lab(replace(three(), share_checks=False))
    assert len(lab.director.core) == 3


def test_what_differs_in_a_word_is_not_shared() -> None:
    lab = Lab(
        config(vs(rs(1, tcp(1))), vs(rs(1, tcp(1, retry=5)), port=81), vs(rs(1, tcp(1)), port=82, ha_suspend=True))
    )
    assert len(lab.director.core) == 3


def test_the_first_one_may_go_and_the_last_one_ends_it() -> None:
    lab = Lab(three())
    lab.run(10)
    services = three().virtual_servers
    lab.reload(config(*services[1:]))
    assert len(lab.director.core) == 1
    lab.state["10.0.1.1"] = REFUSED
    assert told(lab.run(10)).count("RS 10.0.1.1 DOWN") == 2
    lab.reload(config())
    assert len(lab.director.core) == 0
    before = len(lab.runs)
    lab.run(20)
    assert len(lab.runs) == before


def test_who_comes_later_finds_the_state_there_is() -> None:
    lab = Lab(config(vs(rs(1, tcp(1, retry=0)), rs(2))))
    lab.state["10.0.1.1"] = REFUSED
    lab.run(10)
    lab.reload(config(vs(rs(1, tcp(1, retry=0)), rs(2)), vs(rs(1, tcp(1, retry=0)), rs(2), port=81)))
    assert lab.weights(1) == {"10.0.1.2": 1}
    assert len(lab.director.core) == 1


def test_a_changed_word_of_one_parts_it_and_of_all_keeps_one() -> None:
    lab = Lab(three())
    lab.state["10.0.1.1"] = REFUSED
    lab.run(10)
    _, *others = three().virtual_servers
    changed = three(log_all_failures=True).virtual_servers[0]
    lab.reload(config(changed, *others))
    assert len(lab.director.core) == 2
    assert all(not checker.up for checker in lab.director.core), "the one that parts takes the state along"
    lab.reload(three(log_all_failures=True))
    assert len(lab.director.core) == 1
    lab.state.clear()
    assert told(lab.run(10)).count("RS 10.0.1.1 UP") == 3


def test_weights_of_a_dynamic_script_reach_all() -> None:
    check = misc(dynamic=True)
    lab = Lab(config(vs(rs(1, check, weight=5)), vs(rs(1, check, weight=7), port=81)))
    lab.state["/bin/check"] = replace(OK, verdict=Verdict.EXIT, status=32)
    lab.run(10)
    assert lab.weights(0) == lab.weights(1) == {"10.0.1.1": 30}
    lab.reload(config(*lab.director.plan.virtual_servers, vs(rs(1, check, weight=9), port=82)))
    assert lab.weights(2) == {"10.0.1.1": 30}


LISTS = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 1)), min_size=0, max_size=4)


@settings(max_examples=40)
@given(st.lists(LISTS, min_size=1, max_size=4), st.lists(st.booleans(), min_size=12, max_size=12))
def test_shared_or_not_the_same_comes_of_it(configs: list[list[tuple[int, int]]], fails: list[bool]) -> None:
    """The same pools with the same servers lead to the same tables, whatever is reloaded in between."""

    def make(entries: list[tuple[int, int]], share: bool) -> CheckerPlan:
        services = (
            vs(rs(last, tcp(last, retry=retry, delay_loop=3 * S)), rs(9), port=80 + number)
            for number, (last, retry) in enumerate(entries)
        )
        return plan(*services, share_checks=share)

    labs = [Lab(make(configs[0], share)) for share in (False, True)]
    for number, entries in enumerate(configs):
        for lab, share in zip(labs, (False, True), strict=True):
            lab.reload(make(entries, share))
            lab.state = {f"10.0.1.{last}": REFUSED if fails[number * 3 + last - 1] else OK for last in (1, 2, 3)}
            lab.run(30)
        assert labs[0].kernel.table == labs[1].kernel.table
        assert len(labs[1].director.core) == len(set(entries))
        assert len(labs[0].director.core) == len(entries)
