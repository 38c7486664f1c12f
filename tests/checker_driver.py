"""A stand-in for the supervisor: starts a checker process, talks to it over its channel, and plays the runner."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fastha.model import codec
from fastha.model.net import Address
from fastha.model.plan import CheckerPlan, Checkers, Connection, PlaneChoice, RealServer, VirtualServer
from fastha.model.snapshot import CheckerSnapshot
from fastha.model.units import MS, S
from fastha.process import datagram
from fastha.process.channel import pair
from fastha.process.messages import (
    AskSnapshot,
    Link,
    LogLine,
    Message,
    NewPlan,
    Ping,
    Pong,
    Ready,
    ScriptOrder,
    SnapshotPart,
    Stop,
    Tell,
)
from fastha.system.memfd import read_sealed, write_sealed
from tests.check_builders import http, tcp

PATIENCE = 20.0
TICK = 200 * MS
CLONE_NEWNET = 0x40000000


@contextmanager
def own_network() -> Iterator[None]:
    """This thread, and what it starts, in a new network namespace with its loopback up. Skips where that may not be."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as home:
        if libc.unshare(CLONE_NEWNET):
            pytest.skip(f"no network namespace: {os.strerror(ctypes.get_errno())}")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            assert libc.setns(home.fileno(), CLONE_NEWNET) == 0


class CheckerProcess:
    """`python -m fastha.process.checker` with a plan; leave the `with` block and it is gone."""

    def __init__(self, plan: CheckerPlan, run_dir: Path, *, expect_error: bool = False) -> None:
        self.control, theirs = pair()
        self.runner: socket.socket | None = None
        self.log: list[str] = []
        self.tells: list[Tell] = []
        self.orders: dict[int, ScriptOrder] = {}
        self._others: list[Message] = []
        self._fds: list[int] = []
        self._serial = 0
        command = [sys.executable, "-m", "fastha.process.checker", "--control", str(theirs.fileno())]
        os.set_inheritable(theirs.fileno(), True)
        self.process = subprocess.Popen([*command, "--run-dir", str(run_dir)], pass_fds=[theirs.fileno()])
        theirs.close()
        self.link()
        ready = self.plan(plan)
        assert bool(ready.error) == expect_error, ready.error
        self.error = ready.error

    def __enter__(self) -> CheckerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.control.close()
        if self.runner is not None:
            self.runner.close()

    def link(self) -> None:
        """Be the runner (again)."""
        if self.runner is not None:
            self.runner.close()
        self.runner, theirs = pair()
        self.say(Link("runner"), (theirs.fileno(),))
        theirs.close()

    def say(self, message: Message, fds: tuple[int, ...] = (), *, to: socket.socket | None = None) -> None:
        socket.send_fds(to if to is not None else self.control, [datagram.encode(message)], fds)

    def plan(self, plan: CheckerPlan) -> Ready:
        self._serial += 1
        fd = write_sealed("plan", codec.encode(plan, sparse=True))
        self.say(NewPlan(self._serial), (fd,))
        os.close(fd)
        return self.expect(Ready)

    def snapshot(self) -> CheckerSnapshot:
        self.say(AskSnapshot(1))
        self.expect(SnapshotPart)
        return codec.decode(CheckerSnapshot, read_sealed(self._fds.pop()))

    def ping(self) -> bool:
        self.say(Ping(7))
        return bool(self.expect(Pong).serial == 7)

    def stop(self, *, release: bool = True) -> int:
        self.say(Stop(release))
        code = self.process.wait(PATIENCE)
        self.read(0.2)
        return code

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def read(self, seconds: float) -> None:
        """Take in what the process says, for at most so long; returns after the first batch."""
        sockets = [each for each in (self.control, self.runner) if each is not None]
        readable, _, _ = select.select(sockets, [], [], seconds)
        for each in readable:
            self._receive(each)

    def _receive(self, sock: socket.socket) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(sock, datagram.MAX_DATAGRAM, 8, socket.MSG_DONTWAIT)
        except (BlockingIOError, ConnectionError):
            return
        if not data:
            time.sleep(0.01)
            return
        if data == datagram.IN_MEMFD:
            data, fds = read_sealed(fds[0]), fds[1:]
        message = datagram.decode(data)
        self._fds += fds
        match message:
            case LogLine():
                self.log.append(f"{message.level}: {message.text}")
            case Tell():
                self.tells.append(message)
            case ScriptOrder():
                self.orders[message.target] = message
            case _:
                self._others.append(message)

    def expect(self, kind: type[Any]) -> Any:
        """The next message of this kind."""
        found: list[Any] = []

        def there() -> bool:
            found[:] = [message for message in self._others if isinstance(message, kind)]
            return bool(found)

        self.until(there, kind.__name__)
        self._others.remove(found[0])
        return found[0]

    def until(self, condition: Callable[[], bool], what: str = "", patience: float = PATIENCE) -> None:
        """Take in what is said until the condition holds."""
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {patience} s in vain for {what or condition}; log: {self.log}")
            self.read(0.05)
            assert self.process.poll() is None or condition(), (
                f"the process ended: {self.process.returncode}; {self.log}"
            )

    def told(self) -> list[str]:
        """`RS NAME UP`, ... so far."""
        return [f"{tell.kind} {tell.name} {tell.state}" for tell in self.tells]


class Web:
    """A server on loopback that answers every connection with `reply`; `close` makes it refuse."""

    def __init__(self, port: int = 0) -> None:
        self.reply = b"HTTP/1.0 200 OK\r\n\r\nhello"
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._open()

    def _open(self) -> None:
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                sock.settimeout(2)
                try:
                    request = sock.recv(4096)
                    if request:
                        self.requests.append(request)
                        sock.sendall(self.reply)
                except OSError:
                    pass

    def close(self) -> None:
        if self._listener.fileno() >= 0:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
            self._listener.close()

    def reopen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._open()


def server(web: Web, *, kind: str = "tcp", last: int = 1) -> RealServer:
    connection = Connection(address=Address("127.0.0.1"), port=web.port, connect_timeout=S)
    timing = {"delay_loop": TICK, "delay_before_retry": TICK, "retry": 0, "warmup": 0, "connection": connection}
    checks = Checkers(tcp=(tcp(**timing),)) if kind == "tcp" else Checkers(http=(http(**timing),))
    return RealServer(address=Address(f"127.0.0.{last}"), port=web.port, checkers=checks)


def plan_of(*servers: RealServer, **words: object) -> CheckerPlan:
    service = VirtualServer(
        name="[127.9.9.9]:tcp:80", address=Address("127.9.9.9"), port=80, real_servers=servers, scheduler="rr"
    )
    return CheckerPlan(virtual_servers=(service,), lvs_plane=PlaneChoice.NONE, **words)  # type: ignore[arg-type]
