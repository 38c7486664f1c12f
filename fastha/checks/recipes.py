"""What the probe engine knows: recipes (how to probe), orders (when, and what is boring), outcomes.

The engine knows one probe: connect, send, read, compare, time out. While a probe's verdict is the expected one it is
counted and the next one is due `interval` later: no Python. On any other the target is held and a `Report` goes up;
the core answers with the next order (retry in d, url k, a new expectation).
"""

from dataclasses import dataclass
from enum import IntEnum

from fastha.model.net import Address
from fastha.model.plan import UNJUDGED, Proxy, Regex, ServerTls, Step
from fastha.model.units import Ns


class Kind(IntEnum):
    TCP = 0
    """Connect, go through `steps` if there are any, close."""
    HTTP = 1
    """Connect, send `request`, read the whole reply, judge status and digest."""
    SCRIPT = 2
    """Run by the runner, not by the engine; the orders and reports are the same."""
    UDP = 3
    """Send `request`; silence is success unless `require_reply`."""
    DNS = 4
    """Send `request`, a query whose first two octets become a random id; an answer with RCODE 0 is success."""
    SMTP = 5
    """220, `request` (a HELO), 250, QUIT, any line."""
    PING = 6
    """ICMP echo; `request` is the whole message, whose octets 6 and 7 become the sequence number."""
    SSL = 7
    """HTTP over TLS."""
    FILE = 8
    """A number in a file, told by the runner: nothing is ordered."""
    SERVICE = 9
    """A dialogue held by the runner; the orders and reports are the same."""


class Verdict(IntEnum):
    """How a probe ended. Only SUCCESS is success; LOCAL is nobody's failure: we could not probe."""

    SUCCESS = 0
    REFUSED = 1
    """`errno` says which: ECONNREFUSED, EHOSTUNREACH, ECONNRESET, ..."""
    TIMEOUT = 2
    NO_DATA = 3
    """Closed without a complete header within 4095 bytes."""
    STATUS = 4
    """`status` is not in the set; DNS: the RCODE, SMTP: the code of the answer (0: it has none)."""
    DIGEST = 5
    EXIT = 6
    """SCRIPT: `status` is the exit code (256 + signal: no exit code looks like that)."""
    LOCAL = 7
    """Ports, descriptors, memory, a local firewall, bind: `errno`."""
    REGEX = 8
    """The pattern is not in the body, or is and must not be."""
    TLS = 9
    """The handshake or the session failed; `errno` is OpenSSL's number of the reason."""
    REPLY = 10
    """Something came, and not what was wanted: UDP's datagram, or in a dialogue what step `status` waited for."""
    CERTIFICATE = 11
    """It is not as wanted: `errno` is OpenSSL's X509_V_ERR number; 0: it is good for `status` days more only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to probe; compared by value, so equal recipes can be interned."""

    kind: Kind
    address: Address = Address("")
    port: int = 0
    bindto: Address | None = None
    bind_port: int = 0
    bind_if: str | None = None
    fwmark: int = 0
    timeout: Ns = 0
    """For connecting, and again for the first octets of the reply (keepalived's rule)."""
    deadline: Ns = 0
    """For the whole probe, whatever drips; 0: none."""
    jitter: Ns = 0
    """Each interval of a standing order is longer or shorter by up to this; at most half of it."""
    request: bytes = b""
    status_codes: tuple[tuple[int, int], ...] = ()
    digest: bytes | None = None
    regex: Regex | None = None
    sni: str | None = None
    """TLS: the name sent in the handshake; None: none."""
    tls_compliant: bool = False
    """SSL: end the session with close_notify."""
    require_reply: bool = False
    """UDP."""
    reply: bytes = b""
    """UDP: how the answer must begin; only the bits of `reply_mask` (of the same length) count. Empty: any answer."""
    reply_mask: bytes = b""
    min_reply_length: int = 0
    max_reply_length: int = 255
    close_rst: bool = False
    half_open: bool = False
    """TCP: answer the server's SYN-ACK with a reset, so that nobody there sees a connection."""
    proxy: Proxy = Proxy.NONE
    """A connection begins with this header."""
    keepalive: bool = False
    """HTTP, SSL: keep the connection for the next probe, where the server does. What ends the reply is its framing."""
    bodiless: bool = False
    """HTTP, SSL with `keepalive`: the request is a HEAD, so no body follows."""
    steps: tuple[Step, ...] = ()
    """TCP: the dialogue."""
    tls_after: int | None = None
    """TCP: TLS begins before this step (the number of steps: after them); None: there is none."""
    judge: ServerTls = UNJUDGED
    """TLS: what the server must show."""
    script: int = -1
    """SCRIPT: index of the script in the checker's list of MISC_CHECK commands."""

    @property
    def tls(self) -> bool:
        """It takes a TLS handshake."""
        return self.kind == Kind.SSL or self.tls_after is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeOrder:
    """Probe `target` by `recipe` at `first`, then every `interval`, while the outcome is `expect_success`."""

    target: int
    """Index given by the core: one checker."""
    generation: int
    recipe: Recipe
    first: Ns
    """Absolute."""
    interval: Ns
    """0: one shot, then hold and report whatever came out."""
    expect_success: bool = True
    then: tuple[Recipe, ...] = ()
    """The recipes of the probes that follow, in turn; after the last one `recipe` again. Over the same way as `recipe`:
    address, transport and whether there is TLS are those of all."""


@dataclass(frozen=True, slots=True)
class Report:
    """A probe whose verdict was not the expected one. The target is held until the next order."""

    target: int
    generation: int
    verdict: Verdict
    errno: int
    status: int
    """HTTP status, RCODE, code of an SMTP answer, exit code, step of a dialogue, days; 0 otherwise."""
    started: Ns
    finished: Ns
    digest: bytes = b""
    """What was computed, when `verdict` is DIGEST."""
    turn: int = 0
    """Which recipe it was: 0 is `ProbeOrder.recipe`, then those of `then`."""
    text: str = ""
    """SERVICE: the result in words; empty: `errno` says it."""


@dataclass(frozen=True, slots=True)
class LastProbe:
    """What the engine knows of a target, for the Snapshot: read on request, never pushed."""

    verdict: Verdict
    errno: int
    status: int
    started: Ns
    """0: never."""
    finished: Ns
    lateness: Ns
    runs: int
