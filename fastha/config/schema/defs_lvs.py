"""Words of global_defs about virtual servers and their checks."""

from fastha.config.arguments import (
    INT,
    UINT,
    Bool,
    Choice,
    Custom,
    Integer,
    Words,
    one_of,
)
from fastha.config.schema.entry import Reload, Repeat, Status, Word
from fastha.config.schema.readers import (
    flush_on_stop,
    lvs_timeouts,
    sync_daemon,
)

START = Reload.START


LVS = (
    Word(
        name="lvs_plane",
        arguments=Choice(one_of(["auto", "ipvs", "nftables", "none"]), required="error", what="plane"),
        default="auto",
        effect="Where virtual servers are programmed; auto takes IPVS and, where the kernel has none, nftables if "
        "every service can be expressed there.",
        reload=START,
        status=Status.OURS,
        example="lvs_plane nftables",
    ),
    Word(
        name="lvs_drift",
        arguments=Choice(one_of(["repair", "report", "ignore"]), required="error", what="way"),
        default="repair",
        effect="When others have changed our services in the kernel: put it right within a second (or 200 times "
        "what reading the table takes), or tell it once and show it in the status, or do not look.",
        status=Status.OURS,
        example="lvs_drift report",
    ),
    Word(
        name="checker_close",
        arguments=Choice(one_of(["fin", "rst"]), required="error", what="way to close"),
        default="fin",
        effect="How a check ends its connection: fin as keepalived does, rst is faster and visible on the server.",
        status=Status.OURS,
        example="checker_close rst",
    ),
    Word(
        name="share_checks",
        arguments=Bool(),
        default="false",
        effect="Checks of several virtual servers that are equal in every word run once, and all hear of it; where a "
        "virtual server has ha_suspend its checks run on their own.",
        reload=START,
        status=Status.OURS,
        example="share_checks",
    ),
    Word(
        name="lvs_timeouts",
        arguments=Custom(lvs_timeouts, "[tcp SECONDS] [tcpfin SECONDS] [udp SECONDS] (0..2678400)", least=2),
        default="the kernel's",
        effect="How long IPVS remembers idle connections.",
        example="lvs_timeouts tcp 900 tcpfin 60 udp 300",
    ),
    Word(
        name="lvs_flush",
        default="off",
        effect="Empties the whole IPVS table at start, foreign services too.",
        reload=START,
        example="lvs_flush",
    ),
    *(
        Word(
            name=name,
            arguments=Custom(flush_on_stop, "[VS]", required="", least=0, most=1),
            default="off",
            effect=effect,
            store="lvs_flush_on_stop",
            example=name,
        )
        for name, effect in (
            (
                "lvs_flush_on_stop",
                "At stop empties the table, or with VS removes services without their servers first.",
            ),
            ("lvs_flush_onstop", "Older spelling of lvs_flush_on_stop."),
        )
    ),
    Word(
        name="lvs_sync_daemon",
        arguments=Custom(
            sync_daemon,
            "INTERFACE [[inst] INSTANCE] [id 0..255] [maxlen N] [port N] [ttl N] [group ADDRESS]",
        ),
        default="off",
        effect="Copies IPVS connections to the other director, following an instance's state.",
        repeat=Repeat.FIRST,
        example="lvs_sync_daemon eth1 VI_1",
    ),
    Word(
        name="nftables_ipvs",
        repeat=Repeat.FIRST,
        arguments=Words("[TABLE]", 0, required="", most=1),
        default="off; TABLE keepalived_ipvs",
        effect="Groups of addresses are one IPVS service by mark for each protocol and family; a table of nftables "
        "sets the marks. Groups with marks of their own, or for all ports, stay as they are.",
        example="nftables_ipvs",
    ),
    Word(
        name="nftables_ipvs_priority",
        arguments=Integer(-(2**31), INT, "PRIORITY"),
        default="-1",
        effect="Priority of the chain that sets those marks.",
        example="nftables_ipvs_priority -1",
    ),
    Word(
        name="nftables_ipvs_start_fwmark",
        arguments=Integer(1, UINT, "MARK"),
        default="1000",
        effect="First of those marks. One that was given is kept over reloads.",
        example="nftables_ipvs_start_fwmark 1000",
    ),
    Word(
        name="checker_log_all_failures",
        arguments=Bool(),
        default="false",
        effect="Logs every failed probe, not only the deciding one.",
        example="checker_log_all_failures",
    ),
    Word(
        name="rs_init_notifies",
        arguments=Bool(),
        default="false",
        effect="Real servers that come up at start are notified too.",
        example="rs_init_notifies",
    ),
)
