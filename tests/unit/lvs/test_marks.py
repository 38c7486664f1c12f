"""Groups behind marks (nftables_ipvs)."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from fastha.lvs.marks import Marks, marked
from fastha.model.net import Address
from fastha.model.plan import CheckerPlan, MarkedGroups, RealServer, ServiceEntry, VirtualServer
from fastha.model.table import ServiceKey
from fastha.wire import markrules
from tests.check_builders import Lab, rs
from tests.checker_driver import own_network
from tests.config_machine import messages, read


def grouped(
    name: str, *entries: ServiceEntry, protocol: str = "TCP", servers: tuple[RealServer, ...] = ()
) -> VirtualServer:
    return VirtualServer(
        name=f"[{name}]:0",
        group=name,
        entries=entries,
        protocol=protocol,
        scheduler="rr",
        real_servers=servers or (rs(1),),
    )


def at(text: str, port: int = 80) -> ServiceEntry:
    return ServiceEntry(family=6 if ":" in text else 4, address=Address(text), port=port)


def plan(*servers: VirtualServer, **words: object) -> CheckerPlan:
    settings = MarkedGroups(**words)  # type: ignore[arg-type]
    return CheckerPlan(virtual_servers=servers, marked_groups=settings)


A, B, C = grouped("a", at("10.0.0.1"), at("10.0.0.2")), grouped("b", at("10.0.0.3")), grouped("c", at("10.0.0.4"))


def given(marks: Marks, *servers: VirtualServer, **words: object) -> list[int]:
    return [server.mark for server in marks.give(plan(*servers, **words)).virtual_servers]


def test_a_mark_for_each_group_and_protocol() -> None:
    assert given(Marks(), A, replace(A, protocol="UDP"), B, A) == [1000, 1001, 1002, 1000]
    assert given(Marks(), A, first=7) == [7]


def test_a_mark_is_kept_over_a_reload_and_given_again_when_it_is_free() -> None:
    marks = Marks()
    assert given(marks, A, B) == [1000, 1001]
    assert given(marks, C, B) == [1000, 1001]
    assert given(marks, A, C, B) == [1002, 1000, 1001]


def test_marks_of_the_configuration_are_not_given() -> None:
    marks = Marks()
    assert given(marks, A) == [1000]
    mark = VirtualServer(name="FWM 1000", fwmark=1000, protocol="NONE")
    assert given(marks, A, mark) == [1001, 0], "one that was given is taken back"


@pytest.mark.parametrize("entry", [ServiceEntry(fwmark=5), at("10.0.0.9", 0)])
def test_groups_with_marks_or_for_all_ports_stay_as_they_are(entry: ServiceEntry) -> None:
    assert given(Marks(), grouped("a", at("10.0.0.1"), entry)) == [0]


def test_without_the_word_nothing_is_marked() -> None:
    assert Marks().give(CheckerPlan(virtual_servers=(A,))).virtual_servers == (A,)


def test_a_service_of_each_family() -> None:
    both = grouped("a", at("10.0.0.1"), at("10.0.0.2"), at("fd00::1"))
    lab = Lab(plan(both, B))
    assert set(lab.kernel.table) == {ServiceKey(4, 1000), ServiceKey(6, 1000), ServiceKey(4, 1001)}
    lab.reload(plan(B))
    assert set(lab.kernel.table) == {ServiceKey(4, 1001)}
    lab.reload(CheckerPlan(virtual_servers=(B,)))
    assert set(lab.kernel.table) == {ServiceKey(4, 0, "TCP", Address("10.0.0.3"), 80)}


def test_nft_takes_the_table_and_its_removal() -> None:
    servers = Marks().give(plan(A, replace(B, protocol="SCTP"), grouped("c", at("fd00::1", 53), protocol="UDP")))
    wanted = marked(servers.virtual_servers)
    assert wanted[4, "TCP", Address("10.0.0.2"), 80] == 1000
    with own_network():

        def nft(*words: str, text: str = "") -> str:
            done = subprocess.run(["nft", *words], input=text, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            return done.stdout

        for counters in (False, True, True):
            nft("-f", "-", text=markrules.transaction(MarkedGroups(counters=counters), wanted))
        listed = " ".join(nft("list", "ruleset").split())
        assert "type filter hook input priority filter - 1; policy accept;" in listed
        assert "meta mark set ip daddr . tcp dport map @tcp_map counter packets 0 bytes 0 return" in listed
        assert "fd00::1 . 53 counter packets 0 bytes 0 : 0x000003ea" in listed
        nft("-f", "-", text=markrules.transaction(MarkedGroups(), {}))
        assert nft("list", "ruleset") == ""
        nft("-f", "-", text=markrules.removal("keepalived_ipvs"))


@pytest.mark.parametrize(
    ("words", "table", "priority", "first"),
    [("nftables_ipvs", "keepalived_ipvs", -1, 1000), ("nftables_ipvs mine\nnftables_ipvs_priority 5", "mine", 5, 1000),
     ("nftables_ipvs\nnftables_ipvs_start_fwmark 77", "keepalived_ipvs", -1, 77)],
)  # fmt: skip
def test_the_words(words: str, table: str, priority: int, first: int) -> None:
    loaded = read(f"global_defs {{\n{words}\n}}\n")
    assert loaded.plan is not None
    assert loaded.plan.checker.marked_groups == MarkedGroups(table=table, priority=priority, first=first)


def test_a_name_that_nft_would_not_take() -> None:
    loaded = read('global_defs {\nnftables_ipvs "a; flush ruleset"\n}\n')
    assert "no name for a table" in messages(loaded)
    assert loaded.plan is None or loaded.plan.checker.marked_groups is None
