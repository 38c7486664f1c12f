"""Tables as nftables: the text of a transaction, and what is read back from nft's own listing.

`nftables-listing.json` is what nft 1.0.6 on Linux 6.18 lists (-n -j) after the transaction that makes TABLE.
"""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastha.model.net import Address, parse_address
from fastha.model.table import Destination, DestinationKey, Entry, Service, ServiceKey, Table
from fastha.wire import nftlisting
from fastha.wire.nftables import chain_name, numbers, rehearsal, share, transaction


def server(address: str, port: int = 8080) -> DestinationKey:
    return DestinationKey(parse_address(address), port)


def service_key(protocol: str, address: str, port: int) -> ServiceKey:
    return ServiceKey(6 if ":" in address else 4, 0, protocol, Address(address), port)


WEB = service_key("TCP", "10.0.0.1", 80)
DNS = service_key("UDP", "2001:db8::1", 53)
EVERY = service_key("TCP", "10.0.0.3", 0)
MARK = ServiceKey(4, fwmark=77)
MARK6 = ServiceKey(6, fwmark=0xFFFFFFFF)

TABLE: Table = {
    WEB: Entry(
        Service(scheduler="wrr"),
        {
            server("10.0.1.1"): Destination(weight=2),
            server("10.0.1.2"): Destination(),
            server("10.0.1.3"): Destination(weight=0),
        },
    ),
    DNS: Entry(
        Service(scheduler="rr", timeout=300, netmask=64),
        {server("::ffff:1.2.3.4", 53): Destination(weight=5), server("fd00::2", 53): Destination(weight=0)},
    ),
    EVERY: Entry(
        Service(scheduler="wlc", timeout=60, netmask=0xFFFFFF00),
        {server("10.0.1.1", 0): Destination(), server("10.0.1.2", 99): Destination(weight=65535)},
    ),
    MARK: Entry(Service(scheduler="rr"), {server("10.0.1.1", 0): Destination(weight=9)}),
    MARK6: Entry(Service(scheduler="wrr", netmask=128)),
}
LISTING = json.loads((Path(__file__).parent / "nftables-listing.json").read_text())


def parse(document: Any) -> nftlisting.Reading:
    return nftlisting.parse(json.dumps(document).encode())


def test_what_is_no_json_is_damage() -> None:
    assert nftlisting.parse(b"warning: {").damage


def test_the_listing_is_the_table() -> None:
    reading = parse(LISTING)
    assert reading.damage == []
    assert reading.table == TABLE


def lines(old: Table, new: Table, *changed: ServiceKey) -> list[str]:
    return transaction(old, new, changed, fresh=False).replace("inet fastha_lvs ", "").splitlines()


def test_a_service_in_words() -> None:
    assert lines({}, TABLE, WEB) == [
        "add chain tcp-10.0.0.1-80",
        'add rule tcp-10.0.0.1-80 counter comment "wrr 0 0 4294967295"',
        "add rule tcp-10.0.0.1-80 meta l4proto tcp dnat ip to numgen inc mod 3 map "
        "{ 0 : 10.0.1.1 . 8080, 1 : 10.0.1.2 . 8080, 2 : 10.0.1.1 . 8080 }",
        "add element services4 { 10.0.0.1 . tcp . 80 : goto tcp-10.0.0.1-80 }",
        "add element servers4 { 10.0.0.1 . tcp . 80 . 10.0.1.1 . 8080 : 2, "
        "10.0.0.1 . tcp . 80 . 10.0.1.2 . 8080 : 1, 10.0.0.1 . tcp . 80 . 10.0.1.3 . 8080 : 0 }",
    ]


def test_a_change_touches_its_service_only_and_what_is_different() -> None:
    new = copy.deepcopy(TABLE)
    del new[WEB].destinations[server("10.0.1.3")]
    new[WEB].destinations[server("10.0.1.2")] = Destination(weight=2)
    assert lines(TABLE, new, WEB) == [
        "add chain tcp-10.0.0.1-80",
        "flush chain tcp-10.0.0.1-80",
        'add rule tcp-10.0.0.1-80 counter comment "wrr 0 0 4294967295"',
        "add rule tcp-10.0.0.1-80 meta l4proto tcp dnat ip to numgen inc mod 2 map "
        "{ 0 : 10.0.1.1 . 8080, 1 : 10.0.1.2 . 8080 }",
        "delete element servers4 { 10.0.0.1 . tcp . 80 . 10.0.1.2 . 8080, 10.0.0.1 . tcp . 80 . 10.0.1.3 . 8080 }",
        "add element servers4 { 10.0.0.1 . tcp . 80 . 10.0.1.2 . 8080 : 2 }",
    ]


def test_a_removed_service_leaves_nothing() -> None:
    found = lines(TABLE, {}, EVERY)
    made = [line.split()[2] for line in lines({}, TABLE, EVERY) if line.startswith(("add chain", "add map"))]
    deleted = [line.split()[2] for line in found if line.startswith(("delete chain", "delete map"))]
    assert sorted(deleted) == sorted(made)
    assert "delete element any4 { 10.0.0.3 . tcp }" in found


def test_a_persistent_server_keeps_its_number() -> None:
    """Clients that are written down with a number find the same server after a change of the pool."""
    new = copy.deepcopy(TABLE)
    new[DNS].destinations[server("fd00::3", 53)] = Destination()
    before, after = numbers(TABLE[DNS].destinations), numbers(new[DNS].destinations)
    assert before.items() < after.items()
    (pick,) = [line for line in lines(TABLE, new, DNS) if line.startswith("add rule udp-2001_db8__1-53-pick ")]
    assert all(number in pick for number in after.values())


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=50))
def test_numbers_differ_and_are_such_as_nft_writes_whole(hosts: list[int]) -> None:
    found = numbers(server(f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}", n >> 24) for n in hosts)
    assert len(set(found.values())) == len(found)
    for number in found.values():
        assert all(half.lstrip("0") for half in number.split(":"))


def test_services_without_a_server_are_told_apart() -> None:
    empty: Table = {WEB: Entry(Service(scheduler="rr"), {server("10.0.1.1"): Destination(weight=0)})}
    assert "add element unserved-services4 { 10.0.0.1 . tcp . 80 }" in lines({}, empty, WEB)
    assert "delete element unserved-services4 { 10.0.0.1 . tcp . 80 }" in lines(empty, TABLE, WEB)
    assert "delete element unserved-services4 { 10.0.0.1 . tcp . 80 }" in lines(empty, {}, WEB)
    assert "add element unserved-services4 { 10.0.0.1 . tcp . 80 }" in lines(TABLE, empty, WEB)
    assert not [line for line in lines(empty, empty, WEB) if "unserved" in line]


@pytest.mark.parametrize("at", TABLE)
def test_names_are_names_for_nft(at: ServiceKey) -> None:
    name = chain_name(at)
    assert name[0].isalpha()
    assert len(f"clients-{name}") < 128
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-_")


def test_the_longest_names_fit() -> None:
    address = "2001:db8:1111:2222:3333:4444:5555:6666"
    at, key = service_key("SCTP", address, 65535), server(address, 65535)
    made = lines({}, {at: Entry(Service(timeout=1, netmask=128), {key: Destination()})}, at)
    assert max(len(line.split()[2]) for line in made if line.startswith(("add chain", "add map"))) < 128


def test_the_rehearsal_leaves_nothing() -> None:
    made = rehearsal().splitlines()
    assert made[-1] == "delete table inet fastha_lvs_rehearsal"
    assert not [line for line in made if "fastha_lvs " in line or line.endswith("fastha_lvs")]


@pytest.mark.parametrize(
    ("scheduler", "weights", "wanted"),
    [
        ("rr", (9, 1), {0: 1, 1: 1}),
        ("lc", (9, 1), {0: 1, 1: 1}),
        ("wrr", (9, 1), {0: 9, 1: 1}),
        ("wlc", (9, 1), {0: 9, 1: 1}),
        ("fo", (1, 9), {1: 1}),
        ("ovf", (5, 5), {0: 1}),
        ("wrr", (0, 0), {}),
    ],
)
def test_schedulers(scheduler: str, weights: tuple[int, int], wanted: dict[int, int]) -> None:
    names = [server("10.0.1.1"), server("10.0.1.2")]
    entry = Entry(Service(scheduler=scheduler), dict(zip(names, map(_weight, weights), strict=True)))
    made = share(entry)
    count: dict[int, int] = {}
    for index in made.slots:
        place = names.index(made.servers[index])
        count[place] = count.get(place, 0) + 1
    assert count == wanted


def _weight(weight: int) -> Destination:
    return Destination(weight=weight)


# ----------------------------------------------------------------------------------- what others did


def counts(item: dict[str, Any]) -> bool:
    """Whether a listing without this object is that of another table: rules, and maps and sets with something in
    them."""
    ((kind, value),) = item.items()
    return kind == "rule" or (kind in {"map", "set"} and bool(value.get("elem")))


@pytest.mark.parametrize("position", [place for place, item in enumerate(LISTING["nftables"]) if counts(item)])
def test_everything_counts(position: int) -> None:
    left = [item for place, item in enumerate(LISTING["nftables"]) if place != position]
    reading = parse({"nftables": left})
    assert reading.damage or reading.table != TABLE


def test_a_chain_that_leads_elsewhere_is_damage() -> None:
    """A server's own chain, of a service with persistence: weights and slots are all as they were."""
    document = copy.deepcopy(LISTING)
    ends = [
        item["rule"]["expr"][-1]["dnat"]
        for item in document["nftables"]
        if "rule" in item and "-to-10.0.1.2-99" in item["rule"]["chain"] and "dnat" in str(item)
    ]
    (end,) = ends
    end["port"] = 100
    reading = parse(document)
    assert reading.damage == ["tcp [10.0.0.3]:0: the slots are not as they were made"]
    assert server("10.0.1.2", 99) not in reading.table[EVERY].destinations
    assert server("10.0.1.1", 0) in reading.table[EVERY].destinations


def test_persistence_needs_its_map() -> None:
    left = [item for item in LISTING["nftables"] if item.get("map", {}).get("name") != "clients-tcp-10.0.0.3-0"]
    assert len(left) == len(LISTING["nftables"]) - 1
    assert parse({"nftables": left}).damage


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, child in inner for each in paths(child, (*path, key)))]


PATHS = paths(LISTING)[1:]
NONSENSE = st.one_of(st.none(), st.integers(), st.text(max_size=8), st.just({}), st.just([]), st.just({"drop": None}))


@given(st.sampled_from(PATHS), NONSENSE)
def test_nonsense_in_the_listing_is_damage_or_a_table(path: tuple[Any, ...], nonsense: Any) -> None:
    document = copy.deepcopy(LISTING)
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = nonsense
    reading = parse(document)
    assert isinstance(reading.table, dict)
    # Whatever was read can be worked on.
    transaction(reading.table, TABLE, TABLE, fresh=True)
