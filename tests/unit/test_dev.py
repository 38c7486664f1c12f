"""The developer's command says what it can do, and refuses what it cannot."""

import subprocess
from pathlib import Path

DEV = Path(__file__).parent.parent.parent / "dev"
JOBS = ("run", "test", "lint", "bench", "soak", "corpus")


def dev(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DEV, *words], capture_output=True, text=True, check=False, timeout=30, cwd="/")


def test_help_names_every_job() -> None:
    done = dev("help")
    assert done.returncode == 0
    assert all(f"./dev {job}" in done.stdout for job in JOBS)


def test_an_unknown_job_is_refused() -> None:
    done = dev("explode")
    assert done.returncode == 2
    assert "./dev test" in done.stdout


def test_a_file_that_is_not_there_is_said() -> None:
    done = dev("run", "nosuch.conf")
    assert done.returncode == 1
    assert done.stderr == "./dev run: there is no file nosuch.conf\n"
