"""Reconcile any table to any other, against a model kernel that answers EEXIST, ENOENT and ESRCH."""

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from fastha.lvs.journal import Journal, decode_journal, encode_journal
from fastha.lvs.reconcile import execute, reconcile, same_destination, same_service
from fastha.model.net import Address
from fastha.model.plan import Forwarding, Method
from fastha.model.table import Destination, DestinationKey, Entry, Op, Service, ServiceKey, Table
from tests.check_builders import ModelKernel

services = st.builds(
    Service,
    scheduler=st.sampled_from(["rr", "wlc"]),
    timeout=st.sampled_from([0, 60]),
    netmask=st.sampled_from([0xFFFFFFFF, 0xFFFFFF00]),
)
destinations = st.builds(
    Destination,
    weight=st.integers(0, 2),
    method=st.builds(Method, forwarding=st.sampled_from(Forwarding), tunnel_flags=st.sampled_from([0, 1])),
    uthreshold=st.sampled_from([0, 5]),
)
destination_keys = st.builds(
    DestinationKey, st.sampled_from([Address("10.0.1.1"), Address("10.0.1.2")]), st.integers(1, 3)
)
entries = st.builds(Entry, services, st.dictionaries(destination_keys, destinations, max_size=5))
service_keys = st.one_of(
    st.integers(1, 3).map(lambda port: ServiceKey(4, 0, "TCP", Address("10.0.0.1"), port)),
    st.integers(1, 2).map(lambda port: ServiceKey(6, 0, "UDP", Address("fd00::1"), port)),
    st.tuples(st.sampled_from([4, 6]), st.integers(1, 2)).map(lambda key: ServiceKey(key[0], fwmark=key[1])),
)
tables = st.dictionaries(service_keys, entries, max_size=5)


def differences(actual: Table, wanted: Table, ours: set[ServiceKey]) -> int:
    """How many things differ: a lower bound for the number of operations."""
    count = sum(at in ours and at not in wanted for at in actual)
    for at, entry in wanted.items():
        there = actual.get(at)
        if there is None:
            count += 1 + len(entry.destinations)
            continue
        count += not same_service(there.service, entry.service)
        for key in there.destinations.keys() | entry.destinations.keys():
            one, other = there.destinations.get(key), entry.destinations.get(key)
            count += one is None or other is None or not same_destination(one, other)
    return count


@given(tables, tables, st.sets(service_keys))
def test_any_table_becomes_any_other_without_an_error_in_as_few_steps_as_differences(
    actual: Table, wanted: Table, ours: set[ServiceKey]
) -> None:
    kernel = ModelKernel(deepcopy(actual))
    operations = reconcile(actual, wanted, ours)
    assert len(operations) == differences(actual, wanted, ours)
    assert not any(kernel.apply(operations))
    assert reconcile(kernel.table, wanted, ours) == [], "idempotent"
    for at, entry in wanted.items():
        assert kernel.table[at].destinations.keys() == entry.destinations.keys()
    for at in actual.keys() - wanted.keys():
        assert kernel.table.get(at) == (None if at in ours else actual[at]), "foreign services stay as they are"


@given(tables, tables, st.sets(service_keys))
def test_our_picture_of_the_kernel_stays_the_kernel(actual: Table, wanted: Table, ours: set[ServiceKey]) -> None:
    kernel = ModelKernel(deepcopy(actual))
    operations = reconcile(actual, wanted, ours)
    picture = deepcopy(actual)
    for operation in operations:
        kernel.apply([operation])
        execute(picture, operation)
        assert picture == kernel.table


@given(tables, tables)
def test_a_pool_that_serves_before_and_after_serves_all_the_way(actual: Table, wanted: Table) -> None:
    kernel = ModelKernel(deepcopy(actual))

    def serving(table: Table, at: ServiceKey) -> bool:
        return at in table and any(there.weight for there in table[at].destinations.values())

    steady = [at for at in actual if serving(actual, at) and serving(wanted, at)]
    for operation in reconcile(actual, wanted):
        kernel.apply([operation])
        assert all(serving(kernel.table, at) for at in steady)
        assert operation.op != Op.DELETE_SERVICE


@given(st.sets(service_keys))
def test_the_journal_keeps_every_key(keys: set[ServiceKey]) -> None:
    assert decode_journal(encode_journal(Journal(keys))) == (Journal(keys), 0)


@given(st.binary(max_size=200))
def test_no_bytes_upset_the_journal(data: bytes) -> None:
    decode_journal(data)
