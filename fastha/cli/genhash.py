"""`fastha genhash`, also under the name `genhash`: the MD5 of a page, for `digest` in HTTP_GET and SSL_GET.

Options and output are those of keepalived's genhash: 32 digits and exit code 0 whatever the status; a page that cannot
be had is a message and exit code 0, wrong usage is exit code 1.
"""

import argparse
import hashlib
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from fastha._checks import judge_http
from fastha.checks.recipes import Kind, Recipe
from fastha.checks.request import http_request
from fastha.cli.options import Parser
from fastha.model.net import Address, parse_address
from fastha.model.plan import Connection, Url
from fastha.model.units import S

_ROW: Final = 16
_HALF: Final = 8
_FOREVER: Final = 86400.0
_END_OF_HEAD: Final = b"\r\n\r\n"
_ANY_DIGEST: Final = bytes(hashlib.md5(usedforsecurity=False).digest_size)


def _address(text: str) -> Address:
    address = parse_address(text)
    if address is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no address")
    return address


def _number(low: int, high: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is not within {low}..{high}")
        return int(text)

    return number


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= _FOREVER:
        raise argparse.ArgumentTypeError(f"'{text}' is no time in seconds")
    return value


def _protocol(text: str) -> str:
    if text.upper() not in {"1.0", "1.0C", "1.1"}:
        raise argparse.ArgumentTypeError(f"'{text}' is not 1.0, 1.0c or 1.1")
    return text.upper()


def _parser() -> Parser:
    parser = Parser(prog="genhash", description="The MD5 of a page, as HTTP_GET and SSL_GET compute it.")
    add = parser.add_argument
    add("-s", "--server", type=_address, required=True, metavar="ADDRESS", help="the server's address")
    add("-p", "--port", type=_number(1, 65535), required=True, help="its port")
    add("-u", "--url", required=True, help="what is asked for, word for word")
    add("-S", "--use-ssl", action="store_true", help="over TLS")
    add("-I", "--use-sni", action="store_true", help="name the virtual host in the TLS handshake")
    add("-V", "--use-virtualhost", metavar="HOST", help="Host header (default: address and port)")
    add(
        "-P",
        "--protocol",
        type=_protocol,
        default="1.0",
        help="1.0, 1.0c (asks for the connection to be closed) or 1.1",
    )
    add("-m", "--fwmark", type=_number(0, 2**32 - 1), default=0, help="mark on the packets")
    add("-t", "--timeout", type=_seconds, default=_FOREVER, metavar="SECONDS", help="longest wait for each step")
    add("-v", "--verbose", action="store_true", help="show what came")
    return parser


def fetch(options: argparse.Namespace, request: bytes) -> bytes:
    """The whole reply; OSError when there is no connection."""
    family = socket.AF_INET6 if ":" in options.server else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as plain:
        plain.settimeout(options.timeout)
        if options.fwmark:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, options.fwmark)
        plain.connect((options.server, options.port))
        if not options.use_ssl:
            return b"".join(_talk(plain, request))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        name = options.use_virtualhost if options.use_sni else None
        with context.wrap_socket(plain, server_hostname=name) as session:
            return b"".join(_talk(session, request))


def _talk(connection: socket.socket, request: bytes) -> Iterator[bytes]:
    connection.sendall(request)
    while piece := connection.recv(65536):
        yield piece


def body_digest(reply: bytes) -> bytes | None:
    """The MD5 that a check would compare; None when there is no complete header."""
    recipe = Recipe(kind=Kind.HTTP, address=Address("127.0.0.1"), request=b"-", timeout=S, digest=_ANY_DIGEST)
    _, _, digest = judge_http([reply], recipe)
    return digest or None


def hex_dump(data: bytes) -> str:
    """16 octets a line: offset, hexadecimal, text."""
    lines = []
    for at in range(0, len(data), _ROW):
        row = data[at : at + _ROW]
        left = "".join(f"{octet:02x} " for octet in row[:_HALF]).ljust(3 * _HALF)
        right = "".join(f"{octet:02x} " for octet in row[_HALF:]).ljust(3 * _HALF)
        text = "".join(chr(octet) if 0x20 <= octet < 0x7F else "." for octet in row).ljust(_ROW)
        lines.append(f"{at:04d}  {left}- {right}  {text}\n")
    return "".join(lines)


def report(reply: bytes, digest: bytes, url: str, microseconds: int) -> str:
    """What --verbose shows."""
    head, _, body = reply.partition(_END_OF_HEAD)
    head += _END_OF_HEAD
    return (
        "-----------------------[    HTTP Header Buffer    ]-----------------------\n"
        f"{hex_dump(head)}"
        "-----------------------[ HTTP Header Ascii Buffer ]-----------------------\n"
        f"{head.decode('utf-8', 'surrogateescape')}\n"
        "-----------------------[        HTML Buffer        ]-----------------------\n"
        f"{hex_dump(body)}\n"
        "-----------------------[    HTML hash resulting    ]-----------------------\n"
        f"{hex_dump(digest)}"
        "-----------------------[ HTML hash final resulting ]-----------------------\n"
        f"{digest.hex()}\n\n"
        f"Global response time for [{url}] = {microseconds} usecs\n"
    )


def main(words: Sequence[str] | None = None) -> int:
    """Fetch a page and print its MD5."""
    options = _parser().parse_args(words)
    to = Connection(address=options.server, port=options.port)
    request = http_request(Url(path=options.url, virtualhost=options.use_virtualhost), to, options.protocol)
    begin = time.monotonic_ns()
    try:
        reply = fetch(options, request)
    except (OSError, ValueError) as error:
        print(f"Connection failed: {getattr(error, 'strerror', None) or error}")
        return 0
    took = (time.monotonic_ns() - begin) // 1000
    digest = body_digest(reply)
    if digest is None:
        print("genhash: no complete reply came", file=sys.stderr)
        return 0
    sys.stdout.write(report(reply, digest, options.url, took) if options.verbose else f"{digest.hex()}\n")
    return 0
