"""The client of the lab: `python -m fastha.cli.lab.client RATE LABEL=ADDRESS:PORT ...`.

Starts RATE requests a second (in turn over the targets), each on a new connection and whether or not the earlier ones
were answered. Writes JSON lines of records `[label, start, end, server, error]`: times in nanoseconds of
CLOCK_MONOTONIC; `server` is who answered, or "" and `error` why nobody did.
"""

import asyncio
import itertools
import os
import sys
import time
from typing import Final

import orjson

TIMEOUT: Final = 0.9
"""Seconds for a whole request: below the 1 s after which TCP would send its SYN again, so every request is one try."""
FLUSH: Final = 0.05

Record = tuple[str, int, int, str, str]


async def fetch(address: str, port: int) -> str:
    """One request; returns the body. Raises OSError, TimeoutError."""
    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection(address, port)
        try:
            writer.write(f"GET / HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
            answer = await reader.read()
        finally:
            writer.close()
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator or not head.startswith(b"HTTP/1.0 200"):
        raise OSError("bad answer")
    return body.decode(errors="replace").strip()


async def request(label: str, address: str, port: int, records: list[Record]) -> None:
    """One request and its record."""
    start = time.monotonic_ns()
    server, error = "", ""
    try:
        server = await fetch(address, port)
    except TimeoutError:
        error = "timed out"
    except OSError as problem:
        error = os.strerror(problem.errno) if problem.errno else str(problem)
    records.append((label, start, time.monotonic_ns(), server, error))


async def drive(rate: float, targets: list[tuple[str, str, int]]) -> None:
    """Start requests for ever, on a fixed beat; a beat that was missed is not made up for."""
    records: list[Record] = []
    tasks: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    flush_at = beat = loop.time()
    for label, address, port in itertools.cycle(targets):
        task = loop.create_task(request(label, address, port, records))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        beat = max(beat + 1 / rate, loop.time())
        await asyncio.sleep(beat - loop.time())
        if records and loop.time() >= flush_at:
            os.write(1, orjson.dumps(records, option=orjson.OPT_APPEND_NEWLINE))
            records.clear()
            flush_at = loop.time() + FLUSH


def parse_target(word: str) -> tuple[str, str, int]:
    """`LABEL=ADDRESS:PORT`."""
    label, _, where = word.partition("=")
    address, _, port = where.rpartition(":")
    return label, address, int(port)


if __name__ == "__main__":
    asyncio.run(drive(float(sys.argv[1]), [parse_target(word) for word in sys.argv[2:]]))
