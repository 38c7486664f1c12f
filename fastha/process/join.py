"""The Snapshot of the whole: asked of every child, joined without being decoded (a part can be tens of megabytes)."""

import asyncio
import dataclasses
import os
from collections.abc import Collection
from typing import Any, Final

import orjson

from fastha.model import codec
from fastha.model.snapshot import Snapshot
from fastha.process.children import ChildProcess
from fastha.process.messages import AskSnapshot
from fastha.system.memfd import read_sealed

_PER_BYTE: Final = 5e-7
"""Seconds to describe what a byte of Plan has become: 50,000 servers take some seconds."""


class SnapshotJoin:
    """Asks and collects. Several may ask at a time."""

    def __init__(self) -> None:
        self._serial = 0
        self._waiting: dict[tuple[str, int], asyncio.Future[bytes]] = {}

    async def ask(self, children: Collection[ChildProcess], patience: float) -> dict[str, bytes]:
        """The parts (JSON) of the children that answer within `patience` seconds, and a little more for each server."""
        self._serial += 1
        loop = asyncio.get_running_loop()
        asked: dict[str, asyncio.Future[bytes]] = {}
        for child in children:
            if child.alive and child.state != "releasing":
                asked[child.name] = self._waiting[child.name, self._serial] = loop.create_future()
                child.send(AskSnapshot(self._serial))
        if not asked:
            return {}
        serial = self._serial
        largest = max(len(child.plan) for child in children)
        await asyncio.wait(asked.values(), timeout=patience + largest * _PER_BYTE)
        for name in asked:
            self._waiting.pop((name, serial), None)
        return {name: future.result() for name, future in asked.items() if future.done()}

    def answered(self, name: str, serial: int, fds: tuple[int, ...]) -> None:
        """`name` sent its part, as asked with `serial`: good for everybody who asked up to then. Owns `fds`."""
        waiting = [key for key in self._waiting if key[0] == name and key[1] <= serial]
        if not waiting or not fds:
            for fd in fds:
                os.close(fd)
            return
        part = read_sealed(fds[0])
        for key in waiting:
            future = self._waiting.pop(key)
            if not future.done():
                future.set_result(part)


def joined(head: Snapshot, parts: dict[str, bytes]) -> orjson.Fragment:
    """`head`, whose parts are None, with those parts put in, as JSON of a Snapshot."""
    whole: dict[str, Any] = {each.name: getattr(head, each.name) for each in dataclasses.fields(head)}
    for name, part in parts.items():
        whole[name] = orjson.Fragment(part)
    return orjson.Fragment(codec.encode(whole))
