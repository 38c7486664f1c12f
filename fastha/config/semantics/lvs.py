"""The LVS half of the Plan: virtual servers with their real servers. The rules are in the order keepalived has them."""

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from fastha.config.diagnostics import closest
from fastha.config.lines import GroupEntry
from fastha.config.schema.servers import ServerAddress, VirtualKey
from fastha.config.semantics.checkers import CheckerReader, client_tls
from fastha.config.semantics.context import Context
from fastha.config.semantics.process import process_settings
from fastha.config.semantics.scripts import Scripts
from fastha.config.semantics.tracking import Tracking
from fastha.config.tree import Node
from fastha.model.net import Address, Family, family_of
from fastha.model.plan import (
    CheckerPlan,
    Command,
    Drift,
    FlushOnStop,
    Forwarding,
    MarkedGroups,
    Method,
    Notifies,
    PlaneChoice,
    RealServer,
    ServiceEntry,
    SyncSettings,
    VirtualServer,
)

ALL_ONES = 0xFFFFFFFF
PERSISTENCE = 360
FLAGS = {
    "ops": 0x4,
    "flag-1": 0x8,
    "flag-2": 0x10,
    "flag-3": 0x20,
    "sh-fallback": 0x8,
    "sh-port": 0x10,
    "mh-fallback": 0x8,
    "mh-port": 0x10,
}
MAX_GROUP = 4096
"""Addresses of one range; a wider one is a mistake, or work for firewall marks."""
MAX_SERVICES = 65_536
"""Services of one group; each is an entry of the kernel's table."""


@dataclass(slots=True)
class LvsPart:
    """What the virtual servers come to."""

    checker: CheckerPlan
    notifies: list[Notifies] = field(default_factory=list)


def lvs_part(ctx: Context, scripts: Scripts, tracking: Tracking) -> LvsPart:
    defs = ctx.defs
    services: dict[tuple[object, ...], VirtualServer] = {}
    pools: dict[tuple[object, ...], list[RealServer]] = {}
    notifies: list[Notifies] = []
    reader = CheckerReader(ctx, scripts, tracking)
    groups = _groups(ctx)
    for node in ctx.root.blocks("virtual_server"):
        key: VirtualKey = node.header
        group = groups.get(key.group) if key.group else None
        if key.group and group is None:
            ctx.error(f"there is no virtual_server_group '{key.group}'; the virtual server is dropped", node.line, 2)
            continue
        service = _Service(ctx, scripts, reader, node, group)
        planned = service.plan()
        if planned is None:
            continue
        place = (planned.family, planned.fwmark, planned.protocol, planned.address, planned.port)
        identity = (planned.group, planned.sequence) if group is not None else place
        if services.setdefault(identity, planned) is not planned:
            _note_twice(ctx, planned, node)
        pools.setdefault(identity, []).extend(planned.real_servers)
        notifies += service.notifies(planned)
    return LvsPart(
        CheckerPlan(
            virtual_servers=tuple(_with_pool(service, pools[identity]) for identity, service in services.items()),
            lvs_plane=PlaneChoice(defs.get("lvs_plane", "auto")),
            lvs_flush=defs.has("lvs_flush"),
            lvs_timeouts=defs.get("lvs_timeouts", (0, 0, 0)),
            lvs_flush_on_stop=FlushOnStop(defs.get("lvs_flush_on_stop", "")),
            lvs_drift=Drift(defs.get("lvs_drift", "repair")),
            marked_groups=_marked_groups(ctx),
            sync_daemon=_sync_daemon(ctx),
            net_namespace_ipvs=ctx.root.maybe("net_namespace_ipvs"),
            close_rst=defs.get("checker_close", "fin") == "rst",
            share_checks=defs.get("share_checks", False),
            tls=client_tls(ctx),
            rs_init_notifies=defs.get("rs_init_notifies", False),
            no_checker_emails=defs.get("no_checker_emails", False),
            process=process_settings(ctx, "checker", "keepalived_lvs"),
        ),
        notifies,
    )


def _marked_groups(ctx: Context) -> MarkedGroups | None:
    """nftables_ipvs and its kin."""
    if not ctx.defs.has("nftables_ipvs"):
        return None
    usual = MarkedGroups()
    words = ctx.defs.get("nftables_ipvs", ())
    table = words[0] if words else usual.table
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]{0,253}", table):
        ctx.error(f"'{table}' is no name for a table of nftables; it is ignored", ctx.defs.line_of("nftables_ipvs"), 1)
        return None
    return MarkedGroups(
        table=table,
        priority=ctx.defs.get("nftables_ipvs_priority", usual.priority),
        first=ctx.defs.get("nftables_ipvs_start_fwmark", usual.first),
        counters=ctx.defs.has("nftables_counters"),
    )


def _sync_daemon(ctx: Context) -> SyncSettings | None:
    """lvs_sync_daemon, else the older word in an instance. One that follows an instance that is not there is none."""
    options: dict[str, Any] | None = ctx.defs.maybe("lvs_sync_daemon")
    instances = {node.header: node for node in ctx.root.blocks("vrrp_instance")}
    for name, node in instances.items():
        interface: str | None = node.maybe("lvs_sync_daemon_interface")
        if interface is None:
            continue
        if options is not None:
            ctx.error(
                f"{name}: there is a sync daemon already; lvs_sync_daemon_interface is ignored",
                node.line_of("lvs_sync_daemon_interface"),
            )
            continue
        # keepalived asks the instance for its VRID too late here
        options = {"interface": interface, "inst": (name, 0), "id": 0}
    if options is None:
        return None
    name, at = options.get("inst", ("", 0))
    if name and name not in instances:
        ctx.report.note(
            f"lvs_sync_daemon: there is no vrrp_instance '{name}'; it is ignored",
            ctx.defs.line_of("lvs_sync_daemon"),
            at,
            suggestion=closest(name, instances),
        )
        return None
    own: int = instances[name].get("virtual_router_id", 0) if name else 0
    return SyncSettings(
        interface=options["interface"],
        instance=name,
        syncid=options.get("id", own),
        maxlen=options.get("maxlen", 0),
        port=options.get("port", 0),
        ttl=options.get("ttl", 0),
        group=options.get("group"),
    )


def _note_twice(ctx: Context, service: VirtualServer, node: Node) -> None:
    ctx.report.note(
        f"virtual server {service.name} is there twice: its real servers join those of the first one, whose settings "
        "count",
        node.line,
        1,
    )


def _with_pool(service: VirtualServer, pool: list[RealServer]) -> VirtualServer:
    """Services of one identity are one in the kernel, with the servers of all."""
    if len(pool) == len(service.real_servers):
        return service
    first: dict[tuple[Address, int], RealServer] = {}
    for server in pool:
        first.setdefault((server.address, server.port), server)
    return replace(service, real_servers=tuple(first.values()))


@dataclass
class _Group:
    """A virtual_server_group. `users` counts the virtual servers that have it."""

    name: str
    entries: list[GroupEntry]
    users: int = 0

    @property
    def families(self) -> set[Family]:
        """Of its addresses, and of the marks that say theirs."""
        return {entry.family for entry in self.entries if entry.family is not None}

    @property
    def marked(self) -> bool:
        """There are marks in it."""
        return any(entry.fwmark is not None for entry in self.entries)

    @cached_property
    def ports(self) -> set[int]:
        """Of its addresses; empty when it has only marks. Asked for by each of its servers."""
        return {entry.port for entry in self.entries if entry.fwmark is None}

    def services(self, ctx: Context, family: Family) -> tuple[ServiceEntry, ...]:
        """Entry by entry and address by address; `family` is for marks that say none."""
        result: list[ServiceEntry] = []
        for entry in self.entries:
            if entry.fwmark is not None:
                result.append(ServiceEntry(family=entry.family or family, fwmark=entry.fwmark))
                continue
            addresses = _addresses(ctx, entry)
            if len(result) + len(addresses) > MAX_SERVICES:
                message = f"virtual_server_group {self.name} has more than {MAX_SERVICES} services"
                ctx.error(f"{message}; this line and those after it are ignored", entry.line)
                break
            result += [
                ServiceEntry(family=family_of(address), address=address, port=entry.port) for address in addresses
            ]
        return tuple(dict.fromkeys(result))


def _groups(ctx: Context) -> dict[str, _Group]:
    """virtual_server_group by name; of two with one name the first is used."""
    result: dict[str, _Group] = {}
    for node in ctx.root.blocks("virtual_server_group"):
        name = node.header
        if not node.items:
            ctx.error(f"virtual_server_group {name} has no usable entry; it is dropped", node.line, 1)
            continue
        families = {entry.family for entry in node.items if entry.first is not None}
        if len(families) > 1 and any(entry.fwmark is not None and entry.family is None for entry in node.items):
            ctx.error(
                f"virtual_server_group {name} has IPv4 and IPv6 and a mark without a family; it is dropped",
                node.line,
                1,
            )
            continue
        result.setdefault(name, _Group(name, node.items))
    return result


def _addresses(ctx: Context, entry: GroupEntry) -> list[Address]:
    if entry.first is not None and entry.first == entry.last:
        return [entry.first]
    kind = IPv6Address if entry.family == 6 else IPv4Address
    first, last = int(kind(entry.first or "")), int(kind(entry.last or ""))
    if last - first >= MAX_GROUP:
        ctx.error(f"the range has more than {MAX_GROUP} addresses; the first {MAX_GROUP} are used", entry.line)
        last = first + MAX_GROUP - 1
    return [Address(str(kind(number))) for number in range(first, last + 1)]


class _Service:
    """The work on one virtual server."""

    def __init__(self, ctx: Context, scripts: Scripts, reader: CheckerReader, node: Node, group: _Group | None) -> None:
        self.ctx = ctx
        self.scripts = scripts
        self.reader = reader
        self.node = node
        self.key: VirtualKey = node.header
        self.group = group
        self.sequence = 0
        if group is not None:
            self.sequence = group.users
            group.users += 1
        self.marked = bool(self.key.fwmark) if group is None else not group.ports
        """It has no address, only marks."""
        self.servers = node.blocks("real_server")
        self.protocol: str = node.get("protocol", "NONE")
        self.name = self._name()
        self.timeout: int = node.get("persistence_timeout", 0)
        self.method: Method | None = node.maybe("lvs_method")
        self.family: Family = 4
        self.mixed = False
        """Its group has both families."""
        self.planned: list[Node] = []
        """The blocks of the real servers that are left, in their order."""

    @property
    def spoken(self) -> str:
        """For messages."""
        return f"virtual server {self.name}"

    def _name(self) -> str:
        """As keepalived prints it."""
        if self.group is not None:
            return f"[{self.group.name}]:{self.sequence}"
        if self.marked:
            return f"FWM {self.key.fwmark}"
        return f"[{self.key.address}]:{self.protocol.lower()}:{self.key.port}"

    def error(self, message: str, setting: str = "", word: int = 0) -> None:
        line = self.node.line_of(setting) if setting else self.node.line
        self.ctx.error(f"{self.spoken}: {message}", line, word)

    def advise(self, message: str, setting: str = "", word: int = 0) -> None:
        line = self.node.line_of(setting) if setting else self.node.line
        self.ctx.advise(f"{self.spoken}: {message}", line, word)

    def plan(self) -> VirtualServer | None:
        node, key = self.node, self.key
        if not self._family():
            return None
        self._protocol()
        scheduler: str | None = node.maybe("lvs_sched")
        if scheduler is None:
            if "lvs_sched" not in node.bad:
                self.advise("no scheduler (lvs_sched); wlc is used")
            scheduler = "wlc"
        granularity = self._granularity()
        self._port()
        if self.method is None and "lvs_method" not in node.bad and self._method_needed():
            self.advise("no forwarding method (lvs_method); NAT is used")
        method = self.method or Method()
        servers = self._real_servers(method)
        if not servers:
            if "real_server" not in node.bad:
                self.error("no real servers; it is ignored")
            return None
        quorum, hysteresis = self._quorum(servers)
        return VirtualServer(
            name=self.name,
            family=self.family,
            address=key.address,
            port=key.port,
            fwmark=key.fwmark,
            group=key.group,
            sequence=self.sequence,
            entries=self.group.services(self.ctx, self.family) if self.group is not None else (),
            protocol=self.protocol,
            scheduler=scheduler,
            flags=self._flags(),
            persistence_timeout=self.timeout,
            persistence_granularity=granularity,
            persistence_engine=node.maybe("persistence_engine"),
            quorum=quorum,
            hysteresis=hysteresis,
            alpha=node.has("alpha"),
            omega=node.has("omega"),
            ha_suspend=self._ha_suspend(),
            smtp_alert=node.get("smtp_alert", self._alert(default=False)),
            snmp_name=node.get("snmp_name", ""),
            sorry_server=self._sorry_server(method, servers),
            sorry_server_inhibit=node.has("sorry_server_inhibit"),
            drain_time=node.get("drain_time", 0),
            slow_start=node.get("slow_start", 0),
            flap_damping=node.maybe("flap_damping"),
            panic_threshold=node.get("panic_threshold", 0),
            real_servers=tuple(servers),
        )

    def _alert(self, *, default: bool) -> bool:
        defs = self.ctx.defs
        return defs.get("smtp_alert_checker", defs.get("smtp_alert", default))

    def _family(self) -> bool:
        """Settles the family; False when the service cannot have one."""
        written = self._written_family()
        given = self._given_families()
        if given:
            self.mixed = len(given) > 1
            self.family = min(given)
            if self.group is not None and written is not None and given != {written}:
                has = "both families" if self.mixed else f"IPv{self.family}"
                self.error(f"its words are for IPv{written} and its group has {has}; it is dropped")
                return False
            if written is not None and written not in given:
                self.error("ip_family is not that of its address; it is ignored", "ip_family", 1)
            return True
        plain = {family_of(rs.header.address) for rs in self.servers if not self._tunnelled(rs)}
        families = plain or {family_of(rs.header.address) for rs in self.servers}
        if written is not None:
            self.family = written
        elif len(families) == 1:
            self.family = families.pop()
        return True

    def _written_family(self) -> Family | None:
        """What ip_family says; without an address persistence_granularity says it as well, and the first one counts."""
        written: Family | None = self.node.maybe("ip_family")
        granularity: tuple[Family, int] | None = self.node.maybe("persistence_granularity")
        if self.key.address is not None or granularity is None:
            return written
        if written is None:
            return granularity[0]
        first = min("ip_family", "persistence_granularity", key=lambda word: self.node.line_of(word).order)
        if written != granularity[0] and first == "persistence_granularity":
            self.error("ip_family is not that of persistence_granularity; it is ignored", "ip_family", 1)
            return granularity[0]
        return written

    def _given_families(self) -> set[Family]:
        if self.group is not None:
            return self.group.families
        return {family_of(self.key.address)} if self.key.address is not None else set()

    def _unreachable(self, address: Address, *, tunnelled: bool) -> str:
        """Why the service cannot have a server at this address; empty: it can."""
        if tunnelled or (family_of(address) == self.family and not self.mixed):
            return ""
        return "can serve both families through TUN only" if self.mixed else f"is not IPv{self.family}"

    def _tunnelled(self, rs: Node) -> bool:
        method: Method | None = rs.maybe("lvs_method") or self.method
        return method is not None and method.forwarding is Forwarding.TUN

    def _method_needed(self) -> bool:
        return any(not rs.has("lvs_method") for rs in self.servers) or (
            self.node.has("sorry_server") and not self.node.has("sorry_server_lvs_method")
        )

    def _protocol(self) -> None:
        if self.marked:
            if self.protocol != "NONE":
                self.error("a firewall mark has no protocol; it is ignored", "protocol")
            self.protocol = "NONE"
        elif self.protocol == "NONE":
            if "protocol" not in self.node.bad:
                self.advise("no protocol; UDP is used")
            self.protocol = "UDP"
            self.name = self._name()

    def _granularity(self) -> int:
        """The mask or prefix length; giving one makes the service persistent."""
        default = 128 if self.family == 6 else ALL_ONES
        written: tuple[int, int] | None = self.node.maybe("persistence_granularity")
        if written is None:
            return default
        if written[0] != self.family:
            # keepalived takes a number without a sign for an IPv4 mask, too
            line = self.node.line_of("persistence_granularity")
            number = self.family == 4 and not line.words[1].startswith("+")
            complain = self.ctx.report.note if number else self.ctx.error
            complain(f"{self.spoken}: persistence_granularity is not for IPv{self.family}; it is ignored", line, 1)
            return default
        self.timeout = self.timeout or PERSISTENCE
        return written[1]

    def _port(self) -> None:
        ports = self.group.ports if self.group is not None else set() if self.marked else {self.key.port}
        if 0 in ports and not self.timeout:
            self.advise(f"port 0 needs persistence; persistence_timeout {PERSISTENCE} is used")
            self.timeout = PERSISTENCE

    def _flags(self) -> int:
        flags = 0
        for word, bit in FLAGS.items():
            if self.node.has(word):
                if word == "ops" and not self.marked and self.protocol != "UDP":
                    self.error("ops is for UDP; it is ignored", "ops")
                    continue
                flags |= bit
        return flags

    def _ha_suspend(self) -> bool:
        marked = self.marked if self.group is None else self.group.marked
        if marked and self.node.has("ha_suspend"):
            self.error("ha_suspend needs an address; it is ignored", "ha_suspend")
            return False
        return self.node.has("ha_suspend")

    def _real_servers(self, default: Method) -> list[RealServer]:
        """The pool. Duplicates are judged by what is written, before ports are filled in."""
        node, result = self.node, []
        seen: set[ServerAddress] = set()
        weight: int = node.get("weight", 1)
        alert = self._alert(default=True)
        inhibit = node.has("inhibit_on_failure")
        protocol = self.protocol.lower()
        for rs in self.servers:
            written: ServerAddress = rs.header
            because = self._unreachable(written.address, tunnelled=self._tunnelled(rs))
            if because:
                self.ctx.error(
                    f"{self.spoken}: real server {written.address} {because}; it is dropped",
                    rs.line,
                    1,
                )
                continue
            if written in seen:
                self.ctx.error(
                    f"{self.spoken}: real server [{written.address}]:{written.port} is there twice; the "
                    "second one is dropped",
                    rs.line,
                    1,
                )
                continue
            seen.add(written)
            self.planned.append(rs)
            values = rs.values
            method: Method = values["lvs_method"][0] if "lvs_method" in values else default
            port = self._server_port(written, method, rs)
            name = f"[{written.address}]:{protocol}:{port}"
            result.append(
                RealServer(
                    address=written.address,
                    port=port,
                    weight=values["weight"][0] if "weight" in values else weight,
                    method=method,
                    inhibit_on_failure=rs.get("inhibit_on_failure", inhibit),
                    uthreshold=rs.get("uthreshold", 0),
                    lthreshold=rs.get("lthreshold", 0),
                    smtp_alert=rs.get("smtp_alert", alert),
                    snmp_name=rs.get("snmp_name", ""),
                    backup=rs.get("backup", False),
                    # checks go to the port as it is written, even where the kernel cannot change it
                    checkers=self.reader.read(
                        rs, node, written.address, written.port or port or self._only_port(), name
                    ),
                )
            )
        return result

    def _server_port(self, written: ServerAddress, method: Method, rs: Node) -> int:
        """Only NAT can change the port."""
        direct = method.forwarding is not Forwarding.NAT
        if self.marked:
            if direct and written.port:
                self.ctx.error(
                    f"{self.spoken}: real server {written.address} of a firewall mark has a port; it is cleared, and "
                    f"only checks go there",
                    rs.line,
                    2,
                )
            return 0 if direct else written.port
        if self.group is not None:
            if direct and written.port and self.group.marked:
                self.ctx.advise(
                    f"{self.spoken}: {method.forwarding} cannot change the port, and the group has firewall marks: "
                    f"what they bring is not changed to port {written.port} of real server {written.address}",
                    rs.line,
                    2,
                )
            elif direct and written.port and written.port not in self.group.ports:
                self.ctx.report.note(
                    f"{self.spoken}: {method.forwarding} cannot change the port; real server {written.address} is "
                    f"checked at port {written.port}, and gets what came to the ports of the group",
                    rs.line,
                    2,
                )
            return written.port
        if direct and written.port and written.port != self.key.port:
            self.ctx.advise(
                f"{self.spoken}: {method.forwarding} cannot change the port; real server "
                f"{written.address} gets port {self.key.port}, and is checked at {written.port}",
                rs.line,
                2,
            )
        return self.key.port if direct else written.port or self.key.port

    def _only_port(self) -> int:
        """Where a server without a port is checked: at the port of its group, when that has only one."""
        ports = self.group.ports if self.group is not None else set()
        return next(iter(ports)) if len(ports) == 1 else 0

    def _quorum(self, servers: list[RealServer]) -> tuple[int, int]:
        node = self.node
        quorum: int = node.get("quorum", 1)
        hysteresis: int = node.get("hysteresis", 0)
        total = sum(server.weight for server in servers if not server.backup)
        if all(server.backup for server in servers):
            self.advise("all real servers are backups; they serve always, and quorum is never gained")
        if quorum > total:
            self.advise(
                f"quorum {quorum} is more than the weights of its real servers come to; {max(total, 1)} is used",
                "quorum",
                1 if node.has("quorum") else 0,
            )
            # keepalived would go on with quorum 0 and an endless hysteresis, and never serve again
            quorum = max(total, 1)
        if hysteresis >= quorum:
            self.advise(f"hysteresis {hysteresis} is not below quorum {quorum}; {quorum - 1} is used", "hysteresis", 1)
            hysteresis = quorum - 1
        return quorum, hysteresis

    def _sorry_server(self, default: Method, servers: list[RealServer]) -> RealServer | None:
        node = self.node
        written: ServerAddress | None = node.maybe("sorry_server")
        if written is None:
            return None
        method: Method = node.get("sorry_server_lvs_method", default)
        because = self._unreachable(written.address, tunnelled=method.forwarding is Forwarding.TUN)
        if because:
            self.error(f"sorry server {written.address} {because}; it is dropped", "sorry_server", 1)
            return None
        direct = method.forwarding is not Forwarding.NAT
        port = written.port
        if self.marked and direct and port:
            self.error("the sorry server of a firewall mark has a port; it is cleared", "sorry_server", 2)
            port = 0
        elif direct and self.group is None and not self.marked:
            if port and port != self.key.port:
                self.error(
                    f"{method.forwarding} cannot change the port; the sorry server gets port {self.key.port}",
                    "sorry_server",
                    2,
                )
            port = self.key.port
        inhibit = node.has("sorry_server_inhibit")
        pairs = zip(servers, self.planned, strict=True)
        same = (written.address, port)
        twin = next((s for s, rs in pairs if rs.header == written or (s.address, s.port) == same), None)
        if twin is not None:
            port = twin.port
            if twin.inhibit_on_failure != inhibit:
                self.error(
                    "the sorry server is also a real server, and takes over its inhibit setting", "sorry_server", 1
                )
                inhibit = twin.inhibit_on_failure
        return RealServer(address=written.address, port=port, method=method, inhibit_on_failure=inhibit)

    def notifies(self, plan: VirtualServer) -> list[Notifies]:
        """Scripts and mail of the service and its servers; objects that tell nobody are left out."""
        node = self.node
        result = []
        commands = self._commands(node, (("quorum_up", "QUORUM_UP"), ("quorum_down", "QUORUM_DOWN")))
        if commands or plan.smtp_alert:
            result.append(Notifies(kind="VS", name=plan.name, commands=commands, smtp_alert=plan.smtp_alert))
        protocol = plan.protocol.lower()
        mail = self.ctx.defs.has("smtp_server")
        for server, rs in zip(plan.real_servers, self.planned, strict=True):
            commands = {}
            if "notify_up" in rs.values or "notify_down" in rs.values:
                commands = self._commands(rs, (("notify_up", "UP"), ("notify_down", "DOWN")))
            if commands or (mail and server.smtp_alert):
                name = f"[{server.address}]:{protocol}:{server.port} {plan.name}"
                result.append(Notifies(kind="RS", name=name, commands=commands, smtp_alert=server.smtp_alert))
        return result

    def _commands(self, node: Node, words: tuple[tuple[str, str], ...]) -> dict[str, Command]:
        result = {}
        for word, event in words:
            command = self.scripts.command(node.maybe(word), f"{word} of {self.name}")
            if command is not None:
                result[event] = command
        return result
