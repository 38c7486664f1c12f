"""Reload(A -> B) is Start(B), but for what is kept: after any reload the core is what it would be had it begun so."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fastha.model.net import Address
from fastha.model.plan import SyncGroup, Track, UnicastPeer, VirtualAddress, VrrpInstance, VrrpPlan
from fastha.model.units import MS, S
from fastha.vrrp import actions, events
from fastha.vrrp.core import Core
from fastha.vrrp.fsm import State
from fastha.vrrp.orders import Mode

NOW = 50 * S
FACTS: tuple[events.Event, ...] = (
    events.LinkChanged("eth0", exists=True, up=True),
    events.LinkChanged("eth1", exists=True, up=True),
    events.LinkChanged("eth2", exists=True, up=False),
    events.SourceChanged("eth0", 4, Address("10.0.0.1")),
    events.SourceChanged("eth1", 4, Address("10.1.0.1")),
    events.ScriptResult("good", up=True),
    events.ScriptResult("bad", up=False),
    events.FileValue("file", 7),
)
WEIGHTS = st.sampled_from((0, -20, 20))


@st.composite
def instances(draw: st.DrawFn, number: int) -> VrrpInstance:
    interface = draw(st.sampled_from(("eth0", "eth0", "eth1", "eth2")))
    addresses = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3, unique=True))
    scripts = draw(st.lists(st.sampled_from(("good", "good", "bad", "unknown")), max_size=2, unique=True))
    return VrrpInstance(
        name=f"{draw(st.sampled_from('AB'))}{number}",
        interface=interface,
        virtual_router_id=number,
        version=draw(st.sampled_from((2, 3))),
        priority=draw(st.sampled_from((50, 100, 255))),
        adver_int=draw(st.sampled_from((S, 2 * S))),
        unicast_peers=draw(st.sampled_from(((), (), (UnicastPeer(address=Address("10.0.0.9")),)))),
        addresses=tuple(
            VirtualAddress(address=Address(f"10.9.{number}.{i}"), prefixlen=32, dev=interface) for i in addresses
        ),
        track_scripts=tuple(Track(name=name, weight=draw(WEIGHTS)) for name in scripts),
        track_files=draw(st.sampled_from(((), (Track(name="file", weight=-3),)))),
        garp_interval=draw(st.sampled_from((0, 50 * MS))),
        notify_deleted=draw(st.booleans()),
    )


@st.composite
def plans(draw: st.DrawFn) -> VrrpPlan:
    numbers = draw(st.lists(st.integers(1, 4), max_size=4, unique=True))
    found = tuple(draw(instances(number)) for number in numbers)
    members = draw(st.lists(st.sampled_from([i.name for i in found]), unique=True, max_size=3)) if found else []
    groups = (SyncGroup(name="G", members=tuple(members)),) if members else ()
    return VrrpPlan(instances=found, sync_groups=groups)


def begin(plan: VrrpPlan) -> tuple[Core, list[actions.Action]]:
    core = Core(plan)
    said = [a for fact in FACTS for a in core.handle(fact, NOW)]
    return core, said + core.handle(events.Start(), NOW)


def facts_of(core: Core) -> object:
    """What does not depend on history."""
    return (
        sorted((replace(e, instance=0) for e in core.endpoints()), key=repr),
        {i.name: (i.effective, i.tracks, i.assessment.terms, i.plan) for i in core.instances.values()},
        sorted(sorted(m.name for m in g.members) for g in core.groups),
        {key: sorted(i.name for i in who) for key, who in core.watchers.items()},
    )


@given(plans(), plans(), st.lists(st.integers(0, 3), max_size=6))
def test_reload_is_start_but_for_what_is_kept(before: VrrpPlan, after: VrrpPlan, timeouts: list[int]) -> None:
    core, said = begin(before)
    for index in timeouts:
        if (one := core.instances.get(index)) is not None:
            said += core.handle(events.MasterDown(index, one.generation, NOW), NOW)
    were = {id(i): i.state for i in core.instances.values()}
    said += core.handle(events.Reload(after), NOW)
    fresh, _ = begin(after)
    assert facts_of(core) == facts_of(fresh)

    states = {i.name: i.state for i in fresh.instances.values()}
    for one in core.instances.values():
        if one.state is not states[one.name]:
            kept = were.get(id(one)) not in (None, State.INIT)
            group_kept = any(were.get(id(m)) not in (None, State.INIT) for m in one.group.members)
            assert kept or group_kept, (one.name, one.state, states[one.name])
        faulty = one.state is State.FAULT and states[one.name] is not State.FAULT
        assert not faulty or any(m.assessment.pending for m in one.group.members)
        if states[one.name] is State.FAULT:
            assert one.state is State.FAULT

    orders = {a.order.instance: a.order for a in said if isinstance(a, actions.Give)}
    wants = {a.instance: a.present for a in said if isinstance(a, actions.WantAddresses)}
    modes = {State.MASTER: Mode.SPEAK, State.BACKUP: Mode.LISTEN}
    for index, one in core.instances.items():
        assert orders[index].mode is modes.get(one.state, Mode.IDLE)
        assert wants.get(index, False) == (one.state is State.MASTER)
    for index, order in orders.items():
        if index not in core.instances:
            assert order.mode is Mode.IDLE
            assert not wants.get(index, False)
    for group in core.groups:
        assert len({m.state for m in group.members} - {State.INIT}) <= 1
        assert group.plan is None or group.state in {None, *(m.state for m in group.members)}
