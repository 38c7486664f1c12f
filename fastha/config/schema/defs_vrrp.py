"""Words of global_defs about VRRP."""

from fastha.config.arguments import (
    INT,
    UINT,
    AddressArgument,
    Bool,
    Choice,
    Custom,
    Decimal,
    Integer,
    Text,
    Words,
    one_of,
)
from fastha.config.schema.entry import Reload, Repeat, Status, Word
from fastha.config.schema.readers import (
    garp_extra,
    receive_policy,
)

START = Reload.START
SECONDS = Integer(0, 4294, "SECONDS", required="fatal", strict=False)
COUNT = Integer(0, UINT, "COUNT", required="fatal", strict=False, raise_zero_to=1)


VRRP = (
    Word(
        name="dynamic_interfaces",
        arguments=Choice(one_of(["allow_if_changes"]), required="", omitted=True, otherwise=True, what="option"),
        default="off",
        effect="Interfaces may be named that do not exist yet, and may go and come back; with allow_if_changes also as "
        "another type, or on another interface.",
        example="dynamic_interfaces",
    ),
    Word(
        name="default_interface",
        arguments=Text("INTERFACE"),
        default="eth0",
        effect="Interface of static addresses that name none.",
        example="default_interface eth1",
    ),
    Word(
        name="disable_local_igmp",
        default="off",
        effect="Turns off IGMP reports for link-local groups on the whole host while running.",
        reload=START,
        example="disable_local_igmp",
    ),
    Word(
        name="vrrp_mcast_group4",
        arguments=AddressArgument(family=4, multicast=True),
        default="224.0.0.18",
        effect="Where IPv4 adverts go and come from.",
        example="vrrp_mcast_group4 224.0.0.18",
    ),
    Word(
        name="vrrp_mcast_group6",
        arguments=AddressArgument(family=6, multicast=True),
        default="ff02::12",
        effect="Where IPv6 adverts go and come from.",
        example="vrrp_mcast_group6 ff02::12",
    ),
    Word(
        name="vrrp_version",
        arguments=Integer(2, 3, "VERSION", strict=False),
        default="2; 3 for IPv6",
        effect="Protocol version of instances that name none.",
        example="vrrp_version 3",
    ),
    Word(
        name="vrrp_garp_master_delay",
        arguments=SECONDS,
        default="5",
        effect="Time from the first to the second round of gratuitous ARP after becoming master; 0: no second round.",
        example="vrrp_garp_master_delay 10",
    ),
    Word(
        name="vrrp_garp_master_repeat",
        arguments=COUNT,
        default="5",
        effect="Passes over all addresses in each round.",
        example="vrrp_garp_master_repeat 3",
    ),
    Word(
        name="vrrp_garp_master_refresh",
        arguments=Integer(0, UINT, "SECONDS", strict=False, otherwise=0),
        default="0: never",
        effect="Repeats gratuitous ARP at this interval while master.",
        example="vrrp_garp_master_refresh 60",
    ),
    Word(
        name="vrrp_garp_master_refresh_repeat",
        arguments=COUNT,
        default="1",
        effect="Passes over all addresses in each refresh.",
        example="vrrp_garp_master_refresh_repeat 1",
    ),
    Word(
        name="vrrp_garp_lower_prio_delay",
        arguments=SECONDS,
        default="as vrrp_garp_master_delay",
        effect="The same delay after an advert of lower priority.",
        example="vrrp_garp_lower_prio_delay 10",
    ),
    Word(
        name="vrrp_garp_lower_prio_repeat",
        arguments=Integer(0, INT, "COUNT", strict=False),
        default="as vrrp_garp_master_repeat",
        effect="Passes after an advert of lower priority; 0: none.",
        example="vrrp_garp_lower_prio_repeat 1",
    ),
    Word(
        name="vrrp_down_timer_adverts",
        arguments=Integer(1, 100, "COUNT", strict=False),
        default="3",
        effect="Missed adverts after which a master is taken for dead.",
        example="vrrp_down_timer_adverts 3",
    ),
    Word(
        name="vrrp_garp_interval",
        arguments=Decimal("0.000001"),
        default="0: no pause",
        effect="Pause between gratuitous ARPs of one interface.",
        example="vrrp_garp_interval 0.001",
    ),
    Word(
        name="vrrp_gna_interval",
        arguments=Decimal("0.000001"),
        default="0: no pause",
        effect="Pause between unsolicited neighbour advertisements of one interface.",
        example="vrrp_gna_interval 0.001",
    ),
    Word(
        name="vrrp_min_garp",
        arguments=Bool(),
        default="false",
        effect="Turns the gratuitous ARP defaults down to one round of one pass.",
        example="vrrp_min_garp",
    ),
    Word(
        name="vrrp_garp_extra_if",
        arguments=Custom(garp_extra(1), "[all] SECONDS (1..86400)"),
        default="off",
        effect="Regular gratuitous ARP on interfaces that carry addresses besides the instance's own.",
        example="vrrp_garp_extra_if all 60",
    ),
    Word(
        name="vrrp_vmac_garp_intvl",
        arguments=Custom(garp_extra(1), "[all] SECONDS (1..86400)"),
        default="off",
        effect="Older spelling.",
        store="vrrp_garp_extra_if",
        deprecated="vrrp_garp_extra_if",
        example="vrrp_vmac_garp_intvl 60",
    ),
    Word(
        name="vrrp_lower_prio_no_advert",
        arguments=Bool(),
        default="false; true in strict mode",
        effect="A master does not answer an advert of lower priority at once.",
        example="vrrp_lower_prio_no_advert",
    ),
    Word(
        name="vrrp_higher_prio_send_advert",
        arguments=Bool(),
        default="false",
        effect="A master sends one more advert before it yields.",
        example="vrrp_higher_prio_send_advert",
    ),
    Word(
        name="vrrp_check_unicast_src",
        default="off",
        effect="Unicast adverts count only when they come from a configured peer.",
        example="vrrp_check_unicast_src",
    ),
    Word(
        name="vrrp_skip_check_adv_addr",
        arguments=Bool(),
        default="false",
        effect="A backup compares the address list only when the sender is a new one.",
        example="vrrp_skip_check_adv_addr",
    ),
    Word(
        name="vrrp_strict",
        arguments=Bool(),
        default="false",
        effect="Holds every instance to the letter of the RFC, unless it says otherwise.",
        example="vrrp_strict",
    ),
    Word(
        name="v3_checksum_as_v2",
        default="off",
        effect="Leaves the pseudo header out of version 3 checksums over IPv4.",
        example="v3_checksum_as_v2",
    ),
    Word(
        name="vrrp_owner_ignore_adverts",
        arguments=Bool(),
        default="false",
        effect="An address owner (priority 255) does not listen to adverts.",
        example="vrrp_owner_ignore_adverts",
    ),
    Word(
        name="vrrp_notify_priority_changes",
        arguments=Bool(),
        default="false",
        effect="The named pipes get a line when a priority changes.",
        example="vrrp_notify_priority_changes",
    ),
    Word(
        name="vrrp_startup_delay",
        arguments=Decimal("0.001"),
        default="0",
        effect="Time after start in which no instance becomes master.",
        reload=START,
        example="vrrp_startup_delay 10",
    ),
    Word(
        name="vrrp_delay_after_boot",
        arguments=Decimal("0.001"),
        default="0",
        effect="The same, counted from the boot of the machine; the longer one counts.",
        reload=START,
        example="vrrp_delay_after_boot 60",
    ),
    Word(
        name="vrrp_recording",
        arguments=Words("FILE [MIB]", 1, most=2),
        default="off",
        effect="Writes down all that the VRRP core hears and does, for `fastha replay`, from the start of its process "
        "until the file has so many MiB (16). What an earlier process wrote is kept as FILE.1. Passwords and keys are "
        "in it.",
        reload=START,
        status=Status.OURS,
        example="vrrp_recording /var/log/fastha-vrrp.jsonl 64",
    ),
    Word(
        name="log_unknown_vrids",
        default="off",
        effect="Logs adverts of virtual routers that are not ours.",
        example="log_unknown_vrids",
    ),
    Word(
        name="vmac_prefix",
        arguments=Text("PREFIX", required="fatal"),
        default="vrrp",
        effect="How names of virtual MAC interfaces begin.",
        repeat=Repeat.FIRST,
        example="vmac_prefix vrrp",
    ),
    Word(
        name="vmac_addr_prefix",
        arguments=Text("PREFIX", required="fatal"),
        default="as vmac_prefix",
        effect="The same for interfaces made for addresses on other interfaces.",
        repeat=Repeat.FIRST,
        example="vmac_addr_prefix vrrpa",
    ),
    *(
        Word(
            name=name,
            arguments=Words("[NAME...]", 0, required="", most=None),
            repeat=Repeat.FIRST,
            default="not used",
            effect=effect,
            status=Status.NO_EFFECT,
            example=name,
        )
        for name, effect in (
            (
                "vrrp_iptables",
                "Asks for the rules of no_accept and virtual MACs by iptables; they are made by nftables, in a table "
                "of their own.",
            ),
            (
                "vrrp_ipsets",
                "Names of the sets of those rules; nftables has its own, in its table.",
            ),
        )
    ),
    Word(
        name="nftables",
        arguments=Text("TABLE", required="", filled=True),
        repeat=Repeat.FIRST,
        default="keepalived",
        effect="nftables table for the rules of no_accept and virtual MACs.",
        example="nftables lvs",
    ),
    Word(
        name="nftables_priority",
        arguments=Integer(-(2**31), INT, "PRIORITY"),
        default="-1",
        effect="Priority of those nftables chains.",
        example="nftables_priority -1",
    ),
    Word(
        name="nftables_ifindex",
        default="off",
        effect="Those rules know link-local addresses by interface number, not name: here they always do.",
        status=Status.NO_EFFECT,
        example="nftables_ifindex",
    ),
    Word(
        name="nftables_counters",
        default="off",
        effect="Those rules count packets.",
        example="nftables_counters",
    ),
    Word(
        name="vrrp_rx_bufs_policy",
        arguments=Custom(receive_policy, "MTU|ADVERT|BYTES"),
        default="1 MiB for each socket",
        effect="What each instance adds to the receive buffer of its socket: BYTES, or packets of the size of the MTU "
        "or of its advert. A buffer is never smaller than the default.",
        reload=START,
        example="vrrp_rx_bufs_policy MTU",
    ),
    Word(
        name="vrrp_rx_bufs_multiplier",
        arguments=Integer(1, UINT, "FACTOR", required="error", strict=False, alone=True),
        default="3",
        effect="How many packets an instance adds with MTU and ADVERT.",
        reload=START,
        example="vrrp_rx_bufs_multiplier 3",
    ),
)
