"""The blocks of the VRRP side besides the instance's own words, and their words at the root."""

from fastha.config.arguments import (
    Choice,
    Custom,
    Decimal,
    Flag,
    Integer,
    InterfaceName,
    Text,
    one_of,
)
from fastha.config.schema.entry import Block, Reload, Repeat, Status, Word
from fastha.config.schema.instance import VRRP_INSTANCE
from fastha.config.schema.readers import hmac_key
from fastha.config.schema.trackers import notify_words, track_words

PENDING = Status.PENDING
IDENTITY = Reload.IDENTITY


AUTHENTICATION = Block(
    path="authentication",
    words=(
        Word(
            name="auth_type",
            arguments=Choice({"PASS": "PASS", "AH": "AH"}, what="authentication type"),
            default="none",
            effect="PASS: a password in clear; AH: IPsec authentication header.",
            example="auth_type PASS",
        ),
        Word(
            name="auth_pass",
            arguments=Text("PASSWORD", required="fatal", longest=8),
            default="none",
            effect="The password; eight characters count.",
            example="auth_pass 4fj2k8s1",
        ),
    ),
)

AUTH_HMAC = Block(
    path="auth_hmac",
    words=tuple(
        Word(
            name=name,
            arguments=arguments,
            default=default,
            effect=effect,
            repeat=Repeat.MANY if name == "key" else Repeat.LAST,
            example=example,
        )
        for name, arguments, default, effect, example in (
            (
                "key",
                Custom(hmac_key, "ID (1..255) TEXT|hex:DIGITS|file:PATH (32..64 bytes)", least=2, most=2),
                "none",
                "A shared key. All that are known are accepted.",
                'key 1 "0123456789abcdef0123456789abcdef"',
            ),
            ("active_key", Integer(1, 255, "ID"), "none; needed", "The key that signs.", "active_key 1"),
            (
                "time_window",
                Integer(1, 300, "SECONDS"),
                "3 advert intervals, at least 5 s",
                "How far clocks may be apart.",
                "time_window 10",
            ),
            (
                "anti_replay",
                Choice(one_of(["time", "monotonic"]), what="mode"),
                "time",
                "Whether freshness is judged by the clock too.",
                "anti_replay time",
            ),
            (
                "mode",
                Choice(one_of(["enforce", "permissive", "receive-only"]), what="mode"),
                "enforce",
                "Whether unsigned adverts are accepted, and ours signed.",
                "mode permissive",
            ),
        )
    ),
)

VRRP_SYNC_GROUP = Block(
    path="vrrp_sync_group",
    words=(
        Word(
            name="group",
            opens="group",
            repeat=Repeat.FIRST,
            default="none; needed",
            effect="The instances that change state together.",
            example="group { VI_1 VI_2 }",
        ),
        *track_words("every member"),
        *notify_words("the group"),
        Word(
            name="sync_group_tracking_weight",
            default="off",
            effect="Members keep their weighted trackers.",
            example="sync_group_tracking_weight",
        ),
        Word(
            name="global_tracking",
            default="off",
            effect="Older spelling.",
            store="sync_group_tracking_weight",
            deprecated="sync_group_tracking_weight",
            example="global_tracking",
        ),
    ),
)

GARP_GROUP = Block(
    path="garp_group",
    words=tuple(
        Word(
            name=name,
            arguments=arguments,
            opens=opens,
            default="none",
            effect=effect,
            example=example,
        )
        for name, arguments, opens, effect, example in (
            ("garp_interval", Decimal("0"), "", "Pause between gratuitous ARPs of the group.", "garp_interval 0.01"),
            ("gna_interval", Decimal("0"), "", "Pause between neighbour advertisements.", "gna_interval 0.01"),
            ("interface", InterfaceName(), "", "Member of the group.", "interface eth0"),
            ("interfaces", Flag(), "interfaces", "Members of the group.", "interfaces { eth0 eth1 }"),
        )
    ),
)

BLOCKS = (
    VRRP_INSTANCE,
    AUTHENTICATION,
    AUTH_HMAC,
    VRRP_SYNC_GROUP,
    GARP_GROUP,
    Block(path="unicast_peer", line="peer"),
    Block(path="virtual_ipaddress", line="address"),
    Block(path="virtual_ipaddress_excluded", line="address"),
    Block(path="static_ipaddress", line="static address"),
    Block(path="virtual_routes", line="route"),
    Block(path="static_routes", line="route"),
    Block(path="virtual_rules", line="rule"),
    Block(path="static_rules", line="rule"),
    Block(path="track_interface", line="track"),
    Block(path="track_script", line="track"),
    Block(path="track_file.references", line="track"),
    Block(path="track_process", line="track"),
    Block(path="track_bfd", line="track"),
    Block(path="group", line="name"),
    Block(path="interfaces", line="name"),
    Block(path="linkbeat_interfaces", line="linkbeat"),
    Block(path="interface_up_down_delays", line="delays"),
    Block(
        path="track_group",
        words=(
            Word(
                name="group",
                opens="group",
                repeat=Repeat.FIRST,
                default="none; needed",
                effect="Instances that follow the interfaces of the static items of this group.",
                example="group { VI_1 }",
            ),
        ),
    ),
)

NAMED = Text("NAME", required="error", further="error")

ROOT_WORDS = (
    Word(
        name="vrrp_instance",
        arguments=NAMED,
        opens="vrrp_instance",
        repeat=Repeat.MANY,
        unique=True,
        effect="A virtual router: what this machine does for one VRID on one interface.",
        reload=IDENTITY,
        example="vrrp_instance VI_1 { interface eth0\nvirtual_router_id 51\nvirtual_ipaddress { 192.0.2.10 } }",
    ),
    Word(
        name="vrrp_sync_group",
        arguments=NAMED,
        opens="vrrp_sync_group",
        repeat=Repeat.MANY,
        unique=True,
        effect="Instances that change state together.",
        example="vrrp_sync_group G { group { VI_1 VI_2 } }",
    ),
    Word(
        name="static_ipaddress",
        opens="static_ipaddress",
        repeat=Repeat.MANY,
        effect="Addresses that are there as long as the daemon runs.",
        example="static_ipaddress { 192.0.2.1/24 dev eth0 }",
    ),
    Word(
        name="static_routes",
        opens="static_routes",
        repeat=Repeat.MANY,
        effect="Routes that are there as long as the daemon runs.",
        example="static_routes { 198.51.100.0/24 via 192.0.2.1 }",
    ),
    Word(
        name="static_rules",
        opens="static_rules",
        repeat=Repeat.MANY,
        effect="Policy rules that are there as long as the daemon runs.",
        example="static_rules { from 192.0.2.1 table 10 priority 100 }",
    ),
    Word(
        name="track_group",
        arguments=NAMED,
        opens="track_group",
        repeat=Repeat.MANY,
        unique=True,
        effect="Instances that follow static addresses, routes and rules naming this group.",
        example="track_group TG { group { VI_1 } }",
    ),
    Word(
        name="garp_group",
        opens="garp_group",
        repeat=Repeat.MANY,
        effect="One limit of gratuitous ARP for several interfaces.",
        example="garp_group { garp_interval 0.01\ninterfaces { eth0 eth1 } }",
    ),
    Word(
        name="linkbeat_interfaces",
        opens="linkbeat_interfaces",
        repeat=Repeat.MANY,
        effect="Interfaces whose link is polled.",
        example="linkbeat_interfaces { eth0 MII }",
    ),
    Word(
        name="interface_up_down_delays",
        opens="interface_up_down_delays",
        repeat=Repeat.MANY,
        effect="How long a change of an interface's link must last before it counts.",
        example="interface_up_down_delays { eth0 1 5 }",
    ),
)
