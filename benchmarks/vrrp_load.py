"""The load that adverts must not notice: checks, reloads of many real servers, scripts that are forked all the time."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from benchmarks.lab import Backend, wait_for
from benchmarks.vrrp_lab import Daemon, Routers, VrrpLab, checks, vrrp_configuration

SERVERS: Final = 20_000
CHECK_EVERY: Final = 2.0
"""Seconds: 10,000 checks/s."""
RELOAD_EVERY: Final = 4.0
SCRIPTS_A_SECOND: Final = 50
NOBODY: Final = Routers(0, 1.0)


class Reached(NamedTuple):
    """What the machine managed, a second."""

    checks: float
    scripts: float


class Load:
    """A daemon that speaks for `routers` and, when `busy`, does all the rest meanwhile."""

    def __init__(self, lab: VrrpLab, kind: str, routers: Routers, backend: Backend, *, busy: bool) -> None:
        self._backend = backend
        self._value = lab.path / "value"
        self._told = lab.path / "told"
        self._value.write_text("0\n")
        self._told.write_bytes(b"")
        words = "vrrp_garp_master_repeat 1\n vrrp_garp_master_delay 0\n script_user root"
        extra = self._flapping(lab) + checks(SERVERS, CHECK_EVERY) if busy else ""
        begun = backend.accepted
        self._daemon: Daemon = lab.daemon(kind, vrrp_configuration(routers, 200, words, extra), checking=busy)
        self._daemon.wait(routers.count)
        if busy:
            wait_for(f"the checks of {kind}", lambda: backend.accepted - begun > SERVERS)

    def _flapping(self, lab: VrrpLab) -> str:
        """An instance that is in FAULT while a file says so, and a script that is told of every change."""
        script = lab.path / "notify"
        script.write_text(f"#!/bin/sh\nprintf . >>{self._told}\n")
        script.chmod(0o755)
        return (
            f"vrrp_track_file value {{\n file {self._value}\n}}\n"
            "vrrp_instance FLAPS {\n interface v1\n virtual_router_id 255\n priority 100\n advert_int 1\n"
            f' track_file {{\n  value weight 0\n }}\n notify "{script}"\n'
            " virtual_ipaddress {\n  172.21.0.1/32\n }\n}\n"
        )

    @contextlib.contextmanager
    def going(self, reached: list[Reached]) -> Iterator[None]:
        """Meanwhile the file changes and the daemon reloads; what came of it goes to `reached`."""
        stopping = threading.Event()
        thread = threading.Thread(target=self._work, args=(stopping,))
        before, begin = (self._backend.accepted, self._told.stat().st_size), time.monotonic()
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()
            took = time.monotonic() - begin
            after = (self._backend.accepted, self._told.stat().st_size)
            reached.append(Reached(*((b - a) / took for a, b in zip(before, after, strict=True))))

    def _work(self, stopping: threading.Event) -> None:
        begin = time.monotonic()
        reload_at = begin + RELOAD_EVERY / 4
        turn = 0
        while not stopping.wait(max(0.0, begin + turn / SCRIPTS_A_SECOND - time.monotonic())):
            turn += 1
            self._value.write_text(f"{turn % 2}\n")
            if time.monotonic() >= reload_at:
                reload_at += RELOAD_EVERY
                os.kill(self._daemon.process.pid, signal.SIGHUP)

    def end(self) -> None:
        self._daemon.end()
