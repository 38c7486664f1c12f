"""Cases of packets: what a peer says to both daemons. `test_duel.py` compares."""

from __future__ import annotations

from collections.abc import Callable

from fastha.model.units import MS, S
from tests.netns.duel import Case, Peer, fix_checksum

QUICK = "version 3\nadvert_int 0.4\ngarp_master_delay 0"
SLOW = "version 2\nadvert_int 1\ndown_timer_adverts 1\ngarp_master_delay 0"
CASES: list[Case] = []
INTERVAL = 400 * MS
GROUP = "224.0.0.18"


def case(words: str, **more: object) -> Callable[[Callable[[Peer], None]], Callable[[Peer], None]]:
    def made(script: Callable[[Peer], None]) -> Callable[[Peer], None]:
        CASES.append(Case(script.__name__, words, script, **more))  # type: ignore[arg-type]
        return script

    return made


def master(peer: Peer) -> None:
    peer.until("MASTER")
    peer.rest(0.2)


def backup_to(peer: Peer, priority: int = 200, interval: int = INTERVAL) -> None:
    """BACKUP, with a master heard."""
    peer.until("BACKUP")
    peer.advert(priority, interval=interval)
    peer.rest(0.05)


# ------------------------------------------------------------------------------------------------ MASTER


@case(f"{QUICK}\npriority 100")
def prio_0_is_answered(peer: Peer) -> None:
    master(peer)
    peer.mark("prio 0")
    peer.advert(0, interval=INTERVAL)
    peer.rest(0.3)


@case(f"{QUICK}\npriority 100")
def a_higher_priority_is_yielded_to(peer: Peer) -> None:
    master(peer)
    peer.mark("higher")
    peer.advert(101, interval=INTERVAL)
    peer.until("BACKUP", "MASTER")


@case(f"{QUICK}\npriority 100\nhigher_prio_send_advert")
def a_last_advert_before_yielding(peer: Peer) -> None:
    master(peer)
    peer.mark("higher")
    peer.advert(101, interval=INTERVAL)
    peer.until("BACKUP", "MASTER")


@case(f"{QUICK}\npriority 100")
def equal_priority_and_a_higher_address(peer: Peer) -> None:
    master(peer)
    peer.mark("equal")
    peer.advert(100, interval=INTERVAL)
    peer.until("BACKUP", "MASTER")


@case(f"{QUICK}\npriority 100\ngarp_lower_prio_repeat 2\ngarp_lower_prio_delay 1")
def equal_priority_and_a_lower_address(peer: Peer) -> None:
    master(peer)
    peer.mark("equal")
    peer.advert(100, source="10.77.0.0", interval=INTERVAL)
    peer.rest(1.3)


@case(f"{QUICK}\npriority 100")
def equal_priority_and_our_address(peer: Peer) -> None:
    master(peer)
    peer.mark("equal")
    peer.advert(100, source="10.77.0.1", interval=INTERVAL)
    peer.rest(0.5)


@case(f"{QUICK}\npriority 100\ngarp_lower_prio_repeat 2\ngarp_lower_prio_delay 1")
def a_lower_priority_is_answered(peer: Peer) -> None:
    master(peer)
    peer.mark("lower")
    peer.advert(99, interval=INTERVAL)
    peer.rest(1.3)


@case(f"{QUICK}\npriority 100\nlower_prio_no_advert true\ngarp_lower_prio_repeat 0")
def a_lower_priority_without_an_answer(peer: Peer) -> None:
    master(peer)
    peer.mark("lower")
    peer.advert(99, interval=INTERVAL)
    peer.rest(0.6)


@case(f"{QUICK}\npriority 255\nvirtual_ipaddress_excluded {{\n}}", vips=("10.77.1.88",))
def an_owner_is_master_at_once(peer: Peer) -> None:
    master(peer)
    peer.mark("254")
    peer.advert(254, interval=INTERVAL)
    peer.rest(0.5)


# ------------------------------------------------------------------------------------------------ BACKUP


@case(f"{QUICK}\npriority 100")
def silence_is_a_takeover(peer: Peer) -> None:
    peer.until("BACKUP")
    peer.mark("last")
    peer.advert(200, interval=INTERVAL)
    peer.until("MASTER")


@case(f"{QUICK}\npriority 1")
def the_skew_of_priority_1(peer: Peer) -> None:
    peer.until("BACKUP")
    peer.mark("last")
    peer.advert(200, interval=INTERVAL)
    peer.until("MASTER")


@case(f"{SLOW}\npriority 10")
def the_skew_of_version_2(peer: Peer) -> None:
    peer.until("BACKUP")
    peer.mark("last")
    peer.advert(200)
    peer.until("MASTER")


@case(f"{QUICK}\npriority 100")
def the_interval_of_the_master_is_learned(peer: Peer) -> None:
    peer.until("BACKUP")
    peer.mark("last")
    peer.advert(200, interval=900 * MS)
    peer.until("MASTER")
    peer.mark("mine again")
    peer.rest(1.0)
    peer.mark("learned 100 ms")
    peer.advert(200, interval=100 * MS)
    peer.until("BACKUP", "MASTER")


@case(f"{QUICK}\npriority 100")
def prio_0_leaves_the_skew(peer: Peer) -> None:
    backup_to(peer)
    peer.mark("prio 0")
    peer.advert(0, interval=INTERVAL)
    peer.until("MASTER")


@case(f"{QUICK}\npriority 100")
def a_lower_priority_does_not_move_the_timer(peer: Peer) -> None:
    peer.until("BACKUP")
    peer.mark("last good")
    peer.advert(200, interval=INTERVAL)
    peer.advert(50, interval=INTERVAL, times=3, every=0.3)
    peer.until("MASTER")


@case(f"{QUICK}\npriority 100\nnopreempt")
def nopreempt_believes_a_lower_priority(peer: Peer) -> None:
    peer.until("BACKUP")
    peer.advert(50, interval=INTERVAL, times=5, every=0.4)
    peer.mark("last")
    peer.advert(50, interval=INTERVAL)
    peer.until("MASTER")


@case(f"{QUICK}\npriority 100\npreempt_delay 2")
def preempt_delay_runs_from_the_first_lower_advert(peer: Peer) -> None:
    peer.until("BACKUP")
    peer.mark("first lower")
    peer.advert(50, interval=INTERVAL, times=12, every=0.45)
    peer.until("MASTER")


@case(f"{QUICK}\npriority 100\npreempt_delay 2")
def preempt_delay_ends_with_a_better_one(peer: Peer) -> None:
    peer.until("BACKUP")
    peer.advert(50, interval=INTERVAL, times=4, every=0.4)
    peer.advert(150, interval=INTERVAL)
    peer.mark("first lower")
    peer.advert(50, interval=INTERVAL, times=12, every=0.45)
    peer.until("MASTER")


@case(f"{QUICK}\npriority 100")
def equal_priority_is_believed(peer: Peer) -> None:
    peer.until("BACKUP")
    peer.advert(100, source="10.77.0.0", interval=INTERVAL, times=5, every=0.4)
    peer.mark("last")
    peer.advert(100, source="10.77.0.0", interval=INTERVAL)
    peer.until("MASTER")


@case(f"{QUICK}\nstate MASTER\npriority 100")
def state_master_waits_all_the_same(peer: Peer) -> None:
    peer.until("BACKUP", "MASTER")


@case(f"{QUICK}\nstate MASTER\nnopreempt\npriority 100")
def state_master_cancels_nopreempt(peer: Peer) -> None:
    peer.until("BACKUP")
    peer.mark("lower")
    peer.advert(50, interval=INTERVAL, times=4, every=0.4)
    peer.until("MASTER")


# --------------------------------------------------------------------------------------------- validation


def spoiled(at: int, value: int, *, pseudo: bool = True, source: str = "10.77.0.2") -> Callable[[bytearray], None]:
    def change(payload: bytearray) -> None:
        payload[at] = value
        fix_checksum(payload, source, GROUP, pseudo=pseudo)

    return change


@case(f"{QUICK}\npriority 100")
def spoiled_version_3(peer: Peer) -> None:
    """Each is counted and none is believed: the timer runs out as if nothing had come."""
    peer.until("BACKUP")
    peer.mark("last good")
    peer.advert(200, interval=INTERVAL)
    peer.advert(ttl=254, interval=INTERVAL)
    peer.advert(interval=INTERVAL, kind=2)
    peer.advert(interval=INTERVAL, version=2)
    peer.advert(interval=INTERVAL, change=lambda p: p.__setitem__(6, p[6] ^ 1))
    peer.advert(interval=INTERVAL, trail=b"\0")
    peer.advert(interval=INTERVAL, trail=b"\0" * 4)
    peer.advert(interval=INTERVAL, change=lambda p: p.__delitem__(slice(10, None)))
    peer.advert(interval=INTERVAL, change=lambda p: p.__delitem__(slice(6, None)))
    peer.advert(interval=INTERVAL, change=spoiled(3, 2))
    peer.advert(interval=INTERVAL, change=spoiled(3, 0))
    peer.advert(interval=INTERVAL, destination="10.77.0.1")
    peer.advert(interval=INTERVAL, extra=4)
    peer.advert(interval=INTERVAL, change=spoiled(0, 0x41))
    peer.until("MASTER")


@case(f"{QUICK}\npriority 100")
def other_addresses_are_counted_and_used(peer: Peer) -> None:
    peer.until("BACKUP")
    peer.mark("last")
    peer.advert(200, interval=INTERVAL, vips=("10.77.1.240",))
    peer.advert(200, interval=INTERVAL, vips=("10.77.1.240", "10.77.1.241"))
    peer.rest(0.2)
    peer.advert(200, interval=INTERVAL, vips=())
    peer.until("MASTER")


@case(f"{QUICK}\npriority 100\nskip_check_adv_addr")
def other_addresses_of_the_known_master_are_skipped(peer: Peer) -> None:
    peer.until("BACKUP")
    for _ in range(3):
        peer.advert(200, interval=INTERVAL, vips=("10.77.1.240",))
        peer.rest(0.1)
    peer.advert(200, interval=INTERVAL, vips=("10.77.1.240",), source="10.77.0.9")
    peer.until("MASTER")


@case(f"{QUICK}\npriority 100", vips=("10.77.1.201", "10.77.1.202", "10.77.1.203"))
def the_order_of_addresses_does_not_matter(peer: Peer) -> None:
    peer.until("BACKUP")
    peer.advert(200, interval=INTERVAL, vips=("10.77.1.203", "10.77.1.201", "10.77.1.202"))
    peer.until("MASTER")


PASS = "authentication {\nauth_type PASS\nauth_pass secret\n}"


@case(f"{SLOW}\npriority 100\n{PASS}")
def spoiled_version_2(peer: Peer) -> None:
    peer.until("BACKUP")
    good = {"auth_type": 1, "auth_data": b"secret\0\0"}
    peer.mark("last good")
    peer.advert(200, **good)  # type: ignore[arg-type]
    peer.advert(auth_type=1, auth_data=b"secreT\0\0")
    peer.advert(auth_type=1, auth_data=b"secret\0x")
    peer.advert(auth_type=0, auth_data=bytes(8))
    peer.advert(auth_type=2, auth_data=bytes(8))
    peer.advert(auth_type=3, auth_data=bytes(8))
    peer.advert(interval=2 * S, **good)  # type: ignore[arg-type]
    peer.advert(ttl=1, **good)  # type: ignore[arg-type]
    peer.advert(kind=3, **good)  # type: ignore[arg-type]
    peer.advert(version=3)
    peer.advert(change=lambda p: p.__setitem__(7, p[7] ^ 255), **good)  # type: ignore[arg-type]
    peer.advert(trail=b"12", **good)  # type: ignore[arg-type]
    peer.advert(trail=b"1234", **good)  # type: ignore[arg-type]
    peer.advert(trail=b"123456", **good)  # type: ignore[arg-type]
    peer.until("MASTER")


@case(f"{SLOW}\npriority 100\n{PASS}")
def a_master_of_version_2_and_bad_adverts(peer: Peer) -> None:
    master(peer)
    peer.mark("bad ones")
    peer.advert(auth_type=1, auth_data=b"secreT\0\0")
    peer.advert(auth_type=0, auth_data=bytes(8))
    peer.advert(interval=2 * S, auth_type=1, auth_data=b"secret\0\0")
    peer.rest(0.3)
    peer.mark("a good one")
    peer.advert(auth_type=1, auth_data=b"secret\0\0")
    peer.until("BACKUP", "MASTER")


# ---------------------------------------------------------------------------------------------- unicast

UNICAST = "unicast_src_ip 10.77.0.1\nunicast_peer {\n10.77.0.2\n}"
BOUNDED = "unicast_src_ip 10.77.0.1\nunicast_peer {\n10.77.0.2 min_ttl 253 max_ttl 254\n}"


@case(f"{QUICK}\npriority 100\n{UNICAST}")
def unicast(peer: Peer) -> None:
    peer.until("BACKUP")
    peer.mark("multicast, other ttl")
    peer.advert(200, interval=INTERVAL)
    peer.advert(200, interval=INTERVAL, destination="10.77.0.1", ttl=3)
    peer.until("MASTER")
    peer.mark("a stranger")
    peer.advert(200, interval=INTERVAL, destination="10.77.0.1", source="10.77.0.3")
    peer.until("BACKUP", "MASTER")


@case(f"{QUICK}\npriority 100\n{UNICAST}\ncheck_unicast_src")
def unicast_from_peers_only(peer: Peer) -> None:
    peer.until("BACKUP")
    peer.mark("a stranger")
    peer.advert(200, interval=INTERVAL, destination="10.77.0.1", source="10.77.0.3")
    peer.until("MASTER")
    peer.mark("the peer")
    peer.advert(200, interval=INTERVAL, destination="10.77.0.1")
    peer.until("BACKUP", "MASTER")


@case(f"{QUICK}\npriority 100\n{BOUNDED}")
def unicast_within_a_ttl(peer: Peer) -> None:
    master(peer)
    peer.mark("252, 255")
    peer.advert(200, interval=INTERVAL, destination="10.77.0.1", ttl=252)
    peer.advert(200, interval=INTERVAL, destination="10.77.0.1", ttl=255)
    peer.advert(200, interval=INTERVAL, destination="10.77.0.1", ttl=254, source="10.77.0.3")
    peer.rest(0.2)
    peer.mark("253")
    peer.advert(200, interval=INTERVAL, destination="10.77.0.1", ttl=253)
    peer.until("BACKUP", "MASTER")


@case(f"{QUICK}\npriority 100\n{UNICAST}")
def old_unicast_checksums_are_detected(peer: Peer) -> None:
    master(peer)
    peer.mark("old checksum")
    peer.advert(50, interval=INTERVAL, destination="10.77.0.1", old=True)
    peer.rest(0.6)


@case(f"{QUICK}\npriority 100\n{UNICAST}\nold_unicast_checksum never")
def old_unicast_checksums_are_never_believed(peer: Peer) -> None:
    master(peer)
    peer.mark("old checksum")
    peer.advert(150, interval=INTERVAL, destination="10.77.0.1", old=True)
    peer.rest(0.6)


@case(f"{QUICK}\npriority 100\n{UNICAST}\nunicast_ttl 64")
def unicast_ttl_is_sent(peer: Peer) -> None:
    master(peer)


# ------------------------------------------------------------------------------------------------- IPv6


@case("advert_int 0.4\ngarp_master_delay 0\npriority 100", vips=("fe80::77:a1", "fd77::a1/64"))
def six(peer: Peer) -> None:
    master(peer)
    peer.mark("hop limit 254")
    peer.advert(200, interval=INTERVAL, ttl=254)
    peer.rest(0.2)
    peer.mark("lower")
    peer.advert(99, interval=INTERVAL)
    peer.rest(0.2)
    peer.mark("higher")
    peer.advert(200, interval=INTERVAL)
    peer.until("BACKUP", "MASTER")
