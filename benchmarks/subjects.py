"""The programs that are compared, each checking the same servers from the directors' namespace."""

import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Protocol

from benchmarks.lab import FIRST_SERVER, Lab, LabError, compiled, run
from benchmarks.native.newer_keepalived import fetched

PORT = 8000
SERVERS_PER_SERVICE = 20
CHECKS = {
    "TCP_CHECK": f"TCP_CHECK {{\n connect_port {PORT}\n connect_timeout 1\n }}",
    "HTTP_GET": f"HTTP_GET {{\n url {{\n path /\n status_code 200\n }}\n connect_port {PORT}\n connect_timeout 1\n }}",
    "SSL_GET": f"SSL_GET {{\n url {{\n path /\n status_code 200\n }}\n connect_port {PORT}\n connect_timeout 1\n }}",
}
BACKENDS = {"TCP_CHECK": "tcp", "HTTP_GET": "http", "SSL_GET": "tls"}
"""What must answer for each check (`Lab.backend`)."""


class Subject(Protocol):
    """A running program under test."""

    process: subprocess.Popen[str]

    def ready(self) -> bool:
        """Has it taken up all its servers? LabError when it has ended."""


def configuration(check: str, servers: int, interval: float, words: str = "", *, retry: int | None = None) -> str:
    """A keepalived.conf: `servers` real servers with one check each every `interval` seconds, 20 to a virtual server.

    `words` go into global_defs; `retry` is said in each check, when it is given.
    """
    body = CHECKS[check]
    if retry is not None:
        body = body.replace("{", f"{{\n retry {retry}", 1)
    lines = [f"global_defs {{\n router_id bench\n {words}\n}}"]
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


class _Program:
    """What all subjects have: a directory, a process, its output."""

    def __init__(self, lab: Lab, name: str, configuration_text: str) -> None:
        self.name = name
        self.where = lab.path / name
        shutil.rmtree(self.where, ignore_errors=True)
        self.where.mkdir()
        self.conf = self.where / "conf"
        self.conf.write_text(configuration_text)
        self.output = self.where / "output"
        self.process: subprocess.Popen[str]

    def said(self, words: str) -> bool:
        """Are these words in its output? LabError when it has ended."""
        text = self.output.read_text()
        if self.process.poll() is not None:
            raise LabError(f"{self.name} ended: {text[-1000:]}")
        return words in text


class Keepalived(_Program):
    """C keepalived, its IPVS calls answered by the shim."""

    def __init__(self, lab: Lab, check: str, servers: int, interval: float, *, retry: int | None = None) -> None:
        super().__init__(lab, "keepalived", configuration(check, servers, interval, retry=retry))
        self._expected = servers + services(servers)
        self.operations = self.where / "operations"
        shim = compiled("ipvs_shim.c", "-shared", "-fPIC", "-ldl")
        self.process = lab.start(
            lab.directors,
            [
                "env", f"LD_PRELOAD={shim}", f"IPVS_SHIM_LOG={self.operations}", keepalived_path(), "--dont-fork",
                "--check", "--use-file", str(self.conf), "--pid", str(self.where / "1"), "--checkers_pid",
                str(self.where / "2"), "--vrrp_pid", str(self.where / "3"), "--log-console", "--no-syslog",
            ],
            output=self.output,
        )  # fmt: skip

    def ready(self) -> bool:
        self.said("")
        try:
            with self.operations.open("rb") as file:
                return bool(struct.unpack("Q", file.read(8))[0] >= self._expected)
        except (OSError, struct.error):
            return False

    def programmed(self) -> int:
        """When the last IPVS operation so far was made, ns of CLOCK_MONOTONIC."""
        with self.operations.open("rb") as file:
            (count,) = struct.unpack("Q8x", file.read(16))
            file.seek(16 * count)
            return int(struct.unpack("QQ", file.read(16))[0])


class Fastha(_Program):
    """The whole daemon of this checkout, programming nothing."""

    def __init__(
        self, lab: Lab, check: str, servers: int, interval: float, *, close: str = "fin", resume: bool = False
    ) -> None:
        text = configuration(check, servers, interval, f"checker_close {close}")
        if resume:
            text = text.replace("SSL_GET {", "SSL_GET {\n tls_resume")
        super().__init__(lab, f"fastha-{close}", text)
        self.process = lab.start(
            lab.directors,
            [
                sys.executable, "-m", "fastha", "--check", "-c", str(self.conf), "--lvs-plane", "none", "--run-dir",
                str(self.where / "run"), "--pid", str(self.where / "pid"), "--log-console", "--no-syslog",
            ],
            output=self.output,
        )  # fmt: skip

    def ready(self) -> bool:
        return self.said("checks; plane none")


class Engine(_Program):
    """fastha's probe engine alone, in a Python process that does nothing else."""

    def __init__(self, lab: Lab, check: str, servers: int, interval: float, *, close: str = "fin") -> None:
        super().__init__(lab, f"engine-{close}", "")
        arguments = [check, str(servers), str(interval), str(PORT), close]
        self.process = lab.start(
            lab.directors, [sys.executable, "-m", "benchmarks.engine_host", *arguments], output=self.output
        )

    def ready(self) -> bool:
        return self.said("ready")


class Bare(_Program):
    """The yardstick: a bare loop in C that starts due probes in slots (`native/slotted.c`)."""

    def __init__(self, lab: Lab, check: str, servers: int, interval: float, *, close: str = "fin") -> None:
        if check not in ("TCP_CHECK", "HTTP_GET"):
            raise LabError(f"the bare loop does no {check}")
        super().__init__(lab, f"bare-{close}", "")
        arguments = [BACKENDS[check], close, str(servers), str(interval), str(PORT)]
        self.process = lab.start(lab.directors, [str(compiled("slotted.c")), *arguments], output=self.output)

    def ready(self) -> bool:
        return self.said("ready")


SUBJECTS: dict[str, Callable[[Lab, str, int, float], Subject]] = {
    "keepalived": Keepalived,
    "fastha": Fastha,
    "fastha-rst": lambda *case: Fastha(*case, close="rst"),
    "fastha-resume": lambda *case: Fastha(*case, resume=True),
    "engine": Engine,
    "engine-rst": lambda *case: Engine(*case, close="rst"),
    "bare": Bare,
    "bare-rst": lambda *case: Bare(*case, close="rst"),
}


def keepalived_path() -> str:
    """The keepalived to compare with: $KEEPALIVED, a newer one fetched before, or the machine's."""
    found = os.environ.get("KEEPALIVED") or fetched() or shutil.which("keepalived", path=os.defpath + ":/usr/sbin")
    if not found:
        raise LabError("no keepalived to compare with")
    return str(found)


def keepalived_version() -> str:
    """Its version, as `2.2.7`."""
    found = re.search(r"v(\d+\.\d+\.\d+)", run(keepalived_path(), "--version"))
    return found[1] if found else "unknown"


__all__ = [
    "BACKENDS", "CHECKS", "PORT", "SUBJECTS", "Bare", "Engine", "Fastha", "Keepalived", "Subject", "configuration",
    "keepalived_path", "keepalived_version", "services",
]  # fmt: skip
