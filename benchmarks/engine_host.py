"""A process with nothing but a probe engine: `python -m benchmarks.engine_host CHECK SERVERS SECONDS PORT fin|rst`."""

import select
import signal
import sys
import time

from benchmarks.lab import FIRST_SERVER
from fastha._checks import ProbeEngine
from fastha.checks.recipes import Kind, ProbeOrder, Recipe
from fastha.model.net import Address
from fastha.model.units import S

KINDS = {"TCP_CHECK": Kind.TCP, "HTTP_GET": Kind.HTTP, "SSL_GET": Kind.SSL}


def recipe_for(check: str, index: int, port: int, *, close_rst: bool) -> Recipe:
    """The probe of one real server, as fastha's check core would order it."""
    address = FIRST_SERVER + index
    http = check != "TCP_CHECK"
    request = f"GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: {address}:{port}\r\n\r\n".encode()
    return Recipe(
        kind=KINDS[check],
        address=Address(str(address)),
        port=port,
        timeout=S,
        request=request if http else b"",
        status_codes=((200, 200),) if http else (),
        close_rst=close_rst,
    )


def main(check: str, servers: int, interval: float, port: int, *, close_rst: bool) -> None:
    engine = ProbeEngine()
    engine.start()
    now, every = time.monotonic_ns(), int(interval * S)
    engine.orders(
        ProbeOrder(
            target=index,
            generation=1,
            recipe=recipe_for(check, index, port, close_rst=close_rst),
            first=now + S + every * index // servers,
            interval=every,
        )
        for index in range(servers)
    )
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    print("ready", flush=True)
    while not ended:
        select.select([engine.fileno()], [], [], 1)
        for report in engine.reports():
            print(report, flush=True)
    print(engine.stats(), engine.lateness(), flush=True)
    engine.stop()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), close_rst=sys.argv[5] == "rst")
