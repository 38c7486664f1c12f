"""Reload: who goes on, who comes, who goes."""

from dataclasses import replace

import pytest

from fastha.model.net import Address
from fastha.model.plan import SyncGroup, Track, UnicastPeer, VirtualAddress, VrrpInstance
from fastha.model.units import MS, S
from fastha.vrrp import actions, events
from fastha.vrrp.orders import Mode
from tests.unit.vrrp.bench import LOWER, Bench, instance

SPARE = VirtualAddress(address=Address("10.0.0.101"), prefixlen=24, dev="eth0")


def reload(bench: Bench, *plans: VrrpInstance, **words: object) -> Bench:
    bench.now += S
    return bench.say(events.Reload(replace(bench.plan, instances=plans, **words)))  # type: ignore[arg-type]


def test_a_master_stays_master_speaks_at_once_and_tells_nobody() -> None:
    bench = Bench(instance(garp_master_delay=0)).master()
    reload(bench, instance(priority=50, garp_master_delay=0))
    assert bench.state == "MASTER"
    assert [m.priority for m in bench.sent()] == [50]
    assert bench.told() == []
    assert bench.asked(actions.WantAddresses) == [actions.WantAddresses(0, present=True)]
    assert bench.asked(actions.Announce) == []
    assert bench.said[0] == actions.Rebuild()


def test_a_rename_keeps_the_state() -> None:
    bench = reload(Bench().master(), instance("NEW"))
    assert bench.core.states() == {"NEW": "MASTER"}


def test_what_moved_is_told_once_under_the_name_of_now() -> None:
    bench = Bench().master()
    assert {name: one.state for name, one in bench.core.moved().items()} == {"VI": "MASTER"}
    assert bench.core.moved() == {}
    reload(bench, instance("NEW"))
    assert {name: one.state for name, one in bench.core.moved().items()} == {"NEW": "MASTER"}
    reload(bench, instance("OTHER", virtual_router_id=99))
    assert set(bench.core.moved()) == {"OTHER"}


def test_the_advert_of_a_takeover_is_made_while_there_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench().start()
    with monkeypatch.context() as patched:
        patched.setattr("fastha.vrrp.instance.wire.build", lambda *_, **__: pytest.fail("made in a failover"))
        bench.now += 40 * S
        bench.down()
    assert bench.state == "MASTER"
    assert [m.priority for m in bench.sent()] == [100]
    reload(bench, instance(priority=50))
    assert [m.priority for m in bench.sent()] == [50]


def test_an_added_address_is_announced_with_the_delayed_burst() -> None:
    bench = reload(Bench().master().after(10 * S), instance(excluded_addresses=(SPARE,)))
    assert len(bench.asked(actions.Announce)) == 1
    assert bench.after(5 * S - 1).asked(actions.Announce) == []
    assert len(bench.after(1).asked(actions.Announce)) == 1


@pytest.mark.parametrize("words", [{"prefixlen": 25}, {"label": "eth0:v"}, {"scope": 253}])
def test_an_address_with_other_options_is_put_there_anew_and_announced(words: dict[str, object]) -> None:
    before = Bench(instance(excluded_addresses=(SPARE,))).master().after(10 * S)
    bench = reload(before, instance(excluded_addresses=(replace(SPARE, **words),)))  # type: ignore[arg-type]
    assert bench.state == "MASTER"
    assert len(bench.asked(actions.Announce)) == 1


def test_a_refresh_announces_without_the_delayed_burst() -> None:
    bench = reload(Bench().master().after(10 * S), instance(garp_master_refresh=60 * S))
    assert len(bench.asked(actions.Announce)) == 1
    assert bench.core.deadline() == bench.now + 60 * S


def test_removed_addresses_that_wait_are_not_announced() -> None:
    words = {"garp_interval": S, "garp_master_delay": 0, "garp_master_repeat": 9}
    bench = reload(Bench(instance(excluded_addresses=(SPARE,), **words)).master(), instance(**words))
    announced = {a for x in bench.after(60 * S).asked(actions.Announce) for _, a in x.addresses}
    assert announced == {"10.0.0.100"}


def test_a_backup_waits_a_whole_time_and_unlearns_the_interval() -> None:
    bench = Bench(instance(version=3)).start().hear(200, message={"interval": 100 * MS})
    reload(bench, instance(version=3))
    order = bench.order()
    assert (order.mode, order.deadline, order.expected) == (Mode.LISTEN, bench.now + bench[0].master_down_interval, b"")
    assert bench[0].master_adver_int == S
    assert bench.told() == []


def test_what_was_under_way_is_not_kept() -> None:
    delayed = instance(preempt_delay=10 * S)
    bench = reload(Bench(delayed).start().hear(50), delayed)
    assert bench.core.deadline() is None
    owner = instance(priority=255, garp_master_delay=0, garp_lower_prio_delay=0)
    bench = reload(Bench(owner).master().hear(255, LOWER), owner)
    assert bench.core.deadline() is None
    bench = reload(Bench().start().hear(200, ttl=1), instance())
    assert bench.hear(200, ttl=1).logged()


def test_statistics_are_kept() -> None:
    assert reload(Bench().master(), instance())[0].stats["become_master"] == 1


def test_removed_gives_up_and_is_told_as_fault() -> None:
    bench = Bench(instance(), instance("B", virtual_router_id=52)).master()
    reload(bench, instance("B", virtual_router_id=52))
    kinds = [type(a) for a in bench.said[:5]]
    assert kinds == [actions.Send, actions.Give, actions.Send, actions.WantAddresses, actions.Tell]
    assert bench.told() == [("VI", "FAULT")]
    assert bench.core.states() == {"B": "MASTER"}
    assert [e.instance for e in bench.core.endpoints()] == [1]


def test_removed_is_told_as_deleted_when_asked_for() -> None:
    bench = Bench(instance(notify_deleted=True)).master()
    assert reload(bench).told() == [("VI", "DELETED")]


def test_removed_in_fault_is_not_told() -> None:
    assert reload(Bench().start().link(up=False)).told() == []


def test_what_is_not_the_same_router_begins_anew() -> None:
    peers = (UnicastPeer(address=Address("10.0.0.9")),)
    for other in (
        instance(virtual_router_id=52),
        instance(group=Address("224.0.0.19")),
        instance(unicast_peers=peers),
        instance(family=6, group=Address("ff02::12")),
    ):
        bench = reload(Bench().master(), other)
        assert bench.core.states() == {"VI": "BACKUP"}
        assert [e.instance for e in bench.core.endpoints()] == [1]  # index 0 may still be on its way


def test_an_index_is_used_again_later_and_its_generation_goes_on() -> None:
    bench = Bench().master()
    generation = bench[0].generation
    reload(bench)
    reload(bench, instance(virtual_router_id=9))
    assert bench[0].generation > generation


def test_fault_before_is_judged_anew() -> None:
    bench = Bench(instance(track_interfaces=(Track(name="eth7"),))).start()
    assert bench.state == "FAULT"
    reload(bench, instance())
    assert bench.state == "BACKUP"
    assert bench.told() == [("VI", "BACKUP")]


def test_fault_now_ends_mastership() -> None:
    bench = reload(Bench().master(), instance(track_interfaces=(Track(name="eth7"),)))
    assert bench.state == "FAULT"
    assert [m.priority for m in bench.sent()] == [0, 0]


def test_a_new_script_without_result_does_not_stop_who_runs() -> None:
    bench = reload(Bench().master(), instance(track_scripts=(Track(name="new"),)))
    assert bench.state == "MASTER"
    assert bench.say(events.ScriptResult("new", up=False)).state == "FAULT"


def test_results_of_trackers_are_kept_though_nobody_tracks_them_for_a_while() -> None:
    tracks = (Track(name="chk", weight=-10),)
    bench = Bench(instance(track_scripts=tracks)).start().say(events.ScriptResult("chk", up=False))
    reload(bench, instance(track_scripts=tracks, priority=120))
    assert bench[0].effective == 110
    reload(bench, instance())
    reload(bench, instance(track_scripts=tracks))
    assert bench[0].effective == 90


def test_a_master_in_a_group_that_is_not_all_master_steps_back_to_return_soon() -> None:
    a, b = instance("A"), instance("B", virtual_router_id=52)
    bench = Bench(a).master()
    reload(bench, a, b, sync_groups=(SyncGroup(name="G", members=("A", "B")),))
    assert bench.core.states() == {"A": "BACKUP", "B": "BACKUP"}
    assert bench.order(0).deadline == bench.now + S + 3_906_000
    assert bench.told() == [("G", "BACKUP"), ("A", "BACKUP"), ("B", "BACKUP")]


def test_a_group_in_fault_takes_a_new_master_along() -> None:
    a, b = instance("A"), instance("B", virtual_router_id=52, track_interfaces=(Track(name="eth7"),))
    bench = Bench(a, b).start().down(0)
    assert bench.core.states() == {"A": "MASTER", "B": "FAULT"}
    reload(bench, a, b, sync_groups=(SyncGroup(name="G", members=("A", "B")),))
    assert bench.core.states() == {"A": "FAULT", "B": "FAULT"}
    assert bench.told() == [("A", "FAULT"), ("G", "FAULT")]


def test_backups_that_come_together_are_a_group_in_backup() -> None:
    a, b = instance("A"), instance("B", virtual_router_id=52)
    bench = reload(Bench(a, b).start(), a, b, sync_groups=(SyncGroup(name="G", members=("A", "B")),))
    assert bench.told() == [("G", "BACKUP")]
    assert reload(bench, a, b, sync_groups=(SyncGroup(name="G", members=("A", "B")),)).told() == []
    assert bench.core.snapshot(bench.now, 0.0).sync_groups[0].state == "BACKUP"


def test_a_new_member_begins_with_one_whose_fault_ends() -> None:
    bench = Bench(instance("A", track_interfaces=(Track(name="eth7"),))).start()
    assert bench.state == "FAULT"
    group = (SyncGroup(name="G", members=("A", "B")),)
    reload(bench, instance("A"), instance("B", virtual_router_id=52), sync_groups=group)
    assert bench.core.states() == {"A": "BACKUP", "B": "BACKUP"}


def test_an_owner_begins_with_another_whose_fault_ends_the_ordinary_way() -> None:
    bench = Bench(instance("A", priority=255, track_interfaces=(Track(name="eth7"),))).start()
    group = (SyncGroup(name="G", members=("A", "B")),)
    b = instance("B", priority=255, virtual_router_id=52)
    reload(bench, instance("A", priority=255), b, sync_groups=group)
    assert bench.core.states() == {"A": "BACKUP", "B": "BACKUP"}


def test_a_running_member_waits_in_fault_with_one_that_has_no_result_yet() -> None:
    a, b = instance("A"), instance("B", virtual_router_id=52, track_interfaces=(Track(name="eth7"),))
    bench = Bench(a, b).start()
    b = instance("B", virtual_router_id=52, track_scripts=(Track(name="chk"),))
    reload(bench, a, b, sync_groups=(SyncGroup(name="G", members=("A", "B")),))
    assert bench.core.states() == {"A": "FAULT", "B": "FAULT"}
    bench.say(events.ScriptResult("chk", up=True))
    assert bench.core.states() == {"A": "BACKUP", "B": "BACKUP"}


def test_a_master_and_a_backup_that_come_together_are_backup() -> None:
    a, b = instance("A"), instance("B", virtual_router_id=52)
    bench = Bench(a, b).start().down(0)
    reload(bench, a, b, sync_groups=(SyncGroup(name="G", members=("A", "B")),))
    assert bench.core.states() == {"A": "BACKUP", "B": "BACKUP"}
    assert bench.order(0).deadline == bench.now + S + 3_906_000
    assert bench.order(1).deadline == bench.now + bench[1].master_down_interval
    assert bench.told() == [("G", "BACKUP"), ("A", "BACKUP")]


def test_a_master_that_joins_a_group_of_backups_is_told_of_but_not_the_group() -> None:
    a, b = instance("A"), instance("B", virtual_router_id=52)
    group = SyncGroup(name="G", members=("A",))
    bench = Bench(a, b, groups=(group,)).start().down(1)
    assert bench.core.states() == {"A": "BACKUP", "B": "MASTER"}
    reload(bench, a, b, sync_groups=(replace(group, members=("A", "B")),))
    assert bench.told() == [("B", "BACKUP")]


def test_a_group_under_another_name_is_told_of_unless_it_is_master() -> None:
    a, b = instance("A"), instance("B", virtual_router_id=52)
    group, renamed = SyncGroup(name="G", members=("A", "B")), SyncGroup(name="H", members=("A", "B"))
    bench = reload(Bench(a, b, groups=(group,)).start(), a, b, sync_groups=(renamed,))
    assert bench.told() == [("H", "BACKUP")]
    assert reload(bench, a, b, sync_groups=(renamed,)).told() == []
    bench = reload(Bench(a, b, groups=(group,)).master(), a, b, sync_groups=(renamed,))
    assert bench.told() == []
    assert bench.hear(200).told() == [("A", "BACKUP"), ("B", "BACKUP"), ("H", "BACKUP")]


def test_masters_that_come_together_stay_masters() -> None:
    a, b = instance("A"), instance("B", virtual_router_id=52)
    bench = reload(Bench(a, b).master(), a, b, sync_groups=(SyncGroup(name="G", members=("A", "B")),))
    assert bench.core.states() == {"A": "MASTER", "B": "MASTER"}
    assert bench.told() == []  # nothing changed for anybody


def test_a_start_delay_that_runs_is_shortened_or_lengthened_but_not_begun() -> None:
    bench = Bench(startup_delay=10 * S).start()
    started = bench.now
    reload(bench, instance(), startup_delay=20 * S)
    assert bench.core.deadline() == started + 20 * S
    reload(bench, instance(), startup_delay=S)
    assert "Delayed start completed" in bench.after(0).logged()
    assert reload(bench, instance(), startup_delay=50 * S).core.deadline() is None


def test_before_start_it_is_only_another_plan() -> None:
    bench = reload(Bench(), instance("NEW", priority=7))
    assert bench.said == []
    assert bench.start().state == "BACKUP"
    assert bench[0].effective == 7


def test_unicast_instances_that_differ_only_in_their_peers_are_told_apart() -> None:
    def one(name: str, *peers: str) -> VrrpInstance:
        return instance(name, unicast_peers=tuple(UnicastPeer(address=Address(peer)) for peer in peers))

    first, second = one("A", "10.0.0.6"), one("B", "10.0.0.7", "10.0.0.8")
    bench = Bench(first, second).start()
    bench.down(1)
    assert bench.core.states() == {"A": "BACKUP", "B": "MASTER"}
    reload(bench, second, first)  # in another order: by name
    assert bench.core.states() == {"A": "BACKUP", "B": "MASTER"}
    reload(bench, one("C", "10.0.0.8"), first)  # under another name: by the peers
    assert bench.core.states() == {"A": "BACKUP", "C": "MASTER"}
    reload(bench, one("D", "10.0.0.8"))
    assert bench.core.states() == {"D": "MASTER"}


def test_states_that_stay_are_said_again_to_fifos_when_asked_for() -> None:
    bench = Bench(instance("A", virtual_router_id=1), instance("B", virtual_router_id=2)).start()
    plans = [instance("A", virtual_router_id=1), instance("NEW", virtual_router_id=3)]
    reload(bench, *plans, fifo_write_states_on_reload=True)
    tells = bench.asked(actions.Tell)
    assert [(tell.name, tell.state) for tell in tells if tell.only_fifo] == [("A", "BACKUP")]
    assert {tell.name for tell in tells if not tell.only_fifo} == {"B", "NEW"}
    assert reload(bench, *plans).told() == [], "not without the word"
