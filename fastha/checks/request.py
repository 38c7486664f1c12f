"""From a checker's definition to a recipe: which octets are sent and what is expected back."""

from typing import Any, Final

from fastha.checks.dns import query
from fastha.checks.recipes import Kind, Recipe
from fastha.checks.starttls import steps
from fastha.model.net import family_of, host_port
from fastha.model.plan import Connection, DnsCheck, HttpCheck, PingCheck, SmtpCheck, TcpCheck, UdpCheck, Url
from fastha.model.units import Ns

REQUEST_LIMIT = 2047
"""keepalived cuts a longer request; so do we, for a request is part of what operators see in their logs."""

_PHRASE: Final = b"keepalived check - "
UDP_PAYLOAD: Final = (_PHRASE * 2)[:32]
"""keepalived's: servers and firewalls may know it."""
_ECHO_TEXT: Final = (_PHRASE * 7)[:128]
_ECHO_REQUEST: Final = {4: 8, 6: 128}
"""ICMP type by family."""


def http_request(url: Url, connection: Connection, protocol: str, *, keepalive: bool = False) -> bytes:
    """The octets of one HTTP_GET; `protocol` is 1.0, 1.0C or 1.1. The port is always printed in a made-up Host.

    What fastha's own words ask for is not cut.
    """
    version = "1.1" if protocol == "1.1" or keepalive else "1.0"
    fields = {"user-agent": ("User-Agent", "KeepAliveClient")}
    if keepalive:
        fields["connection"] = ("Connection", "keep-alive")
    elif protocol != "1.0":
        fields["connection"] = ("Connection", "close")
    host = url.virtualhost if url.virtualhost is not None else host_port(connection.address, connection.port)
    fields["host"] = ("Host", host)
    fields |= {name.lower(): (name, value) for name, value in url.headers}
    if url.body is not None:
        fields["content-length"] = ("Content-Length", str(len(url.body)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.values())
    head = f"{url.method} {url.path} HTTP/{version}\r\n{lines}\r\n".encode("utf-8", "surrogateescape")
    plain = url.method == "GET" and not url.headers and url.body is None
    return head[:REQUEST_LIMIT] if plain else head + (url.body or b"")


def whole_deadline(connection: Connection, delay_loop: Ns) -> Ns:
    """How long one HTTP probe may take in all.

    keepalived waits `connect_timeout` anew for each read, so a server that drips holds a check for ever. Here
    connecting and the first octets have their timeouts, and the rest of the reply has one delay_loop.
    """
    return 2 * connection.connect_timeout + delay_loop


def _towards(check: TcpCheck | HttpCheck | SmtpCheck | UdpCheck | DnsCheck | PingCheck) -> dict[str, Any]:
    """The fields of a recipe that say where to, from where and for how long."""
    to = check.connection
    return {
        "address": to.address,
        "port": to.port,
        "bindto": to.bindto,
        "bind_port": to.bind_port,
        "bind_if": to.bind_if,
        "fwmark": to.fwmark,
        "timeout": to.connect_timeout,
        "deadline": check.deadline,
        "jitter": check.jitter,
    }


def _ends(check: TcpCheck | HttpCheck | SmtpCheck, close_rst: bool) -> bool:
    """Whether it ends with a reset; `close_rst` when the checker does not say."""
    return close_rst if check.close_rst is None else check.close_rst


def tcp_recipe(check: TcpCheck, *, close_rst: bool) -> Recipe:
    """Connect, hold the dialogue if there is one, and close."""
    talk, before_tls = check.talk, 0 if check.tls else None
    if check.starttls is not None:
        host = check.sni or check.judge.name or check.connection.address
        talk, before_tls = steps(check.starttls, host, talk)
    return Recipe(
        kind=Kind.TCP,
        close_rst=_ends(check, close_rst),
        half_open=check.half_open,
        proxy=check.proxy,
        steps=talk,
        tls_after=before_tls,
        sni=check.sni,
        judge=check.judge,
        **_towards(check),
    )


def http_recipe(check: HttpCheck, url: int, *, close_rst: bool) -> Recipe:
    """Fetch the checker's url of this index. Under TLS no step can be stretched: no deadline without a word."""
    to, what = check.connection, check.urls[url]
    limit = check.deadline or (0 if check.tls else whole_deadline(to, check.delay_loop))
    return Recipe(
        kind=Kind.SSL if check.tls else Kind.HTTP,
        request=http_request(what, to, check.http_protocol, keepalive=check.keepalive),
        status_codes=what.status_codes,
        digest=what.digest,
        regex=what.regex,
        sni=what.sni if check.tls else None,
        tls_compliant=what.tls_compliant,
        close_rst=_ends(check, close_rst),
        proxy=check.proxy,
        keepalive=check.keepalive,
        bodiless=what.method == "HEAD",
        judge=check.judge,
        **_towards(check) | {"deadline": limit},
    )


def smtp_recipe(check: SmtpCheck, *, close_rst: bool) -> Recipe:
    """Greet a mail server and take leave; each line has its timeout, however slowly it drips."""
    helo = f"HELO {check.helo_name}\r\n".encode("utf-8", "surrogateescape")
    close_rst = _ends(check, close_rst)
    return Recipe(kind=Kind.SMTP, request=helo, close_rst=close_rst, proxy=check.proxy, **_towards(check))


def udp_recipe(check: UdpCheck) -> Recipe:
    """Send a datagram, and see whether it is refused, or answered as wanted."""
    return Recipe(
        kind=Kind.UDP,
        request=UDP_PAYLOAD if check.payload is None else check.payload,
        require_reply=check.require_reply,
        reply=check.reply,
        reply_mask=check.reply_mask,
        min_reply_length=check.min_reply_length,
        max_reply_length=check.max_reply_length,
        **_towards(check),
    )


def dns_recipe(check: DnsCheck) -> Recipe:
    """Ask a name server."""
    return Recipe(kind=Kind.DNS, request=query(check.name, check.type), **_towards(check))


def ping_recipe(check: PingCheck) -> Recipe:
    """One echo request, as long as keepalived's; the kernel fills in identifier and checksum."""
    header = bytes([_ECHO_REQUEST[family_of(check.connection.address)]]) + bytes(7)
    return Recipe(kind=Kind.PING, request=header + _ECHO_TEXT, **_towards(check) | {"port": 0})
