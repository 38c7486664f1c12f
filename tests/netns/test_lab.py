"""The lab, end to end: real daemons, real traffic, and nothing left behind whatever ends it."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.poll import until

pytestmark = [pytest.mark.netns, pytest.mark.timeout(180)]
LAB = [sys.executable, "-m", "fastha", "lab"]
MARGIN = ("--margin", "1.5")
"""These tests run on busy machines."""
NOBODY = 65534


def lab(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LAB, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=170, check=False, **options
    )


def test_two_active_directors() -> None:
    done = lab("active-active", "--check", *MARGIN, "--script", "failover,server-down,heal,handover,heal")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\nok ") == 5


def test_every_process_may_be_killed_and_nobody_notices() -> None:
    script = "kill-vrrp,kill-checker,kill-supervisor,crash,failover,server-down,heal"
    done = lab("master-backup", "--check", *MARGIN, "--script", script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\nok ") == 7


def test_router_follows_script_and_maintenance_file() -> None:
    script = "kill-runner,maintenance,kill-runner,heal,path-down,heal,failover,heal"
    done = lab("router", "--check", *MARGIN, "--script", script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\nok ") == 8


@pytest.mark.compat
@pytest.mark.parametrize("daemons", ["keepalived", "fastha,keepalived", "keepalived,fastha"])
def test_keepalived_and_fastha_take_over_from_each_other(daemons: str) -> None:
    done = lab("router", "--check", *MARGIN, "--daemon", daemons, "--script", "maintenance,heal")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\nok ") == 2


def test_a_gap_above_what_is_allowed_fails() -> None:
    done = lab("active-active", "--check", *MARGIN, "--script", "failover", "--margin", "-5")
    assert done.returncode == 1
    assert "FAILED failover" in done.stdout
    assert "a gap of" in done.stdout
    assert "the last lines of director1" in done.stdout


@pytest.mark.parametrize("words", [["--script", "explode"], ["nowhere"], ["--script", "maintenance"]])
def test_what_cannot_be_done_is_said_before_anything_starts(words: list[str]) -> None:
    done = lab(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("fastha lab: ")


def test_list_names_the_examples() -> None:
    assert {line.split()[0] for line in lab("--list").stdout.splitlines()} >= {
        "master-backup",
        "active-active",
        "router",
    }


def test_without_root_in_a_user_namespace() -> None:
    reach = "import os, fastha; os.listdir(os.path.dirname(fastha.__file__))"
    try:
        subprocess.run(
            [sys.executable, "-c", reach], user=NOBODY, group=NOBODY, capture_output=True, check=True, cwd="/"
        )
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip("an ordinary user cannot reach this Python or this checkout")
    allowed = subprocess.run(["unshare", "-Urn", "true"], user=NOBODY, capture_output=True, check=False)
    if allowed.returncode:
        pytest.skip(f"no user namespaces here: {allowed.stderr.decode().strip()}")
    done = lab(
        "active-active", "--check", *MARGIN, "--script", "failover,heal,server-down", user=NOBODY, group=NOBODY, cwd="/"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not root" in done.stdout


# --------------------------------------------------------------------------------------- what stays


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], bytes]]:
    """A lab at work, and the mark that all its processes carry in their environment."""
    mark = f"FASTHA_LAB_MARK={uuid.uuid4()}"
    name, _, value = mark.partition("=")
    process = subprocess.Popen(
        [*LAB, "router", "--seconds", "100"],
        env=os.environ | {name: value},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    until(lambda: len(marked(mark.encode())) >= 9, "the lab's processes", 30)
    yield process, mark.encode()
    process.kill()
    process.wait()
    assert process.stdout
    process.stdout.close()


def marked(mark: bytes) -> list[int]:
    """The processes whose environment has `mark`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_stays_after(running: tuple[subprocess.Popen[str], bytes], number: int) -> None:
    process, mark = running
    process.send_signal(number)
    if number == signal.SIGINT:
        # a terminal sends it to everyone in the foreground
        for pid in marked(mark):
            if pid != process.pid and os.getpgid(pid) == process.pid:
                os.kill(pid, number)
    until(lambda: not marked(mark), "the end of every process of the lab", 10)
    assert process.wait(10) != 0
    # the names of its machines never were the host's
    assert not Path("/run/netns/director1").exists()


@pytest.mark.parametrize("which", ["init", "lab"])
def test_nothing_stays_after_the_death_of_one_inside(running: tuple[subprocess.Popen[str], bytes], which: str) -> None:
    process, mark = running
    inner = sorted(pid for pid in marked(mark) if os.getpgid(pid) == process.pid and pid != process.pid)
    os.kill(inner[0 if which == "init" else 1], signal.SIGKILL)
    until(lambda: not marked(mark), "the end of every process of the lab", 10)
    assert process.wait(10) == 128 + signal.SIGKILL
