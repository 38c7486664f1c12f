"""Virtual servers of many shapes, made from a seed, and what may become of them at a reload.

Only what all versions of keepalived and fastha agree about; where they differ, and why, stands in docs/differences.md.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

SCHEDULERS: Final = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh")
METHODS: Final = ("NAT", "DR", "TUN", "TUN type gue port 6080 csum", "TUN type gre csum", "TUN type gue port 6081")
SCRIPTS: Final = 2
"""Scripts, each with an exit code that can be changed."""


@dataclass(frozen=True)
class Server:
    """A real server. `doors`: which of the webs its TCP_CHECKs knock at; `script`: that of its MISC_CHECK."""

    address: str
    port: str
    words: tuple[str, ...] = ()
    doors: tuple[int, ...] = ()
    script: int | None = None


@dataclass(frozen=True)
class Shape:
    """A virtual server; `entries` are those of its group."""

    number: int
    header: str
    port: int
    words: dict[str, str]
    servers: tuple[Server, ...]
    entries: tuple[str, ...] = ()
    sorry: tuple[str, ...] = field(default=())
    six: bool = False
    """Its addresses are IPv6."""


class Maker:
    """Shapes out of a source of chance. `doors`: how many webs there are."""

    def __init__(self, chance: random.Random, doors: int) -> None:
        self._chance = chance
        self._doors = doors

    def _maybe(self, share: float) -> bool:
        return self._chance.random() < share

    def shape(self, number: int) -> Shape:
        chance, six = self._chance, self._maybe(0.3)
        kind = chance.choice(("address", "address", "address", "mark", "group", "mixed"))
        protocol = "TCP" if kind == "mixed" else chance.choice(("TCP", "TCP", "UDP", "SCTP"))
        port = 0 if kind == "mark" else chance.choice((80, 80, 81, 0)) if kind == "address" else 80
        at = f"fd00:aaaa:{number:x}::" if six else f"127.9.{number}."
        entries: tuple[str, ...] = ()
        if kind == "address":
            header = f"{at}1 {port or ''}"
        elif kind == "mark":
            header = f"fwmark {100 + number}"
        else:
            header = f"group g{number}"
            entries = (f"{at}1 {port}", f"{at}16-{'18' if six else '20'} {port}", f"{at}40 90")
            other = f"127.9.{number}.99" if six else f"fd00:aaaa:{number:x}::99"
            mark = f"fwmark {200 + number} {'inet6' if six else 'inet'}"
            entries = (*entries, f"{other} {port}" if kind == "mixed" else mark)
        method = "TUN" if kind == "mixed" else chance.choice(METHODS)
        words = {"lvs_method": method, "lvs_sched": chance.choice(SCHEDULERS)}
        if kind != "mark":
            words["protocol"] = protocol
        else:
            words["ip_family"] = "inet6" if six else "inet"
        words |= self._words(words["lvs_sched"], protocol, persistent=kind == "address")
        servers = tuple(self._server(number, index, port, method, six=six) for index in range(chance.randint(1, 4)))
        shape = Shape(number, header, port, words, servers, entries, six=six)
        if kind == "mixed":
            servers = tuple(replace(server, words=_without(server.words, "lvs_method")) for server in servers)
            shape = replace(shape, servers=servers)
        return self._with_quorum(self._with_sorry(shape) if self._maybe(0.4) else shape)

    def _words(self, scheduler: str, protocol: str, *, persistent: bool) -> dict[str, str]:
        words: dict[str, str] = {"retry": self._chance.choice(("1", "2"))}
        if scheduler in {"sh", "mh"}:
            words |= {f"{scheduler}-{flag}": "" for flag in ("port", "fallback") if self._maybe(0.5)}
        if persistent and self._maybe(0.4):
            words["persistence_timeout"] = self._chance.choice(("", "60"))
            if protocol == "UDP" and self._maybe(0.5):
                words["persistence_engine"] = "sip"
        if protocol == "UDP" and self._maybe(0.3):
            words["ops"] = ""
        words |= {word: "" for word in ("alpha", "omega") if self._maybe(0.4)}
        words |= {"inhibit_on_failure": ""} if self._maybe(0.2) else {}
        return words

    def _server(self, number: int, index: int, port: int, method: str, *, six: bool) -> Server:
        words = [f"weight {self._chance.choice((0, 1, 2, 5, 100))}"] if self._maybe(0.5) else []
        words += ["inhibit_on_failure"] if self._maybe(0.3) else []
        words += ["uthreshold 20", "lthreshold 5"] if self._maybe(0.2) else []
        if self._maybe(0.2):
            method = self._chance.choice(METHODS)
            words.append(f"lvs_method {method}")
        ported = self._chance.choice((str(port), "8080")) if port and method == "NAT" else str(port or "")
        address = f"fd00:{number:x}::{index + 1:x}" if six else f"10.9.{number}.{index + 1}"
        doors = tuple(self._chance.randrange(self._doors) for _ in range(self._chance.choice((0, 1, 1, 1, 2))))
        script = self._chance.randrange(SCRIPTS) if self._maybe(0.2) else None
        return Server(address, ported, tuple(words), doors, script)

    def _with_quorum(self, shape: Shape) -> Shape:
        total = sum(_weight(server) for server in shape.servers)
        if total > 1 and self._maybe(0.6):
            quorum = self._chance.randint(1, min(total, 5))
            words = shape.words | {"quorum": str(quorum), "hysteresis": str(self._chance.randrange(quorum))}
            return replace(shape, words=words)
        # A sum of 0 is one of the differences.
        return shape if total else replace(shape, servers=(replace(shape.servers[0], words=()), *shape.servers[1:]))

    def _with_sorry(self, shape: Shape) -> Shape:
        address = f"fd00:99::{shape.number:x}" if shape.six else f"10.99.0.{shape.number}"
        sorry = [f"sorry_server {address} {shape.port or ''}"]
        sorry += ["sorry_server_inhibit"] if self._maybe(0.4) else []
        return replace(shape, sorry=tuple(sorry))

    def changed(self, shape: Shape) -> Shape | None:
        """The same after somebody had his hands in the file; None: it is gone."""
        change = self._chance.choice(("none", "scheduler", "persistence", "weight", "less", "more", "alpha", "gone"))
        words, servers = dict(shape.words), shape.servers
        match change:
            case "gone":
                return None
            case "scheduler":
                words = {word: value for word, value in words.items() if word[:3] not in {"sh-", "mh-"}}
                words["lvs_sched"] = self._chance.choice(SCHEDULERS)
            case "persistence":
                words.pop("persistence_engine", None)
                words["persistence_timeout"] = "99"
            case "alpha":
                words = {word: value for word, value in words.items() if word != "alpha"}
            case "weight":
                first = servers[0]
                servers = (replace(first, words=(*_without(first.words, "weight"), "weight 7")), *servers[1:])
            case "less" if len(servers) > 1 and "quorum" not in words and not shape.entries:
                servers = servers[:-1]
            case "more" if not shape.sorry:
                address = f"fd00:{shape.number:x}::77" if shape.six else f"10.9.{shape.number}.77"
                servers = (*servers, Server(address, str(shape.port or "")))
        changed = replace(shape, words=words, servers=servers)
        return changed if sum(map(_weight, servers)) else shape


def _without(words: Sequence[str], word: str) -> tuple[str, ...]:
    return tuple(each for each in words if each.split()[0] != word)


def _weight(server: Server) -> int:
    return next((int(word.split()[1]) for word in server.words if word.startswith("weight")), 1)


def text_of(shape: Shape, ports: Sequence[int], script: Path) -> str:
    """The part of a configuration; `ports` are those of the webs on loopback."""
    lines = []
    if shape.entries:
        lines += [f"virtual_server_group g{shape.number} {{", *shape.entries, "}"]
    lines += [f"virtual_server {shape.header} {{", "delay_loop 1", "delay_before_retry 1", "warmup 0"]
    lines += ["connect_timeout 1", *(f"{word} {value}" for word, value in shape.words.items()), *shape.sorry]
    for server in shape.servers:
        lines += [f"real_server {server.address} {server.port} {{", *server.words]
        for door in server.doors:
            lines += ["TCP_CHECK {", "connect_ip 127.0.0.1", f"connect_port {ports[door]}", "}"]
        if server.script is not None:
            lines += ["MISC_CHECK {", f'misc_path "{script} {server.script}"', "misc_timeout 2", "}"]
        lines.append("}")
    return "\n".join([*lines, "}", ""])
