"""How long `-t` takes for a fleet's configuration, fastha beside C keepalived: whole programs, start and end included.

    python -m benchmarks config [--pairs N]

Nothing is programmed and nothing is sent, so neither needs namespaces or rights.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from benchmarks.record import spread
from benchmarks.subjects import keepalived_path, keepalived_version

TCP: Final = "TCP_CHECK {\n            connect_timeout 3\n            retry 2\n        }"
HTTP: Final = (
    "HTTP_GET {\n            url {\n                path /health\n                status_code 200\n            }\n"
    "            connect_timeout 3\n        }"
)
SHAPES: Final = (
    ("10,000, TCP, 100 a service", 10_000, 100, TCP),
    ("10,000, TCP, all in one service", 10_000, 10_000, TCP),
    ("10,000, HTTP, 20 a service", 10_000, 20, HTTP),
    ("50,000, TCP, 100 a service", 50_000, 100, TCP),
    ("50,000, TCP, all in one service", 50_000, 50_000, TCP),
)
"""Name, real servers, real servers of each virtual server, checker."""
PATIENCE: Final = 300.0
"""Seconds after which a test is given up."""


def configuration(servers: int, each: int, check: str) -> str:
    """A keepalived.conf with `servers` real servers, `each` to a virtual server."""
    parts = []
    for first in range(0, servers, each):
        parts.append(
            f"virtual_server {IPv4Address('10.0.0.1') + first // each} 80 {{\n    delay_loop 6\n    lvs_sched wlc\n"
            "    lvs_method NAT\n    protocol TCP\n"
        )
        parts += (
            f"    real_server {IPv4Address('172.16.0.1') + number} 80 {{\n        weight 1\n        {check}\n    }}\n"
            for number in range(first, first + each)
        )
        parts.append("}\n")
    return "".join(parts)


def run(command: Sequence[str]) -> tuple[float, float]:
    """Seconds from exec to the end, and CPU seconds of the program and its children."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    elapsed, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr[-300:]}")
    return elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3, help="tests by each program, in turn (default %(default)s)")
    parser.add_argument("--largest", type=int, default=50_000, help="leave out larger ones (default %(default)s)")
    options = parser.parse_args(argv)
    programs = {
        "keepalived": [keepalived_path(), "-t", "-f"],
        "fastha": [sys.executable, "-m", "fastha", "-t", "-f"],
    }
    print(
        f"-t of a configuration, {options.pairs} of each; keepalived {keepalived_version()}; load "
        f"{os.getloadavg()[0]:.1f} at start\nseconds: median (least..greatest)\n"
    )
    print(f"{'real servers':33} {'program':11} {'exec to end':>22} {'CPU':>22}")
    with tempfile.TemporaryDirectory() as directory:
        for name, servers, each, check in SHAPES:
            if servers > options.largest:
                continue
            path = Path(directory) / "keepalived.conf"
            path.write_text(configuration(servers, each, check))
            runs: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
            for pair in range(options.pairs):
                for program in programs if pair % 2 == 0 else reversed(programs):
                    runs[program].append(run([*programs[program], str(path)]))
            for program in programs:
                elapsed, spent = zip(*runs[program], strict=True)
                print(f"{name:33} {program:11} {spread(elapsed, '.2f'):>22} {spread(spent, '.2f'):>22}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
