"""The examples are ordinary files: keepalived finds nothing to complain about in them, and neither do we."""

import subprocess
import sys
from pathlib import Path

import pytest

import fastha

EXAMPLES = Path(fastha.__file__).parent / "examples"
FILES = sorted(EXAMPLES.glob("*/director*.conf"))
pytestmark = [pytest.mark.compat, pytest.mark.netns]

# a machine of its own with the interfaces of a director, and an /etc/keepalived of its own
MACHINE = """
ip link add eth0 type veth peer name eth1
ip link set eth0 up
ip link set eth1 up
mount -t tmpfs none /etc/keepalived
cp "$1"/* /etc/keepalived
shift
exec "$@"
"""


def verdict(file: Path, *program: str) -> subprocess.CompletedProcess[str]:
    """What `program` says of the example, installed as an operator would."""
    inside = f"/etc/keepalived/{file.name}"
    argv = ["unshare", "--net", "--mount", "sh", "-ec", MACHINE, "sh", str(file.parent), *program, inside]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_both_accept_it(file: Path) -> None:
    theirs = verdict(file, "keepalived", "-t", "-f")
    assert theirs.returncode == 0, theirs.stderr
    ours = verdict(file, sys.executable, "-m", "fastha", "-t", "-c")
    assert ours.returncode == 0, ours.stderr
    assert "not yet in effect" not in ours.stderr
