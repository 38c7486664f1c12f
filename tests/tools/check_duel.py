"""How C keepalived counts retries, goes round urls and comes back: what its servers saw, recorded.

    python -m tests.tools.check_duel      # writes tests/check-duel.tsv, with every keepalived there is; needs root

Each case is a virtual server with one real server that fails and passes attempt by attempt, as a string of `-` and `+`
says (all is well after its end). What comes of it is a trace, one word for each attempt: the pause since the attempt
before it in seconds, the url if there are several, the outcome, and what the notify FIFO said then. IPVS is answered by
the shim of the benchmarks, so that no kernel module is needed. The tests hold fastha's check core against it.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

RESULTS = Path(__file__).parent.parent / "check-duel.tsv"
LASTS = 34.0
"""Seconds of a recording."""
STEP = 0.5
"""Pauses are told in multiples of this many seconds."""
TIMING = "delay_loop 2\n delay_before_retry 1\n warmup 0\n connect_timeout 1"


@dataclass(frozen=True)
class Case:
    name: str
    facts: str
    """Numbers of the facts it shows."""
    check: str
    outcomes: str
    words: str = ""
    """Of the virtual server, beside its timing."""

    @property
    def kind(self) -> str:
        return self.check.split(maxsplit=1)[0]


def _http(*paths: str, words: str = "") -> str:
    urls = "\n".join(f"url {{\npath /{path}\nstatus_code 200\n}}" for path in paths)
    return f"HTTP_GET {{\n{words}\n{urls}\n}}"


DNS = "DNS_CHECK {{\n{}\n}}"
SMTP = "SMTP_CHECK {{\n{}\n}}"
UDP = "UDP_CHECK {{\npayload 01\nrequire_reply 79\n{}\n}}"
MISC = 'MISC_CHECK {{\nmisc_path "{{script}}"\n{}\n}}'
CASES = (
    Case("http retry", "5.3 6.13 6.14", _http("a", words="retry 2"), "+---++++"),
    Case("http retry cleared by a success", "5.3 6.13", _http("a", words="retry 2"), "+--+--+---+++"),
    Case("http first failure", "2.9 6.15", _http("a", words="retry 3"), "-++++"),
    Case("http alpha", "2.9 4.7 6.5", _http("a"), "+++", "alpha"),
    Case("http alpha, first failure", "4.7 6.15", _http("a"), "-+++", "alpha"),
    Case("http two urls", "6.5", _http("a", "b"), "++++"),
    Case("http two urls, alpha", "6.5", _http("a", "b"), "+++++", "alpha"),
    Case("http two urls, the second fails", "6.13 6.14", _http("a", "b", words="retry 1"), "+++--++++"),
    Case("http fast recovery", "6.5 6.14", _http("a", "b", words="retry 0\nfast_recovery"), "++-++++"),
    Case("http the pass back fails", "6.14", _http("a", "b", words="retry 0"), "++-+-++++"),
    Case("http long pause before a retry", "6.13", _http("a", words="retry 1\ndelay_before_retry 3"), "+--+++"),
    Case("dns retry", "5.3", DNS.format("retry 2"), "+---+++"),
    Case("dns first failure", "2.9", DNS.format("retry 2"), "-+++"),
    Case("dns retries are three", "1.7", DNS.format(""), "+----++"),
    Case("udp retry", "5.3", UDP.format("retry 2"), "+---+++"),
    Case("udp first failure", "2.9", UDP.format("retry 2"), "-+++"),
    Case("udp alpha", "4.7 4.8", UDP.format("retry 2"), "--+---++", "alpha"),
    Case("smtp retry", "7.5", SMTP.format("retry 1"), "+--++"),
    Case("smtp first cycle", "7.5", SMTP.format("retry 1"), "--+++"),
    Case("smtp cycles while down", "7.5", SMTP.format("retry 1"), "+-----++"),
    Case("misc retry", "8.3 5.3", MISC.format("retry 2"), "+---++"),
    Case("misc without retries", "1.7", MISC.format(""), "+-+-+"),
    Case("misc first failure", "2.9", MISC.format("retry 2"), "-++"),
    Case("misc alpha", "2.9", MISC.format(""), "-++", "alpha"),
)


def address(number: int) -> str:
    return f"127.0.2.{number + 1}"


def port(number: int) -> int:
    return 8100 + number


def script(number: int) -> str:
    return f"check{number}"


def configuration(where: str) -> str:
    """All cases in one file; scripts and the FIFO are in `where`."""
    head = f"global_defs {{\nscript_user root\nenable_script_security\nlvs_notify_fifo {where}/fifo\n}}\n"
    services = []
    for number, case in enumerate(CASES):
        check = case.check.replace("{script}", f"{where}/{script(number)}")
        services.append(
            f"virtual_server 127.0.1.{number + 1} 80 {{\n {TIMING}\n {case.words}\n lvs_sched rr\n lvs_method NAT\n"
            f" protocol TCP\n real_server {address(number)} {port(number)} {{\n{check}\n}}\n}}\n"
        )
    return head + "".join(services)


@dataclass
class Trace:
    """What happened to one real server."""

    outcomes: str
    attempts: list[tuple[float, str]] = field(default_factory=list)
    """(when, the url and the outcome)."""
    notes: dict[int, list[str]] = field(default_factory=dict)
    """Attempt -> what was said after it."""

    def attempt(self, when: float, url: str = "") -> bool:
        """One more; whether it is to go well."""
        number = len(self.attempts)
        good = number >= len(self.outcomes) or self.outcomes[number] == "+"
        self.attempts.append((when, f"{url}{'+' if good else '-'}"))
        return good

    def note(self, text: str) -> None:
        self.notes.setdefault(len(self.attempts) - 1, []).append(text)

    def text(self) -> str:
        """The attempts up to the second one after the end of the outcomes."""
        words = []
        before = self.attempts[0][0] if self.attempts else 0.0
        for number, (when, what) in enumerate(self.attempts[: len(self.outcomes) + 1]):
            pause = f"{round((when - before) / STEP) * STEP:g}" if number else ""
            words.append(f"{pause}{what}{''.join(self.notes.get(number, []))}")
            before = when
        return " ".join(words)


# ------------------------------------------------------------------------------- servers that obey


class Servers:
    """One for each case, in threads."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.traces = [Trace(case.outcomes) for case in CASES]
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        for number, case in enumerate(CASES):
            serve = {"HTTP_GET": self._http, "SMTP_CHECK": self._smtp, "DNS_CHECK": self._dns, "UDP_CHECK": self._udp}
            if case.kind == "MISC_CHECK":
                self._write_script(number, case)
            else:
                self._open(number, serve[case.kind], stream=case.kind in {"HTTP_GET", "SMTP_CHECK"})

    def _open(self, number: int, serve: Callable[[int, socket.socket], None], *, stream: bool) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address(number), port(number)))
        if stream:
            sock.listen(16)
        self._sockets.append(sock)
        threading.Thread(target=self._loop, args=(number, sock, serve, stream), daemon=True).start()

    def _loop(
        self, number: int, sock: socket.socket, serve: Callable[[int, socket.socket], None], stream: bool
    ) -> None:
        with suppress(OSError, TypeError):  # a datagram socket that is shut has no peer
            while True:
                if not stream:
                    serve(number, sock)
                    continue
                connection, _ = sock.accept()
                with connection, suppress(OSError):
                    connection.settimeout(2)
                    serve(number, connection)

    def _attempt(self, number: int, url: str = "") -> bool:
        with self._lock:
            return self.traces[number].attempt(time.monotonic(), url)

    def _http(self, number: int, connection: socket.socket) -> None:
        path = connection.recv(4096).split(b" ")[1].decode().removeprefix("/")
        several = CASES[number].check.count("url {") > 1
        status = b"200 OK" if self._attempt(number, path if several else "") else b"500 No"
        connection.sendall(b"HTTP/1.0 " + status + b"\r\nContent-Length: 1\r\n\r\nx")

    def _smtp(self, number: int, connection: socket.socket) -> None:
        if not self._attempt(number):
            connection.sendall(b"554 no\r\n")
            return
        for line in (b"220 a\r\n", b"250 b\r\n", b"221 c\r\n"):
            connection.sendall(line)
            if not connection.recv(1000):
                return

    def _dns(self, number: int, sock: socket.socket) -> None:
        data, peer = sock.recvfrom(1000)
        flags = b"\x81\x80" if self._attempt(number) else b"\x81\x82"
        sock.sendto(data[:2] + flags + data[4:], peer)

    def _udp(self, number: int, sock: socket.socket) -> None:
        _, peer = sock.recvfrom(1000)
        sock.sendto(b"y" if self._attempt(number) else b"n", peer)

    def _write_script(self, number: int, case: Case) -> None:
        path, log = self.where / script(number), self.where / f"log{number}"
        log.touch()
        bad = " ".join(str(at + 1) for at, outcome in enumerate(case.outcomes) if outcome == "-")
        path.write_text(
            f'#!/bin/sh\ncut -d" " -f1 /proc/uptime >>{log}\nn=$(wc -l <{log})\n'
            f"for bad in {bad}; do [ $n != $bad ] || exit 1; done\n"
        )
        path.chmod(0o755)

    def read_scripts(self) -> None:
        """Scripts write down when they ran; the FIFO is read beside, so this is looked at often."""
        for number, case in enumerate(CASES):
            if case.kind == "MISC_CHECK":
                trace = self.traces[number]
                for line in (self.where / f"log{number}").read_text().split()[len(trace.attempts) :]:
                    trace.attempt(float(line))

    def close(self) -> None:
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


@contextmanager
def daemon(argv: list[str], where: Path) -> Iterator[None]:
    """It runs; what it says is in the file `output`."""
    with (where / "output").open("w") as output, subprocess.Popen(argv, stdout=output, stderr=output) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)


def record(argv: Callable[[Path], list[str]], where: Path) -> list[str]:
    """The traces of the daemon that `argv` (of a directory with the file `conf`) starts."""
    fifo = where / "fifo"
    os.mkfifo(fifo, 0o600)
    (where / "conf").write_text(configuration(str(where)))
    servers = Servers(where)
    reader = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    heard = b""
    try:
        with daemon(argv(where), where):
            end = time.monotonic() + LASTS
            while time.monotonic() < end:
                time.sleep(0.02)
                servers.read_scripts()
                with suppress(BlockingIOError):
                    heard += os.read(reader, 65536).replace(b"\0", b"")
                *lines, heard = heard.split(b"\n")
                for line in lines:
                    found = re.match(r"RS \[127\.0\.2\.(\d+)\]\S* \S+ (UP|DOWN)", line.decode())
                    if found:
                        servers.traces[int(found[1]) - 1].note(found[2])
    finally:
        os.close(reader)
        servers.close()
    return [trace.text() for trace in servers.traces]


def keepalived(program: str, shim: Path) -> Callable[[Path], list[str]]:
    def argv(where: Path) -> list[str]:
        return [
            "env", f"LD_PRELOAD={shim}", f"IPVS_SHIM_LOG={where / 'operations'}", program, "--dont-fork", "--check",
            "--use-file", str(where / "conf"), "--pid", str(where / "1"), "--checkers_pid", str(where / "2"),
            "--vrrp_pid", str(where / "3"), "--log-console", "--no-syslog",
        ]  # fmt: skip

    return argv


def read_results() -> dict[str, dict[str, str]]:
    """Case -> version -> trace."""
    found: dict[str, dict[str, str]] = {}
    for line in RESULTS.read_text().splitlines():
        if not line.startswith("#"):
            version, name, trace = line.split("\t")
            found.setdefault(name, {})[version] = trace
    return found


def every_keepalived() -> Iterator[tuple[str, Callable[[Path], list[str]]]]:
    """Version and command line of this machine's, and of the newer one when it was fetched for the benchmarks."""
    from benchmarks.native.newer_keepalived import fetched
    from benchmarks.subjects import compiled

    shim = compiled("ipvs_shim.c", "-shared", "-fPIC", "-ldl")
    for program in filter(None, ("/usr/sbin/keepalived", fetched())):
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        version = re.search(r"v(\d+\.\d+\.\d+)", said.stdout + said.stderr)
        assert version is not None
        yield version[1], keepalived(str(program), shim)


def main() -> None:
    from tests.checker_driver import own_network

    lines = ["# version, case, what its server saw; python -m tests.tools.check_duel"]
    for version, argv in every_keepalived():
        with tempfile.TemporaryDirectory() as directory, own_network():
            traces = record(argv, Path(directory))
        lines += [f"{version}\t{case.name}\t{trace}" for case, trace in zip(CASES, traces, strict=True)]
    RESULTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
