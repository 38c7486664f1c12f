"""What a further real server costs the checker process: memory, and processor time while nothing happens."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

from fastha.model.net import Address
from fastha.model.plan import CheckerPlan, Checkers, Connection, PlaneChoice, RealServer, TcpCheck, VirtualServer
from fastha.model.units import S
from tests.checker_driver import CheckerProcess, own_network

PORT = 8089
PER_SERVICE = 50
FEW, MANY = 1_000, 21_000
DELAY = 10
MOST_BYTES = 2_500


def plan_of(count: int) -> CheckerPlan:
    services = []
    for number in range(count // PER_SERVICE):
        servers = []
        for index in range(number * PER_SERVICE, (number + 1) * PER_SERVICE):
            address = Address(f"127.1.{index // 250}.{index % 250 + 1}")
            connection = Connection(address=address, port=PORT)
            check = TcpCheck(delay_loop=DELAY * S, warmup=DELAY * S, connection=connection)
            servers.append(RealServer(address=address, port=80, checkers=Checkers(tcp=(check,))))
        address = Address(f"10.0.{number // 250}.{number % 250 + 1}")
        services.append(
            VirtualServer(name=f"[{address}]:tcp:80", address=address, port=80, real_servers=tuple(servers))
        )
    return CheckerPlan(virtual_servers=tuple(services), lvs_plane=PlaneChoice.NONE)


def memory(pid: int) -> int:
    """Bytes of resident memory."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss:"))


def serve(listener: socket.socket) -> None:
    while True:
        try:
            listener.accept()[0].close()
        except OSError:
            return


def size(count: int, run_dir: Path) -> int:
    """Resident memory once every check has run, all of them well."""
    with CheckerProcess(plan_of(count), run_dir) as checker:
        deadline = time.monotonic() + 6 * DELAY
        while checker.snapshot().counters["succeeded"] < count:
            assert time.monotonic() < deadline
            checker.read(1)
        counters = checker.snapshot().counters
        assert (counters["failed"], counters["overdue"]) == (0, 0)
    with CheckerProcess(plan_of(count), run_dir) as checker:
        checker.read(2 * DELAY)  # no snapshot here: making one takes memory too
        time.sleep(2 * DELAY)
        return memory(checker.process.pid)


def test_a_further_server_costs_little_memory(tmp_path: Path) -> None:
    with own_network(), socket.create_server(("", PORT), backlog=4096) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        few, many = (size(count, tmp_path / str(count)) for count in (FEW, MANY))
        listener.shutdown(socket.SHUT_RDWR)
    each = (many - few) / (MANY - FEW)
    print(f"{each:.0f} bytes for each further server; {few / 1e6:.0f} MB with {FEW}")
    assert each <= MOST_BYTES
