"""Dialogues of one or two exchanges: the greeting of MySQL and PostgreSQL, Redis, LDAP."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from fastha.model.plan import Service, ServiceCheck
from fastha.system.dialogues.dial import password, tls_context
from fastha.wire import greetings
from fastha.wire.greetings import Heard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def streams(check: ServiceCheck, sock: socket.socket, *, http2: bool = False) -> "AsyncIterator[Pipe]":
    """The two directions of a connection, over TLS if asked for; closed at the end, whatever came."""
    with sock:
        context = tls_context(check, http2=http2) if check.tls else None
        name = check.tls_name or "" if check.tls else None
        reader, writer = await asyncio.open_connection(
            sock=sock, ssl=context, server_hostname=name, limit=greetings.LIMIT
        )
        try:
            yield reader, writer
            if not check.tls:
                writer.close()  # what was written last still goes
        finally:
            # no waiting for a peer's close_notify: there may be thousands of them
            if not writer.transport.is_closing():
                writer.transport.abort()


async def _mysql(_check: ServiceCheck, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> Heard:
    header = await reader.readexactly(greetings.MYSQL_HEADER)
    return greetings.mysql_greeting(await reader.readexactly(greetings.mysql_length(header)))


async def _pgsql(check: ServiceCheck, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Heard:
    writer.write(greetings.pgsql_startup(check.user or "fastha", check.name))
    header = await reader.readexactly(greetings.PGSQL_HEADER)
    return greetings.pgsql_answer(header[:1], await reader.readexactly(greetings.pgsql_length(header)))


async def _redis(check: ServiceCheck, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Heard:
    secret = password(check)
    if secret:
        writer.write(greetings.redis_command("AUTH", *([check.user] if check.user else []), secret))
        heard = greetings.redis_reply(await reader.readuntil(b"\r\n"))
        if not heard.good:
            return heard
    writer.write(greetings.redis_command("PING"))
    return greetings.redis_reply(await reader.readuntil(b"\r\n"))


async def _ldap(check: ServiceCheck, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Heard:
    writer.write(greetings.ldap_bind(check.user or "", password(check)))
    message = b""
    while (size := greetings.ldap_size(message)) is None:
        message += await reader.readexactly(1)
    heard = greetings.ldap_answer(message + await reader.readexactly(size - len(message)))
    writer.write(greetings.LDAP_UNBIND)
    return heard


_DIALOGUES: Final[
    dict[Service, Callable[[ServiceCheck, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Heard]]]
] = {Service.MYSQL: _mysql, Service.PGSQL: _pgsql, Service.REDIS: _redis, Service.LDAP: _ldap}


async def greet(check: ServiceCheck, sock: socket.socket) -> Heard:
    """Hold the dialogue of the check's service. OSError, EOFError, ValueError (it is another protocol)."""
    async with streams(check, sock) as (reader, writer):
        return await _DIALOGUES[check.service](check, reader, writer)
