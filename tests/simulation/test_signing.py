"""Clusters that sign their adverts: keys are changed without a takeover, clocks may differ by as much as the window."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from fastha._vrrp import AdvertEngine
from fastha.model.net import Address
from fastha.model.plan import AuthHmac, AuthType, HmacMode, UnicastPeer, VirtualAddress, VrrpInstance, VrrpPlan
from fastha.model.units import MS, Ns, S
from fastha.vrrp import events, guards
from fastha.vrrp.engine import ModelEngine
from tests.simulation.cluster import Cluster, Engine, Interface, Node

pytestmark = pytest.mark.simulation

ONE, TWO = {1: b"0123456789abcdef0123456789abcdef"}, {2: bytes(range(64))}
HMAC = AuthHmac(keys=ONE, active_key=1, time_window=10)
NODES = (1, 2, 3)
ENGINES = pytest.mark.parametrize(
    "make", [ModelEngine, lambda: AdvertEngine(8, virtual=True)], ids=["twin", "compiled"]
)


def instance(number: int, **words: object) -> VrrpInstance:
    """Node 3 is the best one."""
    plan = VrrpInstance(
        name="VI",
        interface="eth0",
        virtual_router_id=51,
        version=3,
        adver_int=250 * MS,
        priority=50 * number,
        addresses=(VirtualAddress(address=Address("10.0.9.1"), prefixlen=32, dev="eth0"),),
    )
    return replace(plan, **words)  # type: ignore[arg-type]


def cluster(make: Callable[[], Engine] = ModelEngine, clocks: dict[int, Ns] | None = None, **words: object) -> Cluster:
    """Three nodes, begun one after the other, at rest."""
    it = Cluster(Random(7), make_engine=make)
    for number in NODES:
        interfaces = {"eth0": Interface(Address(f"10.0.0.{number}"), Address(f"fe80::{number}"), 0)}
        plan = VrrpPlan(instances=(instance(number, **words),))
        node = Node(it, number, plan, interfaces, ppm=40 * number)
        node.clock_error = (clocks or {}).get(number, 0)
        it.nodes.append(node)
        it.later(number * S, node.boot)
    it.run(20 * S)
    return it


def masters(it: Cluster) -> list[int]:
    return [n.number for n in it.nodes if n.core and n.core.states()["VI"] == "MASTER"]


def give(it: Cluster, number: int, **words: object) -> None:
    node = it.nodes[number - 1]
    node.plan = VrrpPlan(instances=(instance(number, **words),))
    node.tell(events.Reload(node.plan))
    it.run(3 * S)


def refused(it: Cluster) -> dict[str, int]:
    """Counters of signatures, over all nodes."""
    found: dict[str, int] = {}
    for node in it.nodes:
        assert node.core is not None
        for name, count in node.core.instances[0].stats.items():
            if name.startswith("auth") and count:
                found[name] = found.get(name, 0) + count
    return found


@ENGINES
def test_a_key_is_replaced_without_a_takeover(make: Callable[[], Engine]) -> None:
    it = cluster(make, auth_hmac=HMAC)
    assert masters(it) == [3]
    begun = len(it.transitions)
    both = ONE | TWO
    for step in (
        replace(HMAC, keys=both),
        replace(HMAC, keys=both, active_key=2),
        AuthHmac(keys=TWO, active_key=2, time_window=10),
    ):
        for number in NODES:
            give(it, number, auth_hmac=step)
    assert it.transitions[begun:] == []
    assert refused(it) == {}
    it.nodes[2].crash(power=True)
    it.run(3 * S)
    assert masters(it) == [2]


def test_signing_is_brought_in_without_a_takeover() -> None:
    it = cluster()
    begun = len(it.transitions)
    for mode in (HmacMode.RECEIVE_ONLY, HmacMode.PERMISSIVE, HmacMode.ENFORCE):
        for number in NODES:
            give(it, number, auth_hmac=replace(HMAC, mode=mode))
    assert it.transitions[begun:] == []
    assert refused(it) == {}


def test_a_key_that_only_one_has_makes_two_masters() -> None:
    it = cluster(auth_hmac=HMAC)
    give(it, 1, auth_hmac=AuthHmac(keys=TWO, active_key=2, time_window=10))
    assert masters(it) == [1, 3]
    assert refused(it).keys() == {"auth_ext_unknown_key"}


@ENGINES
@pytest.mark.parametrize("unicast", [False, True])
def test_clocks_may_differ_by_the_window(make: Callable[[], Engine], unicast: bool) -> None:
    clocks = {1: -4 * S, 2: 0, 3: 4 * S}
    peers = tuple(UnicastPeer(address=Address(f"10.0.0.{n}")) for n in NODES)
    it = cluster(make, clocks, auth_hmac=HMAC, unicast_peers=peers if unicast else ())
    assert masters(it) == [3]
    assert refused(it) == {}


def test_clocks_that_differ_more_make_two_masters_unless_sequences_only_have_to_rise() -> None:
    clocks = {1: -600 * S, 2: 0, 3: 5 * S}
    it = cluster(ModelEngine, clocks, auth_hmac=HMAC)
    assert masters(it) == [1, 3]
    assert refused(it).keys() == {"auth_ext_stale"}
    it = cluster(ModelEngine, clocks, auth_hmac=replace(HMAC, monotonic=True))
    assert masters(it) == [3]


@ENGINES
@pytest.mark.parametrize("step", [-3 * S, 3 * S])
def test_a_clock_that_is_set_a_little_costs_nothing(make: Callable[[], Engine], step: Ns) -> None:
    it = cluster(make, auth_hmac=HMAC)
    begun = len(it.transitions)
    it.nodes[2].clock_error += step
    it.run(20 * S)
    assert it.transitions[begun:] == []
    assert refused(it) == {}


AH: dict[str, object] = {"version": 2, "adver_int": S, "auth_type": AuthType.AH, "auth_pass": b"secret\0\0"}


@ENGINES
def test_a_master_of_ah_that_is_started_anew_is_believed(make: Callable[[], Engine]) -> None:
    """Its counter begins at the clock, above what the others have heard."""
    it = cluster(make, **AH)
    assert masters(it) == [3]
    begun = len(it.transitions)
    it.nodes[2].crash()
    it.run(S)
    it.nodes[2].boot(resume=True)
    it.run(10 * S)
    assert {t.node for t in it.transitions[begun:]} <= {3}
    assert masters(it) == [3]


def test_without_a_clock_it_goes_on_from_the_rival_s(monkeypatch: pytest.MonkeyPatch) -> None:
    it = cluster(**AH)
    it.nodes[2].crash(power=True)
    it.run(10 * S)
    assert masters(it) == [2]
    it.nodes[2].clock_error = -(1_700_000_000 * S)  # it thinks it is 1970
    it.nodes[2].boot()
    it.run(10 * S)
    assert masters(it) == [3]


def test_the_guards_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clusters above sign indeed: a guard that refuses everything leaves every node a master."""
    problem = guards.Problem("auth_failure", "test", "refused")
    monkeypatch.setattr(guards.HmacGuard, "judge", lambda *_: problem)
    monkeypatch.setattr(guards.AhGuard, "judge", lambda *_: problem)
    assert masters(cluster(auth_hmac=HMAC)) == [1, 2, 3]
    assert masters(cluster(**AH)) == [1, 2, 3]
