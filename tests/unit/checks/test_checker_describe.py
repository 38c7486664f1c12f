"""The checker's part of the Snapshot."""

from fastha.checks.recipes import LastProbe, Report, Verdict
from fastha.model.snapshot import RealServerSnapshot, VirtualServerSnapshot
from fastha.model.table import Destination, Entry, Service
from fastha.model.units import S
from fastha.process.describe import Describer
from tests.check_builders import REFUSED, Lab, http, misc, plan, rs, tcp, vs

WALL = 1_000_000.0


def describe(lab: Lab, entry: Entry | None = None) -> VirtualServerSnapshot:
    (pool,) = lab.director.pools.values()
    return Describer(lab.director.core, lab.probes.last, WALL).virtual_server(
        pool, {pool.services[0]: entry} if entry is not None else {}
    )


def servers(lab: Lab, entry: Entry | None = None) -> tuple[RealServerSnapshot, ...]:
    return describe(lab, entry).real_servers


def test_before_anything_has_run() -> None:
    lab = Lab(plan(vs(rs(1, tcp(1), misc(dynamic=True)), sorry_server=rs(99))))
    shown = describe(lab)
    assert (shown.quorum_up, shown.weight_alive, shown.programmed) == (True, 1, False)
    assert (shown.sorry_server, shown.sorry_in_use) == ("10.0.1.99:80", False)
    assert [check.result for check in shown.real_servers[0].checkers] == ["not run yet", "not run yet"]
    assert [check.last_wall for check in shown.real_servers[0].checkers] == [0.0, 0.0]


def test_what_the_kernel_really_has() -> None:
    lab = Lab(plan(vs(rs(1, weight=3), rs(2))))
    (pool,) = lab.director.pools.values()
    first = next(iter(pool)).key
    entry = Entry(Service(), {first: Destination(weight=77)}, {first: (5, 6)})
    one, two = servers(lab, entry)
    assert (one.programmed, one.kernel_weight, one.active, one.inactive) == (True, 77, 5, 6)
    assert (one.weight, one.effective_weight) == (3, 3)
    assert (two.programmed, two.kernel_weight) == (False, None)


def test_results_times_and_retries() -> None:
    lab = Lab(plan(vs(rs(1, tcp(1, retry=2)), rs(2))))
    lab.run(2)
    lab.state["10.0.1.1"] = REFUSED
    lab.run(6)
    (check,) = servers(lab)[0].checkers
    assert (check.kind, check.target) == ("TCP_CHECK", "10.0.1.1:80")
    assert (check.up, check.has_run, check.result, check.retries_left) == (True, True, "connection refused", 0)
    lab.run(2)
    (check,) = servers(lab)[0].checkers
    assert (check.up, check.retries_left) == (False, 0)
    assert check.since_wall == WALL + 9
    assert check.last_wall == WALL + 9


def test_a_failed_status_names_the_url_that_failed() -> None:
    lab = Lab(plan(vs(rs(1, http(1, retry=0)), rs(2))))
    target = next(iter(lab.director.core)).target
    last = LastProbe(Verdict.STATUS, 0, 503, 1, 2 * S, 5, 1)
    describer = Describer(lab.director.core, lambda _target: last, 0.0)
    check = describer.checker(lab.director.core[target])
    assert (check.result, check.last_wall, check.lateness) == ("status 503 not in 200-299", 2.0, 5)


def test_scripts_and_suspended_checks() -> None:
    lab = Lab(plan(vs(rs(1, misc()), ha_suspend=True)))
    (check,) = servers(lab)[0].checkers
    assert check.result == "suspended; before: not run yet"
    target = next(iter(lab.director.core)).target
    lab.director.core.seen(Report(target, 0, Verdict.SUCCESS, 0, 0, 0, 0), 55.0, 7, 0)
    (check,) = servers(lab)[0].checkers
    assert (check.target, check.result, check.last_wall, check.lateness) == (
        "/bin/check",
        "suspended; before: exit 0",
        55.0,
        7,
    )
