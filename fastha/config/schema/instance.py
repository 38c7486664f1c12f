"""The words of vrrp_instance."""

from fastha.config.arguments import (
    INT,
    UINT,
    AddressArgument,
    Bool,
    Choice,
    Custom,
    Decimal,
    Integer,
    InterfaceName,
    one_of,
)
from fastha.config.schema.entry import Block, Reload, Repeat, Status, Word
from fastha.config.schema.readers import garp_extra
from fastha.config.schema.trackers import notify_words, track_words
from fastha.config.schema.vmac import use_ipvlan, use_vmac
from fastha.config.script import Script

IDENTITY = Reload.IDENTITY
SECONDS = Integer(0, 4294, "SECONDS", strict=False)
COUNT = Integer(0, UINT, "COUNT", strict=False, raise_zero_to=1)


def _garp(name: str, arguments: Integer, effect: str, example: str) -> Word:
    return Word(name=name, arguments=arguments, default=f"vrrp_{name}", effect=effect, example=f"{name} {example}")


ELECTION = (
    Word(
        name="state",
        arguments=Choice(one_of(["MASTER", "BACKUP"]), otherwise="BACKUP", what="state"),
        settled=frozenset({"BACKUP"}),
        default="BACKUP; MASTER with priority 255",
        effect="What this router would like to be at first. The election decides: a MASTER below priority 255 starts "
        "as backup too.",
        example="state BACKUP",
    ),
    Word(
        name="interface",
        arguments=InterfaceName(),
        default="none; needed",
        effect="Interface on which adverts are sent and heard, and addresses live.",
        reload=IDENTITY,
        example="interface eth0",
    ),
    Word(
        name="virtual_router_id",
        arguments=Integer(1, 255, "VRID"),
        default="none; needed",
        effect="Number of the virtual router; the same on all its routers, and no other on the network.",
        reload=IDENTITY,
        example="virtual_router_id 51",
    ),
    Word(
        name="version",
        arguments=Integer(2, 3, "VERSION", strict=False),
        settled=frozenset({2, 3}),
        default="vrrp_version; 3 for IPv6",
        effect="Protocol version: 2 (RFC 3768) or 3 (RFC 5798).",
        example="version 3",
    ),
    Word(
        name="priority",
        arguments=Integer(1, 255, "PRIORITY", otherwise=100),
        default="100; 255 with state MASTER",
        effect="The higher one is elected. 255 is for the router that owns the addresses.",
        example="priority 150",
    ),
    Word(
        name="advert_int",
        arguments=Decimal("0.01", "255"),
        default="1",
        effect="Pause between adverts. Version 2 takes whole seconds, version 3 hundredths up to 40.95.",
        example="advert_int 1",
    ),
    Word(
        name="down_timer_adverts",
        arguments=Integer(1, 100, "COUNT", strict=False),
        default="vrrp_down_timer_adverts",
        effect="Missed adverts after which the master is taken for dead.",
        example="down_timer_adverts 3",
    ),
    Word(
        name="preempt",
        default="on",
        effect="Takes nopreempt back.",
        example="preempt",
    ),
    Word(
        name="nopreempt",
        default="off",
        effect="A backup leaves a living master alone, even one of lower priority.",
        example="nopreempt",
    ),
    Word(
        name="preempt_delay",
        arguments=Decimal("0", "1000", otherwise=0),
        default="0",
        effect="How long a backup leaves a master of lower priority alone.",
        example="preempt_delay 60",
    ),
    Word(
        name="strict_mode",
        arguments=Bool(),
        default="vrrp_strict",
        effect="Holds this instance to the letter of the RFC.",
        example="strict_mode",
    ),
    Word(
        name="accept",
        default="on",
        effect="A master answers on the virtual addresses even if it does not own them.",
        example="accept",
    ),
    Word(
        name="no_accept",
        default="off",
        effect="A master that does not own the addresses drops what is sent to them.",
        example="no_accept",
    ),
    Word(
        name="owner_ignore_adverts",
        arguments=Bool(),
        default="vrrp_owner_ignore_adverts; true in strict mode",
        effect="With priority 255, adverts of others are not listened to.",
        example="owner_ignore_adverts",
    ),
    Word(
        name="lower_prio_no_advert",
        arguments=Bool(),
        default="vrrp_lower_prio_no_advert",
        effect="As master, no advert at once in answer to one of lower priority.",
        example="lower_prio_no_advert",
    ),
    Word(
        name="higher_prio_send_advert",
        arguments=Bool(),
        default="vrrp_higher_prio_send_advert",
        effect="As master, one more advert before yielding.",
        example="higher_prio_send_advert",
    ),
    Word(
        name="skip_check_adv_addr",
        arguments=Bool(),
        default="vrrp_skip_check_adv_addr",
        effect="The address list of an advert is compared only when its sender is a new one.",
        example="skip_check_adv_addr",
    ),
    Word(
        name="v3_checksum_as_v2",
        arguments=Bool(),
        default="as in global_defs",
        effect="Leaves the pseudo header out of version 3 checksums over IPv4.",
        example="v3_checksum_as_v2",
    ),
    *(
        Word(
            name=name,
            arguments=Integer(1, 254, "PRIORITY", required="", omitted=254, strict=False),
            default="off",
            effect=effect,
            store="timer_expired_backup",
            deprecated=deprecated,
            example=name,
        )
        for name, effect, deprecated in (
            (
                "timer_expired_backup",
                "With nopreempt: steps down when a late timer shows that another router must have taken over.",
                "",
            ),
            ("thread_timer_expired", "Older spelling.", "timer_expired_backup"),
        )
    ),
    Word(
        name="debug",
        arguments=Integer(0, 4, "LEVEL", strict=False),
        default="0",
        effect="Kept and shown by keepalived, nothing more.",
        status=Status.NO_EFFECT,
        example="debug 0",
    ),
)

WIRE = (
    Word(
        name="unicast_peer",
        opens="unicast_peer",
        default="none: multicast",
        effect="Adverts go to these addresses instead of a group.",
        reload=IDENTITY,
        example="unicast_peer { 192.0.2.2 }",
    ),
    Word(
        name="unicast_src_ip",
        arguments=AddressArgument(),
        default="the interface's first address",
        effect="Source of unicast adverts.",
        reload=IDENTITY,
        store="source",
        example="unicast_src_ip 192.0.2.1",
    ),
    Word(
        name="mcast_src_ip",
        arguments=AddressArgument(),
        default="the interface's first address",
        effect="Source of adverts.",
        reload=IDENTITY,
        store="source",
        example="mcast_src_ip 192.0.2.1",
    ),
    Word(
        name="mcast_dst_ip",
        arguments=AddressArgument(multicast=True),
        default="vrrp_mcast_group4 or 6",
        effect="Group that this instance's adverts go to.",
        reload=IDENTITY,
        example="mcast_dst_ip 224.0.0.19",
    ),
    Word(
        name="track_src_ip",
        default="off",
        effect="FAULT while the configured source address is missing.",
        example="track_src_ip",
    ),
    Word(
        name="unicast_ttl",
        arguments=Integer(0, 255, "TTL"),
        default="255; over IPv6 the kernel's",
        effect="TTL or hop limit of unicast adverts.",
        example="unicast_ttl 64",
    ),
    Word(
        name="unicast_fault_no_peer",
        default="off",
        effect="FAULT when unicast is wanted and no peer is usable.",
        example="unicast_fault_no_peer",
    ),
    Word(
        name="check_unicast_src",
        default="vrrp_check_unicast_src",
        effect="Unicast adverts count only when they come from a peer.",
        example="check_unicast_src",
    ),
    Word(
        name="old_unicast_checksum",
        arguments=Choice({"never": "never"}, required="", omitted=True, what="option"),
        default="detected",
        effect="Version 3 unicast checksums as old releases made them.",
        example="old_unicast_checksum never",
    ),
    Word(
        name="kernel_rx_buf_size",
        arguments=Integer(0, UINT, "BYTES", required="error", strict=False, alone=True),
        default="vrrp_rx_bufs_policy",
        effect="What this instance adds to the receive buffer of its socket.",
        reload=Reload.START,
        example="kernel_rx_buf_size 65536",
    ),
    Word(
        name="vrf",
        arguments=InterfaceName(),
        default="none",
        effect="VRF to bind to when unicast is used without an interface.",
        reload=IDENTITY,
        example="vrf red",
    ),
    Word(
        name="authentication",
        opens="authentication",
        default="none",
        effect="Authentication of version 2.",
        example="authentication { auth_type PASS\nauth_pass secret }",
    ),
    Word(
        name="auth_hmac",
        opens="auth_hmac",
        default="none",
        effect="Signed adverts, for either version and family.",
        example='auth_hmac { key 1 "0123456789abcdef0123456789abcdef"\nactive_key 1 }',
    ),
    Word(
        name="use_vmac",
        repeat=Repeat.FIRST,
        arguments=Custom(use_vmac, "[[name] INTERFACE] [MAC] [netlink_notify_msg] [group GROUP]", "", 0),
        default="off",
        effect="Runs the instance on an interface of its own with the virtual router's MAC address.",
        reload=IDENTITY,
        example="use_vmac vrrp.51",
    ),
    Word(
        name="use_vmac_addr",
        default="off",
        effect="The same for addresses on other interfaces.",
        reload=IDENTITY,
        example="use_vmac_addr",
    ),
    Word(
        name="vmac_xmit_base",
        default="off",
        effect="Adverts leave by the interface underneath the virtual MAC one.",
        reload=IDENTITY,
        example="vmac_xmit_base",
    ),
    Word(
        name="use_ipvlan",
        repeat=Repeat.FIRST,
        arguments=Custom(use_ipvlan, "[[name] INTERFACE] [ADDRESS[/LEN]] [bridge|private|vepa] [group GROUP]", "", 0),
        default="off",
        effect="Runs the instance on an ipvlan interface of its own.",
        reload=IDENTITY,
        example="use_ipvlan",
    ),
    Word(
        name="promote_secondaries",
        default="off",
        effect="Sets promote_secondaries on the interface while running: removing one address keeps the others.",
        example="promote_secondaries",
    ),
    Word(
        name="linkbeat_use_polling",
        default="off",
        effect="The interface is polled instead of watched.",
        deprecated="linkbeat_interfaces { } at the root",
        example="linkbeat_use_polling",
    ),
)

ADDRESSES = (
    Word(
        name="native_ipv6",
        default="off",
        effect="Makes it an IPv6 instance before the first address says so.",
        deprecated="nothing: the first address says it",
        tolerated=True,
        example="native_ipv6",
    ),
    Word(
        name="virtual_ipaddress",
        opens="virtual_ipaddress",
        default="none",
        effect="Addresses that move with the master and stand in the adverts. The first decides the family.",
        example="virtual_ipaddress { 192.0.2.10/24 dev eth0 label eth0:vip }",
    ),
    Word(
        name="virtual_ipaddress_excluded",
        opens="virtual_ipaddress_excluded",
        default="none",
        effect="Addresses that move with the master and do not stand in the adverts, of either family.",
        example="virtual_ipaddress_excluded { 2001:db8::10/64 }",
    ),
    Word(
        name="no_virtual_ipaddress",
        default="off",
        effect="It is meant that the instance has no addresses.",
        example="no_virtual_ipaddress",
    ),
    Word(
        name="virtual_routes",
        opens="virtual_routes",
        default="none",
        effect="Routes that only the master has.",
        example="virtual_routes { 198.51.100.0/24 via 192.0.2.1 }",
    ),
    Word(
        name="virtual_rules",
        opens="virtual_rules",
        default="none",
        effect="Policy rules that only the master has.",
        example="virtual_rules { from 192.0.2.10 table 10 priority 100 }",
    ),
    Word(
        name="dont_track_primary",
        default="off",
        effect="The link of the instance's own interface does not matter.",
        example="dont_track_primary",
    ),
    *track_words("the instance"),
)

NOTIFIES = (
    *notify_words("the instance"),
    Word(
        name="notify_deleted",
        arguments=Script(required=""),
        default="off",
        effect="Removal by a reload is told as DELETED instead of FAULT, and runs the script if there is one.",
        repeat=Repeat.FIRST,
        example="notify_deleted /etc/keepalived/gone.sh",
    ),
    Word(
        name="notify_master_rx_lower_pri",
        arguments=Script(),
        default="none",
        effect="Run when a master hears an advert of lower priority.",
        repeat=Repeat.FIRST,
        example="notify_master_rx_lower_pri /etc/keepalived/rival.sh",
    ),
    Word(
        name="lvs_sync_daemon_interface",
        arguments=InterfaceName(),
        default="none",
        effect="Older form of lvs_sync_daemon in global_defs.",
        deprecated="lvs_sync_daemon in global_defs",
        example="lvs_sync_daemon_interface eth1",
    ),
    _garp("garp_master_delay", SECONDS, "Time to the second round of gratuitous ARP after becoming master.", "5"),
    _garp("garp_master_repeat", COUNT, "Passes over all addresses in each round.", "5"),
    _garp(
        "garp_master_refresh",
        Integer(0, UINT, "SECONDS", strict=False, otherwise=0),
        "Gratuitous ARP at this interval while master; 0: never.",
        "60",
    ),
    _garp("garp_master_refresh_repeat", COUNT, "Passes in each refresh.", "1"),
    _garp("garp_lower_prio_delay", SECONDS, "Time to the second round after an advert of lower priority.", "5"),
    _garp(
        "garp_lower_prio_repeat",
        Integer(0, INT, "COUNT", strict=False),
        "Passes after an advert of lower priority; 0: none.",
        "5",
    ),
    *(
        Word(
            name=name,
            arguments=Custom(garp_extra(0), "[all] SECONDS (0..86400)"),
            default="vrrp_garp_extra_if",
            effect=effect,
            store="garp_extra_if",
            deprecated=deprecated,
            example=f"{name} 60",
        )
        for name, effect, deprecated in (
            ("garp_extra_if", "Regular gratuitous ARP on the other interfaces that carry its addresses.", ""),
            ("vmac_garp_intvl", "Older spelling.", "garp_extra_if"),
        )
    ),
)

VRRP_INSTANCE = Block(path="vrrp_instance", words=ELECTION + WIRE + ADDRESSES + NOTIFIES)
