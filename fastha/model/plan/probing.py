"""What checks of the probe engine are made of beside a connection: patterns, PROXY headers, dialogues, TLS."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Regex:
    """A pattern that a body must contain, or must not; PCRE2's language."""

    pattern: str
    options: tuple[str, ...] = ()
    """PCRE2 options by keepalived's names: `caseless`, `dotall`, ..."""
    no_match: bool = False
    min_offset: int = 0
    """Octets of the body: where the search begins."""
    max_offset: int | None = None
    """Where a match must begin at the latest; None: anywhere."""
    stack: tuple[int, int] | None = None
    """Octets: what the matcher's stack has at first and at most; None: as the library has it."""


class Proxy(IntEnum):
    """The PROXY protocol's header before everything else (haproxy.org, proxy-protocol.txt)."""

    NONE = 0
    V1 = 1
    """As a line of text, with the addresses of the check's own connection."""
    V2 = 2
    """The same in octets."""
    V1_LOCAL = 3
    """`PROXY UNKNOWN`: no addresses."""
    V2_LOCAL = 4
    """The command LOCAL: a connection of the proxy itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """What TLS with a server must show, and whether its sessions are resumed."""

    ca: str | None = None
    """Path of the certificates that the server's is judged by; `system`: those of the host; None: it is not judged."""
    name: str | None = None
    """The host name or address that the certificate must be for; None: any."""
    days_left: int | None = None
    """The certificate must be good for so many days more; None: that is not looked at (expired ones fail by `ca`)."""
    resume: bool = False
    """Sessions are resumed, so that most handshakes are short ones."""


UNJUDGED = ServerTls()
"""keepalived's way: every certificate will do, each handshake is a full one."""


class StartTls(StrEnum):
    """Protocols in which TLS begins after a greeting in plain text."""

    SMTP = "smtp"
    LMTP = "lmtp"
    IMAP = "imap"
    POP3 = "pop3"
    FTP = "ftp"
    NNTP = "nntp"
    SIEVE = "sieve"
    LDAP = "ldap"
    POSTGRES = "postgres"
    XMPP = "xmpp"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a dialogue: octets to send, or a pattern that what the server says must contain."""

    send: bytes = b""
    expect: Regex | None = None
    """Not None: nothing is sent."""
