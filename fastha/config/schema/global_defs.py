"""The block global_defs, and the words of the same kind that stand at the root beside it."""

from fastha.config.arguments import (
    UINT,
    Integer,
    Text,
)
from fastha.config.schema.defs_files import AGENTS, FILES
from fastha.config.schema.defs_lvs import LVS
from fastha.config.schema.defs_mail import MAIL, SCRIPTS
from fastha.config.schema.defs_process import PROCESSES
from fastha.config.schema.defs_vrrp import VRRP
from fastha.config.schema.entry import Block, Reload, Repeat, Status, Word

START = Reload.START
PENDING = Status.PENDING


GLOBAL_DEFS = Block(path="global_defs", words=MAIL + SCRIPTS + PROCESSES + VRRP + LVS + FILES + AGENTS)
NOTIFICATION_EMAIL = Block(path="notification_email", line="name")
BLOCKS = (GLOBAL_DEFS, NOTIFICATION_EMAIL)

ROOT_WORDS = (
    Word(
        name="global_defs",
        opens="global_defs",
        effect="Settings for the whole daemon; may be given more than once.",
        repeat=Repeat.MANY,
        example="global_defs { router_id lvs-1 }",
    ),
    Word(
        name="net_namespace",
        arguments=Text("NAME"),
        default="the one it is started in",
        effect="Network namespace to run in.",
        reload=START,
        repeat=Repeat.FIRST,
        example="net_namespace lvs",
    ),
    Word(
        name="net_namespace_ipvs",
        arguments=Text("NAME", required="", omitted=""),
        default="as net_namespace",
        effect="Network namespace whose IPVS table is used; without a name the initial one.",
        reload=START,
        repeat=Repeat.FIRST,
        example="net_namespace_ipvs lvs",
    ),
    Word(
        name="namespace_with_ipsets",
        default="off",
        effect="For kernels before 3.13; nothing depends on it any more.",
        status=Status.NO_EFFECT,
        example="namespace_with_ipsets",
    ),
    Word(
        name="use_pid_dir",
        default="on",
        effect="Pid files go into a directory of their own; under the name fastha they always have one.",
        reload=START,
        example="use_pid_dir",
    ),
    Word(
        name="instance",
        arguments=Text("NAME"),
        default="none",
        effect="Sets this daemon apart from others on the host: pid files, log and socket carry the name.",
        reload=START,
        repeat=Repeat.FIRST,
        example="instance blue",
    ),
    Word(
        name="child_wait_time",
        arguments=Integer(0, UINT, "SECONDS"),
        default="5",
        effect="How long children may take to end before they are killed.",
        example="child_wait_time 10",
    ),
    Word(
        name="linkbeat_use_polling",
        default="off",
        effect="Interfaces of instances are polled instead of watched.",
        example="linkbeat_use_polling",
    ),
)
