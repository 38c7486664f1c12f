"""Random configurations put together from the examples of the keyword tables."""

import random

from hypothesis import given
from hypothesis import strategies as st

from fastha.config.arguments import Flag
from fastha.config.schema.entry import Status, Word
from fastha.config.schema.tables import BLOCKS
from fastha.model.codec import decode, encode
from fastha.model.plan import Plan
from tests.config_machine import Machine, errors, read

MAX_WORDS = 8
MISFITS = frozenset(
    {"notify_master_rx_lower_pri", "state", "version", "strict_mode", "use_ipvlan", "vrf", "mcast_dst_ip"}
)
"""Words that change what others may say; they have tests of their own."""

SETTLED = frozenset({"lvs_method", "lb_kind", "ops", "ip_family", "protocol"})


def good(word: Word) -> bool:
    return not word.deprecated and word.after is None and word.name not in MISFITS and bool(word.example)


def sample(dice: random.Random, block: str, leave_out: frozenset[str] = frozenset()) -> str:
    """Examples of a block's words, each at most once."""
    words = [w for w in BLOCKS[block].words if good(w) and not w.opens and w.name not in leave_out]
    return "\n".join(w.example for w in dice.sample(words, min(MAX_WORDS, len(words))))


def configuration(seed: int) -> str:
    dice = random.Random(seed)
    hosts = range(21, 21 + dice.randint(1, 4))
    servers = "".join(
        f"real_server 192.0.2.{n} 80 {{\n{sample(dice, 'real_server')}\n"
        f"TCP_CHECK {{\n{sample(dice, 'TCP_CHECK')}\n}}\n}}\n"
        for n in hosts
    )
    return (
        f"global_defs {{\n{sample(dice, 'global_defs')}\n}}\n"
        "vrrp_instance V {\ninterface eth0\nvirtual_ipaddress {\n192.0.2.254/24\n}\n"
        f"{sample(dice, 'vrrp_instance')}\nvirtual_router_id 7\n}}\n"
        "virtual_server 192.0.2.254 80 {\nprotocol TCP\nlvs_sched wrr\nlvs_method NAT\n"
        f"{sample(dice, 'virtual_server', SETTLED)}\n{servers}}}\n"
    )


@given(st.integers(0, 2**32))
def test_what_the_tables_say_is_read_as_they_say(seed: int) -> None:
    loaded = read(configuration(seed), Machine(hosts={"localhost": "127.0.0.1"}))
    grammar = (
        "unknown",
        "needs a value",
        "is outside",
        "is not a whole",
        "is not a number",
        "opens nothing",
        "closes nothing",
    )
    assert [message for message in errors(loaded) if any(said in message for said in grammar)] == []
    assert loaded.plan is not None
    assert decode(Plan, encode(loaded.plan)) == loaded.plan


def test_words_in_effect_do_something() -> None:
    """A flag in effect changes the Plan; a word that changes nothing must say so in its status."""
    silent = []
    for block, around in (
        ("vrrp_instance", "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 7\n"
         "virtual_ipaddress {{\n192.0.2.1\n}}\n{}\n}}"),
        ("virtual_server", "virtual_server 192.0.2.1 80 {{\nprotocol UDP\nlvs_sched rr\nlvs_method NAT\n"
         "{}\nreal_server 192.0.2.2 80 {{\n}}\n}}"),
        ("global_defs", "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 7\n"
         "virtual_ipaddress {{\n192.0.2.1\n}}\n}}\nglobal_defs {{\n{}\n}}"),
    ):  # fmt: skip
        plain = read(around.format("")).plan
        for word in BLOCKS[block].words:
            if isinstance(word.arguments, Flag) and not word.opens and word.status is Status.IN_EFFECT and good(word):
                changed = read(around.format(word.name)).plan
                if changed == plain:
                    silent.append(f"{block}.{word.name}")
    # these act together with others, or on what is refused without them
    together = {"track_src_ip", "preempt", "accept", "alpha", "inhibit_on_failure", "dynamic_interfaces"}
    together |= {
        "no_email_faults",
        "enable_script_security",
        "no_virtual_ipaddress",
        "smtp_alert",
        "vmac_xmit_base",
        "use_vmac_addr",
    }
    together |= {"unicast_fault_no_peer"}
    assert [name for name in silent if name.split(".")[1] not in together] == []
