"""Adverts while BACKUP: who is believed, and what happens to the master-down timer."""

import pytest

from fastha.model.plan import Track
from fastha.model.units import MS, S
from fastha.vrrp import actions, events
from fastha.vrrp.orders import Mode
from tests.unit.vrrp.bench import HIGHER, LOWER, Bench, instance


@pytest.mark.parametrize("source", [HIGHER, LOWER])
@pytest.mark.parametrize("priority", [100, 101, 255])
def test_a_priority_not_lower_is_the_master_whatever_its_address(priority: int, source: object) -> None:
    bench = Bench().start()
    bench.now += 2 * S
    bench.hear(priority, source, at=bench.now - 3 * MS)  # type: ignore[arg-type]
    order = bench.order()
    assert order.deadline == bench.now - 3 * MS + bench[0].master_down_interval
    assert order.restart == bench[0].master_down_interval
    assert (order.expected, order.expected_source, order.expected_ttl) == (
        bench.advert(priority, source).payload,  # type: ignore[arg-type]
        source,
        255,
    )
    assert (bench[0].master_address, bench[0].master_priority) == (source, priority)


def test_an_advert_looked_at_too_late_leaves_time_for_those_behind_it() -> None:
    bench = Bench().start()
    bench.hear(200, at=bench.now - 20 * S)
    assert bench.order().deadline == bench.now + S + bench[0].skew_time
    bench.hear(200, at=bench.now - S)
    assert bench.order().deadline == bench.now - S + bench[0].master_down_interval


def test_a_lower_priority_is_discarded_and_the_timer_runs_on() -> None:
    bench = Bench().start().hear(99)
    assert bench.new_orders() == []
    assert bench.logged() == "(VI) received lower priority (99) advert from 10.0.0.6 - discarding"
    assert bench[0].master_address == HIGHER


def test_priority_0_leaves_only_the_skew() -> None:
    bench = Bench().start().hear(200)
    bench.now += S
    bench.hear(0)
    assert bench.order().deadline == bench.now + bench[0].skew_time
    assert bench.order().expected == b""
    assert bench[0].stats["pri_zero_rcvd"] == 1


def test_nopreempt_believes_a_lower_priority() -> None:
    bench = Bench(instance(nopreempt=True)).start().hear(1)
    assert bench.order().expected


def test_state_master_cancels_nopreempt_and_preempt_delay() -> None:
    bench = Bench(instance(nopreempt=True, initial_master=True)).start().hear(1)
    assert bench.new_orders() == []
    bench = Bench(instance(preempt_delay=9 * S, initial_master=True)).start().hear(1)
    assert bench.new_orders() == []


class TestPreemptDelay:
    def bench(self) -> Bench:
        return Bench(instance(preempt_delay=10 * S)).start().hear(50)

    def test_a_lower_priority_is_believed_while_it_runs(self) -> None:
        assert self.bench().order().expected

    def test_it_ends_though_the_engine_takes_the_adverts_meanwhile(self) -> None:
        bench = self.bench().after(10 * S)
        order = bench.new_orders()[-1]
        assert (order.mode, order.shift, order.expected) == (Mode.LISTEN, 0, b"")
        bench.hear(50)
        assert bench.new_orders() == []
        bench.down()
        assert bench.state == "MASTER"

    def test_a_priority_not_lower_stops_it(self) -> None:
        bench = self.bench().hear(100).after(20 * S)
        assert bench.new_orders() == []
        bench.hear(50)
        assert bench.core.deadline() == bench.now + 10 * S

    def test_priority_0_does_not_start_it(self) -> None:
        bench = Bench(instance(preempt_delay=10 * S)).start().hear(0)
        assert bench.core.deadline() is None

    def test_entering_backup_clears_it(self) -> None:
        bench = self.bench().link(up=False).link()
        assert bench.core.deadline() is None


def test_version_3_learns_the_masters_interval() -> None:
    bench = Bench(instance(version=3, priority=100)).start()
    bench.hear(200, message={"interval": 100 * MS})
    assert bench[0].master_adver_int == 100 * MS
    assert bench[0].master_down_interval == 300 * MS + 60_937_000
    assert bench.order().interval == 100 * MS
    bench.down()
    assert bench.order().interval == S  # a master transmits at its own


def test_a_discarded_advert_teaches_nothing() -> None:
    bench = Bench(instance(version=3)).start().hear(50, message={"interval": 100 * MS})
    assert bench[0].master_adver_int == S


@pytest.mark.parametrize("state", ["INIT", "FAULT"])
def test_init_and_fault_drop_adverts_unread(state: str) -> None:
    bench = Bench()
    if state == "FAULT":
        bench.source().say(events.Start())
    assert bench.state == state
    bench.source().hear(200)
    assert bench.said == []
    assert bench[0].stats["advert_rcvd"] == 0


class TestMasterDown:
    def test_becomes_master_in_this_order(self) -> None:
        bench = Bench().start()
        bench.now += 4 * S
        bench.down()
        kinds = [type(a) for a in bench.said]
        assert kinds == [actions.Log, actions.Give, actions.WantAddresses, actions.Announce, actions.Tell]
        assert bench.logged() == "(VI) Entering MASTER STATE"
        order = bench.order()
        assert (order.mode, order.first, order.interval) == (Mode.SPEAK, bench.now, S)
        assert [m.priority for m in bench.sent()] == [100]
        assert bench.told() == [("VI", "MASTER")]
        assert bench[0].stats["become_master"] == 1

    def test_looked_at_too_late_is_judged_once_more(self) -> None:
        bench = Bench().start().hear(200)
        late = events.MasterDown(0, bench[0].generation, bench.now)
        bench.now += S + 1
        bench.say(late)
        assert bench.state == "BACKUP"
        order = bench.order()
        assert (order.deadline, order.expected_source) == (bench.now + bench[0].grace, HIGHER)
        late = events.MasterDown(0, bench[0].generation, bench.now)
        bench.now += 9 * S
        assert bench.say(late).state == "MASTER"

    def test_looked_at_too_late_before_any_advert_too(self) -> None:
        bench = Bench().start()
        late = events.MasterDown(0, bench[0].generation, bench.now)
        bench.now += 2 * S
        assert bench.say(late).state == "BACKUP"

    def test_of_an_earlier_order_is_dropped(self) -> None:
        bench = Bench().start()
        before = bench[0].generation
        bench.hear(200).say(events.MasterDown(0, before, bench.now))
        assert bench.state == "BACKUP"

    def test_of_nobody_is_dropped(self) -> None:
        assert Bench().start().say(events.MasterDown(9, 1, 0)).said == []

    def test_means_nothing_to_a_master(self) -> None:
        bench = Bench().master()
        assert bench.down().said == []


def test_a_changed_priority_moves_the_timer_by_the_difference() -> None:
    bench = Bench(instance(track_scripts=(Track(name="chk", weight=-50),))).start().hear(100)
    before = bench[0].master_down_interval
    bench.say(events.ScriptResult("chk", up=False))
    order = bench.order()
    assert "(VI) Changing effective priority from 100 to 50" in bench.logged()
    assert order.shift == bench[0].master_down_interval - before == 195_312_000
    assert order.expected == b""  # what outranked us is judged anew


def test_priority_changes_are_told_when_asked_for() -> None:
    tracks = (Track(name="chk", weight=-50),)
    bench = Bench(instance(track_scripts=tracks, notify_priority_changes=True)).start()
    bench.say(events.ScriptResult("chk", up=False))
    assert bench.asked(actions.Tell) == [actions.Tell("INSTANCE", "VI", "BACKUP_PRIORITY", 50)]
    bench.down().say(events.ScriptResult("chk", up=True))
    assert bench.asked(actions.Tell) == [actions.Tell("INSTANCE", "VI", "MASTER_PRIORITY", 100)]
