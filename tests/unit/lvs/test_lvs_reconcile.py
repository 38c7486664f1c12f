"""Reconcile: what counts as different, and the order of operations."""

from dataclasses import replace

from fastha.lvs.reconcile import execute, reconcile, same_destination, same_service
from fastha.model.net import Address
from fastha.model.plan import Forwarding, Method, TunnelType
from fastha.model.table import Destination, DestinationKey, Entry, Op, Operation, Service, ServiceKey

KEY = ServiceKey(4, 0, "TCP", Address("10.0.0.1"), 80)
OTHER = KEY._replace(port=81)
ONE, TWO, THREE = (DestinationKey(Address(f"10.0.1.{n}"), 80) for n in (1, 2, 3))


def ops(operations: list[Operation]) -> list[tuple[str, int]]:
    return [(operation.op.name, int(operation.key.address[-1]) if operation.key else 0) for operation in operations]


def test_nothing_to_do() -> None:
    table = {KEY: Entry(Service(), {ONE: Destination()})}
    assert reconcile(table, {KEY: Entry(Service(), {ONE: Destination()})}) == []


def test_foreign_services_are_left_alone_and_ours_go() -> None:
    assert reconcile({OTHER: Entry(Service())}, {}) == []
    assert ops(reconcile({OTHER: Entry(Service(), {ONE: Destination()})}, {}, {OTHER})) == [("DELETE_SERVICE", 0)]


def test_capacity_comes_first_and_goes_last() -> None:
    actual = {KEY: Entry(Service(), {ONE: Destination(), TWO: Destination()})}
    wanted = {KEY: Entry(Service(), {TWO: Destination(weight=0), THREE: Destination()})}
    assert ops(reconcile(actual, wanted)) == [("ADD_DEST", 3), ("EDIT_DEST", 2), ("DELETE_DEST", 1)]


def test_a_changed_service_is_edited_in_place() -> None:
    actual = {KEY: Entry(Service(scheduler="rr"), {ONE: Destination()})}
    wanted = {KEY: Entry(Service(scheduler="wrr"), {ONE: Destination(weight=3)})}
    assert ops(reconcile(actual, wanted)) == [("EDIT_SERVICE", 0), ("EDIT_DEST", 1)]


def test_what_means_nothing_makes_no_difference() -> None:
    assert same_service(Service(netmask=0xFFFFFF00, engine="sip"), Service())
    assert not same_service(Service(timeout=60, netmask=0xFFFFFF00), Service(timeout=60))
    gue = Method(forwarding=Forwarding.TUN, tunnel=TunnelType.GUE, tunnel_port=6080)
    assert same_destination(
        Destination(method=replace(gue, forwarding=Forwarding.DR)), Destination(method=Method(forwarding=Forwarding.DR))
    )
    assert not same_destination(Destination(method=gue), Destination(method=replace(gue, tunnel_port=1)))
    ipip = Method(forwarding=Forwarding.TUN, tunnel_flags=1)
    assert same_destination(Destination(method=ipip), Destination(method=replace(ipip, tunnel_flags=0)))


def test_execute_forgives_what_the_plane_forgives() -> None:
    table = {KEY: Entry(Service(), {ONE: Destination()})}
    execute(table, Operation(Op.ADD_SERVICE, KEY, service=Service(scheduler="sh")))
    execute(table, Operation(Op.DELETE_DEST, KEY, key=TWO))
    execute(table, Operation(Op.DELETE_SERVICE, OTHER))
    assert table == {KEY: Entry(Service(scheduler="sh"), {ONE: Destination()})}
