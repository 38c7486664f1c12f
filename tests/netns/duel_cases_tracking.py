"""Cases of trackers, links, sync groups and what a master holds."""

from __future__ import annotations

from fastha.model.units import MS
from tests.netns.duel import Case, Peer
from tests.netns.duel_cases import QUICK, master

CASES: list[Case] = []
INTERVAL = 400 * MS


def case(words: str, **more: object):  # type: ignore[no-untyped-def]
    def made(script):  # type: ignore[no-untyped-def]
        CASES.append(Case(script.__name__, words, script, **{"timing": 0.6, **more}))  # type: ignore[arg-type]
        return script

    return made


def changed(peer: Peer) -> None:
    """A master's priority moved, and an advert has said so."""
    peer.until("MASTER_PRIORITY")
    peer.rest(0.6)


# -------------------------------------------------------------------------------------------------- links


@case(f"{QUICK}\npriority 100", links=1)
def the_own_interface_goes_and_comes(peer: Peer) -> None:
    master(peer)
    peer.mark("down")
    peer.down()
    peer.until("FAULT")
    peer.rest(0.5)
    peer.mark("up")
    peer.up()
    peer.until("BACKUP", "MASTER")


@case(f"{QUICK}\npriority 100\ndont_track_primary", links=1)
def dont_track_primary(peer: Peer) -> None:
    master(peer)
    peer.mark("down")
    peer.down()
    peer.rest(0.5)
    peer.mark("up")
    peer.up()
    peer.rest(0.5)


@case(f"{QUICK}\npriority 100\ntrack_interface {{\n{{1}}\n}}", links=2)
def a_tracked_interface_goes_and_comes(peer: Peer) -> None:
    master(peer)
    peer.mark("down")
    peer.down(1)
    peer.until("FAULT")
    peer.rest(0.5)
    peer.mark("up")
    peer.up(1)
    peer.until("BACKUP", "MASTER")


@case(f"{QUICK}\npriority 100\ntrack_interface {{\n{{1}} weight -20\n}}", links=2)
def a_weighted_interface_of_a_master(peer: Peer) -> None:
    master(peer)
    peer.mark("down")
    peer.down(1)
    changed(peer)
    peer.mark("up")
    peer.up(1)
    changed(peer)


@case(f"{QUICK}\ndown_timer_adverts 5\npriority 100\ntrack_interface {{\n{{1}} weight 30\n}}", links=2)
def a_weighted_interface_of_a_backup_moves_its_timer(peer: Peer) -> None:
    peer.until("BACKUP")
    peer.advert(200, interval=900 * MS)
    peer.rest(0.5)
    peer.mark("last")
    peer.advert(200, interval=900 * MS)
    peer.rest(0.2)
    peer.down(1)
    peer.until("BACKUP_PRIORITY", "MASTER")


@case(f"{QUICK}\npriority 100\ntrack_interface {{\n{{1}} weight 30 reverse\n}}", links=2)
def a_reversed_interface(peer: Peer) -> None:
    master(peer)
    peer.mark("down")
    peer.down(1)
    changed(peer)
    peer.mark("up")
    peer.up(1)
    changed(peer)


@case(f"{QUICK}\npriority 100", links=1)
def the_source_address_goes_and_comes(peer: Peer) -> None:
    master(peer)
    peer.mark("another")
    peer.side.node.ip("addr", "add", f"10.99.{peer.vrid}.1/24", "dev", peer.link())
    peer.rest(0.2)
    peer.mark("first gone")
    peer.side.node.ip("addr", "del", f"10.78.{peer.vrid}.1/24", "dev", peer.link())
    peer.rest(0.9)
    peer.mark("both gone")
    peer.side.node.ip("addr", "del", f"10.99.{peer.vrid}.1/24", "dev", peer.link())
    peer.until("FAULT")
    peer.rest(0.3)
    peer.mark("one back")
    peer.side.node.ip("addr", "add", f"10.78.{peer.vrid}.1/24", "dev", peer.link())
    peer.until("BACKUP", "MASTER")


@case(f"{QUICK}\npriority 100", links=1)
def an_address_is_taken_away(peer: Peer) -> None:
    master(peer)
    peer.mark("deleted")
    peer.side.node.ip("addr", "del", f"{peer.vips[0]}/32", "dev", peer.link())
    peer.until("BACKUP", "MASTER")
    peer.rest(0.2)


@case(f"{QUICK}\npriority 100\ntrack_interface {{\n{{1}} weight -30 reverse\n}}", links=2)
def a_reversed_negative_interface(peer: Peer) -> None:
    master(peer)
    peer.mark("down")
    peer.down(1)
    changed(peer)
    peer.mark("up")
    peer.up(1)
    changed(peer)


@case(f"{QUICK}\npriority 100\ntrack_interface {{\n{{1}} weight 0 reverse\n}}", links=2)
def a_reversed_unweighted_interface(peer: Peer) -> None:
    peer.until("FAULT")
    peer.mark("down")
    peer.down(1)
    peer.until("BACKUP", "MASTER")
    peer.mark("up")
    peer.up(1)
    peer.until("FAULT")


# ------------------------------------------------------------------------------------------------ trackers

SLOW_START = "version 3\nadvert_int 0.4\ndown_timer_adverts 7\ngarp_master_delay 0"
"""Scripts are to have their first result before mastership."""
SCRIPT = """vrrp_script s{n} {
    script "/usr/bin/test ! -e {dir}/flag{n}"
    interval 1
    %s
}"""


@case(f"{SLOW_START}\npriority 100\ntrack_script {{\ns{{n}}\n}}", outside=SCRIPT % "fall 2\nrise 2", timing=None)
def a_script_without_weight(peer: Peer) -> None:
    peer.until("BACKUP", "MASTER")
    peer.mark("fails")
    peer.file(f"flag{peer.vrid}", "")
    peer.until("FAULT")
    peer.file(f"flag{peer.vrid}", None)
    peer.until("BACKUP", "MASTER")


@case(f"{SLOW_START}\npriority 100\ntrack_script {{\ns{{n}}\n}}", outside=SCRIPT % "weight -30", timing=None)
def a_script_with_a_negative_weight(peer: Peer) -> None:
    master(peer)
    peer.file(f"flag{peer.vrid}", "")
    changed(peer)
    peer.file(f"flag{peer.vrid}", None)
    changed(peer)


@case(f"{SLOW_START}\npriority 100\ntrack_script {{\ns{{n}} weight 20\n}}", outside=SCRIPT % "weight -30", timing=None)
def a_script_with_a_weight_of_its_own_here(peer: Peer) -> None:
    master(peer)
    peer.file(f"flag{peer.vrid}", "")
    changed(peer)
    peer.file(f"flag{peer.vrid}", None)
    changed(peer)


@case(
    f"{QUICK}\npriority 100\ntrack_script {{\ns{{n}} weight 20 reverse\n}}", outside=SCRIPT % "weight -30", timing=None
)
def a_reversed_script(peer: Peer) -> None:
    master(peer)
    peer.file(f"flag{peer.vrid}", "")
    changed(peer)
    peer.file(f"flag{peer.vrid}", None)
    changed(peer)


@case(
    f"{QUICK}\npriority 100\ntrack_script {{\ns{{n}} weight -20 reverse\n}}", outside=SCRIPT % "weight -30", timing=None
)
def a_reversed_negative_script(peer: Peer) -> None:
    master(peer)
    peer.file(f"flag{peer.vrid}", "")
    changed(peer)
    peer.file(f"flag{peer.vrid}", None)
    changed(peer)


BROKEN = 'vrrp_script s{n} {\nscript "/usr/bin/false"\ninterval 1\nfall 3\nrise 3\n}'


@case(f"{SLOW_START}\npriority 100\ntrack_script {{\ns{{n}}\n}}", outside=BROKEN)
def the_first_failure_is_down_at_once(peer: Peer) -> None:
    peer.until("FAULT")


SLOW = 'vrrp_script s{n} {\nscript "/usr/bin/sleep 2"\ninterval 5\n}'


@case(f"{SLOW_START}\npriority 100\ntrack_script {{\ns{{n}}\n}}", outside=SLOW)
def nothing_is_said_before_the_first_result(peer: Peer) -> None:
    peer.until("BACKUP", "MASTER")


HANGS = 'vrrp_script s{n} {\nscript "/usr/bin/sleep 20"\ninterval 2\ntimeout 1\nweight -7\n}'


@case(f"{SLOW_START}\npriority 100\ntrack_script {{\ns{{n}}\n}}", outside=HANGS)
def a_script_that_takes_too_long(peer: Peer) -> None:
    peer.until("MASTER")
    peer.rest(1.5)


FILE = "vrrp_track_file f{n} {\nfile {dir}/number{n}\n%s\n}"


@case(f"{QUICK}\npriority 100\ntrack_file {{\nf{{n}} weight 2\n}}", outside=FILE % "init_file 5")
def a_tracked_file(peer: Peer) -> None:
    master(peer)
    for text in ("10", "-3\n", "0x10", " 7 apples", "-60", "40", "9999999999999", "none", "-127", "-200"):
        peer.mark(text)
        peer.file(f"number{peer.vrid}", text)
        peer.rest(0.6)
    peer.mark("back")
    peer.file(f"number{peer.vrid}", "3")
    peer.until("BACKUP", "MASTER")
    peer.rest(0.2)
    peer.mark("gone")
    peer.file(f"number{peer.vrid}", None)
    peer.rest(0.3)


@case(f"{QUICK}\npriority 100\ntrack_file {{\nf{{n}} weight 0\n}}", outside=FILE % "init_file 0")
def an_unweighted_file(peer: Peer) -> None:
    master(peer)
    peer.mark("1")
    peer.file(f"number{peer.vrid}", "1")
    peer.until("FAULT")
    peer.mark("0")
    peer.file(f"number{peer.vrid}", "0")
    peer.until("BACKUP", "MASTER")


# ---------------------------------------------------------------------------------------- what it holds


LOOK = r"link-netns \S+|\d+: [^ ]+ |valid_lft \d+sec|link/\S+ \S+|group default|qlen \d+|@if\d+"


@case(
    f"{QUICK}\npromote_secondaries\npriority 100\nvirtual_ipaddress_excluded {{\nfd99::{{n}}:1/64\n}}\n"
    "virtual_routes {\n"
    "10.200.{n}.0/24 dev {0} table 9{n}\n10.201.{n}.0/24 via 10.78.{n}.9 metric 7 table 9{n}\n}\n"
    "virtual_rules {\nfrom 10.200.{n}.0/24 lookup 9{n} priority 3{n}00\n}",
    links=1,
    vips=("10.79.1.1/24", "10.79.1.2/24 label {0}:lbl", "10.79.1.3/32 brd - scope host", "10.79.1.4/24 noprefixroute"),
)
def addresses_routes_and_rules(peer: Peer) -> None:
    master(peer)
    peer.mark("master")
    look(peer)
    peer.mark("backup")
    peer.advert(200, interval=INTERVAL)
    peer.until("BACKUP")
    peer.rest(0.2)
    look(peer)
    peer.until("MASTER")


def look(peer: Peer) -> None:
    peer.look("ip", "-d", "addr", "show", "dev", peer.link(), drop=LOOK)
    peer.look("ip", "-4", "route", "show", "table", f"9{peer.vrid}")
    peer.look("sh", "-c", f"ip -4 rule show | grep 'lookup 9{peer.vrid}'")


@case(
    "version 3\nadvert_int 0.4\npriority 100\ngarp_master_delay 1\ngarp_master_repeat 2\n"
    "garp_master_refresh 1\ngarp_master_refresh_repeat 3",
    vips=("10.77.9.1", "10.77.9.2"),
)
def announcements_in_time(peer: Peer) -> None:
    peer.until("MASTER")
    peer.mark("master")
    peer.rest(3.5)


@case(
    "version 3\nadvert_int 0.4\npriority 100\ngarp_master_delay 0\ngarp_master_repeat 3\ngarp_interval 0.15",
    vips=("10.77.9.3", "10.77.9.4"),
    links=1,
)
def announcements_at_a_pace(peer: Peer) -> None:
    peer.until("MASTER")
    peer.mark("master")
    peer.rest(1.5)


@case(f"{QUICK}\npriority 100\nunicast_src_ip 10.78.{{n}}.1\nunicast_peer {{\n10.78.{{n}}.2\n}}", links=1)
def a_unicast_instance_announces_its_own_address(peer: Peer) -> None:
    peer.until("MASTER")


@case(f"{QUICK}\npriority 100\nuse_vmac fv{{n}}", links=1)
def a_virtual_mac(peer: Peer) -> None:
    master(peer)
    peer.mark("master")
    peer.look("ip", "-d", "addr", "show", "dev", f"fv{peer.vrid}", drop=LOOK)
    peer.mark("higher")
    peer.advert(200, interval=INTERVAL)
    peer.until("BACKUP", "MASTER")


@case(f"{QUICK}\npriority 100\nuse_vmac fw{{n}}\nvmac_xmit_base", links=1)
def a_virtual_mac_that_adverts_do_not_use(peer: Peer) -> None:
    master(peer)
    peer.mark("down")
    peer.down()
    peer.until("FAULT")
    peer.mark("up")
    peer.up()
    peer.until("BACKUP", "MASTER")


# ------------------------------------------------------------------------------------------------- groups

GROUP = "vrrp_sync_group G{n} {\ngroup {\n%s\n%sb\n}\n%s\n}\n" + (
    "vrrp_instance %sb {\ninterface {1}\nvirtual_router_id 1{n}\nversion 3\nadvert_int 0.4\ngarp_master_delay 0\n"
    "priority %d\nvirtual_ipaddress {\n10.88.{n}.1\n}\n}"
)


def group(name: str, priority: int = 100, words: str = "") -> str:
    return GROUP % (name, name, words, name, priority)


@case(f"{QUICK}\npriority 100", links=2, outside=group("a_group_follows_a_fault"))
def a_group_follows_a_fault(peer: Peer) -> None:
    master(peer)
    peer.mark("down")
    peer.down(1)
    peer.until("FAULT")
    peer.mark("up")
    peer.up(1)
    peer.until("BACKUP", "MASTER")


@case(f"{QUICK}\npriority 100", links=2, outside=group("a_group_follows_a_better_master"))
def a_group_follows_a_better_master(peer: Peer) -> None:
    master(peer)
    peer.mark("higher")
    peer.advert(150, interval=INTERVAL, times=4, every=0.4)
    peer.until("BACKUP", "MASTER")


@case(
    f"{QUICK}\npriority 100\ngarp_lower_prio_repeat 1\ngarp_lower_prio_delay 0",
    links=2,
    outside=group("a_group_announces_together"),
)
def a_group_announces_together(peer: Peer) -> None:
    master(peer)
    peer.mark("lower")
    peer.advert(50, interval=INTERVAL)
    peer.rest(0.4)


# ------------------------------------------------------------------------------------------- two owners


@case(f"{QUICK}\npriority 255", vips=("10.77.9.7",))
def two_owners_the_other_one_yields(peer: Peer) -> None:
    master(peer)
    peer.mark("rival with a lower address")
    peer.advert(255, source="10.77.0.0", interval=INTERVAL)
    peer.rest(1.0)


@case(f"{QUICK}\npriority 255", vips=("10.77.9.8",))
def two_owners_the_other_one_goes_on(peer: Peer) -> None:
    master(peer)
    peer.mark("rival with a lower address")
    peer.advert(255, source="10.77.0.0", interval=INTERVAL, times=14, every=0.4)
    peer.mark("rival stopped")
    peer.until("MASTER", seconds=6)


@case(f"{QUICK}\npriority 255", vips=("10.77.9.9",))
def two_owners_we_yield(peer: Peer) -> None:
    master(peer)
    peer.mark("rival with a higher address")
    peer.advert(255, interval=INTERVAL, times=3, every=0.3)
    peer.mark("rival stopped")
    peer.until("BACKUP", "MASTER", seconds=6)


GLOBAL = "vrrp_notify_priority_changes true\nprocess_monitor_rcv_bufs 1000000"
