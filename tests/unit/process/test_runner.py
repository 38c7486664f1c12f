"""The runner's work with real scripts: trackers, check scripts, notifies, FIFOs."""

import asyncio
import os
import time
from pathlib import Path

import pytest
import uvloop

from fastha.model.plan import Command, Fifo, Notifies, RunnerPlan, TrackFile, TrackProcess, TrackScript
from fastha.model.units import MS, S
from fastha.process import notifier
from fastha.process.messages import (
    ScriptDrop,
    ScriptOrder,
    ScriptReport,
    ScriptSeen,
    Tell,
    Told,
    TrackerFile,
    TrackerProcess,
    TrackerScript,
)
from fastha.process.runner import Runner


class FakeChild:
    """What a `Child` offers to its work."""

    run_dir = "/nonexistent"

    def __init__(self, loop):
        self.loop = loop
        self.sent = []
        self.lines = []
        self.finished = loop.create_future()
        self.peers = set()

    def send(self, peer, message):
        self.sent.append((peer, message))

    def log(self, level, text, cause=""):
        self.lines.append(text)

    def lost(self):
        return {}

    def peer_alive(self, peer):
        return peer in self.peers

    def finish(self, exit_code=0):
        self.finished.set_result(exit_code)

    def of(self, kind, peer=None):
        return [message for to, message in self.sent if isinstance(message, kind) and peer in {None, to}]


def run(main, plan=None):
    """`main(child, runner)` with a started runner; it is stopped afterwards."""
    loop = uvloop.new_event_loop()

    async def everything():
        child = FakeChild(loop)
        runner = Runner(child)
        runner.start(plan or RunnerPlan(), frozenset())
        try:
            await main(child, runner)
        finally:
            runner.stop(True)
            await asyncio.wait_for(child.finished, 10)

    try:
        loop.run_until_complete(asyncio.wait_for(everything(), 60))
    finally:
        loop.close()


async def until(condition, seconds=10.0, what="condition"):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"timed out: {what}"
        await asyncio.sleep(0.005)
    return value


def sh(text: str) -> Command:
    return Command(argv=("/bin/sh", "-c", text))


# ------------------------------------------------------------------------------------ track scripts


def script(name="chk", text="true", **words) -> TrackScript:
    given = {"interval": 50 * MS, "timeout": 5 * S} | words
    return TrackScript(name=name, command=sh(text), **given)


def test_the_first_run_is_at_once_and_decides(tmp_path):
    flag = tmp_path / "down"
    plan = RunnerPlan(track_scripts=(script(text=f"test ! -e {flag}", rise=2, fall=3),))

    async def main(child, runner):
        await until(lambda: child.of(TrackerScript))
        assert child.of(TrackerScript) == [TrackerScript("chk", True)]
        flag.touch()
        await until(lambda: len(child.of(TrackerScript)) == 2)
        assert child.of(TrackerScript)[1] == TrackerScript("chk", False)
        assert "Script `chk` now returning 1" in child.lines
        assert "VRRP_Script(chk) failed (exited with status 1)" in child.lines
        flag.unlink()
        await until(lambda: len(child.of(TrackerScript)) == 3)
        assert "VRRP_Script(chk) succeeded" in child.lines
        snapshot = runner.snapshot().scripts[0]
        assert (snapshot.name, snapshot.state, snapshot.result) == ("chk", "up", "exit 0")
        child.sent.clear()
        runner.linked("vrrp")
        assert child.of(TrackerScript) == [TrackerScript("chk", True)]

    run(main, plan)


def test_a_script_that_overruns_has_failed_and_runs_are_skipped_meanwhile():
    plan = RunnerPlan(track_scripts=(script(text="exec sleep 60", timeout=200 * MS),))

    async def main(child, runner):
        await until(lambda: child.of(TrackerScript))
        assert child.of(TrackerScript) == [TrackerScript("chk", False)]
        assert "VRRP_Script(chk) timed_out" in child.lines
        assert runner.snapshot().counters["checks_skipped"] >= 1

    run(main, plan)


def test_a_script_that_cannot_be_run_has_failed():
    plan = RunnerPlan(track_scripts=(TrackScript(name="chk", command=Command(argv=("/nonexistent",)), interval=S),))

    async def main(child, runner):
        await until(lambda: child.of(TrackerScript))
        assert child.of(TrackerScript) == [TrackerScript("chk", False)]
        assert any("cannot be run" in line for line in child.lines)

    run(main, plan)


def test_reload_keeps_the_result_of_an_unchanged_script_only(tmp_path):
    count = tmp_path / "count"
    same = script("same", f"echo x >> {count}", interval=10 * S)
    plan = RunnerPlan(track_scripts=(same, script("other", "true", interval=10 * S)))

    async def main(child, runner):
        await until(lambda: len(child.of(TrackerScript)) == 2)
        child.sent.clear()
        changed = script("other", "false", interval=10 * S)
        runner.reload(RunnerPlan(track_scripts=(same, changed)))
        await until(lambda: child.of(TrackerScript))
        assert child.of(TrackerScript) == [TrackerScript("other", False)]
        assert count.read_text() == "x\n"
        runner.reload(RunnerPlan(track_scripts=(script("same", f"echo x >> {count}", interval=20 * MS),)))
        await until(lambda: count.read_text().count("x") > 3)
        assert [each.name for each in runner.snapshot().scripts] == ["same"]

    run(main, plan)


def test_hundreds_of_scripts_are_bounded_and_all_run(tmp_path):
    scripts = tuple(script(f"s{number}", "sleep 0.05", interval=60 * S) for number in range(200))

    async def main(child, runner):
        most = 0
        while len(child.of(TrackerScript)) < 200:
            most = max(most, runner.snapshot().counters["running"])
            await asyncio.sleep(0.002)
        assert most == 10

    run(main, RunnerPlan(track_scripts=scripts, script_limit=10))


# -------------------------------------------------------------------------------------- track files


def test_tracked_files(tmp_path):
    path = tmp_path / "d" / "maintenance"

    async def main(child, runner):
        values = lambda: [message.value for message in child.of(TrackerFile, "vrrp")]  # noqa: E731
        await until(lambda: values() == [0], what="missing directory")
        path.parent.mkdir()
        path.write_text("0x10 and more")
        await until(lambda: values()[-1] == 16, what="directory came")
        path.write_text("-3\n")
        await until(lambda: values()[-1] == -3)
        other = tmp_path / "d" / "new"
        other.write_text("7")
        os.rename(other, path)
        await until(lambda: values()[-1] == 7, what="replaced by a move")
        path.write_text("99999999999")
        await until(lambda: any("32 bits" in line for line in child.lines))
        assert values()[-1] == 7, "a number too large leaves the old value"
        path.write_text("rubbish")
        await until(lambda: values()[-1] == 0)
        path.write_text("5")
        await until(lambda: values()[-1] == 5)
        path.unlink()
        await until(lambda: values()[-1] == 0, what="deleted")
        path.parent.rmdir()
        path.parent.mkdir()
        path.write_text("9")
        await until(lambda: values()[-1] == 9, what="directory made anew")
        assert runner.snapshot().files == {"maintenance": 9}
        assert child.of(TrackerFile, "checker") == child.of(TrackerFile, "vrrp")
        for peer in ("vrrp", "checker"):
            child.sent.clear()
            runner.linked(peer)
            assert child.sent == [(peer, TrackerFile("maintenance", 9))]

    run(main, RunnerPlan(track_files=(TrackFile(name="maintenance", path=str(path)),)))


def test_files_are_made_with_their_first_value(tmp_path):
    (tmp_path / "there").write_text("4")
    (tmp_path / "over").write_text("4")
    files = (
        TrackFile(name="new", path=str(tmp_path / "new"), init_value=2),
        TrackFile(name="there", path=str(tmp_path / "there"), init_value=2),
        TrackFile(name="over", path=str(tmp_path / "over"), init_value=2, init_overwrite=True),
    )

    async def main(child, runner):
        assert runner.snapshot().files == {"new": 2, "there": 4, "over": 2}

    run(main, RunnerPlan(track_files=files))


# ---------------------------------------------------------------------------------- track processes


def test_tracked_processes(tmp_path):
    name = f"fhtrk{os.getpid() % 100000}"
    program = tmp_path / name
    program.symlink_to("/bin/sleep")
    track = TrackProcess(name="t", process=(str(program),), quorum=2, terminate_delay=300 * MS)

    async def main(child, runner):
        results = lambda: [message.up for message in child.of(TrackerProcess)]  # noqa: E731
        await until(lambda: results() == [False])
        processes = []
        try:
            processes.append(await asyncio.create_subprocess_exec(str(program), "60"))
            processes.append(await asyncio.create_subprocess_exec(str(program), "60"))
            await until(lambda: results() == [False, True])
            start = time.monotonic()
            processes[0].kill()
            await until(lambda: results() == [False, True, False])
            assert time.monotonic() - start >= 0.29
            processes.append(await asyncio.create_subprocess_exec(str(program), "60"))
            await until(lambda: results()[-1] is True)
        finally:
            for process in processes:
                if process.returncode is None:
                    process.kill()
                await process.wait()

    run(main, RunnerPlan(track_processes=(track,)))


# ------------------------------------------------------------------------------------ check scripts


def order(text="true", target=1, generation=1, **words) -> ScriptOrder:
    given = {"timeout": 5 * S, "delay": 0, "interval": 30 * MS, "expect_success": True, "shell": False} | words
    return ScriptOrder(
        target=target,
        generation=generation,
        argv=("/bin/sh", "-c", text),
        uid=os.geteuid(),
        gid=os.getegid(),
        groups=None,
        **given,
    )


def test_expected_results_are_only_seen_and_the_first_other_is_reported(tmp_path):
    flag, count = tmp_path / "down", tmp_path / "count"
    text = f"echo x >> {count}; test ! -e {flag}"

    async def main(child, runner):
        runner.received("checker", order(text))
        await until(lambda: child.of(ScriptSeen))
        assert child.of(ScriptSeen)[0].seen[0][:2] == (1, 0)
        assert count.read_text().count("x") > 3
        assert not child.of(ScriptReport)
        flag.touch()
        await until(lambda: child.of(ScriptReport))
        report = child.of(ScriptReport)[0]
        assert (report.target, report.generation, report.status, report.timed_out, report.error) == (1, 1, 1, False, "")
        runs = count.read_text().count("x")
        await asyncio.sleep(0.15)
        assert count.read_text().count("x") == runs, "held"
        runner.received("checker", order(text, generation=2, expect_success=False))
        await until(lambda: count.read_text().count("x") > runs + 2)
        assert len(child.of(ScriptReport)) == 1, "failure is now what is expected"
        flag.unlink()
        await until(lambda: len(child.of(ScriptReport)) == 2)
        assert child.of(ScriptReport)[1].generation == 2

    run(main)


@pytest.mark.parametrize(
    ("text", "words", "reported"),
    [
        ("exit 0", {"interval": 0}, (0, False)),
        ("exit 3", {"dynamic": True}, (3, False)),
        ("exit 1", {"dynamic": True}, (1, False)),
        ("kill -9 $$", {}, (137, False)),
        ("exec sleep 60", {"timeout": 100 * MS}, (143, True)),
    ],
)
def test_what_is_reported(text, words, reported):
    async def main(child, runner):
        runner.received("checker", order(text, **words))
        await until(lambda: child.of(ScriptReport))
        report = child.of(ScriptReport)[0]
        assert (report.status, report.timed_out) == reported

    run(main)


def test_a_dynamic_weight_that_is_expected_is_not_reported():
    async def main(child, runner):
        runner.received("checker", order("exit 12", dynamic=True, expect_status=12))
        await until(lambda: child.of(ScriptSeen))
        assert child.of(ScriptSeen)[0].seen[0][1] == 12
        assert not child.of(ScriptReport)

    run(main)


def test_what_cannot_be_run_is_reported_as_an_error():
    async def main(child, runner):
        missing = order()
        runner.received(
            "checker",
            ScriptOrder(
                *[getattr(missing, name) for name in ("target", "generation")],
                argv=("/nonexistent",),
                uid=0,
                gid=0,
                groups=None,
                shell=False,
                timeout=S,
                delay=0,
                interval=S,
                expect_success=True,
            ),
        )
        runner.received(
            "checker",
            ScriptOrder(
                2,
                1,
                ("nonexistent-word",),
                os.geteuid(),
                os.getegid(),
                None,
                shell=True,
                timeout=S,
                delay=0,
                interval=S,
                expect_success=True,
            ),
        )
        await until(lambda: len(child.of(ScriptReport)) == 2)
        assert all(report.error for report in child.of(ScriptReport))

    run(main)


def test_the_next_start_counts_from_the_last_start(tmp_path):
    stamps = tmp_path / "stamps"

    async def main(child, runner):
        runner.received("checker", order(f"date +%s%N >> {stamps}; sleep 0.15", interval=200 * MS, delay=100 * MS))
        received = time.time_ns()
        await until(lambda: stamps.exists() and stamps.read_text().count("\n") >= 4)
        times = [int(line) for line in stamps.read_text().split()]
        assert times[0] - received >= 95 * MS
        assert 580 * MS <= times[3] - times[0] <= 1500 * MS

    run(main)


def test_a_dropped_target_is_silent_and_its_run_ended(tmp_path):
    pid = tmp_path / "pid"

    async def main(child, runner):
        runner.received("checker", order(f"echo $$ > {pid}; exec sleep 60"))
        await until(lambda: pid.exists() and pid.read_text().strip())
        runner.received("checker", ScriptDrop(1))
        await until(lambda: runner.snapshot().counters["running"] == 0)
        assert not child.of(ScriptReport)
        assert runner.snapshot().counters["check_scripts"] == 0

    run(main)


def test_a_new_checker_finds_no_orders_of_the_old_one():
    async def main(child, runner):
        runner.received("checker", order())
        runner.linked("checker")
        assert runner.snapshot().counters["check_scripts"] == 0

    run(main)


# ----------------------------------------------------------------------------------------- notifies


def notifies(
    directory: Path, kind="INSTANCE", name="VI_1", pause="0", states=("MASTER", "BACKUP", "FAULT")
) -> Notifies:
    log = directory / "log"
    return Notifies(
        kind=kind,
        name=name,
        commands={state: sh(f"sleep {pause}; echo own {state} >> {log}") for state in states},
        generic=Command(argv=("/bin/sh", "-c", f'sleep {pause}; sleep 0.03; echo generic "$@" >> {log}', "-")),
    )


def lines(directory: Path) -> list[str]:
    path = directory / "log"
    return path.read_text().splitlines() if path.exists() else []


def test_state_script_then_generic_with_four_words_in_order_of_events(tmp_path):
    async def main(child, runner):
        for state in ("BACKUP", "MASTER", "BACKUP", "FAULT", "STOP"):
            runner.received("vrrp", Tell("INSTANCE", "VI_1", state, 100))
        await until(lambda: len(lines(tmp_path)) == 9)
        assert lines(tmp_path) == [
            "own BACKUP",
            "generic INSTANCE VI_1 BACKUP 100",
            "own MASTER",
            "generic INSTANCE VI_1 MASTER 100",
            "own BACKUP",
            "generic INSTANCE VI_1 BACKUP 100",
            "own FAULT",
            "generic INSTANCE VI_1 FAULT 100",
            "generic INSTANCE VI_1 STOP 100",
        ]

    run(main, RunnerPlan(notifies=(notifies(tmp_path),)))


def test_other_events_run_no_generic_and_groups_have_priority_0(tmp_path):
    plan = RunnerPlan(notifies=(notifies(tmp_path, "GROUP", "G", states=("MASTER_RX_LOWER_PRI",)),))

    async def main(child, runner):
        runner.received("vrrp", Tell("GROUP", "G", "MASTER_RX_LOWER_PRI", 7))
        runner.received("vrrp", Tell("GROUP", "G", "MASTER", 7))
        runner.received("vrrp", Tell("GROUP", "unknown", "MASTER", 7))
        await until(lambda: len(lines(tmp_path)) == 2)
        assert lines(tmp_path) == ["own MASTER_RX_LOWER_PRI", "generic GROUP G MASTER 0"]

    run(main, plan)


def test_servers_and_services_run_exactly_the_configured_words(tmp_path):
    log = tmp_path / "log"
    command = Command(argv=("/bin/sh", "-c", f'echo "$0 $#" >> {log}', "words"))
    plan = RunnerPlan(
        notifies=(
            Notifies(kind="VS", name="[10.0.0.1]:tcp:80", commands={"QUORUM_UP": command}),
            Notifies(kind="RS", name="[10.0.0.2]:tcp:80 [10.0.0.1]:tcp:80", commands={"DOWN": command}),
        )
    )

    async def main(child, runner):
        runner.received("checker", Tell("VS", "[10.0.0.1]:tcp:80", "UP"))
        runner.received("checker", Tell("VS", "[10.0.0.1]:tcp:80", "DOWN"))
        runner.received("checker", Tell("RS", "[10.0.0.2]:tcp:80 [10.0.0.1]:tcp:80", "DOWN"))
        await until(lambda: lines(tmp_path) == ["words 0", "words 0"])

    run(main, plan)


def test_what_a_reload_removed_has_its_last_words(tmp_path):
    async def main(child, runner):
        runner.reload(RunnerPlan())
        runner.received("checker", Tell("RS", "gone", "DOWN"))
        await until(lambda: lines(tmp_path) == ["own DOWN"])
        runner.reload(RunnerPlan())
        runner.received("checker", Tell("RS", "gone", "DOWN"))
        await asyncio.sleep(0.2)
        assert lines(tmp_path) == ["own DOWN"], "but not for ever"

    run(main, RunnerPlan(notifies=(notifies(tmp_path, "RS", "gone", states=("DOWN",)),)))


def test_a_hanging_script_holds_the_next_one_only_for_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(notifier, "PATIENCE", 0.3)
    log = tmp_path / "log"
    plan = RunnerPlan(
        notifies=(
            Notifies(
                kind="INSTANCE",
                name="VI_1",
                commands={"BACKUP": sh("exec sleep 1"), "MASTER": sh(f"echo master >> {log}")},
            ),
        ),
        script_limit=1,
    )

    async def main(child, runner):
        runner.received("vrrp", Tell("INSTANCE", "VI_1", "BACKUP", 1))
        runner.received("vrrp", Tell("INSTANCE", "VI_1", "MASTER", 1))
        start = time.monotonic()
        await until(lambda: lines(tmp_path) == ["master"])
        assert 0.25 < time.monotonic() - start < 2
        assert any("starts beside it" in line for line in child.lines)
        await until(lambda: runner.snapshot().counters["running"] == 0)

    run(main, plan)


def test_events_are_confirmed_when_their_scripts_have_started(tmp_path):
    log = tmp_path / "log"
    plan = RunnerPlan(
        notifies=(Notifies(kind="VS", name="v", commands={"QUORUM_UP": sh(f"sleep 0.2; echo x >> {log}")}),)
    )

    async def main(child, runner):
        runner.received("checker", Tell("VS", "v", "UP", serial=1))
        runner.received("checker", Tell("VS", "v", "DOWN", serial=2))
        runner.received("checker", Tell("VS", "v", "UP", serial=3))
        await until(lambda: child.of(Told))
        assert sorted(serial for told in child.of(Told) for serial in told.serials) == [1, 2]
        assert not lines(tmp_path)
        await until(lambda: sorted(serial for told in child.of(Told) for serial in told.serials) == [1, 2, 3])
        assert lines(tmp_path) == ["x"], "the third waited for the first to end"

    run(main, plan)


def test_too_many_events_of_one_object_are_lost_with_a_count():
    plan = RunnerPlan(notifies=(Notifies(kind="VS", name="v", commands={"QUORUM_UP": sh("sleep 0.1")}),))

    async def main(child, runner):
        for number in range(100):
            runner.received("checker", Tell("VS", "v", "UP", serial=number))
        assert runner.snapshot().counters["notify_lost"] == 35
        await until(lambda: runner.snapshot().counters["started"] == 1)
        runner._notifier._lines.clear()
        await until(lambda: runner.snapshot().counters["running"] == 0)

    run(main, plan)


def test_a_failing_notify_script_is_told():
    plan = RunnerPlan(notifies=(Notifies(kind="VS", name="v", commands={"QUORUM_UP": sh("echo why; exit 4")}),))

    async def main(child, runner):
        runner.received("checker", Tell("VS", "v", "UP"))
        await until(lambda: any("exit 4" in line for line in child.lines))
        assert any(line.endswith("why") for line in child.lines)

    run(main, plan)


def test_fifo_lines(tmp_path):
    uid, gid = os.geteuid(), os.getegid()
    both = Fifo(path=str(tmp_path / "all"), kinds=("INSTANCE", "GROUP", "VS", "RS"), uid=uid, gid=gid)
    vrrp = Fifo(path=str(tmp_path / "vrrp"), kinds=("INSTANCE", "GROUP"), uid=uid, gid=gid)
    lvs = Fifo(path=str(tmp_path / "lvs"), kinds=("VS", "RS"), uid=uid, gid=gid)

    async def main(child, runner):
        for tell in (
            Tell("INSTANCE", "VI_1", "MASTER", 100),
            Tell("GROUP", "G", "FAULT", 9),
            Tell("INSTANCE", "VI_1", "MASTER_PRIORITY", 90),
            Tell("VS", "[10.0.0.1]:tcp:80", "UP"),
            Tell("RS", "[10.0.0.2]:tcp:80 [10.0.0.1]:tcp:80", "DOWN"),
            Tell("RS", "[10.0.0.2]:tcp:80 [10.0.0.1]:tcp:80", "", mail_subject="only a mail", mail_body="x"),
        ):
            runner.received("vrrp", tell)
        vrrp_lines = b'INSTANCE "VI_1" MASTER 100\nGROUP "G" FAULT 0\nINSTANCE "VI_1" MASTER_PRIORITY 90\n'
        lvs_lines = b"VS [10.0.0.1]:tcp:80 UP\n\0RS [10.0.0.2]:tcp:80 [10.0.0.1]:tcp:80 DOWN\n\0"
        for fifo, wanted in ((both, vrrp_lines + lvs_lines), (vrrp, vrrp_lines), (lvs, lvs_lines)):
            fd = os.open(fifo.path, os.O_RDONLY | os.O_NONBLOCK)
            assert os.read(fd, 65536) == wanted
            os.close(fd)

    run(main, RunnerPlan(fifos=(both, vrrp, lvs)))
    assert not list(tmp_path.iterdir())


def test_what_is_said_again_reaches_fifos_only(tmp_path):
    path = tmp_path / "fifo"
    fifo = Fifo(path=str(path), kinds=("INSTANCE",), uid=os.geteuid(), gid=os.getegid())
    notifies = Notifies(kind="INSTANCE", name="VI_1", generic=sh(f"echo ran >> {tmp_path}/log"))

    async def main(child, runner):
        reading = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        runner.received("vrrp", Tell("INSTANCE", "VI_1", "MASTER", 100, only_fifo=True, serial=7))
        await until(lambda: (7,) in [told.serials for told in child.of(Told, "vrrp")])
        assert os.read(reading, 4096) == b'INSTANCE "VI_1" MASTER 100\n'
        os.close(reading)
        assert runner.snapshot().counters["started"] == 0

    run(main, RunnerPlan(fifos=(fifo,), notifies=(notifies,)))
    assert not (tmp_path / "log").exists()


def test_fifo_script_reads_it_is_restarted_and_ended(tmp_path):
    path, log = tmp_path / "fifo", tmp_path / "log"
    reader = Command(argv=("/bin/sh", "-c", f'while read line; do echo "$line" >> {log}; exit 0; done < "$0"'))
    fifo = Fifo(path=str(path), kinds=("VS",), uid=os.geteuid(), gid=os.getegid(), script=reader)

    async def main(child, runner):
        runner.received("checker", Tell("VS", "v", "UP"))
        await until(lambda: lines(tmp_path) == ["VS v UP"])
        await until(lambda: any("starting it again in 1 s" in line for line in child.lines))
        runner.received("checker", Tell("VS", "v", "DOWN"))
        await until(lambda: len(lines(tmp_path)) == 2)

    run(main, RunnerPlan(fifos=(fifo,)))


def test_an_unusable_fifo_is_told_and_the_rest_works(tmp_path):
    (tmp_path / "file").write_text("x")
    bad = Fifo(path=str(tmp_path / "file"), kinds=("VS",), uid=os.geteuid(), gid=os.getegid())

    async def main(child, runner):
        assert any("is no FIFO" in line for line in child.lines)
        runner.received("checker", Tell("VS", "v", "UP"))

    run(main, RunnerPlan(fifos=(bad,)))


def test_leaving_waits_for_the_peers_last_words_and_their_scripts(tmp_path):
    loop = uvloop.new_event_loop()

    async def everything():
        child = FakeChild(loop)
        runner = Runner(child)
        child.peers = {"vrrp"}
        runner.start(RunnerPlan(notifies=(notifies(tmp_path, pause="0.2", states=("STOP",)),)), frozenset())
        runner.stop(True)
        await asyncio.sleep(0.1)
        runner.received("vrrp", Tell("INSTANCE", "VI_1", "STOP", 100))
        child.peers.clear()
        await asyncio.wait_for(child.finished, 10)
        assert lines(tmp_path) == ["own STOP", "generic INSTANCE VI_1 STOP 100"]

    loop.run_until_complete(everything())
    loop.close()
