"""Words of global_defs about files and agents: reloads, dumps, SNMP, D-Bus, netlink buffers."""

from fastha.config.arguments import (
    UINT,
    Bool,
    Custom,
    Decimal,
    Flag,
    Integer,
    Text,
)
from fastha.config.schema.entry import Reload, Repeat, Status, Word
from fastha.config.schema.readers import (
    include_checks,
)

START = Reload.START
PENDING = Status.PENDING
BYTES = Integer(0, UINT, "BYTES", required="error", strict=False)


def _buffers(socket: str, what: str) -> tuple[Word, ...]:
    """The size of a netlink socket's receive buffer, and whether to force it."""
    return (
        Word(
            name=socket,
            arguments=BYTES,
            default="4 MiB",
            effect=f"Receive buffer of {what}, if that is more than the default.",
            reload=START,
            example=f"{socket} 1048576",
        ),
        Word(
            name=f"{socket}_force",
            arguments=Bool(),
            default="false",
            effect=f"Lets that buffer exceed net.core.rmem_max ({what}): wherever that is allowed it always may.",
            reload=START,
            status=Status.NO_EFFECT,
            example=f"{socket}_force true",
        ),
    )


def _snmp(name: str, effect: str, arguments: object = None, default: str = "off") -> Word:
    return Word(
        name=name,
        repeat=Repeat.FIRST if name == "snmp_socket" else Repeat.LAST,
        arguments=arguments if isinstance(arguments, (Text, Decimal)) else Flag(),
        default=default,
        effect=effect,
        reload=START,
        status=PENDING,
        pending="there is no SNMP agent yet; use `fastha status --json`",
        example=name if arguments is None else f"{name} {'5' if isinstance(arguments, Decimal) else 'NAME'}",
    )


FILES = (
    Word(
        name="reload_check_config",
        arguments=Text("LOGFILE", required="", omitted="/dev/null"),
        default="off",
        effect="Appends what is wrong with the new files to a file at each reload; refusing them is usual anyway.",
        example="reload_check_config",
    ),
    Word(
        name="reload_time_file",
        arguments=Text("PATH", further="error", filled=True),
        default="none",
        effect="File that names a time at which to reload.",
        example="reload_time_file /etc/keepalived/reload.time",
    ),
    Word(
        name="reload_repeat",
        default="off",
        effect="Reloads at that time every day.",
        example="reload_repeat",
    ),
    Word(
        name="reload_file",
        arguments=Text("PATH", required="", omitted=True),
        default="off",
        effect="File that exists while the configuration is being read.",
        example="reload_file /run/keepalived.reload",
    ),
    Word(
        name="include_check",
        arguments=Custom(include_checks, "[[+|-]read|match|wildcard_match|brace_match...]", required="", least=0),
        default="none",
        effect="What makes a later include an error.",
        example="include_check match",
    ),
    Word(
        name="config_save_dir",
        arguments=Text("DIRECTORY", required="fatal"),
        default="none",
        effect="Directory that gets the merged configuration at the start and at each reload, and data dumps from "
        "before and after it; made when only its last part is missing.",
        example="config_save_dir /var/lib/keepalived",
    ),
    Word(
        name="tmp_config_directory",
        arguments=Text("DIRECTORY"),
        default="memory",
        effect="Where keepalived keeps its merged copy; fastha passes its plan in sealed memory and needs none.",
        reload=START,
        repeat=Repeat.FIRST,
        status=Status.NO_EFFECT,
        example="tmp_config_directory /tmp",
    ),
    *(
        Word(
            name=name,
            arguments=arguments,
            default=default,
            effect=effect,
            status=status,
            example=example,
        )
        for name, arguments, default, effect, example, status in (
            (
                "data_use_instance",
                Bool(),
                "false",
                "Dump files carry the names of namespace and instance.",
                "data_use_instance",
                Status.IN_EFFECT,
            ),
            (
                "json_version",
                Integer(1, 2, "VERSION", required="error", strict=False),
                "1",
                "Shape of the JSON dump.",
                "json_version 2",
                Status.IN_EFFECT,
            ),
            (
                "state_dump_file",
                Text("PATH", further="error", filled=True),
                "keepalived.data",
                "Where the state dump goes.",
                "state_dump_file /tmp/state",
                Status.IN_EFFECT,
            ),
            (
                "stats_dump_file",
                Text("PATH", further="error", filled=True),
                "keepalived.stats",
                "Read and forgotten, as in keepalived: statistics go to keepalived.stats.",
                "stats_dump_file /tmp/stats",
                Status.NO_EFFECT,
            ),
            (
                "json_dump_file",
                Text("PATH", further="error", filled=True),
                "keepalived.json",
                "Read and forgotten, as in keepalived: the JSON dump goes to keepalived.json.",
                "json_dump_file /tmp/json",
                Status.NO_EFFECT,
            ),
        )
    ),
    *(
        Word(
            name=name,
            arguments=Text("DIRECTORY", further="error"),
            default=default,
            effect="Where iproute2's names of tables and scopes are read from.",
            example=f"{name} {default}",
        )
        for name, default in (("iproute_usr_dir", "/usr/share/iproute2"), ("iproute_etc_dir", "/etc/iproute2"))
    ),
)


AGENTS = (
    _snmp("snmp_socket", "Where the SNMP master agent listens.", Text("ADDRESS", further="error"), "the library's"),
    _snmp("enable_traps", "SNMP traps are sent."),
    _snmp("enable_snmp_vrrp", "The VRRP part of the keepalived MIB is served."),
    _snmp("enable_snmp_keepalived", "Older spelling of enable_snmp_vrrp."),
    _snmp("enable_snmp_rfc", "Both VRRP MIBs of the RFCs are served."),
    _snmp("enable_snmp_rfcv2", "The MIB of RFC 2787 is served."),
    _snmp("enable_snmp_rfcv3", "The MIB of RFC 6527 is served."),
    _snmp("enable_snmp_checker", "The LVS part of the keepalived MIB is served."),
    _snmp(
        "snmp_vs_stats_update_interval",
        "How old statistics of virtual servers may be.",
        Decimal("0.001", "30"),
        "5",
    ),
    _snmp(
        "snmp_rs_stats_update_interval",
        "How old statistics of real servers may be.",
        Decimal("0.001", "30"),
        "as for virtual servers",
    ),
    *(
        Word(
            name=name,
            arguments=arguments,
            default=default,
            effect=effect,
            reload=START,
            status=PENDING,
            pending="there is no D-Bus service yet",
            example=example,
        )
        for name, arguments, default, effect, example in (
            ("enable_dbus", Flag(), "off", "Offers the state on D-Bus.", "enable_dbus"),
            (
                "dbus_service_name",
                Text("NAME"),
                "org.keepalived.Vrrp1",
                "Bus name.",
                "dbus_service_name org.keepalived.Vrrp1",
            ),
            (
                "dbus_no_interface_name",
                Text("NAME"),
                "none",
                "Path element of instances without interface.",
                "dbus_no_interface_name none",
            ),
        )
    ),
    *_buffers("vrrp_netlink_cmd_rcv_bufs", "the vrrp process's netlink command socket"),
    *_buffers("vrrp_netlink_monitor_rcv_bufs", "the vrrp process's netlink monitor socket"),
    *_buffers("process_monitor_rcv_bufs", "the process connector socket"),
    *_buffers("lvs_netlink_cmd_rcv_bufs", "the checker's netlink command socket"),
    *_buffers("lvs_netlink_monitor_rcv_bufs", "the checker's netlink monitor socket"),
)
