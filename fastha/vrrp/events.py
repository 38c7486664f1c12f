"""What can happen to the VRRP core. Each is a value; `now` comes beside it (`core.handle(event, now)`)."""

from dataclasses import dataclass

from fastha.model.net import Address, Family
from fastha.model.plan import VrrpPlan
from fastha.model.units import Ns


@dataclass(frozen=True, slots=True)
class Start:
    """Begin. Interfaces and their addresses have been told already: one nobody told about is down.

    `resume` names instances that were MASTER when the process before this one died a moment ago (its addresses are
    still in the kernel): they go on as MASTER and let the protocol decide, so that a crash costs no traffic.
    """

    resume: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AdvertReceived:
    """An advert for a VRID of ours that the engine had no standing order for. Nothing in it has been believed yet.

    `payload` is the VRRP message behind the IP header (and authentication header, given apart), with what follows it;
    `length_ok` is false when the IP total length does not agree with what was received.
    """

    instance: int
    generation: int
    source: Address
    destination: Address
    ttl: int
    multicast: bool
    payload: bytes
    at: Ns
    """Arrival: not later than now."""
    length_ok: bool = True
    interface: int = 0
    """Index of the interface it came in on."""
    before: bytes = b""
    """Protocol 51: the IP and authentication headers in front of `payload`, which the signature covers; else empty."""
    wall: Ns = 0
    """Arrival by the wall clock, nanoseconds since the epoch."""
    own_sequence: int = 0
    """Seal AH: the counter of our own adverts when this one was looked at."""


@dataclass(frozen=True, slots=True)
class MasterDown:
    """The master-down timer ran out (RFC 5798 6.4.2) under the order of that generation."""

    instance: int
    generation: int
    at: Ns


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """The engine stopped speaking for a MASTER because the core did not renew the lease in time."""

    instance: int
    generation: int
    at: Ns


@dataclass(frozen=True, slots=True)
class Overslept:
    """The engine had an advert of a MASTER to send so long ago that somebody else must have taken over (the order's
    `patience`); it did not send it."""

    instance: int
    generation: int
    at: Ns


@dataclass(frozen=True, slots=True)
class EngineLate:
    """The engine's thread was away for `away`; deadlines were re-armed before judging (DESIGN 4)."""

    away: Ns


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """An interface as the kernel has it now. `exists` false: it is gone."""

    name: str
    exists: bool
    up: bool
    """IFF_UP and IFF_RUNNING; for VMACs of the base too."""
    index: int = 0
    mtu: int = 1500
    multicast: bool = True


@dataclass(frozen=True, slots=True)
class SourceChanged:
    """The primary IPv4, or link-local IPv6, address of an interface; None: it has none.

    With `configured`: whether that address, which an instance names as its source, is on the interface (`address`
    is then the same, or None).
    """

    interface: str
    family: Family
    address: Address | None
    configured: Address | None = None


@dataclass(frozen=True, slots=True)
class AddressGone:
    """A virtual address we had put there is gone, and not by our doing."""

    interface: str
    address: Address
    prefixlen: int
    """The kernel takes the same address with another length for another one."""


@dataclass(frozen=True, slots=True)
class RouteGone:
    """A tracked route or rule of these instances (by index) is gone, and not by our doing."""

    what: str
    instances: frozenset[int]


@dataclass(frozen=True, slots=True)
class ScriptResult:
    """Result of a vrrp_script after rise and fall (`track` counts): up, down, or None: unknown (never ran, runner gone
    before its first run)."""

    name: str
    up: bool | None


@dataclass(frozen=True, slots=True)
class FileValue:
    """Content of a tracked file: the number, 0 when missing."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class ProcessQuorum:
    """Whether a tracked process has its quorum."""

    name: str
    up: bool


@dataclass(frozen=True, slots=True)
class Reload:
    """A new Plan. Instances are matched as vrrp-behaviour 16.4 tells; the rest follows by difference."""

    plan: VrrpPlan


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Leave in order: priority 0, addresses removed, STOP told. `release` false: stop and release nothing (retired)."""

    release: bool = True


Event = (
    Start
    | AdvertReceived
    | MasterDown
    | LeaseLost
    | Overslept
    | EngineLate
    | LinkChanged
    | SourceChanged
    | AddressGone
    | RouteGone
    | ScriptResult
    | FileValue
    | ProcessQuorum
    | Reload
    | Shutdown
)
