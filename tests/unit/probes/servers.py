"""Servers that behave in every way there is, and orders to probe them."""

import select
import socket
import struct
import threading
import time
from collections.abc import Callable

from fastha._checks import ProbeEngine
from fastha.checks.recipes import Kind, ProbeOrder, Recipe, Report
from fastha.model.net import Address
from fastha.model.units import MS, S

LOOPBACK = Address("127.0.0.1")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = b"GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\n\r\n"
LIMIT = 20.0
"""Seconds after which something that should have happened never will."""

Script = Callable[[socket.socket], None]


class Server:
    """A listener; each connection is handled by `script` in a thread, then closed."""

    def __init__(self, script: Script, family: int = socket.AF_INET) -> None:
        self.script = script
        self.peers: list[tuple[str, int]] = []
        self.errors: list[OSError] = []
        self.listener = socket.socket(family)
        self.listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.listener.listen(4096)
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def accepted(self) -> int:
        return len(self.peers)

    def _accept(self) -> None:
        while True:
            try:
                connection, peer = self.listener.accept()
            except OSError:
                return
            self.peers.append(peer[:2])
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(LIMIT)
            try:
                self.script(connection)
            except OSError as error:
                self.errors.append(error)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def tcp(port: int, **more: object) -> Recipe:
    return Recipe(**{"kind": Kind.TCP, "address": LOOPBACK, "port": port, "timeout": 2 * S} | more)  # type: ignore[arg-type]


def http(port: int, **more: object) -> Recipe:
    return tcp(port, **{"kind": Kind.HTTP, "request": REQUEST, "status_codes": ((200, 299),)} | more)


def once(recipe: Recipe, target: int = 0, generation: int = 1) -> ProbeOrder:
    return ProbeOrder(target=target, generation=generation, recipe=recipe, first=time.monotonic_ns(), interval=0)


def standing(
    recipe: Recipe, target: int = 0, interval: int = 50 * MS, *, expect: bool = True, generation: int = 1
) -> ProbeOrder:
    now = time.monotonic_ns()
    return ProbeOrder(
        target=target, generation=generation, recipe=recipe, first=now, interval=interval, expect_success=expect
    )


def wait_for(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(0.002)


def collect(engine: ProbeEngine, count: int) -> list[Report]:
    """The next `count` reports, and a look whether there are more."""
    found: list[Report] = []
    end = time.monotonic() + LIMIT
    while len(found) < count:
        assert time.monotonic() < end, f"{len(found)} of {count} reports"
        select.select([engine.fileno()], [], [], 0.2)
        found += engine.reports()
    return found


def probe(engine: ProbeEngine, recipe: Recipe) -> Report:
    engine.order(once(recipe))
    (report,) = collect(engine, 1)
    assert (report.target, report.generation) == (0, 1)
    assert 0 < report.started <= report.finished
    return report


# ------------------------------------------------------------------------------------ how servers behave


def answer(*pieces: bytes, pause: float = 0.0) -> Script:
    def script(connection: socket.socket) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            got = connection.recv(4096)
            if not got:  # the probe was given up
                return
            request += got
        assert request == REQUEST
        for piece in pieces:
            connection.sendall(piece)
            if pause:
                time.sleep(pause)

    return script


def hold(connection: socket.socket) -> None:
    connection.recv(1)


def silent(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def close_unanswered(connection: socket.socket) -> None:
    assert connection.recv(4096) == REQUEST


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def answer_and_reset(connection: socket.socket) -> None:
    answer(OK)(connection)
    time.sleep(0.1)
    reset(connection)


def answer_and_wait(connection: socket.socket) -> None:
    answer(OK)(connection)
    silent(connection)


def header(size: int) -> bytes:
    """A complete header of exactly `size` octets."""
    start = b"HTTP/1.1 200 OK\r\nX: "
    return start + b"x" * (size - len(start) - 4) + b"\r\n\r\n"
