"""What a namespace has in the kernel, in a form that two daemons can be compared by; and daemons made from a file."""

import json
import re
from pathlib import Path
from typing import Any

from fastha.config.load import Loaded, load
from fastha.model.plan import VrrpPlan
from fastha.system.host import SystemHost
from tests.netns.segment import Node, inside, run

VOLATILE = {"expires", "valid_life_time", "index", "ifindex", "protocol_time"}


def loaded(node: Node, config: str, directory: Path) -> Loaded:
    """A configuration as fastha reads it in the node's namespace."""
    path = directory / f"{node.name}.conf"
    path.write_text(config)
    return inside(node.namespace, lambda: load(str(path), SystemHost()))


def plan_of(node: Node, config: str, directory: Path) -> VrrpPlan:
    plan = loaded(node, config, directory).plan
    assert plan is not None
    return plan.vrrp


def second_interface(node: Node, address: str = "10.78.0.1/24") -> None:
    """eth1, a link to nowhere that is up."""
    node.ip("link", "add", "eth1", "type", "veth", "peer", "name", "far1")
    node.run("sysctl", "-qw", "net.ipv6.conf.eth1.accept_dad=0")
    node.ip("addr", "add", address, "dev", "eth1")
    node.ip("link", "set", "far1", "up")
    node.ip("link", "set", "eth1", "up")


def routes(node: Node) -> list[str]:
    """Routes of both families that the kernel did not make itself, one text each."""
    found: list[str] = []
    for family in ("-4", "-6"):
        shown = run("ip", "-n", node.namespace, family, "-d", "-j", "route", "show", "table", "all")
        found += [_text(one) for one in json.loads(shown or "[]") if one.get("protocol") not in {"kernel", "ra"}]
    return sorted(set(found))


def rules(node: Node) -> list[str]:
    found: list[str] = []
    for family in ("-4", "-6"):
        shown = run("ip", "-n", node.namespace, family, "-d", "-j", "rule", "show")
        found += [_text({"family": family, **one}) for one in json.loads(shown)]
    return sorted(found)


def addresses(node: Node) -> list[str]:
    """All addresses but link-local ones, with their interfaces."""
    shown = json.loads(node.ip("-d", "-j", "addr", "show"))
    return sorted(
        _text({"dev": link["ifname"], **one})
        for link in shown
        for one in link["addr_info"]
        if not one["local"].startswith("fe80")
    )


def _text(one: dict[str, Any]) -> str:
    """Lifetimes run, so numbers of seconds are told from each other only as none, some and for ever."""
    kept = {key: value for key, value in one.items() if key not in VOLATILE}
    life = kept.get("preferred_life_time")
    if life is not None:
        kept["preferred_life_time"] = "none" if life == 0 else "forever" if life == 0xFFFFFFFF else "some"
    return re.sub(r"\s+", " ", json.dumps(kept, sort_keys=True))
