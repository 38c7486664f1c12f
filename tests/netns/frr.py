"""FRR's vrrpd in a node's namespace: another implementation of the RFCs, with zebra, which it needs, beside it.

FRR wants a macvlan with the virtual MAC address and the virtual addresses for each virtual router, made before; while
it is Backup it holds that interface down by `protodown`.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.netns.segment import Node
from tests.poll import until

DAEMONS = Path("/usr/lib/frr")


class Frr:
    """One virtual router on eth0, with addresses of one family."""

    def __init__(
        self, node: Node, *, vrid: int, version: int, priority: int, interval: int, vips: Sequence[str]
    ) -> None:
        """`interval` in milliseconds."""
        directory = Path(tempfile.mkdtemp(prefix="fastha-frr"))
        node.closers.append(lambda: shutil.rmtree(directory))
        shutil.chown(directory, "frr", "frr")  # which FRR becomes
        self.node, self.vrid, self.family = node, vrid, 6 if ":" in vips[0] else 4
        self._directory = directory
        self._make_macvlan(vips)
        word = "ipv6" if self.family == 6 else "ip"
        lines = ["interface eth0", f" vrrp {vrid} version {version}", f" vrrp {vrid} priority {priority}"]
        lines += [f" vrrp {vrid} advertisement-interval {interval}"]
        lines += [f" vrrp {vrid} {word} {vip}" for vip in vips]
        (directory / "vrrpd.conf").write_text("\n".join(lines) + "\n")
        (directory / "zebra.conf").write_text("")
        self._run("zebra")
        until((directory / "zserv.api").exists, "zebra")
        self._run("vrrpd")
        until((directory / "vrrpd.vty").exists, "vrrpd")

    def _make_macvlan(self, vips: Sequence[str]) -> None:
        name, node = f"vrrp{self.family}-{self.vrid}", self.node
        node.ip("link", "add", name, "link", "eth0", "type", "macvlan", "mode", "bridge")
        mac = f"00:00:5e:00:0{1 if self.family == 4 else 2}:{self.vrid:02x}"
        node.ip("link", "set", name, "address", mac, "addrgenmode", "none")
        for vip in vips:
            size = 24 if self.family == 4 else 64
            node.ip("addr", "add", f"{vip}/{size}", "dev", name, *(["nodad"] if self.family == 6 else []))
        node.ip("link", "set", name, "up")

    def _run(self, daemon: str) -> None:
        where = self._directory
        with (where / f"{daemon}.log").open("wb") as log:
            self.node.spawn(
                str(DAEMONS / daemon), "-f", str(where / f"{daemon}.conf"),
                "-i", str(where / f"{daemon}.pid"), "-z", str(where / "zserv.api"), "--vty_socket", str(where),
                "-A", "127.0.0.1", "-P", "0", "--log", "stdout", "--log-level", "debugging",
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def show(self) -> str:
        """What vrrpd says of its virtual router."""
        return self.node.run(
            "vtysh", "--vty_socket", str(self._directory), "-d", "vrrpd", "-c", "show vrrp", check=False
        )

    def state(self) -> str | None:
        """INITIALIZE, BACKUP or MASTER of the family in use."""
        for line in self.show().splitlines():
            if f"Status (v{self.family})" in line:
                return line.split()[-1].upper()
        return None

    def stop(self) -> None:
        """Leaves in order, the virtual router first."""
        for process in reversed(self.node.processes[-2:]):
            process.terminate()
            process.wait(10)
