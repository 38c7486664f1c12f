"""Who watches the checks: an engine that stands still, a runner that is gone, thousands of scripts."""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from fastha.checks.recipes import Verdict
from fastha.export.text import plain_lines, tables
from fastha.model.net import Address
from fastha.model.plan import Checkers, Connection, RealServer, Service, ServiceCheck
from fastha.model.snapshot import CheckSnapshot, Histogram, Snapshot
from fastha.model.units import MS, S
from fastha.process.checkscripts import CheckScripts
from fastha.process.gate import Gate
from fastha.process.messages import (
    Message,
    Ping,
    Pong,
    ScriptOrder,
    ScriptReport,
    ScriptSeen,
    ServiceOrder,
    ServiceReport,
    ServiceSeen,
)
from fastha.system.scripts import Launcher
from tests.check_builders import misc
from tests.checker_driver import TICK, CheckerProcess, Web, plan_of, server

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
PATIENCE = 30.0


@pytest.fixture
def web() -> Iterator[Web]:
    one = Web()
    yield one
    one.close()


@contextmanager
def stopped_threads(pid: int) -> Iterator[None]:
    """All threads of a process but the first stand still, as if they hung."""
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    threads = [int(name) for name in os.listdir(f"/proc/{pid}/task") if int(name) != pid]
    held = []
    for thread in threads:
        if ptrace(PTRACE_SEIZE, thread, None, None) < 0 or ptrace(PTRACE_INTERRUPT, thread, None, None) < 0:
            pytest.skip(f"no ptrace here: {os.strerror(ctypes.get_errno())}")
        os.waitpid(thread, 0x40000000)  # __WALL: it has stopped
        held.append(thread)
    try:
        yield
    finally:
        for thread in held:
            ptrace(PTRACE_DETACH, thread, None, None)


def the_check(process: CheckerProcess) -> CheckSnapshot:
    (shown,) = process.snapshot().virtual_servers[0].real_servers[0].checkers
    return shown


def shown_text(process: CheckerProcess, wall: float) -> str:
    """What `fastha status` says at this time."""
    whole = Snapshot(
        version="1", wall=wall, config="x", config_loaded_wall=0.0, config_note="", checker=process.snapshot()
    )
    return "\n".join(plain_lines(tables(whole), width=300))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_an_engine_that_stands_still_is_found_and_said(web: Web, tmp_path: Path) -> None:
    """It then does not answer the watchdog, and the supervisor starts another process."""
    with CheckerProcess(plan_of(server(web)), tmp_path) as process:
        process.until(lambda: the_check(process).has_run)
        assert process.ping()
        with stopped_threads(process.process.pid):

            def said() -> bool:
                process.say(Ping(8))
                return any("the probe engine has not gone round for" in line for line in process.log)

            process.until(said, "the complaint", patience=PATIENCE)
            assert sum("not gone round" in line for line in process.log) == 1
            assert any("overdue by two intervals; ordered again" in line for line in process.log)
        process._others.clear()
        process.until(lambda: bool(process.say(Ping(9))) or _pong(process, 9), "an answer when it goes on")
        process._others.clear()
        found = process.snapshot()
        assert sum(found.overdue.counts) == found.counters["overdue"] > 0
        assert found.overdue.maximum > S
        assert "checks were found idle for:" in shown_text(process, 1.0)
        assert process.stop() == 0


def _pong(process: CheckerProcess, serial: int) -> bool:
    return any(isinstance(each, Pong) and each.serial == serial for each in process._others)


def test_without_a_runner_verdicts_stay_and_their_age_shows(tmp_path: Path) -> None:
    check = misc(delay_loop=TICK)
    real = RealServer(address=Address("127.0.0.1"), port=80, checkers=Checkers(misc=(check,)))
    with CheckerProcess(plan_of(real), tmp_path) as process:
        process.until(lambda: bool(process.orders))
        ((target, order),) = process.orders.items()
        process.say(
            ScriptReport(target, order.generation, 1, False, 100.0, 10 * MS, lateness=7 * MS), to=process.runner
        )
        process.until(lambda: not the_check(process).up)
        assert process.runner is not None
        process.runner.close()
        process.runner = None
        process.read(1.0)
        shown = the_check(process)
        assert (shown.up, shown.result, shown.reason) == (False, "exit 1", "exit 1")
        assert (shown.last_wall, shown.lateness) == (100.01, 7 * MS)
        assert process.snapshot().counters["overdue"] == 0, "nobody can be asked to run it"
        text = shown_text(process, 7400.0)
        assert "exit 1" in text
        assert "2 h" in text, "of its last run"


def test_a_dialogue_goes_to_the_runner_and_its_words_come_back(tmp_path: Path) -> None:
    to = Connection(address=Address("127.0.0.1"), port=6379, connect_timeout=S)
    check = ServiceCheck(
        service=Service.REDIS, connection=to, delay_loop=TICK, delay_before_retry=TICK, retry=0, warmup=0, rise=2
    )
    real = RealServer(address=Address("127.0.0.1"), port=80, checkers=Checkers(service=(check,)))
    with CheckerProcess(plan_of(real), tmp_path) as process:

        def order() -> ServiceOrder:
            found = [each for each in process._others if isinstance(each, ServiceOrder)]
            return found[-1] if found else process.expect(ServiceOrder)

        def answer(verdict: Verdict, text: str) -> None:
            now = order()
            report = ServiceReport(now.target, now.generation, int(verdict), 0, 0, text, 50.0, MS, 2 * MS)
            process.say(report, to=process.runner)
            process.until(lambda: order().generation > now.generation, "the next order")

        first = order()
        assert (first.check, first.group, first.interval) == (check, "[127.9.9.9]:tcp:80", 0)
        answer(Verdict.SUCCESS, "PONG")
        process.say(ServiceSeen(((first.target, 0, "PONG", 60.0, 3),)), to=process.runner)
        process.until(lambda: the_check(process).last_wall == 60.0, "the expected result")
        shown = the_check(process)
        assert (shown.kind, shown.target, shown.result) == ("REDIS_CHECK", "127.0.0.1:6379", "PONG")
        answer(Verdict.STATUS, "LOADING")
        process.until(lambda: any("REDIS_CHECK is down: LOADING" in line for line in process.log), "a line in the log")
        answer(Verdict.SUCCESS, "PONG")
        shown = the_check(process)
        assert (shown.up, shown.successes_left, shown.reason, shown.result) == (False, 1, "LOADING", "PONG")
        text = shown_text(process, 1.0)
        assert "PONG; down by: LOADING" in text
        answer(Verdict.SUCCESS, "PONG")
        assert the_check(process).up
        assert process.plan(plan_of(replace(real, checkers=Checkers(service=(replace(check, tls=True),))))).error == ""
        assert the_check(process).up, "the state is kept"


def test_scripts_by_the_thousand_are_bounded_and_late_ones_show() -> None:
    """Each of 1,000 runs once a second in 16 places: they cannot all be on time, and that is told."""
    loop = uvloop.new_event_loop()
    said: list[Message] = []
    launcher = Launcher(loop, lambda level, text: None)
    gate = Gate(launcher, 16)
    scripts = CheckScripts(loop, gate, said.append)

    async def main() -> int:
        most, me = 0, (os.getuid(), os.getgid())
        for target in range(1000):
            order = ScriptOrder(target, 1, ("/bin/true",), *me, None, False, 9 * S, 0, S, True, group=f"{target % 9}")
            scripts.take(order)
        seen: set[int] = set()
        while len(seen) < 1000:
            most = max(most, gate.running)
            await asyncio.sleep(0.01)
            seen |= {row[0] for each in said if isinstance(each, ScriptSeen) for row in each.seen}
        scripts.forget_all()
        while launcher.runs:  # noqa: ASYNC110 - the launcher tells nobody
            await asyncio.sleep(0.01)
        return most

    try:
        assert loop.run_until_complete(asyncio.wait_for(main(), 60)) <= 16
    finally:
        loop.close()
    counters = scripts.outcomes.counters()
    assert counters["misc_succeeded"] >= 1000
    assert counters["misc_failed"] == counters["misc_local_errors"] == 0
    late = gate.lateness.histogram()
    assert isinstance(late, Histogram)
    assert sum(late.counts) >= 1000
    assert late.maximum > 100 * MS
    assert not [each for each in said if isinstance(each, ScriptReport)]
