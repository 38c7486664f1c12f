"""A bed of hostile servers: whatever they do, the others are checked on time, and nothing is left of it.

Short here; `--soak` has 100,000 silent targets and minutes.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fastha._checks import ProbeEngine
from fastha.checks.recipes import Kind, ProbeOrder, Recipe, Report, Verdict
from fastha.model.net import Address
from fastha.model.plan import Regex
from fastha.model.units import MS, S
from tests.checker_driver import own_network
from tests.unit.probes.servers import OK, REQUEST, Server

pytestmark = [pytest.mark.netns, pytest.mark.timeout(900)]
EACH = 8
"""Targets of each kind of server."""
GOOD = 40
EVERY = 250 * MS
TIMEOUT = 200 * MS


def read(connection: socket.socket) -> None:
    connection.recv(4096)


def good(connection: socket.socket) -> None:
    read(connection)
    connection.sendall(OK)


def resets(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def resets_in_the_middle(connection: socket.socket) -> None:
    read(connection)
    connection.sendall(OK[:20])
    resets(connection)


def says_nothing(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def endless(head: bytes, piece: bytes, pause: float) -> Callable[[socket.socket], None]:
    def script(connection: socket.socket) -> None:
        read(connection)
        connection.sendall(head)
        while True:
            connection.sendall(piece)
            time.sleep(pause)

    return script


def once(data: bytes) -> Callable[[socket.socket], None]:
    def script(connection: socket.socket) -> None:
        read(connection)
        connection.sendall(data)

    return script


HEAD = b"HTTP/1.1 200 OK\r\n"
ALERT = b"\x15\x03\x03\x00\x02\x02\x28"
HOSTILE: dict[str, tuple[Kind, Callable[[socket.socket], None]]] = {
    "reset": (Kind.HTTP, resets),
    "reset in the middle": (Kind.HTTP, resets_in_the_middle),
    "nothing": (Kind.HTTP, says_nothing),
    "a byte at a time": (Kind.HTTP, endless(b"", b"H", 0.02)),
    "endless header": (Kind.HTTP, endless(HEAD, b"X-Y: zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\r\n" * 100, 0.001)),
    "endless body": (Kind.HTTP, endless(HEAD + b"\r\n", b"b" * 65536, 0.005)),
    "wrong length": (Kind.HTTP, once(HEAD + b"Content-Length: 99999999999999999999\r\n\r\nabc")),
    "no header": (Kind.HTTP, once(os.urandom(3000))),
    "garbage for TLS": (Kind.SSL, once(os.urandom(3000))),
    "an alert": (Kind.SSL, once(ALERT)),
    "half a record": (Kind.SSL, once(b"\x16\x03\x03\x40\x00\x02")),
    "silence for TLS": (Kind.SSL, says_nothing),
    "endless mail greeting": (Kind.SMTP, endless(b"", b"220-" * 100, 0.001)),
}
SANITIZED = "asan" in os.environ.get("LD_PRELOAD", "")
"""The address sanitizer keeps what was freed for a while."""
NEVER = Regex(pattern="never+to+be+found")


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port whose SYNs are dropped: nobody accepts, and the queue is full."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        yield port


def recipe(kind: Kind, port: int, number: int = 0) -> Recipe:
    address = Address(f"127.{1 + (number >> 14)}.{number >> 7 & 127}.{1 + (number & 127)}")
    if kind == Kind.TCP:
        return Recipe(kind=kind, address=address, port=port, timeout=TIMEOUT)
    if kind == Kind.SMTP:
        return Recipe(kind=kind, address=address, port=port, timeout=TIMEOUT, request=b"HELO x\r\n", deadline=S)
    return Recipe(
        kind=kind, address=Address("127.0.0.1"), port=port, timeout=TIMEOUT, deadline=S, request=REQUEST,
        status_codes=((200, 200),), regex=NEVER if number else None,
    )  # fmt: skip


def patient(port: int) -> Recipe:
    """For a server that is well: its thread shares this process with all of the hostile ones."""
    return replace(recipe(Kind.HTTP, port), timeout=5 * S, deadline=10 * S)


class Bed:
    """An engine, the orders it has, and a core of the simplest kind: what fails is expected to fail from then on."""

    def __init__(self, engine: ProbeEngine) -> None:
        self.engine = engine
        self.recipes: list[Recipe] = []
        self.verdicts: dict[int, list[Verdict]] = {}

    def add(self, recipe: Recipe, every: int = EVERY) -> int:
        target = len(self.recipes)
        self.recipes.append(recipe)
        first = time.monotonic_ns() + target * 7919 % 1000 * every // 1000
        self.engine.order(ProbeOrder(target=target, generation=1, recipe=recipe, first=first, interval=every))
        return target

    def run(self, seconds: float, every: int = EVERY) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            select.select([self.engine.fileno()], [], [], 0.05)
            for report in self.engine.reports():
                self.answer(report, every)

    def answer(self, report: Report, every: int) -> None:
        self.verdicts.setdefault(report.target, []).append(report.verdict)
        self.engine.order(
            ProbeOrder(
                target=report.target, generation=report.generation + 1, recipe=self.recipes[report.target],
                first=report.finished + every, interval=every, expect_success=report.verdict == Verdict.SUCCESS,
            )
        )  # fmt: skip


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    """MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 1_000_000


@pytest.fixture
def engine() -> Iterator[ProbeEngine]:
    with own_network():
        engine = ProbeEngine(cap=400)
        engine.start()
        yield engine
        engine.stop()
        stats = engine.stats()
        assert stats["in_flight"] == stats["sockets"] == 0


def test_nothing_is_left_and_nobody_else_is_late(engine: ProbeEngine, soak: bool) -> None:
    bed = Bed(engine)
    servers = {name: Server(script) for name, (_, script) in HOSTILE.items()}
    fine = Server(good)
    try:
        kinds: dict[str, list[int]] = {}
        for name, (kind, _) in HOSTILE.items():
            kinds[name] = [bed.add(recipe(kind, servers[name].port, number + 1)) for number in range(EACH)]
        served = [bed.add(patient(fine.port)) for _ in range(GOOD)]
        bed.run(1.5)
        before, memory = descriptors(), resident()
        for _ in range(200 if soak else 3):
            bed.run(1)
            for server in servers.values():
                server.peers.clear()
                server.errors.clear()
            fine.peers.clear()
        assert not any(target in bed.verdicts for target in served), "a good server was blamed"
        assert engine.overdue(time.monotonic_ns()) == []
        lasts = [engine.last(target) for target in served]
        assert all(last.verdict == Verdict.SUCCESS and last.runs >= 10 for last in lasts)
        assert sorted(last.lateness for last in lasts)[GOOD // 2] < EVERY
        for name, targets in kinds.items():
            assert all(bed.verdicts[target][0] != Verdict.SUCCESS for target in targets), name
            assert all(len(bed.verdicts[target]) == 1 for target in targets), f"{name}: {bed.verdicts[targets[0]]}"
            assert all(engine.last(target).finished - engine.last(target).started < 3 * S for target in targets), name
        assert descriptors() < before + 300, "sockets in flight come and go; they do not gather"
        assert SANITIZED or resident() < memory + 30
    finally:
        for server in [*servers.values(), fine]:
            server.close()


def test_silent_targets_beyond_the_cap(engine: ProbeEngine, soak: bool) -> None:
    silent, every = (100_000, 5 * S) if soak else (4_000, S)
    bed = Bed(engine)
    fine = Server(good)
    try:
        with silent_port() as port:
            for number in range(silent):
                bed.add(recipe(Kind.TCP, port, number), every)
            bed.run(2, every)
            served = [bed.add(patient(fine.port)) for _ in range(GOOD)]
            bed.run(2, every)
            memory = resident()
            bed.run(180 if soak else 4, every)
            stats = engine.stats()
            assert stats["in_flight"] <= stats["cap"] == 400
            assert stats["starved"] > 0, "the cap was reached"
            assert not any(target in bed.verdicts for target in served), "a good server was blamed"
            lasts = [engine.last(target) for target in served]
            assert all(last.verdict == Verdict.SUCCESS for last in lasts)
            assert sorted(last.lateness for last in lasts)[GOOD // 2] < EVERY
            told = [verdicts[0] for target, verdicts in bed.verdicts.items() if target < silent]
            assert set(told) == {Verdict.TIMEOUT}
            assert SANITIZED or resident() < memory + 30
    finally:
        fine.close()
