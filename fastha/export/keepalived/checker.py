"""keepalived_check.data: the checker's dump."""

from collections.abc import Iterator
from typing import Any

from fastha.export.keepalived import words
from fastha.export.keepalived.definitions import definitions
from fastha.model.net import host_port
from fastha.model.plan import (
    CheckerTiming,
    DnsCheck,
    FileCheck,
    HttpCheck,
    Method,
    MiscCheck,
    Notifies,
    Plan,
    RealServer,
    SmtpCheck,
    UdpCheck,
    VirtualServer,
)
from fastha.model.snapshot import CheckerSnapshot, CheckSnapshot, RealServerSnapshot, VirtualServerSnapshot
from fastha.model.units import US, S

_OPS = 0x4
_SCHED_FLAGS = (0x8, 0x10, 0x20)
_SCHED_NAMES = {"sh": ("sh-fallback", "sh-port", "flag-3"), "mh": ("mh-fallback", "mh-port", "flag-3")}
Found = dict[tuple[str, str, int], RealServerSnapshot]
"""(service, address, port) -> the server."""


def render_check(plan: Plan, checker: CheckerSnapshot) -> str:
    """keepalived_check.data."""
    return "".join(f"{line}\n" for line in _lines(plan, checker))


def _lines(plan: Plan, checker: CheckerSnapshot) -> Iterator[str]:
    yield from definitions(plan)
    yield words.title("LVS Topology")
    yield f" Programmed by {checker.plane}"
    notifies = {(each.kind, each.name): each for each in plan.runner.notifies}
    services = {service.name: service for service in checker.virtual_servers}
    servers = {
        (service.name, str(server.address), server.port): server
        for service in checker.virtual_servers
        for server in service.real_servers
    }
    yield from _groups(plan)
    for service in plan.checker.virtual_servers:
        yield f" {words.title('Virtual server')}"
        yield f" {_heading(service)}"
        for text in _service(service, services.get(service.name), notifies.get(("VS", service.name))):
            yield f"   {text}"
        for server in service.real_servers:
            yield f"   {words.title('Real server')}"
            name = f"{_name(service, server)} {service.name}"
            for text in _server(service, server, _find(servers, service, server), notifies.get(("RS", name))):
                yield f"   {text}"
    yield words.title("Health checkers")
    for service in plan.checker.virtual_servers:
        for server in service.real_servers:
            yield from _checkers(service, server, _find(servers, service, server))


def _groups(plan: Plan) -> Iterator[str]:
    """The services of each virtual_server_group that is used."""
    groups = {service.group: service.entries for service in plan.checker.virtual_servers if service.group}
    if not groups:
        return
    yield f" {words.title('Virtual server group')}"
    for name, entries in groups.items():
        families = {entry.family for entry in entries}
        yield f" Virtual Server Group = {name}, IPv4 = {words.yes(4 in families)}, IPv6 = {words.yes(6 in families)}"
        for entry in entries:
            place = f"VIP = {entry.address}, VPORT = {entry.port}" if entry.address else f"FWMARK = {entry.fwmark}"
            yield f"   {place}"


def _find(servers: Found, service: VirtualServer, server: RealServer) -> RealServerSnapshot | None:
    return servers.get((service.name, str(server.address), server.port))


def _heading(service: VirtualServer) -> str:
    if service.group:
        return f"VS GROUP = {service.name}"
    if service.address is None:
        return f"VS FWMARK = {service.fwmark}"
    return f"VS VIP = {service.address}, VPORT = {service.port}"


def _name(service: VirtualServer, server: RealServer) -> str:
    return f"[{server.address}]:{service.protocol.lower()}:{server.port}"


def _method(method: Method) -> str:
    if method.forwarding == "TUN":
        return f"TUN, type = {method.tunnel.upper()}"
    return str(method.forwarding)


# ------------------------------------------------------------------------------------------ servers


def _service(service: VirtualServer, now: VirtualServerSnapshot | None, notifies: Notifies | None) -> Iterator[str]:
    yield f"Address family = {'inet' if service.family == 4 else 'inet6'}"
    yield f"lvs_sched = {service.scheduler}"
    names = _SCHED_NAMES.get(service.scheduler, ("flag-1", "flag-2", "flag-3"))
    for name, flag in zip(names, _SCHED_FLAGS, strict=True):
        yield f"{name} = {words.enabled(bool(service.flags & flag))}"
    yield f"One packet scheduling = {words.enabled(bool(service.flags & _OPS))}"
    if service.persistence_timeout:
        yield f"persistence timeout = {service.persistence_timeout}"
    if service.persistence_engine is not None:
        yield f"persistence engine = {service.persistence_engine}"
    yield f"protocol = {'none' if service.protocol == 'NONE' else service.protocol}"
    yield f"alpha is {words.on(service.alpha)}"
    yield f"omega is {words.on(service.omega)}"
    yield f"quorum = {service.quorum}, hysteresis = {service.hysteresis}"
    for event, name in (("QUORUM_UP", "up"), ("QUORUM_DOWN", "down")):
        if notifies is not None and (command := notifies.commands.get(event)) is not None:
            yield f"Quorum {name} notify script = {words.script(command)}"
    if service.ha_suspend:
        yield "Using HA suspend"
    yield f"Using smtp notification = {words.yes(service.smtp_alert)}"
    if service.sorry_server is not None:
        sorry = service.sorry_server
        yield f"sorry server = {_name(service, sorry)}"
        yield f"  forwarding method = {_method(sorry.method)}"
        yield f"  Inhibit on failure is {words.on(service.sorry_server_inhibit)}"
    yield f"alive = {int(now is not None)}"
    yield f"quorum_state_up = {int(now is not None and now.quorum_up)}"


def _server(
    service: VirtualServer, server: RealServer, now: RealServerSnapshot | None, notifies: Notifies | None
) -> Iterator[str]:
    weight = now.effective_weight if now is not None else server.weight
    yield f"RIP = {server.address}, RPORT = {server.port}, WEIGHT = {server.weight} EFF WEIGHT = {weight}"
    yield f"forwarding method = {_method(server.method)}"
    yield f"Alpha is {words.on(service.alpha)}"
    yield f"connection limit range = {server.lthreshold} -> {server.uthreshold}"
    yield f"Inhibit on failure is {words.on(server.inhibit_on_failure)}"
    for event in ("UP", "DOWN"):
        if notifies is not None and (command := notifies.commands.get(event)) is not None:
            yield f"  RS {event.lower()} notify script = {words.script(command)}"
    yield f"Using smtp notification = {words.yes(server.smtp_alert)}"
    yield f"initial weight = {server.weight}"
    yield f"effective weight = {weight}"
    if now is not None:
        yield f"alive = {int(now.alive)}"
        yield f"num failed checkers = {sum(not check.up for check in now.checkers)}"
        yield f"RS set = {int(now.programmed)}"
        yield f"active connections = {now.active}"
        yield f"inactive connections = {now.inactive}"


# ----------------------------------------------------------------------------------------- checkers


def _plans(server: RealServer) -> list[CheckerTiming]:
    """The definitions of a server's checkers, kind by kind: the order of its snapshot."""
    checkers = server.checkers
    kinds = (getattr(checkers, name) for name in type(checkers).__dataclass_fields__)
    return [check for kind in kinds if isinstance(kind, tuple) for check in kind]


def _checkers(service: VirtualServer, server: RealServer, now: RealServerSnapshot | None) -> Iterator[str]:
    checks = _plans(server)
    states = now.checkers if now is not None else ()
    if len(states) != len(checks):
        return  # a reload is under way
    for check, state in zip(checks, states, strict=True):
        yield f" {service.name} -> {_name(service, server)}"
        for text in _checker(check, state):
            yield f"   {text}"


def _checker(check: CheckerTiming, now: CheckSnapshot) -> Iterator[str]:
    yield f"Enabled = {words.yes(not now.result.startswith('suspended'))}"
    yield f"Up = {words.yes(now.up)}"
    yield f"Has run = {words.yes(now.has_run)}"
    yield f"Alpha = {words.yes(check.alpha)}"
    yield f"Delay loop = {check.delay_loop // US} us"
    yield f"Warmup = {check.warmup // US} us"
    yield f"Retries = {check.retry}"
    yield f"Delay before retry = {check.delay_before_retry // US} us"
    yield f"Retries iterations = {check.retry - now.retries_left}"
    yield f"Log all failures = {words.yes(check.log_all_failures)}"
    if (connection := getattr(check, "connection", None)) is not None:
        yield from _connection(connection)
    if isinstance(check, HttpCheck):
        yield from _http(check, now)
        return
    yield f"Keepalive method = {now.kind}"
    match check:
        case MiscCheck():
            yield f"script = {words.quoted(check.command.argv)}"
            yield f"timeout = {words.number(check.timeout)}"
            yield f"dynamic = {'YES' if check.dynamic else 'NO'}"
            yield f"uid:gid = {check.command.uid}:{check.command.gid}"
            yield f"Last ran = {words.moment(now.last_wall)}"
        case DnsCheck():
            yield f"Type = {check.type}"
            yield f"Name = {check.name}"
        case SmtpCheck():
            yield f"helo = {check.helo_name}"
        case UdpCheck():
            yield f"Require reply = {words.yes(check.require_reply)}"
        case FileCheck():
            yield f"Track file = {check.track_file}"
            yield f"Weight = {check.weight}{' reverse' if check.reverse else ''}"


def _connection(connection: Any) -> Iterator[str]:
    """A `plan.Connection`."""
    yield "Connection"
    yield f"  Dest = {_place(connection.address, connection.port)}"
    if connection.bindto is not None:
        yield f"  Bind to = {_place(connection.bindto, connection.bind_port)}"
    if connection.bind_if is not None:
        yield f"  Bind i/f = {connection.bind_if}"
    if connection.fwmark:
        yield f"  Mark = {connection.fwmark}"
    yield f"  Timeout = {connection.connect_timeout / S:f}"


def _place(address: Any, port: int) -> str:
    text = host_port(address, port)
    return text if text.startswith("[") else f"[{address}]:{port}"


def _http(check: HttpCheck, now: CheckSnapshot) -> Iterator[str]:
    yield f"Keepalive method = {now.kind}, http protocol {check.http_protocol}"
    if check.tls:
        yield f"Enable SNI {'set' if any(url.sni is not None for url in check.urls) else 'unset'}"
    yield f"Fast recovery {'set' if check.fast_recovery else 'unset'}"
    for url in check.urls:
        yield f"Checked url = {url.path}"
        if url.digest is not None:
            yield f"  digest = {url.digest.hex()}"
        yield "  HTTP Status Code(s)"
        for low, high in url.status_codes:
            yield f"    {low}-{high}" if low != high else f"    {low}"
        if url.virtualhost is not None:
            yield f"  Virtual host = {url.virtualhost}"
