"""Words of global_defs about processes: names, scheduling, umask."""

from fastha.config.arguments import (
    UINT,
    Custom,
    Integer,
    Text,
)
from fastha.config.schema.entry import Status, Word
from fastha.config.schema.readers import (
    affinity,
    umask,
)

PENDING = Status.PENDING
PROCESS_NAME = Text("NAME", longest=15, required="fatal")


def _process(child: str, what: str) -> tuple[Word, ...]:
    """The scheduling words that each child process has."""
    return (
        Word(
            name=f"{child}_priority",
            arguments=Integer(-20, 19, "NICE", required="error", otherwise=0),
            default="0",
            effect=f"Nice value of the {what} process.",
            example=f"{child}_priority -10",
        ),
        Word(
            name=f"{child}_no_swap",
            effect=f"Keeps the {what} process in memory (mlockall).",
            example=f"{child}_no_swap",
        ),
        Word(
            name=f"{child}_rt_priority",
            arguments=Integer(1, 99, "PRIORITY", required="error"),
            default="SCHED_RR for vrrp, none for the others" if child == "vrrp" else "not real-time",
            effect=f"Real-time priority (SCHED_RR) of the {what} process.",
            example=f"{child}_rt_priority 50",
        ),
        Word(
            name=f"{child}_cpu_affinity",
            arguments=Custom(affinity, "CPU [CPU...]"),
            default="every processor",
            effect=f"Processors that the {what} process may use.",
            example=f"{child}_cpu_affinity 0 1",
        ),
        Word(
            name=f"{child}_rlimit_rttime",
            arguments=Integer(1, UINT, "MICROSECONDS", strict=False),
            default="10000",
            effect=f"Longest stretch of real-time work of the {what} process without a wait; half of it warns.",
            example=f"{child}_rlimit_rttime 20000",
        ),
        Word(
            name=f"{child}_rlimit_rtime",
            arguments=Integer(1, UINT, "MICROSECONDS", strict=False),
            default="10000",
            effect="Older spelling.",
            store=f"{child}_rlimit_rttime",
            deprecated=f"{child}_rlimit_rttime",
            tolerated=True,
            example=f"{child}_rlimit_rtime 20000",
        ),
    )


PROCESSES = (
    Word(
        name="process_names",
        default="off",
        effect="Names the children in ps: keepalived_vrrp, keepalived_lvs, keepalived_bfd.",
        example="process_names",
    ),
    Word(
        name="process_name",
        arguments=PROCESS_NAME,
        default="unchanged",
        effect="Name of the supervisor in ps.",
        example="process_name lvs",
    ),
    Word(
        name="vrrp_process_name",
        arguments=PROCESS_NAME,
        default="unchanged",
        effect="Name of the vrrp process in ps.",
        example="vrrp_process_name lvs_vrrp",
    ),
    Word(
        name="checker_process_name",
        arguments=PROCESS_NAME,
        default="unchanged",
        effect="Name of the checker process in ps.",
        example="checker_process_name lvs_check",
    ),
    Word(
        name="lvs_process_name",
        arguments=PROCESS_NAME,
        default="unchanged",
        effect="Older spelling.",
        store="checker_process_name",
        deprecated="checker_process_name",
        tolerated=True,
        example="lvs_process_name lvs_check",
    ),
    Word(
        name="bfd_process_name",
        arguments=PROCESS_NAME,
        default="unchanged",
        effect="Name of the bfd process in ps.",
        status=PENDING,
        pending="there is no bfd process yet",
        example="bfd_process_name lvs_bfd",
    ),
    *_process("vrrp", "vrrp"),
    *_process("checker", "checker"),
    *(
        Word(
            name=word.name,
            arguments=word.arguments,
            default=word.default,
            effect=word.effect,
            store=word.store,
            deprecated=word.deprecated,
            tolerated=word.tolerated,
            status=PENDING,
            pending="there is no bfd process yet",
            example=word.example,
        )
        for word in _process("bfd", "bfd")
    ),
    Word(
        name="max_auto_priority",
        arguments=Integer(-1, 99, "PRIORITY", required="", omitted=99, strict=False),
        default="0: never",
        effect="How far the vrrp and checker processes raise their real-time priority by themselves when their timers "
        "run late; 0 and -1: not at all. The vrrp process begins at 50, unless vrrp_rt_priority or vrrp_priority says "
        "otherwise.",
        example="max_auto_priority 50",
    ),
    Word(
        name="min_auto_priority_delay",
        arguments=Integer(1, 10_000_000, "MICROSECONDS", required="error", strict=False),
        default="1000000",
        effect="Lateness of a timer that raises the priority by one.",
        example="min_auto_priority_delay 500000",
    ),
    Word(
        name="umask",
        arguments=Custom(umask, "NUMBER | NAME|NAME...", required="fatal"),
        default="0177",
        effect="Mode bits that files made by the daemon never get.",
        example="umask 022",
    ),
    Word(
        name="random_seed",
        arguments=Integer(0, UINT, "SEED"),
        default="the clock",
        effect="Read and forgotten, as in keepalived: the generator is seeded before the file is read.",
        status=Status.NO_EFFECT,
        example="random_seed 42",
    ),
)
