"""Ten minutes of each disturbance: fastha's backup stays backup. C keepalived stands beside it and is not judged."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel.conftest import NO_GUEST, RUNNER
from tests.netns.disturbances import DAEMONS, DISTURBANCES, disturbed

pytestmark = pytest.mark.netns
SECONDS = 600
KINDS = DAEMONS if shutil.which("keepalived") else DAEMONS[:1]


@pytest.mark.parametrize("name", [name for name in DISTURBANCES if name != "clock_steps"])
def test_no_false_takeover(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = disturbed(name, SECONDS, KINDS, tmp_path)
    with capsys.disabled():
        print("".join(f"\n{name}, {SECONDS} s, {kind}: {result}" for kind, result in results.items()))
    assert (results["fastha"].takeovers, results["fastha"].ended) == (0, 0)


def test_no_false_takeover_by_clock_steps(capsys: pytest.CaptureFixture[str]) -> None:
    """In the machine with IPVS: the clock of this one is not ours to set."""
    words = [sys.executable, "-m", "tests.netns.disturbances", "clock_steps", str(SECONDS), *KINDS]
    done = subprocess.run(
        [RUNNER, "--timeout", str(SECONDS + 300), "--", *words], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    if done.returncode == NO_GUEST:
        pytest.skip(done.stdout + done.stderr)
    told = [line for line in done.stdout.splitlines() if line.startswith("clock_steps")]
    with capsys.disabled():
        print("\n" + "\n".join(told))
    assert done.returncode == 0, done.stdout + done.stderr
    assert any("fastha: 0 false takeovers" in line and " 0 ends" in line for line in told)
