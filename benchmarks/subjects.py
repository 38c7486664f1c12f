"""The programs that are compared, each checking the same servers from the directors' namespace."""

import os
import re
import shutil
import struct
import subprocess
import sys
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol

from benchmarks.lab import FIRST_SERVER, Lab, LabError, compiled, run, wait_for

PORT = 8000
SERVERS_PER_SERVICE = 20


class Subject(Protocol):
    """A running program under test."""

    process: subprocess.Popen[str]

    def ready(self) -> bool:
        """Has it taken up all its servers?"""


def configuration(check: str, servers: int, interval: float, close: str = "") -> str:
    """A keepalived.conf: `servers` real servers with one check each, 20 to a virtual server, at `interval` seconds."""
    body = {
        "TCP_CHECK": f"TCP_CHECK {{\n connect_port {PORT}\n connect_timeout 1\n }}",
        "HTTP_GET": f"HTTP_GET {{\n url {{\n path /\n status_code 200\n }}\n connect_port {PORT}\n connect_timeout 1\n }}",
    }[check]
    lines = [f"global_defs {{\n router_id bench\n {close}\n}}"]
    for first in range(0, servers, SERVERS_PER_SERVICE):
        address = IPv4Address("172.16.0.1") + first // SERVERS_PER_SERVICE
        lines.append(
            f"virtual_server {address} {PORT} {{\n delay_loop {interval:g}\n lb_algo rr\n lb_kind DR\n protocol TCP"
        )
        lines += [
            f" real_server {FIRST_SERVER + index} {PORT} {{\n weight 1\n {body}\n }}"
            for index in range(first, min(first + SERVERS_PER_SERVICE, servers))
        ]
        lines.append("}")
    return "\n".join(lines) + "\n"


def services(servers: int) -> int:
    """Virtual servers in `configuration`."""
    return -(-servers // SERVERS_PER_SERVICE)


class Keepalived:
    """C keepalived, its IPVS calls answered by the shim."""

    def __init__(self, lab: Lab, check: str, servers: int, interval: float) -> None:
        self._operations = servers + services(servers)
        where = lab.path / "keepalived"
        shutil.rmtree(where, ignore_errors=True)
        where.mkdir()
        (where / "conf").write_text(configuration(check, servers, interval))
        self._log = where / "operations"
        self.output = where / "output"
        shim = compiled("ipvs_shim.c", "-shared", "-fPIC", "-ldl")
        self.process = lab.start(
            lab.directors,
            [
                "env", f"LD_PRELOAD={shim}", f"IPVS_SHIM_LOG={self._log}", keepalived_path(), "--dont-fork", "--check",
                "--use-file", str(where / "conf"), "--pid", str(where / "1"), "--checkers_pid", str(where / "2"),
                "--vrrp_pid", str(where / "3"), "--log-console", "--no-syslog",
            ],
            output=self.output,
        )  # fmt: skip

    def operations(self) -> list[int]:
        """When each IPVS operation was made, ns of CLOCK_MONOTONIC."""
        try:
            with self._log.open("rb") as file:
                (count,) = struct.unpack("Q8x", file.read(16))
                return [when for when, _ in struct.iter_unpack("QQ", file.read(16 * count))]
        except (OSError, struct.error):
            return []

    def ready(self) -> bool:
        if self.process.poll() is not None:
            raise LabError(f"keepalived ended: {self.output.read_text()[-1000:]}")
        try:
            with self._log.open("rb") as file:
                return bool(struct.unpack("Q", file.read(8))[0] >= self._operations)
        except (OSError, struct.error):
            return False


class Engine:
    """fastha's probe engine alone, in a Python process that does nothing else."""

    def __init__(self, lab: Lab, check: str, servers: int, interval: float, *, close_rst: bool = False) -> None:
        self._said = lab.path / "engine"
        arguments = [check, str(servers), str(interval), str(PORT), "rst" if close_rst else "fin"]
        self.process = lab.start(
            lab.directors, [sys.executable, "-m", "benchmarks.engine_host", *arguments], output=self._said
        )

    def ready(self) -> bool:
        if self.process.poll() is not None:
            raise LabError(f"the engine ended: {self._said.read_text()[-1000:]}")
        return "ready" in self._said.read_text()


def keepalived_path() -> str:
    """The keepalived to compare with: $KEEPALIVED, a newer one fetched before, or the machine's."""
    from benchmarks.native.newer_keepalived import fetched

    found = os.environ.get("KEEPALIVED") or fetched() or shutil.which("keepalived", path=os.defpath + ":/usr/sbin")
    if not found:
        raise LabError("no keepalived to compare with")
    return str(found)


def keepalived_version() -> str:
    """Its version, as `2.2.7`."""
    found = re.search(r"v(\d+\.\d+\.\d+)", run(keepalived_path(), "--version"))
    return found[1] if found else "unknown"


def settle(subject: Subject, what: str) -> None:
    """Wait until a subject has taken up its servers."""
    wait_for(what, subject.ready)


__all__ = [
    "PORT", "Engine", "Keepalived", "Path", "Subject", "configuration", "keepalived_path", "keepalived_version",
    "services", "settle",
]  # fmt: skip
