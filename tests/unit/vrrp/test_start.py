"""How instances begin: BACKUP, FAULT, held, owner, resumed, delayed."""

import pytest

from fastha.model.net import Address
from fastha.model.plan import Track, UnicastPeer
from fastha.model.units import S
from fastha.vrrp import actions, events
from fastha.vrrp.orders import Mode
from tests.unit.vrrp.bench import OURS, T0, VIP, Bench, instance


def test_backup_for_a_whole_master_down_time() -> None:
    bench = Bench(instance(priority=150)).start()
    assert bench.state == "BACKUP"
    assert bench.told() == [("VI", "BACKUP")]
    assert bench.logged() == "(VI) Entering BACKUP STATE (init)"
    assert bench.asked(actions.WantAddresses) == [actions.WantAddresses(0, present=False)]
    order = bench.order()
    assert (order.mode, order.deadline, order.expected) == (Mode.LISTEN, T0 + bench[0].master_down_interval, b"")
    assert bench.said.index(actions.Rebuild()) == 0


def test_state_master_below_255_changes_nothing_in_the_timing() -> None:
    bench = Bench(instance(initial_master=True, priority=150)).start()
    assert bench.order().deadline == T0 + bench[0].master_down_interval


def test_an_owner_goes_through_the_timer_path_at_once_without_a_word_of_backup() -> None:
    bench = Bench(instance(priority=255)).start()
    assert bench.told() == []
    assert bench.logged() == ""
    assert bench.order().deadline == T0 + 1_000
    bench.down()
    assert bench.state == "MASTER"
    assert bench.told() == [("VI", "MASTER")]


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda b: b, "interface eth0 down"),
        (lambda b: b.link(up=False).source(), "interface eth0 down"),
        (lambda b: b.link(), "no usable source address on eth0"),
        (lambda b: b.link(multicast=False).source(), "interface eth0 does not support multicast"),
    ],
)
def test_fault_at_start(prepare: object, reason: str) -> None:
    bench = Bench()
    prepare(bench)  # type: ignore[operator]
    bench.say(events.Start())
    assert bench.state == "FAULT"
    assert bench.told() == [("VI", "FAULT")]
    assert "(VI) Entering FAULT STATE (init)" in bench.logged()
    assert bench[0].reason == reason
    assert bench.order().mode is Mode.IDLE


def test_an_interface_that_does_not_exist() -> None:
    bench = Bench().source().say(events.LinkChanged("eth0", exists=False, up=False), events.Start())
    assert bench.state == "FAULT"
    bench.say(events.LinkChanged("eth0", exists=True, up=True))
    assert bench.state == "BACKUP"


def test_held_without_a_word_until_the_first_result() -> None:
    bench = Bench(instance(track_scripts=(Track(name="chk"),))).start()
    assert bench.state == "INIT"
    assert (bench.told(), bench.logged()) == ([], "")
    assert bench.order().mode is Mode.IDLE
    assert bench[0].reason == "waiting for the first result of script chk"
    bench.hear(200)
    assert bench[0].stats["advert_rcvd"] == 0
    bench.say(events.ScriptResult("chk", up=True))
    assert bench.state == "BACKUP"
    assert bench.told() == [("VI", "BACKUP")]


def test_held_and_then_failed() -> None:
    bench = Bench(instance(track_scripts=(Track(name="chk"),))).start()
    bench.say(events.ScriptResult("chk", up=False))
    assert bench.state == "FAULT"
    assert bench[0].reason == "script chk failed"


def test_a_held_owner_can_still_go_straight_to_master() -> None:
    bench = Bench(instance(priority=255, track_scripts=(Track(name="chk"),))).start()
    bench.after(5 * S).say(events.ScriptResult("chk", up=True))
    assert bench.order().deadline == bench.now + 1_000
    assert bench.told() == []


def test_an_unknown_weighted_script_does_not_hold() -> None:
    assert Bench(instance(track_scripts=(Track(name="chk", weight=-5),))).start().state == "BACKUP"


def test_resume_goes_on_as_master() -> None:
    bench = Bench(instance(track_scripts=(Track(name="chk"),))).start(resume=("VI",))
    assert bench.state == "MASTER"
    assert bench.order().mode is Mode.SPEAK
    assert bench.order().first == T0
    assert bench.asked(actions.WantAddresses) == [actions.WantAddresses(0, present=True)]
    assert bench.asked(actions.Announce)


def test_resume_does_not_outdo_a_fault() -> None:
    bench = Bench().link(up=False).source().say(events.Start(frozenset({"VI"})))
    assert bench.state == "FAULT"
    assert bench.asked(actions.WantAddresses) == [actions.WantAddresses(0, present=False)]


def test_resume_of_others_is_not_ours() -> None:
    assert Bench().start(resume=("other",)).state == "BACKUP"


def test_a_start_delay_hears_nothing_and_counts_from_its_end() -> None:
    bench = Bench(startup_delay=10 * S).start()
    assert bench.state == "BACKUP"
    assert bench.order().mode is Mode.IDLE
    bench.hear(200)
    assert bench[0].stats["advert_rcvd"] == 0
    bench.after(10 * S)
    assert "Delayed start completed" in bench.logged()
    assert bench.order().mode is Mode.LISTEN
    assert bench.order().deadline == T0 + 10 * S + bench[0].master_down_interval


def test_a_resumed_master_hears_and_yields_during_a_start_delay() -> None:
    bench = Bench(startup_delay=10 * S).start(resume=("VI",))
    assert bench.state == "MASTER"
    bench.hear(200)
    assert bench.state == "BACKUP"
    assert bench.order().mode is Mode.IDLE
    bench.after(10 * S)
    assert bench.order().deadline == T0 + 10 * S + bench[0].master_down_interval


def test_an_owner_after_a_start_delay_is_master_at_once() -> None:
    bench = Bench(instance(priority=255), startup_delay=10 * S).start().after(10 * S)
    assert bench.order().deadline == T0 + 10 * S + 1_000


def test_a_unicast_instance_freshens_its_own_address() -> None:
    bench = Bench(instance(unicast_peers=(UnicastPeer(address=Address("10.0.0.6")),))).start()
    assert bench.asked(actions.Announce) == [actions.Announce(0, (("eth0", OURS),))]


def test_an_address_that_is_not_here_is_not_announced() -> None:
    elsewhere = Address("10.0.0.7")
    bench = Bench(instance(unicast_peers=(UnicastPeer(address=Address("10.0.0.6")),), source=elsewhere))
    assert bench.start().asked(actions.Announce) == []
    bench = Bench(instance(unicast_peers=(UnicastPeer(address=Address("10.0.0.6")),), source=elsewhere))
    bench.say(events.SourceChanged("eth0", 4, elsewhere, configured=elsewhere))
    assert bench.start().asked(actions.Announce) == [actions.Announce(0, (("eth0", elsewhere),))]


def test_endpoints_say_where_it_listens() -> None:
    peers = (UnicastPeer(address=Address("10.0.0.6")),)
    bench = Bench(
        instance(), instance("U", virtual_router_id=7, unicast_peers=peers, unicast_ttl=3, source=Address("10.0.0.7"))
    ).start()
    multicast, unicast = bench.core.endpoints()
    assert (multicast.group, multicast.source, multicast.peers, multicast.ttl) == ("224.0.0.18", OURS, (), 255)
    assert (unicast.group, unicast.source, unicast.peers, unicast.ttl) == (None, "10.0.0.7", ("10.0.0.6",), 3)


def test_a_second_start_changes_nothing() -> None:
    bench = Bench().start().say(events.Start())
    assert bench.said == []


def test_snapshot_describes_it() -> None:
    bench = Bench(instance(priority=150)).master()
    bench.now += 2 * S
    found = bench.core.snapshot(bench.now, 1e9, counts={0: (7, 3)}, present={"VI": (f"{VIP}/24 dev eth0",)})
    one = found.instances[0]
    assert (one.state, one.wanted, one.priority, one.effective_priority) == ("MASTER", "MASTER", 150, 150)
    assert one.since_wall == 1e9 - 2
    assert one.reason == "no adverts from a master"
    assert (one.master_address, one.master_priority) == (OURS, 150)
    assert one.addresses == one.present == ("10.0.0.100/24 dev eth0",)
    assert (one.stats["advert_sent"], one.stats["advert_rcvd"], one.stats["become_master"]) == (7, 3, 1)
    assert found.interfaces == {"eth0": True}
