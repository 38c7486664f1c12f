"""What rtnetlink tells, and virtual addresses made so: against a real kernel, in a namespace of their own."""

import socket
import subprocess
from collections.abc import Iterator

import pytest

from fastha.model.net import Address
from fastha.model.plan import VirtualAddress
from fastha.system.addresses import Addresses
from fastha.system.links import Change, Network
from fastha.system.wanted import STATIC
from fastha.vrrp.events import AddressGone, LinkChanged, SourceChanged
from tests.netns.segment import inside, run, unique
from tests.poll import until

pytestmark = pytest.mark.netns


class World:
    """A namespace with a link d0 (one end of a veth pair), 10.1.0.1/24 on it, and both shells over it."""

    def __init__(self) -> None:
        self.namespace = unique("fha")
        run("ip", "netns", "add", self.namespace)
        try:
            self.add_link()
            self.ip("addr", "add", "10.1.0.1/24", "dev", "d0")
        except RuntimeError:
            run("ip", "netns", "del", self.namespace)
            raise
        self.network: Network = inside(self.namespace, lambda: Network(frozenset(), self.known))
        self.addresses: Addresses = inside(
            self.namespace, lambda: Addresses(lambda name: self.network.indexes.get(name, 0))
        )
        self.first = self.network.read()

    def add_link(self) -> None:
        self.ip("link", "add", "d0", "type", "veth", "peer", "name", "other")
        self.ip("link", "set", "other", "up")
        self.ip("link", "set", "d0", "up")

    def ip(self, *words: str) -> str:
        return run("ip", "-n", self.namespace, *words)

    def known(self, interface: str, address: Address) -> bool:
        return self.addresses.known(interface, address)

    def has(self, address: str) -> bool:
        return f" {address} " in self.ip("-o", "addr", "show", "d0")

    def close(self) -> None:
        self.network.close()
        self.addresses.close()
        run("ip", "netns", "del", self.namespace)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    try:
        yield made
    finally:
        made.close()


def line(address: str, prefixlen: int = 32, **words: object) -> VirtualAddress:
    return VirtualAddress(address=Address(address), prefixlen=prefixlen, dev="d0", **words)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------- links


def about_d0(changes: list[Change]) -> list[LinkChanged]:
    return [c for c in changes if isinstance(c, LinkChanged) and c.name == "d0"]


def test_the_first_reading_tells_links_and_sources(world: World) -> None:
    links = {change.name: change for change in world.first if isinstance(change, LinkChanged)}
    assert links["d0"].up
    assert not links["lo"].up
    assert SourceChanged("d0", 4, Address("10.1.0.1")) in world.first


def test_a_link_goes_down_and_up_and_away(world: World) -> None:
    world.ip("link", "set", "d0", "down")
    assert [(c.exists, c.up) for c in about_d0(world.network.changes())] == [(True, False)]
    world.ip("link", "set", "d0", "up")
    assert [c.up for c in about_d0(world.network.changes())] == [True]
    world.ip("link", "del", "d0")
    changes = world.network.changes()
    assert [c.exists for c in about_d0(changes)] == [False]
    assert SourceChanged("d0", 4, None) in changes


def test_a_renamed_link_is_gone_and_another_is_there(world: World) -> None:
    world.ip("link", "set", "d0", "down")
    world.ip("link", "set", "d0", "name", "d1")
    world.ip("link", "set", "d1", "up")
    links = {c.name: c for c in world.network.changes() if isinstance(c, LinkChanged)}
    assert not links["d0"].exists
    assert links["d1"].up


def test_a_bridge_losing_a_port_is_not_a_port_losing_itself(world: World) -> None:
    world.ip("link", "add", "name", "br0", "type", "bridge")
    world.ip("link", "set", "d0", "master", "br0")
    world.network.changes()
    world.ip("link", "set", "d0", "nomaster")
    assert all(c.exists for c in world.network.changes() if isinstance(c, LinkChanged))
    assert "d0" in world.network.indexes


def test_the_primary_address_moves(world: World) -> None:
    world.ip("addr", "add", "10.2.0.1/24", "dev", "d0")
    assert not [c for c in world.network.changes() if isinstance(c, SourceChanged)]
    world.ip("addr", "del", "10.1.0.1/24", "dev", "d0")
    assert SourceChanged("d0", 4, Address("10.2.0.1")) in world.network.changes()


def test_secondary_addresses_are_gone_before_their_primary_one(world: World) -> None:
    """As the kernel tells it, and before there is no source any more; others after it."""
    world.ip("addr", "add", "10.1.0.2/24", "dev", "d0")
    world.ip("addr", "add", "10.2.0.1/32", "dev", "d0")
    world.network.changes()
    world.ip("addr", "flush", "dev", "d0", "scope", "global")
    told = [c for c in world.network.changes() if not isinstance(c, LinkChanged)]
    assert told == [
        AddressGone("d0", Address("10.1.0.2"), 24),
        AddressGone("d0", Address("10.1.0.1"), 24),
        SourceChanged("d0", 4, None),
        AddressGone("d0", Address("10.2.0.1"), 32),
    ]


def test_a_configured_source_is_watched(world: World) -> None:
    source = ("d0", Address("10.3.0.1"))
    world.network.watch(frozenset([source]))
    assert SourceChanged("d0", 4, None, configured=source[1]) in world.network.described(frozenset(["d0"]))
    world.ip("addr", "add", "10.3.0.1/24", "dev", "d0")
    assert SourceChanged("d0", 4, source[1], configured=source[1]) in world.network.changes()


def test_lost_notifications_are_made_up_by_reading_again(world: World) -> None:
    world.network._monitor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    world.addresses.assign(0, (line("10.1.0.77"),))
    world.addresses.want(0, True)
    assert world.addresses.commit() == []
    commands = "".join(f"addr add 10.5.{n // 250}.{n % 250 + 1}/32 dev d0\n" for n in range(1000))
    subprocess.run(["ip", "-n", world.namespace, "-b", "-"], input=commands, text=True, check=True)
    world.ip("addr", "del", "10.1.0.1/24", "dev", "d0")
    changes = world.network.changes()
    assert world.network.overruns == 1
    assert SourceChanged("d0", 4, Address("10.5.0.1")) in changes
    assert world.network.has("d0", Address("10.5.3.250"), 32)


# --------------------------------------------------------------------------------------------------- addresses


def test_wanted_addresses_come_and_go(world: World) -> None:
    world.addresses.assign(3, (line("10.1.0.50", 24), line("10.1.0.51"), line("fd01::5", 64)))
    world.addresses.want(3, True)
    assert world.addresses.commit() == []
    assert world.has("10.1.0.50/24")
    assert world.has("10.1.0.51/32")
    assert world.has("fd01::5/64")
    world.network.changes()
    assert world.network.has("d0", Address("10.1.0.51"), 32)
    assert world.network.primary(world.network.indexes["d0"], 4) == "10.1.0.1"
    world.addresses.want(3, False)
    assert world.addresses.commit() == []
    assert not world.has("10.1.0.50/24")
    assert not world.has("fd01::5/64")
    assert world.has("10.1.0.1/24")


def test_what_is_there_or_gone_already_is_success(world: World) -> None:
    world.ip("addr", "add", "10.1.0.60/32", "dev", "d0")
    world.addresses.assign(0, (line("10.1.0.60"),))
    world.addresses.want(0, False)
    assert world.addresses.commit() == []
    assert not world.has("10.1.0.60/32")
    world.addresses.want(0, False)
    assert world.addresses.commit() == []
    world.addresses.want(0, True)
    world.addresses.commit()
    world.addresses.want(0, True)
    assert world.addresses.commit() == []


def test_what_the_kernel_refuses_is_told_and_the_rest_is_done(world: World) -> None:
    world.addresses.assign(0, (line("10.1.0.60"), line("10.1.0.61", label="wrong:1"), line("10.1.0.62")))
    world.addresses.assign(1, (VirtualAddress(address=Address("10.1.0.63"), prefixlen=32, dev="nowhere"),))
    world.addresses.want(0, True)
    world.addresses.want(1, True)
    problems = world.addresses.commit()
    assert "cannot add 10.1.0.63/32 dev nowhere: no such interface" in problems
    assert world.has("10.1.0.60/32")
    assert world.has("10.1.0.62/32")


def test_new_lines_of_a_holder_are_the_difference(world: World) -> None:
    world.addresses.assign(0, (line("10.1.0.60"), line("10.1.0.61")))
    world.addresses.want(0, True)
    world.addresses.commit()
    world.network.changes()
    world.addresses.assign(0, (line("10.1.0.61"), line("10.1.0.62")))
    assert world.addresses.commit() == []
    assert not world.has("10.1.0.60/32")
    assert world.has("10.1.0.62/32")
    gone = [c for c in world.network.changes() if isinstance(c, AddressGone)]
    assert gone == [AddressGone("d0", Address("10.1.0.60"), 32)], "the kept address was never away"
    world.addresses.assign(0, ())
    world.addresses.commit()
    assert not world.has("10.1.0.61/32")
    assert not world.addresses.known("d0", Address("10.1.0.61"))


def test_other_options_of_an_address_are_carried_out(world: World) -> None:
    world.addresses.assign(0, (line("10.1.0.60"), line("10.1.0.61")))
    world.addresses.want(0, True)
    world.addresses.commit()
    world.network.changes()
    world.addresses.assign(0, (line("10.1.0.60", label="d0:vip", scope=253), line("10.1.0.61")))
    assert world.addresses.commit() == []
    assert "10.1.0.60/32 scope link d0:vip" in world.ip("-o", "addr", "show", "d0")
    assert not [c for c in world.network.changes() if isinstance(c, AddressGone)]


def test_a_shared_address_stays_while_one_wants_it(world: World) -> None:
    for holder in (0, 1):
        world.addresses.assign(holder, (line("10.1.0.60"),))
        world.addresses.want(holder, True)
    world.addresses.commit()
    world.addresses.want(0, False)
    world.addresses.commit()
    assert world.has("10.1.0.60/32")
    world.addresses.assign(1, ())
    world.addresses.commit()
    assert not world.has("10.1.0.60/32")


def test_somebody_elses_deletion_is_seen_and_our_own_is_not_wanted_back(world: World) -> None:
    world.addresses.assign(STATIC, (line("10.1.0.60"),))
    world.addresses.want(STATIC, True)
    world.addresses.commit()
    world.network.changes()
    world.ip("addr", "del", "10.1.0.60/32", "dev", "d0")
    assert AddressGone("d0", Address("10.1.0.60"), 32) in until(world.network.changes, "the deletion")
    assert world.addresses.wanted("d0", Address("10.1.0.60"))
    world.addresses.restore("d0")
    world.addresses.commit()
    assert world.has("10.1.0.60/32")
    world.addresses.want(STATIC, False)
    world.addresses.commit()
    assert not world.addresses.wanted("d0", Address("10.1.0.60"))


def test_another_prefix_length_is_another_address(world: World) -> None:
    world.addresses.assign(0, (line("10.1.0.60", 24),))
    world.addresses.want(0, True)
    world.addresses.commit()
    world.network.changes()
    world.addresses.assign(0, (line("10.1.0.60", 25),))
    assert world.addresses.commit() == []
    gone = [c for c in world.network.changes() if isinstance(c, AddressGone)]
    assert gone == [AddressGone("d0", Address("10.1.0.60"), 24)]
    assert world.addresses.wanted("d0", Address("10.1.0.60"))
    assert not world.addresses.wanted("d0", Address("10.1.0.60"), 24), "it was our own doing"


@pytest.mark.parametrize("overrun", [False, True])
def test_what_is_ours_leaves_an_interface_with_its_name(world: World, overrun: bool) -> None:
    world.addresses.assign(0, (line("10.1.0.60"),))
    world.addresses.assign(1, (line("10.1.0.61"),))
    world.addresses.want(0, True)
    world.addresses.commit()
    world.network.changes()
    world.ip("addr", "add", "10.1.0.61/32", "dev", "d0")
    world.ip("link", "set", "d0", "down")
    world.ip("link", "set", "d0", "name", "d9")
    changes = world.network.read() if overrun else until(world.network.changes, "the new name")
    assert any(isinstance(c, LinkChanged) and c.name == "d0" and not c.exists for c in changes)
    [(name, index)] = world.network.take_renamed()
    assert (name, index) == ("d0", world.network.indexes["d9"])
    assert world.network.take_renamed() == []
    assert world.addresses.remove_from(name, index) == []
    left = world.ip("-o", "addr", "show", "d9")
    assert "10.1.0.60/32" not in left
    assert "10.1.0.61/32" in left, "of a backup: not ours"


def test_removed_and_added_at_once_was_never_gone(world: World) -> None:
    world.addresses.assign(0, (line("10.1.0.60"),))
    world.addresses.want(0, True)
    world.addresses.commit()
    world.network.changes()
    world.addresses.want(0, False)
    world.addresses.commit()
    world.addresses.want(0, True)
    world.addresses.commit()
    assert not [c for c in world.network.changes() if isinstance(c, AddressGone)]


def test_a_thousand_addresses_are_one_batch(world: World) -> None:
    world.addresses.assign(0, tuple(line(f"10.6.{n // 250}.{n % 250 + 1}") for n in range(1000)))
    world.addresses.want(0, True)
    assert world.addresses.commit() == []
    assert world.ip("-o", "-4", "addr", "show", "d0").count("10.6.") == 1000
    world.addresses.want(0, False)
    assert world.addresses.commit() == []
    assert world.ip("-o", "-4", "addr", "show", "d0").count("10.6.") == 0


def test_an_interface_that_comes_back_has_another_index(world: World) -> None:
    world.addresses.assign(0, (line("10.1.0.60"),))
    world.addresses.want(0, True)
    world.addresses.commit()
    world.ip("link", "del", "d0")
    world.add_link()
    world.network.changes()
    world.addresses.want(0, True)
    assert world.addresses.commit() == []
    assert world.has("10.1.0.60/32")
