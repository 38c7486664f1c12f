"""How late adverts leave: fastha and C keepalived with the same configuration file and the same scheduling class.

Both run in turn, in the same namespace, with the same instances at the same interval; the adverts are time-stamped by
the kernel at the other end of the veth pair. Shown is how much longer than advert_int the time between two adverts
of an instance was. `idle`: nothing else runs. `busy`: loops of normal priority on every CPU. `checker`: the same daemon
checks real servers meanwhile (plane none for fastha, the shim for keepalived).

    python -m benchmarks.bench_advert [--pairs N] [--seconds S] [--instances N] [--interval S] [--servers N] [LOAD ...]
"""

import argparse
import contextlib
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks.lab import Lab, LabError, compiled, cpu_seconds, wait_for
from benchmarks.subjects import PORT, configuration, keepalived_path, keepalived_version
from fastha.system.netns import enter

LOADS = ("idle", "busy", "checker")
RT_PRIORITY = 50
SO_TIMESTAMPNS = 35
ETH_P_IP = 0x0800
DAEMONS = ("fastha", "keepalived")


def vrrp_configuration(instances: int, interval: float) -> str:
    """Instances on b0, version 3, real time at the same priority in both daemons, few announcements."""
    head = (
        f"global_defs {{\n vrrp_version 3\n vrrp_rt_priority {RT_PRIORITY}\n vrrp_no_swap\n"
        " vrrp_garp_master_repeat 1\n vrrp_garp_master_delay 0\n}\n"
    )
    body = [
        f"vrrp_instance I{i} {{\n interface b0\n virtual_router_id {i}\n priority 200\n advert_int {interval:g}\n"
        f" virtual_ipaddress {{\n  172.20.0.{i}/32 dev b0\n }}\n}}\n"
        for i in range(1, instances + 1)
    ]
    return head + "".join(body)


class Listener:
    """Arrival times of adverts by VRID, nanoseconds, taken by the kernel."""

    def __init__(self, namespace: str) -> None:
        self.arrivals: defaultdict[int, list[int]] = defaultdict(list)
        self._stopping = False
        self._thread = threading.Thread(target=self._listen, args=(namespace,), daemon=True)
        self._thread.start()

    def _listen(self, namespace: str) -> None:
        enter(namespace)  # this thread only
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP)) as sock:
            sock.bind(("b0", ETH_P_IP))
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            sock.settimeout(0.1)
            while not self._stopping:
                with contextlib.suppress(TimeoutError):
                    data, ancillary, _, _ = sock.recvmsg(256, 64)
                    if len(data) > 22 and data[9] == 112 and ancillary:
                        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
                        self.arrivals[data[21]].append(seconds * 1_000_000_000 + nanoseconds)

    def close(self) -> None:
        self._stopping = True
        self._thread.join()


@contextlib.contextmanager
def burners(wanted: bool) -> Iterator[None]:
    """Loops of normal priority, one on each CPU and one more."""
    loops = [
        subprocess.Popen(["sh", "-c", "while :; do :; done"])
        for _ in range(len(os.sched_getaffinity(0)) + 1 if wanted else 0)
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def start(lab: Lab, daemon: str, config: str, *, checking: bool) -> subprocess.Popen[str]:
    """The daemon with this configuration, on whatever CPU it likes, at the scheduling class it takes itself."""
    where = lab.path / daemon
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir()
    (where / "conf").write_text(config)
    enter_namespace = ["ip", "netns", "exec", lab.directors]
    if daemon == "fastha":
        words = [sys.executable, "-m", "fastha", "-n", "-l", "-G", "-c", str(where / "conf"), "--run-dir", str(where)]
        words += ["--lvs-plane", "none"] if checking else ["--vrrp"]
    else:
        shim = compiled("ipvs_shim.c", "-shared", "-fPIC", "-ldl")
        words = ["env", f"LD_PRELOAD={shim}", f"IPVS_SHIM_LOG={where / 'operations'}"] if checking else []
        words += [keepalived_path(), "--dont-fork", "--log-console", "--no-syslog", "--use-file", str(where / "conf")]
        words += ["--pid", str(where / "1"), "--checkers_pid", str(where / "2"), "--vrrp_pid", str(where / "3")]
        words += [] if checking else ["--vrrp"]
    with (where / "output").open("w") as output:
        return subprocess.Popen(
            [*enter_namespace, *words], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip


def measure(lab: Lab, daemon: str, load: str, options: argparse.Namespace) -> tuple[list[float], float]:
    """(how much too long the gaps between adverts were, ms; CPU % of the daemon)."""
    checking = load == "checker"
    config = vrrp_configuration(options.instances, options.interval)
    if checking:
        config += configuration("TCP_CHECK", options.servers, 2.0)
    listener = Listener(lab.servers)
    process = start(lab, daemon, config, checking=checking)
    try:
        wait_for(
            f"{daemon} to be master of all instances",
            lambda: speaking(lab.path / daemon, listener, process, options.instances),
        )
        with burners(load == "busy"):
            time.sleep(1)
            listener.arrivals.clear()
            before, begin = cpu_seconds(process.pid), time.monotonic()
            time.sleep(options.seconds)
            cpu = (cpu_seconds(process.pid) - before) / (time.monotonic() - begin) * 100
            arrivals = {vrid: list(times) for vrid, times in list(listener.arrivals.items())}
    finally:
        lab.end(process)
        listener.close()
    interval = options.interval * 1e9
    return [(b - a - interval) / 1e6 for times in arrivals.values() for a, b in pairwise(times)], cpu


def speaking(where: Path, listener: Listener, process: subprocess.Popen[str], instances: int) -> bool:
    if process.poll() is not None:
        raise LabError(f"the daemon ended: {(where / 'output').read_text()[-1000:]}")
    return len(listener.arrivals) == instances


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: Sequence[float]) -> str:
    """Median of the runs, and their least and greatest."""
    return f"{statistics.median(values):8.3f} ({min(values):.3f}..{max(values):.3f})"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3, help="runs of each daemon, in turn (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run (default %(default)s)")
    parser.add_argument("--instances", type=int, default=20, help="default %(default)s")
    parser.add_argument("--interval", type=float, default=0.1, help="advert_int, seconds (default %(default)s)")
    parser.add_argument("--servers", type=int, default=5000, help="for `checker`, every 2 s (default %(default)s)")
    parser.add_argument("loads", nargs="*", metavar="LOAD", help=f"of {', '.join(LOADS)} (default: all)")
    options = parser.parse_args(argv)
    if unknown := set(options.loads) - set(LOADS):
        parser.error(f"no such load: {', '.join(sorted(unknown))}")
    print(
        f"adverts of {options.instances} instances every {options.interval:g} s, {options.pairs} runs of "
        f"{options.seconds:g} s each; keepalived {keepalived_version()}; both SCHED_RR {RT_PRIORITY}"
    )
    print("gap between adverts beyond advert_int, ms: median of the runs (least..greatest)\n")
    print(f"{'load':8} {'daemon':11} {'p50':>26} {'p99':>26} {'max':>26} {'CPU %':>24}")
    with Lab(rps=False) as lab:
        lab.backend("tcp", PORT)
        for load in options.loads or LOADS:
            runs: defaultdict[str, list[tuple[list[float], float]]] = defaultdict(list)
            for pair in range(options.pairs):
                for daemon in DAEMONS if pair % 2 == 0 else DAEMONS[::-1]:
                    runs[daemon].append(measure(lab, daemon, load, options))
            for daemon in DAEMONS:
                gaps = [gap for gap, _ in runs[daemon]]
                columns = [spread([quantile(one, share) for one in gaps]) for share in (0.5, 0.99, 1.0)]
                columns.append(spread([cpu for _, cpu in runs[daemon]]))
                print(f"{load:8} {daemon:11} " + " ".join(f"{column:>26}" for column in columns), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
