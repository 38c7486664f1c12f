"""What most tests of the probe engine begin with."""

import socket
from collections.abc import Callable, Iterator

import pytest

from fastha._checks import ProbeEngine
from tests.unit.probes.servers import (
    Script,
    Server,
)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(script: Script, family: int = socket.AF_INET) -> Server:
        servers.append(Server(script, family))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(params=[True, False], ids=["recycling", "classic"])
def engine(request: pytest.FixtureRequest) -> Iterator[ProbeEngine]:
    engine = ProbeEngine(cap=500, recycle=request.param)
    engine.start()
    yield engine
    engine.stop()
    assert engine.stats()["in_flight"] == engine.stats()["sockets"] == 0


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, and that nobody can take meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
