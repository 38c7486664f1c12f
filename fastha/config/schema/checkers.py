"""The checkers of a real server, and the SSL block."""

from dataclasses import replace

from fastha.config.arguments import (
    NO_LIMIT,
    UINT,
    AddressArgument,
    Bool,
    Choice,
    Custom,
    Decimal,
    Flag,
    Integer,
    InterfaceName,
    Text,
    one_of,
)
from fastha.config.schema.entry import Block, Repeat, Status, Word
from fastha.config.schema.http import (
    digest,
    domain_name,
    hex_octets,
    offset,
    regex_options,
    reply_pattern,
    stack,
    status_codes,
)
from fastha.config.schema.probing import CONNECTING, HEADER, KEEPALIVE, REQUEST, TALK, TALK_SNI
from fastha.config.schema.probing import TLS as JUDGED
from fastha.config.schema.weights import file_check_weight
from fastha.config.script import Account, Pattern, Script

PENDING = Status.PENDING
NO_BFD = "there are no BFD sessions yet"
ABOVE = "the real server's"


def steady(above: str) -> tuple[Word, ...]:
    """What keepalived lacks of timing; `above`: where it comes from when nothing is said."""
    return (
        Word(
            name="rise",
            arguments=Integer(1, UINT, "COUNT"),
            default=above or "1",
            effect="Successes in a row (of several urls: whole rounds) before a failed check counts as good again.",
            status=Status.OURS,
            example="rise 3",
        ),
        Word(
            name="jitter",
            arguments=Decimal("0", NO_LIMIT),
            default=above or "0",
            effect="Each pause between two runs is longer or shorter by up to this; at most half of delay_loop counts.",
            status=Status.OURS,
            example="jitter 0.5",
        ),
    )


STEADY = steady(ABOVE)


def timing(retry: str, delay: str) -> tuple[Word, ...]:
    """What every checker has. `retry` and `delay`: defaults when nothing is said above."""
    return (
        Word(
            name="retry",
            arguments=Integer(0, UINT, "COUNT", strict=False),
            default=f"{ABOVE}, else {retry}",
            effect="Further attempts before a check that has succeeded counts as failed.",
            example="retry 3",
        ),
        Word(
            name="delay_before_retry",
            arguments=Decimal("0", NO_LIMIT),
            default=f"{ABOVE}, else {delay}",
            effect="Pause before each further attempt.",
            example="delay_before_retry 2",
        ),
        Word(
            name="warmup",
            arguments=Decimal("0", NO_LIMIT),
            default=f"{ABOVE}, else delay_loop",
            effect="The first run comes at a random moment of this time.",
            example="warmup 5",
        ),
        Word(
            name="delay_loop",
            arguments=Decimal("0.000001", NO_LIMIT),
            default=ABOVE,
            effect="Time from one check to the next.",
            example="delay_loop 6",
        ),
        Word(
            name="alpha",
            arguments=Bool(),
            default=ABOVE,
            effect="Counts as failed until it has succeeded once.",
            example="alpha",
        ),
        Word(
            name="log_all_failures",
            arguments=Bool(),
            default="checker_log_all_failures",
            effect="Logs every failed attempt, not only the deciding one.",
            example="log_all_failures",
        ),
        *STEADY,
    )


def deadline(default: str) -> Word:
    """A limit for the whole check."""
    return Word(
        name="deadline",
        arguments=Decimal("0.001", NO_LIMIT),
        default=default,
        effect="Longest time for the whole check, however slowly a server answers; a longer one has failed.",
        status=Status.OURS,
        example="deadline 4",
    )


CONNECTION = (
    Word(
        name="connect_ip",
        arguments=AddressArgument(),
        default="the real server's address",
        effect="Address to check instead.",
        example="connect_ip 192.0.2.31",
    ),
    Word(
        name="connect_port",
        arguments=Integer(1, 65535, "PORT", strict=False),
        default="the real server's port",
        effect="Port to check instead.",
        example="connect_port 8080",
    ),
    Word(
        name="bindto",
        arguments=AddressArgument(),
        default="the kernel's choice",
        effect="Source address of the check.",
        example="bindto 192.0.2.1",
    ),
    Word(
        name="bind_port",
        arguments=Integer(1, 65535, "PORT", strict=False),
        default="any free one",
        effect="Source port, together with bindto.",
        example="bind_port 1025",
    ),
    Word(
        name="bind_if",
        arguments=InterfaceName(),
        default="none",
        effect="Interface the check leaves by.",
        example="bind_if eth1",
    ),
    Word(
        name="connect_timeout",
        arguments=Decimal("0.000001"),
        default=ABOVE,
        effect="Longest wait for the connection, and again for each step of a dialogue and for the reply.",
        example="connect_timeout 3",
    ),
    Word(
        name="fwmark",
        arguments=Integer(0, UINT, "MARK", strict=False),
        default="0: none",
        effect="Mark on the packets of the check.",
        example="fwmark 7",
    ),
)

TCP_CHECK = Block(
    path="TCP_CHECK",
    words=(
        *CONNECTION,
        *timing("1", "1"),
        deadline("none: connecting, and each step of a dialogue, has connect_timeout"),
        *CONNECTING,
        *TALK,
        *JUDGED,
        TALK_SNI,
    ),
)
URL = (
    Word(
        name="path",
        arguments=Text("PATH", required="fatal"),
        repeat=Repeat.REPLACED,
        default="none; needed",
        effect="What is asked for, word for word.",
        example="path /health",
    ),
    Word(
        name="digest",
        arguments=Custom(digest, "MD5 (32 hexadecimal digits)", required="fatal", most=1),
        repeat=Repeat.FIRST,
        default="not compared",
        effect="MD5 that the body must have; `fastha genhash` computes it.",
        example="digest 9b3a0c85a887a256d6939da88aabd8cd",
    ),
    Word(
        name="status_code",
        arguments=Custom(status_codes, "CODE|LOW-HIGH... (100..599)", required="note"),
        default="200-299",
        effect="Status codes that are good; further lines add to them.",
        repeat=Repeat.MANY,
        example="status_code 200 301-302",
    ),
    Word(
        name="virtualhost",
        arguments=Text("NAME"),
        repeat=Repeat.REPLACED,
        default="the checker's",
        effect="Host header.",
        example="virtualhost www.example.net",
    ),
    *(
        Word(
            name=name,
            arguments=arguments,
            default=default,
            effect=effect,
            repeat=Repeat.REPLACED if name == "regex" else Repeat.LAST,
            example=example,
        )
        for name, arguments, default, effect, example in (
            (
                "regex",
                Pattern(),
                "none",
                "Pattern (PCRE2) that the body must contain. A backslash of the pattern is written twice.",
                'regex "all is well"',
            ),
            ("regex_no_match", Flag(), "off", "The body must not contain it.", "regex_no_match"),
            (
                "regex_options",
                Custom(regex_options, "OPTION...", required="", least=0),
                "none",
                "PCRE2 options.",
                "regex_options caseless dotall",
            ),
            (
                "regex_min_offset",
                Custom(offset, "OCTETS", required="note", most=1),
                "0",
                "Where the search begins.",
                "regex_min_offset 100",
            ),
            (
                "regex_max_offset",
                Custom(offset, "OCTETS", required="note", most=1),
                "the end",
                "Where a match must begin at the latest.",
                "regex_max_offset 5000",
            ),
            (
                "regex_stack",
                Custom(stack, "START MAX (octets)", required="note", least=2),
                "the library's",
                "Memory for the matcher.",
                "regex_stack 32768 1048576",
            ),
        )
    ),
    *REQUEST,
)

HTTP = (
    *CONNECTION,
    *timing("1", "3"),
    deadline("HTTP_GET: twice connect_timeout and one delay_loop; SSL_GET: each step has its time"),
    Word(
        name="nb_get_retry",
        arguments=Integer(0, UINT, "COUNT", strict=False),
        default="as retry",
        effect="Older spelling of retry.",
        store="retry",
        deprecated="retry",
        example="nb_get_retry 3",
    ),
    Word(
        name="virtualhost",
        arguments=Text("NAME"),
        repeat=Repeat.REPLACED,
        default="the real server's, else the virtual server's, else address and port",
        effect="Host header of urls that name none.",
        example="virtualhost www.example.net",
    ),
    Word(
        name="http_protocol",
        arguments=Choice(
            {"1.0": "1.0", "1.0C": "1.0C", "1.0c": "1.0C", "1.1": "1.1"}, required="error", what="version"
        ),
        default="1.0",
        effect="Version of the request; 1.0C and 1.1 ask for the connection to be closed.",
        example="http_protocol 1.1",
    ),
    Word(
        name="fast_recovery",
        arguments=Bool(),
        default="false",
        effect="A recovering server's urls are fetched one after the other at once.",
        example="fast_recovery",
    ),
    *CONNECTING,
    HEADER,
    KEEPALIVE,
)
SNI = (
    Word(
        name="enable_sni",
        arguments=Bool(),
        default="false",
        effect="Names the host in the TLS handshake.",
        example="enable_sni",
    ),
    Word(
        name="sni_name",
        arguments=Text("NAME", required="", omitted=""),
        repeat=Repeat.REPLACED,
        default="the virtualhost",
        effect="That name; turns enable_sni on.",
        example="sni_name www.example.net",
    ),
)
TLS = (
    Word(
        name="tls_compliant",
        arguments=Bool(),
        default="false",
        effect="Ends the TLS session in form (close_notify).",
        example="tls_compliant",
    ),
)


def _url(opens: str) -> Word:
    return Word(
        name="url",
        opens=opens,
        repeat=Repeat.MANY,
        default="none; needed",
        effect="A page to fetch; several are fetched in turn.",
        example="url { path /health\nstatus_code 200 }",
    )


HTTP_GET = Block(
    path="HTTP_GET",
    words=(
        *HTTP,
        *(
            Word(
                name=w.name,
                arguments=w.arguments,
                default=w.default,
                effect=f"{w.effect} Nothing here, where there is no TLS.",
                status=Status.NO_EFFECT,
                example=w.example,
            )
            for w in SNI
        ),
        _url("HTTP_GET.url"),
    ),
)
SSL_GET = Block(path="SSL_GET", words=(*HTTP, *SNI, _url("SSL_GET.url"), *TLS, *JUDGED))

MISC_CHECK = Block(
    path="MISC_CHECK",
    words=(
        *timing("0", "1"),
        Word(
            name="misc_path",
            arguments=Script(account=False, required="note", filled=True),
            default="none; needed",
            effect="Program to run; exit 0 is good.",
            example='misc_path "/usr/local/bin/check 192.0.2.21"',
        ),
        Word(
            name="misc_timeout",
            arguments=Integer(0, 4294, "SECONDS", strict=False),
            default="delay_loop of the virtual server",
            effect="Longest run; then it is ended and counts as failed.",
            example="misc_timeout 5",
        ),
        Word(
            name="misc_dynamic",
            default="off",
            effect="Exit codes 2 to 255 are good and set the weight to the code minus 2.",
            example="misc_dynamic",
        ),
        Word(
            name="user",
            arguments=Account(),
            default="script_user",
            effect="Account the program runs under.",
            example="user nobody",
        ),
    ),
)

SMTP_OPTIONS = (*CONNECTION, *timing("1", "1"), deadline("none: each line has connect_timeout"), *CONNECTING)
SMTP_CHECK = Block(
    path="SMTP_CHECK",
    words=(
        *SMTP_OPTIONS,
        *(
            Word(
                name="helo_name",
                arguments=Text("NAME"),
                repeat=Repeat.REPLACED,
                default="smtpchecker.keepalived.org",
                effect="Name given in HELO.",
                example="helo_name lvs.example.net",
            ),
            Word(
                name="host",
                opens="SMTP_CHECK.host",
                repeat=Repeat.MANY,
                default="none",
                effect="Older way to check a further target; what is not said in it is as said before it.",
                deprecated="a second SMTP_CHECK",
                tolerated=True,
                example="host { connect_ip 192.0.2.31 }",
            ),
        ),
    ),
)

DNS_CHECK = Block(
    path="DNS_CHECK",
    words=(
        *CONNECTION,
        *timing("3", "delay_loop"),
        Word(
            name="type",
            arguments=Choice(
                one_of(["A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "RRSIG", "DNSKEY"]),
                ignore_case=True,
                what="record type",
            ),
            default="SOA",
            effect="Record type asked for.",
            example="type A",
        ),
        Word(
            name="name",
            arguments=Custom(domain_name, "NAME", required="fatal", most=1),
            default="the root",
            effect="Name asked for.",
            repeat=Repeat.FIRST,
            example="name example.net",
        ),
    ),
)

UDP_CHECK = Block(
    path="UDP_CHECK",
    words=(
        *CONNECTION,
        *timing("1", "1"),
        Word(
            name="payload",
            arguments=Custom(hex_octets, "HEX..."),
            default="32 octets of text",
            effect="What is sent.",
            example="payload 00 01 0a",
        ),
        Word(
            name="require_reply",
            arguments=Custom(reply_pattern, "[HEX... (x for any digit)]", required="", least=0),
            default="no reply needed",
            effect="An answer must come, and begin like this.",
            example="require_reply 00 xx",
        ),
        Word(
            name="min_reply_length",
            arguments=Integer(0, 65535, "OCTETS"),
            default="0",
            effect="Shortest good answer.",
            example="min_reply_length 4",
        ),
        Word(
            name="max_reply_length",
            arguments=Integer(0, 65535, "OCTETS"),
            default="255",
            effect="Longest good answer.",
            example="max_reply_length 512",
        ),
    ),
)

PING_CHECK = Block(
    path="PING_CHECK",
    words=(
        *(
            replace(w, status=Status.NO_EFFECT, effect="Nothing here: pings have no port.")
            if w.name == "connect_port"
            else w
            for w in CONNECTION
        ),
        *timing("1", "1"),
    ),
)

FILE_CHECK = Block(
    path="FILE_CHECK",
    words=(
        Word(
            name="track_file",
            arguments=Text("NAME", required="fatal"),
            default="none; needed",
            effect="The file, defined before with track_file.",
            example="track_file drain",
        ),
        Word(
            name="weight",
            arguments=Custom(file_check_weight, "WEIGHT [reverse|noreverse]", most=2),
            default="the track_file's",
            effect="The value times this is added to the server's weight.",
            example="weight 1",
        ),
    ),
)

BFD_CHECK = Block(
    path="BFD_CHECK",
    words=(
        Word(
            name="name",
            arguments=Text("NAME", further="error"),
            default="none; needed",
            effect="The session, defined before with bfd_instance.",
            status=PENDING,
            pending=NO_BFD,
            example="name peer1",
        ),
        Word(
            name="alpha",
            arguments=Bool(),
            default=ABOVE,
            effect="Counts as failed until the session is up.",
            status=PENDING,
            pending=NO_BFD,
            example="alpha",
        ),
    ),
)

SSL = Block(
    path="SSL",
    words=tuple(
        Word(name=name, arguments=Text(shape), repeat=Repeat.REPLACED, default="none", effect=effect, example=example)
        for name, shape, effect, example in (
            ("password", "TEXT", "Pass phrase of the key.", "password secret"),
            ("ca", "PATH", "Certificates of trusted authorities.", "ca /etc/ssl/ca.pem"),
            ("certificate", "PATH", "Our certificate as a client.", "certificate /etc/ssl/lvs.pem"),
            ("key", "PATH", "Its key.", "key /etc/ssl/lvs.key"),
        )
    ),
)

CHECKER_BLOCKS = (
    TCP_CHECK,
    HTTP_GET,
    SSL_GET,
    MISC_CHECK,
    SMTP_CHECK,
    DNS_CHECK,
    UDP_CHECK,
    PING_CHECK,
    FILE_CHECK,
    BFD_CHECK,
)
BLOCKS = (
    *CHECKER_BLOCKS,
    Block(path="HTTP_GET.url", words=URL),
    Block(path="SSL_GET.url", words=(*URL, *TLS)),
    Block(path="SMTP_CHECK.host", words=SMTP_OPTIONS),
    SSL,
)

ROOT_WORDS = (
    Word(
        name="SSL",
        opens="SSL",
        effect="Certificate and key that SSL_GET checks present.",
        default="none",
        example="SSL { certificate /etc/ssl/lvs.pem\nkey /etc/ssl/lvs.key }",
    ),
)
