"""Tables of fleet size: how long fastha's own work takes, and programming the kernel beside keepalived and ipvsadm.

In this process, with a table in memory in the kernel's place: reading the configuration, the difference, and how many
operations come of it at the start, at a reload with nothing changed, and with one weight changed. In the machine with
IPVS (tests/ipvs-vm): seconds from exec until the first service is there, and from then until the table is complete.
Two plots of time over size are written to build/: `bench-lvs-own.svg` and `bench-lvs-kernel.svg`.

    python -m benchmarks lvs [--services N] [--servers N] [--rounds N] [--no-kernel] [--plots DIR]
"""

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from benchmarks.lab import LabError
from benchmarks.plot import lines
from benchmarks.record import spread
from fastha.config.load import load
from fastha.lvs.reconcile import execute
from fastha.model import codec
from fastha.model.plan import CheckerPlan
from fastha.model.table import Entry, Operation, Refusal, ServiceKey, SyncDaemon, Table
from fastha.process.director import Director
from fastha.process.programmer import JournalFile, Programmer
from fastha.system.host import SystemHost

ROOT = Path(__file__).parent.parent
PROGRAMS = ("fastha", "keepalived", "ipvsadm")
SIZES = ((250, 10), (1000, 10), (100, 500))
"""(services, servers of each) in the kernel."""
T = TypeVar("T")
_SERVICE = """virtual_server {vip} 80 {{
  delay_loop 6
  lvs_sched wrr
  lvs_method DR
  protocol TCP
{servers}}}
"""
_SERVER = """  real_server {address} 80 {{
    weight {weight}
    TCP_CHECK {{
      connect_timeout 3
    }}
  }}
"""


class TablePlane:
    """A kernel's table without a kernel."""

    name = "memory"
    note = ""
    slow = False

    def __init__(self) -> None:
        self.table: Table = {}
        self.writes = 0

    def read(self) -> Table:
        return {}

    def read_one(self, at: ServiceKey) -> Entry | None:
        return self.table.get(at)

    def disturbed(self) -> bool:
        return False

    def apply(self, operations: list[Operation]) -> list[Refusal]:
        self.writes += len(operations)
        for operation in operations:
            execute(self.table, operation)
        return []

    def read_timeouts(self) -> tuple[int, int, int]:
        return 0, 0, 0

    def set_timeouts(self, tcp: int, tcpfin: int, udp: int) -> None: ...

    def read_daemons(self) -> list[SyncDaemon]:
        return []

    def start_daemon(self, daemon: SyncDaemon) -> None: ...

    def stop_daemon(self, daemon: SyncDaemon) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


def text_of(services: int, servers: int, *, first_weight: int = 1) -> str:
    """`servers` in all, spread over `services`; each has a TCP check."""
    blocks = []
    for number in range(services):
        count = servers // services + (number < servers % services)
        real = "".join(
            _SERVER.format(
                address=f"10.{number % 250}.{index // 250}.{index % 250 + 1}",
                weight=first_weight if number == index == 0 else 1,
            )
            for index in range(count)
        )
        vip = f"172.{16 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"
        blocks.append(_SERVICE.format(vip=vip, servers=real))
    return "".join(blocks)


def timed(work: Callable[[], T]) -> tuple[T, float]:
    gc.collect()
    begun = time.process_time()
    result = work()
    return result, time.process_time() - begun


def plan_of(path: Path, text: str) -> tuple[CheckerPlan, float, float]:
    """The plan; seconds of CPU for reading, and for handing it to the other process."""
    path.write_text(text)
    loaded, reading = timed(lambda: load(str(path), SystemHost()))
    if loaded.plan is None:
        raise LabError(f"the benchmark's configuration is refused: {loaded.refused[:3]}")
    whole = loaded.plan.checker
    plan, passing = timed(lambda: codec.decode(CheckerPlan, codec.encode(whole, sparse=True)))
    return plan, reading, passing


def own_work(services: int, servers: int) -> dict[str, float]:
    """One line: seconds of CPU, and operations. Returns those that are plotted."""
    with TemporaryDirectory(prefix="bench-lvs.") as directory:
        path = Path(directory) / "lvs.conf"
        plan, reading, passing = plan_of(path, text_of(services, servers))
        same, _, _ = plan_of(path, text_of(services, servers))
        changed, _, _ = plan_of(path, text_of(services, servers, first_weight=7))
        plane, director = TablePlane(), Director()
        programmer = Programmer(plane, JournalFile(directory), lambda *_: None)

        def start() -> None:
            director.start(plan, 0)
            director.take()
            programmer.install(director.services, programmer.open(flush=False), 0)

        def reload(to: CheckerPlan) -> int:
            before = plane.writes
            director.reload(to, 0)
            programmer.touch(director.take().touched)
            programmer.flush(director.services, 0)
            return plane.writes - before

        _, starting = timed(start)
        at_start = plane.writes
        nothing, unchanged = timed(lambda: reload(same))
        one, changing = timed(lambda: reload(changed))
    print(
        f"{services:8} {servers:8} {reading:8.2f} {passing:8.2f} {starting:8.2f} {at_start:8} "
        f"{unchanged:10.3f} {nothing:8} {changing:10.3f} {one:8}",
        flush=True,
    )
    return {"read": reading, "pass on": passing, "start": starting, "reload, one weight": changing}


def in_guest(services: int, servers: int, program: str) -> dict[str, float]:
    """One run in a machine of its own."""
    command = [str(ROOT / "tests/ipvs-vm/ipvs-vm"), "--timeout", "300", "--"]
    command += [sys.executable, "-m", "benchmarks.lvs_guest", str(services), str(servers), program]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise LabError(f"ipvs-vm ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
    found: dict[str, float] = json.loads(lines[0])
    return found


def in_kernel(services: int, servers: int, rounds: int) -> dict[str, float]:
    """The machine with IPVS: a line for each program. Returns seconds from its first service to its last server."""
    runs: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    for number in range(rounds):
        for program in PROGRAMS if number % 2 == 0 else reversed(PROGRAMS):
            runs[program].append(in_guest(services, servers, program))
    for program in PROGRAMS:
        cells = [spread([run[what] for run in runs[program]], ".3f") for what in ("first", "table", "total", "cpu")]
        print(f"{services:6} x {servers:<6} {program:11} " + " ".join(f"{cell:>24}" for cell in cells), flush=True)
    return {program: statistics.median(run["table"] for run in runs[program]) for program in PROGRAMS}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=2284, help="default %(default)s")
    parser.add_argument("--servers", type=int, default=37298, help="in all of them (default %(default)s)")
    parser.add_argument("--rounds", "--pairs", type=int, default=3, help="in the kernel (default %(default)s)")
    parser.add_argument("--no-kernel", action="store_true", help="only fastha's own work")
    parser.add_argument("--plots", type=Path, default=ROOT / "build", help="where plots go (default: build)")
    options = parser.parse_args(argv)
    print(f"load {os.getloadavg()[0]:.1f}; seconds of CPU, in one process, the kernel apart")
    print(
        f"{'services':>8} {'servers':>8} {'read':>8} {'pass on':>8} {'start':>8} {'writes':>8} "
        f"{'unchanged':>10} {'writes':>8} {'one weight':>10} {'writes':>8}"
    )
    options.plots.mkdir(parents=True, exist_ok=True)
    own: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    sizes = ((500, 10_000), (1250, 25_000), (options.services, options.servers), (2500, 50_000))
    for services, servers in (*sizes, (1, 10_000), (1, 25_000), (1, 50_000)):
        for what, seconds in own_work(services, servers).items():
            own[what if services > 1 else f"{what}, one service"].append((servers, seconds))
    lines(options.plots / "bench-lvs-own.svg", "fastha's own work", ("real servers", "seconds of CPU"), own)
    if not options.no_kernel:
        print("\nseconds in the machine with IPVS, servers without checks; median (least..greatest)")
        print(
            f"{'services x servers':27} {'exec to 1st service':>24} {'1st service to last':>24} {'sum':>24} {'CPU':>24}"
        )
        theirs: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        for services, servers in SIZES:
            for program, seconds in in_kernel(services, servers, options.rounds).items():
                theirs[program].append((services * servers, seconds))
        title = "From the first service to the last server in the kernel"
        lines(options.plots / "bench-lvs-kernel.svg", title, ("real servers", "seconds"), theirs)
    return 0
