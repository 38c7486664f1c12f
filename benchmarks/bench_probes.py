"""CPU per check, fastha beside C keepalived: the same servers, the same configuration, in turn in the same minutes.

A row is a kind of check, a number of servers and an interval; every subject runs once per round, and a round's ratio
is its CPU per check over that of keepalived, or of the bare loop that ends probes in the same way, in the same round.
CPU is that of all processes and threads of the subject, its share of the kernel's network stack included; checks are
counted by the servers. Subjects: `fastha` is the whole daemon ending probes as keepalived does, `fastha-rst` with
`checker_close rst`, `fastha-resume` with `tls_resume`, `engine` and `engine-rst` the engine alone, `bare` and
`bare-rst` a loop in C (native/slotted.c).
An interval that nobody can keep measures saturation.

    python -m benchmarks probes [--pairs N] [--seconds S] [--no-rps] [--subjects A,B] [--record FILE]
                                [CHECK:SERVERS:INTERVAL ...]
    python -m benchmarks probes --report FILE ...       what --record has gathered
"""

import argparse
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.lab import Backend, Lab, LabError, cpu_seconds, rss_mib, wait_for
from benchmarks.record import add, rows, spread
from benchmarks.subjects import BACKENDS, CHECKS, PORT, SUBJECTS, keepalived_version

CASES = ("TCP_CHECK:5000:2", "TCP_CHECK:20000:5", "HTTP_GET:5000:2", "HTTP_GET:20000:5")
Case = tuple[str, int, float]


def measure(lab: Lab, backend: Backend, subject: str, case: Case, seconds: float) -> dict[str, float]:
    """Start a subject, let it settle, watch it, end it: checks a second, us a check, MiB, handshakes resumed."""
    checks = backend.accepted
    running = SUBJECTS[subject](lab, *case)
    pid = running.process.pid
    try:
        wait_for(f"{subject} to take up its servers", running.ready)
        wait_for(f"{subject} to check every server", lambda: backend.accepted - checks >= case[1])
        time.sleep(max(case[2], 1))
        before, checks, resumed, start = cpu_seconds(pid), backend.accepted, backend.resumed, time.monotonic()
        time.sleep(seconds)
        checks, resumed = backend.accepted - checks, backend.resumed - resumed
        spent, elapsed = cpu_seconds(pid) - before, time.monotonic() - start
        memory = rss_mib(pid)
    finally:
        lab.end(running.process)
    if not checks:
        raise LabError(f"{subject} has checked nothing in {seconds:g} s")
    return {"rate": checks / elapsed, "cost": spent / checks * 1e6, "memory": memory, "resumed": resumed / checks}


def parse_case(text: str) -> Case:
    check, servers, interval = text.split(":")
    if check not in CHECKS:
        raise ValueError(f"no check '{check}'")
    return check, int(servers), float(interval)


def run_case(case: Case, subjects: Sequence[str], options: argparse.Namespace) -> list[dict[str, Any]]:
    """All rounds of one case."""
    found = []
    session = time.time()
    with Lab(rps=not options.no_rps) as lab:
        backend = lab.backend(BACKENDS[case[0]], PORT)
        for pair in range(options.pairs):
            for subject in subjects if pair % 2 == 0 else subjects[::-1]:
                run = measure(lab, backend, subject, case, options.seconds)
                found.append(
                    add(options.record, case=case, round=f"{session:.1f}-{pair}", subject=subject, **run,
                        keepalived=keepalived_version())
                )  # fmt: skip
    return found


def print_case(case: Case, found: Sequence[dict[str, Any]]) -> None:
    """A line for each subject."""
    rounds: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for run in found:
        rounds[run["subject"]][run["round"]] = run
    for subject, mine in rounds.items():
        bare = "bare-rst" if subject.endswith("-rst") else "bare"
        ratios = [
            [run["cost"] / rounds[other][name]["cost"] for name, run in mine.items() if name in rounds.get(other, ())]
            for other in ("keepalived", bare)
        ]
        runs = list(mine.values())
        print(
            f"{case[0]:9} {case[1]:6} {case[2]:5g}s  {subject:12} {len(runs):2} "
            f"{statistics.median([run['rate'] for run in runs]):7.0f} {spread([run['cost'] for run in runs]):>21} "
            f"{spread(ratios[0], '.2f'):>18} {spread(ratios[1], '.2f'):>18} "
            f"{statistics.median([run['memory'] for run in runs]):6.1f}",
            flush=True,
        )


def print_head() -> None:
    print("median (least..greatest)\n")
    print(f"{'check':9} {'server':>6} {'every':>6}  {'subject':12} {'n':>2} {'check/s':>7} {'us a check':>21} "
          f"{'of keepalived':>18} {'of the bare loop':>18} {'MiB':>6}")  # fmt: skip


def report(paths: Sequence[Path]) -> None:
    """The table of runs recorded before."""
    by_case: defaultdict[Case, list[dict[str, Any]]] = defaultdict(list)
    for run in rows(paths):
        check, servers, interval = run["case"]
        by_case[check, servers, interval].append(run)
    print_head()
    for case, found in sorted(by_case.items()):
        print_case(case, found)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5, help="rounds (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each run (default %(default)s)")
    parser.add_argument("--no-rps", action="store_true", help="the servers' network stack on the director's CPU too")
    parser.add_argument("--subjects", default="keepalived,fastha,fastha-rst", help="default %(default)s")
    parser.add_argument("--record", type=Path, metavar="FILE", help="append every run to a file, as JSON")
    parser.add_argument("--report", type=Path, nargs="+", metavar="FILE", help="measure nothing, print what is there")
    parser.add_argument("cases", nargs="*", type=parse_case, metavar="CHECK:SERVERS:INTERVAL")
    options = parser.parse_args(argv)
    if options.report:
        report(options.report)
        return 0
    subjects = options.subjects.split(",")
    if unknown := set(subjects) - SUBJECTS.keys():
        parser.error(f"no such subject: {', '.join(sorted(unknown))}")
    print(
        f"CPU per check, {options.pairs} rounds of {options.seconds:g} s each; keepalived {keepalived_version()}; "
        f"veth, {'one CPU for both ends' if options.no_rps else 'each end on its CPU'}; "
        f"load {os.getloadavg()[0]:.1f} at start"
    )
    print_head()
    for case in options.cases or map(parse_case, CASES):
        print_case(case, run_case(case, subjects, options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
