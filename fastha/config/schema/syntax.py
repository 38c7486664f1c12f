"""What is no keyword of a block: includes, conditions, definitions, repetitions, entries of groups. Carried out by the
preprocessor and the line readers; here so that it can be explained."""

from fastha.config.arguments import Custom, Reading
from fastha.config.schema.entry import Block, Word


def _as_written(r: Reading) -> object:
    return tuple(r.words[1:])


def _words(rows: tuple[tuple[str, str, str, str], ...]) -> tuple[Word, ...]:
    """Entries from rows (name, shape of what follows, effect, example)."""
    return tuple(
        Word(name=name, arguments=Custom(_as_written, shape, required=""), effect=effect, example=example)
        for name, shape, effect, example in rows
    )


FILE_SYNTAX = Block(
    path="file syntax",
    words=_words(
        (
            ("#", "TEXT", "A comment up to the end of the line, unless quoted or written \\#.", "priority 100 # high"),
            ("!", "TEXT", "The same as #.", "! the pool"),
            ("\\#", "", "A number sign that begins no comment; \\! likewise.", "auth_pass a\\#b"),
            ("\\!", "", "An exclamation mark that begins no comment.", "auth_pass a\\!b"),
            (
                "words",
                "",
                "Are separated by blanks, tabs, form feeds and vertical tabs; a word may have any other octet.",
                "priority\t100",
            ),
            (
                "{",
                "",
                "Opens a block, on the line of its word or on a line of its own.",
                "vrrp_instance VI_1 {",
            ),
            ("}", "", "Closes a block, anywhere outside of quotes.", "group { VI_1 VI_2 }"),
            (
                "\\",
                "at the end of a line",
                "Goes on with a definition in the next line; anywhere else it is part of the last word.",
                "$VIPS=192.0.2.10 \\",
            ),
            (
                "line length",
                "",
                "At most 1023 octets, also after definitions are replaced; a longer one is ignored.",
                "",
            ),
            ('"', 'TEXT"', "Makes one word of several; # and braces inside are ordinary.", 'router_id "lvs #1"'),
            (
                "include",
                "PATTERN",
                "Reads the files that match, in order, from the directory of this file. None at all is remarked on.",
                "include conf.d/*.conf",
            ),
            ("includer", "PATTERN", "As include; a file that cannot be read is an error.", "includer pools.conf"),
            ("includem", "PATTERN", "As includer; a missing file is an error too.", "includem pools.conf"),
            ("includew", "PATTERN", "As includem; wildcards that match nothing are errors too.", "includew conf.d/*"),
            ("includeb", "PATTERN", "As includer; every branch of {a,b} must match.", "includeb {a,b}.conf"),
            ("includea", "PATTERN", "All of these checks.", "includea conf.d/*.conf"),
            (
                "@ID",
                "REST OF LINE",
                "The rest counts only where the configuration id (-i, else the short host name) is ID.",
                "@lvs1 priority 150",
            ),
            (
                "@^ID",
                "REST OF LINE",
                "The rest counts only where the configuration id is another.",
                "@^lvs1 priority 100",
            ),
            (
                "$NAME=",
                "TEXT",
                "Defines what $NAME and ${NAME} stand for from here on; a backslash at the end continues.",
                "$VIP=192.0.2.10",
            ),
            ("$NAME", "", "The definition, as a word; unknown names stay as they are.", "virtual_server $VIP 80 {"),
            ("${NAME}", "", "The definition, also inside a word.", "label eth0:${NAME}"),
            ("${_PWD}", "", "Directory of this file.", "include ${_PWD}/pools.conf"),
            ("${_INSTANCE}", "", "The configuration id.", "router_id ${_INSTANCE}"),
            ("${_RANDOM", "[MIN [MAX]]}", "A number, drawn at each use.", "priority ${_RANDOM 100 150}"),
            ("${_ENV", "NAME}", "A variable of the environment.", "priority ${_ENV PRIORITY}"),
            ("${_HASH}", "", "A number sign, inside quotes.", 'router_id "a${_HASH}b"'),
            ("${_BANG}", "", "An exclamation mark, inside quotes.", 'router_id "a${_BANG}b"'),
            (
                "~SEQ",
                "(VAR, [START, [STEP,]] END) REST",
                "Repeats the rest with $VAR set to each number.",
                "~SEQ(N, 1, 4) real_server 192.0.2.2${N} 80 { TCP_CHECK {} }",
            ),
            (
                "~SEQx",
                "(VAR, [START, [STEP,]] END) REST",
                "As ~SEQ, in hexadecimal.",
                "~SEQx(N, 10, 15) 2001:db8::${N}",
            ),
            (
                "~LST",
                "(VAR, VALUE, ...) REST",
                "Repeats the rest with $VAR set to each value; ({A,B}, {1,2}, ...) sets several at once.",
                "~LST(N, eth1, eth2) interface $N",
            ),
        )
    ),
)

GROUP_ENTRY = Block(
    path="virtual_server_group entry",
    words=_words(
        (
            (
                "ADDRESS",
                "[-LAST|/LEN] [PORT]",
                "One address, or all from it to LAST (last octet, or last four hexadecimal digits), or a network.",
                "192.0.2.10-19 80",
            ),
            ("fwmark", "MARK [inet|inet6]", "Connections with this firewall mark.", "fwmark 7"),
        )
    ),
)

MISTAKES = Block(
    path="mistakes",
    words=_words(
        (
            (
                "findings",
                "",
                "A line that is wrong is ignored or corrected and the rest counts; a test ends with 5, with 6 for "
                "scripts without enable_script_security, with 4 for a file that cannot be read.",
                "",
            ),
            (
                "missing argument",
                "",
                "Where keepalived cannot do without, a test ends with 2; otherwise the line is ignored.",
                "",
            ),
            (
                "unknown keyword",
                "",
                "Is ignored with its line. What it opens is read as part of the block around it, which its brace ends.",
                "",
            ),
            (
                "processes",
                "",
                "keepalived's processes each read the file and know their own words; fastha reads it once, all of it.",
                "",
            ),
        )
    ),
)
VALUES = Block(
    path="values",
    words=_words(
        (
            ("truth value", "[on|true|yes|off|false|no]", "Lower case; the word alone means true.", "smtp_alert true"),
            (
                "whole number",
                "DIGITS",
                "Decimal, with a sign if need be; anything behind it is an error.",
                "priority 100",
            ),
            (
                "lenient number",
                "DIGITS",
                "As a whole number; in a few words what stands behind the digits is reported and passed over.",
                "retry 3",
            ),
            (
                "time",
                "DIGITS[.DIGITS]",
                "Seconds unless the word says otherwise, up to six decimals.",
                "advert_int 0.5",
            ),
            (
                "script",
                "PROGRAM|'PROGRAM ARGUMENT...'",
                "Quotes of both kinds group words and may hold each other; backslashes escape: \\n, \\x41, \\101.",
                "notify \"/usr/local/bin/moved 'a b'\"",
            ),
        )
    ),
)
ADDRESS_START = Block(
    path="address line start",
    words=_words(
        (
            ("ADDRESS", "[/LEN]", "The address; without LEN it is a host address.", "192.0.2.10/24"),
            ("without value", "", "An option that lacks its value costs the line.", ""),
            ("other words", "", "Are reported and passed over; each address needs a line of its own.", ""),
        )
    ),
)
TRACK_START = Block(
    path="track line start",
    words=_words(
        (("NAME", "", "The interface, script, file, process or session that is tracked.", "eth1 weight -20"),)
    ),
)
ROUTE_VALUES = Block(
    path="route line values",
    words=_words(
        (
            ("PREFIX", "[to] [TYPE] PREFIX|default", "Where the route leads.", "198.51.100.0/24 via 192.0.2.1"),
            (
                "TYPE",
                "local|nat|broadcast|anycast|multicast|prohibit|unreachable|blackhole|throw|unicast",
                "Kind of route, before the prefix.",
                "blackhole 198.51.100.0/24",
            ),
            ("default", "", "Every destination, of the family of what follows.", "default via 192.0.2.1"),
            ("default6", "", "Older spelling of: inet6 default.", "default6 via 2001:db8::1"),
            ("any", "", "As default.", "any via 192.0.2.1"),
            ("all", "", "As default.", "all via 192.0.2.1"),
            (
                "lock",
                "",
                "Before the value of mtu, rtt and other metrics: path discovery leaves it.",
                "default mtu lock 1400",
            ),
            ("ecn", "", "After features: explicit congestion notification.", "default features ecn"),
            ("low", "", "After pref: router preference (RFC 4191).", "default pref low"),
            ("medium", "", "After pref: router preference.", "default pref medium"),
            ("high", "", "After pref: router preference.", "default pref high"),
            ("enabled", "", "After ttl-propagate (MPLS).", "default encap mpls 100 ttl-propagate enabled"),
            ("disabled", "", "After ttl-propagate (MPLS).", "default encap mpls 100 ttl-propagate disabled"),
            ("inet", "", "After via: the family of the address.", "default via inet 192.0.2.1"),
            ("inet6", "", "After via: the family of the address.", "198.51.100.0/24 via inet6 2001:db8::1"),
        )
    ),
)
RULE_VALUES = Block(
    path="rule line values",
    words=_words(
        (
            (
                "ACTION",
                "blackhole|unreachable|prohibit",
                "What happens instead of a look-up in a table.",
                "from 192.0.2.0/24 prohibit",
            ),
            ("no action", "", "A rule that neither looks up nor acts is dropped.", ""),
            (
                "no preference",
                "",
                "A rule without preference gets 16384, the next of its family 16383, and so on; it is reported.",
                "",
            ),
        )
    ),
)

BLOCKS = (FILE_SYNTAX, VALUES, MISTAKES, GROUP_ENTRY, ADDRESS_START, TRACK_START, ROUTE_VALUES, RULE_VALUES)
NOT_PARSED = frozenset(block.path for block in BLOCKS)
"""Blocks whose entries explain; no parser looks words up in them."""
