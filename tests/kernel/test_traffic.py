"""Real connections through both planes: who gets them, who is seen, what happens when the pool changes.

What is asked of both is asked in the same test: nftables on this kernel, IPVS in the machine of tests/ipvs-vm.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator

import pytest

from fastha.lvs.reconcile import reconcile
from fastha.model.net import Family
from fastha.model.table import Destination, DestinationKey, Entry, Op, Operation, Plane, Service, ServiceKey, Table
from fastha.system.ipvs import IpvsPlane
from fastha.system.nftables import NftablesPlane
from tests.kernel.bed import VIP, Bed, say, server, service

pytestmark = [pytest.mark.kernel]

if os.geteuid() != 0 or not shutil.which("ip"):
    pytest.skip("network namespaces need root and iproute2", allow_module_level=True)

BOTH = [pytest.param("ipvs", marks=pytest.mark.ipvs), pytest.param("nftables", marks=pytest.mark.netns)]
NFTABLES = BOTH[1:]
FAMILIES = (4, 6)


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    made = Bed()
    try:
        made.make()
        yield made
    finally:
        made.destroy()


class Director:
    """A plane in the director's namespace, and the table it was last brought to."""

    def __init__(self, bed: Bed, plane: Plane) -> None:
        self.bed = bed
        self.plane = plane

    def want(self, wanted: Table) -> None:
        """Bring the kernel to `wanted`, as the checker does it."""
        with self.bed.inside("director"):
            actual = self.plane.read()
            refusals = self.plane.apply(reconcile(actual, wanted, ours=actual))
            assert [refusal.text for refusal in refusals] == []
            assert reconcile(self.plane.read(), wanted, ours=actual) == []

    def apply(self, *operations: Operation) -> list[str]:
        with self.bed.inside("director"):
            return [refusal.text for refusal in self.plane.apply(list(operations))]

    def nft(self, text: str) -> str:
        """What nft prints when it is given `text`."""
        with self.bed.inside("director"):
            done = subprocess.run(["nft", "-f", "-"], input=text, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def director(bed: Bed, request: pytest.FixtureRequest) -> Iterator[Director]:
    with bed.inside("director"):
        plane: Plane = IpvsPlane() if request.param == "ipvs" else NftablesPlane()
        plane.flush()
    made = Director(bed, plane)
    yield made
    with bed.inside("director"):
        plane.flush()
        plane.close()


def pool(weights: dict[int, int], scheduler: str = "rr", family: Family = 4, **attributes: int) -> Entry:
    """Servers by number, with weights, all on port 8080."""
    servers = {server(number, 8080, family): Destination(weight=weight) for number, weight in weights.items()}
    return Entry(Service(scheduler=scheduler, **attributes), servers)


@pytest.mark.parametrize("director", BOTH, indirect=True)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
def test_round_robin(director: Director, family: Family, udp: bool) -> None:
    director.want({service("UDP" if udp else "TCP", family=family): pool({1: 1, 2: 1, 3: 1}, family=family)})
    assert director.bed.ask_often(30, family=family, udp=udp) == {"one": 10, "two": 10, "three": 10}


@pytest.mark.parametrize("director", BOTH, indirect=True)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_server_sees_the_client(director: Director, family: Family) -> None:
    director.want({service(family=family): pool({1: 1}, family=family)})
    name, client, port = director.bed.ask(family=family, number=7)
    assert (name, port) == ("one", 8080)
    assert client.endswith((".7", "::7"))


@pytest.mark.parametrize("director", BOTH, indirect=True)
def test_weights_are_kept_exactly(director: Director) -> None:
    director.want({service(): pool({1: 5, 2: 3, 3: 0}, "wrr")})
    assert director.bed.ask_often(80) == {"one": 50, "two": 30}
    director.want({service(): pool({1: 200, 2: 100, 3: 100}, "wrr")})
    assert director.bed.ask_often(80) == {"one": 40, "two": 20, "three": 20}


@pytest.mark.parametrize("director", BOTH, indirect=True)
@pytest.mark.parametrize("family", FAMILIES)
def test_hashed_clients_stay(director: Director, family: Family) -> None:
    director.want({service(family=family): pool({1: 1, 2: 1, 3: 1}, "sh", family)})
    found = {number: director.bed.ask_often(5, family=family, number=number) for number in range(1, 10)}
    assert all(len(servers) == 1 for servers in found.values())
    assert len({name for servers in found.values() for name in servers}) > 1


@pytest.mark.parametrize("director", BOTH, indirect=True)
def test_the_greatest_weight_takes_all(director: Director) -> None:
    director.want({service(): pool({1: 1, 2: 9, 3: 5}, "fo")})
    assert director.bed.ask_often(6) == {"two": 6}
    director.want({service(): pool({1: 1, 2: 0, 3: 5}, "fo")})
    assert director.bed.ask_often(6) == {"three": 6}


# -------------------------------------------------------------------------------------- persistence


@pytest.mark.parametrize("director", BOTH, indirect=True)
@pytest.mark.parametrize("family", FAMILIES)
def test_persistent_clients_stay(director: Director, family: Family) -> None:
    director.want({service(family=family): pool({1: 1, 2: 1, 3: 1}, family=family, timeout=60, netmask=_all(family))})
    found = {number: director.bed.ask_often(4, family=family, number=number) for number in range(1, 7)}
    assert all(len(servers) == 1 for servers in found.values())
    assert sum(found.values(), Counter()) == {"one": 8, "two": 8, "three": 8}


@pytest.mark.parametrize("director", BOTH, indirect=True)
@pytest.mark.parametrize("family", FAMILIES)
def test_persistent_networks_stay(director: Director, family: Family) -> None:
    """All clients are of one network: so all are one client."""
    mask = 0xFFFFFF00 if family == 4 else 64
    director.want({service(family=family): pool({1: 1, 2: 1, 3: 1}, family=family, timeout=60, netmask=mask)})
    found = {director.bed.ask(family=family, number=number)[0] for number in range(1, 10)}
    assert len(found) == 1


@pytest.mark.parametrize("director", BOTH, indirect=True)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_persistent_client_of_a_removed_server_is_chosen_for_anew(director: Director, family: Family) -> None:
    at = service(family=family)
    attributes = {"family": family, "timeout": 60, "netmask": _all(family)}
    director.want({at: pool({1: 1, 2: 1}, **attributes)})
    first = director.bed.ask(family=family)[0]
    gone = 1 if first == "one" else 2
    director.want({at: pool({3 - gone: 1, 3: 1}, **attributes)})
    ((second, count),) = director.bed.ask_often(6, family=family).items()
    assert (second != first, count) == (True, 6)


@pytest.mark.parametrize("director", BOTH, indirect=True)
def test_weight_0_keeps_its_persistent_clients_and_gets_no_others(director: Director) -> None:
    director.want({service(): pool({1: 1}, timeout=60)})
    assert director.bed.ask(number=1)[0] == "one"
    director.want({service(): pool({1: 0, 2: 1}, timeout=60)})
    assert director.bed.ask_often(4, number=1) == {"one": 4}
    assert director.bed.ask_often(4, number=2) == {"two": 4}


@pytest.mark.parametrize("director", NFTABLES, indirect=True)
def test_persistence_ends_with_its_timeout(director: Director) -> None:
    """Looked at in the table: the time left is at most the timeout, and each connection starts it again."""
    director.want({service(): pool({1: 1}, timeout=300)})
    director.bed.ask(number=3)
    listing = director.nft("list map inet fastha_lvs clients-tcp-10.90.9.1-80")
    assert re.search(r"10\.90\.1\.3 timeout 5m expires (5m|4m5)", listing)
    director.want({service(): pool({1: 1}, timeout=30)})
    director.bed.ask(number=3)
    listing = director.nft("list map inet fastha_lvs clients-tcp-10.90.9.1-80")
    assert re.search(r"10\.90\.1\.3 .*expires (30s|29s)", listing)


def _all(family: Family) -> int:
    return 0xFFFFFFFF if family == 4 else 128


# ------------------------------------------------------------------------------- changes of the pool


@pytest.mark.parametrize("director", BOTH, indirect=True)
@pytest.mark.parametrize("family", FAMILIES)
def test_connections_survive_changes_around_them(director: Director, family: Family) -> None:
    at = service(family=family)
    director.want({at: pool({1: 1, 2: 1}, family=family)})
    with director.bed.connect(family=family) as opened:
        name, client, _ = say(opened)
        mine = 1 if name == "one" else 2
        changes = (
            {mine: 1, 3: 1},  # another one leaves, another one comes
            {mine: 0, 3: 1},  # drained
            {mine: 7, 3: 1},
        )
        for weights in changes:
            director.want({at: pool(weights, "wrr", family)})
            assert say(opened)[:2] == (name, client)
        director.want({at: pool({mine: 1}, "sh", family, timeout=60, netmask=_all(family))})
        assert say(opened)[:2] == (name, client)
        other = service("UDP", 53, family)
        director.want({at: pool({mine: 1}, family=family), other: pool({3: 1}, family=family)})
        assert say(opened)[:2] == (name, client)


@pytest.mark.parametrize("director", NFTABLES, indirect=True)
def test_connections_of_a_removed_server_go_on(director: Director) -> None:
    """A server that failed its check may well still serve whom it serves."""
    director.want({service(): pool({1: 1})})
    with director.bed.connect() as opened:
        assert say(opened)[0] == "one"
        director.want({service(): pool({2: 1})})
        assert say(opened)[0] == "one"
        director.want({service("TCP", 81): pool({2: 1})})
        assert say(opened)[0] == "one"


@pytest.mark.parametrize("director", NFTABLES, indirect=True)
@pytest.mark.parametrize("family", FAMILIES)
def test_datagrams_of_one_client_leave_a_removed_server(director: Director, family: Family) -> None:
    """One socket, so one entry of connection tracking, that would live for as long as the client goes on sending."""
    at = service("UDP", 53, family)
    director.want({at: pool({1: 1}, family=family)})
    with director.bed.connect(53, family, udp=True) as opened:
        assert say(opened)[0] == "one"
        director.want({at: pool({1: 1, 2: 1}, family=family)})
        assert say(opened)[0] == "one", "its server is still there"
        director.want({at: pool({2: 1}, family=family)})
        assert say(opened)[0] == "two"


@pytest.mark.parametrize("director", NFTABLES, indirect=True)
def test_datagrams_of_another_service_stay_at_the_server_that_leaves_one(director: Director) -> None:
    one, other = service("UDP", 53), service("UDP", 54)
    director.want({one: pool({1: 1}), other: pool({1: 1})})
    with director.bed.connect(54, udp=True) as opened:
        assert say(opened)[0] == "one"
        drained = pool({1: 0, 2: 1})  # so that a new choice would be seen
        director.want({one: pool({1: 1}), other: drained})
        director.want({one: pool({2: 1}), other: drained})
        assert say(opened)[0] == "one"
        director.want({one: pool({2: 1}), other: pool({2: 1})})
        assert say(opened)[0] == "two"


@pytest.mark.parametrize("director", BOTH, indirect=True)
def test_new_connections_go_to_the_new_pool_at_once(director: Director) -> None:
    director.want({service(): pool({1: 1, 2: 1})})
    director.bed.ask_often(3)
    director.want({service(): pool({3: 1})})
    assert director.bed.ask_often(5) == {"three": 5}


# ------------------------------------------------------------------------------------ other services


@pytest.mark.parametrize("director", BOTH, indirect=True)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_director_is_a_client_too(director: Director, family: Family) -> None:
    director.want({service(family=family): pool({1: 1, 2: 1}, family=family)})
    found = Counter(director.bed.ask(family=family, at="director")[0] for _ in range(10))
    assert found == {"one": 5, "two": 5}


@pytest.mark.parametrize("director", BOTH, indirect=True)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("weights", [{}, {1: 0}], ids=["empty", "weight 0"])
def test_without_servers_clients_are_refused(director: Director, family: Family, weights: dict[int, int]) -> None:
    """At once, and by an ICMP error: not by silence, nor by a program that happens to listen on the director."""
    wanted = {
        service(family=family): pool(weights, family=family),
        service("UDP", 53, family): pool(weights, family=family),
    }
    with director.bed.inside("director"):
        listener = socket.create_server((VIP[family], 80), family=socket.AF_INET if family == 4 else socket.AF_INET6)
    with listener:
        director.want(wanted)
        with pytest.raises(ConnectionRefusedError):
            director.bed.connect(family=family)
        with director.bed.connect(53, family, udp=True) as opened, pytest.raises(ConnectionRefusedError):
            say(opened)
    director.want({service(family=family): pool({2: 1}, family=family)})
    assert director.bed.ask(family=family)[0] == "two", "and served again when there is one"


@pytest.mark.parametrize("director", BOTH, indirect=True)
def test_every_port_of_an_address(director: Director) -> None:
    """Port 0: the port is kept, a service of its own for a port comes first."""
    every = Entry(Service(scheduler="rr", timeout=60), {server(1, 0): Destination()})
    director.want({service(port=0): every, service(port=80): pool({2: 1})})
    assert director.bed.ask(8080)[::2] == ("one", 8080)
    assert director.bed.ask(8081)[::2] == ("one", 8081)
    assert director.bed.ask(80)[::2] == ("two", 8080)


MARKS = """\
table inet marks {
    chain prerouting {
        type filter hook prerouting priority mangle
        %s daddr %s th dport 80-9000 meta mark set 5
    }
}
"""
THEIRS = """\
table inet theirs {
	chain input {
		type filter hook input priority filter; policy accept;
	}
}
"""


@pytest.mark.parametrize("director", NFTABLES, indirect=True)
@pytest.mark.parametrize("family", FAMILIES)
def test_services_by_mark(director: Director, family: Family) -> None:
    """Both protocols, the port kept for a server with port 0 and changed for another; the mark comes first."""
    word = "ip" if family == 4 else "ip6"
    director.nft(MARKS % (word, VIP[family]))
    try:
        mark = ServiceKey(family, fwmark=5)
        keep = Entry(Service(scheduler="rr"), {server(1, 0, family): Destination()})
        director.want({mark: keep, service(family=family): pool({3: 1}, family=family)})
        assert director.bed.ask(8081, family)[::2] == ("one", 8081)
        assert director.bed.ask(80, family)[::2] == ("one", 80)
        assert director.bed.ask(8081, family, udp=True)[::2] == ("one", 8081)
        mixed = Entry(
            Service(scheduler="rr"), {server(1, 0, family): Destination(), server(2, 8080, family): Destination()}
        )
        director.want({mark: mixed})
        found = {director.bed.ask(8081, family)[::2] for _ in range(4)}
        assert found == {("one", 8081), ("two", 8080)}
        director.want({mark: Entry(Service(scheduler="rr"))})
        with pytest.raises(ConnectionRefusedError):
            director.bed.connect(8081, family)
    finally:
        director.nft("delete table inet marks")


# ---------------------------------------------------------------------------------- nftables itself


@pytest.mark.parametrize("director", NFTABLES, indirect=True)
def test_other_tables_are_left_alone(director: Director) -> None:
    director.nft(THEIRS)
    director.want({service(): pool({1: 1})})
    assert THEIRS in director.nft("list ruleset")
    with director.bed.inside("director"):
        director.plane.flush()
    assert director.nft("list ruleset") == THEIRS
    director.nft("delete table inet theirs")


@pytest.mark.parametrize("director", NFTABLES, indirect=True)
def test_nothing_is_left_without_services(director: Director) -> None:
    director.want({service(): pool({1: 1}, timeout=60), service("UDP", 53, 6): pool({1: 2}, "sh", 6)})
    director.want({})
    assert director.nft("list ruleset") == ""


HANDS = {
    "the table is gone": "delete table inet fastha_lvs",
    "a chain is empty": "flush chain inet fastha_lvs tcp-10.90.9.1-80",
    "the hook is gone": "flush chain inet fastha_lvs prerouting",
    "a service is not found": "delete element inet fastha_lvs services4 { 10.90.9.1 . tcp . 80 }",
    "a weight is another": (
        "delete element inet fastha_lvs servers4 { 10.90.9.1 . tcp . 80 . 10.90.2.1 . 8080 };"
        "add element inet fastha_lvs servers4 { 10.90.9.1 . tcp . 80 . 10.90.2.1 . 8080 : 9 }"
    ),
    "it is of another make": "add chain inet fastha_lvs mine; delete chain inet fastha_lvs layout-2",
    "clients are refused": "add element inet fastha_lvs unserved-services4 { 10.90.9.1 . tcp . 80 }",
    "connections go elsewhere": (
        "flush chain inet fastha_lvs tcp-10.90.9.1-80;"
        'add rule inet fastha_lvs tcp-10.90.9.1-80 counter comment "wrr 0 0 4294967295";'
        "add rule inet fastha_lvs tcp-10.90.9.1-80 "
        "meta l4proto tcp dnat ip to numgen inc mod 1 map { 0 : 10.90.2.3 . 8080 }"
    ),
}
"""What somebody else does to our table, in the words of nft."""


@pytest.mark.parametrize("director", NFTABLES, indirect=True)
@pytest.mark.parametrize("hand", HANDS)
def test_what_others_do_to_our_table_is_seen_and_repaired(director: Director, hand: str) -> None:
    wanted = {service(): pool({1: 3, 2: 1}, "wrr"), service("UDP", 53): pool({2: 1}, "rr", timeout=60)}
    director.want(wanted)
    director.nft(HANDS[hand])
    with director.bed.inside("director"):
        found = director.plane.read()
        assert isinstance(director.plane, NftablesPlane)
        assert reconcile(found, wanted) or director.plane.damage
    director.want(wanted)
    # The next change of anything makes a damaged table anew.
    wanted[service("TCP", 81)] = pool({1: 1})
    director.want(wanted)
    assert director.plane.damage == []
    assert director.bed.ask_often(8) == {"one": 6, "two": 2}


@pytest.mark.parametrize("director", NFTABLES, indirect=True)
def test_connections_survive_a_repair(director: Director) -> None:
    """The whole table is made anew, in one transaction."""
    wanted = {service(): pool({1: 1})}
    director.want(wanted)
    with director.bed.connect() as opened:
        assert say(opened)[0] == "one"
        director.nft(HANDS["it is of another make"])
        director.want(wanted)
        assert "layout-2" in director.nft("list table inet fastha_lvs")
        assert say(opened)[0] == "one"


@pytest.mark.parametrize("director", NFTABLES, indirect=True)
def test_another_reads_the_same(director: Director) -> None:
    """Nothing is remembered but in the kernel: weights as asked for, even where their shares were rounded."""
    wanted = {
        service(): pool({1: 65535, 2: 1, 3: 0}, "wlc"),
        service("UDP", 53): pool({1: 1000, 2: 1000}, "mh", timeout=300, netmask=0xFFFF0000, flags=0x18),
        service("TCP", 0): Entry(
            Service(scheduler="rr", timeout=10), {server(1, 0): Destination(), server(2, 99): Destination()}
        ),
        service("SCTP", 99): pool({1: 1}),
        service("TCP", 443, 6): pool({1: 4, 2: 1}, "lblc", 6),
        ServiceKey(6, fwmark=0xFFFFFFFF): Entry(Service(netmask=128), {server(1, 0, 6): Destination(weight=3)}),
        ServiceKey(4, fwmark=7): Entry(Service()),
    }
    director.want(wanted)
    with director.bed.inside("director"):
        other = NftablesPlane()
        try:
            assert {at: (entry.service, entry.destinations) for at, entry in other.read().items()} == {
                at: (entry.service, entry.destinations) for at, entry in wanted.items()
            }
            assert other.damage == []
        finally:
            other.close()


@pytest.mark.parametrize("director", NFTABLES, indirect=True)
def test_thousands_of_servers(director: Director) -> None:
    count = 5000
    servers = {DestinationKey(*pair): Destination() for pair in _many(count)}
    director.want({service(): Entry(Service(scheduler="rr"), servers), service("TCP", 81): pool({1: 1})})
    with director.bed.inside("director"):
        assert len(director.plane.read()[service()].destinations) == count
    gone = next(iter(servers))
    assert director.apply(Operation(Op.DELETE_DEST, service(), key=gone)) == []
    assert director.bed.ask(81)[0] == "one"


def _many(count: int) -> Iterator[tuple[str, int]]:
    return ((f"10.91.{number >> 8}.{number & 255}", 80) for number in range(count))


@pytest.mark.parametrize("director", NFTABLES, indirect=True)
def test_a_service_that_nft_refuses_does_not_stop_the_others(director: Director) -> None:
    """Made up: an address that nft does not take. All or nothing is tried first, then one service after the other."""
    broken = ServiceKey(4, 0, "TCP", "10.90.9.999", 80)  # type: ignore[arg-type]
    refusals = director.apply(
        Operation(Op.ADD_SERVICE, broken, Service(scheduler="rr")),
        Operation(Op.ADD_SERVICE, service(), Service(scheduler="rr")),
        Operation(Op.ADD_DEST, service(), key=server(1), destination=Destination()),
    )
    assert len(refusals) == 1
    assert "nftables tcp [10.90.9.999]:80: cannot add the service" in refusals[0]
    assert director.bed.ask()[0] == "one"


@pytest.mark.parametrize("director", NFTABLES, indirect=True)
def test_two_planes_at_once_see_each_others_changes(director: Director) -> None:
    director.want({service(): pool({1: 1})})
    with director.bed.inside("director"):
        other = NftablesPlane()
        with contextlib.closing(other):
            operation = Operation(Op.ADD_DEST, service(), key=server(2), destination=Destination(weight=4))
            assert other.apply([operation]) == []
            assert director.plane.read()[service()].destinations[server(2)].weight == 4
    director.want({service(): pool({2: 1})})
    assert director.bed.ask_often(4) == {"two": 4}
