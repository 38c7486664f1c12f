"""The lab on a kernel with IPVS: real daemons, real tables, real traffic through NAT."""

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs, pytest.mark.timeout(200)]


def test_pools_in_ipvs_survive_a_director_and_a_server() -> None:
    # the machine of tests/ipvs-vm is slow: fewer requests, a wider margin
    words = ["--plane", "ipvs", "--rate", "20", "--margin", "3", "--check", "--script", "failover,server-down"]
    argv = [sys.executable, "-m", "fastha", "lab", "master-backup", *words]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=190, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\nok ") == 2
