"""virtual_server, real_server and virtual_server_group."""

from fastha.config.arguments import NO_LIMIT, UINT, Bool, Choice, Custom, Decimal, Integer, Text, one_of
from fastha.config.schema import services
from fastha.config.schema.checkers import steady
from fastha.config.schema.entry import Block, Reload, Repeat, Status, Word
from fastha.config.schema.servers import damping, granularity, method, server, virtual_address
from fastha.config.script import Script

PENDING = Status.PENDING
SCHEDULERS = (
    "rr", "wrr", "lc", "wlc", "lblc", "sh", "mh", "dh", "fo", "ovf", "lblcr", "sed", "nq", "twos",
)  # fmt: skip
METHOD = "NAT | DR | TUN [type ipip | type gue port N | type gre] [nocsum|csum|remcsum]"


def inherited(above: str) -> tuple[Word, ...]:
    """The timing of checkers, as virtual_server and real_server hand it down. `above` says where it comes from."""
    return (
        Word(
            name="retry",
            arguments=Integer(1, UINT, "COUNT"),
            default=above or "the checker's own: 1; MISC_CHECK 0, DNS_CHECK 3",
            effect="Further attempts before a check that has succeeded counts as failed.",
            example="retry 3",
        ),
        Word(
            name="delay_before_retry",
            arguments=Decimal("0", NO_LIMIT),
            default=above or "the checker's own: 1; HTTP_GET and SSL_GET 3",
            effect="Pause before each further attempt.",
            example="delay_before_retry 2",
        ),
        Word(
            name="warmup",
            arguments=Decimal("0", NO_LIMIT),
            default=above or "delay_loop",
            effect="First runs are spread over this time; 0: all at once.",
            example="warmup 5",
        ),
        Word(
            name="connect_timeout",
            arguments=Decimal("0.000001"),
            default=above or "5",
            effect="Longest wait for a connection, and again for the reply.",
            example="connect_timeout 3",
        ),
        Word(
            name="delay_loop",
            arguments=Decimal("0.000001", NO_LIMIT),
            default=above or "60",
            effect="Time from one check to the next.",
            example="delay_loop 6",
        ),
        *steady(above),
    )


def _flag(name: str, effect: str, scheduler: str = "") -> Word:
    after = ("lvs_sched", frozenset({"sh", "mh"}), f"needs 'lvs_sched {scheduler}' before it") if scheduler else None
    return Word(name=name, default="off", effect=effect, after=after, example=name)


VIRTUAL_SERVER = Block(
    path="virtual_server",
    words=(
        Word(
            name="ip_family",
            arguments=Choice({"inet": 4, "inet6": 6}, what="family"),
            default="of its address, else of its real servers",
            effect="Address family of a service by firewall mark.",
            reload=Reload.IDENTITY,
            example="ip_family inet6",
        ),
        *inherited(""),
        Word(
            name="inhibit_on_failure",
            default="off",
            effect="Failed real servers stay in the table at weight 0, so that their connections go on.",
            example="inhibit_on_failure",
        ),
        *(
            Word(
                name=name,
                arguments=Choice(one_of(SCHEDULERS), what="scheduler"),
                default="wlc",
                effect=effect,
                store="lvs_sched",
                example=f"{name} wrr",
            )
            for name, effect in (("lb_algo", "The same as lvs_sched."), ("lvs_sched", "How connections are spread."))
        ),
        Word(
            name="hashed",
            default="off",
            effect="For old files; never had an effect.",
            status=Status.NO_EFFECT,
            after=("lvs_sched", frozenset({"sh", "mh"}), "is only for the schedulers sh and mh"),
            example="hashed",
        ),
        _flag("ops", "Every datagram is scheduled on its own (UDP)."),
        _flag("flag-1", "First flag of the scheduler."),
        _flag("flag-2", "Second flag of the scheduler."),
        _flag("flag-3", "Third flag of the scheduler."),
        _flag("sh-port", "Source hashing looks at the port too.", "sh"),
        _flag("sh-fallback", "Source hashing takes the next server when the right one is out.", "sh"),
        _flag("mh-port", "Maglev hashing looks at the port too.", "mh"),
        _flag("mh-fallback", "Maglev hashing takes the next server when the right one is out.", "mh"),
        *(
            Word(
                name=name,
                arguments=Custom(method, METHOD, required="fatal"),
                default="NAT",
                effect=effect,
                store="lvs_method",
                example=f"{name} DR",
            )
            for name, effect in (
                ("lb_kind", "The same as lvs_method."),
                ("lvs_method", "How packets reach the servers."),
            )
        ),
        Word(
            name="persistence_engine",
            arguments=Text("NAME", longest=16, required="fatal"),
            default="none",
            effect="Kernel module that tells clients apart (sip).",
            example="persistence_engine sip",
        ),
        Word(
            name="persistence_timeout",
            arguments=Integer(1, 2_678_400, "SECONDS", required="", omitted=360),
            default="not persistent; 360 without a number",
            effect="A client keeps its real server for this time after its last connection.",
            example="persistence_timeout 600",
        ),
        Word(
            name="persistence_granularity",
            arguments=Custom(granularity, "IPv4 MASK | IPv6 PREFIX LENGTH", required="fatal", most=1),
            default="each address for itself",
            effect="Clients in one network count as one.",
            example="persistence_granularity 255.255.255.0",
        ),
        Word(
            name="protocol",
            arguments=Choice(one_of(["TCP", "UDP", "SCTP"]), ignore_case=True, what="protocol"),
            default="UDP, with a report; none for a mark",
            effect="Protocol of the service.",
            reload=Reload.IDENTITY,
            example="protocol TCP",
        ),
        Word(
            name="ha_suspend",
            default="off",
            effect="Checks run only while this machine has the service's address.",
            example="ha_suspend",
        ),
        Word(
            name="smtp_alert",
            arguments=Bool(),
            default="smtp_alert_checker, else smtp_alert, else no",
            effect="Mail when quorum is gained or lost.",
            example="smtp_alert",
        ),
        Word(
            name="virtualhost",
            arguments=Text("NAME"),
            repeat=Repeat.REPLACED,
            default="none",
            effect="Host header of HTTP checks that name none.",
            example="virtualhost www.example.net",
        ),
        Word(
            name="snmp_name",
            arguments=Text("NAME", further="error"),
            repeat=Repeat.REPLACED,
            default="none",
            effect="Name in the status beside its own, as SNMP managers know it.",
            example="snmp_name web",
        ),
        Word(
            name="alpha",
            default="off",
            effect="Real servers are out until their checks have succeeded once.",
            example="alpha",
        ),
        Word(
            name="omega",
            default="off",
            effect="At stop, real servers and quorum are announced as down.",
            example="omega",
        ),
        Word(
            name="quorum_up",
            arguments=Script(),
            default="none",
            effect="Run when quorum is gained.",
            repeat=Repeat.FIRST,
            example="quorum_up /etc/keepalived/up.sh",
        ),
        Word(
            name="quorum_down",
            arguments=Script(),
            default="none",
            effect="Run when quorum is lost.",
            repeat=Repeat.FIRST,
            example="quorum_down /etc/keepalived/down.sh",
        ),
        Word(
            name="quorum",
            arguments=Integer(1, UINT, "WEIGHT", otherwise=1, strict=False),
            default="1",
            effect="Weight of living real servers that is enough for service.",
            example="quorum 2",
        ),
        Word(
            name="hysteresis",
            arguments=Integer(0, UINT, "WEIGHT", strict=False),
            default="0",
            effect="Quorum is gained at quorum plus this and lost below quorum minus this.",
            example="hysteresis 1",
        ),
        Word(
            name="weight",
            arguments=Integer(1, 2**31 - 1, "WEIGHT", strict=False),
            default="1",
            effect="Weight of real servers that give none.",
            example="weight 10",
        ),
        Word(
            name="sorry_server",
            arguments=Custom(server, "ADDRESS [PORT]", required="fatal", most=2),
            default="none",
            effect="Takes over while quorum is lost.",
            example="sorry_server 192.0.2.99 80",
        ),
        Word(
            name="sorry_server_inhibit",
            default="off",
            effect="The sorry server stays in the table at weight 0 while it is not needed.",
            after=("sorry_server", frozenset(), "needs 'sorry_server' before it"),
            example="sorry_server_inhibit",
        ),
        Word(
            name="sorry_server_lvs_method",
            arguments=Custom(method, METHOD, required="fatal"),
            default="lvs_method",
            effect="How packets reach the sorry server.",
            after=("sorry_server", frozenset(), "needs 'sorry_server' before it"),
            example="sorry_server_lvs_method NAT",
        ),
        Word(
            name="drain_time",
            arguments=Decimal("0", NO_LIMIT),
            default="0: it goes at once",
            effect="A real server that a reload removes stays at weight 0 for this time, so that its connections end; "
            "so do all of them when the virtual server is removed.",
            status=Status.OURS,
            example="drain_time 60",
        ),
        Word(
            name="slow_start",
            arguments=Decimal("0", NO_LIMIT),
            default="0: with its whole weight at once",
            effect="A real server that comes up by its checks reaches its weight over this time, step by step; takes "
            "weights above 1.",
            status=Status.OURS,
            example="slow_start 30",
        ),
        Word(
            name="flap_damping",
            arguments=Custom(damping, "COUNT SECONDS", least=2, required="error", most=2),
            default="never",
            effect="A real server that fell so often within this time stays out, when it comes up again, until it has "
            "been up for that time.",
            status=Status.OURS,
            example="flap_damping 3 60",
        ),
        Word(
            name="panic_threshold",
            arguments=Integer(1, 100, "PERCENT"),
            default="never",
            effect="With a smaller share of real servers alive all of them serve: then the checks are more likely "
            "wrong than the servers down. While a sorry server serves it does not act.",
            status=Status.OURS,
            example="panic_threshold 50",
        ),
        Word(
            name="real_server",
            arguments=Custom(server, "ADDRESS [PORT]", required="fatal", most=2),
            opens="real_server",
            repeat=Repeat.MANY,
            effect="A server of the pool.",
            default="port: the service's",
            reload=Reload.IDENTITY,
            example="real_server 192.0.2.21 80 { weight 1 }",
        ),
    ),
)

ABOVE = "the virtual server's"

REAL_SERVER = Block(
    path="real_server",
    words=(
        Word(
            name="weight",
            arguments=Integer(0, 2**31 - 1, "WEIGHT", strict=False),
            default=ABOVE,
            effect="Share of the connections; at 0 it gets no new ones.",
            example="weight 3",
        ),
        Word(
            name="lvs_method",
            arguments=Custom(method, METHOD, required="fatal"),
            default=ABOVE,
            effect="How packets reach this server.",
            example="lvs_method TUN",
        ),
        Word(
            name="uthreshold",
            arguments=Integer(0, UINT, "CONNECTIONS", strict=False),
            default="0: no limit",
            effect="Above this it gets no new connections.",
            example="uthreshold 1000",
        ),
        Word(
            name="lthreshold",
            arguments=Integer(0, UINT, "CONNECTIONS", strict=False),
            default="0",
            effect="Below this it gets connections again.",
            example="lthreshold 800",
        ),
        Word(
            name="inhibit_on_failure",
            arguments=Bool(),
            default=ABOVE,
            effect="When it fails it stays in the table at weight 0.",
            example="inhibit_on_failure",
        ),
        Word(
            name="backup",
            arguments=Bool(),
            default="no",
            effect="It serves only while the real servers that are no backups have no quorum; a sorry server comes "
            "after it.",
            status=Status.OURS,
            example="backup",
        ),
        Word(
            name="notify_up",
            arguments=Script(),
            default="none",
            effect="Run when it comes up.",
            repeat=Repeat.FIRST,
            example="notify_up /etc/keepalived/rs-up.sh",
        ),
        Word(
            name="notify_down",
            arguments=Script(),
            default="none",
            effect="Run when it goes down.",
            repeat=Repeat.FIRST,
            example="notify_down /etc/keepalived/rs-down.sh",
        ),
        Word(
            name="alpha",
            arguments=Bool(),
            default=ABOVE,
            effect="It is out until its checks have succeeded once.",
            example="alpha",
        ),
        *inherited(ABOVE),
        Word(
            name="smtp_alert",
            arguments=Bool(),
            default="smtp_alert_checker, else smtp_alert, else yes",
            effect="Mail when it comes up or goes down.",
            example="smtp_alert false",
        ),
        Word(
            name="virtualhost",
            arguments=Text("NAME"),
            repeat=Repeat.REPLACED,
            default=ABOVE,
            effect="Host header of its HTTP checks.",
            example="virtualhost www.example.net",
        ),
        Word(
            name="snmp_name",
            arguments=Text("NAME", further="error"),
            repeat=Repeat.REPLACED,
            default="none",
            effect="Name in the status beside its own, as SNMP managers know it.",
            example="snmp_name web1",
        ),
        *(
            Word(
                name=name,
                opens=name,
                repeat=Repeat.MANY,
                effect=effect,
                status=PENDING if pending else Status.IN_EFFECT,
                pending=pending,
                loud=bool(pending),
                example=example,
            )
            for name, effect, pending, example in (
                (
                    "TCP_CHECK",
                    "Up while a TCP connection can be made.",
                    "",
                    "TCP_CHECK { connect_timeout 3 }",
                ),
                (
                    "HTTP_GET",
                    "Up while pages can be fetched and are as they should be.",
                    "",
                    "HTTP_GET { url { path /health\nstatus_code 200 } }",
                ),
                (
                    "SSL_GET",
                    "HTTP_GET over TLS.",
                    "",
                    "SSL_GET { url { path / } }",
                ),
                (
                    "MISC_CHECK",
                    "Up while a program says so.",
                    "",
                    'MISC_CHECK { misc_path "/usr/local/bin/check 192.0.2.21" }',
                ),
                (
                    "SMTP_CHECK",
                    "Up while a mail server greets.",
                    "",
                    "SMTP_CHECK { helo_name lvs.example.net }",
                ),
                (
                    "DNS_CHECK",
                    "Up while a name server answers.",
                    "",
                    "DNS_CHECK { type SOA\nname example.net }",
                ),
                (
                    "UDP_CHECK",
                    "Up while datagrams are not refused, or are answered.",
                    "",
                    "UDP_CHECK { payload 00 01 }",
                ),
                (
                    "PING_CHECK",
                    "Up while it answers to ping.",
                    "",
                    "PING_CHECK {}",
                ),
                (
                    "FILE_CHECK",
                    "Weight and state from a number in a file.",
                    "",
                    "FILE_CHECK { track_file drain }",
                ),
                (
                    "BFD_CHECK",
                    "Up while a BFD session is.",
                    "this check is not made, and the server counts as up",
                    "BFD_CHECK { name peer1 }",
                ),
            )
        ),
        *services.WORDS,
    ),
)

BLOCKS = (
    VIRTUAL_SERVER,
    REAL_SERVER,
    Block(path="virtual_server_group", line="group_entry"),
)

ROOT_WORDS = (
    Word(
        name="virtual_server",
        arguments=Custom(virtual_address, "ADDRESS [PORT] | fwmark MARK | group NAME", required="fatal", most=2),
        opens="virtual_server",
        repeat=Repeat.MANY,
        default="port 0",
        effect="A service on an address and port, a firewall mark or a group of them, and the servers behind it.",
        reload=Reload.IDENTITY,
        example="virtual_server 192.0.2.10 80 { protocol TCP\nreal_server 192.0.2.21 80 { TCP_CHECK {} } }",
    ),
    Word(
        name="virtual_server_group",
        arguments=Text("NAME", required="fatal", further="fatal"),
        opens="virtual_server_group",
        repeat=Repeat.MANY,
        effect="Addresses, ranges and marks for 'virtual_server group'; one pool with one quorum serves them all.",
        example="virtual_server_group web { 192.0.2.10-19 80\nfwmark 7 }",
    ),
)
