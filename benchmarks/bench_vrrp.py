"""VRRP in figures: what it costs, how fast it takes over, how late adverts leave; beside C keepalived and bare loops.

cpu        of master and backup, which are of one kind: fastha, C keepalived, a bare sendmmsg / recvmmsg loop
takeover   after SIGKILL of the master: from its last advert to the first gratuitous ARP, beyond the master-down time
lateness   how much longer than advert_int the time between two adverts was; `idle`, or `busy` while checks run, real
           servers are reloaded and notify scripts forked

All run in the same namespaces in turn, with the same configuration and the same scheduling class (bare: SCHED_FIFO, the
others SCHED_RR, all at 50). Adverts are stamped by the kernel at the other end of the link.

    python -m benchmarks.bench_vrrp [--full | --pairs N --seconds S] [PART ...]
"""

import argparse
import contextlib
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from benchmarks.lab import Backend, LabError, cpu_seconds
from benchmarks.subjects import PORT, keepalived_version
from benchmarks.vrrp_lab import DAEMONS, Daemon, Routers, Seen, VrrpLab, address_of, vrrp_configuration
from benchmarks.vrrp_load import NOBODY, Load, Reached

MASTER, BACKUP = 200, 100
LOADS = ("idle", "busy")
QUIET = "vrrp_garp_master_repeat 1\n vrrp_garp_master_delay 0"
CPU_CASES = (Routers(1000, 0.1), Routers(100, 0.01))
LATENESS_CASES = (Routers(20, 0.1), Routers(20, 0.01))
TAKEOVER_CASES = (Routers(1, 0.1), Routers(1000, 0.1))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1, help="runs of each subject, in turn (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each run (default %(default)s)")
    parser.add_argument("--full", action="store_true", help="3 runs of 10 s each, 10 takeovers of one and 3 of 1,000")
    parser.add_argument("--loads", nargs="+", choices=LOADS, default=LOADS, help="of lateness (default: both)")
    parser.add_argument("--only", metavar="SUBJECT", help="fastha, keepalived or bare")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    options = parser.parse_args(argv)
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if options.full:
        options.pairs, options.seconds = 3, 10.0
    print(f"keepalived {keepalived_version()}; medians of the runs (least..greatest)")
    with VrrpLab() as lab:
        for part in options.parts or PARTS:
            PARTS[part](lab, options)
    return 0


# --------------------------------------------------------------------------------------------------------------- cpu


class Cost(NamedTuple):
    master: float
    """% of one core."""
    backup: float
    rate: float
    """Adverts a second."""
    expected: int = 0
    """fastha: adverts that the backup's engine expected,"""
    reported: int = 0
    """and those that went up to Python."""


def cpu(lab: VrrpLab, options: argparse.Namespace) -> None:
    print("\nCPU of the VRRP process, % of one core, kernel included\n")
    print(f"{'routers':16} {'subject':11} {'master':>24} {'backup':>24} {'adverts/s':>10}  to keepalived's")
    for routers in CPU_CASES:
        runs: defaultdict[str, list[Cost]] = defaultdict(list)
        for subject in turns(("fastha", "keepalived", "bare"), options):
            runs[subject].append(cpu_of(lab, subject, routers, options.seconds))
        for subject, results in runs.items():
            beside = runs.get("keepalived", ())
            ratios = [
                f"{median(own[i] / other[i] for own, other in zip(results, beside, strict=True)):.2f}"
                for i in (0, 1) if beside
            ]  # fmt: skip
            masters, backups = spread([one.master for one in results]), spread([one.backup for one in results])
            rate = median(one.rate for one in results)
            print(f"{routers!s:16} {subject:11} {masters:>24} {backups:>24} {rate:10.0f}  {' : '.join(ratios)}")
            if expected := sum(one.expected for one in results):
                reported = sum(one.reported for one in results)
                print(
                    f"{'':28} adverts heard by the backup: {expected:,} expected, {reported:,} for Python", flush=True
                )


def cpu_of(lab: VrrpLab, subject: str, routers: Routers, seconds: float) -> Cost:
    with contextlib.ExitStack() as stack:
        backup: Daemon | None = None
        if subject == "bare":
            pair = lab.bare_pair(routers)
            for one in pair:
                stack.callback(lab.end, one)
            pids = [one.pid for one in pair]
        else:
            master = lab.daemon(subject, vrrp_configuration(routers, MASTER, QUIET))
            stack.callback(master.end)
            master.wait(routers.count)
            backup = lab.daemon(subject, vrrp_configuration(routers, BACKUP, QUIET), backup=True)
            stack.callback(backup.end)  # before the master
            backup.wait(0)
            pids = [master.vrrp(), backup.vrrp()]
        time.sleep(2)
        counted = backup if subject == "fastha" else None
        heard = counted.engine() if counted else {}
        before, sent, begin = [cpu_seconds(pid) for pid in pids], lab.sent(lab.directors, routers), time.monotonic()
        time.sleep(seconds)
        after, sent = [cpu_seconds(pid) for pid in pids], lab.sent(lab.directors, routers) - sent
        took = time.monotonic() - begin
        if lab.addresses(lab.servers):
            raise LabError(f"the backup ({subject}, {routers}) has become master: the machine is too busy")
        now = counted.engine() if counted else {}
    used = [(b - a) / took * 100 for a, b in zip(before, after, strict=True)]
    counts = {name: now[name] - heard[name] for name in ("expected", "reported") if now}
    return Cost(used[0], used[1], sent / took, **counts)


# ---------------------------------------------------------------------------------------------------------- takeover


def takeover(lab: VrrpLab, options: argparse.Namespace) -> None:
    print("\ntakeover after SIGKILL, ms beyond the master-down time, from each router's last advert\n")
    print(f"{'routers':16} {'subject':11} {'runs':>5} {'first':>26} {'median':>26} {'last':>26}")
    for routers in TAKEOVER_CASES:
        count = options.pairs
        if options.full:
            count = 10 if routers.count == 1 else 3
        runs: defaultdict[str, list[list[float]]] = defaultdict(list)
        for subject in turns(DAEMONS, options, count):
            runs[subject].append(takeover_of(lab, subject, routers))
        for subject, results in runs.items():
            columns = [spread([pick(one) for one in results]) for pick in (min, median, max)]
            row = " ".join(f"{column:>26}" for column in columns)
            print(f"{routers!s:16} {subject:11} {len(results):5} {row}", flush=True)


def takeover_of(lab: VrrpLab, subject: str, routers: Routers) -> list[float]:
    """ms of each router, from its last advert to the first gratuitous ARP of the other, less the master-down time."""
    with contextlib.ExitStack() as stack:
        master = lab.daemon(subject, vrrp_configuration(routers, MASTER))
        stack.callback(master.end)
        master.wait(routers.count)
        backup = lab.daemon(subject, vrrp_configuration(routers, BACKUP), backup=True)
        stack.callback(backup.end)
        backup.wait(0)
        time.sleep(3)
        with lab.recording(routers) as seen:
            time.sleep(3 * routers.interval)
            master.kill()
            backup.wait(routers.count)
            time.sleep(0.5)
    return gaps_of(seen, routers)


def gaps_of(seen: Iterable[Seen], routers: Routers) -> list[float]:
    last: dict[bytes, int] = {}
    first: dict[bytes, int] = {}
    for one in seen:
        if one.advert and not one.outgoing and one.priority:
            last[one.address] = one.at
        elif not one.advert and one.outgoing:
            first.setdefault(one.address, one.at)
    down = routers.master_down(BACKUP)
    keys = [
        address_of(*divmod(i, routers.on_a_link)).packed[:3] + bytes([i % routers.on_a_link + 1])
        for i in range(routers.count)
    ]
    if missing := [key for key in keys if key not in last or key not in first]:
        raise LabError(f"{len(missing)} of {routers.count} routers were not taken over, or not seen")
    return [((first[key] - last[key]) / 1e9 - down) * 1e3 for key in keys]


# ---------------------------------------------------------------------------------------------------------- lateness


def lateness(lab: VrrpLab, options: argparse.Namespace) -> None:
    backend = lab.backend("tcp", PORT)
    print("\ngap between two adverts of a router beyond advert_int, ms; p99 and p99.9 above those of the bare loop\n")
    print(f"{'load':5} {'routers':12} {'subject':11} {'p50':>20} {'p99':>20} {'p99.9':>22} {'max':>24}  above bare")
    for load in options.loads:
        for routers in LATENESS_CASES:
            runs: defaultdict[str, list[list[float]]] = defaultdict(list)
            reached: defaultdict[str, list[Reached]] = defaultdict(list)
            for subject in turns(("fastha", "keepalived", "bare"), options):
                busy = reached[subject] if load == "busy" else None
                runs[subject].append(lateness_of(lab, subject, routers, options.seconds, backend, busy))
            for subject, results in runs.items():
                columns = [[quantile(one, share) for one in results] for share in (0.5, 0.99, 0.999, 1.0)]
                row = " ".join(f"{spread(column):>22}" for column in columns)
                above = ""
                if bare := runs.get("bare"):
                    above = " ".join(
                        f"{median(column) - median([quantile(one, share) for one in bare]):6.3f}"
                        for column, share in zip(columns[1:3], (0.99, 0.999), strict=True)
                    )
                row = f"{load:5} {routers!s:12} {subject:11} {row}  {above}"
                if reached[subject]:
                    checks, scripts = (median(column) for column in zip(*reached[subject], strict=True))
                    row += f"  ({checks:.0f} checks/s, {scripts:.0f} scripts/s)"
                print(row, flush=True)


def lateness_of(  # noqa: PLR0917
    lab: VrrpLab, subject: str, routers: Routers, seconds: float, backend: Backend, reached: list[Reached] | None
) -> list[float]:
    """How much too long the gaps between adverts were, ms. With `reached` the daemon that is measured does the checks,
    the reloads and the scripts meanwhile; beside the bare loop fastha does."""
    with contextlib.ExitStack() as stack:
        load: Load | None = None
        if subject != "bare" or reached is not None:
            kind, ours = ("fastha", NOBODY) if subject == "bare" else (subject, routers)
            load = Load(lab, kind, ours, backend, busy=reached is not None)
            stack.callback(load.end)
        if subject == "bare":
            for process in lab.bare_pair(routers):
                stack.callback(lab.end, process)
        time.sleep(1)
        seen = stack.enter_context(lab.recording(routers))
        if load is not None and reached is not None:
            stack.enter_context(load.going(reached))
        time.sleep(seconds)
    arrivals: defaultdict[bytes, list[int]] = defaultdict(list)
    for one in seen:
        if one.advert and not one.outgoing:
            arrivals[one.address].append(one.at)
    interval = routers.interval * 1e9
    return [(b - a - interval) / 1e6 for times in arrivals.values() for a, b in pairwise(times)]


# ------------------------------------------------------------------------------------------------------------- tables


def turns(subjects: Sequence[str], options: argparse.Namespace, count: int = 0) -> Iterable[str]:
    """Every subject so often, each round in the other direction than the one before."""
    for turn in range(count or options.pairs):
        for subject in subjects[:: 1 if turn % 2 == 0 else -1]:
            if options.only in (None, subject):
                yield subject


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: Sequence[float]) -> str:
    """Median of the runs, and their least and greatest."""
    return f"{median(values):.3f} ({min(values):.3f}..{max(values):.3f})"


PARTS = {"cpu": cpu, "takeover": takeover, "lateness": lateness}

if __name__ == "__main__":
    sys.exit(main())
