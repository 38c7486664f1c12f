"""The command line under keepalived's name."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastha.cli.keepalived import WrongError, parse, scan
from fastha.cli.options import daemon_parser
from fastha.system import pidfile

ROOT = Path(__file__).parents[3]


@pytest.fixture
def program(tmp_path):
    """fastha under that name, as an operator's symbolic link makes it."""
    path = tmp_path / "keepalived"
    path.write_text(f"#!{sys.executable}\nfrom fastha.cli.main import main\n\nraise SystemExit(main())\n")
    path.chmod(0o755)
    return path


def run(program: Path | str, *words: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=60, check=False, env=environment)


def test_letters_stand_together_and_arguments_behind_them():
    options = parse(["-nlD", "-f/etc/x", "-P", "--pid", "/run/p", "--checkers_pid=/run/c", "-tlog"])
    assert options.dont_fork
    assert options.log_console
    assert options.log_detail
    assert options.config == "/etc/x"
    assert options.vrrp
    assert (options.pid, options.checkers_pid, options.config_test) == ("/run/p", "/run/c", "log")
    assert parse(["-t", "-f", "x"]).config_test == "-", "its argument is only what is attached"
    assert parse(["-M"]).core_dump_pattern == "core"
    assert parse(["-c", "/run/c"]).checkers_pid == "/run/c"
    assert parse(["--log-con"]).log_console, "getopt_long takes what is clear"


def test_minus_p_and_minus_c_together_are_the_checker_alone():
    options = parse(["-P", "-C"])
    assert (options.vrrp, options.check) == (False, True)


def test_the_umask_is_read_as_strtol_reads_it():
    assert parse(["-u", "022"]).umask == 0o22
    assert parse(["-u", "18"]).umask == 18
    assert parse(["-u", "0x1f"]).umask == 31
    assert parse(["-u", "999"]).umask is None


def test_options_without_effect_are_said_to_have_none():
    assert parse(["-x", "-A", "/run/agent", "--no-mem-check"]).notes == [
        "--snmp has no effect: there is no SNMP agent yet",
        "--snmp-agent-socket has no effect: there is no SNMP agent yet",
        "--no-mem-check has no effect: there is nothing of that kind in fastha",
    ]


def test_what_cannot_be_understood():
    for words, text in (
        (["-z"], "Unknown option -z"),
        (["--bogus"], "Unknown option --bogus"),
        (["-f"], "Missing parameter for option -f"),
        (["--signum"], "Missing parameter for option --signum"),
    ):
        with pytest.raises(WrongError, match=text):
            scan(words)


COMMON = [
    ["-v"],
    ["-h"],
    *(["--signum", name] for name in ("STOP", "RELOAD", "DATA", "STATS", "STATS_CLEAR", "JSON", "NONE")),
    ["-z"],
    ["--bogus"],
    ["-f"],
    ["-f", "/nonexistent"],
]


@pytest.mark.compat
@pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed")
@pytest.mark.parametrize("words", COMMON, ids=" ".join)
def test_the_same_words_the_same_end(program, words):
    theirs, ours = run(shutil.which("keepalived"), *words), run(program, *words)
    assert ours.returncode == theirs.returncode
    assert ours.stdout == theirs.stdout
    if theirs.returncode == 1:
        assert ours.stderr == theirs.stderr
    if words == ["-v"]:
        name, number = ours.stderr.splitlines()[0].split()[:2]
        assert (name, number[0]) == ("Keepalived", "v")
        assert tuple(map(int, number[1:].split("."))) >= (2, 2, 7)
    if words == ["-h"]:
        letters = {line.split(",")[0].strip() for line in theirs.stderr.splitlines() if line.startswith("  -")}
        mine = {line.split(",")[0].strip() for line in ours.stderr.splitlines() if line.startswith("  -")}
        assert letters <= mine


def test_into_the_background_and_its_end(program, tmp_path):
    config = tmp_path / "keepalived.conf"
    config.write_text(f"global_defs {{\n  process_name front\n}}\ninstance {tmp_path.name[-8:]}\n")
    pid_path = tmp_path / "main.pid"
    words = ["-f", str(config), "-p", str(pid_path), "-g" + str(tmp_path / "log"), "-G", "-u", "022"]
    words += ["--run-dir", str(tmp_path / "run")]
    started = run(program, *words)
    assert (started.returncode, started.stdout, started.stderr) == (0, "", "")
    end = time.monotonic() + 20
    while not ((pid := pidfile.read_pid(str(pid_path))) and "nothing to do" in (tmp_path / "log").read_text()):
        assert time.monotonic() < end
        time.sleep(0.02)
    try:
        assert os.getsid(pid) == pid, "a session of its own"
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)} == {"/dev/null"}
        assert Path(f"/proc/{pid}/comm").read_text() == "front\n"
        assert "Umask:\t0022\n" in Path(f"/proc/{pid}/status").read_text()
        assert f"Keepalived_{tmp_path.name[-8:]}[{pid}]" in (tmp_path / "log").read_text()
        second = run(program, "-n", "-l", *words)
        assert second.returncode == 0
        assert "already running" in second.stderr
    finally:
        os.kill(pid, signal.SIGTERM)
    while pid_path.exists():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_both_command_lines_say_the_same_things():
    ours, theirs = vars(daemon_parser("fastha").parse_args([])), vars(parse([]))
    assert set(ours) <= set(theirs)


@pytest.mark.parametrize(("text", "code"), [("", 0), ("no_such_word\n", 5)])
def test_a_file_is_tested(program, tmp_path, text, code):
    file = tmp_path / "k.conf"
    file.write_text(f"global_defs {{\nrouter_id a\n}}\n{text}")
    result = run(program, "-t", "-f", str(file))
    assert result.returncode == code, result.stderr
    assert ("no_such_word" in result.stderr) == bool(code)
