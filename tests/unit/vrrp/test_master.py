"""Adverts and other events while MASTER."""

import pytest

from fastha.model.net import Address
from fastha.model.plan import Track, VirtualAddress
from fastha.model.units import MS, S
from fastha.vrrp import actions, events
from fastha.vrrp.orders import Mode
from tests.unit.vrrp.bench import HIGHER, LOWER, OURS, VIP, Bench, instance


@pytest.mark.parametrize(("priority", "source"), [(101, LOWER), (255, LOWER), (100, HIGHER)])
def test_yields_to_a_higher_priority_or_an_equal_one_with_a_higher_address(priority: int, source: Address) -> None:
    bench = Bench().master()
    bench.hear(priority, source, at=bench.now - MS)
    assert bench.state == "BACKUP"
    assert bench.sent() == []
    order = bench.order()
    assert (order.mode, order.deadline) == (Mode.LISTEN, bench.now - MS + bench[0].master_down_interval)
    assert (order.expected, order.expected_source) == (bench.advert(priority, source).payload, source)
    assert bench.asked(actions.WantAddresses) == [actions.WantAddresses(0, present=False)]
    assert bench.told() == [("VI", "BACKUP")]
    assert bench[0].stats["release_master"] == 1


def test_words_of_yielding() -> None:
    bench = Bench().master().hear(150)
    assert bench.logged().splitlines() == [
        "(VI) Master received advert from 10.0.0.6 with higher priority 150, ours 100",
        "(VI) Entering BACKUP STATE",
    ]
    bench = Bench().master().hear(100)
    assert "with same priority 100 but higher IP address than ours" in bench.logged()


def test_addresses_compare_as_numbers_not_as_text() -> None:
    bench = Bench().master().hear(100, Address("10.0.0.10"))
    assert bench.state == "BACKUP"


def test_a_configured_source_is_what_is_compared() -> None:
    bench = Bench(instance(source=Address("10.0.0.200"))).master().hear(100, HIGHER)
    assert bench.state == "MASTER"


def test_one_more_advert_before_yielding_when_asked_for() -> None:
    bench = Bench(instance(higher_prio_send_advert=True)).master().hear(150)
    assert bench.state == "BACKUP"
    assert [m.priority for m in bench.sent()] == [100]


def test_priority_0_is_answered_at_once() -> None:
    bench = Bench().master().hear(0)
    assert bench.state == "MASTER"
    assert [m.priority for m in bench.sent()] == [100]


def test_equal_priority_and_address_is_only_said_once() -> None:
    bench = Bench().master().hear(100, OURS)
    assert "our priority and our address" in bench.logged()
    assert bench.new_orders() == []
    assert bench.hear(100, OURS).said == []


class TestLower:
    def test_is_answered_and_the_link_told_again(self) -> None:
        bench = Bench(instance(garp_lower_prio_repeat=3, garp_lower_prio_delay=2 * S, garp_master_delay=0)).master()
        bench.hear(50)
        assert bench.logged() == (
            "(VI) Received advert from 10.0.0.6 with lower priority 50, ours 100, forcing new election"
        )
        assert bench.order().first == bench.now
        assert [a.count for a in bench.asked(actions.Announce)] == [3]
        assert bench.told() == [("VI", "MASTER_RX_LOWER_PRI")]
        assert bench.after(2 * S - 1).asked(actions.Announce) == []
        assert [a.count for a in bench.after(1).asked(actions.Announce)] == [3]

    def test_an_equal_one_with_a_lower_address_too(self) -> None:
        bench = Bench().master().hear(100, LOWER)
        assert bench.state == "MASTER"
        assert bench.told() == [("VI", "MASTER_RX_LOWER_PRI")]

    def test_is_not_answered_with_lower_prio_no_advert(self) -> None:
        bench = Bench(instance(lower_prio_no_advert=True)).master().hear(50)
        assert bench.new_orders() == []
        assert "forcing" not in bench.logged()
        assert bench.asked(actions.Announce)


def test_a_rejected_advert_does_not_restart_the_advert_timer() -> None:
    bench = Bench().master().hear(50, ttl=254)
    assert bench.new_orders() == []


def test_version_3_takes_over_the_interval_of_whom_it_yields_to() -> None:
    bench = Bench(instance(version=3)).master().hear(200, message={"interval": 200 * MS})
    assert bench.order().restart == 600 * MS + 121_875_000


class TestTwoOwners:
    def bench(self, version: int = 2) -> Bench:
        return Bench(instance(priority=255, version=version)).master()

    def test_the_lower_address_yields(self) -> None:
        bench = self.bench().hear(255, HIGHER)
        assert bench.state == "BACKUP"
        assert "CONFIGURATION ERROR" in bench.logged()

    def test_the_higher_one_says_it_twice_and_waits(self) -> None:
        bench = self.bench().hear(255, LOWER)
        assert bench.state == "MASTER"
        assert [m.priority for m in bench.sent()] == [255, 255]
        bench.after(1_200 * MS)
        assert "stopped advertising" in bench.logged()
        assert bench[0].effective == 255

    def test_waits_1_2_of_the_longer_interval(self) -> None:
        bench = self.bench(version=3)
        bench.after(5 * S).hear(255, LOWER, message={"interval": 2 * S})
        assert bench.core.deadline() == bench.now + 2_400 * MS

    def test_lowers_itself_when_the_other_goes_on(self) -> None:
        bench = self.bench().hear(255, LOWER).hear(255, LOWER)
        assert [m.priority for m in bench.sent()] == [255], "answered as a lower one is"
        bench.after(1_200 * MS)
        assert bench[0].effective == 254
        assert bench.order().shift == 0
        bench.hear(255, LOWER)
        assert bench.state == "BACKUP"

    def test_the_wait_ends_with_mastership(self) -> None:
        bench = Bench(instance(priority=255, garp_master_delay=0)).master().hear(255, LOWER).link(up=False)
        assert bench.core.deadline() is None
        bench.link().down().hear(255, LOWER)
        assert [m.priority for m in bench.sent()] == [255, 255]  # another conflict, from its beginning

    def test_is_an_owner_again_when_the_other_is_silent(self) -> None:
        bench = self.bench().hear(255, LOWER).hear(255, LOWER).after(1_200 * MS).hear(255, LOWER)
        assert (bench.state, bench[0].effective) == ("BACKUP", 254)
        assert (bench.down().state, bench[0].effective) == ("MASTER", 255)

    def test_is_an_owner_again_when_the_other_is_none(self) -> None:
        bench = self.bench().hear(255, LOWER).hear(255, LOWER).after(1_200 * MS).hear(255, LOWER)
        bench.hear(255, LOWER)
        assert bench[0].effective == 254
        bench.hear(200, LOWER)
        assert bench[0].effective == 255


def test_leaving_for_fault_says_priority_0_twice_after_the_engine_stopped() -> None:
    bench = Bench(instance(track_scripts=(Track(name="chk"),))).start()
    bench.say(events.ScriptResult("chk", up=True)).down().say(events.ScriptResult("chk", up=False))
    assert bench.state == "FAULT"
    assert [m.priority for m in bench.sent()] == [0, 0]
    kinds = [type(a) for a in bench.said if not isinstance(a, actions.Log)]
    assert kinds == [actions.Give, actions.Send, actions.Send, actions.WantAddresses, actions.Tell]
    assert bench.order().mode is Mode.IDLE
    assert bench[0].stats["pri_zero_sent"] == 1  # as keepalived counts


def test_over_ipv6_a_last_word_leaves_once_when_the_source_is_lost() -> None:
    vip = VirtualAddress(address=Address("fe80::100"), prefixlen=64, dev="eth0")
    bench = Bench(instance(family=6, version=3, group=Address("ff02::12"), addresses=(vip,))).master()
    bench.say(events.SourceChanged("eth0", 6, None))
    assert bench.state == "FAULT"
    assert [datagram.payload[2] for sent in bench.asked(actions.Send) for datagram in sent.datagrams] == [0]
    kinds = [type(a) for a in bench.said if isinstance(a, actions.Send | actions.Rebuild)]
    assert kinds == [actions.Send, actions.Rebuild]  # still from the address that goes
    assert bench[0].stats["pri_zero_sent"] == 1


def test_after_fault_even_an_owner_waits_a_whole_master_down_time() -> None:
    bench = Bench(instance(priority=255)).master().link(up=False)
    bench.now += S
    bench.link()
    assert bench.state == "BACKUP"
    assert bench.order().deadline == bench.now + bench[0].master_down_interval


class TestAddressGone:
    def test_steps_back_for_the_skew_only(self) -> None:
        bench = Bench().master().say(events.AddressGone("eth0", VIP, 24))
        assert bench.state == "BACKUP"
        assert [m.priority for m in bench.sent()] == [0]
        assert bench.order().deadline == bench.now + bench[0].skew_time
        assert bench.told() == [("VI", "BACKUP")]

    def test_of_an_untracked_or_unknown_address_is_nothing(self) -> None:
        spare = VirtualAddress(address=Address("10.0.0.101"), prefixlen=24, dev="eth0", no_track=True)
        bench = Bench(instance(excluded_addresses=(spare,))).master()
        other = Address("10.0.0.77")
        for place in (("eth0", spare.address, 24), ("eth1", VIP, 24), ("eth0", VIP, 25), ("eth0", other, 24)):
            assert bench.say(events.AddressGone(*place)).said == []

    def test_of_a_backup_is_nothing(self) -> None:
        assert Bench().start().say(events.AddressGone("eth0", VIP, 24)).said == []


def test_another_source_address_is_in_the_next_advert() -> None:
    bench = Bench(instance(version=3)).master().source(Address("10.0.0.9"))
    assert bench.state == "MASTER"
    assert actions.Rebuild() in bench.said
    order = bench.order()
    assert (order.mode, order.shift) == (Mode.SPEAK, 0)
    assert bench.core.endpoints()[0].source == "10.0.0.9"


def test_without_a_source_address_it_is_in_fault_until_there_is_one() -> None:
    bench = Bench().master().source(None)
    assert bench.state == "FAULT"
    assert bench.source().state == "BACKUP"


def test_a_tracked_configured_source_must_be_there() -> None:
    ours = Address("10.0.0.7")
    bench = Bench(instance(source=ours, track_src_ip=True)).start()
    assert bench.state == "FAULT"
    bench.say(events.SourceChanged("eth0", 4, ours, configured=ours))
    assert bench.state == "BACKUP"
    bench.say(events.SourceChanged("eth0", 4, None, configured=ours))
    assert bench.state == "FAULT"
    assert bench.source(None).state == "FAULT"


def test_a_lost_lease_is_taken_up_again_and_the_link_told() -> None:
    bench = Bench().master()
    bench.say(events.LeaseLost(0, bench[0].generation, bench.now))
    assert [m.priority for m in bench.sent()] == [100]
    assert bench.asked(actions.Announce)
    assert bench.say(events.LeaseLost(0, 1, bench.now)).said == []


def test_an_engine_that_waited_for_the_start_is_no_warning() -> None:
    bench = Bench()
    bench.start(resume=(bench[0].name,))
    assert bench[0].state == "MASTER"
    said = bench.say(events.LeaseLost(0, bench[0].generation, bench.now)).said
    assert [one.level for one in said if isinstance(one, actions.Log)] == ["info"]
    bench.now += 4 * S
    said = bench.say(events.LeaseLost(0, bench[0].generation, bench.now)).said
    assert [one.level for one in said if isinstance(one, actions.Log)] == ["warning"]


def test_an_engine_that_was_away_is_logged() -> None:
    bench = Bench().start().say(events.EngineLate(3 * S))
    assert bench.logged() == "the advert engine was away for 3 s"


class TestShutdown:
    def test_in_order(self) -> None:
        bench = Bench().master().say(events.Shutdown())
        assert [m.priority for m in bench.sent()] == [0]
        kinds = [type(a) for a in bench.said]
        assert kinds == [actions.Give, actions.Send, actions.WantAddresses, actions.Tell, actions.Finished]
        assert bench.order().mode is Mode.IDLE
        assert bench.told() == [("VI", "STOP")]

    def test_nothing_follows(self) -> None:
        bench = Bench().master().say(events.Shutdown()).link(up=False)
        assert bench.said == []
        assert bench.core.deadline() is None

    def test_retired_releases_nothing(self) -> None:
        bench = Bench().master().say(events.Shutdown(release=False))
        assert [type(a) for a in bench.said] == [actions.Give, actions.Finished]
        assert bench.order().mode is Mode.IDLE


def test_a_route_that_somebody_deletes_costs_mastership_for_a_moment() -> None:
    bench = Bench(instance(priority=200)).master()
    bench.say(events.RouteGone("route 198.51.100.0/24 dev eth1", frozenset({0, 7})))
    assert bench.state == "BACKUP"
    assert [d.payload[2] for a in bench.asked(actions.Send) for d in a.datagrams] == [0]
    assert bench.asked(actions.WantAddresses) == [actions.WantAddresses(0, False)]
    assert bench.down().state == "MASTER"
    bench.say(events.RouteGone("rule x", frozenset({7})))
    assert bench.state == "MASTER"
