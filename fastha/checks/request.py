"""From a checker's definition to a recipe: which octets are sent and what is expected back."""

from fastha.checks.recipes import Kind, Recipe
from fastha.model.net import host_port
from fastha.model.plan import Connection, HttpCheck, TcpCheck, Url
from fastha.model.units import Ns

REQUEST_LIMIT = 2047
"""keepalived cuts a longer request; so do we, for a request is part of what operators see in their logs."""


def http_request(url: Url, connection: Connection, protocol: str) -> bytes:
    """The octets of one HTTP_GET; `protocol` is 1.0, 1.0C or 1.1. The port is always printed in a made-up Host."""
    version = "1.1" if protocol == "1.1" else "1.0"
    close = "" if protocol == "1.0" else "Connection: close\r\n"
    host = url.virtualhost if url.virtualhost is not None else host_port(connection.address, connection.port)
    text = f"GET {url.path} HTTP/{version}\r\nUser-Agent: KeepAliveClient\r\n{close}Host: {host}\r\n\r\n"
    return text.encode("utf-8", "surrogateescape")[:REQUEST_LIMIT]


def whole_deadline(connection: Connection, delay_loop: Ns) -> Ns:
    """How long one HTTP probe may take in all.

    keepalived waits `connect_timeout` anew for each read, so a server that drips holds a check for ever. Here
    connecting and the first octets have their timeouts, and the rest of the reply has one delay_loop.
    """
    return 2 * connection.connect_timeout + delay_loop


def tcp_recipe(check: TcpCheck, *, close_rst: bool) -> Recipe:
    """Connect and close."""
    to = check.connection
    return Recipe(
        kind=Kind.TCP,
        address=to.address,
        port=to.port,
        bindto=to.bindto,
        bind_port=to.bind_port,
        bind_if=to.bind_if,
        fwmark=to.fwmark,
        timeout=to.connect_timeout,
        close_rst=close_rst,
    )


def http_recipe(check: HttpCheck, url: int, *, close_rst: bool) -> Recipe:
    """Fetch the checker's url of this index."""
    to, what = check.connection, check.urls[url]
    return Recipe(
        kind=Kind.HTTP,
        address=to.address,
        port=to.port,
        bindto=to.bindto,
        bind_port=to.bind_port,
        bind_if=to.bind_if,
        fwmark=to.fwmark,
        timeout=to.connect_timeout,
        deadline=whole_deadline(to, check.delay_loop),
        request=http_request(what, to, check.http_protocol),
        status_codes=what.status_codes,
        digest=what.digest,
        close_rst=close_rst,
    )
