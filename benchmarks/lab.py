"""Two network namespaces joined by a veth pair: directors on one side, all servers on the other; and what they cost.

Every real server has an address of its own in 10.0.0.0/9, all of them answered by one process in the servers'
namespace. The directors run on CPU 0, the servers on CPU 1; receive packet steering (`rps`) makes each side's network
stack run on its own CPU, as if they were two machines. Needs root; everything is gone at the end.
"""

import contextlib
import hashlib
import mmap
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Self

NATIVE = Path(__file__).parent / "native"
FIRST_SERVER = IPv4Address("10.0.1.0")
TIMEOUT = 120.0
"""Seconds for anything to get going."""


class LabError(RuntimeError):
    """Something of the benchmark itself did not work; says what."""


def compiled(source: str, *flags: str) -> Path:
    """The program or library made of `native/SOURCE`, built anew when the source has changed."""
    path = NATIVE / source
    digest = hashlib.sha256(path.read_bytes() + " ".join(flags).encode()).hexdigest()[:16]
    target = Path(tempfile.gettempdir()) / f"fastha-bench-{os.geteuid()}" / f"{path.stem}-{digest}"
    if not target.exists():
        target.parent.mkdir(mode=0o700, exist_ok=True)
        run("gcc", "-O2", "-Wall", "-Wextra", "-o", f"{target}.new", str(path), *flags)
        Path(f"{target}.new").replace(target)
    return target


def run(*argv: str) -> str:
    """Run a command; its output. LabError with that output when it fails."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise LabError(f"{' '.join(argv)}: {done.stdout.strip()}")
    return done.stdout


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                found += family(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, its threads and its descendants so far."""
    total = 0
    for member in family(pid):
        for task in Path(f"/proc/{member}/task").glob("*"):
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def rss_mib(pid: int) -> float:
    """Resident memory of a process and its descendants, MiB."""
    total = 0
    for member in family(pid):
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{member}/statm").read_text().split()[1])
    return total * mmap.PAGESIZE / (1 << 20)


def wait_for(what: str, condition: Callable[[], object], timeout: float = TIMEOUT, *, step: float = 0.01) -> None:
    """Until `condition`; LabError naming `what` when it does not come true."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise LabError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(step)


class Backend:
    """The servers: what they have seen so far."""

    def __init__(self, process: subprocess.Popen[str], counters: Path, log: Path | None) -> None:
        self.process = process
        self._log = log
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise LabError("the backend does not start")
        with counters.open("rb") as file:
            self._counters = mmap.mmap(file.fileno(), mmap.PAGESIZE, prot=mmap.PROT_READ)

    @property
    def accepted(self) -> int:
        """Connections."""
        return int(struct.unpack_from("Q", self._counters)[0])

    @property
    def resumed(self) -> int:
        """TLS: handshakes that went on with an earlier session."""
        return int(struct.unpack_from("Q", self._counters, 16)[0])

    def entries(self) -> int:
        """How many are in the log."""
        assert self._log is not None
        with self._log.open("rb") as file:
            return int(struct.unpack("Q", file.read(8))[0])

    def log(self, first: int = 0) -> Iterator[tuple[int, int]]:
        """Connections from that one on: when (ns of CLOCK_MONOTONIC), and to which address."""
        assert self._log is not None
        count = self.entries() - first
        with self._log.open("rb") as file:
            file.seek(16 + 16 * first)
            return struct.iter_unpack("QQ", file.read(16 * count))


class Lab:
    """The two namespaces, and every process in them."""

    def __init__(self, *, rps: bool = True) -> None:
        self.rps = rps
        self.directors, self.servers = f"fbd{os.getpid()}", f"fbs{os.getpid()}"
        self._processes: list[subprocess.Popen[str]] = []
        self.path = Path()

    def __enter__(self) -> Self:
        if os.geteuid() != 0 or not shutil.which("ip"):
            raise LabError("network namespaces need root and iproute2")
        self.path = Path(tempfile.mkdtemp(prefix="fastha-bench-"))
        try:
            self._wire()
        except LabError:
            self._clear()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()

    def _wire(self) -> None:
        for namespace in (self.directors, self.servers):
            run("ip", "netns", "add", namespace)
            run("ip", "-n", namespace, "link", "set", "lo", "up")
        run(
            "ip",
            "link",
            "add",
            "b0",
            "netns",
            self.directors,
            "type",
            "veth",
            "peer",
            "name",
            "b0",
            "netns",
            self.servers,
        )
        settings = (
            "net.ipv4.ip_local_port_range=10000 65000", "net.ipv4.tcp_max_tw_buckets=262144",
            "net.core.somaxconn=65535", "net.ipv4.tcp_max_syn_backlog=65535",
        )  # fmt: skip
        for namespace, address, cpus in ((self.directors, "10.255.255.1/30", 1), (self.servers, "10.255.255.2/30", 2)):
            run("ip", "-n", namespace, "address", "add", address, "dev", "b0")
            run("ip", "-n", namespace, "link", "set", "b0", "up")
            for setting in settings:
                with contextlib.suppress(LabError):  # not every kernel has each of them per namespace
                    run("ip", "netns", "exec", namespace, "sysctl", "-qw", setting)
            if self.rps:
                steer = f"echo {cpus} > /sys/class/net/b0/queues/rx-0/rps_cpus"
                run("ip", "netns", "exec", namespace, "sh", "-c", steer)
        run("ip", "-n", self.directors, "route", "add", "10.0.0.0/9", "via", "10.255.255.2")
        run("ip", "-n", self.servers, "route", "add", "local", "10.0.0.0/9", "dev", "lo")

    def _clear(self) -> None:
        for process in list(self._processes):
            self.end(process)
        for namespace in (self.directors, self.servers):
            with contextlib.suppress(LabError):
                run("ip", "netns", "del", namespace)
        shutil.rmtree(self.path, ignore_errors=True)

    def start(
        self, namespace: str, argv: Sequence[str], *, output: Path | None = None, fds: Sequence[int] = ()
    ) -> subprocess.Popen[str]:
        """Run a program in a namespace, on its CPU; its output goes to a file, or to a pipe. It inherits `fds`."""
        cpu = "0" if namespace == self.directors else "1"
        whole = ["ip", "netns", "exec", namespace, "nice", "-n", "-10", "taskset", "-c", cpu, *argv]
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(output.open("w")) if output else subprocess.PIPE
            process = subprocess.Popen(
                whole, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, text=True,
                start_new_session=True, pass_fds=fds,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def end(self, process: subprocess.Popen[str]) -> None:
        """Stop a program and its descendants: first politely, then not."""
        members = family(process.pid) if process.poll() is None else []
        if members:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
        for member in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()
        if process in self._processes:
            self._processes.remove(process)

    def backend(self, kind: str, port: int, *, log: bool = False) -> Backend:
        """Servers of a kind (`tcp`, `http` or `tls`) on a port of every address; `log`: of connections (not tls)."""
        seen = self.path / f"seen-{port}" if log else None
        counters = self.path / f"counters-{port}"
        if kind == "tls":
            key, certificate = str(self.path / "key"), str(self.path / "certificate")
            run(
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                "2", "-subj", "/CN=bench", "-keyout", key, "-out", certificate,
            )  # fmt: skip
            program = compiled("tls_backend.c", "-lssl", "-lcrypto")
            argv = [str(program), str(port), str(counters), certificate, key]
        else:
            argv = [str(compiled("backend.c")), kind, str(port), str(counters), *([str(seen)] if seen else [])]
        return Backend(self.start(self.servers, argv), counters, seen)
