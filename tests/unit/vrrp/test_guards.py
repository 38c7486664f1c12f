"""Signatures: each way to be wrong and its counter, what is remembered of whom, and what a core does with it."""

import pytest

from fastha.model.net import Address
from fastha.model.plan import AuthHmac, AuthType, HmacMode, UnicastChecksum, UnicastPeer, VrrpInstance, VrrpPlan
from fastha.model.units import MS, Ns, S
from fastha.vrrp import events
from fastha.vrrp.guards import MULTICAST_SENDERS, seal_of
from fastha.vrrp.orders import SealKind
from fastha.wire import ah, trailer
from tests.unit.vrrp.bench import GROUP, HIGHER, LOWER, Bench, instance

SECRET, OTHER = b"0123456789abcdef0123456789abcdef", b"x" * 64
NOW: Ns = 1_700_000_000 * S
"""By the wall clock."""


def hmac(**words: object) -> AuthHmac:
    return AuthHmac(**{"keys": {1: SECRET, 2: OTHER}, "active_key": 1, "time_window": 10, **words})  # type: ignore[arg-type]


def bench(**words: object) -> Bench:
    return Bench(instance(**{"version": 3, "auth_hmac": hmac(), **words})).start()


def signed(
    bench: Bench,
    at: Ns = NOW,
    source: Address = HIGHER,
    *,
    wall: Ns = NOW,
    secret: bytes = SECRET,
    key: int = 1,
    priority: int = 200,
) -> events.AdvertReceived:
    """An advert that its sender signed at `at` and that arrives at `wall`."""
    plain = bench.advert(priority, source)
    octets = trailer.sign(plain.payload, source, secret, key, trailer.of_clock(at))
    return bench.advert(priority, source, payload=plain.payload + octets, wall=wall)


def hear(bench: Bench, *args: object, **words: object) -> str:
    """The counter that rose, of those about signatures, or `advert_rcvd`; empty: none."""
    before = dict(bench[0].stats)
    bench.say(signed(bench, *args, **words))  # type: ignore[arg-type]
    risen = [name for name, count in bench[0].stats.items() if count > before[name]]
    return " ".join(name for name in risen if name != "addr_list_err")


class TestHmac:
    def test_a_good_one(self) -> None:
        it = bench()
        assert hear(it) == "advert_rcvd"
        assert it[0].master_priority == 200
        assert it.order().expected == b""  # every advert has to be judged
        assert it.order().expected_source == HIGHER

    @pytest.mark.parametrize("version", [2, 3])
    def test_either_version_and_key(self, version: int) -> None:
        assert hear(bench(version=version), secret=OTHER, key=2) == "advert_rcvd"

    def test_ipv6(self) -> None:
        it = bench(family=6, group=Address("ff02::12"), addresses=())
        assert hear(it, source=Address("fe80::6")) == "advert_rcvd"

    def test_errors_and_their_counters(self) -> None:
        it = bench()
        assert hear(it, secret=OTHER) == "auth_ext_invalid_hmac"
        assert hear(it, key=3) == "auth_ext_unknown_key"
        assert hear(it, NOW - 11 * S) == "auth_ext_stale"
        assert hear(it, NOW + 11 * S) == "auth_ext_stale"
        for at, value in ((0, 2), (2, 1), (3, 1)):
            advert = signed(it)
            payload = bytearray(advert.payload)
            payload[at - trailer.SIZE] = value
            it.say(it.advert(200, payload=bytes(payload), wall=NOW))
        assert it[0].stats["auth_ext_malformed"] == 3
        it.hear(200)
        assert it[0].stats["auth_ext_missing"] == 1
        assert it[0].stats["advert_rcvd"] == 0
        assert it.new_orders() == []

    def test_what_is_wrong_beyond_is_found_after_the_signature(self) -> None:
        it = bench()
        advert = signed(it)
        for payload in (advert.payload + b"x", advert.payload[:-1]):
            it.say(it.advert(200, payload=payload, wall=NOW))
        assert it[0].stats["packet_len_err"] == 2

    def test_without_the_word_a_trailer_is_too_long(self) -> None:
        assert hear(bench(auth_hmac=None)) == "packet_len_err"

    def test_replays(self) -> None:
        it = bench()
        assert hear(it, NOW) == "advert_rcvd"
        assert hear(it, NOW) == "auth_ext_replay"
        assert hear(it, NOW - MS) == "auth_ext_replay"
        assert hear(it, NOW + MS) == "advert_rcvd"
        assert hear(it, NOW, source=LOWER) == "advert_rcvd"  # senders are apart

    def test_a_forgery_moves_no_mark(self) -> None:
        it = bench()
        hear(it, NOW + 5 * S, secret=OTHER)
        assert hear(it, NOW) == "advert_rcvd"

    def test_multicast_remembers_four_senders(self) -> None:
        it = bench()
        senders = [Address(f"10.0.1.{n}") for n in range(MULTICAST_SENDERS)]
        for sender in senders:
            assert hear(it, NOW, sender) == "advert_rcvd"
        assert hear(it, NOW + MS, senders[0]) == "advert_rcvd"
        assert hear(it, NOW, HIGHER) == "advert_rcvd"  # the one not heard for longest is forgotten
        assert hear(it, NOW, senders[0]) == "auth_ext_replay"
        assert hear(it, NOW, senders[1]) == "advert_rcvd"

    def test_unicast_takes_peers_only(self) -> None:
        it = bench(unicast_peers=(UnicastPeer(address=HIGHER),))
        assert hear(it, NOW, LOWER) == ""
        assert "not a unicast peer" in it.logged()
        assert hear(it) == "advert_rcvd"

    def test_a_mark_outside_the_window_has_expired(self) -> None:
        """The sender's clock was set back: it is believed again as soon as the old mark is too far ahead."""
        it = bench()
        assert hear(it, NOW + 9 * S) == "advert_rcvd"
        assert hear(it, NOW) == "auth_ext_replay"
        assert hear(it, NOW - 2 * S, wall=NOW - 2 * S) == "advert_rcvd"

    def test_monotonic_looks_at_no_clock(self) -> None:
        it = bench(auth_hmac=hmac(monotonic=True))
        assert hear(it, NOW - 10_000 * S) == "advert_rcvd"
        assert hear(it, NOW - 10_000 * S, wall=NOW + 50_000 * S) == "auth_ext_replay"
        assert hear(it, NOW - 9_999 * S) == "advert_rcvd"

    def test_a_clock_that_drifts_away_is_warned_of_once(self) -> None:
        it = bench()
        hear(it, NOW + 4 * S)
        assert "apart" not in it.logged()
        hear(it, NOW + 6 * S)
        assert "6.0 s apart" in it.logged()
        hear(it, NOW + 7 * S)
        assert it.logged() == ""

    @pytest.mark.parametrize(
        ("mode", "unsigned", "seals"),
        [(HmacMode.ENFORCE, False, True), (HmacMode.PERMISSIVE, True, True), (HmacMode.RECEIVE_ONLY, True, False)],
    )
    def test_modes(self, mode: HmacMode, unsigned: bool, seals: bool) -> None:
        it = bench(auth_hmac=hmac(mode=mode))
        assert hear(it) == "advert_rcvd"
        assert hear(it, NOW + MS, secret=OTHER) == "auth_ext_invalid_hmac"
        it.hear(200)
        assert it[0].stats["auth_ext_missing"] == (not unsigned)
        (endpoint,) = it.core.endpoints()
        assert (endpoint.seal is not None) is seals
        assert endpoint.protocol == 112

    def test_the_active_key_seals(self) -> None:
        seal = seal_of(instance(auth_hmac=hmac(active_key=2)))
        assert seal is not None
        assert (seal.kind, seal.key, seal.key_id, seal.window) == (SealKind.HMAC, OTHER, 2, 10)
        assert OTHER.decode() not in repr(seal)
        assert "0123456789" not in repr(hmac())

    def test_a_reload_keeps_what_was_heard(self) -> None:
        it = bench()
        hear(it, NOW)
        other = instance(version=3, auth_hmac=hmac(keys={1: SECRET, 3: OTHER}, active_key=3))
        it.say(events.Reload(VrrpPlan(instances=(other,))))
        assert hear(it, NOW) == "auth_ext_replay"
        assert hear(it, NOW + MS, secret=OTHER, key=3) == "advert_rcvd"
        (endpoint,) = it.core.endpoints()
        assert endpoint.seal is not None
        assert endpoint.seal.key_id == 3


PASSWORD = b"secret\0\0"
AH: dict[str, object] = {"auth_type": AuthType.AH, "auth_pass": PASSWORD}


def with_header(
    bench: Bench, sequence: int, priority: int = 200, source: Address = HIGHER, *, key: bytes = PASSWORD, own: int = 0
) -> events.AdvertReceived:
    payload = bench.advert(priority, source, message={"auth_type": 2, "auth_data": b""}).payload
    packet = ah.build(source, GROUP, payload, key, sequence=sequence, ident=1)
    return bench.advert(priority, source, payload=payload, before=packet[:44], own_sequence=own)


def ah_instance(**words: object) -> VrrpInstance:
    return instance(**{**AH, **words})


class TestAh:
    def test_the_sequence_has_to_rise(self) -> None:
        it = Bench(ah_instance()).start()
        for sequence, failures in ((7, 0), (7, 1), (6, 2), (8, 2)):
            it.say(with_header(it, sequence))
            assert it[0].stats["auth_failure"] == failures
        assert it[0].stats["advert_rcvd"] == 2
        assert it.order().sequence == 8  # what is sent goes on from there
        assert it.order().expected == b""

    def test_whoever_sends(self) -> None:
        it = Bench(ah_instance()).start()
        it.say(with_header(it, 7), with_header(it, 5, source=LOWER))
        assert it[0].stats["auth_failure"] == 1

    def test_another_password(self) -> None:
        it = Bench(ah_instance()).start().say(with_header(Bench(ah_instance()).start(), 7, key=b"other"))
        assert it[0].stats["auth_failure"] == 1
        assert "invalid ICV" in it.logged()

    def test_a_header_where_none_belongs_and_the_reverse(self) -> None:
        it = Bench(ah_instance()).start().hear(200)
        assert it[0].stats["authtype_mismatch"] == 1
        it = Bench(instance()).start()
        it.say(with_header(it, 7))
        assert it[0].stats["authtype_mismatch"] == 1

    def test_a_master_adopts_the_counter_of_a_lower_one(self) -> None:
        """Which would not believe it otherwise: it has heard or sent more than we."""
        it = Bench(ah_instance()).master()
        it.say(with_header(it, 500, 50, own=3))
        assert it.order().sequence == 500
        it.say(with_header(it, 3, 50, own=501))
        assert it[0].stats["auth_failure"] == 1

    def test_so_it_does_without_an_answer(self) -> None:
        it = Bench(ah_instance(lower_prio_no_advert=True)).master()
        it.say(with_header(it, 500, 50, own=3))
        assert (it.order().sequence, it.order().shift) == (500, 0)

    def test_the_endpoint_is_of_protocol_51(self) -> None:
        (endpoint,) = Bench(ah_instance()).start().core.endpoints()
        assert endpoint.protocol == 51
        assert endpoint.seal is not None
        assert endpoint.seal.key == PASSWORD

    def test_the_message_has_zeros_for_a_password(self) -> None:
        (datagram,) = Bench(ah_instance()).master().order().datagrams
        assert datagram.payload[-8:] == bytes(8)
        assert datagram.payload[4] == 2


class TestOldUnicastChecksums:
    peers = (UnicastPeer(address=HIGHER),)

    def old(self, it: Bench) -> events.AdvertReceived:
        """As a release before 1.3.6 sends it: with the group in the pseudo header."""
        as_multicast = Bench(instance(version=3)).start().advert(200).payload
        return it.advert(200, payload=as_multicast)

    def test_are_detected_and_made_from_then_on(self) -> None:
        it = Bench(instance(version=3, unicast_peers=self.peers)).start()
        plain = it[0].datagrams()[0].payload
        it.say(self.old(it))
        assert it[0].stats["checksum_err"] == 0
        assert "checksum to old version" in it.logged()
        old = it[0].datagrams()[0].payload
        assert plain[:6] == old[:6]
        assert plain[6:8] != old[6:8]
        it.say(self.old(it))
        assert it.logged() == ""

    def test_a_master_speaks_so_at_once(self) -> None:
        it = Bench(instance(version=3, unicast_peers=self.peers)).master()
        it.say(self.old(it))
        assert it[0].old_checksum

    def test_never(self) -> None:
        it = Bench(
            instance(version=3, unicast_peers=self.peers, old_unicast_checksum=UnicastChecksum.NEVER_OLD)
        ).start()
        it.say(self.old(it))
        assert (it[0].stats["checksum_err"], it[0].old_checksum) == (1, False)

    def test_told_to(self) -> None:
        it = Bench(instance(version=3, unicast_peers=self.peers, old_unicast_checksum=UnicastChecksum.OLD)).start()
        assert (
            it[0].datagrams()[0].payload[6:8]
            != Bench(instance(version=3, unicast_peers=self.peers)).start()[0].datagrams()[0].payload[6:8]
        )
        it.hear(200)
        assert it[0].stats["advert_rcvd"] == 1

    def test_multicast_knows_none(self) -> None:
        it = Bench(instance(version=3)).start()
        it.say(it.advert(200, payload=it.advert(200).payload[:6] + b"\0\0" + it.advert(200).payload[8:]))
        assert it[0].stats["checksum_err"] == 1


QUICK: dict[str, object] = {"version": 3, "adver_int": 100 * MS, "nopreempt": True}


class TestTimerExpiredBackup:
    def test_the_engine_is_told_how_late_is_too_late(self) -> None:
        it = Bench(instance(**QUICK, timer_expired_backup=128)).master()
        assert it.order().patience == 250 * MS
        assert Bench(instance(**QUICK)).master().order().patience == 0

    def test_a_master_that_overslept_steps_down_without_a_word(self) -> None:
        it = Bench(instance(**QUICK, timer_expired_backup=254)).master()
        generation = it[0].generation
        it.say(events.Overslept(0, generation, it.now))
        assert it.state == "BACKUP"
        assert it.sent() == []
        assert it.order().deadline == it.now + it[0].master_down_interval

    def test_so_it_does_when_the_core_was_away(self) -> None:
        it = Bench(instance(**QUICK, timer_expired_backup=254)).master()
        it.say(events.LeaseLost(0, it[0].generation, it.now - S))
        assert it.state == "BACKUP"
        it = Bench(instance(**QUICK)).master()
        it.say(events.LeaseLost(0, it[0].generation, it.now - S))
        assert it.state == "MASTER"

    def test_what_was_said_under_an_older_order_counts_no_more(self) -> None:
        it = Bench(instance(**QUICK, timer_expired_backup=254)).master()
        it.say(events.Overslept(0, it[0].generation - 1, it.now))
        assert it.state == "MASTER"


def test_unicast_fault_no_peer() -> None:
    it = Bench(instance(fault_no_peer=True)).start()
    assert it.state == "FAULT"
    assert "no usable peer" in it[0].reason


@pytest.mark.parametrize(
    ("words", "ttl"),
    [
        ({}, 255),
        ({"unicast_peers": TestOldUnicastChecksums.peers}, 255),
        ({"unicast_peers": TestOldUnicastChecksums.peers, "unicast_ttl": 9}, 9),
        ({"family": 6, "unicast_peers": (UnicastPeer(address=Address("fd00::1")),), "addresses": ()}, None),
        ({"family": 6, "group": Address("ff02::12"), "addresses": ()}, 255),
    ],
)
def test_ttl(words: dict[str, object], ttl: int | None) -> None:
    (endpoint,) = Bench(instance(**words)).start().core.endpoints()
    assert endpoint.ttl == ttl
