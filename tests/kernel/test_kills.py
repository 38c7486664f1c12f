"""Every process of fastha is killed in turn, and the whole started anew, under steady connections through NAT: none of
them breaks, new ones come through, and the service is in the kernel whenever somebody looks. In both planes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastha.model.table import Plane
from fastha.system.ipvs import IpvsPlane
from fastha.system.nftables import NftablesPlane
from tests.kernel.bed import VIP, Bed, say, server, service

pytestmark = [pytest.mark.kernel]

if os.geteuid() != 0 or not shutil.which("ip"):
    pytest.skip("network namespaces need root and iproute2", allow_module_level=True)

PLANES = [pytest.param("ipvs", marks=pytest.mark.ipvs), pytest.param("nftables", marks=pytest.mark.netns)]
PATIENCE = 60.0
LOOK = 0.05
CONNECTIONS = 4

CONFIG = """
global_defs {{
    lvs_plane {plane}
    lvs_notify_fifo {fifo}
}}
vrrp_instance VI {{
    interface front
    virtual_router_id 51
    virtual_ipaddress {{
        10.90.9.9/32
    }}
}}
virtual_server {address} 80 {{
    lvs_sched rr
    lvs_method NAT
    protocol TCP
    delay_loop 1
    warmup 0
    alpha
    {servers}
}}
"""
SERVER = """
    real_server {address} {port} {{
        TCP_CHECK {{
            connect_timeout 1
        }}
    }}
"""


class Watch:
    """Looks at the kernel's table all the time, in the director's namespace; `missed` says when it was not whole."""

    def __init__(self, bed: Bed, plane: str) -> None:
        with bed.inside("director"):
            self.plane: Plane = IpvsPlane() if plane == "ipvs" else NftablesPlane()
        self._bed = bed
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.missed: list[str] = []
        self.looks = 0

    def whole(self) -> str:
        """Empty when everything is there."""
        with self._bed.inside("director"):
            entry = self.plane.read().get(service())
        if entry is None:
            return "no service"
        servers = {key: each.weight for key, each in entry.destinations.items()}
        return "" if servers == {server(number): 1 for number in (1, 2, 3)} else f"servers {servers}"

    def _look(self) -> None:
        while not self._end.wait(LOOK):
            self.looks += 1
            found = self.whole()
            if found:
                self.missed.append(found)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        with self._bed.inside("director"):
            self.plane.flush()
            self.plane.close()


class Daemon:
    """fastha on the director."""

    def __init__(self, bed: Bed, directory: Path) -> None:
        self._bed, self._directory = bed, directory
        self.start()

    def start(self) -> None:
        """The supervisor, with whatever it finds."""
        command = [sys.executable, "-m", "fastha", "-n", "-l", "-c", f"{self._directory}/conf"]
        with self._bed.inside("director"), (self._directory / "log").open("ab") as log:
            self.process = subprocess.Popen([*command, *self._where()], stdout=log, stderr=log)

    def _where(self) -> list[str]:
        return ["--run-dir", f"{self._directory}/run"]

    def pids(self) -> dict[str, int]:
        """Of the children that run."""
        command = [sys.executable, "-m", "fastha", "status", "--json", *self._where()]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            return {}
        return {each["name"]: each["pid"] for each in json.loads(done.stdout)["processes"] if each["pid"]}

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(PATIENCE) == 0


@contextmanager
def connections(bed: Bed) -> Iterator[list[socket.socket]]:
    opened: list[socket.socket] = []
    try:
        opened.extend(bed.connect(number=number + 1) for number in range(CONNECTIONS))
        yield opened
    finally:
        for each in opened:
            each.close()


def until(condition: object, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(LOOK)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("plane", PLANES)
def test_nobody_notices(plane: str, tmp_path: Path) -> None:
    servers = "".join(SERVER.format(**server(number)._asdict()) for number in (1, 2, 3))
    (tmp_path / "conf").write_text(CONFIG.format(plane=plane, fifo=tmp_path / "fifo", address=VIP[4], servers=servers))
    bed = Bed()
    try:
        bed.make()
        watch = Watch(bed, plane)
        daemon = Daemon(bed, tmp_path)
        try:
            until(lambda: not watch.whole(), f"all servers; {(tmp_path / 'log').read_text()[-2000:]}")
            with watch, connections(bed) as steady:
                before = [say(each) for each in steady]

                def all_is_well() -> None:
                    assert [say(each) for each in steady] == before
                    bed.ask(number=9)
                    assert watch.missed == []

                for name in ("checker", "runner", "vrrp"):
                    until(lambda name=name: name in daemon.pids(), f"{name} to be there")
                    killed = daemon.pids()[name]
                    os.kill(killed, signal.SIGKILL)
                    for _ in range(10):
                        all_is_well()
                    until(lambda name=name, killed=killed: daemon.pids().get(name, killed) != killed, f"another {name}")
                    all_is_well()
                children = daemon.pids()
                daemon.process.kill()
                daemon.process.wait()
                all_is_well()
                daemon.start()

                def anew() -> bool:
                    now = daemon.pids()
                    return now.keys() == children.keys() and not {*now.values()} & {*children.values()}

                until(anew, "children of the new one")
                for _ in range(10):
                    all_is_well()
                assert watch.looks > 10
        finally:
            if daemon.process.poll() is None:
                daemon.stop()
        assert "no service" in watch_after(bed, plane)
    finally:
        bed.destroy()


def watch_after(bed: Bed, plane: str) -> str:
    """What is left at the end."""
    watch = Watch(bed, plane)
    try:
        return watch.whole()
    finally:
        with bed.inside("director"):
            watch.plane.close()
