"""What the benchmarks of VRRP run in: the two namespaces of `lab` with four links more, daemons on both sides.

Adverts go over v0..v3; b0 carries checks. Every subject (fastha, C keepalived, a bare loop) sends the same adverts:
version 3, one address, over multicast. The kernel stamps what leaves and arrives (`native/adverts.c`).
"""

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.lab import Lab, LabError, compiled, family, run, wait_for
from benchmarks.subjects import configuration, keepalived_path

LINKS: Final = 4
MOST_ON_A_LINK: Final = 250
RT_PRIORITY: Final = 50
RTTIME: Final = 2_000_000
"""us without a sleep; at its default of 10,000 keepalived is killed when it starts 1,000 instances."""
DAEMONS: Final = ("fastha", "keepalived")
RECORD: Final = struct.Struct("=q4s5B7x")
ADVERT: Final = 1


class Routers(NamedTuple):
    """Virtual routers that all subjects are: `count` of them, with an advert every `interval` seconds."""

    count: int
    interval: float

    @property
    def links(self) -> list[str]:
        return [f"v{i}" for i in range(LINKS if self.count > MOST_ON_A_LINK else 1)]

    @property
    def on_a_link(self) -> int:
        return -(-self.count // len(self.links))

    def master_down(self, priority: int) -> float:
        """Seconds (RFC 5798 6.1, the skew in whole microseconds)."""
        skew = (256 - priority) * int(self.interval * 100 + 0.5) * 10_000 // 256 / 1e6
        return 3 * self.interval + skew

    def __str__(self) -> str:
        return f"{self.count:,} x {self.interval * 1e3:g} ms"


def vrrp_configuration(routers: Routers, priority: int, words: str = "", extra: str = "") -> str:
    """`words` go into global_defs, `extra` behind all instances."""
    text = [
        f"global_defs {{\n vrrp_version 3\n vrrp_rt_priority {RT_PRIORITY}\n vrrp_rlimit_rttime {RTTIME}\n"
        f" vrrp_no_swap\n {words}\n}}\n"
    ]
    for i in range(routers.count):
        link, vrid = divmod(i, routers.on_a_link)
        text.append(
            f"vrrp_instance I{i} {{\n interface v{link}\n virtual_router_id {vrid + 1}\n priority {priority}\n"
            f" advert_int {routers.interval:g}\n virtual_ipaddress {{\n  {address_of(link, vrid + 1)}/32\n }}\n}}\n"
        )
    return "".join(text) + extra


def address_of(link: int, vrid: int) -> IPv4Address:
    return IPv4Address(f"172.20.{link}.{vrid}")


class VrrpLab(Lab):
    """The directors' namespace has the masters, that of the servers the backups."""

    def __init__(self) -> None:
        super().__init__(rps=False)

    def _wire(self) -> None:
        super()._wire()
        for i in range(LINKS):
            ends = ["name", f"v{i}", "netns"]
            run("ip", "link", "add", *ends, self.directors, "type", "veth", "peer", *ends, self.servers)
            for host, namespace in enumerate((self.directors, self.servers), 1):
                run("ip", "-n", namespace, "address", "add", f"10.254.{i}.{host}/24", "dev", f"v{i}")
                run("ip", "-n", namespace, "link", "set", f"v{i}", "up")

    def launch(self, namespace: str, argv: Sequence[str], output: Path) -> subprocess.Popen[str]:
        """Run a program on whatever CPU it likes."""
        with output.open("w") as file:
            process = subprocess.Popen(
                ["ip", "netns", "exec", namespace, *argv], stdin=subprocess.DEVNULL, stdout=file,
                stderr=subprocess.STDOUT, text=True, start_new_session=True,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def daemon(self, kind: str, config: str, *, backup: bool = False, checking: bool = False) -> "Daemon":
        return Daemon(self, kind, config, backup=backup, checking=checking)

    def bare(self, words: Sequence[str], *, backup: bool = False) -> subprocess.Popen[str]:
        """`native/adverts.c`, when it is ready."""
        output = self.path / f"bare-{words[0]}"
        namespace = self.servers if backup else self.directors
        process = self.launch(namespace, [str(compiled("adverts.c")), *words], output)
        wait_for(f"the bare loop ({words[0]})", lambda: self._begun(process, output))
        return process

    @staticmethod
    def _begun(process: subprocess.Popen[str], output: Path) -> bool:
        if process.poll() is not None:
            raise LabError(f"the bare loop ended: {output.read_text()}")
        return output.read_text().startswith("ready")

    def bare_pair(self, routers: Routers, priority: int = RT_PRIORITY) -> tuple[subprocess.Popen[str], ...]:
        """A bare loop that speaks for all these routers, and one that hears it."""
        hear = self.bare(["hear", str(priority), *routers.links], backup=True)
        interval = str(round(routers.interval * 1e6))
        words = ["speak", str(priority), interval, "10.254.0.1", str(routers.on_a_link), *routers.links]
        return self.bare(words), hear

    @contextlib.contextmanager
    def recording(self, routers: Routers, *, backup: bool = True) -> Iterator["list[Seen]"]:
        """The list is filled at the end with what passed through one side, in order."""
        file = self.path / "records"
        process = self.bare(["record", str(file), *routers.links], backup=backup)
        seen: list[Seen] = []
        try:
            yield seen
        finally:
            self.end(process)
        seen += sorted(
            Seen(at, link, vrid, bool(out), kind == ADVERT, priority, address)
            for at, address, kind, link, out, vrid, priority in RECORD.iter_unpack(file.read_bytes())
        )

    def addresses(self, namespace: str) -> int:
        """How many virtual addresses are there."""
        return run("ip", "-n", namespace, "-4", "-o", "address").count("172.20.")

    def sent(self, namespace: str, routers: Routers) -> int:
        """Packets that have left by the links so far."""
        links = json.loads(run("ip", "-n", namespace, "-j", "-s", "link"))
        return sum(int(one["stats64"]["tx"]["packets"]) for one in links if one["ifname"] in routers.links)


class Seen(NamedTuple):
    """An advert or gratuitous ARP that passed."""

    at: int
    """ns"""
    link: int
    vrid: int
    """Of an advert."""
    outgoing: bool
    advert: bool
    priority: int
    address: bytes
    """An advert's first, an ARP's sender."""


class Daemon:
    """fastha or C keepalived with this configuration, at the scheduling class it takes by itself."""

    def __init__(self, lab: VrrpLab, kind: str, config: str, *, backup: bool, checking: bool) -> None:
        self.kind = kind
        self.namespace = lab.servers if backup else lab.directors
        self._lab = lab
        self._where = lab.path / f"{kind}-{'backup' if backup else 'master'}"
        self._where.mkdir(exist_ok=True)
        self.config = self._where / "conf"
        self.config.write_text(config)
        self._output = self._where / "output"
        words = self._fastha(checking) if kind == "fastha" else self._keepalived(checking)
        self.process = lab.launch(self.namespace, words, self._output)

    def _fastha(self, checking: bool) -> list[str]:
        words = [sys.executable, "-m", "fastha", "-n", "-l", "-G", "-c", str(self.config)]
        words += ["--run-dir", str(self._where), "--pid", str(self._where / "pid")]
        return words + (["--lvs-plane", "none"] if checking else ["--vrrp"])

    def _keepalived(self, checking: bool) -> list[str]:
        pids = [str(self._where / name) for name in ("1", "2", "3")]
        words = [keepalived_path(), "--dont-fork", "--log-console", "--no-syslog", "--use-file", str(self.config)]
        words += ["--pid", pids[0], "--checkers_pid", pids[1], "--vrrp_pid", pids[2]]
        if not checking:
            return [*words, "--vrrp"]
        shim = compiled("ipvs_shim.c", "-shared", "-fPIC", "-ldl")
        return ["env", f"LD_PRELOAD={shim}", f"IPVS_SHIM_LOG={self._where / 'operations'}", *words]

    def vrrp(self) -> int:
        """The process that has the adverts; 0: it has not begun."""
        if self.process.poll() is not None:
            raise LabError(f"{self.kind} ended: {self._output.read_text()[-1000:]}")
        if self.kind == "keepalived":
            with contextlib.suppress(OSError, ValueError):
                return int((self._where / "3").read_text())
            return 0
        for pid in family(self.process.pid):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text() == "fastha_vrrp\n":
                    return pid
        return 0

    def wait(self, addresses: int) -> None:
        """Until it runs and has so many virtual addresses."""
        wait_for(
            f"{self.kind} to have {addresses} addresses",
            lambda: self.vrrp() and self._lab.addresses(self.namespace) == addresses,
            step=0.05,
        )

    def engine(self) -> dict[str, int]:
        """fastha: the counters of the advert engine."""
        words = [sys.executable, "-m", "fastha", "status", "--json", "--run-dir", str(self._where)]
        counters: dict[str, int] = json.loads(run(*words))["vrrp"]["engine"]
        return counters

    def kill(self) -> None:
        """All its processes at once, with SIGKILL; children first: keepalived's say good-bye when the parent dies."""
        for pid in reversed(family(self.process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.end()

    def end(self) -> None:
        """Addresses that it has left, because it was killed, go too."""
        self._lab.end(self.process)
        for link in range(LINKS):
            run("ip", "-n", self.namespace, "address", "flush", "dev", f"v{link}", "to", "172.20.0.0/15")


def checks(servers: int, interval: float) -> str:
    """Virtual servers for `Daemon(checking=True)`, without the global_defs that `vrrp_configuration` has."""
    text = configuration("TCP_CHECK", servers, interval)
    return text[text.index("virtual_server") :]
