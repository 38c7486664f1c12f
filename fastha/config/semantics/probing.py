"""What fastha's own words say about checks of the probe engine: connections, dialogues, certificates, requests."""

from typing import Any

from fastha.config.semantics.context import Context
from fastha.config.tree import Node
from fastha.model.net import parse_address
from fastha.model.plan import UNJUDGED, Proxy, Regex, ServerTls, Step

_NEEDS_MORE = {"talk": "send or expect", "proxy_protocol": "proxy_protocol", "tls": "tls", "starttls": "starttls"}
"""What a half-open connection cannot do: settings, and their words."""
_TLS = frozenset({"tls_ca", "tls_name", "tls_days_left", "tls_resume", "sni_name"})
_TCP = frozenset({"close", "proxy_protocol", "talk", "tls", "starttls", "half_open"}) | _TLS
_CONNECTING = frozenset({"close", "proxy_protocol", "keepalive"})
_REQUEST = frozenset({"method", "headers", "body"})


class ProbingReader:
    """Reads these words for one checker after the other; files and patterns are looked at once."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._authorities: dict[str, str] = {}
        self._regexes: dict[Regex, str] = {}

    def regex_problem(self, regex: Regex) -> str:
        """Why a pattern is of no use; thousands of servers have the same one."""
        if regex not in self._regexes:
            self._regexes[regex] = self._ctx.host.regex_error(regex)
        return self._regexes[regex]

    @staticmethod
    def connecting(node: Node) -> dict[str, Any]:
        """How the connection begins and ends."""
        close: str | None = node.maybe("close")
        return {"close_rst": None if close is None else close == "rst", "proxy": node.get("proxy_protocol", Proxy.NONE)}

    def tcp(self, node: Node, name: str) -> dict[str, Any]:
        """The fields of a TcpCheck beyond those of all checks."""
        if not node.values.keys() & _TCP:
            return {}
        tls = node.get("tls", False) or node.has("starttls")
        lines: list[Step] = node.get("talk", [])
        talk = tuple(step for step in lines if self._of_use(step, node, name))
        found = self.connecting(node) | {"talk": talk, "tls": tls, "starttls": node.maybe("starttls")}
        if tls:
            found["sni"] = node.maybe("sni_name") or host_name(node.maybe("tls_name"))
            found["judge"] = self.judge(node, found["sni"], name)
        else:
            for word in sorted(_TLS):
                if node.has(word):
                    self._ctx.report.note(
                        f"real server {name}: {word} without tls or starttls; it is ignored", node.line_of(word)
                    )
        if node.get("half_open", False):
            found["half_open"] = self._may_be_half_open(node, name)
        return found

    def _may_be_half_open(self, node: Node, name: str) -> bool:
        for setting, word in _NEEDS_MORE.items():
            if node.maybe(setting):
                self._ctx.error(
                    f"real server {name}: half_open makes no connection for {word}; it is ignored",
                    node.line_of("half_open"),
                )
                return False
        return True

    def _of_use(self, step: Step, node: Node, name: str) -> bool:
        problem = self.regex_problem(step.expect) if step.expect is not None else ""
        if problem:
            self._ctx.error(f"real server {name}: the pattern is of no use: {problem}", node.line_of("talk"), 1)
        return not problem

    def judge(self, node: Node, sni: str | None, name: str) -> ServerTls:
        """What the server's certificate must be, and whether sessions are resumed."""
        path: str | None = node.maybe("tls_ca")
        wanted: str | None = node.maybe("tls_name") or sni
        if path is None:
            if not node.has("tls_days_left") and not node.get("tls_resume", False):
                return UNJUDGED
            wanted = None
        elif self._problem(path):
            self._ctx.error(
                f"real server {name}: tls_ca {path}: {self._problem(path)}; no certificate will do",
                node.line_of("tls_ca"),
                1,
            )
        elif wanted is None:
            self._ctx.report.note(
                f"real server {name}: tls_ca without tls_name: a certificate for any name will do",
                node.line_of("tls_ca"),
            )
        return ServerTls(
            ca=path, name=wanted, days_left=node.maybe("tls_days_left"), resume=node.get("tls_resume", False)
        )

    def _problem(self, path: str) -> str:
        if path not in self._authorities:
            self._authorities[path] = self._ctx.host.authorities_error(path)
        return self._authorities[path]

    def http(self, node: Node, name: str) -> dict[str, Any]:
        """The fields of an HttpCheck beyond those of all checks, except `judge`."""
        if not node.values.keys() & _CONNECTING:
            return {}
        found = self.connecting(node)
        found["keepalive"] = node.get("keepalive", False)
        if found["keepalive"] and node.get("http_protocol", "1.1") != "1.1":
            self._ctx.report.note(
                f"real server {name}: with keepalive requests are made in HTTP/1.1", node.line_of("http_protocol"), 1
            )
        return found

    def url(self, url: Node, node: Node) -> dict[str, Any]:
        """The fields of a Url that make its request, if it is not keepalived's."""
        if not node.has("headers") and not url.values.keys() & _REQUEST:
            return {}
        everywhere: list[tuple[str, str]] = node.get("headers", [])
        here: list[tuple[str, str]] = url.get("headers", [])
        headers = {key.lower(): (key, value) for key, value in (*everywhere, *here)}
        found: dict[str, Any] = {"method": url.get("method", "GET"), "body": url.maybe("body")}
        return found | {"headers": tuple(headers.values())}


def host_name(name: str | None) -> str | None:
    """A name that can be sent in a handshake: no address (RFC 6066, section 3)."""
    if name is None:
        return None
    try:
        parse_address(name)
    except ValueError:
        return name
    return None
