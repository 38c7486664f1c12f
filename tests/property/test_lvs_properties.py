"""Quorum invariants, and a reload against a start with the new configuration."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fastha.checks.engine import Outcome
from fastha.checks.recipes import Verdict
from fastha.lvs.quorum import Pool, clamp_weight, pool_key
from fastha.lvs.wanted import wanted_table
from fastha.model.net import Address
from fastha.model.plan import CheckerPlan, Forwarding, Method, RealServer, ServiceEntry, VirtualServer
from fastha.model.units import S
from tests.check_builders import OK, REFUSED, Lab, http, misc, plan, rs, tcp, vs

lasts = st.integers(1, 5)


@st.composite
def real_servers(draw: st.DrawFn) -> RealServer:
    last = draw(lasts)
    alpha = draw(st.booleans())
    checks: list[Any] = []
    for kind in draw(st.lists(st.sampled_from(["tcp", "http", "misc"]), max_size=2, unique=True)):
        if kind == "tcp":
            checks.append(tcp(last, alpha=alpha, retry=draw(st.integers(0, 2)), delay_loop=draw(st.integers(2, 4)) * S))
        elif kind == "http":
            checks.append(http(last, alpha=alpha, urls=draw(st.sampled_from([("/a",), ("/a", "/b")]))))
        else:
            checks.append(misc(alpha=alpha, dynamic=draw(st.booleans())))
    method = Method(forwarding=draw(st.sampled_from([Forwarding.NAT, Forwarding.DR])))
    words = {"weight": draw(st.integers(0, 4)), "inhibit_on_failure": draw(st.booleans()), "method": method}
    return rs(last, *checks, **words)


@st.composite
def places(draw: st.DrawFn) -> dict[str, Any]:
    """Where a virtual server is: an address, or a group with entries that overlap those of others."""
    if draw(st.booleans()):
        return {"last": draw(st.integers(1, 2))}
    number = draw(st.integers(0, 1))
    entries = [
        ServiceEntry(address=Address("10.0.0.1"), port=80),
        ServiceEntry(address=Address("10.0.0.3"), port=81),
        ServiceEntry(fwmark=5),
    ]
    chosen = draw(st.lists(st.sampled_from(entries), min_size=1, unique=True))
    words = {"name": f"[g]:{number}", "group": "g", "sequence": number, "entries": tuple(chosen)}
    return {**words, "address": None, "port": 0}


@st.composite
def virtual_servers(draw: st.DrawFn) -> VirtualServer:
    quorum = draw(st.integers(1, 5))
    place = draw(places())
    return vs(
        *draw(st.lists(real_servers(), max_size=5, unique_by=lambda server: server.address)),
        **place,
        quorum=quorum,
        hysteresis=draw(st.integers(0, quorum - 1)),
        omega=draw(st.booleans()),
        sorry_server=draw(st.sampled_from([None, rs(1), rs(9)])),
        sorry_server_inhibit=draw(st.booleans()),
    )


plans = st.lists(virtual_servers(), max_size=2, unique_by=pool_key).map(lambda all_: plan(*all_))
happenings = st.lists(
    st.tuples(lasts, st.sampled_from([OK, REFUSED, Outcome(Verdict.TIMEOUT, 5 * S), Outcome(Verdict.LOCAL)])),
    max_size=8,
)
scripts = st.lists(st.sampled_from([OK, Outcome(Verdict.EXIT, status=1), Outcome(Verdict.EXIT, status=9)]), max_size=4)


def check_invariants(lab: Lab) -> None:
    assert lab.errors == [], "the kernel never had to say no"
    for pool in lab.director.pools.values():
        check_pool(lab, pool)
    assert lab.kernel.table == wanted_table(lab.director.services)


def check_pool(lab: Lab, pool: Pool) -> None:
    weight = sum(clamp_weight(server.effective_weight) for server in pool if server.alive)
    assert pool.alive_weight == weight, "W is the sum, though never summed"
    quorum, hysteresis = pool.plan.quorum, pool.plan.hysteresis
    if pool.quorum_up:
        assert weight > 0
        assert weight >= quorum - hysteresis
    else:
        assert weight < quorum + hysteresis
    assert pool.sorry_in_use == (pool.plan.sorry_server is not None and not pool.quorum_up)
    for server in pool:
        states = [lab.director.core[target].up for target in server.checkers]
        assert server.alive == all(states)
        assert server.failed == states.count(False)


def live(lab: Lab, happens: list[tuple[int, Outcome]], script: list[Outcome]) -> None:
    for number, (last, outcome) in enumerate(happens):
        lab.state[f"10.0.1.{last}"] = outcome
        if number < len(script):
            lab.state["/bin/check"] = script[number]
        lab.run(5)
        check_invariants(lab)


@given(plans, happenings, scripts)
def test_quorum_and_the_wanted_table_follow_the_servers(
    config: CheckerPlan, happens: list[tuple[int, Outcome]], script: list[Outcome]
) -> None:
    lab = Lab(config)
    check_invariants(lab)
    live(lab, happens, script)
    lab.stop()
    assert lab.kernel.table == {}


@given(plans, happenings, scripts)
def test_notices_alternate(config: CheckerPlan, happens: list[tuple[int, Outcome]], script: list[Outcome]) -> None:
    """A virtual server is told up and down in turn; so is a server, but that a failing first result repeats DOWN."""
    lab = Lab(config)
    live(lab, happens, script)
    last: dict[str, str] = {}
    for notice in lab.notices:
        if not notice.state:
            continue
        repeated = last.get(notice.kind + notice.name) == notice.state
        assert not repeated or (notice.kind == "RS" and notice.state == "DOWN")
        last[notice.kind + notice.name] = notice.state


@given(plans, plans, happenings, scripts)
def test_after_a_reload_all_is_as_after_a_start_once_everything_was_heard(
    old: CheckerPlan, new: CheckerPlan, happens: list[tuple[int, Outcome]], script: list[Outcome]
) -> None:
    """reload(A -> B) == start(B) but for what is kept: state until the first results, the quorum inside hysteresis."""
    reloaded = Lab(old)
    live(reloaded, happens, script)
    reloaded.reload(new)
    check_invariants(reloaded)
    started = Lab(new)
    started.state = dict(reloaded.state)
    for lab in (reloaded, started):
        lab.state = {name: OK if state.verdict == Verdict.LOCAL else state for name, state in lab.state.items()}
        lab.run(120)
        check_invariants(lab)
    assert list(reloaded.director.pools) == list(started.director.pools), "in the order of the file"
    for one, other in zip(reloaded.director.pools.values(), started.director.pools.values(), strict=True):
        assert one.plan == other.plan
        assert one.alive_weight == other.alive_weight
        assert list(one.servers) == list(other.servers)
        assert [server.alive for server in one] == [server.alive for server in other]
        if not one.plan.hysteresis:
            assert one.quorum_up == other.quorum_up
    assert list(reloaded.director.services) == list(started.director.services)
    for at, pools in reloaded.director.services.items():
        if not any(pool.plan.hysteresis for pool in pools):
            assert reloaded.kernel.table.get(at) == started.kernel.table.get(at)


@given(plans, happenings, scripts)
def test_a_reload_of_the_same_changes_nothing(
    config: CheckerPlan, happens: list[tuple[int, Outcome]], script: list[Outcome]
) -> None:
    lab = Lab(config)
    live(lab, happens, script)
    writes = lab.kernel.writes
    generations = [checker.generation for checker in lab.director.core]
    assert lab.reload(config) == []
    assert lab.kernel.writes == writes
    assert [checker.generation for checker in lab.director.core] == generations, "every order stands"


@given(plans, happenings)
def test_a_crash_and_a_start_leave_the_kernel_as_it_was(
    config: CheckerPlan, happens: list[tuple[int, Outcome]]
) -> None:
    """What the process before knew of each server's checks is in the kernel's table, unless a sorry server hides it."""
    lab = Lab(config)
    live(lab, happens, [])
    if any(pool.plan.sorry_server is not None or pool.plan.hysteresis for pool in lab.director.pools.values()):
        return
    if any(len(pools) > 1 for pools in lab.director.services.values()):
        return  # whose server it is that is there, the kernel does not say
    again = Lab(config, kernel=lab.kernel.table, ours=set(lab.kernel.table))
    assert again.kernel.writes == 0
