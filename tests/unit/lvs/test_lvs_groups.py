"""Virtual servers over a group: one pool, one quorum, one set of checks; a service of the kernel for each entry."""

from typing import Any

from fastha.lvs.quorum import GroupKey, service_keys
from fastha.model.net import Address, Family
from fastha.model.plan import Forwarding, Method, ServiceEntry, VirtualServer
from fastha.model.snapshot import VirtualServerSnapshot
from fastha.model.table import DestinationKey, ServiceKey
from fastha.process.describe import Describer
from tests.check_builders import OK, REFUSED, Lab, plan, rs, tcp, told, vs

DIRECT = Method(forwarding=Forwarding.DR)
TUNNEL = Method(forwarding=Forwarding.TUN)


def entry(last: int = 0, *, port: int = 80, mark: int = 0, family: Family = 4) -> ServiceEntry:
    if mark:
        return ServiceEntry(family=family, fwmark=mark)
    address = f"10.0.0.{last}" if family == 4 else f"fd00::{last}"
    return ServiceEntry(family=family, address=Address(address), port=port)


def group(*servers: Any, entries: tuple[ServiceEntry, ...], number: int = 0, **words: Any) -> VirtualServer:
    grouped = {"name": f"[g]:{number}", "group": "g", "sequence": number, "entries": entries}
    return vs(*servers, **{**grouped, "address": None, "port": 0, **words})


def there(lab: Lab) -> dict[str, dict[str, int]]:
    """Service -> server -> weight, as the kernel has it."""
    return {
        str(at): {str(key): destination.weight for key, destination in each.destinations.items()}
        for at, each in lab.kernel.table.items()
    }


TWO = (entry(1), entry(2, port=8080))


def test_each_entry_has_every_server_and_one_checker_serves_them_all() -> None:
    lab = Lab(plan(group(rs(1, tcp(1)), rs(2, weight=3), entries=TWO)))
    servers = {"[10.0.1.1]:80": 1, "[10.0.1.2]:80": 3}
    assert there(lab) == {"tcp [10.0.0.1]:80": servers, "tcp [10.0.0.2]:8080": servers}
    assert len(lab.director.core) == 1
    assert list(lab.director.pools) == [GroupKey("g", 0)]
    lab.state["10.0.1.1"] = REFUSED
    assert told(lab.run(20)) == ["RS 10.0.1.1 DOWN"], "once, whatever the number of entries"
    assert there(lab) == {key: {"[10.0.1.2]:80": 3} for key in ("tcp [10.0.0.1]:80", "tcp [10.0.0.2]:8080")}
    assert not lab.errors


def test_weights_count_once_for_the_quorum() -> None:
    """3.3: once per server, however many entries."""
    lab = Lab(plan(group(rs(1, tcp(1), weight=2), rs(2, tcp(2), weight=1), entries=TWO, quorum=2)))
    (pool,) = lab.director.pools.values()
    assert pool.alive_weight == 3
    lab.state["10.0.1.1"] = REFUSED
    assert told(lab.run(20)) == ["RS 10.0.1.1 DOWN", "VS DOWN"]
    lab.state["10.0.1.1"] = OK
    assert told(lab.run(20)) == ["RS 10.0.1.1 UP", "VS UP"]


def test_the_sorry_server_takes_over_in_every_entry() -> None:
    lab = Lab(plan(group(rs(1, tcp(1)), entries=TWO, sorry_server=rs(99))))
    lab.state["10.0.1.1"] = REFUSED
    lab.run(20)
    assert list(there(lab).values()) == [{"[10.0.1.99]:80": 1}] * 2
    lab.state["10.0.1.1"] = OK
    lab.run(20)
    assert list(there(lab).values()) == [{"[10.0.1.1]:80": 1}] * 2


def test_what_cannot_change_the_port_has_that_of_each_entry() -> None:
    """10.5: but for NAT a server has the port of the service, and none under a mark."""
    entries = (*TWO, entry(mark=7))
    lab = Lab(
        plan(group(rs(1, tcp(1), method=DIRECT), rs(2, port=81), entries=entries, sorry_server=rs(9, method=DIRECT)))
    )
    assert there(lab) == {
        "tcp [10.0.0.1]:80": {"[10.0.1.1]:80": 1, "[10.0.1.2]:81": 1},
        "tcp [10.0.0.2]:8080": {"[10.0.1.1]:8080": 1, "[10.0.1.2]:81": 1},
        "FWM 7": {"[10.0.1.1]:0": 1, "[10.0.1.2]:81": 1},
    }
    lab.state["10.0.1.1"] = REFUSED
    lab.run(20)
    assert [list(servers) for servers in there(lab).values()] == [["[10.0.1.2]:81"]] * 3


def test_two_ports_of_a_server_that_come_to_one_stay_while_one_is_alive() -> None:
    """With direct routing both are the same destination; keepalived would take it out with the first failure."""
    servers = (rs(1, tcp(1), method=DIRECT), rs(1, tcp(3), port=81, method=DIRECT))
    lab = Lab(plan(group(*servers, entries=(entry(1),))))
    for failed, left in (("10.0.1.1", 1), ("10.0.1.3", 0)):
        lab.state[failed] = REFUSED
        lab.run(20)
        assert [len(each) for each in there(lab).values()] == [left]


def test_both_families_through_tunnels() -> None:
    entries = (entry(1), entry(1, family=6), entry(mark=5, family=6))
    lab = Lab(
        plan(group(rs(1, method=TUNNEL), entries=entries, persistence_timeout=60, persistence_granularity=0xFFFFFF00))
    )
    masks = [each.service.netmask for each in lab.kernel.table.values()]
    assert masks == [0xFFFFFF00, 128, 128], "the mask is for its own family"
    assert [at.family for at in lab.kernel.table] == [4, 6, 6]


def test_a_service_of_two_virtual_servers_has_the_servers_of_both() -> None:
    """10.6: it goes when the last one does."""
    first = group(rs(1, tcp(1)), rs(3), entries=TWO, scheduler="wrr")
    second = group(rs(2, tcp(2)), rs(3, weight=5), entries=TWO, number=1, scheduler="rr")
    lab = Lab(plan(first, second))
    everything = {"[10.0.1.1]:80": 1, "[10.0.1.3]:80": 1, "[10.0.1.2]:80": 1}
    assert list(there(lab).values()) == [everything] * 2
    assert {each.service.scheduler for each in lab.kernel.table.values()} == {"wrr"}
    assert len(lab.director.core) == 2
    lab.state["10.0.1.2"] = REFUSED
    assert told(lab.run(20)) == ["RS 10.0.1.2 DOWN"]
    assert "[10.0.1.2]:80" not in there(lab)["tcp [10.0.0.1]:80"]
    lab.reload(plan(first))
    assert there(lab)["tcp [10.0.0.1]:80"] == {"[10.0.1.1]:80": 1, "[10.0.1.3]:80": 1}
    lab.reload(plan(second, first))
    assert {each.service.scheduler for each in lab.kernel.table.values()} == {"rr"}, "the first in the file counts"
    assert not lab.errors


def test_a_group_may_overlap_a_virtual_server_of_its_own() -> None:
    lab = Lab(plan(vs(rs(1)), group(rs(2), entries=TWO)))
    assert there(lab) == {
        "tcp [10.0.0.1]:80": {"[10.0.1.1]:80": 1, "[10.0.1.2]:80": 1},
        "tcp [10.0.0.2]:8080": {"[10.0.1.2]:80": 1},
    }
    lab.reload(plan(vs(rs(1))))
    assert there(lab) == {"tcp [10.0.0.1]:80": {"[10.0.1.1]:80": 1}}


def test_entries_come_and_go_with_a_reload() -> None:
    """11.9: state, checks and phases of the pool stay."""
    servers = (rs(1, tcp(1)), rs(2, tcp(2)))
    lab = Lab(plan(group(*servers, entries=TWO)))
    lab.state["10.0.1.1"] = REFUSED
    lab.run(20)
    writes, runs = lab.kernel.writes, len(lab.runs)
    assert told(lab.reload(plan(group(*servers, entries=(entry(2, port=8080), entry(3)))))) == []
    assert there(lab) == {key: {"[10.0.1.2]:80": 1} for key in ("tcp [10.0.0.2]:8080", "tcp [10.0.0.3]:80")}
    assert lab.kernel.writes - writes == 3, "one service goes, one comes with its server"
    assert len(lab.runs) == runs
    assert not lab.errors


def test_an_entry_that_comes_while_the_sorry_server_serves() -> None:
    """11.9: with servers that are inhibited at weight 0."""
    pool = {"sorry_server": rs(99), "quorum": 1}
    server = rs(1, tcp(1), inhibit_on_failure=True)
    lab = Lab(plan(group(server, entries=(entry(1),), **pool)))
    lab.state["10.0.1.1"] = REFUSED
    lab.run(20)
    lab.reload(plan(group(server, entries=TWO, **pool)))
    assert list(there(lab).values()) == [{"[10.0.1.1]:80": 0, "[10.0.1.99]:80": 1}] * 2


def test_the_number_is_the_identity_over_a_reload() -> None:
    """11.1: the group's name and the number; another protocol is the same pool on other services."""
    lab = Lab(plan(group(rs(1, tcp(1)), entries=TWO)))
    lab.state["10.0.1.1"] = REFUSED
    lab.run(20)
    assert told(lab.reload(plan(group(rs(1, tcp(1)), entries=TWO, protocol="UDP")))) == []
    assert there(lab) == {"udp [10.0.0.1]:80": {}, "udp [10.0.0.2]:8080": {}}


def test_a_start_takes_over_what_a_crash_left() -> None:
    services = plan(group(rs(1, tcp(1), method=DIRECT), rs(2, tcp(2), method=DIRECT), entries=TWO))
    lab = Lab(services)
    lab.state["10.0.1.1"] = REFUSED
    lab.run(20)
    after = Lab(services, kernel=lab.kernel.table, ours=set(lab.kernel.table))
    assert after.kernel.writes == 0
    assert [server.alive for pool in after.director.pools.values() for server in pool] == [False, True]


def test_ha_suspend_follows_any_address_of_the_group() -> None:
    """keepalived never finds a group's addresses, and its checks stay off for ever."""
    lab = Lab(plan(group(rs(1, tcp(1)), entries=TWO, ha_suspend=True)))
    lab.run(20)
    assert lab.runs == []
    lab.director.local_addresses({Address("10.0.0.2"): 1}, lab.now)
    lab.settle()
    lab.run(20)
    assert lab.runs


def test_the_snapshot_joins_the_services() -> None:
    lab = Lab(plan(group(rs(1, method=DIRECT), entries=TWO)))
    (pool,) = lab.director.pools.values()
    for number, (at, each) in enumerate(lab.kernel.table.items(), 1):
        each.connections[DestinationKey(Address("10.0.1.1"), at.port)] = (number, 10 * number)

    def shown() -> VirtualServerSnapshot:
        return Describer(lab.director.core, lab.probes.last, 0.0).virtual_server(pool, lab.kernel.table)

    assert (shown().name, shown().services, shown().programmed) == (
        "[g]:0",
        ("tcp [10.0.0.1]:80", "tcp [10.0.0.2]:8080"),
        True,
    )
    (server,) = shown().real_servers
    assert (server.programmed, server.active, server.inactive) == (True, 3, 30)
    del lab.kernel.table[pool.services[1]]
    assert not shown().programmed


def test_a_range_across_octets_is_as_many_services() -> None:
    """10.7: keepalived counts up in the last octet for ever."""
    addresses = [f"10.0.{third}.{last}" for third, last in ((0, 255), (1, 0), (1, 1))]
    entries = tuple(ServiceEntry(address=Address(address), port=80) for address in addresses)
    assert service_keys(group(entries=entries)) == tuple(
        ServiceKey(4, 0, "TCP", Address(address), 80) for address in addresses
    )
