"""The control socket: a Unix socket in the run directory, for the owner of the daemon only.

A request is one line of JSON, `{"op": "status"}`; the answer is one line of JSON with `ok` and either what was asked
for or `error`. A connection may ask several times.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import orjson

_MAX_REQUEST: Final = 65536
_IDLE: Final = 60.0
"""Seconds a connection may be silent."""
_MAX_CLIENTS: Final = 64

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class ControlSocket:
    """Serves `handlers` (op -> coroutine function of the request) on `path`, mode 0600, for root and our own user."""

    def __init__(self, path: str, handlers: Mapping[str, Handler], log: Callable[[str, str], None]) -> None:
        self.path = path
        self._handlers = handlers
        self._log = log
        self._clients: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen. OSError when the path cannot be bound."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            with suppress(FileNotFoundError):
                os.unlink(self.path)
            older = os.umask(0o177)
            try:
                sock.bind(self.path)
            finally:
                os.umask(older)
            sock.setblocking(False)
            self._server = await asyncio.start_unix_server(self._serve, sock=sock, limit=_MAX_REQUEST)
        except BaseException:
            sock.close()
            raise

    async def close(self) -> None:
        """Stop listening, end the connections, remove the path."""
        if self._server is None:
            return
        self._server.close()
        for client in list(self._clients):
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        with suppress(FileNotFoundError):
            os.unlink(self.path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            if not self._allowed(writer) or len(self._clients) > _MAX_CLIENTS:
                return
            while line := await asyncio.wait_for(reader.readline(), _IDLE):
                writer.write(orjson.dumps(await self._answer(line)) + b"\n")
                await asyncio.wait_for(writer.drain(), _IDLE)
        except (TimeoutError, ConnectionError, ValueError, asyncio.CancelledError):
            pass  # silent, gone, or a line without end: nothing to answer
        finally:
            self._clients.discard(task)
            writer.close()

    def _allowed(self, writer: asyncio.StreamWriter) -> bool:
        peer = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, uid, _ = struct.unpack("3i", peer)
        if uid in (0, os.geteuid()):
            return True
        self._log("warning", f"control socket: user {uid} (pid {pid}) was turned away")
        return False

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = orjson.loads(line)
            handler = self._handlers[request["op"]]
        except (ValueError, TypeError):
            return {"ok": False, "error": 'a request is one line of JSON: {"op": "status"}'}
        except KeyError:
            return {"ok": False, "error": f"unknown op; there are {', '.join(sorted(self._handlers))}"}
        try:
            return {"ok": True, **await handler(request)}
        except Exception as error:  # noqa: BLE001 - a client must never end the supervisor
            self._log("error", f"control socket: {request['op']}: {error!r}")
            return {"ok": False, "error": repr(error)}
