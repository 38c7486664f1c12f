"""Which replies C keepalived takes for good: one server for each reply, and whether it is told to be down.

    python -m tests.tools.check_replies      # writes tests/check-replies.tsv, with every keepalived there is; as root

The tests hold the probe engine against it, with the same servers.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.tools.check_duel import daemon, every_keepalived

RESULTS = Path(__file__).parent.parent / "check-replies.tsv"
LASTS = 9.0
"""Seconds: a first run, and its longest timeout."""
TIMING = "delay_loop 60\n delay_before_retry 1\n warmup 0\n connect_timeout 1\n retry 1"


@dataclass(frozen=True)
class Reply:
    name: str
    facts: str
    kind: str
    says: tuple[bytes, ...]
    """TCP: what is said before each thing heard, HTTP: after it; datagrams: all answers to one."""
    words: str = ""


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def _http(name: str, facts: str, reply: bytes, words: str = "") -> Reply:
    return Reply(name, facts, "HTTP_GET", (reply,), words)


def _smtp(name: str, facts: str, *lines: bytes) -> Reply:
    return Reply(name, facts, "SMTP_CHECK", lines)


def _dns(name: str, *answers: bytes) -> Reply:
    return Reply(name, "7.8", "DNS_CHECK", answers)


def _udp(name: str, answer: bytes, words: str) -> Reply:
    return Reply(name, "8.7", "UDP_CHECK", (answer,), words)


OK = b"HTTP/1.0 200 OK\r\n"
PAGE = OK + b"\r\nall is well"
SAME, OTHER = b"id", b"no"
"""The two octets of our id, or two others; the rest of a DNS header follows."""
FINE = b"\x81\x80\0\1\0\0\0\0\0\0"
REPLIES = (
    _http("a page", "6.10", PAGE),
    _http("no body", "6.10", OK + b"\r\n"),
    _http("nothing at all", "6.7", b""),
    _http("status without reason and blank", "6.8", b"HTTP/1.1 200\r\n\r\nx"),
    _http("status and blank", "6.8", b"HTTP/1.1 200 \r\n\r\nx"),
    _http("two blanks before the status", "6.8", b"HTTP/1.0  200 OK\r\n\r\nx"),
    _http("four digits", "6.8", b"HTTP/1.0 2000 OK\r\n\r\nx"),
    _http("two digits", "6.8", b"HTTP/1.0 20 OK\r\n\r\nx"),
    _http("another protocol's name", "6.8", b"ICY 200 OK\r\n\r\nx"),
    _http("lines without carriage returns", "6.7", b"HTTP/1.0 200 OK\n\nx"),
    _http("a header of 4000 octets", "6.7", OK + b"A: " + b"b" * 3970 + b"\r\n\r\nx"),
    _http("a header of 5000 octets", "6.7", OK + b"A: " + b"b" * 4970 + b"\r\n\r\nx"),
    _http("status 302", "6.10", b"HTTP/1.0 302 Found\r\n\r\nx"),
    _http("status 302 in the set", "6.10", b"HTTP/1.0 302 Found\r\n\r\nx", "status_code 200 301-303"),
    _http("digest", "6.9", PAGE, f"digest {_md5(b'all is well')}"),
    _http("another digest", "6.9 6.10", PAGE, f"digest {_md5(b'all is good')}"),
    _http("digest up to content-length", "6.9", OK + b"Content-Length: 3\r\n\r\nall is well",
          f"digest {_md5(b'all')}"),
    _http("digest and a small content-length", "6.9", OK + b"content-length: 3\r\n\r\nall is well",
          f"digest {_md5(b'all is well')}"),
    _http("digest over chunks", "6.6", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
          f"digest {_md5(bytes.fromhex('320d0a6f6b0d0a300d0a0d0a'))}"),
    _http("regex", "6.11", PAGE, 'regex "is w"'),
    _http("regex that is not there", "6.11", PAGE, 'regex "is bad"'),
    _http("regex that must not be there", "6.11", PAGE, 'regex "is w"\nregex_no_match'),
    _http("regex in the header", "6.11", PAGE, 'regex "200 OK"'),
    _smtp("a mail server", "7.1", b"220 a\r\n", b"250 b\r\n", b"221 c\r\n"),
    _smtp("a greeting of its code", "7.2", b"220\r\n", b"250 b\r\n", b"221 c\r\n"),
    _smtp("a code and a newline", "7.2", b"220\n", b"250 b\n", b"221 c\n"),
    _smtp("a greeting of two lines", "7.2", b"220-a\r\n220 b\r\n", b"250 b\r\n", b"221 c\r\n"),
    _smtp("four digits", "7.2", b"2200 a\r\n", b"250 b\r\n", b"221 c\r\n"),
    _smtp("another greeting", "7.1", b"554 a\r\n", b"250 b\r\n", b"221 c\r\n"),
    _smtp("a refused HELO", "7.1", b"220 a\r\n", b"550 b\r\n", b"221 c\r\n"),
    _smtp("any word to a QUIT", "7.1", b"220 a\r\n", b"250 b\r\n", b"whatever\r\n"),
    _dns("an answer", SAME + FINE),
    _dns("a name that is not there", SAME + b"\x81\x83" + FINE[2:]),
    _dns("a truncated answer", SAME + b"\x83\x80" + FINE[2:]),
    _dns("another id, then ours", OTHER + FINE, SAME + FINE),
    _dns("another id alone", OTHER + FINE),
    _dns("too short, then an answer", b"x" * 11, SAME + FINE),
    _dns("a question, then an answer", SAME + b"\x01\x00" + FINE[2:], SAME + FINE),
    _dns("a refusal, then an answer", SAME + b"\x81\x85" + FINE[2:], SAME + FINE),
    _udp("any reply", b"x", "require_reply"),
    _udp("no octet", b"", "require_reply"),
    _udp("the pattern", b"ab", "require_reply 61"),
    _udp("not the pattern", b"ba", "require_reply 61"),
    _udp("less than the pattern", b"a", "require_reply 6162"),
    _udp("half an octet", b"b", "require_reply 6x"),
    _udp("too short", b"a", "require_reply 61\nmin_reply_length 2"),
    _udp("too long", b"abc", "require_reply 61\nmax_reply_length 2"),
    _udp("too long for any reply", b"abc", "require_reply\nmax_reply_length 2"),
)  # fmt: skip


def address(number: int) -> str:
    return f"127.0.3.{number + 1}"


def port(number: int) -> int:
    return 8300 + number


def _check(reply: Reply) -> str:
    if reply.kind == "HTTP_GET":
        words = reply.words if "status_code" in reply.words else f"status_code 200\n{reply.words}"
        return f"HTTP_GET {{\nurl {{\npath /\n{words}\n}}\n}}"
    return f"{reply.kind} {{\n{reply.words}\n}}"


def configuration(where: str) -> str:
    """All replies in one file."""
    head = f"global_defs {{\nscript_user root\nenable_script_security\nlvs_notify_fifo {where}/fifo\n}}\n"
    return head + "".join(
        f"virtual_server 127.0.1.{number + 1} 80 {{\n {TIMING}\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n"
        f" real_server {address(number)} {port(number)} {{\n{_check(reply)}\n}}\n}}\n"
        for number, reply in enumerate(REPLIES)
    )


class Servers:
    """One for each reply, in threads; `asked` are those that somebody has come to."""

    def __init__(self) -> None:
        self.asked: set[int] = set()
        self._sockets = [self._open(number, reply) for number, reply in enumerate(REPLIES)]

    def _open(self, number: int, reply: Reply) -> socket.socket:
        stream = reply.kind in {"HTTP_GET", "SMTP_CHECK"}
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address(number), port(number)))
        if stream:
            sock.listen(16)
        talk = {"HTTP_GET": _page, "SMTP_CHECK": _lines}.get(reply.kind)
        threading.Thread(target=self._serve, args=(number, sock, reply, talk), daemon=True).start()
        return sock

    def _serve(
        self, number: int, sock: socket.socket, reply: Reply, talk: Callable[[socket.socket, Reply], None] | None
    ) -> None:
        with suppress(OSError, TypeError):  # a datagram socket that is shut has no peer
            while True:
                if talk is None:
                    data, peer = sock.recvfrom(1000)
                    for answer in reply.says:
                        sock.sendto(data[:2] + answer[2:] if answer.startswith(SAME) else answer, peer)
                else:
                    connection, _ = sock.accept()
                    with connection, suppress(OSError):
                        connection.settimeout(2)
                        talk(connection, reply)
                self.asked.add(number)

    def close(self) -> None:
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


def _page(connection: socket.socket, reply: Reply) -> None:
    connection.recv(4096)
    connection.sendall(reply.says[0])


def _lines(connection: socket.socket, reply: Reply) -> None:
    for line in reply.says:
        connection.sendall(line)
        if not connection.recv(1000):
            return


def record(argv: Callable[[Path], list[str]], where: Path) -> list[str]:
    """`good` or `bad` for each reply, by what the daemon tells."""
    fifo = where / "fifo"
    os.mkfifo(fifo, 0o600)
    (where / "conf").write_text(configuration(str(where)))
    servers = Servers()
    reader = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    try:
        with daemon(argv(where), where):
            time.sleep(LASTS)
            with suppress(BlockingIOError):
                heard = os.read(reader, 1 << 20).decode()
    finally:
        os.close(reader)
        servers.close()
    assert len(servers.asked) == len(REPLIES), "each was asked"
    down = {int(number) - 1 for number in re.findall(r"RS \[127\.0\.3\.(\d+)\]\S* \S+ DOWN", heard)}
    return ["bad" if number in down else "good" for number in range(len(REPLIES))]


def read_results() -> dict[str, dict[str, str]]:
    """Reply -> version -> `good` or `bad`."""
    found: dict[str, dict[str, str]] = {}
    for line in RESULTS.read_text().splitlines():
        if not line.startswith("#"):
            version, name, verdict = line.split("\t")
            found.setdefault(name, {})[version] = verdict
    return found


def main() -> None:
    from tests.checker_driver import own_network

    lines = ["# version, reply, what keepalived thinks of it; python -m tests.tools.check_replies"]
    for version, argv in every_keepalived():
        with tempfile.TemporaryDirectory() as directory, own_network():
            verdicts = record(argv, Path(directory))
        lines += [
            f"{version}\t{reply.kind}: {reply.name}\t{said}" for reply, said in zip(REPLIES, verdicts, strict=True)
        ]
    RESULTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
