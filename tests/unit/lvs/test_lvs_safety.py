"""Words of our own: servers that drain, start slowly, and a pool that checks alone cannot empty."""

from pathlib import Path

from fastha.model.net import Address
from fastha.model.plan import Drift
from fastha.model.table import DestinationKey
from fastha.model.units import S
from fastha.process.describe import Describer
from fastha.process.programmer import CHECK_EVERY
from tests.check_builders import OK, REFUSED, Lab, plan, rs, tcp, told, vs
from tests.unit.lvs.test_programmer import KEY, Bench

ONE, TWO, THREE = "10.0.1.1", "10.0.1.2", "10.0.1.3"


def tick(lab: Lab, seconds: int) -> None:
    """Let time pass as the process does, second by second."""
    for _ in range(seconds):
        lab.run(1)
        lab.director.tick(lab.now)
        lab.settle()


# ---------------------------------------------------------------------------------------------- drain


def test_a_removed_server_stays_at_weight_0_for_a_time() -> None:
    lab = Lab(plan(vs(rs(1, weight=3), rs(2), drain_time=5 * S)))
    lab.reload(plan(vs(rs(2), drain_time=5 * S)))
    assert lab.weights() == {TWO: 1, ONE: 0}
    (pool,) = lab.director.pools.values()
    shown = Describer(lab.director.core, lab.probes.last, 0.0).virtual_server(pool, lab.kernel.table)
    assert shown.draining == ("[10.0.1.1]:tcp:80",)
    tick(lab, 4)
    assert lab.weights() == {TWO: 1, ONE: 0}
    tick(lab, 1)
    assert lab.weights() == {TWO: 1}
    assert lab.errors == []


def test_a_server_that_comes_back_while_it_drains() -> None:
    lab = Lab(plan(vs(rs(1, weight=3), rs(2), drain_time=5 * S)))
    lab.reload(plan(vs(rs(2), drain_time=5 * S)))
    lab.reload(plan(vs(rs(1, weight=3), rs(2), drain_time=5 * S)))
    assert lab.weights() == {ONE: 3, TWO: 1}
    tick(lab, 10)
    assert lab.weights() == {ONE: 3, TWO: 1}


def weights_of_the_first(lab: Lab) -> dict[str, int]:
    """In the service that `vs` makes, whether it is configured or not."""
    return {str(key.address): each.weight for key, each in lab.kernel.table[KEY].destinations.items()}


def test_a_removed_service_drains_as_a_whole_and_goes() -> None:
    other = vs(rs(3), address=Address("10.0.0.2"), sorry_server=rs(9))
    lab = Lab(plan(vs(rs(1, tcp(1), weight=3), rs(2, tcp(2)), sorry_server=rs(9), drain_time=5 * S), other))
    lab.state[TWO] = REFUSED
    lab.run(20)
    assert told(lab.reload(plan(other)))[-1] == "VS DOWN"
    assert weights_of_the_first(lab) == {ONE: 0}
    tick(lab, 4)
    assert KEY in lab.kernel.table
    tick(lab, 2)
    assert set(lab.kernel.table) == {KEY._replace(address=Address("10.0.0.2"))}


def test_a_service_that_comes_back_while_it_drains() -> None:
    first, other = vs(rs(1, weight=3), drain_time=5 * S), vs(rs(3), address=Address("10.0.0.2"))
    lab = Lab(plan(first, other))
    lab.reload(plan(other))
    lab.reload(plan(first, other))
    assert lab.weights() == {ONE: 3}
    tick(lab, 10)
    assert lab.weights() == {ONE: 3}


def test_a_sorry_server_in_use_drains_with_its_service() -> None:
    other = vs(rs(3), address=Address("10.0.0.2"))
    lab = Lab(plan(vs(rs(1, tcp(1)), sorry_server=rs(9), drain_time=5 * S), other))
    lab.state[ONE] = REFUSED
    lab.run(20)
    lab.reload(plan(other))
    assert weights_of_the_first(lab) == {"10.0.1.9": 0}


def test_dead_servers_have_nothing_to_drain() -> None:
    lab = Lab(plan(vs(rs(1, tcp(1)), rs(2), drain_time=5 * S)))
    lab.state[ONE] = REFUSED
    lab.run(20)
    lab.reload(plan(vs(rs(2), drain_time=5 * S)))
    assert lab.weights() == {TWO: 1}


# ----------------------------------------------------------------------------------------- slow start


def test_weight_rises_over_the_time_of_a_slow_start() -> None:
    lab = Lab(plan(vs(rs(1, tcp(1), weight=100), rs(2, weight=100), slow_start=10 * S)))
    assert lab.weights() == {ONE: 100, TWO: 100}, "not at the start"
    lab.state[ONE] = REFUSED
    lab.run(20)
    lab.state[ONE] = OK
    while ONE not in lab.weights():
        lab.run(1)
    assert lab.weights()[ONE] == 1
    (pool,) = lab.director.pools.values()
    assert pool.alive_weight == 200, "quorum counts what is configured"
    seen = []
    for _ in range(12):
        tick(lab, 1)
        seen.append(lab.weights()[ONE])
    assert seen == [1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 100]


def test_a_slow_start_ends_with_the_next_failure_or_with_its_word() -> None:
    lab = Lab(plan(vs(rs(1, tcp(1), weight=100), rs(2), slow_start=100 * S)))
    lab.state[ONE] = REFUSED
    lab.run(20)
    lab.state[ONE] = OK
    lab.run(10)
    tick(lab, 10)
    assert 1 <= lab.weights()[ONE] <= 10
    lab.reload(plan(vs(rs(1, tcp(1), weight=100), rs(2))))
    tick(lab, 1)
    assert lab.weights()[ONE] == 100


# ----------------------------------------------------------------------------------------------- panic


def test_below_the_threshold_all_servers_serve() -> None:
    lab = Lab(plan(vs(rs(1, tcp(1)), rs(2, tcp(2)), rs(3, tcp(3)), panic_threshold=50)))
    lab.state[ONE] = REFUSED
    lab.run(20)
    assert sorted(lab.weights()) == [TWO, THREE]
    lab.state[TWO] = REFUSED
    lab.run(20)
    assert sorted(lab.weights()) == [ONE, TWO, THREE]
    assert any("all servers serve, whatever their checks say: 1 of 3" in line for line in lab.lines)
    (pool,) = lab.director.pools.values()
    assert Describer(lab.director.core, lab.probes.last, 0.0).virtual_server(pool, lab.kernel.table).panics
    lab.state[TWO] = OK
    lab.run(20)
    assert sorted(lab.weights()) == [TWO, THREE]
    assert any("checks decide again: 2 of 3" in line for line in lab.lines)


def test_a_sorry_server_is_preferred_to_servers_that_failed() -> None:
    lab = Lab(plan(vs(rs(1, tcp(1)), panic_threshold=50, sorry_server=rs(99))))
    lab.state[ONE] = REFUSED
    lab.run(20)
    assert lab.weights() == {"10.0.1.99": 1}


# ------------------------------------------------------------------------------------------------ flaps


def flap(lab: Lab) -> list[str]:
    """Fall, and come up again; what was told."""
    lab.state[ONE] = REFUSED
    found = told(lab.run(10))
    lab.state[ONE] = OK
    found += told(lab.run(10))
    lab.director.tick(lab.now)
    lab.settle()
    return found


def test_a_server_that_falls_too_often_is_held() -> None:
    lab = Lab(plan(vs(rs(1, tcp(1)), rs(2), flap_damping=(3, 60 * S))))
    for _ in range(2):
        assert flap(lab) == ["RS 10.0.1.1 DOWN", "RS 10.0.1.1 UP"]
    assert flap(lab) == ["RS 10.0.1.1 DOWN"]
    assert lab.weights() == {TWO: 1}
    (pool,) = lab.director.pools.values()
    shown = Describer(lab.director.core, lab.probes.last, 0.0).virtual_server(pool, lab.kernel.table)
    assert [(server.alive, server.held) for server in shown.real_servers] == [(False, True), (True, False)]
    before = len(lab.notices)
    tick(lab, 45)
    assert lab.weights() == {TWO: 1}
    tick(lab, 16)
    assert lab.weights() == {TWO: 1, ONE: 1}
    assert told(lab.notices[before:]) == ["RS 10.0.1.1 UP"]
    assert flap(lab) == ["RS 10.0.1.1 DOWN", "RS 10.0.1.1 UP"], "it counts anew"


def test_falls_far_apart_do_no_harm_and_a_held_server_starts_its_time_anew_when_it_falls() -> None:
    lab = Lab(plan(vs(rs(1, tcp(1)), rs(2), flap_damping=(2, 40 * S))))
    for _ in range(3):
        assert flap(lab) == ["RS 10.0.1.1 DOWN", "RS 10.0.1.1 UP"]
        lab.run(60)
    flap(lab)
    flap(lab)
    assert lab.weights() == {TWO: 1}
    flap(lab)
    tick(lab, 10)
    assert lab.weights() == {TWO: 1}
    lab.reload(plan(vs(rs(1, tcp(1)), rs(2, weight=2))))
    tick(lab, 1)
    assert sorted(lab.weights()) == [ONE, TWO], "without the word nobody is held"


# ---------------------------------------------------------------------------------------------- backups


def test_backups_serve_while_the_others_have_no_quorum_and_the_sorry_server_after_them() -> None:
    servers = (rs(1, tcp(1)), rs(2, tcp(2)), rs(3, tcp(3), backup=True))
    lab = Lab(plan(vs(*servers, quorum=2, sorry_server=rs(99))))
    assert sorted(lab.weights()) == [ONE, TWO]
    lab.state[ONE] = REFUSED
    assert told(lab.run(20)) == ["RS 10.0.1.1 DOWN", "VS DOWN"]
    assert sorted(lab.weights()) == [TWO, THREE], "beside what is left"
    (pool,) = lab.director.pools.values()
    assert Describer(lab.director.core, lab.probes.last, 0.0).virtual_server(pool, lab.kernel.table).backup_in_use
    lab.state[THREE] = REFUSED
    lab.run(20)
    assert sorted(lab.weights()) == ["10.0.1.99"]
    lab.state[THREE] = OK
    lab.run(20)
    assert sorted(lab.weights()) == [TWO, THREE]
    lab.state[ONE] = OK
    assert told(lab.run(20)) == ["RS 10.0.1.1 UP", "VS UP"]
    assert sorted(lab.weights()) == [ONE, TWO]
    assert any("backups serve no more" in line for line in lab.lines)


def test_a_backup_that_becomes_an_ordinary_server() -> None:
    lab = Lab(plan(vs(rs(1), rs(2, backup=True, weight=5))))
    (pool,) = lab.director.pools.values()
    assert (pool.alive_weight, pool.alive_count, pool.backups_alive) == (1, 1, 1)
    lab.reload(plan(vs(rs(1), rs(2, weight=5))))
    assert (pool.alive_weight, pool.alive_count, pool.backups_alive) == (6, 2, 0)
    assert lab.weights() == {ONE: 1, TWO: 5}
    lab.reload(plan(vs(rs(1, backup=True))))
    assert (pool.alive_weight, pool.alive_count, pool.backups_alive) == (0, 0, 1)
    assert lab.weights() == {ONE: 1}, "nobody else is there"


# ----------------------------------------------------------------------------------------------- drift


def meddle(bench: Bench) -> None:
    del bench.plane.kernel.table[KEY].destinations[DestinationKey(Address(ONE), 80)]


def test_drift_is_reported_once_and_left(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.start()
    bench.programmer.drift = Drift.REPORT
    meddle(bench)
    for _ in range(3):
        bench.tick(CHECK_EVERY / S)
    assert bench.weights() == {TWO: 1}
    assert sum("the table was changed by others" in line for line in bench.log) == 1
    assert bench.programmer.drifted == ("tcp [10.0.0.1]:80: add [10.0.1.1]:80 would put it right",)
    assert bench.programmer.counters["plane_drift"] == 1
    bench.programmer.drift = Drift.REPAIR
    bench.tick(CHECK_EVERY / S)
    assert bench.weights() == {TWO: 1, ONE: 1}
    assert bench.programmer.drifted == ()


def test_drift_is_ignored_without_a_look(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.start()
    bench.programmer.drift = Drift.IGNORE
    meddle(bench)
    reads = bench.programmer.counters["plane_reads"]
    bench.tick(10 * CHECK_EVERY / S)
    assert bench.weights() == {TWO: 1}
    assert bench.programmer.counters["plane_reads"] == reads
