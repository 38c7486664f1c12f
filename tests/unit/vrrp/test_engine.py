"""The model engine: what each standing order means, turn by turn."""

from __future__ import annotations

from dataclasses import replace

from fastha.model.net import Address
from fastha.model.units import MS, Ns, S
from fastha.vrrp.engine import LEASE, WAITING, ModelEngine, Sent
from fastha.vrrp.events import AdvertReceived, EngineLate, LeaseLost, MasterDown
from fastha.vrrp.orders import Datagram, Endpoint, Mode, Order

GROUP, MASTER, OTHER = Address("224.0.0.18"), Address("10.0.0.9"), Address("10.0.0.8")
HELLO = b"!3d\x01\x00\x01p\xc1"
BYE = b"!3\x00\x01\x00\x01p\xc1"
SAY = (Datagram(GROUP, HELLO),)
LISTEN = Order(
    instance=0,
    generation=1,
    mode=Mode.LISTEN,
    interval=S,
    deadline=4 * S,
    restart=3 * S,
    grace=1_500 * MS,
    expected=HELLO,
    expected_source=MASTER,
)
SPEAK = Order(instance=0, generation=1, mode=Mode.SPEAK, datagrams=SAY, interval=S, first=0)


class Turns(ModelEngine):
    """An engine with one bound instance, whose core is alive."""

    def __init__(self, order: Order) -> None:
        super().__init__()
        self.slot = self.listen(3, 4)
        self.bind(Endpoint(instance=0, interface="eth0", family=4, virtual_router_id=51, group=GROUP), self.slot)
        self.order(order)
        self.renew(0)
        self.turn(0)

    def turn(self, now: Ns, *heard: AdvertReceived, **words: int) -> list[Sent]:
        return self.step(now, [(self.slot, advert) for advert in heard], **words)  # type: ignore[arg-type]


def advert(at: Ns, payload: bytes = HELLO, source: Address = MASTER, **words: object) -> AdvertReceived:
    heard = AdvertReceived(0, 0, source, GROUP, 255, multicast=True, payload=payload, at=at)
    return replace(heard, **words)  # type: ignore[arg-type]


class TestListen:
    def test_an_expected_advert_moves_the_deadline_from_its_arrival(self) -> None:
        engine = Turns(LISTEN)
        engine.turn(2 * S, advert(2 * S - MS))
        assert engine.deadline() == 5 * S - MS
        assert engine.events() == []
        assert engine.counters(0) == (0, 1)

    def test_anything_else_goes_up(self) -> None:
        for other in (
            advert(S, payload=BYE),
            advert(S, source=OTHER),
            advert(S, ttl=254),
            advert(S, length_ok=False),
            advert(S, multicast=False),
        ):
            engine = Turns(LISTEN)
            engine.turn(S, other)
            assert engine.events() == [replace(other, generation=1)]

    def test_while_nothing_is_expected_all_goes_up(self) -> None:
        engine = Turns(replace(LISTEN, expected=b""))
        engine.turn(S, advert(S))
        assert len(engine.events()) == 1

    def test_the_deadline_goes_up_once_after_the_sockets_were_drained(self) -> None:
        engine = Turns(LISTEN)
        engine.turn(4 * S, advert(4 * S))
        assert engine.events() == []
        engine.turn(7 * S)
        assert engine.events() == [MasterDown(0, 1, 7 * S)]
        engine.settle()
        engine.turn(20 * S)
        assert engine.events() == []
        assert engine.deadline() is None

    def test_an_expected_advert_after_the_deadline_starts_it_again(self) -> None:
        engine = Turns(LISTEN)
        engine.turn(4 * S)
        engine.events()
        engine.settle()
        engine.turn(5 * S, advert(5 * S))
        assert engine.deadline() == 8 * S

    def test_shift_moves_the_running_deadline(self) -> None:
        engine = Turns(LISTEN)
        engine.turn(2 * S, advert(2 * S))
        engine.order(replace(LISTEN, generation=2, shift=-500 * MS, deadline=0))
        engine.turn(2 * S)
        assert engine.deadline() == 4_500 * MS

    def test_shift_of_one_that_has_run_out_says_so_again(self) -> None:
        engine = Turns(LISTEN)
        engine.turn(4 * S)
        engine.events()
        engine.order(replace(LISTEN, generation=2, shift=S))
        engine.settle()
        engine.turn(4 * S)
        assert engine.events() == [MasterDown(0, 2, 4 * S)]

    def test_shift_across_modes_counts_from_the_order(self) -> None:
        engine = Turns(SPEAK)
        engine.order(replace(LISTEN, generation=2, shift=S))
        engine.turn(0)
        assert engine.deadline() == 4 * S


class TestOneEventAtATime:
    def test_what_follows_waits_and_is_judged_by_the_order_in_force_then(self) -> None:
        engine = Turns(replace(LISTEN, expected=b""))
        engine.turn(S, advert(S), advert(S), advert(S, payload=BYE))
        assert len(engine.events()) == 1
        engine.order(replace(LISTEN, generation=2))
        engine.settle()
        engine.turn(S)
        assert engine.counters(0) == (0, 1)  # the second is the boring one now
        assert [e.payload for e in engine.events() if isinstance(e, AdvertReceived)] == [BYE]

    def test_the_deadline_waits_too(self) -> None:
        engine = Turns(replace(LISTEN, expected=b""))
        engine.turn(4 * S - 1, advert(4 * S - 1))
        engine.turn(9 * S)
        assert [type(e) for e in engine.events()] == [AdvertReceived]
        engine.order(replace(LISTEN, generation=2, deadline=10 * S))
        engine.settle()
        engine.turn(9 * S)
        assert engine.events() == []

    def test_of_too_many_that_wait_the_oldest_are_lost(self) -> None:
        engine = Turns(replace(LISTEN, expected=b""))
        engine.turn(S, *[advert(S, HELLO + bytes([n])) for n in range(WAITING + 3)])
        assert engine.stats()["waiting_lost"] == 2
        told = []
        for _ in range(WAITING + 1):
            told += [event.payload[-1] for event in engine.events() if isinstance(event, AdvertReceived)]
            engine.settle()
            engine.turn(S)
        assert told == [0, *range(3, WAITING + 3)]


class TestSpeak:
    def test_at_first_and_then_every_interval(self) -> None:
        engine = Turns(replace(SPEAK, first=500 * MS))
        assert engine.turn(499 * MS) == []
        assert engine.turn(500 * MS) == [(0, GROUP, HELLO)]
        assert engine.deadline() == 1_500 * MS

    def test_the_second_one_may_come_earlier(self) -> None:
        engine = Turns(replace(SPEAK, first=500 * MS, second=1_400 * MS))
        assert engine.turn(500 * MS) == [(0, GROUP, HELLO)]
        assert engine.deadline() == 1_400 * MS
        assert engine.turn(1_400 * MS) == [(0, GROUP, HELLO)]
        assert engine.deadline() == 2_400 * MS

    def test_a_second_that_has_passed_counts_for_nothing(self) -> None:
        engine = Turns(replace(LISTEN))
        engine.order(replace(SPEAK, generation=2, first=0, second=900 * MS))
        assert engine.turn(S) == [(0, GROUP, HELLO)]
        assert engine.deadline() == 2 * S

    def test_at_once_when_first_has_passed(self) -> None:
        engine = Turns(replace(LISTEN))
        engine.order(replace(SPEAK, generation=2, first=0))
        assert engine.turn(S) == [(0, GROUP, HELLO)]
        assert engine.deadline() == 2 * S

    def test_missed_adverts_are_not_made_up_for(self) -> None:
        engine = Turns(SPEAK)
        engine.renew(5 * S)
        assert len(engine.turn(5 * S + MS)) == 1
        assert engine.deadline() == 6 * S
        assert engine.stats()["missed"] == 4

    def test_shift_0_keeps_the_phase(self) -> None:
        engine = Turns(SPEAK)
        engine.order(replace(SPEAK, generation=2, shift=0, datagrams=(Datagram(GROUP, BYE),)))
        assert engine.turn(300 * MS) == []
        assert engine.turn(S) == [(0, GROUP, BYE)]

    def test_everything_heard_goes_up(self) -> None:
        engine = Turns(SPEAK)
        engine.turn(MS, advert(MS))
        assert len(engine.events()) == 1

    def test_only_while_the_lease_runs(self) -> None:
        engine = Turns(SPEAK)
        engine.turn(S)
        engine.turn(2 * S)
        assert engine.turn(3 * S) == []
        assert engine.events() == [LeaseLost(0, 1, 3 * S)]
        engine.settle()
        assert engine.turn(3 * S) == []
        assert engine.deadline() is None
        engine.renew(4 * S)
        assert engine.turn(4 * S) == []  # until there is an order again
        engine.order(replace(SPEAK, generation=2, first=4 * S))
        assert engine.turn(4 * S) == [(0, GROUP, HELLO)]

    def test_a_short_interval_has_a_lease_of_a_second(self) -> None:
        engine = Turns(replace(SPEAK, interval=10 * MS))
        assert engine.turn(LEASE - MS)
        assert engine.turn(LEASE + 20 * MS) == []

    def test_a_lease_lost_behind_an_event_is_told_after_it(self) -> None:
        engine = Turns(SPEAK)
        engine.turn(MS, advert(MS))
        engine.turn(4 * S)
        assert [type(e) for e in engine.events()] == [AdvertReceived]
        engine.settle()
        engine.turn(4 * S)
        assert [type(e) for e in engine.events()] == [LeaseLost]


class TestLate:
    def test_who_was_away_for_longer_than_an_interval_judges_later(self) -> None:
        engine = Turns(LISTEN)
        engine.turn(6 * S, away=2 * S)
        assert engine.deadline() == 7_500 * MS
        assert engine.events() == [EngineLate(2 * S)]

    def test_a_short_absence_is_nothing(self) -> None:
        engine = Turns(LISTEN)
        engine.turn(4 * S, away=S)
        assert [type(e) for e in engine.events()] == [MasterDown]

    def test_a_queue_that_overflowed_may_have_dropped_the_masters_adverts(self) -> None:
        engine = Turns(LISTEN)
        engine.turn(4 * S, overflow=engine.slot)
        assert engine.deadline() == 5_500 * MS


class TestWhose:
    def test_unknown_vrids_and_short_ones_are_counted(self) -> None:
        engine = Turns(LISTEN)
        engine.turn(S, advert(S, payload=b"!4" + HELLO[2:]), advert(S, payload=b"!3"))
        assert engine.events() == []
        assert (engine.stats()["unknown_vrid"], engine.stats()["too_short"]) == (1, 1)

    def test_idle_drains_and_counts(self) -> None:
        engine = Turns(Order(instance=0, generation=1, mode=Mode.IDLE))
        engine.turn(S, advert(S))
        assert engine.events() == []
        assert engine.stats()["ignored"] == 1

    def test_unicast_instances_with_one_vrid_are_told_apart_by_sender(self) -> None:
        engine = ModelEngine()
        slot = engine.listen(3, 4)
        for index, peer in enumerate((MASTER, OTHER)):
            engine.bind(Endpoint(instance=index, interface="eth0", family=4, virtual_router_id=51, peers=(peer,)), slot)
            engine.order(Order(instance=index, generation=1, mode=Mode.LISTEN, deadline=4 * S))
        engine.step(S, [(slot, advert(S, multicast=False)), (slot, advert(S, source=OTHER, multicast=False))])
        assert [e.instance for e in engine.events() if isinstance(e, AdvertReceived)] == [0, 1]

    def test_who_is_unbound_hears_and_says_nothing(self) -> None:
        engine = Turns(SPEAK)
        engine.unbind(0)
        assert engine.turn(9 * S, advert(9 * S)) == []
        assert engine.events() == []
        assert engine.deadline() is None


def test_a_one_off_is_sent_whatever_the_order() -> None:
    engine = Turns(Order(instance=0, generation=1, mode=Mode.IDLE))
    engine.send(0, (Datagram(GROUP, BYE),))
    assert engine.deadline() == 0
    assert engine.turn(MS) == [(0, GROUP, BYE)]
    assert engine.counters(0) == (1, 0)
