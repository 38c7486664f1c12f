"""fastha or C keepalived as a whole, with what can be seen of it: the table of IPVS and the lines of its FIFO."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

QUIET = 3.0
"""Seconds without a change after which a step is over: an interval, the retry and some slack."""
PATIENCE = 60.0
RELOADED = b"reload complete"
"""What fastha's log says at the end of a reload; keepalived's is over in a moment."""


class Daemon:
    """One of the two, and what it has done."""

    def __init__(self, kind: str, process: subprocess.Popen[bytes], reader: int, log: Path) -> None:
        self.kind = kind
        self.process = process
        self.steps: list[tuple[str, list[str], list[str]]] = []
        """(what happened, the table, the FIFO lines)"""
        self.log = log
        self._reader = reader
        self._said = b""

    def reload(self, what: str) -> None:
        """Have the file read again, and note what comes of it."""
        done = self.log.read_bytes().count(RELOADED)
        self.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + PATIENCE
        while self.kind == "fastha" and self.log.read_bytes().count(RELOADED) == done:
            assert time.monotonic() < deadline, f"no reload; {self.log.read_text()[-2000:]}"
            time.sleep(0.05)
        self.settle(what)

    def _take(self) -> bytes:
        try:
            return os.read(self._reader, 65536)
        except BlockingIOError:
            return b""

    def settle(self, what: str, *, ended: bool = False) -> None:
        """Wait until table and FIFO have not moved for a while (or the daemon is gone), and note both."""
        deadline = time.monotonic() + PATIENCE
        while not self.steps and not table():
            assert time.monotonic() < deadline, f"no table; {self.log.read_text()[-2000:]}"
            time.sleep(0.1)
        last, since = table(), time.monotonic()
        while time.monotonic() - since < QUIET:
            assert time.monotonic() < deadline, f"{what}: no rest; {self.log.read_text()[-2000:]}"
            if ended and self.process.poll() is not None:
                break
            more, now = self._take(), table()
            if more or now != last:
                self._said += more
                last, since = now, time.monotonic()
            time.sleep(0.05)
        self._said += self._take()
        lines = [line for line in self._said.decode().replace("\0", "").splitlines() if line]
        self._said = b""
        self.steps.append((what, table(), lines))


def table() -> list[str]:
    return sorted(subprocess.run(["ipvsadm", "-Sn"], capture_output=True, text=True, check=True).stdout.splitlines())


@contextmanager
def running(kind: str, directory: Path, config: Path, fifo: Path) -> Iterator[Daemon]:
    """The daemon `kind`, started on `config`, which names `fifo`; what it writes of its own goes to `directory`."""
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    run_dir = directory / f"run.{kind}"
    run_dir.mkdir()
    log = directory / f"log.{kind}"
    if kind == "keepalived":
        pids = ["-p", str(run_dir / "pid"), "-c", str(run_dir / "cpid")]
        command = ["keepalived", "-f", str(config), "-C", "-n", "-l", "-D", "--no-syslog", *pids]
    else:
        command = [sys.executable, "-m", "fastha", "-n", "-l", "-c", str(config), "--run-dir", str(run_dir)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    daemon = Daemon(kind, process, reader, log)
    try:
        yield daemon
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(reader)
        fifo.unlink(missing_ok=True)


def order(lines: list[str], name: str) -> list[str]:
    """`RS DOWN`, `VS DOWN`: in which order a virtual server and its servers were told of."""
    return [f"{words[0]} {words[-1]}" for words in map(str.split, lines) if words[-2] == name]
