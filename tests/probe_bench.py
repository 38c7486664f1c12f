"""A probe engine and servers of all kinds on the loopback, for tests of single probes."""

from __future__ import annotations

import select
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fastha._checks import ProbeEngine
from fastha.checks.recipes import Kind, ProbeOrder, Recipe, Report
from fastha.model.net import Address
from fastha.model.units import MS, S

LOOPBACK = Address("127.0.0.1")
LIMIT = 20.0
"""Seconds after which something that should have happened never will."""
Talk = Callable[[socket.socket], None]


@contextmanager
def running(**words: object) -> Iterator[ProbeEngine]:
    """An engine at work; nothing of it may be left."""
    engine = ProbeEngine(**{"cap": 200} | words)  # type: ignore[arg-type]
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()
        assert engine.stats()["in_flight"] == engine.stats()["sockets"] == 0


def once(engine: ProbeEngine, recipe: Recipe, target: int = 0) -> Report:
    """What comes of one probe."""
    engine.order(ProbeOrder(target=target, generation=1, recipe=recipe, first=0, interval=0))
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        select.select([engine.fileno()], [], [], 0.2)
        for report in engine.reports():
            assert report.target == target
            return report
    raise AssertionError("no report")


def towards(port: int, kind: Kind, **words: object) -> Recipe:
    return Recipe(**{"kind": kind, "address": LOOPBACK, "port": port, "timeout": 500 * MS} | words)  # type: ignore[arg-type]


@contextmanager
def datagrams(*answers: bytes | Callable[[bytes], list[bytes]], family: int = socket.AF_INET) -> Iterator[Peer]:
    """A UDP server: each datagram gets the answers, functions of what came."""
    server = socket.socket(family, socket.SOCK_DGRAM)
    server.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    peer = Peer(server.getsockname()[1])

    def serve() -> None:
        while True:
            data, source = server.recvfrom(4096)
            if data == b"end" and source[:2] == server.getsockname()[:2]:
                return
            peer.heard.append(data)
            peer.sources.append(source[:2])
            for answer in answers:
                for one in answer(data) if callable(answer) else [answer]:
                    server.sendto(one, source)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield peer
    finally:
        server.sendto(b"end", server.getsockname())
        thread.join(LIMIT)
        server.close()


class Peer:
    """What a server has seen."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heard: list[bytes] = []
        self.sources: list[tuple[str, int]] = []
        self.names: list[str | None] = []
        self.errors: list[Exception] = []


@contextmanager
def connections(talk: Talk, *, context: ssl.SSLContext | None = None) -> Iterator[Peer]:
    """A TCP server, or a TLS one: each connection is handled by `talk`, then closed."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    peer = Peer(listener.getsockname()[1])
    if context is not None:
        context.sni_callback = lambda _tls, name, _context: peer.names.append(name)
    threads: list[threading.Thread] = []

    def handle(connection: socket.socket) -> None:
        connection.settimeout(LIMIT)
        with connection:
            try:
                if context is None:
                    talk(connection)
                    return
                with context.wrap_socket(connection, server_side=True) as session:
                    talk(session)
            except (OSError, ValueError) as error:
                peer.errors.append(error)

    def accept() -> None:
        while True:
            try:
                connection, source = listener.accept()
            except OSError:
                return
            peer.sources.append(source[:2])
            threads.append(threading.Thread(target=handle, args=(connection,), daemon=True))
            threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield peer
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in [acceptor, *threads]:
            thread.join(LIMIT)


def certificate(directory: Path, name: str = "server", *options: str) -> tuple[str, str]:
    """A self-signed certificate and its key, as files."""
    cert, key = directory / f"{name}.pem", directory / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2", "-subj",
         f"/CN={name}", "-keyout", str(key), "-out", str(cert), *(options or ("-nodes",))],
        check=True, capture_output=True,
    )  # fmt: skip
    return str(cert), str(key)


def took(report: Report) -> float:
    return (report.finished - report.started) / S


def read_request(connection: socket.socket) -> bytes:
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        got = connection.recv(4096)
        if not got:
            raise ConnectionError("the probe was given up")
        request += got
    return request


def leave(connection: socket.socket) -> None:
    """Wait until the other side has closed."""
    while connection.recv(4096):
        pass
