"""A large fleet and the checker process: lateness, memory, start, and a mass failure; C keepalived beside it.

lateness   20,000 servers every 2 s, idle and while reloads of all of them go on. By the servers: what lies between
           two connections beyond the interval; for fastha also its own record, from the scheduled time.
start      from the Plan to the first probe and to the last order, for the sizes asked; memory then, once every check
           has run, and after reloads
fall       10,200 servers die at once (their process is killed, so connections are refused): how long after the
           interval, by which each has been probed again, the last operation reaches the plane

    python -m benchmarks fleet [--parts lateness,start,fall] [--servers N,N] [--pairs N] [--record FILE]
"""

import argparse
import os
import signal
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.checker_alone import CheckerAlone, encoded, last_operation, memory, plan_of
from benchmarks.lab import Backend, Lab, cpu_seconds, wait_for
from benchmarks.record import add, spread
from benchmarks.subjects import PORT, Keepalived, configuration, keepalived_version, services
from fastha.model.plan import CheckerPlan

LATE_SERVERS, LATE_INTERVAL = 20_000, 2.0
FALLEN, FALL_INTERVAL = 10_200, 2.0
Deviations = list[float]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so many do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def deviations(log: Iterable[tuple[int, int]], interval: float) -> Deviations:
    """How much later than one interval after the one before each connection came, ms; earlier ones count as 0."""
    last: dict[int, int] = {}
    found = []
    for when, address in log:
        if address in last:
            found.append(max(0.0, (when - last[address]) / 1e6 - interval * 1e3))
        last[address] = when
    return found


def told(values: Sequence[float]) -> str:
    return (
        f"p50 {percentile(values, 0.5):6.2f}  p99 {percentile(values, 0.99):8.2f}  most {max(values, default=0):8.2f}"
    )


def watch(backend: Backend, interval: float, seconds: float) -> Deviations:
    """What the servers see for some seconds."""
    first = backend.entries()
    time.sleep(seconds)
    return deviations(backend.log(first), interval)


def all_checked(backend: Backend, servers: int) -> None:
    """Until so many more probes have come as there are servers."""
    seen = backend.accepted
    wait_for("every check to run", lambda: backend.accepted - seen >= servers)


def interpreter_up(alone: CheckerAlone) -> None:
    """Until it has imported everything and waits for a Plan: its CPU time stands still."""
    spent = 0.0
    while spent < 0.1 or cpu_seconds(alone.pid) > spent:
        spent = cpu_seconds(alone.pid)
        time.sleep(0.3)


def heavier(plan: CheckerPlan, weight: int) -> CheckerPlan:
    """Every server changed, every check the same."""
    return replace(
        plan,
        virtual_servers=tuple(
            replace(service, real_servers=tuple(replace(server, weight=weight) for server in service.real_servers))
            for service in plan.virtual_servers
        ),
    )


def lateness(options: argparse.Namespace) -> None:
    servers, interval = LATE_SERVERS, LATE_INTERVAL
    print(f"\nlateness in ms, TCP_CHECK, {servers} servers every {interval:g} s")
    with Lab() as lab:
        backend = lab.backend("tcp", PORT, log=True)
        for _ in range(options.pairs):
            alone = CheckerAlone(lab)
            plan = plan_of(configuration("TCP_CHECK", servers, interval), lab.path)
            heavy, light = encoded(heavier(plan, 2)), encoded(plan)
            alone.give(light)
            alone.ready()
            all_checked(backend, servers)
            time.sleep(2 * interval)
            before, spent = alone.snapshot(), cpu_seconds(alone.pid)
            seen = watch(backend, interval, 4 * interval)
            spent = cpu_seconds(alone.pid) - spent
            after = alone.snapshot()
            own = [
                check.lateness / 1e6 for vs in after.virtual_servers for rs in vs.real_servers for check in rs.checkers
            ]
            print(f"  fastha, idle, by the servers       {told(seen)}   {spent / (4 * interval) * 100:.1f} % of a core")
            print(f"  fastha, idle, its own record       {told(own)}   slot {before.counters['slot_ns'] / 1e6:g}")
            first, begun, reloads = backend.entries(), time.monotonic(), 0
            idle = after.lateness.counts
            while time.monotonic() - begun < 4 * interval:
                alone.give(heavy if reloads % 2 == 0 else light)
                alone.ready()
                reloads += 1
            elapsed = time.monotonic() - begun
            busy = deviations(backend.log(first), interval)
            counts = [now - then for now, then in zip(alone.snapshot().lateness.counts, idle, strict=True)]
            share = sum(counts[:3]) / max(1, sum(counts))
            print(f"  fastha, {reloads} reloads in {elapsed:.1f} s        {told(busy)}")
            print(f"    by its own record {share:.2%} within 5 ms")
            add(
                options.record, part="lateness", subject="fastha", seen=percentile(seen, 0.99),
                own=percentile(own, 0.99), own_most=max(own), reload=percentile(busy, 0.99),
                within_5ms=share, core=spent / (4 * interval), slot=before.counters["slot_ns"] / 1e6,
            )  # fmt: skip
            lab.end(alone.process)
            alone.close()
            peer = Keepalived(lab, "TCP_CHECK", servers, interval)
            wait_for("keepalived to program all servers", peer.ready)
            all_checked(backend, servers)
            time.sleep(2 * interval)
            spent = cpu_seconds(peer.process.pid)
            seen = watch(backend, interval, 4 * interval)
            spent = cpu_seconds(peer.process.pid) - spent
            print(f"  keepalived, idle, by the servers   {told(seen)}   {spent / (4 * interval) * 100:.1f} % of a core")
            peer.process.send_signal(signal.SIGHUP)
            busy = watch(backend, interval, 4 * interval)
            print(f"  keepalived, one reload             {told(busy)}")
            add(options.record, part="lateness", subject="keepalived", seen=percentile(seen, 0.99),
                reload=percentile(busy, 0.99), core=spent / (4 * interval), version=keepalived_version())  # fmt: skip
            lab.end(peer.process)


def start(options: argparse.Namespace) -> None:
    print("\nstart of the checker process; the interpreter is up when the Plan is sent (s, and MB of the process)")
    columns = f"{'CPU':>6}  {'Rss':>6} {'run':>6} {'reloaded':>8} {'Pss':>6}"
    print(f"{'servers':>8} {'first probe':>22} {'in force':>22} {columns}")
    interval = 10.0
    each: dict[int, float] = {}
    with Lab() as lab:
        backend = lab.backend("tcp", PORT, log=True)
        for servers in options.servers:
            plan = encoded(plan_of(configuration("TCP_CHECK", servers, interval), lab.path))
            probed, forced, cpus = [], [], []
            sizes = (0.0, 0.0, 0.0, 0.0)
            for _ in range(options.pairs):
                alone = CheckerAlone(lab)
                interpreter_up(alone)
                spent, seen = cpu_seconds(alone.pid), backend.entries()
                begun = alone.give(plan)
                alone.ready()
                forced.append((time.monotonic_ns() - begun) / 1e9)
                cpus.append(cpu_seconds(alone.pid) - spent)
                first = memory(alone.pid)[0]
                all_checked(backend, servers)
                probed.append((next(iter(backend.log(seen)))[0] - begun) / 1e9)
                time.sleep(2)
                run, pss = memory(alone.pid)
                for _ in range(2):
                    alone.give(plan)
                    alone.ready()
                time.sleep(1)
                sizes = (first, run, memory(alone.pid)[0], pss)
                lab.end(alone.process)
                alone.close()
            each[servers] = sizes[1]
            print(
                f"{servers:8} {spread(probed, '.2f'):>22} {spread(forced, '.2f'):>22} {statistics.median(cpus):6.2f}  "
                f"{sizes[0]:6.1f} {sizes[1]:6.1f} {sizes[2]:8.1f} {sizes[3]:6.1f}",
                flush=True,
            )
            add(options.record, part="start", servers=servers, probed=probed, forced=forced, cpu=cpus, memory=sizes)
    for less, more in zip(options.servers, options.servers[1:], strict=False):
        print(f"  {(each[more] - each[less]) * 1e6 / (more - less):.0f} bytes for each server from {less} to {more}")


def operations_since(path: Path, before: int, wanted: int) -> bool:
    """Have so many been made since there were `before`?"""
    return last_operation(path)[0] - before >= wanted


def fall(options: argparse.Namespace) -> None:
    servers, interval = FALLEN, FALL_INTERVAL
    print(f"\n{servers} servers die at once, checked every {interval:g} s without retry")
    print("ms from the end of the interval until the last of them is out of the table:")
    text = configuration("TCP_CHECK", servers, interval, retry=0)
    late: defaultdict[str, list[float]] = defaultdict(list)
    with Lab() as lab:
        plan = encoded(plan_of(text, lab.path))
        for pair in range(options.pairs):
            for name in ("fastha", "keepalived") if pair % 2 == 0 else ("keepalived", "fastha"):
                backend = lab.backend("tcp", PORT)
                if name == "fastha":
                    alone = CheckerAlone(lab)
                    alone.give(plan)
                    alone.ready()
                    operations, process = alone.operations, alone.process
                else:
                    peer = Keepalived(lab, "TCP_CHECK", servers, interval, retry=0)
                    wait_for("keepalived to program all servers", peer.ready)
                    operations, process = peer.operations, peer.process
                all_checked(backend, servers)
                time.sleep(2 * interval)
                before = last_operation(operations)[0]
                os.kill(backend.process.pid, signal.SIGKILL)
                died = time.monotonic_ns()
                wait_for("all to be taken out", partial(operations_since, operations, before, servers))
                last = last_operation(operations)[1]
                late[name].append((last - died) / 1e6 - interval * 1e3)
                add(options.record, part="fall", subject=name, late=late[name][-1])
                lab.end(process)
                lab.end(backend.process)
                if name == "fastha":
                    alone.close()
    for name, values in late.items():
        print(f"  {name:11} {spread(values)}")
    print("  (DPVS has published 13 s for as many with its fork of keepalived.)")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="lateness,start,fall", help="default %(default)s")
    parser.add_argument("--servers", default="1000,20000,50000", help="of the start (default %(default)s)")
    parser.add_argument("--pairs", type=int, default=3, help="runs of each (default %(default)s)")
    parser.add_argument("--record", type=Path, metavar="FILE", help="append every run to a file, as JSON")
    options = parser.parse_args(argv)
    options.servers = [int(each) for each in options.servers.split(",")]
    parts = {"lateness": lateness, "start": start, "fall": fall}
    chosen = options.parts.split(",")
    if unknown := set(chosen) - parts.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    print(f"keepalived {keepalived_version()}; load {os.getloadavg()[0]:.1f} at start; {services(FALLEN)} services")
    for name in chosen:
        parts[name](options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
