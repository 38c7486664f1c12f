"""What the vrrp process may have put into the kernel, as its successor reads it: addresses, routes, rules, links."""

from dataclasses import replace
from pathlib import Path

import pytest

from fastha.model.net import Address
from fastha.model.plan import MadeLink, VirtualAddress, VrrpInstance, VrrpPlan
from fastha.model.routes import Route, Rule
from fastha.process.heldjournal import NAME, Held, HeldJournal, held_by


def address(number: int, **words: object) -> VirtualAddress:
    return VirtualAddress(address=Address(f"10.0.0.{number}"), prefixlen=24, dev="eth0", **words)  # type: ignore[arg-type]


ROUTE = Route(text="10.1.0.0/24 dev eth0", family=4, destination=Address("10.1.0.0"), prefixlen=24)
RULE = Rule(text="from 10.1.0.0 lookup 9", family=4, preference=100, table=9)
LINK = MadeLink(name="vrrp.51", base="eth0", mac="00:00:5e:00:01:33")
PLAN = VrrpPlan(
    instances=(
        VrrpInstance(
            name="VI", interface="eth0", virtual_router_id=51,
            addresses=(address(1),), excluded_addresses=(address(2),), routes=(ROUTE,), rules=(RULE,),
        ),
    ),
    static_addresses=(address(3),),
    static_routes=(replace(ROUTE, text="10.2.0.0/24 dev eth0", destination=Address("10.2.0.0")),),
    static_rules=(replace(RULE, text="from 10.2.0.0 lookup 8", table=8),),
    made_links=(LINK,),
)  # fmt: skip


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def journal(tmp_path: Path, told: list[str]) -> HeldJournal:
    return HeldJournal(str(tmp_path), told.append)


def test_everything_of_a_plan_comes_back(journal: HeldJournal, tmp_path: Path, told: list[str]) -> None:
    held = held_by(PLAN)
    assert [len(part) for part in (held.addresses, held.routes, held.rules, held.made_links)] == [3, 2, 2, 1]
    journal.write(held)
    assert HeldJournal(str(tmp_path), told.append).read() == held
    assert told == []
    journal.remove()
    assert journal.read() == Held()


def test_what_another_plan_has_no_longer(journal: HeldJournal) -> None:
    less = replace(
        PLAN, instances=(replace(PLAN.instances[0], routes=(), rules=()),), static_addresses=(), made_links=()
    )
    gone = held_by(PLAN).without(held_by(less))
    assert gone == Held((address(3),), (ROUTE,), (RULE,), (LINK,))
    assert held_by(less).without(held_by(PLAN)) == Held()


def test_an_address_is_the_same_whatever_its_options() -> None:
    assert Held(addresses=(address(1),)).without(Held(addresses=(address(1, label="eth0:1"),))) == Held()


def test_joined_is_what_is_in_either_once() -> None:
    both = Held((address(1),), (ROUTE,)).joined(Held((address(1), address(2)), (ROUTE,), (RULE,), (LINK,)))
    assert both == Held((address(1), address(2)), (ROUTE,), (RULE,), (LINK,))


@pytest.mark.parametrize("text", [b"", b"{", b'{"addresses": 7}'])
def test_a_torn_file_is_told_and_nothing_is_known(
    journal: HeldJournal, tmp_path: Path, told: list[str], text: bytes
) -> None:
    (tmp_path / NAME).write_bytes(text)
    assert journal.read() == Held()
    assert len(told) == 1
    assert "not known as ours" in told[0]


def test_no_file_is_nothing_held_and_no_news(journal: HeldJournal, told: list[str]) -> None:
    assert journal.read() == Held()
    assert told == []


def test_a_directory_that_is_gone_is_told(tmp_path: Path, told: list[str]) -> None:
    HeldJournal(str(tmp_path / "gone"), told.append).write(held_by(PLAN))
    assert len(told) == 1
    assert "would stay in the kernel" in told[0]
