"""Is an advert signed, rightly, and not one we have heard before? One guard per instance, for AH or auth_hmac.

A guard remembers the sequences it has accepted, so it is the one part of validation that has a memory. It judges where
keepalived does: the trailer of auth_hmac right after the version, the authentication header after the authentication
type; what is wrong further on does not take a sequence back.
"""

from __future__ import annotations

from collections import OrderedDict
from hmac import compare_digest
from typing import TYPE_CHECKING, NamedTuple

from fastha.model.plan import AuthType, HmacMode
from fastha.vrrp.orders import Seal, SealKind
from fastha.wire import ah, trailer

if TYPE_CHECKING:
    from fastha.model.net import Address
    from fastha.model.plan import AuthHmac, VrrpInstance
    from fastha.vrrp.events import AdvertReceived

MULTICAST_SENDERS = 4
"""Senders whose sequences are remembered; beyond, the one that was not heard for longest is forgotten."""


class Problem(NamedTuple):
    """Why an advert is refused."""

    counter: str
    """Empty: none."""
    kind: str
    text: str


class AhGuard:
    """AH has one counter for both directions: what is sent goes on from what was heard."""

    def __init__(self) -> None:
        self.sequence = 0
        """The highest accepted."""

    def judge(self, advert: AdvertReceived, key: bytes) -> Problem | None:
        header = ah.read(advert.before)
        if header is None or not ah.right(advert.before, advert.payload, key):
            return Problem("auth_failure", "icv", "received an invalid ICV")
        least = max(self.sequence, advert.own_sequence)
        if header.sequence <= least:
            return Problem("auth_failure", "ah replay", f"AH sequence number {header.sequence}, expected above {least}")
        self.sequence = header.sequence
        return None


class HmacGuard:
    """auth_hmac. A peer over unicast has one sequence remembered, over multicast the four senders heard last have."""

    def __init__(self, hmac: AuthHmac, peers: frozenset[Address]) -> None:
        self.hmac = hmac
        self.peers = peers
        """Unicast peers; empty: multicast."""
        self.warning = ""
        """Of the advert judged last: the clocks drift apart."""
        self._marks: OrderedDict[Address, int] = OrderedDict()

    def adopt(self, hmac: AuthHmac, peers: frozenset[Address]) -> None:
        """Other keys or another window; sequences stay, of peers that stay."""
        for sender in [s for s in self._marks if peers and s not in peers]:
            del self._marks[sender]
        self.hmac, self.peers = hmac, peers

    def judge(self, advert: AdvertReceived, message: bytes, octets: bytes) -> Problem | None:
        """`octets` is the trailer behind the message; empty when there is none."""
        self.warning = ""
        hmac, sender = self.hmac, advert.source
        if not octets:
            if hmac.mode is HmacMode.ENFORCE:
                return Problem("auth_ext_missing", "unsigned", "advert without a signature")
            return None
        if self.peers and sender not in self.peers:
            return Problem("", "peer", f"{sender} is not a unicast peer")
        found = trailer.read(octets)
        if found.kind != trailer.HMAC_SHA256 or found.reserved:
            return Problem("auth_ext_malformed", "trailer", f"trailer of type {found.kind}, reserved {found.reserved}")
        clock = trailer.of_clock(advert.wall)
        apart = abs(trailer.ahead(found.sequence, clock))
        window = hmac.time_window * trailer.SECOND
        if not hmac.monotonic and apart > window:
            seconds = apart // trailer.SECOND
            text = f"signed {seconds} s away from our clock, the window is {hmac.time_window} s"
            return Problem("auth_ext_stale", "stale", text)
        secret = hmac.keys.get(found.key_id)
        if secret is None:
            return Problem("auth_ext_unknown_key", "key", f"signed with key {found.key_id}, which is not known")
        right = trailer.signature(message, sender, secret, found.key_id, found.sequence)
        if not compare_digest(found.signature, right):
            return Problem("auth_ext_invalid_hmac", "signature", f"invalid signature with key {found.key_id}")
        if not self._rises(sender, found.sequence, clock):
            return Problem("auth_ext_replay", "replay", "an advert that was sent before")
        self._remember(sender, found.sequence)
        if not hmac.monotonic and 2 * apart > window:
            self.warning = f"the clock of {sender} and ours are {apart / trailer.SECOND:.1f} s apart"
        return None

    def _rises(self, sender: Address, sequence: int, clock: int) -> bool:
        """A mark outside the window of our clock counts no more: what came before it would be stale anyway, and a
        clock that was set back must be able to begin again."""
        mark = self._marks.get(sender)
        if mark is None:
            return True
        if not self.hmac.monotonic and abs(trailer.ahead(mark, clock)) > self.hmac.time_window * trailer.SECOND:
            return True
        return trailer.ahead(sequence, mark) > 0

    def _remember(self, sender: Address, sequence: int) -> None:
        self._marks[sender] = sequence
        self._marks.move_to_end(sender)
        if not self.peers and len(self._marks) > MULTICAST_SENDERS:
            self._marks.popitem(last=False)


Guard = AhGuard | HmacGuard


def guard_of(plan: VrrpInstance, before: Guard | None = None) -> Guard | None:
    """The guard of an instance; `before`: the one it had under an older Plan."""
    if plan.auth_hmac is not None:
        peers = frozenset(peer.address for peer in plan.unicast_peers)
        if isinstance(before, HmacGuard):
            before.adopt(plan.auth_hmac, peers)
            return before
        return HmacGuard(plan.auth_hmac, peers)
    if plan.auth_type is AuthType.AH:
        return before if isinstance(before, AhGuard) else AhGuard()
    return None


def seal_of(plan: VrrpInstance) -> Seal | None:
    """How the engine is to sign the adverts of an instance."""
    hmac = plan.auth_hmac
    if hmac is not None:
        if hmac.mode is HmacMode.RECEIVE_ONLY:
            return None
        window = 0 if hmac.monotonic else hmac.time_window
        key = hmac.keys[hmac.active_key]
        return Seal(kind=SealKind.HMAC, key=key, key_id=hmac.active_key, window=window)
    if plan.auth_type is AuthType.AH:
        return Seal(kind=SealKind.AH, key=plan.auth_pass or b"")
    return None
