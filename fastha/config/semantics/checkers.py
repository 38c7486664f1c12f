"""The checkers of a real server: inheritance (checker <- real server <- virtual server), targets, urls.

Built for fleets: ten thousand real servers with a checker each are resolved in a fraction of a second, so what is equal
for all servers of a virtual server is looked up once.
"""

from typing import Any

from fastha.config.semantics.context import Context
from fastha.config.semantics.scripts import Scripts
from fastha.config.semantics.tracking import Tracking
from fastha.config.tree import Node
from fastha.model.net import Address
from fastha.model.plan import Checkers, Connection, HttpCheck, MiscCheck, TcpCheck, Url
from fastha.model.units import Ns, S

CONNECT_TIMEOUT: Ns = 5 * S
DELAY_LOOP: Ns = 60 * S
GOOD_STATUS = ((200, 299),)
LINK_LOCAL = ("fe8", "fe9", "fea", "feb")
NETWORK_CHECKS = ("TCP_CHECK", "HTTP_GET", "SSL_GET", "SMTP_CHECK", "DNS_CHECK", "UDP_CHECK", "PING_CHECK")
STAND_INS = ("SSL_GET", "SMTP_CHECK")
"""Until these are there, the connection they would make is checked."""


class CheckerReader:
    """Reads the checkers of one real server after the other."""

    def __init__(self, ctx: Context, scripts: Scripts, tracking: Tracking) -> None:
        self.ctx = ctx
        self.scripts = scripts
        self.tracking = tracking
        self.log_all: bool = ctx.defs.get("checker_log_all_failures", False)

    def read(self, rs: Node, vs: Node, address: Address, port: int, name: str) -> Checkers:
        """The checkers of a real server at `address` and `port`, after ports were filled in."""
        tcp: list[TcpCheck] = []
        http: list[HttpCheck] = []
        misc: list[MiscCheck] = []
        for node in rs.children:
            kind = node.block.path
            if kind == "MISC_CHECK":
                check = self._misc(node, rs, vs, name)
                if check is not None:
                    misc.append(check)
            elif kind in NETWORK_CHECKS:
                connection = self._connection(node, rs, vs, (address, port), name=name)
                if kind in {"HTTP_GET", "SSL_GET"}:
                    urls = self._urls(node, rs, vs, name)
                    if urls and connection is not None and kind == "HTTP_GET":
                        http.append(
                            HttpCheck(
                                connection=connection,
                                urls=urls,
                                http_protocol=node.get("http_protocol", "1.0"),
                                fast_recovery=node.get("fast_recovery", False),
                                **self._timing(node, rs, vs, 1, 3 * S),
                            )
                        )
                    if not urls:
                        connection = None
                if connection is not None and (kind == "TCP_CHECK" or kind in STAND_INS):
                    retry_delay = 3 * S if kind == "SSL_GET" else S
                    tcp.append(TcpCheck(connection=connection, **self._timing(node, rs, vs, 1, retry_delay)))
                if kind == "SMTP_CHECK":
                    self._smtp_hosts(node, name)
                if kind == "UDP_CHECK":
                    self._udp(node, name)
            elif kind in {"FILE_CHECK", "BFD_CHECK"}:
                self._reference(node, kind, name)
        if not (tcp or http or misc):
            return NO_CHECKERS
        return Checkers(tcp=tuple(tcp), http=tuple(http), misc=tuple(misc))

    def _timing(self, node: Node, rs: Node, vs: Node, retry: int, retry_delay: Ns) -> dict[str, Any]:
        """The fields of CheckerTiming."""
        own, server, service = node.values, rs.values, vs.values

        def inherited(name: str, default: Any) -> Any:
            found = own.get(name) or server.get(name) or service.get(name)
            return default if found is None else found[0]

        delay_loop = inherited("delay_loop", DELAY_LOOP)
        return {
            "delay_loop": delay_loop,
            "retry": inherited("retry", retry),
            "delay_before_retry": inherited("delay_before_retry", retry_delay),
            "warmup": inherited("warmup", delay_loop),
            "alpha": inherited("alpha", False),
            "log_all_failures": own["log_all_failures"][0] or self.log_all
            if "log_all_failures" in own
            else self.log_all,
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

    def _urls(self, node: Node, rs: Node, vs: Node, name: str) -> tuple[Url, ...]:
        host: str | None = node.maybe("virtualhost") or rs.maybe("virtualhost") or vs.maybe("virtualhost")
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
                )
            )
            self._regex(url, name)
        if not result:
            self.ctx.error(
                f"real server {name}: {node.block.path} has no url; the checker is dropped",
                node.line,
                suggestion="add: url { path / }",
            )
        return tuple(result)

    def _regex(self, url: Node, name: str) -> None:
        """The words of regex that need a pattern, or each other."""
        if not url.has("regex"):
            for word in ("regex_no_match", "regex_options"):
                if url.has(word):
                    self.ctx.report.note(f"real server {name}: {word} without regex; it is ignored", url.line_of(word))
        low, high = url.get("regex_min_offset", 0), url.maybe("regex_max_offset")
        if high is not None and low >= high:
            self.ctx.report.note(
                f"real server {name}: regex_min_offset {low} is not below regex_max_offset {high}; both are ignored",
                url.line_of("regex_max_offset"),
                1,
            )

    def _misc(self, node: Node, rs: Node, vs: Node, name: str) -> MiscCheck | None:
        script = node.maybe("misc_path")
        if script is None:
            self.ctx.error(f"real server {name}: MISC_CHECK has no misc_path; it is dropped", node.line)
            return None
        what = f"MISC_CHECK of {name}"
        written = node.maybe("user")
        if written is None:
            command = self.scripts.command(script, what)
        else:
            account = self.scripts.account(written, node.line_of("user"))
            command = None if account is None else self.scripts.run_as(script, account, what)
        if command is None:
            return None
        seconds: int = node.get("misc_timeout", 0)
        return MiscCheck(
            command=command,
            timeout=seconds * S or vs.get("delay_loop", DELAY_LOOP),
            dynamic=node.has("misc_dynamic"),
            **self._timing(node, rs, vs, 0, S),
        )

    def _smtp_hosts(self, node: Node, name: str) -> None:
        if node.children:
            self.ctx.report.note(
                f"real server {name}: host blocks of SMTP_CHECK add nothing yet", node.children[0].line
            )

    def _udp(self, node: Node, name: str) -> None:
        low, high = node.get("min_reply_length", 0), node.get("max_reply_length", 255)
        if low > high:
            self.ctx.error(f"real server {name}: min_reply_length {low} is above max_reply_length {high}", node.line, 0)

    def _reference(self, node: Node, kind: str, name: str) -> None:
        """FILE_CHECK and BFD_CHECK name something that must stand before them."""
        word = REFERENCES[kind]
        tracked = self.tracking
        known = tracked.file_known if kind == "FILE_CHECK" else tracked.bfd_known
        written = node.maybe(word)
        if written is None:
            self.ctx.error(f"real server {name}: {kind} has no {word}; it is dropped", node.line)
        elif not known(written, node.line.order):
            self.ctx.error(
                f"real server {name}: {kind} names '{written}', which is not defined before; it is dropped",
                node.line_of(word),
                1,
            )


REFERENCES = {"FILE_CHECK": "track_file", "BFD_CHECK": "name"}
NO_CHECKERS = Checkers()
