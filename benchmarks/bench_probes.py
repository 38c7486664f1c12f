"""CPU per check, fastha beside C keepalived: the same servers, the same configuration, in turn in the same minutes.

A row is a kind of check, a number of servers and an interval; every subject runs once per round, and a round's ratio
is its CPU per check over keepalived's of the same round. CPU is that of all processes and threads of the subject, its
share of the kernel's network stack included; checks are counted by the servers. Subjects: `fastha` is the whole daemon
ending probes as keepalived does, `fastha-rst` with `checker_close rst`, `engine` and `engine-rst` the engine alone.

    python -m benchmarks probes [--pairs N] [--seconds S] [--no-rps] [--subjects A,B] [CHECK:SERVERS:INTERVAL ...]
"""

import argparse
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.lab import Backend, Lab, cpu_seconds, rss_mib, wait_for
from benchmarks.subjects import CHECKS, PORT, SUBJECTS, keepalived_version

CASES = ("TCP_CHECK:5000:2", "TCP_CHECK:20000:5", "HTTP_GET:5000:2", "HTTP_GET:20000:5")


@dataclass(frozen=True, slots=True)
class Run:
    """One subject for some seconds."""

    rate: float
    """Checks a second, as the servers saw them."""
    cost: float
    """CPU per check, us."""
    memory: float
    """MiB."""


def measure(lab: Lab, backend: Backend, subject: str, case: tuple[str, int, float], seconds: float) -> Run:
    """Start a subject, let it settle, watch it, end it."""
    checks = backend.accepted
    running = SUBJECTS[subject](lab, *case)
    pid = running.process.pid
    wait_for(f"{subject} to take up its servers", running.ready)
    wait_for(f"{subject} to check every server", lambda: backend.accepted - checks >= case[1])
    time.sleep(case[2])
    before, checks, start = cpu_seconds(pid), backend.accepted, time.monotonic()
    time.sleep(seconds)
    checks, spent = backend.accepted - checks, cpu_seconds(pid) - before
    run = Run(checks / (time.monotonic() - start), spent / max(checks, 1) * 1e6, rss_mib(pid))
    lab.end(running.process)
    return run


def spread(values: Sequence[float], form: str = ".1f") -> str:
    """Median (least..greatest)."""
    return f"{statistics.median(values):{form}} ({min(values):{form}}..{max(values):{form}})"


def parse_case(text: str) -> tuple[str, int, float]:
    check, servers, interval = text.split(":")
    if check not in CHECKS:
        raise ValueError(f"no check '{check}'")
    return check, int(servers), float(interval)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5, help="rounds (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each run (default %(default)s)")
    parser.add_argument("--no-rps", action="store_true", help="the servers' network stack on the director's CPU too")
    parser.add_argument("--subjects", default="keepalived,fastha,fastha-rst", help="default %(default)s")
    parser.add_argument("cases", nargs="*", type=parse_case, metavar="CHECK:SERVERS:INTERVAL")
    options = parser.parse_args(argv)
    subjects = options.subjects.split(",")
    if unknown := set(subjects) - SUBJECTS.keys():
        parser.error(f"no such subject: {', '.join(sorted(unknown))}")
    print(
        f"CPU per check, {options.pairs} rounds of {options.seconds:g} s each; keepalived {keepalived_version()}; "
        f"veth, {'one CPU for both ends' if options.no_rps else 'each end on its CPU'}; "
        f"load {os.getloadavg()[0]:.1f} at start"
    )
    print("median (least..greatest)\n")
    print(f"{'check':10} {'servers':>7} {'every':>6}  {'subject':11} {'checks/s':>8} {'us a check':>24} "
          f"{'of keepalived':>24} {'MiB':>6}")  # fmt: skip
    for case in options.cases or map(parse_case, CASES):
        with Lab(rps=not options.no_rps) as lab:
            backend = lab.backend("http" if case[0] == "HTTP_GET" else "tcp", PORT)
            runs: defaultdict[str, list[Run]] = defaultdict(list)
            for pair in range(options.pairs):
                for subject in subjects if pair % 2 == 0 else subjects[::-1]:
                    runs[subject].append(measure(lab, backend, subject, case, options.seconds))
        for subject in subjects:
            mine = runs[subject]
            ratios = [one.cost / other.cost for one, other in zip(mine, runs["keepalived"], strict=False)]
            print(
                f"{case[0]:10} {case[1]:7} {case[2]:5g}s  {subject:11} "
                f"{statistics.median([one.rate for one in mine]):8.0f} {spread([one.cost for one in mine]):>24} "
                f"{spread(ratios, '.2f') if ratios else '-':>24} "
                f"{statistics.median([one.memory for one in mine]):6.1f}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
