"""What virtual addresses must not do, by nftables: answer, where accept mode is off (RFC 5798 6.1), and confuse
switches, where interfaces have virtual MAC addresses.

One small table per family, made anew at set-up, in one transaction with what is to be in it; at a failover only
elements of its sets come and go. Nobody else's table is touched; ours goes at the end.
"""

import errno
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from fastha.model.net import Address, Family, family_of, packed
from fastha.model.plan import FirewallSettings
from fastha.system.netlink import NETLINK_NETFILTER, NetlinkSocket
from fastha.system.wanted import Wanted
from fastha.wire import nftrules as wire

INPUT, OUTPUT = 1, 3
VIPS, LINK_LOCAL, MAP, MADE, PARENT = "vips", "vips_link_local", "vmac_map", "vmac_set", "parent_link_local"
NUMBERS: Final = {VIPS: 1, LINK_LOCAL: 2, MAP: 3, MADE: 4, PARENT: 5}
FAMILIES: Final[tuple[Family, ...]] = (4, 6)


class Shield(NamedTuple):
    """An address whose packets are dropped; `dev` for link-local ones."""

    address: Address
    dev: str = ""


class Firewall(Wanted[Shield, Shield, None]):
    """The tables. `index_of` gives an interface's index, 0 when there is none."""

    def __init__(self, index_of: Callable[[str], int]) -> None:
        super().__init__(lambda line: line, lambda _: None)
        self._index_of = index_of
        self._socket: NetlinkSocket | None = None
        self._settings = FirewallSettings()
        self._made: dict[Family, dict[int, int]] = {4: {}, 6: {}}
        self._borrowed: dict[int, Address] = {}
        self._there: set[tuple[Family, str, bytes]] = set()
        """Elements in the kernel: (family, set, key)."""
        self._shields = False
        self._tables: tuple[Family, ...] = ()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def fit(
        self,
        settings: FirewallSettings,
        made: Mapping[Family, dict[int, int]],
        borrowed: Mapping[int, Address],
        *,
        igmp: bool,
    ) -> list[str]:
        """Make the tables for interfaces with virtual MAC addresses (index -> index of the base, by family) and for
        the lines assigned; `borrowed`: index -> the link-local address that it has from its base, whose neighbours
        are to know the base's MAC address only. `igmp` false: IPv4 needs no rule for reports. Nothing is sent when
        nothing is needed, or all is as it was. What went wrong, in words."""
        wanted: dict[Family, dict[int, int]] = {4: dict(made[4]) if igmp else {}, 6: dict(made[6])}
        shields = any(self._lines.values())
        now = settings, wanted, dict(borrowed), shields
        if now == (self._settings, self._made, self._borrowed, self._shields):
            return []
        problems = [] if settings.table == self._settings.table else self.release()
        self._settings, self._made, self._borrowed, self._shields = now
        return [*problems, *self._remake()]

    def add(self) -> list[str]:
        """Elements that are wanted now."""
        new = self.additions()
        return self._change({key for line, _ in new if (key := self._element(line))} - self._there, add=True)

    def remove(self) -> list[str]:
        """Elements that are no longer."""
        gone = self.removals()
        return self._change({key for line, _ in gone if (key := self._element(line))} & self._there, add=False)

    def release(self) -> list[str]:
        """Remove the tables."""
        if not self._tables:
            return []
        messages = [wire.delete_table(family, self._settings.table) for family in self._tables]
        self._tables, self._there = (), set()
        return self._send(messages, "remove the firewall rules", {errno.ENOENT})

    # -------------------------------------------------------------------------------------------- parts

    def _element(self, line: Shield) -> tuple[Family, str, bytes] | None:
        """None while its interface is not there."""
        if not line.dev:
            return family_of(line.address), VIPS, packed(line.address)
        number = self._index_of(line.dev)
        return (6, LINK_LOCAL, packed(line.address) + wire.index(number)) if number else None

    def _remake(self) -> list[str]:
        """The tables as they are to be, in place of what there may be under their name."""
        name = self._settings.table
        wanted = {
            key for line, entry in self._entries.items() if entry.holders and (key := self._element(line)) is not None
        }
        messages: list[wire.Message] = []
        tables = tuple(f for f in FAMILIES if self._shields or self._made[f])
        for family in FAMILIES:
            if family in tables or family in self._tables:
                messages += [wire.table(family, name), wire.delete_table(family, name)]
        for family in tables:
            messages += [wire.table(family, name), *self._contents(family, wanted)]
        if not messages:
            return []
        self._tables, self._there = tables, wanted
        problems = self._send(messages, "make the firewall rules", set())
        if problems:
            self._tables, self._there = (), set()
        return problems

    def _contents(self, family: Family, wanted: Iterable[tuple[Family, str, bytes]]) -> Iterable[wire.Message]:
        name, counters = self._settings.table, self._settings.counters
        for chain, hook in (("in", INPUT), ("out", OUTPUT)):
            yield wire.base_chain(family, name, chain, hook, self._settings.priority)
        made = self._made[family]
        if made:
            yield wire.new_set(family, name, MAP, NUMBERS[MAP], wire.INDEX_MAP)
            pairs = [(wire.index(one), wire.index(base)) for one, base in made.items()]
            yield wire.elements(family, name, MAP, pairs)
            for reports in wire.reports_by_base(family, MAP, NUMBERS[MAP], counters=counters):
                yield wire.rule(family, name, "out", reports)
        if made and family == 6:
            yield wire.new_set(family, name, MADE, NUMBERS[MADE], wire.INDEXES)
            yield wire.elements(family, name, MADE, [wire.index(one) for one in made])
            silence = wire.no_router_solicitations(MADE, NUMBERS[MADE], counters=counters)
            yield wire.rule(family, name, "out", silence)
        if family == 6 and self._borrowed:
            yield wire.new_set(family, name, PARENT, NUMBERS[PARENT], wire.LINK_LOCAL)
            keys = [packed(address) + wire.index(one) for one, address in self._borrowed.items()]
            yield wire.elements(family, name, PARENT, keys)
            yield wire.rule(family, name, "out", wire.no_neighbour_adverts(PARENT, NUMBERS[PARENT], counters=counters))
        if self._shields:
            yield from self._shield(family, wanted)

    def _shield(self, family: Family, wanted: Iterable[tuple[Family, str, bytes]]) -> Iterable[wire.Message]:
        name, counters = self._settings.table, self._settings.counters
        kinds = {VIPS: wire.ADDRESSES[family], **({LINK_LOCAL: wire.LINK_LOCAL} if family == 6 else {})}
        for set_name, kind in kinds.items():
            yield wire.new_set(family, name, set_name, NUMBERS[set_name], kind)
            if keys := [key for f, at, key in wanted if (f, at) == (family, set_name)]:
                yield wire.elements(family, name, set_name, keys)
        for chain, incoming in (("in", True), ("out", False)):
            if family == 6:
                for accept in wire.neighbour_discovery(counters=counters):
                    yield wire.rule(family, name, chain, accept)
                drop = wire.no_link_local(LINK_LOCAL, NUMBERS[LINK_LOCAL], incoming=incoming, counters=counters)
                yield wire.rule(family, name, chain, drop)
            drop = wire.no_address(family, VIPS, NUMBERS[VIPS], incoming=incoming, counters=counters)
            yield wire.rule(family, name, chain, drop)

    def _change(self, keys: set[tuple[Family, str, bytes]], *, add: bool) -> list[str]:
        if not keys or not self._tables:
            return []
        messages = [
            wire.elements(
                family,
                self._settings.table,
                set_name,
                [k for f, at, k in keys if (f, at) == (family, set_name)],
                add=add,
            )
            for family, set_name in sorted({(family, set_name) for family, set_name, _ in keys})
        ]
        self._there = self._there | keys if add else self._there - keys
        problems = self._send(messages, "change the firewall rules", set())
        return [*problems, *self._remake()] if problems else []

    def _send(self, messages: list[wire.Message], what: str, fine: set[int]) -> list[str]:
        try:
            if self._socket is None:
                self._socket = NetlinkSocket(NETLINK_NETFILTER)
            self._socket.transaction(
                [(wire.BATCH_BEGIN, 0, wire.border()), *messages, (wire.BATCH_END, 0, wire.border())]
            )
        except OSError as error:
            if error.errno not in fine:
                return [f"cannot {what} (nftables): {error.strerror}"]
        return []
