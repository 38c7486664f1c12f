"""use_vmac, use_vmac_addr, use_ipvlan: the interfaces that the configuration makes, and how they are called."""

from dataclasses import replace
from typing import Any

from fastha.config.arguments import MAX_INTERFACE, UINT
from fastha.config.semantics.context import Context
from fastha.config.semantics.names import Names
from fastha.config.source import Line
from fastha.config.tree import Node
from fastha.model.net import Family
from fastha.model.plan import MadeLink, VirtualAddress

MODES = {"bridge": 0, "private": 1, "vepa": 2}


class Vmacs:
    """All made interfaces of a file. One of the same base, family and VRID serves all who need it."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._names = Names(ctx)
        self._made: dict[tuple[str, str], MadeLink] = {}
        """(base, MAC address; of an ipvlan its name) -> link"""
        self._taken = set(ctx.host.interfaces())
        self._options: dict[Node, dict[str, Any]] = {}
        """Of each instance with an interface of its own: what its line says, less what cannot be had."""
        for node in ctx.root.blocks("vrrp_instance"):
            options = _options(node)
            if options is None:
                continue
            self._judge_names(node)
            self._judge(node, options)
            self._options[node] = options
            if "name" in options:
                self._taken.add(options["name"])
                ctx.made.setdefault(options["name"], node.get("interface", ""))

    def links(self) -> tuple[MadeLink, ...]:
        return tuple(self._made.values())

    def of_instance(
        self, node: Node, base: str, vrid: int, family: Family, *, strict: bool, speaks: bool
    ) -> MadeLink | None:
        """The interface that the instance runs on; None: on the one it names. `speaks`: its adverts leave from it."""
        options = self._options.get(node)
        if options is None:
            return None
        group = self._group(node, options)
        name: str | None = options.get("name")
        if node.has("use_ipvlan"):
            name = name or self._lasting(base, vrid) or self._free(self._prefix("vmac_prefix"), vrid, family)
            link = MadeLink(
                name=name,
                base=base,
                mode=MODES[options.get("mode", "bridge")],
                group=group,
                family=family,
                ipv6=True,
                address=options.get("address"),
                prefixlen=options.get("prefixlen", 32 if family == 4 else 128),
            )
            return self._add((base, name), link)
        if strict and "mac" in options:
            self._ctx.error(f"{node.header}: a MAC address of its own is not for strict mode", node.line_of("use_vmac"))
        mac = _mac(None if strict else options.get("mac"), vrid, family)
        found = self._made.get((base, mac))
        if found is not None:
            return found
        name = name or self._there(base, mac) or self._free(self._prefix("vmac_prefix"), vrid, family)
        ipv6 = family == 6
        link = MadeLink(name=name, base=base, mac=mac, group=group, family=family, ipv6=ipv6, speaks=speaks)
        return self._add((base, mac), link)

    def of_address(self, base: str, vrid: int, family: Family) -> MadeLink:
        """The interface for addresses of a virtual router on an interface that is not its own."""
        mac = _mac(None, vrid, family)
        found = self._made.get((base, mac))
        if found is not None:
            return found
        prefix = self._prefix("vmac_addr_prefix") if self._ctx.defs.has("vmac_addr_prefix") else None
        name = self._there(base, mac) or self._free(prefix or self._prefix("vmac_prefix"), vrid, family)
        return self._add((base, mac), MadeLink(name=name, base=base, mac=mac, family=family, ipv6=family == 6))

    def settle(self, addresses: tuple[VirtualAddress, ...]) -> None:
        """All addresses are known: IPv6 stays on where one is IPv6."""
        with_ipv6 = {address.dev for address in addresses if ":" in address.address}
        for key, link in self._made.items():
            if link.name in with_ipv6:
                self._made[key] = replace(link, ipv6=True)

    def _add(self, key: tuple[str, str], link: MadeLink) -> MadeLink:
        self._made[key] = link
        self._taken.add(link.name)
        self._ctx.made[link.name] = link.base
        return link

    def _prefix(self, word: str) -> str:
        return str(self._ctx.defs.get(word, "vrrp"))

    def _there(self, base: str, mac: str) -> str | None:
        """An interface of the kind wanted that the machine has already: an earlier run's, for instance."""
        for name, one in self._ctx.host.interfaces().items():
            if (one.kind, one.lower, one.mac) == ("macvlan", base, mac) and name not in self._ctx.made:
                return name
        return None

    def _lasting(self, base: str, vrid: int) -> str | None:
        """The same for an ipvlan, which is known by its name only."""
        for name, one in self._ctx.host.interfaces().items():
            mine = name.startswith(self._prefix("vmac_prefix")) and name.endswith(f".{vrid}")
            if mine and (one.kind, one.lower) == ("ipvlan", base) and name not in self._ctx.made:
                return name
        return None

    def _free(self, prefix: str, vrid: int, family: Family) -> str:
        """PREFIX.VRID, for IPv6 then PREFIX6.VRID, then PREFIX1.VRID and so on; the prefix is cut to what fits."""
        numbers = ["", *(["6"] if family == 6 else []), *(str(n) for n in range(1, 10_000) if family == 4 or n != 6)]
        for number in numbers:
            suffix = f"{number}.{vrid}"
            name = prefix[: MAX_INTERFACE - len(suffix)] + suffix
            if name not in self._taken:
                return name
        raise AssertionError("unreachable: more interfaces than a kernel has")

    def _group(self, node: Node, options: dict[str, Any]) -> int | None:
        text = options.get("group")
        if text is None:
            return None
        number = self._names.number("group", text, UINT)
        if number is None:
            line = node.line_of(_word(node))
            self._ctx.error(f"{node.header}: there is no group '{text}' of interfaces; it is ignored", line)
        return number

    def _judge_names(self, node: Node) -> None:
        """Two lines may name the interface: the first one counts."""
        if node.has("use_ipvlan") and node.has("use_vmac"):
            text = f"{node.header}: use_vmac and use_ipvlan; it runs on an ipvlan"
            self._ctx.report.note(text, node.line_of("use_vmac"))
        for name, line in _names(node)[1:]:
            self._ctx.error(f"{node.header}: the interface has a name already; '{name}' is ignored", line)

    def _judge(self, node: Node, options: dict[str, Any]) -> None:
        ctx = self._ctx
        word = _word(node)
        line = node.line_of(word)
        name = options.get("name")
        if name in ctx.made:
            ctx.error(f"{node.header}: another instance already uses the name {name}; it is ignored", line)
            del options["name"]
        elif name in self._taken and ctx.host.interfaces()[name].kind not in {"macvlan", "ipvlan"}:
            ctx.error(f"{node.header}: {name} is an interface of another kind; the name is ignored", line)
            del options["name"]
        if node.has("promote_secondaries"):
            ctx.error(
                f"{node.header}: promote_secondaries is always set with an interface of its own; it is ignored",
                node.line_of("promote_secondaries"),
            )
        first = next(iter(node.entries("virtual_ipaddress")), None)
        addressed = "address" in options or node.has("source")
        if word == "use_ipvlan" and not addressed and (first is None or first.family == 4):
            ctx.error(f"{node.header}: use_ipvlan needs an address of its own for IPv4", line)


def _word(node: Node) -> str:
    """The one of two words that counts."""
    return "use_ipvlan" if node.has("use_ipvlan") else "use_vmac"


def _options(node: Node) -> dict[str, Any] | None:
    """What the line of the word that counts says; the name may stand in the other one. None: there is no such line."""
    found: dict[str, Any] | None = node.maybe(_word(node))
    if found is None:
        return None
    names = _names(node)
    return found | ({"name": names[0][0]} if names else {})


def _names(node: Node) -> list[tuple[str, Line]]:
    """Names for the interface with their lines, in the order of the file."""
    lines = [(node.maybe(word), node.line_of(word)) for word in ("use_vmac", "use_ipvlan") if node.has(word)]
    lines.sort(key=lambda pair: pair[1].order)
    return [(options["name"], line) for options, line in lines if "name" in options]


def _mac(written: str | None, vrid: int, family: Family) -> str:
    """RFC 5798 7.3, unless written; five octets are completed by the VRID."""
    if written is None:
        return f"00:00:5e:00:0{1 if family == 4 else 2}:{vrid:02x}"
    octets = [int(part, 16) for part in written.split(":")]
    return ":".join(f"{octet:02x}" for octet in [*octets, vrid][:6])
