"""The part of `bench_lvs` that runs where the kernel has IPVS: program a table with one of the programs.

    python -m benchmarks.lvs_guest SERVICES SERVERS PROGRAM

One run in a kernel: servers that were removed stay in the kernel's bin for a minute, and each one that is added is
looked for there, so a second run would be slower than the first by a multiple. Prints one JSON object: `first` (seconds
from exec until the first service is in the kernel), `table` (seconds from then until the table is complete), `total`
(their sum), `cpu` (seconds of the program's own processes, the kernel's included). Completeness is polled by the number
of services, which costs the kernel nothing, and by the table itself only when all services are there.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

IP_VS_SO_GET_INFO: Final = 64 + 1024 + 64 + 1
STEP: Final = 0.002
PATIENCE: Final = 120.0


def services_now(sock: socket.socket) -> int:
    """How many services the kernel has."""
    return int(struct.unpack("=3I", sock.getsockopt(socket.IPPROTO_IP, IP_VS_SO_GET_INFO, 12))[2])


def servers_now() -> int:
    """How many servers they have."""
    return sum(line.startswith("  ->") for line in Path("/proc/net/ip_vs").read_text().splitlines()) - 1


def addresses(services: int, servers: int) -> Iterator[tuple[str, list[str]]]:
    """Each service with its servers."""
    for number in range(services):
        pool = [f"10.{number % 200}.{index // 250}.{index % 250 + 1}" for index in range(servers)]
        yield f"172.16.{number // 250}.{number % 250 + 1}", pool


def configuration(services: int, servers: int) -> str:
    """For keepalived and fastha alike: servers without checks, so that all are wanted at once."""
    blocks = ["global_defs {\n}\n"]
    for vip, pool in addresses(services, servers):
        real = "".join(f"  real_server {each} 80 {{\n    weight 1\n  }}\n" for each in pool)
        blocks.append(f"virtual_server {vip} 80 {{\n  lvs_sched rr\n  lvs_method DR\n  protocol TCP\n{real}}}\n")
    return "".join(blocks)


def rules(services: int, servers: int) -> str:
    """For `ipvsadm --restore`."""
    return "".join(
        f"-A -t {vip}:80 -s rr\n" + "".join(f"-a -t {vip}:80 -r {each}:80 -g -w 1\n" for each in pool)
        for vip, pool in addresses(services, servers)
    )


def commands(work: Path) -> dict[str, list[str]]:
    keepalived = os.environ.get("KEEPALIVED") or shutil.which(
        "keepalived", path=f"{os.environ['PATH']}:/usr/sbin:/sbin"
    )
    found = {
        "fastha": [sys.executable, "-m", "fastha", "-c", f"{work}/lvs.conf", "--run-dir", f"{work}/run"],
        "ipvsadm": ["/sbin/ipvsadm", "--restore"],
    }
    if keepalived:
        pids = ["-p", f"{work}/k.pid", "-c", f"{work}/kc.pid"]
        found["keepalived"] = [keepalived, "-C", "-n", "-G", "-f", f"{work}/lvs.conf", *pids]
    return found


def cpu_of(process: subprocess.Popen[bytes]) -> float:
    """Seconds of a process and its children so far."""
    ticks = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(entry.name) == process.pid or int(fields[1]) == process.pid:
                    ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(name: str, command: list[str], work: Path, services: int, servers: int) -> dict[str, float]:
    """One run on an empty table."""
    subprocess.run(["/sbin/ipvsadm", "-C"], check=True)
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    begun = time.monotonic()
    first = 0.0
    with open(work / "rules", "rb") as standard_input, open(work / "said", "wb") as output:
        process = subprocess.Popen(command, stdin=standard_input, stdout=output, stderr=subprocess.STDOUT)
    while True:
        count = services_now(sock)
        now = time.monotonic() - begun
        first = first or (now if count else 0.0)
        if count == services and servers_now() == services * servers:
            break
        if now > PATIENCE:
            raise SystemExit(f"{name}: {count} services after {PATIENCE} s: {(work / 'said').read_text()[-500:]}")
        time.sleep(STEP)
    done = time.monotonic() - begun
    cpu = cpu_of(process)
    process.send_signal(signal.SIGTERM)
    process.wait()
    sock.close()
    return {"first": first, "table": done - first, "total": done, "cpu": cpu}


def main() -> None:
    services, servers, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    subprocess.run(["/sbin/ip", "link", "set", "lo", "up"], check=True)  # without a local address none is unicast
    with tempfile.TemporaryDirectory(prefix="bench-lvs.") as directory:
        work = Path(directory)
        (work / "lvs.conf").write_text(configuration(services, servers))
        (work / "rules").write_text(rules(services, servers))
        print(json.dumps(measure(program, commands(work)[program], work, services, servers)), flush=True)


if __name__ == "__main__":
    main()
