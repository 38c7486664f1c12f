"""The probe engine and its twin in virtual time lead the check core to the same decisions about the same servers."""

from __future__ import annotations

import random
import select
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby

import pytest

from fastha._checks import ProbeEngine
from fastha.checks.actions import Action, Changed, Probe
from fastha.checks.core import CheckCore
from fastha.checks.engine import ModelProbes, Outcome
from fastha.checks.life import Check
from fastha.checks.recipes import Recipe, Verdict
from fastha.model.net import Address
from fastha.model.plan import Connection, DnsCheck, SmtpCheck, UdpCheck
from fastha.model.units import MS, S
from tests.check_builders import OK, REFUSED, http, tcp
from tests.checker_driver import Web
from tests.probe_bench import connections, datagrams

pytestmark = pytest.mark.simulation

SERVERS = 12
PHASES = 4
PHASE = 1200 * MS
"""Long enough for every check to notice, retry and settle, on a busy machine too."""
TIMING = {"delay_loop": 100 * MS, "delay_before_retry": 50 * MS, "retry": 1, "warmup": 200 * MS}
BAD = b"HTTP/1.0 500 No\r\n\r\n"
GOOD = b"HTTP/1.0 200 OK\r\n\r\nhello"


class History:
    """A check core with its checkers, and how often each went up and down."""

    def __init__(self, checks: list[Check], now: int) -> None:
        self.core = CheckCore()
        self.changes: dict[int, list[str]] = {number: [] for number in range(len(checks))}
        self.first: list[Action] = []
        for number, check in enumerate(checks):
            _, orders = self.core.add(check, f"server {number}", now, fresh=True)
            self.first += orders

    def note(self, actions: list[Action], give: Callable[[Probe], None]) -> None:
        for action in actions:
            if isinstance(action, Changed):
                self.changes[action.target].append(action.change.name)
            elif isinstance(action, Probe):
                give(action)


def in_virtual_time(checks: list[Check], good: list[list[bool]], now: int) -> dict[int, list[str]]:
    history = History(checks, now)
    start = now + 2 * S

    def behave(target: int, recipe: Recipe, at: int) -> Outcome:
        phase = min(max(0, (at - start) // PHASE + 1), PHASES)
        if good[phase][target]:
            return OK
        return REFUSED if not recipe.request else Outcome(Verdict.STATUS, status=500)

    probes = ModelProbes(behave)
    history.note(history.first, lambda probe: probes.order(probe.order, now))
    end = start + PHASES * PHASE
    while (due := probes.deadline()) is not None and due <= end:
        for report in probes.advance(due):
            history.note(history.core.handle(report, due), lambda probe: probes.order(probe.order, due))
    return history.changes


class Served:
    """A server of the kind that a checker wants, which is well or not, as it is told."""

    def __init__(self, kind: str, stack: ExitStack) -> None:
        self.kind = kind
        self.good = True
        self.web: Web | None = None
        if kind in {"tcp", "http"}:
            self.web = Web()
            stack.callback(self.web.close)
            self.port = self.web.port
        elif kind == "smtp":
            self.port = stack.enter_context(connections(self._mail)).port
        else:
            self.port = stack.enter_context(datagrams(self._answer)).port

    def check(self, *, alpha: bool) -> Check:
        to = Connection(address=Address("127.0.0.1"), port=self.port, connect_timeout=S)
        common = {"connection": to, "alpha": alpha, **TIMING}
        match self.kind:
            case "tcp":
                return replace(tcp(), **common)
            case "http":
                return replace(http(urls=("/a", "/b", "/c")), **common)
            case "smtp":
                return SmtpCheck(**common)
            case "dns":
                return DnsCheck(**common)
        return UdpCheck(require_reply=True, reply=b"y", reply_mask=b"\xff", **common)

    def be(self, good: bool) -> None:
        if self.kind == "http" and self.web is not None:
            self.web.reply = GOOD if good else BAD
        elif self.web is not None and good != self.good:
            (self.web.reopen if good else self.web.close)()
        self.good = good

    def _mail(self, connection: socket.socket) -> None:
        for line in (b"220 a\r\n" if self.good else b"554 no\r\n", b"250 b\r\n", b"221 c\r\n"):
            connection.sendall(line)
            if not connection.recv(1000):
                return

    def _answer(self, data: bytes) -> list[bytes]:
        if self.kind == "dns":
            return [data[:2] + (b"\x80\x00" if self.good else b"\x80\x02") + data[4:]]
        return [b"yes" if self.good else b"no"]


def in_real_time(checks: list[Check], good: list[list[bool]], servers: list[Served]) -> dict[int, list[str]]:
    def begin(phase: int) -> None:
        for server, well in zip(servers, good[phase], strict=True):
            server.be(well)

    now = time.monotonic_ns()
    history = History(checks, now)
    engine = ProbeEngine()
    engine.start()
    try:
        begin(0)
        history.note(history.first, lambda probe: engine.order(probe.order))
        for phase in range(PHASES + 1):
            begin(phase)
            until = now + 2 * S + phase * PHASE
            while (left := until - time.monotonic_ns()) > 0:
                select.select([engine.fileno()], [], [], left / S)
                for report in engine.reports():
                    history.note(
                        history.core.handle(report, time.monotonic_ns()), lambda probe: engine.order(probe.order)
                    )
        assert engine.stats()["local_errors"] == 0
    finally:
        engine.stop()
    return history.changes


@pytest.mark.parametrize(("seed", "kinds"), [(1, ("http", "tcp", "tcp")), (2, ("smtp", "dns", "udp"))])
def test_both_probers_lead_to_the_same_decisions(seed: int, kinds: tuple[str, ...]) -> None:
    dice = random.Random(seed)
    good = [[True] * SERVERS]  # every server is well at first, so that both find the same before the first phase
    good += [[dice.random() < 0.5 for _ in range(SERVERS)] for _ in range(PHASES)]
    with ExitStack() as stack:
        servers = [Served(kinds[number % len(kinds)], stack) for number in range(SERVERS)]
        checks = [server.check(alpha=dice.random() < 0.3) for server in servers]
        real = in_real_time(checks, good, servers)
    virtual = in_virtual_time(checks, good, 0)
    assert real == virtual
    assert any("DOWN" in changes and "UP" in changes for changes in real.values())
    for changes in real.values():
        assert all(len(list(same)) == 1 for _, same in groupby(changes)), "up and down in turn"
