"""The supervisor with fake children: start, crash, hang, reload, snapshot, end, orphans."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fastha.model import codec
from fastha.model.net import Address
from fastha.model.plan import (
    CheckerPlan,
    Command,
    Notifies,
    Plan,
    RunnerPlan,
    SupervisorPlan,
    VirtualServer,
    VrrpInstance,
    VrrpPlan,
)
from fastha.model.snapshot import Snapshot
from fastha.model.units import MS, S
from fastha.system import procs

HERE = Path(__file__).parent
PLAN = Plan(
    supervisor=SupervisorPlan(child_wait_time=2 * S, watchdog=1 * S),
    vrrp=VrrpPlan(instances=(VrrpInstance(name="VI_1", interface="lo", virtual_router_id=1),)),
    checker=CheckerPlan(
        virtual_servers=(VirtualServer(name="[10.0.0.1]:tcp:80", address=Address("10.0.0.1"), port=80),)
    ),
    runner=RunnerPlan(notifies=(Notifies(kind="INSTANCE", name="VI_1"),)),
)
PROGRAM = textwrap.dedent("""
    import sys, uvloop, dataclasses
    from types import SimpleNamespace
    from fastha.config.diagnostics import Diagnostic, Severity
    from fastha.model import codec
    from fastha.model.plan import Plan
    from fastha.process.supervisor import Options, Supervisor
    from fastha.system.log import Log

    run_dir = sys.argv[1]

    def read():
        try:
            with open(f"{run_dir}/plan.json", "rb") as file:
                plan = codec.decode(Plan, file.read())
            diagnostics = []
        except (OSError, ValueError) as error:
            plan, diagnostics = None, [Diagnostic(severity=Severity.ERROR, message=f"broken: {error}")]
        code = 2 if plan is None else 0
        return SimpleNamespace(plan=plan, diagnostics=diagnostics, exit_code=code, notes_not_in_effect=[], canonical="")

    loop = uvloop.new_event_loop()
    log = Log(console=True, syslog=False)
    options = Options(config="test.conf", run_dir=run_dir, package="fake_process")
    code = loop.run_until_complete(Supervisor(options, read, loop, log).run())
    log.close()
    raise SystemExit(code)
""")


def poll(condition, what="condition", seconds=15.0):
    """Wait until `condition()` is true; its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"timed out: {what}"
        time.sleep(0.01)
    return value


class Daemon:
    """A supervisor in a directory of its own."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.processes: list[subprocess.Popen] = []

    def write(self, plan: Plan) -> None:
        (self.run_dir / "plan.json").write_bytes(codec.encode(plan))

    def tell(self, child: str, what: str) -> Path:
        path = self.run_dir / f"{child}.{what}"
        path.touch()
        return path

    def start(self, *before: str) -> subprocess.Popen:
        self.log = open(self.run_dir / "log", "ab")  # noqa: SIM115
        process = subprocess.Popen(
            [*before, sys.executable, "-c", PROGRAM, str(self.run_dir)],
            stderr=self.log,
            env={**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parents[2]}"},
        )
        self.log.close()
        self.processes.append(process)
        return process

    def up(self, *before: str) -> subprocess.Popen:
        process = self.start(*before)
        poll(lambda: "running: " in self.text() or process.poll() is not None, "start")
        assert process.poll() is None, self.text()
        return process

    def text(self) -> str:
        return (self.run_dir / "log").read_text()

    def journal(self, child: str) -> list[str]:
        path = self.run_dir / f"{child}.journal"
        return path.read_text().splitlines() if path.exists() else []

    def events(self, child: str) -> list[str]:
        return [line.split(" ", 1)[1] for line in self.journal(child)]

    def pid(self, child: str) -> int:
        return int((self.run_dir / f"{ {'checker': 'checkers'}.get(child, child) }.pid").read_text())

    def ask(self, **request):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(self.run_dir / "control.sock"))
            sock.sendall(json.dumps(request).encode() + b"\n")
            with sock.makefile("rb") as file:
                return json.loads(file.readline())

    def snapshot(self) -> Snapshot:
        return codec.decode(Snapshot, json.dumps(self.ask(op="status")["snapshot"]).encode())

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for child in ("vrrp", "checker", "runner"):
            for pid in {int(line.split()[0]) for line in self.journal(child)}:
                try:
                    if str(self.run_dir).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                        os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass


@pytest.fixture
def daemon(tmp_path):
    daemon = Daemon(tmp_path)
    daemon.write(PLAN)
    yield daemon
    daemon.end()


def test_start_link_snapshot_and_end_in_order(daemon):
    process = daemon.up()
    poll(lambda: any("from vrrp: Tell" in line for line in daemon.events("runner")), "the link vrrp - runner")
    poll(lambda: "linked runner" in daemon.events("checker"), "the link checker - runner")
    assert (daemon.run_dir / "control.sock").stat().st_mode & 0o777 == 0o600
    assert int((daemon.run_dir / "keepalived.pid").read_text()) == process.pid
    snapshot = daemon.snapshot()
    assert [(each.name, each.state, each.restarts) for each in snapshot.processes] == [
        ("vrrp", "running", 0),
        ("checker", "running", 0),
        ("runner", "running", 0),
    ]
    assert snapshot.vrrp.interfaces == {"lo": True}
    assert snapshot.checker.plane == "none"
    assert snapshot.runner.files == {"maintenance": 3}
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    for child in ("vrrp", "checker", "runner"):
        assert daemon.events(child)[-1] == "stop release=True"
    assert not list(daemon.run_dir.glob("*.pid"))
    assert not (daemon.run_dir / "control.sock").exists()
    assert "hello" in daemon.text()


def test_a_second_one_ends_with_a_message(daemon):
    first = daemon.up()
    second = daemon.start()
    assert second.wait(10) == 0
    assert f"already running as pid {first.pid}" in daemon.text()
    assert first.poll() is None


def test_killed_children_come_back_and_vrrp_resumes(daemon):
    daemon.up()
    poll(lambda: any("from vrrp: Tell" in line for line in daemon.events("runner")), "the first event")
    for child in ("runner", "checker", "vrrp"):
        older = daemon.pid(child)
        os.kill(older, signal.SIGKILL)
        poll(lambda child=child: daemon.events(child).count("born") == 2, f"{child} again")
    poll(lambda: "start resume=VI_1" in daemon.events("vrrp"), "resume")
    poll(lambda: all(each.state == "running" for each in daemon.snapshot().processes), "all running")
    snapshot = daemon.snapshot()
    assert [(each.restarts, each.last_exit) for each in snapshot.processes] == [(1, "killed by SIGKILL")] * 3
    poll(lambda: len([line for line in daemon.events("runner") if "from vrrp: Tell" in line]) >= 2, "relinked")


@pytest.mark.parametrize("how", ["hang", "sick"])
def test_the_watchdog_restarts_what_gives_no_sign_of_life(daemon, how):
    daemon.up()
    flag = daemon.tell("checker", how)
    poll(lambda: "checker" in daemon.text() and "no sign of life" in daemon.text(), "the watchdog")
    flag.unlink()
    poll(lambda: daemon.events("checker").count("born") == 2, "checker again")
    assert next(each for each in daemon.snapshot().processes if each.name == "checker").last_exit == "watchdog"
    assert daemon.events("vrrp").count("born") == 1


def test_a_stopped_process_is_killed(daemon):
    daemon.up()
    os.kill(daemon.pid("checker"), signal.SIGSTOP)
    poll(lambda: daemon.events("checker").count("born") == 2, "checker again")


def test_a_refusal_at_the_start_ends_the_daemon_and_says_why(daemon):
    daemon.tell("checker", "refuse")
    process = daemon.start()
    assert process.wait(15) == 1
    assert "running: " not in daemon.text()
    assert "checker: the kernel has no such thing" in daemon.text()
    assert daemon.events("vrrp")[-1] == "stop release=True"


def test_a_crashing_child_backs_off(daemon):
    daemon.tell("checker", "crash")
    daemon.start()
    poll(lambda: "starting it again in 1 s" in daemon.text(), "back-off")
    poll(lambda: "starting it again in 2 s" in daemon.text(), "back-off grows")
    assert daemon.events("checker").count("born") == 3
    state = next(each for each in daemon.snapshot().processes if each.name == "checker")
    assert (state.state, state.last_exit, state.restarts) == ("waiting", "exit 7", 2)
    assert daemon.events("vrrp").count("born") == 1


def test_reload_by_difference(daemon):
    daemon.up()
    without_checker = Plan(
        supervisor=PLAN.supervisor,
        vrrp=VrrpPlan(instances=(VrrpInstance(name="VI_1", interface="lo", virtual_router_id=1, priority=50),)),
        runner=PLAN.runner,
    )
    daemon.write(without_checker)
    assert daemon.ask(op="reload") == {"ok": True, "note": ""}
    assert daemon.events("vrrp")[-1] == "reload"
    assert "reload" not in daemon.events("runner")
    assert daemon.events("checker")[-1] == "stop release=True"
    daemon.write(PLAN)
    daemon.processes[0].send_signal(signal.SIGHUP)
    poll(lambda: daemon.events("checker").count("born") == 2, "checker again")
    poll(lambda: daemon.text().count("reload complete") == 2, "reload complete")


def test_a_vrrp_process_that_is_needed_no_more_tells_of_what_left_the_file_before_it_stops(daemon):
    daemon.up()
    daemon.write(Plan(supervisor=PLAN.supervisor, checker=PLAN.checker, runner=PLAN.runner))
    assert daemon.ask(op="reload") == {"ok": True, "note": ""}
    assert daemon.events("vrrp")[-2:] == ["reload", "stop release=True"]
    assert any("RELOADED" in line for line in daemon.events("runner"))
    daemon.write(PLAN)
    assert daemon.ask(op="reload") == {"ok": True, "note": ""}
    assert daemon.events("vrrp").count("born") == 2


def test_what_is_told_to_a_runner_that_is_not_needed_does_not_wait_for_one(daemon):
    def plan(priority: int, runner: RunnerPlan) -> Plan:
        instance = VrrpInstance(name="VI_1", interface="lo", virtual_router_id=1, priority=priority)
        return Plan(supervisor=PLAN.supervisor, vrrp=VrrpPlan(instances=(instance,)), runner=runner)

    daemon.write(plan(1, RunnerPlan()))
    daemon.up()
    daemon.write(plan(2, RunnerPlan()))
    assert daemon.ask(op="reload")["note"] == ""
    assert not daemon.events("runner")
    daemon.write(plan(3, PLAN.runner))
    assert daemon.ask(op="reload")["note"] == ""
    poll(lambda: any("Tell" in line for line in daemon.events("runner")), "the event of the last reload")
    told = [line for line in daemon.events("runner") if "Tell" in line]
    assert len(told) == 1
    assert "RELOADED" in told[0]


def test_a_broken_or_missing_file_keeps_the_old_plan(daemon):
    daemon.up()
    for spoil in (lambda path: path.write_text("{"), lambda path: path.unlink()):
        spoil(daemon.run_dir / "plan.json")
        answer = daemon.ask(op="reload")
        assert "the old configuration stays: broken" in answer["note"]
        assert "broken" in daemon.snapshot().config_note
    assert all("reload" not in daemon.events(child) for child in ("vrrp", "checker", "runner"))
    daemon.write(PLAN)
    assert daemon.ask(op="reload")["note"] == ""
    assert daemon.snapshot().config_note == ""


def test_a_child_that_refuses_a_reload_is_reported(daemon):
    daemon.up()
    daemon.tell("vrrp", "refuse")
    daemon.write(
        Plan(
            vrrp=VrrpPlan(instances=(VrrpInstance(name="VI_9", interface="lo", virtual_router_id=9),)),
            runner=PLAN.runner,
        )
    )
    assert daemon.ask(op="reload")["note"] == "vrrp: not this one"


def test_a_child_that_does_not_answer_is_none_in_the_snapshot(daemon):
    daemon.write(
        Plan(
            supervisor=SupervisorPlan(control_timeout=200 * MS),
            vrrp=PLAN.vrrp,
            checker=PLAN.checker,
            runner=PLAN.runner,
        )
    )
    daemon.up()
    daemon.tell("checker", "mute")
    snapshot = daemon.snapshot()
    assert snapshot.checker is None
    assert snapshot.vrrp is not None


def test_control_socket_answers_nonsense(daemon):
    daemon.up()
    assert daemon.ask(op="nothing")["error"].startswith("unknown op")
    assert daemon.ask(what=1)["ok"] is False
    assert daemon.ask(op="version")["ok"] is True


def test_a_new_supervisor_retires_the_orphans_and_resumes(daemon):
    process = daemon.up()
    orphans = {child: daemon.pid(child) for child in ("vrrp", "checker", "runner")}
    process.kill()
    process.wait()
    poll(lambda: all(os.path.exists(f"/proc/{pid}") for pid in orphans.values()), "orphans go on", 1)
    daemon.start()
    poll(lambda: daemon.text().count("running: ") == 2, "running again")
    for child, pid in orphans.items():
        assert f"{pid} stop release=False" in daemon.journal(child)
        assert procs.cmdline(pid) == [], "gone, or a zombie that nobody reaps in this container"
        assert daemon.pid(child) != pid
    assert daemon.events("vrrp")[-1].startswith(("start resume=VI_1", "linked"))
    assert "start resume=VI_1" in daemon.events("vrrp")


def test_orphans_that_nobody_claims_leave_in_order(daemon, monkeypatch):
    monkeypatch.setenv("FAKE_UNCLAIMED", "0.5")
    process = daemon.up()
    process.kill()
    process.wait()
    for child in ("vrrp", "checker", "runner"):
        poll(lambda child=child: daemon.events(child)[-1] == "stop release=True", f"{child} leaves")


def test_a_child_told_by_an_operator_leaves_in_order_and_comes_back(daemon):
    daemon.up()
    os.kill(daemon.pid("vrrp"), signal.SIGTERM)
    poll(lambda: daemon.events("vrrp").count("born") == 2, "vrrp again")
    assert "stop release=True" in daemon.events("vrrp")
    poll(lambda: daemon.events("vrrp").count("start resume=") == 2, "it gave its states up: nothing to resume")


def test_reloads_during_a_reload_are_merged(daemon):
    process = daemon.up()
    for _ in range(20):
        process.send_signal(signal.SIGHUP)
    poll(lambda: "reload complete" in daemon.text(), "reload")
    assert daemon.ask(op="reload") == {"ok": True, "note": ""}
    assert daemon.text().count("reload complete") < 15


def test_signals_write_keepalived_s_dump_files(daemon, tmp_path, monkeypatch):
    dumps = tmp_path / "dumps"
    dumps.mkdir()
    monkeypatch.setenv("TMPDIR", str(dumps))
    process = daemon.up()
    process.send_signal(signal.SIGUSR1)
    poll(lambda: {path.name for path in dumps.glob("*.data")} >= {"keepalived.data", "keepalived_check.data"}, "data")
    assert (dumps / "keepalived_parent.data").read_text().startswith("------< Global definitions >------\n")
    assert " Name = lo\n" in (dumps / "keepalived.data").read_text()
    process.send_signal(signal.SIGUSR2)
    poll((dumps / "keepalived.stats").exists, "statistics")
    before = (dumps / "keepalived.stats").stat().st_ino
    process.send_signal(signal.SIGRTMIN + 2)
    process.send_signal(signal.SIGRTMAX - 1)
    poll(lambda: (dumps / "keepalived.stats").stat().st_ino != before, "statistics again")
    assert process.poll() is None, "no signal of keepalived's ends us"
    assert not (dumps / "keepalived.json").exists(), "not written without instances"
    assert not list(dumps.glob(".*")), "nothing is left beside the files"


def test_signals_meant_for_the_supervisor_do_not_end_a_child(daemon):
    daemon.up()
    pid = daemon.pid("vrrp")
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGRTMIN + 2, signal.SIGRTMAX - 1):
        os.kill(pid, number)
    assert daemon.ask(op="status")["snapshot"]["vrrp"], "it answers after them"
    assert daemon.pid("vrrp") == pid
    assert procs.read_process(pid) is not None


def test_the_runner_knows_a_new_plan_before_the_others_act_on_it(daemon):
    process = daemon.up()
    runner = daemon.pid("runner")
    os.kill(runner, signal.SIGSTOP)
    try:
        changed = VrrpInstance(name="VI_1", interface="lo", virtual_router_id=2)
        daemon.write(replace(PLAN, vrrp=VrrpPlan(instances=(changed,)), runner=replace(PLAN.runner, router_id="new")))
        process.send_signal(signal.SIGHUP)
        poll(lambda: "reload: " in daemon.text(), "the reload to be under way")
        assert not any(line.endswith("reload") for line in daemon.journal("vrrp"))
    finally:
        os.kill(runner, signal.SIGCONT)
    poll(lambda: any("RELOADED" in line for line in daemon.journal("runner")), "the event")
    lines = daemon.journal("runner")
    at = [next(n for n, line in enumerate(lines) if word in line) for word in (" reload", "RELOADED")]
    assert at == sorted(at)


def test_a_child_that_will_not_leave_is_killed(daemon):
    process = daemon.up()
    daemon.tell("vrrp", "stay")
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert "did not end within 2 s: killed" in daemon.text()


def test_start_up_and_shutdown_scripts_run_around_everything(daemon):
    settings = SupervisorPlan(
        startup_script=Command(argv=("/bin/sh", "-c", f"echo up > {daemon.run_dir}/up; sleep 0.3; echo no; exit 3")),
        shutdown_script=Command(argv=("/bin/sh", "-c", f"cp {daemon.run_dir}/vrrp.journal {daemon.run_dir}/down")),
    )
    daemon.write(Plan(supervisor=settings, vrrp=PLAN.vrrp))
    process = daemon.up()
    assert (daemon.run_dir / "up").exists()
    assert "startup_script /bin/sh: exit 3: no" in daemon.text()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert "stop release=True" in (daemon.run_dir / "down").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="a PID namespace needs root")
def test_process_1_of_a_container_leaves_no_zombies(daemon):
    script = Command(argv=("/bin/sh", "-c", "(sleep 0.2; exit 0) & (sleep 0.4; exit 1) & exit 0"))
    daemon.write(Plan(supervisor=SupervisorPlan(startup_script=script), vrrp=PLAN.vrrp, runner=PLAN.runner))
    outside = daemon.up("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    children = f"/proc/{outside.pid}/task/{outside.pid}/children"
    supervisor = int(Path(children).read_text())

    def states() -> list[str]:
        found = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
        return [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in found]

    poll(lambda: len(states()) == 2, "only the two children are left")
    assert "Z" not in states()


def test_service_manager_hears_ready_reloading_stopping(daemon, monkeypatch):
    path = daemon.run_dir / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        process = daemon.up()
        assert manager.recv(1000).startswith(b"READY=1\n")
        process.send_signal(signal.SIGHUP)
        assert manager.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert manager.recv(1000).startswith(b"READY=1\n")
        process.send_signal(signal.SIGTERM)
        assert manager.recv(1000) == b"STOPPING=1"
        process.wait(10)


def test_what_a_child_in_back_off_has_left_is_released_at_the_end(daemon):
    process = daemon.up()
    for child in ("vrrp", "checker"):
        daemon.tell(child, "crash")
        os.kill(daemon.pid(child), signal.SIGKILL)
    poll(lambda: daemon.text().count("starting it again in 1 s") == 2, "back-off of both")
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    for child in ("vrrp", "checker"):
        assert daemon.events(child)[-1] == "release STOP"
        assert f"{child}: releasing what its last process left" in daemon.text()
    assert any("state='STOP'" in line for line in daemon.events("runner")), "and it is told"


def test_a_child_killed_because_it_will_not_leave_is_released_too(daemon):
    process = daemon.up()
    daemon.tell("vrrp", "stay")
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert daemon.events("vrrp")[-3:] == ["stop release=True", "born", "release STOP"]


def test_when_nobody_speaks_for_a_master_its_addresses_are_released_once(daemon, monkeypatch):
    monkeypatch.setenv("FAKE_MASTER_DOWN", "2.5")
    daemon.up()
    daemon.tell("vrrp", "crash")
    os.kill(daemon.pid("vrrp"), signal.SIGKILL)
    poll(lambda: "release FAULT" in daemon.events("vrrp"), "the release")
    poll(lambda: any("state='FAULT'" in line for line in daemon.events("runner")), "the word of it")
    assert "no vrrp process for longer than a silent master is believed" in daemon.text()
    state = next(each for each in daemon.snapshot().processes if each.name == "vrrp")
    assert 0 < state.down_since_wall < time.time() - 2
    (daemon.run_dir / "vrrp.crash").unlink()
    poll(lambda: daemon.events("vrrp")[-1].startswith(("start resume=", "linked")), "it comes back", 15)
    assert daemon.events("vrrp").count("release FAULT") == 1
    assert "start resume=VI_1" not in daemon.events("vrrp"), "nothing is resumed"
    poll(lambda: daemon.snapshot().processes[0].down_since_wall == 0, "it works again")


def test_a_master_that_hung_is_not_resumed(daemon, monkeypatch):
    monkeypatch.setenv("FAKE_MASTER_DOWN", "1.2")
    daemon.up()
    flag = daemon.tell("vrrp", "sick")
    poll(lambda: "no sign of life" in daemon.text(), "the watchdog")
    flag.unlink()
    poll(lambda: daemon.events("vrrp").count("start resume=") == 2, "a second start that resumes nothing either")


@pytest.mark.parametrize("code", [1, 2])
def test_an_accident_at_the_start_does_not_end_the_daemon(daemon, code):
    daemon.tell("checker", "crash").write_text(str(code))
    process = daemon.start()
    poll(lambda: "starting it again in 1 s" in daemon.text(), "back-off")
    assert process.poll() is None
    assert f"ended (exit {code})" in daemon.text()
