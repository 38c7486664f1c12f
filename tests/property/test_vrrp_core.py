"""The core against anything that can happen: every (state, input), any bytes, any sequence of events."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastha.model.net import Address
from fastha.model.plan import SyncGroup, Track, VirtualAddress
from fastha.model.units import MS, S
from fastha.vrrp import actions, events
from fastha.vrrp.fsm import TRANSITIONS, Heard, Input, State, Step, in_backup, in_master
from fastha.vrrp.instance import STEPS
from fastha.vrrp.orders import Mode
from fastha.wire import vrrp as wire
from tests.unit.vrrp.bench import GROUP, HIGHER, LOWER, OURS, T0, Bench, instance

MODE = {State.INIT: Mode.IDLE, State.BACKUP: Mode.LISTEN, State.MASTER: Mode.SPEAK, State.FAULT: Mode.IDLE}


def in_state(state: State) -> Bench:
    """A bench whose instance is in `state`."""
    if state is State.INIT:
        return Bench()
    if state is State.FAULT:
        return Bench().start().link(up=False)
    return Bench().start() if state is State.BACKUP else Bench().master()


@pytest.mark.parametrize(("state", "what"), list(product(State, Input)))
def test_every_input_in_every_state_follows_the_table(state: State, what: Input) -> None:
    bench = in_state(state)
    one = bench[0]
    assert one.state is state
    taken = one.take(what, bench.now, "test")
    bench.said = bench.core.tick(bench.now)
    transition = TRANSITIONS.get((state, what))
    if transition is None:
        assert not taken
        assert one.state is state
        assert bench.said == []
        return
    assert taken
    assert one.state is transition.to
    orders = bench.new_orders()
    assert [o.mode for o in orders] == [MODE[one.state]] or what is Input.RESUME
    present = [a.present for a in bench.asked(actions.WantAddresses)]
    if one.state is State.MASTER:
        assert present == [True]
    elif state is State.MASTER and what is not Input.RETIRE:
        assert present == [False]


def test_the_table_uses_every_input_and_every_step() -> None:
    assert {what for _, what in TRANSITIONS} == set(Input)
    used = {step for t in TRANSITIONS.values() for step in t.steps}
    assert used == set(Step) == set(STEPS)


def test_priority_0_never_precedes_the_order_to_stop_speaking() -> None:
    for transition in TRANSITIONS.values():
        if Step.PRIORITY_0 in transition.steps:
            stops = [s for s in transition.steps if s in (Step.IDLE, Step.LISTEN, Step.LISTEN_SKEW)]
            assert transition.steps.index(stops[0]) < transition.steps.index(Step.PRIORITY_0)


PRIORITIES = st.integers(0, 255)


@given(PRIORITIES, st.integers(1, 255), st.booleans(), st.booleans())
def test_backup_believes_exactly_who_is_not_lower(theirs: int, ours: int, nopreempt: bool, delaying: bool) -> None:
    heard = in_backup(theirs, ours, nopreempt=nopreempt, delaying=delaying)
    assert (heard is Heard.RESIGNED) == (theirs == 0)
    if theirs:
        assert (heard is Heard.ACCEPTED) == (theirs >= ours or nopreempt or delaying)


@given(st.integers(1, 255), st.integers(1, 255), st.binary(min_size=4, max_size=4), st.binary(min_size=4, max_size=4))
def test_of_two_masters_exactly_one_yields(first: int, second: int, a: bytes, b: bytes) -> None:
    yields = {Heard.BETTER, Heard.OWNER_YIELDS}
    one, other = in_master(second, first, b, a), in_master(first, second, a, b)
    assert ((one in yields) + (other in yields)) == (1 if (first, a) != (second, b) else 0)


# ----------------------------------------------------------------------------------------------- any bytes


@given(
    payload=st.binary(max_size=80),
    source=st.ip_addresses(v=4).map(str),
    ttl=st.integers(0, 255),
    multicast=st.booleans(),
    length_ok=st.booleans(),
    state=st.sampled_from(State),
    version=st.sampled_from((2, 3)),
)
def test_no_bytes_raise(  # noqa: PLR0917
    payload: bytes, source: str, ttl: int, multicast: bool, length_ok: bool, state: State, version: int
) -> None:
    bench = Bench(instance(version=version))
    if state is not State.INIT:
        bench.start()
    if state is State.MASTER:
        bench.down()
    if state is State.FAULT:
        bench.link(up=False)
    advert = events.AdvertReceived(
        instance=0,
        generation=1,
        source=Address(source),
        destination=GROUP,
        ttl=ttl,
        multicast=multicast,
        payload=payload,
        at=bench.now,
        length_ok=length_ok,
    )
    before = bench[0].state
    bench.say(advert)
    if wire.parse(payload, Address(source), GROUP) in set(wire.Malformed):
        assert bench[0].state is before


@given(st.binary(max_size=60), st.integers(0, 27), st.integers(0, 255))
def test_a_good_advert_with_a_changed_octet_is_never_taken_for_another_priority(
    tail: bytes, at: int, value: int
) -> None:
    """Version 2's checksum is over everything: one changed octet is always noticed."""
    bench = Bench().start()
    good = bench.advert(200).payload
    at %= len(good)
    changed = good[:at] + bytes([value]) + good[at + 1 :]
    bench.hear(200, payload=changed + tail)
    assert bench[0].master_priority in (0, 200)
    assert bool(bench[0].stats["advert_rcvd"]) == (changed == good and len(tail) in _padding(len(good)))


def _padding(length: int) -> set[int]:
    return {0} | {extra for extra in range(1, 61) if length + 20 < 46 and extra % 4 == 2}


# ------------------------------------------------------------------------------------- any sequence of events

EVENTS = st.one_of(
    st.builds(lambda up: ("link", up), st.booleans()),
    st.builds(lambda p, s, i: ("hear", p, s, i), PRIORITIES, st.sampled_from((LOWER, HIGHER, OURS)), st.integers(0, 1)),
    st.builds(lambda i: ("down", i), st.integers(0, 1)),
    st.builds(lambda up: ("script", up), st.booleans()),
    st.builds(lambda v: ("file", v), st.integers(-300, 300)),
    st.builds(lambda s: ("source", s), st.sampled_from((None, OURS, HIGHER))),
    st.builds(lambda d: ("after", d), st.sampled_from((MS, S, 10 * S))),
    st.builds(lambda i: ("gone", i), st.integers(0, 1)),
    st.builds(lambda i: ("lease", i), st.integers(0, 1)),
    st.builds(lambda p: ("reload", p), st.sampled_from((1, 100, 254))),
)


def two(grouped: bool, priority: int = 100) -> tuple[tuple[object, ...], tuple[SyncGroup, ...]]:
    tracks = {"track_scripts": (Track(name="chk"),), "track_files": (Track(name="f", weight=-1),)}
    a = instance("A", priority=priority, preempt_delay=3 * S, garp_interval=MS, garp_master_refresh=S, **tracks)
    second = (VirtualAddress(address=Address("10.0.0.101"), prefixlen=24, dev="eth0"),)
    b = instance("B", priority=priority, virtual_router_id=52, version=3, addresses=second, **tracks)
    groups = (SyncGroup(name="G", members=("A", "B")),) if grouped else ()
    return (a, b), groups


@settings(max_examples=300)
@given(st.lists(EVENTS, max_size=40), st.booleans(), st.booleans())
def test_whatever_happens_it_stays_whole(sequence: list[tuple[object, ...]], grouped: bool, resume: bool) -> None:
    plans, groups = two(grouped)
    bench = Bench(*plans, groups=groups)  # type: ignore[arg-type]
    bench.start(resume=("A", "B") if resume else ())
    present = {0: False, 1: False}
    generations = {0: 0, 1: 0}

    def check() -> None:
        for action in bench.said:
            if isinstance(action, actions.WantAddresses):
                present[action.instance] = action.present
            if isinstance(action, actions.Give):
                order = action.order
                assert order.generation == generations[order.instance] + 1
                generations[order.instance] = order.generation
                assert order.mode is not Mode.SPEAK or order.datagrams
        for index, one in bench.core.instances.items():
            assert present[index] == (one.state is State.MASTER)
            assert bench.order(index).mode is MODE[one.state]
            assert one.wanted is one.state or (one.state, one.wanted) == (State.BACKUP, State.MASTER)
            assert 1 <= one.effective <= 254
            if one.state is State.BACKUP and (order := bench.order(index)).shift is None:
                assert order.restart == one.master_down_interval
        if grouped:
            assert len({i.state for i in bench.core.instances.values()}) == 1

    check()
    for kind, *args in sequence:
        match kind, args:
            case "link", [bool(up)]:
                bench.link(up=up)
            case "hear", [int(priority), source, int(index)]:
                bench.hear(priority, source, index)  # type: ignore[arg-type]
            case "down", [int(index)]:
                bench.down(index)
            case "script", [bool(up)]:
                bench.say(events.ScriptResult("chk", up=up))
            case "file", [int(value)]:
                bench.say(events.FileValue("f", value))
            case "source", [source]:
                bench.source(source)  # type: ignore[arg-type]
            case "after", [int(duration)]:
                bench.after(duration)
            case "gone", [int(index)]:
                bench.say(events.AddressGone("eth0", Address(f"10.0.0.{100 + index}"), 24))
            case "lease", [int(index)]:
                bench.say(events.LeaseLost(index, bench[index].generation, bench.now))
            case "reload", [int(priority)]:
                plans, groups = two(grouped, priority)
                bench.say(events.Reload(bench.plan.__class__(instances=plans, sync_groups=groups)))  # type: ignore[arg-type]
        check()
    bench.say(events.Shutdown())
    assert isinstance(bench.said[-1], actions.Finished)
    assert [o.mode for o in bench.new_orders()] == [Mode.IDLE, Mode.IDLE]
    assert bench.core.deadline() is None
    assert bench.now >= T0


@given(st.lists(EVENTS, max_size=25))
def test_the_same_events_give_the_same_actions(sequence: list[tuple[object, ...]]) -> None:
    def play() -> list[actions.Action]:
        plans, groups = two(grouped=True)
        bench = Bench(*plans, groups=groups).start()  # type: ignore[arg-type]
        for kind, *args in sequence:
            if kind == "hear":
                bench.hear(*args)  # type: ignore[arg-type]
            elif kind == "down":
                bench.down(*args)  # type: ignore[arg-type]
            elif kind == "after":
                bench.after(*args)  # type: ignore[arg-type]
            elif kind == "link":
                bench.link(up=bool(args[0]))
        return bench.all

    assert play() == play()
