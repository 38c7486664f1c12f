"""From the table that is to the table that should be, in as few operations as there are differences.

Ours is what is wanted and what the journal says we once added; every other service is foreign and never touched.
Within a service the pool is never empty on the way: what adds capacity comes first, what takes it away last.
(keepalived deletes first when the sorry server takes over or leaves, and for a moment nobody serves.) Tables are keyed
by hashes here, so all of it is linear.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

from fastha.model.plan import Forwarding, Method, TunnelType
from fastha.model.table import Destination, DestinationKey, Entry, Op, Operation, Service, ServiceKey, Table

_NO_NETMASK: Final = 0xFFFFFFFF


def settled_service(service: Service) -> Service:
    """The same attributes in one form: without persistence its mask and engine mean nothing."""
    if service.timeout or (service.netmask == _NO_NETMASK and service.engine is None):
        return service
    return replace(service, netmask=_NO_NETMASK, engine=None)


def settled_method(method: Method) -> Method:
    """Tunnel options mean something only where the kernel keeps them: port for gue, flags for gue and gre."""
    if method.forwarding != Forwarding.TUN:
        return Method(forwarding=method.forwarding)
    port = method.tunnel_port if method.tunnel == TunnelType.GUE else 0
    flags = 0 if method.tunnel == TunnelType.IPIP else method.tunnel_flags
    return Method(forwarding=method.forwarding, tunnel=method.tunnel, tunnel_port=port, tunnel_flags=flags)


def same_service(one: Service, other: Service) -> bool:
    """Whether the kernel would tell them apart."""
    return one == other or settled_service(one) == settled_service(other)


def same_destination(one: Destination, other: Destination) -> bool:
    """Whether the kernel would tell them apart."""
    if one is other or one == other:
        return True
    return (
        one.weight == other.weight
        and one.uthreshold == other.uthreshold
        and one.lthreshold == other.lthreshold
        and settled_method(one.method) == settled_method(other.method)
    )


def destination_operation(
    at: ServiceKey, key: DestinationKey, actual: Destination | None, wanted: Destination | None
) -> Operation | None:
    """The operation that makes one destination right; None: it is."""
    if wanted is None:
        return None if actual is None else Operation(Op.DELETE_DEST, at, key=key)
    if actual is None:
        return Operation(Op.ADD_DEST, at, key=key, destination=wanted)
    return None if same_destination(actual, wanted) else Operation(Op.EDIT_DEST, at, key=key, destination=wanted)


def _rank(operation: Operation) -> int:
    """Capacity first: adds and edits that leave a weight, then weights of 0, then deletes."""
    if operation.op == Op.DELETE_DEST:
        return 2
    return int(operation.destination is not None and operation.destination.weight == 0)


def ordered(operations: Iterable[Operation]) -> list[Operation]:
    """Destination operations of one service in the order in which the pool is never needlessly empty."""
    return sorted(operations, key=_rank)


def service_operations(at: ServiceKey, actual: Entry | None, wanted: Entry | None) -> list[Operation]:
    """Everything that makes one service right."""
    if wanted is None:
        return [] if actual is None else [Operation(Op.DELETE_SERVICE, at)]
    first: list[Operation] = []
    have: dict[DestinationKey, Destination] = {}
    if actual is None:
        first.append(Operation(Op.ADD_SERVICE, at, service=wanted.service))
    else:
        have = actual.destinations
        if not same_service(actual.service, wanted.service):
            first.append(Operation(Op.EDIT_SERVICE, at, service=wanted.service))
    changes: list[Operation] = []
    for key, destination in wanted.destinations.items():
        operation = destination_operation(at, key, have.get(key), destination)
        if operation is not None:
            changes.append(operation)
    changes += [Operation(Op.DELETE_DEST, at, key=key) for key in have if key not in wanted.destinations]
    return first + ordered(changes)


def reconcile(actual: Table, wanted: Table, ours: Collection[ServiceKey] = ()) -> list[Operation]:
    """What turns `actual` into `wanted`. Services in `actual` that are neither wanted nor `ours` stay as they are."""
    operations: list[Operation] = []
    for at, entry in wanted.items():
        operations += service_operations(at, actual.get(at), entry)
    for at in actual:
        if at not in wanted and at in ours:
            operations += service_operations(at, actual[at], None)
    return operations


def execute(table: Table, operation: Operation) -> None:
    """Do in `table` what the kernel did: an add of what is there edits it, a delete of what is gone is fine."""
    op, at, key = operation.op, operation.at, operation.key
    if op == Op.DELETE_SERVICE:
        table.pop(at, None)
        return
    entry = table.get(at)
    if op in (Op.ADD_SERVICE, Op.EDIT_SERVICE):
        assert operation.service is not None
        if entry is None:
            table[at] = Entry(operation.service)
        else:
            entry.service = operation.service
        return
    assert entry is not None, at
    assert key is not None
    if op == Op.DELETE_DEST:
        entry.destinations.pop(key, None)
    else:
        assert operation.destination is not None
        entry.destinations[key] = operation.destination
