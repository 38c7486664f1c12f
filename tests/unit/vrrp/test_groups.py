"""Sync groups: joint transitions, who is told, and in which order."""

from fastha.model.net import Address
from fastha.model.plan import SyncGroup, Track, VirtualAddress
from fastha.model.units import S
from fastha.vrrp import actions, events
from fastha.vrrp.orders import Mode
from fastha.vrrp.priority import tracks_of
from tests.unit.vrrp.bench import VIP, Bench, instance

OTHER = Address("10.1.0.100")
GROUP = SyncGroup(name="G", members=("A", "B"))


def pair(group: SyncGroup = GROUP, **words: object) -> Bench:
    second = (VirtualAddress(address=OTHER, prefixlen=24, dev="eth1"),)
    return Bench(
        instance("A", **words),
        instance("B", **{"interface": "eth1", "virtual_router_id": 52, "addresses": second, **words}),
        groups=(group,),
    )


def states(bench: Bench) -> list[str]:
    return [i.state.value for i in bench.core.instances.values()]


def test_start_together_the_group_is_told_before_its_members() -> None:
    bench = pair().start()
    assert states(bench) == ["BACKUP", "BACKUP"]
    assert bench.told() == [("G", "BACKUP"), ("A", "BACKUP"), ("B", "BACKUP")]
    assert bench.asked(actions.Tell)[0] == actions.Tell("GROUP", "G", "BACKUP", 0)


def test_one_in_fault_at_start_is_all_in_fault() -> None:
    bench = pair().link("eth0").source(name="eth0").say(events.Start())
    assert states(bench) == ["FAULT", "FAULT"]
    assert bench.told() == [("A", "FAULT"), ("B", "FAULT"), ("G", "FAULT")]
    assert bench[0].reason == "sync group: B has interface eth1 down"


def test_a_member_waits_for_the_others_wish() -> None:
    bench = pair().start()
    bench.now += 4 * S
    bench.down(0)
    assert states(bench) == ["BACKUP", "BACKUP"]
    assert bench[0].wanted == "MASTER"
    order = bench.order(0)
    assert (order.mode, order.deadline) == (Mode.LISTEN, bench.now + bench[0].master_down_interval)
    bench.down(1)
    assert states(bench) == ["MASTER", "MASTER"]
    assert bench.told() == [("B", "MASTER"), ("A", "MASTER"), ("G", "MASTER")]
    assert "VRRP_Group(G) Syncing instances to MASTER state" in bench.logged()


def test_an_accepted_advert_takes_the_wish_back() -> None:
    bench = pair().start().hear(200, index=0).down(0)
    assert bench.order(0).expected == b""  # so that the master's next advert is noticed
    bench.hear(200, index=0).down(1)
    assert states(bench) == ["BACKUP", "BACKUP"]


def test_one_going_backup_pulls_all_without_priority_0() -> None:
    bench = pair().master().hear(200, index=0)
    assert states(bench) == ["BACKUP", "BACKUP"]
    assert bench.sent() == []
    assert bench.told() == [("A", "BACKUP"), ("B", "BACKUP"), ("G", "BACKUP")]


def test_one_going_fault_faults_all_and_the_pulled_say_priority_0_once() -> None:
    bench = pair().master().link("eth0", up=False)
    assert states(bench) == ["FAULT", "FAULT"]
    assert [a.instance for a in bench.asked(actions.Send)] == [0, 0, 1]
    assert all(m.priority == 0 for m in bench.sent())
    assert bench.told() == [("A", "FAULT"), ("B", "FAULT"), ("G", "FAULT")]


def test_fault_ends_when_no_member_has_one_left() -> None:
    bench = pair().master().link("eth0", up=False).link("eth1", up=False).link("eth0")
    assert states(bench) == ["FAULT", "FAULT"]
    bench.link("eth1")
    assert states(bench) == ["BACKUP", "BACKUP"]
    assert bench.told() == [("B", "BACKUP"), ("A", "BACKUP"), ("G", "BACKUP")]


def test_of_a_tracker_that_all_have_the_first_faults_all_and_the_last_clears_all() -> None:
    """Those that name it themselves come first; who is pulled says priority 0 once, whatever reasons it has."""
    group = SyncGroup(
        name="G", members=("A", "B"), track_files=(Track(name="f"),), track_interfaces=(Track(name="eth1"),)
    )
    bench = pair(group).say(events.FileValue("f", 0)).master().say(events.FileValue("f", 1))
    assert [a.instance for a in bench.asked(actions.Send)] == [0, 0, 1]
    assert bench.told() == [("A", "FAULT"), ("B", "FAULT"), ("G", "FAULT")]
    assert [i.reason for i in bench.core.instances.values()] == ["file f has 1", "file f has 1"]
    assert bench.say(events.FileValue("f", 0)).told() == [("B", "BACKUP"), ("A", "BACKUP"), ("G", "BACKUP")]
    bench.now += 40 * S
    assert states(bench.down(0).down(1)) == ["MASTER", "MASTER"]
    bench.link("eth1", up=False)
    assert [a.instance for a in bench.asked(actions.Send)] == [1, 1, 0]
    assert bench.told() == [("B", "FAULT"), ("A", "FAULT"), ("G", "FAULT")]
    assert bench.link("eth1").told() == [("A", "BACKUP"), ("B", "BACKUP"), ("G", "BACKUP")]


def test_all_are_held_while_one_waits_for_a_script() -> None:
    group = SyncGroup(name="G", members=("A", "B"), track_scripts=(Track(name="chk"),))
    bench = pair(group).start()
    assert states(bench) == ["INIT", "INIT"]
    assert bench.told() == []
    bench.say(events.ScriptResult("chk", up=True))
    assert states(bench) == ["BACKUP", "BACKUP"]


def test_owners_become_master_together() -> None:
    bench = pair(priority=255).start()
    assert bench.told() == []
    assert states(bench.down(0)) == ["MASTER", "MASTER"]


def test_with_an_owner_the_groups_own_trackers_fault_instead_of_weighing() -> None:
    group = SyncGroup(name="G", members=("A", "B"), track_scripts=(Track(name="chk", weight=-10),))
    bench = Bench(instance("A", priority=255), instance("B", virtual_router_id=52), groups=(group,)).start()
    assert states(bench.say(events.ScriptResult("chk", up=False))) == ["FAULT", "FAULT"]
    bench = Bench(instance("A"), instance("B", virtual_router_id=52), groups=(group,)).start()
    assert states(bench.say(events.ScriptResult("chk", up=False))) == ["BACKUP", "BACKUP"]
    assert bench[0].effective == bench[1].effective == 90


def test_one_owner_alone_does_not_start_the_group_as_master() -> None:
    bench = Bench(
        instance("A", priority=255),
        instance("B", virtual_router_id=52),
        groups=(GROUP,),
    ).start()
    assert bench.order(0).deadline == bench.now + bench[0].master_down_interval


def test_a_lost_address_steps_all_back_without_a_word_of_the_group() -> None:
    bench = pair().master().say(events.AddressGone("eth0", VIP, 24))
    assert states(bench) == ["BACKUP", "BACKUP"]
    assert [m.priority for m in bench.sent()] == [0, 0]
    assert bench.told() == [("A", "BACKUP"), ("B", "BACKUP")]
    bench.down(0).down(1)
    assert bench.told() == [("B", "MASTER"), ("A", "MASTER"), ("G", "MASTER")]


def test_a_lower_priority_heard_by_one_is_answered_with_announcements_by_all() -> None:
    bench = pair().master().hear(50, index=0)
    assert [a.instance for a in bench.asked(actions.Announce)] == [0, 1]
    assert [o.instance for o in bench.new_orders()] == [0]


def test_a_member_whose_group_is_there_already_is_not_told_again() -> None:
    bench = pair().master().say(events.AddressGone("eth0", VIP, 24)).link("eth0", up=False)
    told = bench.told()
    assert told == [("A", "FAULT"), ("B", "FAULT"), ("G", "FAULT")]
    bench[0].group.state = bench[0].state.__class__("BACKUP")
    bench.link("eth0")
    assert bench.told() == []


def test_stop_tells_instances_then_groups() -> None:
    bench = pair().master().say(events.Shutdown())
    assert bench.told() == [("A", "STOP"), ("B", "STOP"), ("G", "STOP")]


def test_resume_takes_the_whole_group_or_nobody() -> None:
    assert states(pair().start(resume=("A", "B"))) == ["MASTER", "MASTER"]
    assert states(pair().start(resume=("A",))) == ["BACKUP", "BACKUP"]


def test_a_group_of_one_works() -> None:
    bench = Bench(instance("A"), groups=(SyncGroup(name="G", members=("A", "nobody")),)).master()
    assert bench.told() == [("A", "MASTER"), ("G", "MASTER")]
    assert bench.hear(200).told() == [("A", "BACKUP"), ("G", "BACKUP")]


def test_snapshot_of_a_group() -> None:
    group = pair().master().core.snapshot(0, 0.0).sync_groups[0]
    assert (group.name, group.state, group.members) == ("G", "MASTER", ("A", "B"))


def test_a_members_own_word_for_fault_is_not_replaced_by_the_groups_weight() -> None:
    """As keepalived does it; its own interface is tracked that way, too, unless dont_track_primary."""
    shared = SyncGroup(
        name="G",
        members=("VI_1", "VI_2"),
        track_interfaces=(Track(name="eth0", weight=20), Track(name="eth1", weight=20)),
    )
    firm = instance("VI_1", track_interfaces=(Track(name="eth1"),))
    loose = instance("VI_1", track_interfaces=(Track(name="eth1", weight=5),))
    free = instance("VI_1", dont_track_primary=True)
    assert tracks_of(firm, shared).interfaces == (Track(name="eth0"), Track(name="eth1"))
    assert tracks_of(loose, shared).interfaces == (Track(name="eth0"), Track(name="eth1", weight=20))
    assert tracks_of(free, shared).interfaces == (Track(name="eth0", weight=20), Track(name="eth1", weight=20))
