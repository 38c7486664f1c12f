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

BLOCKS = (FILE_SYNTAX, GROUP_ENTRY)
