"""virtual_routes, virtual_rules, static_routes, static_rules: from lines to what the kernel is to have."""

from collections.abc import Mapping
from typing import Any

from fastha.config.arguments import UINT, c_integer
from fastha.config.diagnostics import closest
from fastha.config.routes import RANGE, EncapLine, OptionLine
from fastha.config.schema.routes import NAMED
from fastha.config.semantics.context import Context
from fastha.config.semantics.names import Names
from fastha.config.tree import Node
from fastha.model.net import Address, Family, family_of
from fastha.model.routes import KEEPALIVED, MAIN_TABLE, Encap, EncapKind, Nexthop, Route, RouteMode, Rule, RuleAction

INTERFACES = ("dev", "iif", "oif")
KINDS = {
    "unicast": 1, "local": 2, "broadcast": 3, "brd": 3, "anycast": 4, "multicast": 5, "blackhole": 6, "unreachable": 7,
    "prohibit": 8, "throw": 9, "nat": 10, "xresolve": 11,
}  # fmt: skip
NOWHERE = frozenset({6, 7, 8, 9})
"""Kinds that lead nowhere."""
METRICS = {
    "mtu": 2, "window": 3, "rtt": 4, "rttvar": 5, "ssthresh": 6, "cwnd": 7, "advmss": 8, "reordering": 9,
    "hoplimit": 10, "initcwnd": 11, "features": 12, "rto_min": 13, "initrwnd": 14, "quickack": 15, "congctl": 16,
    "fastopen_no_cookie": 17,
}  # fmt: skip
"""RTAX_*."""
TIMES = {"rtt": 8, "rttvar": 4, "rto_min": 1}
"""Units of the kernel in a millisecond."""
SHORTEST, LONGEST = 200, 120_000
"""Milliseconds of such a time."""
PREFERENCES = {"medium": 0, "high": 1, "low": 3}
ANYWHERE: dict[Family, Address] = {4: Address("0.0.0.0"), 6: Address("::")}  # noqa: S104
UNNUMBERED = 16384
"""Preference of the first rule that names none; the next one of its family gets the number below."""
ACTIONS = {
    "goto": RuleAction.GOTO,
    "nop": RuleAction.NOP,
    "blackhole": RuleAction.BLACKHOLE,
    "unreachable": RuleAction.UNREACHABLE,
    "prohibit": RuleAction.PROHIBIT,
}
ENCAPS = {"ip": EncapKind.IP, "ip6": EncapKind.IP6, "mpls": EncapKind.MPLS, "ila": EncapKind.ILA}
Options = Mapping[str, tuple[Any, int]]


class Lines:
    """Reads the route and rule lines of the whole file; what does not fit this machine costs the line, and is said."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._names = Names(ctx)
        self._preferences = _preferences(ctx)

    def routes(self, owner: Node, path: str) -> tuple[Route, ...]:
        """Those of `path` in a vrrp_instance, or at the root."""
        return tuple(dict.fromkeys(self._route(item) for item in owner.entries(path) if self._fits(item, path)))

    def rules(self, owner: Node, path: str) -> tuple[Rule, ...]:
        found = (self._rule(item, path) for item in owner.entries(path) if self._fits(item, path))
        return tuple(dict.fromkeys(line for line in found if line is not None))

    # ---------------------------------------------------------------------------------------- judging

    def _fits(self, item: OptionLine, path: str) -> bool:
        ctx, fits = self._ctx, True
        for options in (item.options, *item.hops):
            for name in INTERFACES:
                if name in options:
                    value, at = options[name]
                    fits = ctx.interface(value, path, item.line, at) and fits
            for word, (file, most) in NAMED.items():
                for text in _parts(options, word):
                    if self._names.number(file, text, most) is None:
                        message = f"{path}: '{text}' is no number up to {most} and not in {file}; the line is ignored"
                        ctx.error(message, item.line, options[word][1])
                        fits = False
        if "vrf" in item.options:
            name, at = item.options["vrf"]
            known = ctx.host.interfaces().get(name)
            if known is None or known.kind != "vrf":
                ctx.error(f"{path}: there is no VRF {name}; the line is ignored", item.line, at)
                fits = False
        if fits and path.endswith("rules") and self._number(item.options, "table", 1) == 0:
            ctx.error(f"{path}: table 0 is none; the line is ignored", item.line, item.options["table"][1])
            fits = False
        if "track_group" in item.options and not path.startswith("static"):
            at = item.options["track_group"][1]
            ctx.error(f"{path}: track_group is for static routes and rules only", item.line, at)
        return fits

    def _number(self, options: Options, word: str, default: int) -> int:
        """The number of a word that `_fits` has passed."""
        if word not in options:
            return default
        file, most = NAMED[word]
        number = self._names.number(file, str(options[word][0]), most)
        assert number is not None
        return number

    def _realms(self, options: Options) -> int:
        numbers = [self._names.number("rt_realms", text, 255) or 0 for text in _parts(options, "realms")]
        return numbers[0] << 16 | numbers[1] if len(numbers) == 2 else sum(numbers)

    # ----------------------------------------------------------------------------------------- routes

    def _route(self, item: OptionLine) -> Route:
        options = item.options
        family = _family(item)
        destination, prefixlen = _prefix(options, "to", family)
        source, source_len = _prefix(options, "from", family)
        kind = KINDS[options["type"][0]] if "type" in options else KINDS["unicast"]
        hops = () if kind in NOWHERE else self._hops(item)
        metrics, locked = self._metrics(item)
        mode = next((mode for mode in (RouteMode.ADD, RouteMode.APPEND) if mode.value in options), RouteMode.PREPEND)
        tracked = "no_track" not in options
        return Route(
            text=_text(item),
            family=family,
            destination=destination,
            prefixlen=prefixlen,
            kind=kind,
            table=self._number(options, "table", MAIN_TABLE),
            vrf=_value(options, "vrf"),
            source=source if source_len else None,
            source_len=source_len,
            prefsrc=_value(options, "src"),
            tos=self._number(options, "tos", 0),
            scope=self._number(options, "scope", 0),
            protocol=KEEPALIVED if tracked else self._number(options, "protocol", KEEPALIVED),
            metric=_value(options, "metric"),
            hops=hops,
            metrics=metrics,
            locked=locked,
            congctl=_value(options, "congctl"),
            expires=_value(options, "expires"),
            pref=_preference(options),
            ttl_propagate=options["ttl-propagate"][0] == "enabled" if "ttl-propagate" in options else None,
            mode=mode,
            tracked=tracked,
        )

    def _hops(self, item: OptionLine) -> tuple[Nexthop, ...]:
        options = item.options
        if item.hops:
            return tuple(self._hop(item, hop) for hop in item.hops)
        first = self._hop(item, options)
        if "or" in options:
            return first, Nexthop(via=options["or"][0])
        return (first,)

    def _hop(self, item: OptionLine, options: Options) -> Nexthop:
        return Nexthop(
            via=_value(options, "via"),
            dev=_value(options, "dev"),
            weight=options["weight"][0] if "weight" in options else 1,
            onlink="onlink" in options,
            realms=self._realms(options),
            encap=self._encap(item, options),
        )

    def _encap(self, item: OptionLine, options: Options) -> Encap | None:
        line: EncapLine | None = _value(options, "encap")
        if line is None:
            return None
        values = line.values
        tos = values.get("tos", values.get("tc"))
        number = None if tos is None else self._names.number("rt_dsfield", tos, 255)
        if tos is not None and number is None:
            self._ctx.error(f"'{tos}' is no number up to 255 and not in rt_dsfield; it is ignored", item.line, line.at)
        kind = ENCAPS[line.kind]
        if any(family_of(values[name]) != (4 if line.kind == "ip" else 6) for name in ("dst", "src") if name in values):
            message = f"encap {line.kind} with an address of the other family; the encapsulation is dropped"
            self._ctx.error(message, item.line, line.at)
            return None
        return Encap(
            kind=kind,
            id=values.get("id"),
            dst=values.get("dst"),
            src=values.get("src"),
            tos=number,
            ttl=values.get("ttl", values.get("hoplimit")),
            flags=values.get("flags"),
            labels=values.get("labels", ()),
            locator=values.get("locator", 0),
        )

    def _metrics(self, item: OptionLine) -> tuple[tuple[tuple[int, int], ...], int]:
        """((number, value), ...) and the locks."""
        values = []
        for name, (value, at) in item.options.items():
            if name in TIMES:
                values.append((METRICS[name], self._time(item, name, str(value), at)))
            elif name == "features":
                values.append((METRICS[name], 1))
            elif name in METRICS and name != "congctl":
                values.append((METRICS[name], int(value)))
        locked = sum(1 << METRICS[name] for name in item.locked)
        return tuple(sorted(values)), locked

    def _time(self, item: OptionLine, name: str, text: str, at: int) -> int:
        """In units of the kernel; bare numbers are that already. Held within what makes sense, and said."""
        number = text.rstrip("mcse")
        unit = text[len(number) :]
        factor = TIMES[name]
        value = int(number) if not unit else round(float(number) * (1 if unit.startswith("m") else 1000) * factor)
        limited = min(max(value, SHORTEST * factor), LONGEST * factor)
        if limited != value:
            message = f"{name} {text} is outside {SHORTEST}..{LONGEST} ms; {limited // factor} ms is used"
            self._ctx.error(message, item.line, at)
        return limited

    # ------------------------------------------------------------------------------------------ rules

    def _rule(self, item: OptionLine, path: str) -> Rule | None:
        options = item.options
        family = _family(item)
        source, source_len = _prefix(options, "from", family)
        destination, destination_len = _prefix(options, "to", family)
        mark, _, mask = str(options["fwmark"][0]).partition("/") if "fwmark" in options else ("", "", "")
        action = next((action for name, action in ACTIONS.items() if name in options), RuleAction.TABLE)
        tracked = "no_track" not in options
        group = None
        if "suppress_ifgroup" in options:
            text, at = options["suppress_ifgroup"]
            group = self._names.number("group", text, UINT)
            if group is None:
                self._ctx.error(f"{path}: there is no group '{text}' of interfaces; the line is ignored", item.line, at)
                return None
        return Rule(
            text=_text(item),
            family=family,
            preference=self._preferences[id(item)],
            action=action,
            table=self._number(options, "table", 0),
            goto=options["goto"][0] if "goto" in options else 0,
            l3mdev="l3mdev" in options,
            invert="not" in options,
            source=source if source_len else None,
            source_len=source_len,
            destination=destination if destination_len else None,
            destination_len=destination_len,
            tos=self._number(options, "tos", 0),
            fwmark=c_integer(mark) if mark else None,
            fwmask=c_integer(mask) if mask else None,
            realms=self._realms(options),
            suppress_prefixlength=_value(options, "suppress_prefixlength"),
            suppress_ifgroup=group,
            iif=_value(options, "iif"),
            oif=_value(options, "oif"),
            tunnel_id=_value(options, "tunnel-id"),
            uid_range=_range(options, "uidrange"),
            ip_proto=self._ip_proto(item, path),
            sport=_range(options, "sport"),
            dport=_range(options, "dport"),
            protocol=KEEPALIVED if tracked or "protocol" not in options else options["protocol"][0],
            tracked=tracked,
        )

    def _ip_proto(self, item: OptionLine, path: str) -> int | None:
        if "ipproto" not in item.options:
            return None
        text, at = item.options["ipproto"]
        number = self._names.number("protocols", text, 255)
        if number is None:
            self._ctx.error(f"{path}: '{text}' is no IP protocol; it is ignored", item.line, at)
        return number


def followed(item: Route | Rule) -> tuple[str, ...]:
    """Interfaces whose loss takes what needs them along."""
    if not item.tracked:
        return ()
    return item.devices if isinstance(item, Route) else tuple(name for name in (item.iif, item.oif) if name is not None)


def static_followers(ctx: Context) -> dict[str, tuple[str, ...]]:
    """instance -> interfaces of the static items whose track_group names it."""
    groups = {node.header: [item.name for item in node.entries("group")] for node in ctx.root.blocks("track_group")}
    found: dict[str, dict[str, None]] = {}
    default = str(ctx.defs.get("default_interface", "eth0"))
    for path in ("static_ipaddress", "static_routes", "static_rules"):
        for item in ctx.root.entries(path):
            if isinstance(item, OptionLine):
                group, dev = _value(item.options, "track_group"), _value(item.options, "dev")
                dev = dev or _value(item.options, "iif")
            else:
                group, dev = item.options.get("track_group"), item.dev or default
            if group is None:
                continue
            if group not in groups:
                words = item.line.words
                ctx.error(
                    f"{path}: there is no track_group '{group}'; it is ignored",
                    item.line,
                    words.index("track_group") + 1 if "track_group" in words else 0,
                    suggestion=closest(group, groups),
                )
            elif dev is None:
                ctx.error(f"{path}: track_group needs an interface; it is ignored", item.line)
            else:
                for name in groups[group]:
                    found.setdefault(name, {})[dev] = None
    return {name: tuple(devices) for name, devices in found.items()}


def _preferences(ctx: Context) -> dict[int, int]:
    """The preference of every rule line, by id: as written, or downwards from `UNNUMBERED` in the order of the file."""
    owners = [(ctx.root, "static_rules"), *((node, "virtual_rules") for node in ctx.root.blocks("vrrp_instance"))]
    items = sorted((item for owner, path in owners for item in owner.entries(path)), key=lambda item: item.line.order)
    following: dict[Family, int] = {4: UNNUMBERED, 6: UNNUMBERED}
    found = {}
    for item in items:
        written = _value(item.options, "preference")
        if written is None:
            family = _family(item)
            written = following[family]
            following[family] -= 1
        found[id(item)] = int(written)
    return found


def _family(item: OptionLine) -> Family:
    return item.family or 4


def _value(options: Options, name: str) -> Any:
    return options[name][0] if name in options else None


def _parts(options: Options, word: str) -> list[str]:
    if word not in options:
        return []
    text = str(options[word][0])
    return text.split("/") if word == "realms" else [text]


def _prefix(options: Options, name: str, family: Family) -> tuple[Address, int]:
    """Address and length; length 0 for everything."""
    text = _value(options, name)
    if text is None or text == "default":
        return ANYWHERE[family], 0
    address, _, length = str(text).partition("/")
    return Address(address), int(length)


def _preference(options: Options) -> int | None:
    text = _value(options, "pref")
    return None if text is None else PREFERENCES[text] if text in PREFERENCES else int(text)


def _range(options: Options, name: str) -> tuple[int, int] | None:
    """LOW-HIGH; None for one that was complained about."""
    text = str(_value(options, name) or "")
    low, _, high = text.partition("-")
    return (int(low), int(high)) if RANGE.fullmatch(text) else None


def _text(item: OptionLine) -> str:
    return " ".join(item.line.words)
