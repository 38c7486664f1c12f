"""Standing orders: what the advert engine does for one instance until the core says otherwise.

The engine (`fastha._vrrp`, or its twin `vrrp.engine` in simulations) owns the two timers of the protocol, because it is
the engine that knows when an advert left or arrived. The core owns every decision:

* SPEAK: send `datagrams` at `first`, then at `second`, then every `interval`. Only while the lease runs (`renew`), so
  that a core that hangs does not keep saying "I am MASTER".
* LISTEN: when `expected` arrives again from `expected_source` with `expected_ttl`, byte for byte, count it and move the
  deadline to arrival + `restart`; that is the boring case, and it costs no Python. Any other advert of the VRID goes up
  as `AdvertReceived`. When the deadline passes, sockets drained first, `MasterDown` goes up, once. An instance whose
  socket could not be opened hears nothing and does not judge the silence; once it hears, `grace` counts.
* IDLE: adverts are drained and counted, nothing goes up, nothing is sent.

What an order does not say, because it outlives orders, is the instance's `Endpoint`: where it listens, from where it
sends, and how its adverts are sealed. One event of an instance is with the core at a time: what arrives meanwhile
waits, in order, and is judged by the order that is in force then.

`generation` rises with each order of an instance; what the engine says carries the generation it was said under, and
the core drops what belongs to an older one.
"""

from dataclasses import dataclass, field
from enum import IntEnum

from fastha.model.net import Address, Family
from fastha.model.units import Ns


class Mode(IntEnum):
    IDLE = 0
    LISTEN = 1
    SPEAK = 2


@dataclass(frozen=True, slots=True)
class Datagram:
    """One advert for one destination: the VRRP message (RFC 5798 5.2: header, addresses, authentication), checksum set.

    The engine adds the IP header (IPv4) or sends as it is (IPv6), and the seal.
    """

    destination: Address
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    instance: int
    """Index given by the core; the shell maps it to sockets."""
    generation: int
    mode: Mode
    shift: Ns | None = None
    """Not None, and the order in force has the same mode: its timer goes on, moved by this. (A changed priority moves
    the deadline, it does not start it again; in SPEAK, 0 keeps the phase.) A LISTEN timer that has run out
    has run out under this order too: `MasterDown` goes up again. `first`, `second` and `deadline` count otherwise."""
    # SPEAK
    datagrams: tuple[Datagram, ...] = ()
    interval: Ns = 0
    """LISTEN too: the master's interval. An engine that was away for longer than this may have missed adverts."""
    first: Ns = 0
    """Absolute; not later than now: at once."""
    second: Ns = 0
    """Absolute: the one after `first`; when that time has passed as `first` leaves, an interval later. (Whole
    milliseconds let the engine wake once for the adverts of many instances.)"""
    patience: Ns = 0
    """An advert that is later than this is not sent, nor any after it: `Overslept` goes up, before anything that was
    heard meanwhile. 0: never."""
    sequence: int = 0
    """Seal AH: the counter goes on from here if it was not further."""
    # LISTEN
    deadline: Ns = 0
    """Absolute: when the master is down unless it speaks."""
    restart: Ns = 0
    """Master_Down_Interval after an expected advert."""
    grace: Ns = 0
    """One interval plus skew: the deadline is at least this far ahead after the engine was away or the kernel dropped
    from the receive queue; 0: no such grace."""
    expected: bytes = b""
    """The VRRP message accepted last; empty: none yet, or sealed ones, everything goes up."""
    expected_source: Address | None = None
    expected_ttl: int = 255


class SealKind(IntEnum):
    AH = 1
    """The packet goes out as protocol 51, with an authentication header (`wire.ah`); `key` is the password."""
    HMAC = 2
    """A trailer is appended (`wire.trailer`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """How adverts are signed. No two are signed alike: each has a sequence, which the engine counts, so that adverts
    leave in time whatever the core does."""

    kind: SealKind
    key: bytes = field(repr=False)
    """At most 64 octets."""
    key_id: int = 0
    """HMAC."""
    window: int = 0
    """HMAC: seconds that the sequence may run ahead of the clock; 0: any (anti_replay monotonic)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where an instance listens and what its adverts leave from: what the shell makes sockets of.

    One receive socket serves all instances of the same (protocol, family, interface, group), or (protocol, family,
    interface, source) when unicast.
    """

    instance: int
    interface: str
    family: Family
    virtual_router_id: int
    source: Address | None = None
    """Source of adverts now: the configured one or the interface's; None: there is none, nothing can be sent (and
    nothing heard, when unicast)."""
    group: Address | None = None
    """Multicast group to join; None: unicast."""
    peers: tuple[Address, ...] = ()
    """Unicast peers: tell instances with one VRID apart."""
    ttl: int | None = 255
    """TTL or hop limit of adverts sent; None (IPv6): the kernel's default."""
    seal: Seal | None = None

    @property
    def protocol(self) -> int:
        """IP protocol of its adverts: 112, with an authentication header 51."""
        return 51 if self.seal is not None and self.seal.kind is SealKind.AH else 112


@dataclass(frozen=True, slots=True)
class SendFailed:
    """The engine's word to the shell, for the log: adverts of this instance fail with `errno` since now; 0: they leave
    again. No state depends on it."""

    instance: int
    errno: int
