"""How long a start takes: from exec until the last real server is in its place, fastha beside C keepalived.

keepalived's last IPVS operation is timed by the shim (so the kernel's own time is in neither figure); fastha has
`lvs_plane none` and says so in its log when everything is in force.

    python -m benchmarks start [--pairs N] [--servers N]
"""

import argparse
import os
import sys
import time
from collections import defaultdict
from collections.abc import Sequence

from benchmarks.lab import Lab, cpu_seconds, rss_mib, wait_for
from benchmarks.record import spread
from benchmarks.subjects import Fastha, Keepalived, keepalived_version

INTERVAL = 60.0
"""Seconds between checks: they are not what is measured."""


def start_keepalived(lab: Lab, servers: int) -> tuple[float, float, float]:
    """Seconds from exec to the last operation, CPU seconds until then, MiB."""
    begun = time.monotonic()
    daemon = Keepalived(lab, "TCP_CHECK", servers, INTERVAL)
    wait_for("keepalived to program all servers", daemon.ready, step=0.001)
    found = daemon.programmed() / 1e9 - begun, cpu_seconds(daemon.process.pid), rss_mib(daemon.process.pid)
    lab.end(daemon.process)
    return found


def start_fastha(lab: Lab, servers: int) -> tuple[float, float, float]:
    """Seconds from exec until all is in force, CPU seconds until then, MiB."""
    begun = time.monotonic()
    daemon = Fastha(lab, "TCP_CHECK", servers, INTERVAL)
    wait_for("fastha to take up all servers", daemon.ready, step=0.001)
    found = time.monotonic() - begun, cpu_seconds(daemon.process.pid), rss_mib(daemon.process.pid)
    lab.end(daemon.process)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5, help="starts of each daemon, in turn (default %(default)s)")
    parser.add_argument("--servers", type=int, default=10_000, help="default %(default)s")
    options = parser.parse_args(argv)
    print(
        f"start with {options.servers} real servers, {options.pairs} of each; keepalived {keepalived_version()}; "
        f"load {os.getloadavg()[0]:.1f} at start\nmedian (least..greatest)\n"
    )
    print(f"{'daemon':11} {'exec to last operation, s':>26} {'CPU until then, s':>26} {'MiB':>26}")
    starters = {"keepalived": start_keepalived, "fastha": start_fastha}
    runs: defaultdict[str, list[tuple[float, float, float]]] = defaultdict(list)
    with Lab() as lab:
        for pair in range(options.pairs):
            for name in starters if pair % 2 == 0 else reversed(starters):
                runs[name].append(starters[name](lab, options.servers))
    for name in starters:
        elapsed, spent, memory = zip(*runs[name], strict=True)
        print(f"{name:11} {spread(elapsed, '.3f'):>26} {spread(spent, '.3f'):>26} {spread(memory):>26}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
