"""Is it a good advert? The checks of RFC 5798 7.1 and RFC 3768 7.1 in keepalived's order, under keepalived's counter
names.

Nothing here raises on what a stranger sent: every way to be wrong is a `Verdict` with the counter it belongs to.
"""

from dataclasses import dataclass, replace
from enum import Enum
from hmac import compare_digest

from fastha.model.net import Address, packed
from fastha.model.plan import AuthType, UnicastChecksum, VrrpInstance
from fastha.model.units import S
from fastha.vrrp.events import AdvertReceived
from fastha.vrrp.guards import AhGuard, Guard, HmacGuard
from fastha.wire import trailer
from fastha.wire import vrrp as wire

COUNTERS = (
    "advert_rcvd",
    "advert_sent",
    "become_master",
    "release_master",
    "packet_len_err",
    "advert_interval_err",
    "ip_ttl_err",
    "invalid_type_rcvd",
    "addr_list_err",
    "invalid_authtype",
    "authtype_mismatch",
    "auth_failure",
    "auth_ext_missing",
    "auth_ext_malformed",
    "auth_ext_unknown_key",
    "auth_ext_invalid_hmac",
    "auth_ext_stale",
    "auth_ext_replay",
    "pri_zero_rcvd",
    "pri_zero_sent",
)
"""keepalived's statistics of an instance, in its order."""

MIB_COUNTERS = ("vers_err", "checksum_err")
"""Counted for SNMP (RFC 6527 vrrpv3RouterVersionErrors, vrrpv3RouterChecksumErrors), not shown by keepalived."""

ETHERNET_MINIMUM = 46
IPV4_HEADER = 20
AUTH_FIELD = {AuthType.NONE: wire.AUTH_NONE, AuthType.PASS: wire.AUTH_PASS, AuthType.AH: wire.AUTH_AH}


class Outcome(Enum):
    OK = "processed"
    DROP = "ignored as harmless"
    KO = "an error"


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Outcome
    header: wire.Header | None = None
    """Set when OK."""
    counters: tuple[str, ...] = ()
    kind: str = ""
    """Names the cause: each is logged once until the master or the state changes."""
    text: str = ""
    """What to log; may come with OK too."""
    warning: str = ""
    """With OK: the sender's clock and ours drift apart."""
    old_checksum: bool = False
    """With OK: its checksum is an old one (`UnicastChecksum.OLD`)."""


@dataclass(frozen=True, slots=True)
class View:
    """What of an instance decides about adverts."""

    plan: VrrpInstance
    addresses: frozenset[Address]
    """Those our own adverts carry."""
    is_owner: bool
    """Effective priority 255."""
    skip_addresses: bool
    """BACKUP, skip_check_adv_addr, and the sender is the master we know."""
    guard: Guard | None = None
    """Judges signatures, of AH and auth_hmac; it learns from what it accepts."""


def padded(length: int, expected: int, before: int) -> bool:
    """Whether more bytes than expected can be Ethernet padding; lengths are of the VRRP message, `before` of what
    stands in front of it in the IPv4 packet (0: IPv6)."""
    length, expected = length + before, expected + before
    return length > expected and expected < ETHERNET_MINIMUM and (length - expected) % 4 == 2


def _ko(counter: str, kind: str, text: str) -> Verdict:
    return Verdict(Outcome.KO, counters=(counter,) if counter else (), kind=kind, text=text)


def _drop(kind: str, text: str, *counters: str) -> Verdict:
    return Verdict(Outcome.DROP, counters=counters, kind=kind, text=text)


def validate(advert: AdvertReceived, view: View) -> Verdict:
    """The verdict on an advert for our VRID. Steps are those of vrrp.c's packet check, in order; the text says what
    was found and what was expected."""
    plan, payload, sender = view.plan, advert.payload, advert.source
    header = wire.read_header(payload)
    if header is None:
        return _drop("short", f"advert of {len(payload)} bytes from {sender} is shorter than a header")
    if header.virtual_router_id != plan.virtual_router_id:
        return _drop("vrid", f"advert from {sender} for VRID {header.virtual_router_id}, not {plan.virtual_router_id}")
    if plan.family == 6 and advert.multicast == plan.unicast:
        return _drop("", "")  # IPv6: not for us, and no error
    if bool(advert.before) is not (plan.auth_type is AuthType.AH):
        with_or_without = "with" if advert.before else "without"
        return _ko("authtype_mismatch", "ah", f"advert from {sender} {with_or_without} an authentication header")
    expected = wire.message_length(header.version, plan.family, header.count)
    signed = isinstance(view.guard, HmacGuard) and len(payload) == expected + trailer.SIZE
    before = (len(advert.before) or IPV4_HEADER) if plan.family == 4 else 0
    if len(payload) != expected and not signed and not padded(len(payload), expected, before):
        how, offset = "long" if len(payload) > expected else "short", before if plan.family == 4 else 0
        text = f"vrrp packet from {sender} too {how}, length {len(payload) + offset} and expect {expected + offset}"
        return _ko("packet_len_err", "length", text)
    if advert.multicast and advert.ttl != 255:
        return _ko("ip_ttl_err", "ttl", f"invalid TTL/HL from {sender}. Received {advert.ttl} and expect 255")
    if header.version != plan.version:
        text = f"wrong VRRP version from {sender}. Received {header.version} and expect {plan.version}"
        return _ko("vers_err", "version", text)
    payload, behind = payload[:expected], payload[expected:] if signed else b""
    if isinstance(view.guard, HmacGuard) and (problem := view.guard.judge(advert, payload, behind)):
        return _ko(problem.counter, problem.kind, f"{problem.text} (from {sender})")
    if plan.version == 2 and (bad := _version_2(advert, header, payload, view)):
        return bad
    if header.type != wire.ADVERTISEMENT:
        return _ko("invalid_type_rcvd", "type", f"Invalid packet type from {sender}. {header.type} and expect 1")
    if not advert.length_ok:
        return _ko("packet_len_err", "total", f"the IP total length from {sender} is not what was received")
    old = not _checksum_ok(advert, payload, plan)
    if old and not _old_checksum(advert, payload, plan):
        return _ko("checksum_err", "checksum", f"Invalid VRRPv{plan.version} checksum from {sender}")
    if advert.multicast == plan.unicast:
        got, want = ("multicast", "unicast") if advert.multicast else ("unicast", "multicast")
        return _ko("addr_list_err", "cast", f"expected {want} advert but received {got} from {sender}")
    if view.is_owner and plan.owner_ignore_adverts:
        return _drop("owner", "")
    verdict = _accepted(advert, header, payload, view)
    warning = view.guard.warning if isinstance(view.guard, HmacGuard) else ""
    return replace(verdict, warning=warning, old_checksum=old)


def _version_2(advert: AdvertReceived, header: wire.Header, payload: bytes, view: View) -> Verdict | None:
    """Authentication and interval, which only version 2 fixes."""
    plan, sender = view.plan, advert.source
    if header.auth_type not in AUTH_FIELD.values():
        return _ko("invalid_authtype", "authtype", f"Invalid auth type from {sender}: {header.auth_type}")
    if header.auth_type != AUTH_FIELD[plan.auth_type]:
        text = f"received a {header.auth_type} auth from {sender}, expecting {AUTH_FIELD[plan.auth_type]}!"
        return _ko("authtype_mismatch", "auth mismatch", text)
    if plan.auth_type is AuthType.PASS and plan.family == 4:
        secret = (plan.auth_pass or b"").ljust(wire.AUTH_SIZE, b"\0")
        if not compare_digest(payload[-wire.AUTH_SIZE :], secret):
            return _ko("auth_failure", "password", f"received an invalid passwd from {sender}!")
    if isinstance(view.guard, AhGuard) and (problem := view.guard.judge(advert, plan.auth_pass or b"")):
        return _ko(problem.counter, problem.kind, f"{problem.text} (from {sender})")
    if header.interval != plan.adver_int:
        theirs, ours = header.interval // S, plan.adver_int // S
        return _drop("interval", f"advertisement interval mismatch with {sender} mine={ours} sec rcv'd={theirs} sec")
    return None


def _checksum_ok(advert: AdvertReceived, payload: bytes, plan: VrrpInstance) -> bool:
    """IPv6 is the kernel's to check. With v3_checksum_as_v2 a wrong checksum is overlooked, as keepalived does: who
    sets it has peers of both kinds."""
    if plan.family == 6:
        return True
    pseudo = plan.version == 3
    if not wire.message_checksum(payload, advert.source, advert.destination, pseudo=pseudo):
        return True
    return pseudo and plan.v3_checksum_as_v2


def _old_checksum(advert: AdvertReceived, payload: bytes, plan: VrrpInstance) -> bool:
    """Whether the checksum is that of an old release: unicast, with the multicast group for destination."""
    if plan.family == 6 or plan.version != 3 or not plan.unicast or advert.multicast:
        return False
    if plan.old_unicast_checksum is UnicastChecksum.NEVER_OLD:
        return False
    return not wire.message_checksum(payload, advert.source, plan.group, pseudo=True)


def _accepted(advert: AdvertReceived, header: wire.Header, payload: bytes, view: View) -> Verdict:
    """What is still only counted, or decided by the sender: address list, unicast peer, priority 0."""
    plan = view.plan
    counters = ["advert_rcvd"]
    kind = text = ""
    if not view.skip_addresses:
        addresses = wire.read_addresses(payload, header.count, plan.family)
        if len(addresses) != len(view.addresses) or view.addresses.symmetric_difference(addresses):
            counters.append("addr_list_err")
            kind = "count" if len(addresses) != len(view.addresses) else "addresses"
            text = _other_addresses(advert, addresses, view)
    if plan.version == 3 and header.interval != plan.adver_int and not kind:
        kind = "interval"
        ours, theirs = plan.adver_int // wire.CENTISECOND, header.interval // wire.CENTISECOND
        text = f"advertisement interval mismatch ours = {ours} centi-sec rcv'd={theirs} centi-sec"
    if plan.unicast and (bad := _peer(advert, plan, counters)):
        return bad
    if header.priority == 0:
        counters.append("pri_zero_rcvd")
    return Verdict(Outcome.OK, header, tuple(counters), kind, text)


def _other_addresses(advert: AdvertReceived, addresses: tuple[Address, ...], view: View) -> str:
    """In keepalived's words: operators look for them."""
    if len(addresses) != len(view.addresses):
        return f"expected {len(view.addresses)} VIPs but received {len(addresses)}"
    missing = next((a.address for a in view.plan.addresses if a.address not in addresses), "none")
    vrid = view.plan.virtual_router_id
    return f"ip address associated with VRID {vrid} not present in advert from {advert.source}: {missing}"


def _peer(advert: AdvertReceived, plan: VrrpInstance, counters: list[str]) -> Verdict | None:
    """check_unicast_src, or any TTL bound, asks who it is."""
    bounded = any((peer.min_ttl, peer.max_ttl) != (0, 255) for peer in plan.unicast_peers)
    if not (plan.check_unicast_src or bounded):
        return None
    sender = packed(advert.source)
    for peer in plan.unicast_peers:
        if packed(peer.address) == sender:
            if peer.min_ttl <= advert.ttl <= peer.max_ttl:
                return None
            text = f"TTL/HL {advert.ttl} from {advert.source} not in range [{peer.min_ttl}, {peer.max_ttl}]"
            return _drop("peer ttl", text, *counters, "ip_ttl_err")
    return Verdict(
        Outcome.KO, None, tuple(counters), "peer", f"unicast source address {advert.source} not a unicast peer"
    )
