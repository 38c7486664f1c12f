"""C keepalived and fastha side by side: the same file, the same wire, the same things happening to both.

A `Case` is one vrrp_instance and what a scripted peer does to it. All cases of a `Stage` are instances of one
configuration; two segments of equal nodes, with equal addresses, carry one daemon each, and the scripts of all cases
run at the same time, so that dozens of cases take as long as the slowest. What each side did is a `Story`: FIFO lines,
adverts, announcements, log lines, counters, with the script's marks between them.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from fastha.model.net import Address, packed
from fastha.model.units import Ns, S
from fastha.wire import vrrp as wire
from fastha.wire.checksum import checksum
from tests.netns.segment import Frame, Segment, inside, run
from tests.poll import until

ROOT = Path(__file__).parents[2]
KEEPALIVED = os.environ.get("KEEPALIVED", "keepalived")
DETAIL = os.environ.get("DETAIL", "-D").split()
MACS = {"n1": "02:00:00:00:77:01", "n2": "02:00:00:00:77:02"}
SIX = "fe80::77:{}"


@dataclass(frozen=True)
class Change:
    """None: as it was. `before`, `after`: whether the instance is in the file before and after the reload."""

    words: str | None = None
    vips: tuple[str, ...] | None = None
    outside: str | None = None
    name: str | None = None
    before: bool = True
    after: bool = True


@dataclass(frozen=True)
class Case:
    """`words`: lines of the instance besides interface, router id and addresses; `script`: what happens to it."""

    name: str
    words: str
    script: Callable[[Peer], None]
    vips: tuple[str, ...] = ()
    """Default: one of its own."""
    outside: str = ""
    """What the file has for it outside the instance; {dir} is the side's directory."""
    links: int = 0
    """Interfaces of its own, on the same wire; {0}, {1} in `words` and `outside` are their names, {n} the case's
    number. The first is the instance's."""
    then: Change | None = None
    """What a reload makes of it; the script asks for that reload with `Peer.reload`, once."""
    timing: float | None = 0.3
    """None: a matter of phase. How much later, in seconds, one side's FIFO lines may follow a mark than the other's."""


@dataclass(frozen=True)
class Entry:
    at: float
    kind: str
    """mark, fifo, advert, announce, log."""
    text: str


@dataclass
class Story:
    """What one daemon did in one case."""

    entries: list[Entry] = field(default_factory=list)
    stats: dict[str, int] = field(default_factory=dict)
    data: dict[str, object] = field(default_factory=dict)
    failure: str = ""

    def texts(self, *kinds: str) -> list[str]:
        """In order of time, with the marks between them."""
        return [
            e.text if e.kind != "mark" else f"-- {e.text}"
            for e in self._until_end()
            if e.kind in kinds or e.kind == "mark"
        ]

    def delays(self, kind: str) -> list[tuple[str, float]]:
        """Entries of a kind from the first mark to the end, with the seconds since the mark before."""
        found, since = [], 0.0
        for e in self._until_end():
            if e.kind == "mark":
                since = e.at
            elif e.kind == kind and since:
                found.append((e.text, e.at - since))
        return found

    def _until_end(self) -> list[Entry]:
        entries = sorted(self.entries, key=lambda e: e.at)
        end = next((at for at, e in enumerate(entries) if (e.kind, e.text) == ("mark", "end")), len(entries))
        return entries[:end]


class Peer:
    """The other end, as the script of a case sees it."""

    def __init__(self, side: Side, case: Case, vrid: int, vips: tuple[str, ...]) -> None:
        self.side, self.case, self.vrid, self.vips = side, case, vrid, vips
        self.story = Story()
        self.family = 6 if ":" in vips[0] else 4
        self.version = 3 if "version 3" in case.words or self.family == 6 else 2

    def mark(self, text: str) -> None:
        self.story.entries.append(Entry(time.time(), "mark", text))

    def rest(self, seconds: float) -> None:
        time.sleep(seconds)

    def until(self, *states: str, seconds: float = 12) -> None:
        """Waits for FIFO lines of these states, in order, newer than those waited for before."""
        for state in states:
            until(lambda state=state: self._take(state), f"{self.case.name} to be {state} ({self.side.name})", seconds)

    def _take(self, state: str) -> bool:
        lines = [e for e in self.side.fifo_of(self.case.name) if e.at > self._seen]
        found = next((e for e in lines if e.text.split()[-2] == state), None)
        if found is not None:
            self._seen = found.at
        return found is not None

    _seen = 0.0

    def look(self, *words: str, drop: str = "") -> None:
        """What a command says in the daemon's node is part of the story; without what the pattern `drop` matches."""
        self.story.entries.append(Entry(time.time(), "look", re.sub(drop, "", self.side.node.run(*words, check=False))))

    def link(self, number: int = 0) -> str:
        return f"c{self.vrid}x{number}"

    def down(self, number: int = 0) -> None:
        self.side.node.ip("link", "set", self.link(number), "down")

    def up(self, number: int = 0) -> None:
        self.side.node.ip("link", "set", self.link(number), "up")

    def reload(self) -> None:
        """Waits for the scripts of all cases that want to be reloaded; then it happens, marked just before."""
        self.side.barrier.wait(20)

    def has(self) -> bool:
        return self.side.node.has(self.vips[0])

    def advert(
        self,
        priority: int = 200,
        *,
        source: str = "",
        destination: str = "",
        ttl: int = 255,
        interval: Ns = S,
        version: int = 0,
        vips: Sequence[str] | None = None,
        auth_type: int = 0,
        auth_data: bytes = b"",
        change: Callable[[bytearray], None] | None = None,
        trail: bytes = b"",
        extra: int = 0,
        kind: int = 1,
        old: bool = False,
        times: int = 1,
        every: float = 0.0,
    ) -> None:
        """Sends an advert for the case's router id. `change` spoils the finished message; `trail` follows it; `extra`
        is added to the total length the IP header gives."""
        source = source or (SIX.format(2) if self.family == 6 else "10.77.0.2")
        destination = destination or ("ff02::12" if self.family == 6 else "224.0.0.18")
        message = wire.Message(
            version=version or self.version,
            virtual_router_id=self.vrid,
            priority=priority,
            interval=interval,
            addresses=tuple(Address(v) for v in (self.vips if vips is None else vips)),
            auth_type=auth_type,
            auth_data=auth_data,
            type=kind,
        )
        payload = bytearray(
            wire.build(message, Address(source), Address("224.0.0.18" if old else destination), checksum_as_v2=False)
        )
        if change is not None:
            change(payload)
        data = bytes(payload) + trail
        for number in range(times):
            if number:
                time.sleep(every)
            self.side.send(source, destination, ttl, data, extra)
        time.sleep(0.02)  # a burst is another matter

    def command(self, *words: str) -> None:
        self.side.node.run(*words)

    def file(self, name: str, text: str | None) -> None:
        path = self.side.directory / name
        if text is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(text)


def fix_checksum(payload: bytearray, source: str, destination: str, *, pseudo: bool) -> None:
    """After a change, the checksum over it is right again."""
    payload[6:8] = b"\0\0"
    total = wire.message_checksum(bytes(payload), Address(source), Address(destination), pseudo=pseudo)
    payload[6:8] = total.to_bytes(2, "big")


class Side:
    """One segment: the daemon's node n1, the peer's node n2, and all that is seen and told."""

    def __init__(self, name: str, prefix: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        directory.mkdir(parents=True)
        self.segment = Segment(prefix)
        self.node, self.peer = self.segment.node(), self.segment.node()
        for node in (self.node, self.peer):
            node.run("sysctl", "-qw", "net.ipv6.conf.eth0.addr_gen_mode=1")
            node.ip("-6", "addr", "flush", "dev", "eth0")
            node.ip("link", "set", "eth0", "address", MACS[node.name])
            node.ip("addr", "add", f"{SIX.format(node.name[1:])}/64", "dev", "eth0", "nodad")
        self.capture = self.segment.capture()
        self._raw4 = inside(self.peer.namespace, self._open4)
        self._raw6 = inside(self.peer.namespace, self._open6)
        self.told: list[Entry] = []
        os.mkfifo(directory / "fifo")
        self._fifo = os.open(directory / "fifo", os.O_RDWR)
        self._stopping = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.process: subprocess.Popen[bytes] | None = None
        self.barrier = threading.Barrier(1)

    @staticmethod
    def _open4() -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        return sock

    @staticmethod
    def _open6() -> socket.socket:
        """Own IPv6 header and all, straight onto the link."""
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sock.bind(("eth0", 0))
        return sock

    def _read(self) -> None:
        pending = b""
        while not self._stopping:
            pending += os.read(self._fifo, 65536)
            at = time.time()
            *lines, pending = pending.split(b"\n")
            self.told += [Entry(at, "fifo", line.decode()) for line in lines if line]

    def fifo_of(self, name: str) -> list[Entry]:
        return [e for e in list(self.told) if f'"{name}"' in e.text]

    def send(self, source: str, destination: str, ttl: int, payload: bytes, extra: int) -> None:
        if ":" in source:
            header = struct.pack("!IHBB", 0x6C000000, len(payload) + extra, 112, ttl)
            packet = header + packed(Address(source)) + packed(Address(destination)) + payload
            there = b"\x33\x33" + packed(Address(destination))[-4:]
            if not destination.startswith("ff"):
                there = bytes.fromhex(MACS["n1"].replace(":", ""))
            self._raw6.send(there + bytes.fromhex(MACS["n2"].replace(":", "")) + b"\x86\xdd" + packet)
            return
        header = struct.pack(
            "!BBHHHBBH4s4s", 0x45, 0xC0, 20 + len(payload) + extra, 1, 0, ttl, 112, 0,
            packed(Address(source)), packed(Address(destination)),
        )  # fmt: skip
        header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
        if extra or not destination.startswith("224."):  # the kernel would set the length right
            there = bytes.fromhex("01005e000012" if destination.startswith("224.") else MACS["n1"].replace(":", ""))
            self._raw6.send(there + bytes.fromhex(MACS["n2"].replace(":", "")) + b"\x08\x00" + header + payload)
            return
        self._raw4.sendto(header + payload, (destination, 0))

    # ----------------------------------------------------------------------------------------- the daemon

    def plug(self, name: str, number: int, link: int) -> None:
        """An interface in the daemon's node, on the same wire."""
        run(
            "ip",
            "link",
            "add",
            name,
            "netns",
            self.node.namespace,
            "type",
            "veth",
            "peer",
            name,
            "netns",
            self.segment.hub,
        )
        self.node.run("sysctl", "-qw", f"net.ipv6.conf.{name}.addr_gen_mode=1", f"net.ipv6.conf.{name}.accept_dad=0")
        self.node.ip("link", "set", name, "address", f"02:00:00:00:{number:02x}:{link:02x}")
        self.node.ip("addr", "add", f"10.{78 + link}.{number}.1/24", "dev", name)
        self.node.ip("addr", "add", f"fe80::{78 + link}:{number}/64", "dev", name, "nodad")
        run("ip", "-n", self.segment.hub, "link", "set", name, "master", "br0", "up")
        self.node.ip("link", "set", name, "up")
        until(lambda: "LOWER_UP" in self.node.ip("link", "show", name), f"{name} to be up")

    def write(self, text: str) -> None:
        if self.name == "fastha":
            text = text.replace("global_defs {\n", "global_defs {\nvrrp_recording {dir}/recording.jsonl\n", 1)
        (self.directory / "conf").write_text(text.replace("{dir}", str(self.directory)).replace("{side}", self.name[0]))

    def start(self, text: str, *options: str) -> None:
        self.write(text)
        if self.name == "keepalived":
            pids = [f"--{word}={self.directory}/{word}" for word in ("pid", "vrrp_pid", "checkers_pid")]
            words = [KEEPALIVED, "-n", "-l", *DETAIL, "-G", "-P", "-f", f"{self.directory}/conf", *pids, *options]
        else:
            words = [sys.executable, "-m", "fastha", "-l", *DETAIL, "-G", "-P", "-c", f"{self.directory}/conf"]
            words += ["--run-dir", f"{self.directory}/run", *options]
        self.process = self.node.spawn(
            *words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=str(ROOT),
            env={**os.environ, "TMPDIR": str(self.directory)},
        )  # fmt: skip
        self.log: list[Entry] = []
        self._logger = threading.Thread(target=self._read_log, daemon=True)
        self._logger.start()

    def _read_log(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        with (self.directory / "log").open("ab") as file:
            for line in self.process.stdout:
                self.log.append(Entry(time.time(), "log", line.decode(errors="replace").rstrip()))
                file.write(line)

    @property
    def pid(self) -> int:
        name = "pid" if self.name == "keepalived" else "run/keepalived.pid"
        return int((self.directory / name).read_text())

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def dump(self, number: int, name: str) -> str:
        path = self.directory / name
        path.unlink(missing_ok=True)
        self.signal(number)

        def whole() -> str:
            text = path.read_text() if path.exists() else ""
            time.sleep(0.1)  # keepalived writes in place
            return text if text and path.read_text() == text else ""

        return until(whole, f"{name} of {self.name}")

    def json(self) -> list[dict[str, dict[str, object]]]:
        return json.loads(self.dump(signal.SIGRTMIN + 2, "keepalived.json"))  # type: ignore[no-any-return]

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        code = self.process.wait(15)
        self._logger.join(5)
        return code

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(15)
        self._stopping = True
        os.write(self._fifo, b"\n")
        self._reader.join(5)
        os.close(self._fifo)
        self._raw4.close()
        self._raw6.close()
        self.segment.close()


def config(cases: Sequence[Case], global_words: str = "", *, reloaded: bool = False) -> str:
    """All cases in one file, before or after the reload."""
    lines = [
        "global_defs {", "router_id duel", "script_user root", "enable_script_security",
        "vrrp_notify_fifo {dir}/fifo", global_words, "}",
    ]  # fmt: skip
    cases = [_reloaded(case) for case in cases] if reloaded else cases
    lines += [named(case.outside, number) for number, case in enumerate(cases, 1)]
    for number, case in enumerate(cases, 1):
        if case.then is not None and not (case.then.after if reloaded else case.then.before):
            continue
        interface = named("{0}", number) if case.links else "eth0"
        lines += [f"vrrp_instance {case.name} {{", f"interface {interface}", f"virtual_router_id {number}"]
        lines += [
            named(case.words, number),
            "virtual_ipaddress {",
            *(named(v, number) for v in vips_of(case, number)),
            "}",
            "}",
        ]
    return "\n".join(lines) + "\n"


def _reloaded(case: Case) -> Case:
    then = case.then or Change()
    changed = {word: getattr(then, word) for word in ("words", "vips", "outside", "name")}
    return replace(case, **{word: value for word, value in changed.items() if value is not None})


def named(text: str, number: int) -> str:
    """Names of a case's interfaces, and its number, for their places."""
    return text.replace("{0}", f"c{number}x0").replace("{1}", f"c{number}x1").replace("{n}", str(number))


def vips_of(case: Case, number: int) -> tuple[str, ...]:
    return case.vips or (f"10.77.1.{number}",)


def advert_text(frame: Frame) -> str:
    """What an advert says; the id of its IP header counts, and is left out."""
    ip = bytearray(frame.ip)
    if frame.ethertype == 0x0800:
        ip[4:6] = ip[10:12] = b"\0\0"
    return bytes(ip).hex()


def play(
    directory: Path, cases: Sequence[Case], global_words: str = "", prefix: str = "fhd"
) -> dict[str, dict[str, Story]]:
    """side -> case -> what happened."""
    text = config(cases, global_words)
    sides = [Side(name, f"{prefix}{os.getpid()}{name[0]}", directory / name) for name in ("keepalived", "fastha")]
    told: dict[str, dict[str, Story]] = {}
    try:
        threads = []
        for side in sides:
            for number, case in enumerate(cases, 1):
                for link in range(case.links):
                    side.plug(f"c{number}x{link}", number, link)
            side.start(text)
        for side in sides:
            peers = [
                Peer(side, case, n, tuple(v.split()[0].split("/")[0] for v in vips_of(case, n)))
                for n, case in enumerate(cases, 1)
            ]
            waiting = sum(case.then is not None for case in cases)
            after = config(cases, global_words, reloaded=True)
            side.barrier = threading.Barrier(max(waiting, 1), partial(_reload, side, peers, after))
            told[side.name] = {peer.case.name: peer.story for peer in peers}
            threads += [threading.Thread(target=_act, args=(peer,), daemon=True) for peer in peers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        for side in sides:
            described = side.json()
            for one in described:
                story = told[side.name].get(str(one["data"]["iname"]))
                if story is not None:
                    story.stats = one["stats"]  # type: ignore[assignment]
                    story.data = json.loads(json.dumps(one["data"]).replace(str(side.directory), "{dir}"))
        stops = [threading.Thread(target=side.stop) for side in sides]
        for thread in stops:
            thread.start()
        for thread in stops:
            thread.join(20)
        for side in sides:
            _collect(side, cases, told[side.name])
    finally:
        for side in sides:
            side.close()
    return told


def _reload(side: Side, peers: Sequence[Peer], text: str) -> None:
    side.write(text)
    for peer in peers:
        if peer.case.then is not None:
            peer.mark("reload")
    side.signal(signal.SIGHUP)


def _act(peer: Peer) -> None:
    try:
        peer.case.script(peer)
        peer.rest(0.2)  # what follows at once belongs to it
        peer.mark("end")
    except BaseException as problem:  # noqa: BLE001 - the test of the case tells
        peer.story.failure = f"{type(problem).__name__}: {problem}"


def _collect(side: Side, cases: Sequence[Case], stories: dict[str, Story]) -> None:
    adverts: dict[int, list[Frame]] = {}
    announced: dict[str, list[Frame]] = {}
    peer = bytes.fromhex(MACS["n2"].replace(":", ""))
    for frame in side.capture.frames:
        if frame.data[6:12] == peer:
            continue
        if frame.is_advert:
            adverts.setdefault(frame.vrrp[1], []).append(frame)
        elif frame.ethertype == 0x0806:
            announced.setdefault(socket.inet_ntoa(frame.data[28:32]), []).append(frame)
        elif frame.ethertype == 0x86DD and frame.data[20] == 58 and frame.data[54] == 136:
            announced.setdefault(socket.inet_ntop(socket.AF_INET6, frame.data[62:78]), []).append(frame)
    for number, case in enumerate(cases, 1):
        story = stories[case.name]
        story.entries += [Entry(f.at, "advert", advert_text(f)) for f in adverts.get(number, [])]
        for vip in {*vips_of(case, number), *vips_of(_reloaded(case), number)}:
            address = vip.split("/")[0].split()[0]
            story.entries += [Entry(f.at, "announce", f.data.hex()) for f in announced.get(address, [])]
        for name in {case.name, _reloaded(case).name}:
            story.entries += side.fifo_of(name)
        pattern = re.compile(rf"\({case.name}\)|[( ]{case.name}[): ]")
        story.entries += [Entry(e.at, "log", e.text) for e in side.log if pattern.search(e.text)]
