"""Logging in to a database, which is more than a few exchanges: the libraries PyMySQL and pg8000, each in a thread.

Both take a socket that is connected already, so that these checks, too, leave from where they should. A thread cannot
be cancelled; when its time is over the connection is shut down, and the thread ends by itself.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import Final

from fastha.model.plan import Service, ServiceCheck
from fastha.model.units import S
from fastha.system.dialogues.dial import Failed, password, tls_context
from fastha.wire.greetings import Heard


def _mysql(check: ServiceCheck, sock: socket.socket) -> Heard:
    import pymysql  # noqa: PLC0415 - an extra

    connection = pymysql.connect(
        host=check.tls_name or str(check.connection.address),
        user=check.user,
        password=password(check),
        ssl=tls_context(check) if check.tls else None,
        defer_connect=True,
        ssl_disabled=not check.tls,
    )
    try:
        connection.connect(sock)
        version = connection.get_server_info()
        connection.ping(reconnect=False)
        connection.close()
    except pymysql.err.MySQLError as error:
        original = getattr(error, "original_exception", None)
        if isinstance(original, OSError):
            raise original from None
        code, *words = error.args or (0,)
        if isinstance(code, int) and code < 2000:  # below are the server's, above the client's own
            return Heard(False, code, f"error {code}: {' '.join(map(str, words))}")
        raise EOFError(str(error)) from None
    return Heard(True, 0, f"logged in to {version}")


def _pgsql(check: ServiceCheck, sock: socket.socket) -> Heard:
    import pg8000.native  # noqa: PLC0415 - an extra

    try:
        connection = pg8000.native.Connection(
            check.user or "",
            host=check.tls_name or str(check.connection.address),
            database=check.name or None,
            password=password(check),
            application_name="fastha",
            ssl_context=tls_context(check) if check.tls else False,
            sock=sock,
        )
        connection.run("SELECT 1")
        connection.close()
    except pg8000.exceptions.DatabaseError as error:
        words = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
        return Heard(False, 0, f"{words.get('C', '')} {words.get('M', error)}".strip())
    except pg8000.exceptions.InterfaceError as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from None
        raise EOFError(str(error)) from None
    return Heard(True, 0, "logged in")


_LOGINS: Final[dict[Service, Callable[[ServiceCheck, socket.socket], Heard]]] = {
    Service.MYSQL: _mysql,
    Service.PGSQL: _pgsql,
}


def _owning(check: ServiceCheck, sock: socket.socket) -> Heard:
    """In the thread: nobody else closes the socket, so that its number is not another's while it is used here."""
    try:
        sock.settimeout((check.deadline or 2 * check.connection.connect_timeout) / S)
        return _LOGINS[check.service](check, sock)
    except (OSError, EOFError, Failed):
        raise
    except Exception as error:  # a library may stumble over what a stranger sends in any way
        raise ValueError(str(error) or type(error).__name__) from error
    finally:
        if sock.fileno() >= 0:  # a library's file object would put a close() off until it is collected
            os.close(sock.detach())


async def log_in(check: ServiceCheck, sock: socket.socket, threads: Executor) -> Heard:
    """Log in, ask something, leave. OSError, EOFError, ValueError."""
    with socket.socket(fileno=socket.dup(sock.fileno())) as handle:
        work = threads.submit(_owning, check, sock)
        try:
            return await asyncio.wrap_future(work)
        finally:
            if work.cancelled():
                sock.close()
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)
