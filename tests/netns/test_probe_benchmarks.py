"""The benchmarks of the probe engine still run: a short round of each subject, with few servers."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.netns,
    pytest.mark.compat,
    pytest.mark.skipif(not shutil.which("gcc"), reason="no C compiler for the servers and the shim"),
]


def bench(*arguments: str) -> list[list[str]]:
    """The words of the table's rows."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=Path(__file__).parents[2], capture_output=True, text=True,
        timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def test_probes() -> None:
    subjects = ["keepalived", "fastha", "engine-rst", "bare"]
    rows = bench("probes", "--pairs", "1", "--seconds", "1", "--subjects", ",".join(subjects), "HTTP_GET:40:0.5")
    table = {row[3]: row for row in rows if row[:1] == ["HTTP_GET"]}
    assert list(table) == subjects
    for row in table.values():
        assert 40 <= float(row[5]) <= 120, "about 80 checks a second"
        assert float(row[6]) > 0


def test_start() -> None:
    rows = bench("start", "--pairs", "1", "--servers", "40")
    assert [row[0] for row in rows[-2:]] == ["keepalived", "fastha"]
