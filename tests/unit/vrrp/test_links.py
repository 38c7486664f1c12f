"""Interfaces and trackers: FAULT, weights, debounce."""

import pytest

from fastha.model.net import Address
from fastha.model.plan import AuthHmac, AuthType, Track, VirtualAddress
from fastha.model.units import MS, S
from fastha.vrrp import actions, events
from fastha.vrrp.orders import Mode
from tests.unit.vrrp.bench import HIGHER, Bench, instance


def test_down_is_fault_and_up_is_backup() -> None:
    bench = Bench().start().link(up=False)
    assert bench.state == "FAULT"
    assert bench.logged().splitlines() == [
        "Netlink reports eth0 down",
        "(VI) Entering FAULT STATE",
        "(VI) in FAULT because of: interface eth0 down",
    ]
    bench.link()
    assert bench.state == "BACKUP"
    assert bench.order().deadline == bench.now + bench[0].master_down_interval


def test_the_own_interface_does_not_matter_with_dont_track_primary() -> None:
    assert Bench(instance(dont_track_primary=True)).start().link(up=False).state == "BACKUP"


def test_a_tracked_interface_faults_or_weighs() -> None:
    assert Bench(instance(track_interfaces=(Track(name="eth7"),))).start().state == "FAULT"
    bench = Bench(instance(track_interfaces=(Track(name="eth7", weight=-30),))).start()
    assert bench[0].effective == 70
    bench.say(events.LinkChanged("eth7", exists=True, up=True))
    assert bench[0].effective == 100


def test_the_same_state_again_is_nothing() -> None:
    assert Bench().start().link().said == []


def test_fault_ends_only_when_all_reasons_are_gone_and_no_script_is_unknown() -> None:
    bench = Bench(instance(track_scripts=(Track(name="a"), Track(name="b")))).start()
    bench.link(up=False).say(events.ScriptResult("a", up=False)).link()
    assert bench.state == "FAULT"
    assert bench[0].reason == "script a failed"
    bench.say(events.ScriptResult("a", up=True))
    assert bench.state == "FAULT"
    bench.say(events.ScriptResult("b", up=True))
    assert bench.state == "BACKUP"


def test_processes_and_files_fault_too() -> None:
    bench = Bench(instance(track_processes=(Track(name="p"),), track_files=(Track(name="f"),))).start()
    assert bench.state == "INIT"
    bench.say(events.ProcessQuorum("p", up=True), events.FileValue("f", 0))
    assert bench.state == "BACKUP"
    assert bench.say(events.FileValue("f", 3)).state == "FAULT"
    assert bench[0].reason == "file f has 3"
    assert bench.say(events.FileValue("f", 0)).state == "BACKUP"
    assert bench.say(events.ProcessQuorum("p", up=False)).state == "FAULT"


def test_a_result_that_is_unknown_again_changes_nothing() -> None:
    bench = Bench(instance(track_scripts=(Track(name="a"),))).start().say(events.ScriptResult("a", up=True))
    assert bench.say(events.ScriptResult("a", up=None)).said == []
    assert bench.state == "BACKUP"


def test_a_master_says_its_new_priority_with_the_next_advert_and_keeps_the_phase() -> None:
    bench = Bench(instance(track_files=(Track(name="f", weight=1),))).start().say(events.FileValue("f", 0)).down()
    bench.say(events.FileValue("f", 20))
    order = bench.order()
    assert (order.mode, order.shift) == (Mode.SPEAK, 0)
    assert order.datagrams[0].payload[2] == 120


class TestDebounce:
    def bench(self, down: int, up: int, **words: object) -> Bench:
        return Bench(instance(**words), interface_delays={"eth0": (down, up)}).start()

    def test_the_first_up_is_not_delayed(self) -> None:
        assert self.bench(S, S).state == "BACKUP"

    def test_down_counts_after_the_delay(self) -> None:
        bench = self.bench(S, 2 * S).link(up=False)
        assert bench.state == "BACKUP"
        assert bench.after(S - 1).state == "BACKUP"
        assert bench.after(1).state == "FAULT"
        bench.link()
        assert bench.after(2 * S - 1).state == "FAULT"
        assert bench.after(1).state == "BACKUP"

    def test_a_return_within_the_time_cancels(self) -> None:
        bench = self.bench(S, S).link(up=False).after(900 * MS).link()
        assert bench.core.deadline() is None
        assert bench.after(5 * S).state == "BACKUP"

    def test_what_is_due_comes_before_an_event(self) -> None:
        bench = self.bench(S, S).link(up=False)
        bench.now += S
        bench.link()
        assert bench.state == "FAULT"
        assert "Entering FAULT STATE" in bench.logged()

    def test_an_interface_that_is_gone_counts_at_once(self) -> None:
        bench = self.bench(S, S).say(events.LinkChanged("eth0", exists=False, up=False))
        assert bench.state == "FAULT"

    def test_the_down_delay_ends_before_peers_miss_the_adverts(self) -> None:
        bench = self.bench(60 * S, 50 * S).link(up=False)
        assert bench.core.deadline() == bench.now + 2 * S - S // 256
        bench.after(60 * S).link()
        assert bench.core.deadline() == bench.now + 50 * S

    def test_an_equal_up_delay_is_limited_with_it(self) -> None:
        bench = self.bench(60 * S, 60 * S).link(up=False).after(60 * S).link()
        assert bench.core.deadline() == bench.now + 2 * S - S // 256

    def test_a_learned_shorter_interval_limits_more(self) -> None:
        bench = self.bench(60 * S, 0, version=3).hear(200, message={"interval": 100 * MS}).link(up=False)
        assert bench.core.deadline() == bench.now + 200 * MS - 100 * MS // 256

    def test_no_delay_with_one_down_timer_advert(self) -> None:
        assert self.bench(60 * S, 0, down_timer_adverts=1).link(up=False).state == "FAULT"


def test_adverts_carry_no_more_addresses_than_the_link_takes() -> None:
    many = tuple(VirtualAddress(address=Address(f"10.0.1.{i}"), prefixlen=32, dev="eth0") for i in range(1, 201))
    bench = Bench(instance(addresses=many))
    bench.link(mtu=576).source().say(events.Start()).down()
    assert len(bench.sent()[0].addresses) == (576 - 50) // 4


def test_a_smaller_mtu_shortens_the_next_advert() -> None:
    many = tuple(VirtualAddress(address=Address(f"10.0.1.{i}"), prefixlen=32, dev="eth0") for i in range(1, 201))
    bench = Bench(instance(addresses=many)).master().link(mtu=576)
    order = bench.order()
    assert (order.mode, order.shift, order.datagrams[0].payload[3]) == (Mode.SPEAK, 0, (576 - 50) // 4)


def test_a_link_that_is_told_about_before_start_only_counts() -> None:
    bench = Bench().link()
    assert not bench.asked(actions.Give)


@pytest.mark.parametrize(
    ("words", "mtu", "room"),
    [
        # the first three as C keepalived 2.2.7 counts them
        ({"version": 2}, 128, 19),
        ({"version": 3}, 128, 21),
        ({"version": 2, "auth_type": AuthType.AH, "auth_pass": b"x"}, 128, 13),
        ({"version": 3, "auth_hmac": AuthHmac(keys={1: b"k" * 32}, active_key=1, time_window=5)}, 128, 14),
        ({"version": 3, "family": 6}, 1280, 76),
        ({"version": 3}, 9000, 255),
        ({"version": 3}, 68, 6),
        ({"version": 3}, 20, 0),
    ],
)
def test_as_many_addresses_as_a_packet_carries(words: dict[str, object], mtu: int, room: int) -> None:
    assert instance(**words).room_for_addresses(mtu) == room


def test_the_others_are_named_once_and_are_there_all_the_same() -> None:
    many = tuple(VirtualAddress(address=Address(f"10.0.1.{n}"), prefixlen=32, dev="eth0") for n in range(30))
    bench = Bench(instance(version=3, addresses=many)).start()
    assert "addresses on this link" not in bench.logged()
    bench.link(mtu=128)
    assert "carries 21 addresses on this link, 30 are configured: the other 9" in bench.logged()
    bench.link(mtu=128, multicast=True)
    assert bench.logged() == ""
    bench.down()
    (message,) = bench.sent()
    assert message.addresses == tuple(a.address for a in many[:21])
    assert bench[0].view(HIGHER).addresses == {a.address for a in many[:21]}
