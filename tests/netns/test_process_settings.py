"""What the words about processes do to the processes: names, scheduling, limits, umask, scripts before and after."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastha.system import pidfile
from tests.netns.segment import Segment
from tests.poll import until

pytestmark = [pytest.mark.netns, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

ROOT = Path(__file__).parents[2]
CONFIG = """
instance one
child_wait_time 4
global_defs {{
    script_user root
    enable_script_security
    process_name front
    vrrp_process_name adverts
    checker_process_name checks
    checker_priority 7
    vrrp_rt_priority 20
    vrrp_rlimit_rttime 700000
    max_auto_priority 22
    min_auto_priority_delay 300000
    vrrp_cpu_affinity 0
    checker_cpu_affinity 0
    checker_no_swap
    umask 0027
    startup_script "{dir}/said startup"
    shutdown_script "{dir}/said shutdown"
    lvs_plane none
    config_save_dir {dir}/saved
    {more}
}}
vrrp_instance A {{
    interface eth0
    virtual_router_id 51
    virtual_ipaddress {{
        10.77.0.101/24
    }}
    notify "{dir}/said notify"
}}
virtual_server 10.77.0.101 80 {{
    real_server 127.0.0.1 81 {{
        TCP_CHECK
    }}
}}
"""


def facts(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def limit(pid: int, what: int) -> tuple[int, int]:
    return resource.prlimit(pid, what)


def test_words_about_processes(segment: Segment, tmp_path: Path) -> None:
    node = segment.node()
    said = tmp_path / "said"
    said.write_text(f'#!/bin/sh\necho "$* $(umask)" >> {tmp_path}/told\n')
    said.chmod(0o755)
    config = tmp_path / "conf"
    config.write_text(CONFIG.format(dir=tmp_path, more=""))
    run_dir = tmp_path / "run"
    words = [sys.executable, "-m", "fastha", "-l", "-G", "-c", str(config), "--run-dir", str(run_dir)]
    log = tmp_path / "log"
    with log.open("wb") as out:
        daemon = node.spawn(*words, stdout=out, stderr=subprocess.STDOUT, cwd=str(ROOT))
    until(lambda: "running: " in log.read_text() or daemon.poll() is not None, "the start", 20)
    assert daemon.poll() is None, log.read_text()

    def pid(name: str) -> int:
        found = pidfile.read_pid(str(run_dir / f"{name}_one.pid"))
        assert found is not None, name
        return found

    front, vrrp, checker, runner = (pid(name) for name in ("keepalived", "vrrp", "checkers", "runner"))
    assert [facts(each)["Name"] for each in (front, vrrp, checker, runner)] == [
        "front",
        "adverts",
        "checks",
        "fastha_runner",
    ]
    assert {facts(each)["Umask"] for each in (front, vrrp, checker, runner)} == {"0027"}
    assert os.getpriority(os.PRIO_PROCESS, checker) == 7
    assert os.getpriority(os.PRIO_PROCESS, runner) == 0
    assert os.sched_getaffinity(vrrp) == os.sched_getaffinity(checker) == {0}
    if "no real-time scheduling" not in log.read_text():
        assert os.sched_getscheduler(vrrp) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR
        assert os.sched_getparam(vrrp).sched_priority == 19, "its engine has 20"
        assert limit(vrrp, resource.RLIMIT_RTTIME)[1] == 700000
        os.kill(vrrp, signal.SIGSTOP)
        time.sleep(0.6)  # a pause is what is tested
        os.kill(vrrp, signal.SIGCONT)
        until(lambda: "real-time priority is 20 from now on" in log.read_text(), "a late timer", 5)
        assert os.sched_getparam(vrrp).sched_priority == 20
    if "cannot lock memory" not in log.read_text():
        assert int(facts(checker)["VmLck"].split()[0]) > 0
    assert os.path.samefile(f"/proc/{front}/cwd", "/")

    config.write_text(
        CONFIG.format(dir=tmp_path, more="reload_file")
        .replace("process_name adverts", "process_name speakers")
        .replace("process_name front", "process_name head")
    )
    daemon.send_signal(signal.SIGHUP)
    until(lambda: "reload complete" in log.read_text(), "the reload", 10)
    saved = tmp_path / "saved"
    assert saved.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in saved.iterdir()} == {
        f"keepalived.conf.{front}.0",
        f"keepalived.conf.{front}.1",
        *(
            f"keepalived_{name}.{process}.1.{when}"
            for name, process in (("vrrp", vrrp), ("check", checker))
            for when in ("pre", "post")
        ),
    }
    assert {path.stat().st_mode & 0o777 for path in saved.iterdir()} == {0o600}
    assert "vrrp_process_name adverts" in (saved / f"keepalived.conf.{front}.0").read_text()
    assert "vrrp_process_name speakers" in (saved / f"keepalived.conf.{front}.1").read_text()
    assert "VRRP Instance = A" in (saved / f"keepalived_vrrp.{vrrp}.1.pre").read_text()
    assert facts(vrrp)["Name"] == "speakers"
    assert facts(front)["Name"] == "head"

    until(lambda: "notify INSTANCE A MASTER" in (tmp_path / "told").read_text(), "mastership", 15)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(15) == 0
    told = (tmp_path / "told").read_text().splitlines()
    assert told[0] == "startup 0027"
    assert told[-1] == "shutdown 0027"
    assert any(line.startswith("notify INSTANCE A STOP") for line in told)
    assert not list(run_dir.glob("*.pid"))


def test_a_namespace_under_keepalived_s_name(segment: Segment, tmp_path: Path) -> None:
    """In the background, in a network namespace: pid files where keepalived has them, seen from inside and outside."""
    node = segment.node()
    program = tmp_path / "keepalived"
    program.write_text(f"#!{sys.executable}\nfrom fastha.cli.main import main\n\nraise SystemExit(main())\n")
    program.chmod(0o755)
    tell = tmp_path / "tell"
    tell.write_text(f'#!/bin/sh\necho "$* $(cat /run/keepalived/vrrp.pid)" >> {tmp_path}/told\n')
    tell.chmod(0o755)
    config = tmp_path / "conf"
    config.write_text(
        "global_defs {\n  script_user root\n  enable_script_security\n}\n"
        "vrrp_instance A {\n  interface eth0\n  virtual_router_id 51\n  priority 255\n"
        f'  virtual_ipaddress {{\n    10.77.0.101/24\n  }}\n  notify "{tell}"\n}}\n'
    )
    directory = Path("/run/keepalived") / node.namespace
    words = ["-s", node.namespace, "-G", f"-g{tmp_path}/log", "-f", str(config), "--run-dir", str(tmp_path / "run")]
    started = subprocess.run(
        [program, *words], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, timeout=30, check=False
    )
    assert (started.returncode, started.stdout, started.stderr) == (0, b"", b"")
    try:
        until((tmp_path / "told").exists, "the script", 20)
        front, vrrp = (pidfile.read_pid(str(directory / name)) for name in ("keepalived.pid", "vrrp.pid"))
        assert front
        assert vrrp
        try:
            assert (tmp_path / "told").read_text().splitlines()[-1].endswith(f" {vrrp}")
            assert [facts(each)["Name"] for each in (front, vrrp)] == ["keepalived", "keepalived"]
            assert node.has("10.77.0.101")
            log = (tmp_path / "log").read_text()
            assert f" Keepalived_vrrp_{node.namespace}[{vrrp}] " in log
            assert os.readlink(f"/proc/{front}/ns/net") != os.readlink("/proc/self/ns/net")
        finally:
            os.kill(front, signal.SIGTERM)
        until(lambda: not list(directory.glob("*.pid")), "the end", 15)
    finally:
        for gone in (directory, directory.parent):
            if gone.exists() and not list(gone.iterdir()):
                gone.rmdir()
