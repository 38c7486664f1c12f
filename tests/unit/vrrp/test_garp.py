"""When the link is told where the addresses are, and how fast."""

from fastha.model.net import Address
from fastha.model.plan import GarpGroup, VirtualAddress
from fastha.model.units import MS, S
from fastha.vrrp import actions
from tests.unit.vrrp.bench import VIP, Bench, instance

A, B = Address("10.0.0.101"), Address("10.0.0.102")
SIX = Address("fd00::1")


def addresses(*which: Address, dev: str = "eth0") -> tuple[VirtualAddress, ...]:
    return tuple(VirtualAddress(address=a, prefixlen=32, dev=dev) for a in which)


def announced(bench: Bench) -> list[tuple[str, int]]:
    return [(address, a.count) for a in bench.asked(actions.Announce) for _, address in a.addresses]


def test_at_once_after_the_delay_and_then_refreshed() -> None:
    bench = Bench(
        instance(
            garp_master_repeat=3, garp_master_delay=2 * S, garp_master_refresh=10 * S, garp_master_refresh_repeat=2
        )
    ).master()
    start = bench.now
    assert announced(bench) == [(VIP, 3)]
    assert bench.core.deadline() == start + 2 * S
    assert announced(bench.after(2 * S)) == [(VIP, 3)]
    assert bench.core.deadline() == start + 12 * S
    assert announced(bench.after(10 * S)) == [(VIP, 2)]
    assert announced(bench.after(10 * S)) == [(VIP, 2)]


def test_no_passes_no_announcement() -> None:
    bench = Bench(instance(garp_master_repeat=0, garp_lower_prio_repeat=0)).master()
    assert announced(bench) == []
    assert announced(bench.hear(50)) == []
    assert announced(bench.after(20 * S)) == []


def test_no_delay_no_refresh() -> None:
    bench = Bench(instance(garp_master_delay=0)).master()
    assert bench.core.deadline() is None


def test_virtual_addresses_then_excluded_ones_each_from_its_own_interface() -> None:
    bench = Bench(instance(addresses=addresses(A), excluded_addresses=addresses(B, SIX, dev="eth1"))).master()
    assert bench.asked(actions.Announce)[0].addresses == (("eth0", A), ("eth1", B), ("eth1", SIX))


def test_nothing_is_left_of_it_after_mastership() -> None:
    bench = Bench(instance(garp_master_refresh=S, garp_interval=300 * MS)).master().hear(200)
    assert bench.state == "BACKUP"
    assert announced(bench.after(60 * S)) == []
    assert bench.core.deadline() is None


def test_a_master_that_returns_has_one_refresh_cycle() -> None:
    bench = Bench(instance(garp_master_refresh=10 * S, garp_master_delay=0)).master().hear(200)
    bench.now += S
    bench.down()
    assert len(announced(bench.after(30 * S))) == 3


def test_paced_the_first_at_once_and_the_others_in_turn() -> None:
    bench = Bench(
        instance(addresses=addresses(A, B), garp_interval=100 * MS, garp_master_repeat=2, garp_master_delay=0)
    ).master()
    assert announced(bench) == [(A, 1)]
    assert announced(bench.after(100 * MS)) == [(B, 1)]
    assert announced(bench.after(100 * MS)) == [(A, 1)]
    assert announced(bench.after(S)) == [(B, 1)]
    assert announced(bench.after(S)) == []


def test_repeats_of_a_queued_address_are_not_added_up() -> None:
    bench = Bench(
        instance(addresses=addresses(A, B), garp_interval=S, garp_master_repeat=2, garp_lower_prio_repeat=2,
                 garp_master_delay=0, garp_lower_prio_delay=0)
    ).master()  # fmt: skip
    bench.hear(50)
    assert announced(bench) == []
    after = announced(bench.after(20 * S))
    assert sorted(after) == [(A, 1)] * 2 + [(B, 1)] * 2


def test_families_are_paced_apart() -> None:
    bench = Bench(instance(addresses=addresses(A), excluded_addresses=addresses(SIX, B), garp_interval=S)).master()
    assert announced(bench) == [(SIX, 5), (A, 1)]


def test_a_queue_is_free_again_after_its_interval() -> None:
    bench = Bench(instance(garp_interval=S, garp_master_repeat=1, garp_master_delay=500 * MS)).master()
    assert announced(bench.after(500 * MS)) == []
    assert announced(bench.after(500 * MS)) == [(VIP, 1)]


def test_instances_share_the_queue_of_an_interface() -> None:
    words = {"garp_interval": S, "garp_master_repeat": 1, "garp_master_delay": 0}
    bench = Bench(
        instance("A", addresses=addresses(A), **words),
        instance("B", virtual_router_id=52, addresses=addresses(B), **words),
    ).master()
    assert announced(bench) == []  # B waits behind A
    assert announced(bench.after(S)) == [(B, 1)]


def test_interfaces_of_a_garp_group_share_one_queue() -> None:
    words = {"addresses": addresses(A), "excluded_addresses": addresses(B, SIX, dev="eth1"), "garp_interval": S}
    groups = (GarpGroup(interfaces=("eth0", "eth1"), garp_interval=200 * MS),)
    bench = Bench(instance(garp_master_repeat=1, garp_master_delay=0, **words), garp_groups=groups).master()
    assert sorted(announced(bench)) == [(A, 1), (SIX, 1)]
    assert announced(bench.after(199 * MS)) == []
    assert announced(bench.after(MS)) == [(B, 1)]


def test_extra_interfaces_are_refreshed_while_master() -> None:
    words = {"addresses": addresses(A), "excluded_addresses": addresses(B, SIX, dev="eth1"), "garp_master_delay": 0}
    bench = Bench(instance(garp_extra_if=60 * S, garp_extra_all=True, **words)).master()
    bench.after(59 * S)
    assert announced(bench.after(S)) == [(B, 1)]
    assert announced(bench.after(60 * S)) == [(B, 1)]
    assert bench.hear(200).state == "BACKUP"
    assert announced(bench.after(600 * S)) == []
    assert announced(Bench(instance(garp_extra_if=60 * S, **words)).master().after(300 * S)) == []
