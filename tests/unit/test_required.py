"""A run that lacks what `--required` names must fail, and say what."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parent.parent / "conftest.py"
TESTS = """
import pytest
def test_one(): pass
def test_two(): pytest.skip("no such thing here")
@pytest.mark.parametrize("n", range(3))
def test_three(n): pass
"""


def run(tmp_path: Path, required: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "required.txt").write_text(required)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--required", "required.txt"]
    return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("required", ["test_it.py", "test_it.py 4  # all", "test_it.py::test_one\n# nothing more"])
def test_what_is_required_ran(tmp_path: Path, required: str) -> None:
    done = run(tmp_path, required)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


@pytest.mark.parametrize(
    ("required", "said"),
    [
        ("test_it.py 5", "test_it.py: 5 must pass, 4 did, 1 were skipped"),
        ("test_it.py::test_two", "test_it.py::test_two: 1 must pass, 0 did, 1 were skipped"),
        ("tests/gone.py", "tests/gone.py: 1 must pass, 0 did, 0 were skipped"),
    ],
)
def test_what_is_required_did_not_run(tmp_path: Path, required: str, said: str) -> None:
    done = run(tmp_path, required)
    assert done.returncode == 1
    assert said in done.stdout
