"""The probe engine and the two parts of it that are worth a test of their own."""

from collections.abc import Iterable
from typing import Final

from fastha.checks.recipes import LastProbe, ProbeOrder, Recipe, Report, Verdict
from fastha.model.net import Address
from fastha.model.plan import ClientTls, Proxy, Regex
from fastha.model.snapshot import Histogram
from fastha.model.units import Ns

MAX_TARGETS: Final[int]
"""Targets are 0 .. MAX_TARGETS - 1; what is not used costs address space only."""

class ProbeEngine:
    """Probes targets by standing orders in a thread of its own, which never takes the GIL.

    One thread of Python at a time may call the methods (the checker process has one). Orders may be given before
    `start`; they are worked on once the thread runs.
    """

    def __init__(self, *, cap: int = 20_000, recycle: bool = True, urgent: bool = True) -> None:
        """`cap`: the most probes in flight (`start` lowers it to what descriptors allow).

        `recycle`: reuse sockets where the end of a probe may be a reset; False: a socket per probe (for sandboxes; it
        is also found out at start). `urgent`: its thread goes before others of normal priority, where that is allowed.
        """

    @property
    def cap(self) -> int: ...
    @property
    def recycling(self) -> bool: ...
    @property
    def running(self) -> bool: ...
    def start(self) -> None:
        """Raise the limit of descriptors as far as allowed, try whether sockets can be recycled, start the thread.

        RuntimeError when it runs or ran; OSError when epoll or eventfd are refused.
        """

    def stop(self) -> None:
        """End the thread and every probe in flight, close the sockets. Safe to repeat."""

    def order(self, order: ProbeOrder) -> None:
        """The target's new standing order: what is in flight for it is given up, a report not yet fetched is dropped.

        `first` in the past means now (later ones stay in its phase); 0 is now, too.

        ValueError for a target out of range, a kind that is not probed here, a request or pattern that does not fit, a
        port or address that is none, a source of the other family, an interface name that is too long, TLS at a step
        that is not there, a time beyond 2^62 ns.
        """

    def orders(self, orders: Iterable[ProbeOrder]) -> None:
        """Many orders with one wake-up of the thread; those before a bad one are given."""

    def hold(self, target: int) -> None:
        """Stop probing, keep what is known of the target."""

    def remove(self, target: int) -> None:
        """Stop probing and forget."""

    def use_tls(self, context: TlsContext) -> None:
        """What TLS probes that begin from now on present of their own. Without it: nothing.

        The files that servers are judged by are read again, and sessions begun before are not resumed.
        """

    def fileno(self) -> int:
        """An eventfd, readable when `reports` has something to say: for `loop.add_reader`."""

    def reports(self, limit: int = 4096) -> list[Report]:
        """Up to `limit` outcomes that were not the expected ones; when more are left `fileno` stays readable.

        Never blocks. At most one per target: the target is held until its next order.
        """

    def last(self, target: int) -> LastProbe:
        """The last probe that ended; `started` 0: none since the target is known. Times are as fine as turns: 1 ms."""

    def stats(self) -> dict[str, int]:
        """Counters since start, and gauges.

        `started`, `succeeded`, `failed`, `timed_out` (part of failed), `local_errors`: probes, also by kind (`tcp_...`,
        `http_...`). `missed`: intervals that passed while a probe was under way or waited; `superseded`: probes given
        up for a new order; `reported`: outcomes handed up; `starved`: turns that found `cap` probes in flight and more
        to start; `recycled`, `sockets_made`: sockets used again and opened; `turns`: of the thread.
        `reused`: probes on a connection that was kept, `redialled`: those begun anew as the server had closed it;
        `tls_resumed`: handshakes that resumed a session.
        Gauges: `parked` (connections kept), `in_flight`, `ready` (due, not started), `targets`, `sockets` (open),
        `cap`, `recycling`, `slot_ns`.
        """

    def lateness(self) -> Histogram:
        """How late probes started, counted from the scheduled time (the slot is part of it)."""

    def heartbeat(self) -> Ns:
        """When the thread last went round (at least once a second while it lives); 0 before it did."""

    def overdue(self, now: Ns) -> list[int]:
        """Targets with a standing order that nobody started for more than two intervals: should be none, ever."""

class TlsContext:
    """OpenSSL's settings for TLS probes: what we present of our own, any version the library allows."""

    def __init__(self, wanted: ClientTls) -> None:
        """Reads the files. ValueError names the one that cannot be used, and why."""

class TimerWheel:
    """The engine's timer wheel (4 levels of 256 slots) by itself: `size` timers, each armed at most once."""

    def __init__(self, size: int, now: int = 0) -> None: ...
    def arm(self, timer: int, tick: int) -> None:
        """(Re)arm; a tick that is not in the future fires at the next advance."""

    def cancel(self, timer: int) -> None: ...
    def advance(self, now: int) -> list[int]:
        """Go to tick `now`; the timers that are due, in the order of their ticks."""

    def next(self) -> int | None:
        """The next tick at which there is something to do (not later than the first timer); None: nothing armed."""

def judge_http(pieces: Iterable[bytes], recipe: Recipe) -> tuple[Verdict, int, bytes]:
    """What the engine thinks of a reply that arrives in these pieces and then ends: verdict, status, digest.

    With `keepalive` the end may come earlier: then what follows is left out.
    The digest is empty unless the recipe asks for one and the reply got that far. ValueError for a recipe that is
    neither HTTP nor SSL.
    """

def frame_http(
    head: bytes, pieces: Iterable[bytes], *, status: int = 200, bodiless: bool = False
) -> tuple[bool, bool, int]:
    """Where a reply with this head (empty line included) ends on a connection that is kept.

    Is it complete, may the connection be used again, and how many octets of the pieces belong to the reply.
    """

def talk_through(pieces: Iterable[bytes], patterns: Iterable[Regex]) -> int:
    """How many patterns, one after the other, are found in what a server says in these pieces before it closes."""

def proxy_octets(kind: Proxy, source: Address, source_port: int, target: Address, target_port: int) -> bytes:
    """The header of the PROXY protocol for a connection between these ends."""

def smtp_codes(pieces: Iterable[bytes]) -> list[int]:
    """The codes that the engine reads from the lines of a mail server; 0 for a line without one."""

def regex_error(regex: Regex) -> str:
    """Why PCRE2 cannot compile the pattern; empty when it can. KeyError for an option that is none."""

def authorities_error(path: str) -> str:
    """Why the certificates of a file cannot be used to judge servers; empty when they can."""

def judge_answer(data: bytes, recipe: Recipe, token: int = 0) -> tuple[Verdict | None, int]:
    """What the engine thinks of a datagram: verdict (None: it is no answer to this probe) and RCODE.

    `token` is the id of a DNS query, the sequence number of an IPv4 echo request. ValueError for other kinds.
    """
