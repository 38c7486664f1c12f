"""The checkers of the Plan: what is asked of a real server, and when."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from fastha.model.net import Address
from fastha.model.plan.common import Command
from fastha.model.plan.probing import UNJUDGED, Proxy, Regex, ServerTls, StartTls, Step
from fastha.model.units import Ns, S


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where a network check goes; `address` and `port` are resolved (connect_ip, connect_port or the real server's)."""

    address: Address
    port: int
    bindto: Address | None = None
    bind_port: int = 0
    bind_if: str | None = None
    fwmark: int = 0
    connect_timeout: Ns = 5 * S


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    path: str
    digest: bytes | None = None
    """16 bytes of MD5."""
    status_codes: tuple[tuple[int, int], ...] = ((200, 299),)
    """Inclusive ranges."""
    virtualhost: str | None = None
    """Resolved: url, checker, real server or virtual server; None: target address and port."""
    regex: Regex | None = None
    sni: str | None = None
    """Resolved (sni_name, else the virtualhost of url, checker or virtual server); None: no name is sent."""
    tls_compliant: bool = False
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    """Names and values, the checker's own and the url's; they replace those that the request would have."""
    body: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckerTiming:
    """What every checker has, resolved through the inheritance."""

    delay_loop: Ns = 60 * S
    retry: int = 1
    delay_before_retry: Ns = S
    warmup: Ns = 60 * S
    alpha: bool = False
    log_all_failures: bool = False
    rise: int = 1
    """Successes in a row that bring a checker up; of HTTP: whole passes."""
    jitter: Ns = 0
    """Each pause between two runs is longer or shorter by up to this."""
    deadline: Ns = 0
    """For the whole check, whatever drips; 0: what its kind has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpCheck(CheckerTiming):
    connection: Connection
    close_rst: bool | None = None
    """How the connection ends; None: as `checker_close` says."""
    proxy: Proxy = Proxy.NONE
    half_open: bool = False
    """The handshake is not completed: the server's SYN-ACK is answered by a reset."""
    talk: tuple[Step, ...] = ()
    """The dialogue; under TLS, where there is TLS."""
    tls: bool = False
    starttls: StartTls | None = None
    """TLS comes after a greeting in this protocol."""
    sni: str | None = None
    """The name sent in the handshake; None: none."""
    judge: ServerTls = UNJUDGED


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCheck(CheckerTiming):
    """HTTP_GET, and SSL_GET (`tls`)."""

    connection: Connection
    urls: tuple[Url, ...]
    tls: bool = False
    http_protocol: str = "1.0"
    """1.0, 1.0C or 1.1."""
    fast_recovery: bool = False
    close_rst: bool | None = None
    proxy: Proxy = Proxy.NONE
    keepalive: bool = False
    """One connection serves check after check."""
    judge: ServerTls = UNJUDGED


@dataclass(frozen=True, slots=True, kw_only=True)
class UdpCheck(CheckerTiming):
    connection: Connection
    payload: bytes | None = None
    """None: keepalived's own."""
    require_reply: bool = False
    reply: bytes = b""
    """How an answer must begin, in the bits of `reply_mask`; empty: any answer will do."""
    reply_mask: bytes = b""
    min_reply_length: int = 0
    max_reply_length: int = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsCheck(CheckerTiming):
    connection: Connection
    type: str = "SOA"
    name: str = "."


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpCheck(CheckerTiming):
    connection: Connection
    helo_name: str = "smtpchecker.keepalived.org"
    close_rst: bool | None = None
    proxy: Proxy = Proxy.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class PingCheck(CheckerTiming):
    connection: Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck(CheckerTiming):
    """The number in a tracked file: its product with `weight` is added to the server's weight; weight 0: a number
    other than 0 is a failure (`reverse`: 0 is)."""

    track_file: str
    weight: int = 1
    reverse: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MiscCheck(CheckerTiming):
    command: Command
    timeout: Ns
    dynamic: bool = False


class Service(StrEnum):
    """What a ServiceCheck speaks; the keyword without `_CHECK`."""

    GRPC = "GRPC"
    MYSQL = "MYSQL"
    PGSQL = "PGSQL"
    REDIS = "REDIS"
    LDAP = "LDAP"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCheck(CheckerTiming):
    """A dialogue that the runner holds: GRPC_CHECK, MYSQL_CHECK, ... `deadline` 0: twice connect_timeout."""

    service: Service
    connection: Connection
    name: str = ""
    """gRPC: the service asked about, empty: the server as a whole. PGSQL: the database, empty: that of the user."""
    authority: str = ""
    """gRPC: what is asked; empty: address and port."""
    user: str | None = None
    """Who logs in (LDAP: a distinguished name); None: nobody, where that is enough."""
    password_file: str | None = None
    """Its first line is the password; read for each run, so that it can be changed."""
    tls: bool = False
    tls_ca: str | None = None
    """Certificates that the server's is judged by, `system` for this host's; None: it is not judged."""
    tls_name: str | None = None
    """The name that is sent, and that the certificate must have; None: none is sent, and any name will do."""

    @property
    def logs_in(self) -> bool:
        """It takes more than a greeting."""
        return self.user is not None and self.service in (Service.MYSQL, Service.PGSQL)

    @property
    def library(self) -> str:
        """The module that holds the dialogue, of the packages that are an extra; empty: none is needed."""
        if self.service is Service.GRPC:
            return "h2"
        return {Service.MYSQL: "pymysql", Service.PGSQL: "pg8000"}[self.service] if self.logs_in else ""


EXTRA: Final = "pip install 'fastha[checks]'"
"""What brings these libraries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkers:
    """The checkers of one real server, by kind (so that each tuple has one type)."""

    tcp: tuple[TcpCheck, ...] = ()
    http: tuple[HttpCheck, ...] = ()
    misc: tuple[MiscCheck, ...] = ()
    udp: tuple[UdpCheck, ...] = ()
    dns: tuple[DnsCheck, ...] = ()
    smtp: tuple[SmtpCheck, ...] = ()
    ping: tuple[PingCheck, ...] = ()
    file: tuple[FileCheck, ...] = ()
    service: tuple[ServiceCheck, ...] = ()
    unproven: bool = False
    """There was an alpha MISC_CHECK, too, whose script cannot be run: the server stays down until another one finds
    it well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """The SSL block: what SSL_GET checks present of their own. Paths."""

    certificate: str | None = None
    key: str | None = None
    password: str | None = None
    ca: str | None = None
    """Loaded, so that a bad file is reported; servers are not verified."""
