"""Cases of a reload: what is kept, what is told, what is said on the wire."""

from __future__ import annotations

from collections.abc import Callable

from fastha.model.units import MS
from tests.netns.duel import Case, Change, Peer
from tests.netns.duel_cases import QUICK, master

CASES: list[Case] = []
GLOBAL = "vrrp_startup_delay 1"
INTERVAL = 400 * MS
FOLLOWERS = 2
"""Cases that `follow` a master until all others are ready for the reload."""
P100 = f"{QUICK}\npriority 100"


def case(words: str, then: Change, **more: object) -> Callable[[Callable[[Peer], None]], Callable[[Peer], None]]:
    def made(script: Callable[[Peer], None]) -> Callable[[Peer], None]:
        CASES.append(Case(script.__name__, words, script, then=then, **more))  # type: ignore[arg-type]
        return script

    return made


def reload_master(peer: Peer, seconds: float = 1.0) -> None:
    master(peer)
    peer.reload()
    peer.rest(seconds)


def follow(peer: Peer, interval: int = INTERVAL) -> None:
    """BACKUP of a better master when the reload comes."""
    peer.until("BACKUP")
    barrier = peer.side.barrier
    while barrier.n_waiting < barrier.parties - FOLLOWERS:
        peer.advert(200, interval=interval)
        peer.rest(0.1)
    peer.mark("last")
    peer.advert(200, interval=interval)
    peer.reload()


@case(P100, Change())
def nothing_changes_for_a_master(peer: Peer) -> None:
    reload_master(peer)


@case(P100, Change())
def nothing_changes_for_a_backup(peer: Peer) -> None:
    follow(peer)
    peer.until("MASTER")


@case(P100, Change())
def a_backup_unlearns_the_interval(peer: Peer) -> None:
    follow(peer, 200 * MS)
    peer.until("MASTER")


@case(P100, Change(words=f"{QUICK}\npriority 50"))
def a_master_keeps_its_state_whatever_its_priority(peer: Peer) -> None:
    reload_master(peer)
    peer.mark("rival")
    peer.advert(60, interval=INTERVAL)
    peer.until("BACKUP", "MASTER")


@case(P100, Change(vips=("10.77.3.1", "10.77.3.2")), vips=("10.77.3.1",))
def an_address_more(peer: Peer) -> None:
    reload_master(peer)
    peer.look("sh", "-c", "ip -o addr show | grep -o '10[.]77[.]3[.][12]/[0-9]*'")


@case(P100, Change(vips=("10.77.3.3",)), vips=("10.77.3.3", "10.77.3.4"))
def an_address_less(peer: Peer) -> None:
    reload_master(peer)
    peer.look("sh", "-c", "ip -o addr show | grep -o '10[.]77[.]3[.][34]/[0-9]*'")


@case(f"{P100}\ngarp_master_refresh 60", Change())
def announced_again_with_a_refresh(peer: Peer) -> None:
    reload_master(peer)


@case(P100, Change(name="renamed_to_this"))
def a_rename_keeps_the_state(peer: Peer) -> None:
    reload_master(peer)


@case(P100, Change(after=False))
def a_master_is_taken_out(peer: Peer) -> None:
    reload_master(peer)
    peer.look("sh", "-c", f"ip -o addr show | grep {peer.vips[0]}/")


@case(f"{P100}\nnotify_deleted", Change(after=False))
def a_master_is_taken_out_and_called_deleted(peer: Peer) -> None:
    reload_master(peer)


@case(P100, Change(before=False))
def an_instance_is_new(peer: Peer) -> None:
    peer.rest(0.5)
    peer.reload()
    peer.until("BACKUP", "MASTER")


@case(P100, Change(words="version 3\nadvert_int 0.8\ngarp_master_delay 0\npriority 100"))
def another_interval(peer: Peer) -> None:
    reload_master(peer, 2.0)


@case(P100, Change(words="version 2\nadvert_int 1\ngarp_master_delay 0\npriority 100"))
def another_version(peer: Peer) -> None:
    reload_master(peer, 2.0)


@case(
    f"{P100}\nunicast_src_ip 10.77.0.1\nunicast_peer {{\n10.77.0.2\n}}",
    Change(words=f"{P100}\nunicast_src_ip 10.77.0.1\nunicast_peer {{\n10.77.0.2\n10.77.0.3\n}}"),
)
def a_unicast_peer_more(peer: Peer) -> None:
    reload_master(peer)


@case(P100, Change(words=f"{P100}\nunicast_src_ip 10.77.0.1\nunicast_peer {{\n10.77.0.2\n}}"))
def from_multicast_to_unicast(peer: Peer) -> None:
    master(peer)
    peer.reload()
    peer.until("BACKUP", "MASTER")


@case(P100, Change(), links=1)
def a_fault_stays_one(peer: Peer) -> None:
    peer.until("BACKUP")
    peer.down()
    peer.until("FAULT")
    peer.rest(0.5)
    peer.reload()
    peer.rest(1.0)
    peer.mark("up")
    peer.up()
    peer.until("BACKUP", "MASTER")


SCRIPT = 'vrrp_script s{n} {\nscript "/usr/bin/true"\ninterval 30\nweight %d\n}'


@case(
    f"{P100}\ntrack_script {{\ns{{n}}\n}}",
    Change(words=f"{P100}\ntrack_script {{\ns{{n}}\n}}\nlower_prio_no_advert"),
    outside=SCRIPT % 5,
)
def a_script_keeps_its_result(peer: Peer) -> None:
    reload_master(peer)


@case(P100, Change(words=f"{P100}\nvirtual_routes {{\n10.202.{{n}}.0/24 dev eth0 table 9{{n}}\n}}"))
def a_route_more(peer: Peer) -> None:
    reload_master(peer)
    peer.look("ip", "-4", "route", "show", "table", f"9{peer.vrid}")
