"""What can be tracked: vrrp_script, vrrp_track_process, track_file, bfd_instance."""

from fastha.config.arguments import AddressArgument, Bool, Choice, Custom, Decimal, Flag, Integer, Text, Words
from fastha.config.schema.entry import Block, Repeat, Status, Word
from fastha.config.schema.weights import init_file, weight
from fastha.config.script import Account, Script
from fastha.model.units import MS

INT = 2**31 - 1
PENDING = Status.PENDING
NO_BFD = "BFD sessions are not run yet"


def _weight(limit: int, default: str, what: str) -> Word:
    """Scripts may repeat it and must not leave the number out; files and processes the other way round."""
    script = limit == 253
    return Word(
        name="weight",
        arguments=Custom(
            weight(limit), f"-{limit}..{limit} [reverse]", required="fatal" if script else "error", most=2
        ),
        repeat=Repeat.LAST if script else Repeat.FIRST,
        default=default,
        effect=what,
        example="weight -20",
    )


VRRP_SCRIPT = Block(
    path="vrrp_script",
    words=(
        Word(
            name="script",
            arguments=Script(account=False, required="note", filled=True),
            default="none; needed",
            effect="Command whose exit status is the state: 0 is good.",
            example='script "/usr/bin/killall -0 haproxy"',
        ),
        Word(
            name="interval",
            arguments=Decimal("0", "4294", places=3, raise_zero_to="1"),
            default="1",
            effect="Time from one start to the next.",
            example="interval 2",
        ),
        Word(
            name="timeout",
            arguments=Decimal("0", "4294", places=3, raise_zero_to="1"),
            default="interval",
            effect="Longest run; then it is ended and counts as failed.",
            example="timeout 1",
        ),
        _weight(
            253,
            "0",
            "Added to the priority while the script succeeds (above 0), or taken off while it fails (below 0). 0: a "
            "failure means FAULT.",
        ),
        Word(
            name="rise",
            arguments=Integer(1, INT, "COUNT", otherwise=1, strict=False),
            default="1",
            effect="Successes in a row that bring it up again.",
            example="rise 2",
        ),
        Word(
            name="fall",
            arguments=Integer(1, INT, "COUNT", otherwise=1, strict=False),
            default="1",
            effect="Failures in a row that bring it down.",
            example="fall 3",
        ),
        Word(
            name="user",
            arguments=Account(required="fatal"),
            default="script_user",
            effect="Account the script runs under.",
            example="user nobody",
        ),
        Word(
            name="init_fail",
            default="off",
            effect="Read for old files; as in keepalived a script that is tracked starts as not yet known.",
            status=Status.NO_EFFECT,
            example="init_fail",
        ),
    ),
)

VRRP_TRACK_PROCESS = Block(
    path="vrrp_track_process",
    words=(
        Word(
            name="process",
            arguments=Words("COMMAND [ARG...]", 1, required="fatal"),
            default="none; needed",
            effect="Process to count, by name or, with arguments, by command line.",
            repeat=Repeat.FIRST,
            example="process haproxy",
        ),
        Word(
            name="param_match",
            arguments=Choice(
                {"initial": "initial", "partial": "partial"}, required="", omitted="exact", what="way to match"
            ),
            default="exact when arguments are given",
            effect="How arguments are compared: the last one as a prefix (initial) or only the leading ones (partial).",
            example="param_match initial",
        ),
        _weight(
            254,
            "0",
            "Added to the priority while enough processes run (above 0) or taken off while not (below 0). 0: FAULT.",
        ),
        Word(
            name="quorum",
            arguments=Integer(1, 65535, "COUNT", strict=False),
            default="1",
            effect="Fewest processes that are enough.",
            example="quorum 2",
        ),
        Word(
            name="quorum_max",
            arguments=Integer(0, 65535, "COUNT", strict=False),
            default="any number",
            effect="Most processes that are still good.",
            example="quorum_max 4",
        ),
        Word(
            name="delay",
            arguments=Decimal("0.000001", "3600"),
            default="0",
            effect="Sets fork_delay and terminate_delay.",
            example="delay 2",
        ),
        Word(
            name="terminate_delay",
            arguments=Decimal("0.000001", "3600"),
            default="0",
            effect="How long the loss must last before it counts.",
            example="terminate_delay 2",
        ),
        Word(
            name="fork_delay",
            arguments=Decimal("0.000001", "3600"),
            default="0",
            effect="How long the gain must last before it counts.",
            example="fork_delay 2",
        ),
        Word(
            name="full_command",
            default="off",
            effect="Compares the first word of the command line instead of the short name.",
            example="full_command",
        ),
    ),
)


def track_file_block(path: str) -> Block:
    return Block(
        path=path,
        words=(
            Word(
                name="file",
                arguments=Text("PATH"),
                default="none; needed",
                effect="File whose first number is the value; a missing file is 0.",
                repeat=Repeat.FIRST,
                example="file /run/lvs/maintenance",
            ),
            _weight(254, "1", "The value times this is added to the priority; -254 and below means FAULT."),
            Word(
                name="init_file",
                arguments=Custom(init_file, "[VALUE] [overwrite]", required="", least=0),
                default="the file is left alone",
                effect="Writes the value at start when the file is missing, or always with overwrite.",
                example="init_file 0",
            ),
        ),
    )


def _milliseconds(low: str) -> Decimal:
    return Decimal(low, "4294967", places=3, unit="milliseconds", scale=MS)


BFD_INSTANCE = Block(
    path="bfd_instance",
    words=tuple(
        Word(
            name=name,
            arguments=arguments,
            default=default,
            effect=effect,
            status=PENDING,
            pending=NO_BFD,
            store="neighbor_ip" if name == "neighbour_ip" else "ttl" if name == "hoplimit" else "",
            example=example,
        )
        for name, arguments, default, effect, example in (
            ("source_ip", AddressArgument(), "the kernel's choice", "Our address.", "source_ip 192.0.2.1"),
            ("neighbor_ip", AddressArgument(), "none; needed", "The peer's address.", "neighbor_ip 192.0.2.2"),
            ("neighbour_ip", AddressArgument(), "none", "Other spelling of neighbor_ip.", "neighbour_ip 192.0.2.2"),
            ("min_rx", _milliseconds("1"), "10", "Shortest interval we can receive at.", "min_rx 50"),
            ("min_tx", _milliseconds("1"), "10", "Shortest interval we want to send at.", "min_tx 50"),
            ("idle_tx", _milliseconds("1000"), "1000", "Interval while the session is not up.", "idle_tx 1000"),
            ("multiplier", Integer(1, 255, "COUNT"), "5", "Missed packets that end the session.", "multiplier 5"),
            ("passive", Flag(), "off", "Waits for the peer to begin.", "passive"),
            ("ttl", Integer(1, 255, "TTL"), "255; IPv6 64", "TTL of sent packets.", "ttl 255"),
            ("hoplimit", Integer(1, 255, "HOPS"), "255; IPv6 64", "The same as ttl.", "hoplimit 255"),
            ("max_hops", Integer(-1, 255, "HOPS"), "0", "Hops a received packet may have taken.", "max_hops 0"),
            ("multihop", Bool(), "false", "Uses the port of multihop sessions.", "multihop"),
            (
                "weight",
                Custom(weight(253), "-253..253 [reverse]", required="fatal", most=2),
                "0",
                "Weight for instances that track it.",
                "weight -20",
            ),
            ("vrrp", Flag(), "both", "Events go to the vrrp process.", "vrrp"),
            ("checker", Flag(), "both", "Events go to the checker process.", "checker"),
        )
    ),
)

BLOCKS = (
    VRRP_SCRIPT,
    VRRP_TRACK_PROCESS,
    track_file_block("track_file"),
    track_file_block("vrrp_track_file"),
    BFD_INSTANCE,
)

ROOT_WORDS = (
    Word(
        name="vrrp_script",
        arguments=Text("NAME", required="fatal"),
        opens="vrrp_script",
        repeat=Repeat.MANY,
        effect="A command that is run regularly, for track_script.",
        example='vrrp_script chk { script "/usr/bin/pgrep nginx"\ninterval 2 }',
    ),
    Word(
        name="vrrp_track_process",
        arguments=Text("NAME", required="fatal"),
        opens="vrrp_track_process",
        repeat=Repeat.MANY,
        effect="A count of running processes, for track_process.",
        example="vrrp_track_process web { process nginx }",
    ),
    Word(
        name="track_file",
        arguments=Text("NAME", required="fatal"),
        opens="track_file",
        repeat=Repeat.MANY,
        effect="A number in a file, for track_file in instances and for FILE_CHECK.",
        example="track_file maintenance { file /run/lvs/maintenance\nweight -50 }",
    ),
    Word(
        name="vrrp_track_file",
        arguments=Text("NAME", required="fatal"),
        opens="vrrp_track_file",
        store="track_file",
        repeat=Repeat.MANY,
        effect="Older spelling of track_file.",
        deprecated="track_file",
        tolerated=True,
        example="vrrp_track_file maintenance { file /run/lvs/maintenance }",
    ),
    Word(
        name="bfd_instance",
        arguments=Text("NAME", longest=31, refuse=True),
        opens="bfd_instance",
        repeat=Repeat.MANY,
        unique=True,
        effect="A BFD session (RFC 5880) with a neighbour.",
        status=PENDING,
        pending=NO_BFD,
        loud=True,
        example="bfd_instance peer1 { neighbor_ip 192.0.2.2 }",
    ),
)
