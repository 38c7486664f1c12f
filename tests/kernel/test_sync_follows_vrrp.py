"""The whole daemon: lvs_sync_daemon follows a vrrp_instance, from one process by way of the supervisor to another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastha.system.ipvs import IpvsPlane

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]

CONFIG = """
global_defs {{
    lvs_sync_daemon {interface} VI maxlen 1200 ttl 2
}}
vrrp_instance VI {{
    interface {interface}
    virtual_router_id 51
    priority 100
    advert_int 0.2
    version 3
    virtual_ipaddress {{
        10.77.0.9/32
    }}
}}
"""
PATIENCE = 30.0


@contextmanager
def daemon(directory: Path, config: str) -> Iterator[subprocess.Popen[bytes]]:
    (directory / "conf").write_text(config)
    command = [
        sys.executable,
        "-m",
        "fastha",
        "-n",
        "-l",
        "-c",
        str(directory / "conf"),
        "--run-dir",
        f"{directory}/run",
    ]
    with open(directory / "log", "ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(ipvs: IpvsPlane, wanted: list[tuple[bool, int]], log: Path) -> None:
    """The halves that run, and their ids."""
    deadline = time.monotonic() + PATIENCE
    while (found := sorted((each.master, each.syncid) for each in ipvs.read_daemons())) != wanted:
        assert time.monotonic() < deadline, f"{found} run; {log.read_text()[-3000:]}"
        time.sleep(0.05)


def test_the_half_that_runs_is_that_of_the_instance(ipvs: IpvsPlane, tmp_path: Path) -> None:
    interface = "fhksync0"
    for line in (
        f"link add {interface} type veth peer name fhksync1",
        f"address add 10.77.0.1/24 dev {interface}",
        f"link set {interface} up",
        "link set fhksync1 up",
        "link set lo up",
    ):
        subprocess.run(["ip", *line.split()], check=True)
    try:
        log = tmp_path / "log"
        with daemon(tmp_path, CONFIG.format(interface=interface)) as process:
            until(ipvs, [(True, 51)], log)
            subprocess.run(["ip", "link", "set", "fhksync1", "down"], check=True)
            until(ipvs, [(False, 51)], log)
            subprocess.run(["ip", "link", "set", "fhksync1", "up"], check=True)
            until(ipvs, [(True, 51)], log)
            process.terminate()
            until(ipvs, [], log)
            process.wait(PATIENCE)
    finally:
        subprocess.run(["ip", "link", "delete", interface], check=True)
