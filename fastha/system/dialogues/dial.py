"""A connection as a check asks for it, and whose fault it is when there is none."""

import asyncio
import errno
import os
import socket
import ssl
import stat
from dataclasses import dataclass
from typing import Final

from fastha.checks.recipes import Verdict
from fastha.model.net import family_of
from fastha.model.plan import Connection, ServiceCheck
from fastha.model.units import S

SERVERS_FAULT: Final = frozenset({
    errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNREFUSED, errno.EHOSTDOWN, errno.ENETDOWN, errno.ECONNRESET,
    errno.ECONNABORTED, errno.ETIMEDOUT, errno.EPIPE,
})  # fmt: skip
"""Errors that count against a server, as for all checks; any other is ours: ports, descriptors, memory, a firewall."""
_ALPN: Final = ["h2"]
_PASSWORD: Final = 4096
"""Longest password, in characters."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a dialogue ended: `Report` without its times. `text` is the result in words."""

    verdict: Verdict
    text: str = ""
    errno: int = 0
    status: int = 0


class Failed(Exception):  # noqa: N818 - an answer, not an accident
    """The dialogue is over."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.text)
        self.answer = answer


def of_error(error: OSError) -> Answer:
    """Ours or the server's."""
    if isinstance(error, ssl.SSLError):
        return Answer(Verdict.TLS, f"TLS failed: {_tls_words(error)}")
    number = error.errno or 0
    if isinstance(error, ConnectionError) or number in SERVERS_FAULT:
        return Answer(Verdict.REFUSED, errno=number or errno.ECONNRESET)
    return Answer(Verdict.LOCAL, errno=number, text="" if number else str(error))


def _tls_words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (error.reason or str(error)).replace("_", " ").lower()


async def dial(to: Connection) -> socket.socket:
    """A connected socket, not blocking. `Failed` says why there is none."""
    family = socket.AF_INET6 if family_of(to.address) == 6 else socket.AF_INET
    loop = asyncio.get_running_loop()
    sock: socket.socket | None = None
    try:
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        _prepare(sock, to)
        async with asyncio.timeout(to.connect_timeout / S):
            await loop.sock_connect(sock, (to.address, to.port))
    except TimeoutError:
        assert sock is not None
        sock.close()
        raise Failed(Answer(Verdict.TIMEOUT, "connection timed out")) from None
    except OSError as error:
        if sock is not None:
            sock.close()
        raise Failed(of_error(error)) from None
    except BaseException:
        if sock is not None:
            sock.close()
        raise
    return sock


def _prepare(sock: socket.socket, to: Connection) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if to.fwmark:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, to.fwmark)
    if to.bind_if is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, to.bind_if.encode() + b"\0")
    if to.bindto is not None:
        if not to.bind_port:
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((to.bindto, to.bind_port))


_IP_BIND_ADDRESS_NO_PORT: Final = 24
"""linux/in.h: the port is chosen when the destination is known, so that ports are not used up."""


def tls_context(check: ServiceCheck, *, http2: bool = False) -> ssl.SSLContext:
    """How this check speaks TLS; `Failed` when its certificates cannot be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = check.tls_ca is not None and check.tls_name is not None
    context.verify_mode = ssl.CERT_NONE if check.tls_ca is None else ssl.CERT_REQUIRED
    if http2:
        context.set_alpn_protocols(_ALPN)
    if check.tls_ca == "system":
        context.load_default_certs()
    elif check.tls_ca is not None:
        try:
            context.load_verify_locations(check.tls_ca)
        except OSError as error:
            text = f"not probed: tls_ca {check.tls_ca}: {error.strerror or error}"
            raise Failed(Answer(Verdict.LOCAL, text)) from None
    return context


def password(check: ServiceCheck) -> str:
    """The first line of the password file; empty without one. `Failed` when it cannot be read."""
    if check.password_file is None:
        return ""
    try:
        # a FIFO is not waited for, and none of what is no file is read
        descriptor = os.open(check.password_file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, encoding="utf-8", errors="surrogateescape") as file:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return file.readline(_PASSWORD).rstrip("\r\n")
            problem = "it is no regular file"
    except OSError as error:
        problem = error.strerror or str(error)
    raise Failed(Answer(Verdict.LOCAL, f"not probed: password_file {check.password_file}: {problem}"))
