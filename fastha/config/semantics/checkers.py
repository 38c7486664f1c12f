"""The checkers of a real server: inheritance (checker <- real server <- virtual server), targets, urls.

Built for fleets: ten thousand real servers with a checker each are resolved in a fraction of a second, so what is equal
for all servers of a virtual server is looked up once.
"""

from collections.abc import Iterable
from typing import Any

from fastha.config.semantics.context import Context
from fastha.config.semantics.probing import ProbingReader, host_name
from fastha.config.semantics.scripts import Scripts
from fastha.config.semantics.services import service_check
from fastha.config.semantics.tracking import Tracking
from fastha.config.tree import Node
from fastha.model.net import Address
from fastha.model.plan import (
    UNJUDGED,
    Checkers,
    CheckerTiming,
    ClientTls,
    Connection,
    DnsCheck,
    FileCheck,
    HttpCheck,
    MiscCheck,
    PingCheck,
    Regex,
    Service,
    SmtpCheck,
    TcpCheck,
    UdpCheck,
    Url,
)
from fastha.model.units import Ns, S

CONNECT_TIMEOUT: Ns = 5 * S
DELAY_LOOP: Ns = 60 * S
GOOD_STATUS = ((200, 299),)
LINK_LOCAL = ("fe8", "fe9", "fea", "feb")
DNS_RETRY = 3
FIELDS = {
    "TCP_CHECK": "tcp",
    "HTTP_GET": "http",
    "SSL_GET": "http",
    "SMTP_CHECK": "smtp",
    "DNS_CHECK": "dns",
    "UDP_CHECK": "udp",
    "PING_CHECK": "ping",
    "MISC_CHECK": "misc",
    "FILE_CHECK": "file",
    **{f"{service}_CHECK": "service" for service in Service},
}
"""The field of Checkers that each kind goes to."""


class CheckerReader:
    """Reads the checkers of one real server after the other."""

    def __init__(self, ctx: Context, scripts: Scripts, tracking: Tracking) -> None:
        self.ctx = ctx
        self.scripts = scripts
        self.tracking = tracking
        self.probing = ProbingReader(ctx)
        self._unproven = False
        """What `Checkers.unproven` is for the server at hand."""
        self.log_all: bool = ctx.defs.get("checker_log_all_failures", False)

    def read(self, rs: Node, vs: Node, address: Address, port: int, name: str) -> Checkers:
        """The checkers of a real server at `address` and `port`, after ports were filled in."""
        found: dict[str, list[CheckerTiming]] = {}
        self._unproven = False
        for node in rs.children:
            kind = node.block.path
            checks = self._read_one(node, rs, vs, (address, port), name)
            if checks:
                found.setdefault(FIELDS[kind], []).extend(checks)
        if not found and not self._unproven:
            return NO_CHECKERS
        lists: dict[str, Any] = {field: tuple(checks) for field, checks in found.items()}
        return Checkers(unproven=self._unproven, **lists)

    def _read_one(
        self, node: Node, rs: Node, vs: Node, target: tuple[Address, int], name: str
    ) -> Iterable[CheckerTiming]:
        """The checkers that one block stands for: one, none when it is of no use, more for SMTP_CHECK with hosts."""
        kind = node.block.path
        if kind == "MISC_CHECK":
            return self._misc(node, rs, vs, name)
        if kind == "FILE_CHECK":
            return self._file(node, rs, vs, name)
        if kind == "BFD_CHECK":
            self._bfd(node, name)
            return ()
        if kind == "SMTP_CHECK":
            return self._smtp(node, rs, vs, target, name)
        if kind not in FIELDS:
            return ()
        connection = self._connection(node, rs, vs, target, name=name)
        if kind in {"HTTP_GET", "SSL_GET"}:
            return self._http(node, rs, vs, connection, name)
        if connection is None:
            return ()
        match kind:
            case "UDP_CHECK":
                return self._udp(node, rs, vs, connection, name)
            case "DNS_CHECK":
                timing = self._timing(node, rs, vs, DNS_RETRY, None)
                kind, asked = node.get("type", "SOA"), node.get("name", ".")
                return (DnsCheck(connection=connection, type=kind, name=asked, **timing),)
            case "PING_CHECK":
                return (PingCheck(connection=connection, **self._timing(node, rs, vs, 1, S)),)
            case "TCP_CHECK":
                own = self.probing.tcp(node, name)
                return (TcpCheck(connection=connection, **own, **self._timing(node, rs, vs, 1, S)),)
        return service_check(self.ctx, node, connection, self._timing(node, rs, vs, 1, S), name)

    def _timing(self, node: Node, rs: Node, vs: Node, retry: int, retry_delay: Ns | None) -> dict[str, Any]:
        """The fields of CheckerTiming; `retry_delay` None: as delay_loop."""
        own, server, service = node.values, rs.values, vs.values

        def inherited(name: str, default: Any) -> Any:
            found = own.get(name) or server.get(name) or service.get(name)
            return default if found is None else found[0]

        delay_loop = inherited("delay_loop", DELAY_LOOP)
        return {
            "delay_loop": delay_loop,
            "retry": inherited("retry", retry),
            "delay_before_retry": inherited("delay_before_retry", delay_loop if retry_delay is None else retry_delay),
            "warmup": inherited("warmup", delay_loop),
            "alpha": inherited("alpha", False),
            "log_all_failures": own["log_all_failures"][0] or self.log_all
            if "log_all_failures" in own
            else self.log_all,
            "rise": inherited("rise", 1),
            "jitter": min(inherited("jitter", 0), delay_loop // 2),
            "deadline": node.get("deadline", 0),
        }

    def _connection(
        self, node: Node, rs: Node, vs: Node, target: tuple[Address, int], *, name: str
    ) -> Connection | None:
        """Where the check goes; None, and said, when it can go nowhere."""
        address, port = target
        values = node.values
        timeout = values.get("connect_timeout") or rs.values.get("connect_timeout") or vs.values.get("connect_timeout")
        limit: Ns = CONNECT_TIMEOUT if timeout is None else timeout[0]
        if len(values) <= 1 and (not values or "connect_timeout" in values) and not address.startswith(LINK_LOCAL):
            return Connection(address=address, port=port, connect_timeout=limit)
        host: Address = node.get("connect_ip", address)
        bindto: Address | None = node.maybe("bindto")
        if self.ctx.address_conflict(host, bindto):
            self.ctx.error(
                f"real server {name}: bindto {bindto} is of another family than {host}; it is ignored",
                node.line_of("bindto"),
                1,
            )
            bindto = None
        bind_if: str | None = node.maybe("bind_if")
        if host.startswith(LINK_LOCAL) and bind_if is None:
            self.ctx.error(
                f"real server {name}: {node.block.path} of a link-local address needs bind_if; it is dropped", node.line
            )
            return None
        return Connection(
            address=host,
            port=node.get("connect_port", port),
            bindto=bindto,
            bind_port=node.get("bind_port", 0) if bindto is not None else 0,
            bind_if=bind_if,
            fwmark=node.get("fwmark", 0),
            connect_timeout=limit,
        )

    def _http(self, node: Node, rs: Node, vs: Node, connection: Connection | None, name: str) -> tuple[HttpCheck, ...]:
        """HTTP_GET and SSL_GET."""
        urls = self._urls(node, rs, vs, name)
        if not urls or connection is None:
            return ()
        tls = node.block.path == "SSL_GET"
        judge = self.probing.judge(node, urls[0].sni, name) if tls else UNJUDGED
        return (
            HttpCheck(
                connection=connection,
                urls=urls,
                tls=tls,
                judge=judge,
                http_protocol=node.get("http_protocol", "1.0"),
                fast_recovery=node.get("fast_recovery", False),
                **self.probing.http(node, name),
                **self._timing(node, rs, vs, 1, 3 * S),
            ),
        )

    def _urls(self, node: Node, rs: Node, vs: Node, name: str) -> tuple[Url, ...]:
        host: str | None = node.maybe("virtualhost") or rs.maybe("virtualhost") or vs.maybe("virtualhost")
        tls = node.block.path == "SSL_GET"
        result = []
        for url in node.children:
            path: str | None = url.maybe("path")
            if path is None:
                self.ctx.error(f"real server {name}: a url without a path; it is dropped", url.line)
                continue
            lines: list[tuple[tuple[int, int], ...]] = url.get("status_code", [])
            codes = tuple(pair for line in lines for pair in line)
            result.append(
                Url(
                    path=path,
                    digest=url.maybe("digest"),
                    status_codes=codes or GOOD_STATUS,
                    virtualhost=url.maybe("virtualhost") or host,
                    regex=self._regex(url, name),
                    sni=_server_name(node, vs, url) if tls else None,
                    tls_compliant=tls and (node.get("tls_compliant", False) or url.get("tls_compliant", False)),
                    **self.probing.url(url, node),
                )
            )
        if not result:
            self.ctx.error(
                f"real server {name}: {node.block.path} has no url; the checker is dropped",
                node.line,
                suggestion="add: url { path / }",
            )
        return tuple(result)

    def _regex(self, url: Node, name: str) -> Regex | None:
        """The pattern of a url with all that belongs to it."""
        low, high = url.get("regex_min_offset", 0), url.maybe("regex_max_offset")
        if high is not None and low >= high:
            self.ctx.report.note(
                f"real server {name}: regex_min_offset {low} is not below regex_max_offset {high}; both are ignored",
                url.line_of("regex_max_offset"),
                1,
            )
            low, high = 0, None
        pattern: str | None = url.maybe("regex")
        if pattern is None:
            for word in ("regex_no_match", "regex_options"):
                if url.has(word):
                    self.ctx.report.note(f"real server {name}: {word} without regex; it is ignored", url.line_of(word))
            return None
        regex = Regex(
            pattern=pattern,
            options=url.get("regex_options", ()),
            no_match=url.has("regex_no_match"),
            min_offset=low,
            max_offset=high,
            stack=url.maybe("regex_stack"),
        )
        problem = self.probing.regex_problem(regex)
        if problem:
            self.ctx.error(f"real server {name}: the regex is of no use: {problem}", url.line_of("regex"), 1)
            return None
        return regex

    def _misc(self, node: Node, rs: Node, vs: Node, name: str) -> tuple[MiscCheck, ...]:
        script = node.maybe("misc_path")
        if script is None:
            self.ctx.error(f"real server {name}: MISC_CHECK has no misc_path; it is dropped", node.line)
            return ()
        what = f"MISC_CHECK of {name}"
        written = node.maybe("user")
        if written is None:
            account = self.scripts.default_account
            command = self.scripts.command(script, what)
        else:
            account = self.scripts.account(written, node.line_of("user"))
            command = None if account is None else self.scripts.run_as(script, account, what)
        timing = self._timing(node, rs, vs, 0, S)
        if command is None:
            # without a user it is dropped as the file is read; the script is looked at when alpha has had its say
            self._unproven = self._unproven or (account is not None and timing["alpha"])
            return ()
        seconds: int = node.get("misc_timeout", 0)
        return (
            MiscCheck(
                command=command,
                timeout=seconds * S or vs.get("delay_loop", DELAY_LOOP),
                dynamic=node.has("misc_dynamic"),
                **timing,
            ),
        )

    def _smtp(self, node: Node, rs: Node, vs: Node, target: tuple[Address, int], name: str) -> list[SmtpCheck]:
        """The server itself, and a further check for each host block, which takes over what it does not say."""
        checks = []
        for block in (node, *node.children):
            merged = Node(node.block, block.line, node.header)
            merged.values = {**node.values, **block.values}
            connection = self._connection(merged, rs, vs, target, name=name)
            if connection is not None:
                helo: str = merged.get("helo_name", HELO_NAME)
                timing = self._timing(merged, rs, vs, 1, S)
                own = self.probing.connecting(merged)
                checks.append(SmtpCheck(connection=connection, helo_name=helo, **own, **timing))
        return checks

    def _udp(self, node: Node, rs: Node, vs: Node, connection: Connection, name: str) -> tuple[UdpCheck, ...]:
        low, high = node.get("min_reply_length", 0), node.get("max_reply_length", 255)
        if low > high:
            self.ctx.error(f"real server {name}: min_reply_length {low} is above max_reply_length {high}", node.line, 0)
        pattern: tuple[tuple[int, int], ...] = node.get("require_reply", ())
        return (
            UdpCheck(
                connection=connection,
                payload=node.maybe("payload"),
                require_reply=node.has("require_reply"),
                reply=bytes(value for value, _ in pattern),
                reply_mask=bytes(mask for _, mask in pattern),
                min_reply_length=low,
                max_reply_length=high,
                **self._timing(node, rs, vs, 1, S),
            ),
        )

    def _file(self, node: Node, rs: Node, vs: Node, name: str) -> tuple[FileCheck, ...]:
        written = self._named(node, "track_file", name)
        if written is None:
            return ()
        known = self.tracking.file_for_check(written, node.line.order)
        if known is None:
            self._undefined(node, "track_file", name)
            return ()
        weight, reverse = node.get("weight", (known.weight, None))
        timing = self._timing(node, rs, vs, 0, S) | {"rise": 1, "jitter": 0}  # nothing runs here
        return (
            FileCheck(
                track_file=written, weight=weight, reverse=known.reverse if reverse is None else reverse, **timing
            ),
        )

    def _bfd(self, node: Node, name: str) -> None:
        written = self._named(node, "name", name)
        if written is not None and not self.tracking.bfd_known(written, node.line.order):
            self._undefined(node, "name", name)

    def _named(self, node: Node, word: str, name: str) -> str | None:
        """What FILE_CHECK or BFD_CHECK follows."""
        written: str | None = node.maybe(word)
        if written is None:
            self.ctx.error(f"real server {name}: {node.block.path} has no {word}; it is dropped", node.line)
        return written

    def _undefined(self, node: Node, word: str, name: str) -> None:
        written = node.maybe(word)
        self.ctx.error(
            f"real server {name}: {node.block.path} names '{written}', which is not defined before; it is dropped",
            node.line_of(word),
            1,
        )


def _server_name(node: Node, vs: Node, url: Node) -> str | None:
    """What SSL_GET names in the handshake; None when it is not asked to, or has no name. (A real server's virtualhost
    does not count.)"""
    asked: str | None = node.maybe("sni_name")
    if asked is None and not node.get("enable_sni", False):
        return host_name(node.maybe("tls_name"))
    return asked or url.maybe("virtualhost") or node.maybe("virtualhost") or vs.maybe("virtualhost")


def client_tls(ctx: Context) -> ClientTls:
    """The SSL block; of several the last one."""
    blocks = ctx.root.blocks("SSL")
    if not blocks:
        return ClientTls()
    node = blocks[-1]
    return ClientTls(
        certificate=node.maybe("certificate"),
        key=node.maybe("key"),
        password=node.maybe("password"),
        ca=node.maybe("ca"),
    )


HELO_NAME = "smtpchecker.keepalived.org"
NO_CHECKERS = Checkers()
