"""Cases of single words of an instance that change what is sent, believed or held."""

from __future__ import annotations

from collections.abc import Callable

from fastha.model.units import MS, S
from tests.netns.duel import Case, Peer
from tests.netns.duel_cases import QUICK, master
from tests.netns.duel_cases_tracking import LOOK

CASES: list[Case] = []
GLOBAL = "vrrp_notify_priority_changes true\nvrrp_garp_master_delay 0"
INTERVAL = 400 * MS
P100 = f"{QUICK}\npriority 100"


def case(words: str, **more: object) -> Callable[[Callable[[Peer], None]], Callable[[Peer], None]]:
    def made(script: Callable[[Peer], None]) -> Callable[[Peer], None]:
        CASES.append(Case(script.__name__, words, script, **{"timing": 0.6, **more}))  # type: ignore[arg-type]
        return script

    return made


def holds(peer: Peer, device: str = "") -> None:
    peer.look("ip", "-d", "addr", "show", "dev", device or peer.link(), drop=LOOK)


@case("version 2\nadvert_int 1\ndown_timer_adverts 1\npriority 100", vips=("fe80::77:b1", "fd77::b1"))
def six_in_version_2(peer: Peer) -> None:
    master(peer)
    peer.mark("lower")
    peer.advert(50, version=2, interval=S)
    peer.rest(0.3)


@case(f"{P100}\nv3_checksum_as_v2")
def checksum_as_version_2(peer: Peer) -> None:
    master(peer)
    peer.mark("wrong checksum")
    peer.advert(50, interval=INTERVAL, change=lambda p: p.__setitem__(6, p[6] ^ 1))
    peer.rest(0.3)


@case(f"{P100}\nmcast_dst_ip 224.0.0.99")
def a_group_of_its_own(peer: Peer) -> None:
    master(peer)


@case(f"{P100}\nstrict_mode true")
def strict(peer: Peer) -> None:
    master(peer)
    peer.mark("lower")
    peer.advert(50, interval=INTERVAL)
    peer.rest(0.5)
    peer.mark("higher")
    peer.advert(150, interval=INTERVAL)
    peer.until("BACKUP", "MASTER")


@case(f"{QUICK}\npriority 255\nowner_ignore_adverts true", vips=("10.77.9.31",))
def an_owner_that_ignores_adverts(peer: Peer) -> None:
    master(peer)
    peer.mark("others")
    peer.advert(254, interval=INTERVAL)
    peer.advert(255, interval=INTERVAL)
    peer.rest(0.5)


@case(f"{P100}\nno_accept", links=1, vips=("10.79.3.1/24",))
def no_accept(peer: Peer) -> None:
    master(peer)
    holds(peer)


@case(f"{P100}\ndown_timer_adverts 2")
def down_timer_adverts(peer: Peer) -> None:
    peer.until("BACKUP")
    peer.mark("last")
    peer.advert(200, interval=INTERVAL)
    peer.until("MASTER")


@case("version 3\nadvert_int 0.05\npriority 100")
def a_short_interval(peer: Peer) -> None:
    master(peer)


MANY = tuple(f"10.77.20.{n}" for n in range(1, 31))


@case(P100, vips=MANY)
def many_addresses(peer: Peer) -> None:
    master(peer)


@case(P100, links=2, vips=("10.79.9.1/24 dev {1}", "10.79.9.2 dev {1}", "10.78.9.9/24"))
def addresses_on_another_interface(peer: Peer) -> None:
    master(peer)
    holds(peer)
    holds(peer, peer.link(1))
    peer.mark("the other one down")
    peer.down(1)
    peer.rest(0.5)
    peer.mark("up")
    peer.up(1)
    peer.rest(0.8)
    holds(peer, peer.link(1))


@case(f"{P100}\nnopreempt", links=1)
def nopreempt_after_a_fault(peer: Peer) -> None:
    master(peer)
    peer.mark("down")
    peer.down()
    peer.until("FAULT")
    peer.mark("up, a lower one is there")
    peer.up()
    peer.until("BACKUP")
    peer.advert(50, interval=INTERVAL, times=6, every=0.4)
    peer.mark("it stops")
    peer.until("MASTER")


@case(f"{P100}\npreempt_delay 1", links=1)
def preempt_delay_after_a_fault(peer: Peer) -> None:
    master(peer)
    peer.down()
    peer.until("FAULT")
    peer.up()
    peer.until("BACKUP")
    peer.mark("a lower one")
    peer.advert(50, interval=INTERVAL, times=8, every=0.45)
    peer.until("MASTER")


@case(P100, links=1, outside="interface_up_down_delays {\n{0} 0.8 0.6\n}")
def delays_of_up_and_down(peer: Peer) -> None:
    master(peer)
    peer.mark("short")
    peer.down()
    peer.rest(0.1)
    peer.up()
    peer.rest(1.0)
    peer.mark("down")
    peer.down()
    peer.until("FAULT")
    peer.mark("up")
    peer.up()
    peer.until("BACKUP", "MASTER")


@case(f"{P100}\nmcast_src_ip 10.77.0.9")
def a_source_of_its_own(peer: Peer) -> None:
    master(peer)


@case(f"{P100}\nunicast_src_ip 10.78.{{n}}.1\nunicast_peer {{\n10.78.{{n}}.2\n}}\ntrack_src_ip", links=1)
def a_tracked_source(peer: Peer) -> None:
    master(peer)
    peer.mark("gone")
    peer.side.node.ip("addr", "del", f"10.78.{peer.vrid}.1/24", "dev", peer.link())
    peer.until("FAULT")
    peer.rest(0.3)
    peer.mark("back")
    peer.side.node.ip("addr", "add", f"10.78.{peer.vrid}.1/24", "dev", peer.link())
    peer.until("BACKUP", "MASTER")


@case(
    "advert_int 0.4\npriority 100\nunicast_src_ip fe80::77:1\nunicast_peer {\nfe80::77:2\n}\nunicast_ttl 77",
    vips=("fd77::c1",),
)
def six_unicast(peer: Peer) -> None:
    master(peer)
    peer.mark("multicast")
    peer.advert(200, interval=INTERVAL)
    peer.rest(0.2)
    peer.mark("unicast")
    peer.advert(200, interval=INTERVAL, destination="fe80::77:1", ttl=3)
    peer.until("BACKUP", "MASTER")


@case(f"{P100}\nuse_vmac", links=1, vips=("fe80::88:1", "fd88::1/64"))
def a_virtual_mac_of_six(peer: Peer) -> None:
    master(peer)
    peer.look("sh", "-c", f"ip -d addr show dev vrrp.{peer.vrid} || ip -d addr show dev vrrp6.{peer.vrid}", drop=LOOK)
    peer.mark("higher")
    peer.advert(200, interval=INTERVAL)
    peer.until("BACKUP", "MASTER")


@case(f"{P100}\ngarp_lower_prio_repeat 3\ngarp_lower_prio_delay 0\ngarp_master_repeat 1")
def counts_of_announcements(peer: Peer) -> None:
    master(peer)
    peer.mark("lower, twice")
    peer.advert(50, interval=INTERVAL, times=2, every=0.3)
    peer.rest(0.3)


GROUP = (
    "vrrp_sync_group T{n} {\ngroup {\n%s\n}\ntrack_interface {\n{1} weight -20\n}\ntrack_file {\nt{n} weight 2\n}\n}\n"
    "vrrp_track_file t{n} {\nfile {dir}/group{n}\ninit_file 0\n}"
)


@case(P100, links=2, outside=GROUP % "a_group_that_tracks")
def a_group_that_tracks(peer: Peer) -> None:
    master(peer)
    peer.mark("down")
    peer.down(1)
    peer.until("MASTER_PRIORITY")
    peer.rest(0.6)
    peer.mark("file")
    peer.file(f"group{peer.vrid}", "7")
    peer.rest(0.8)


@case(f"{P100}\nnotify_priority_changes false\ntrack_interface {{\n{{1}} weight -20\n}}", links=2)
def priority_changes_that_are_not_told(peer: Peer) -> None:
    master(peer)
    peer.down(1)
    peer.rest(0.8)


@case(
    f"{P100}\nvirtual_ipaddress_excluded {{\n10.77.40.2\nfd40::3/64 dev {{0}}\n}}",
    links=1,
    vips=("10.77.40.1/24 brd 10.77.40.255 scope link", "10.77.40.3 peer 10.77.40.4"),
)
def excluded_and_special_addresses(peer: Peer) -> None:
    master(peer)
    holds(peer)
    peer.mark("higher")
    peer.advert(200, interval=INTERVAL)
    peer.until("BACKUP")
    peer.rest(0.1)
    holds(peer)
    peer.until("MASTER")
