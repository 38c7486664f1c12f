"""The log: rate limits, console, syslog."""

import io
import socket
import threading
import time

import pytest

from fastha.model.units import S
from fastha.system import log as log_module
from fastha.system.log import Limiter, Log, Syslog


def test_a_cause_is_limited_and_its_held_lines_are_told():
    limiter = Limiter(burst=3, window=10 * S)
    assert [limiter.admit("a", 0) for _ in range(5)] == [0, 0, 0, None, None]
    assert limiter.admit("b", 0) == 0
    assert limiter.due(9 * S) == []
    assert limiter.admit("a", 10 * S) == 2
    assert [limiter.admit("a", 11 * S) for _ in range(4)] == [0, 0, None, None]
    assert limiter.due(21 * S) == [("a", 2)]
    assert limiter.due(22 * S) == []
    assert limiter.held == 4


def test_causes_are_bounded():
    limiter = Limiter(causes=100)
    for number in range(1000):
        assert limiter.admit(str(number), 0) == 0
    assert len(limiter._causes) <= 100


def test_console_lines(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(log_module.sys, "stderr", out)
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    log = Log(console=True, syslog=False)
    log.write("fastha_vrrp", 7, "notice", "one\ntwo", 1.5)
    log.close()
    lines = out.getvalue().splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == ["fastha_vrrp[7] notice: one", "fastha_vrrp[7] notice: two"]
    assert lines[0].split(" ")[1].endswith(".500")


def test_journal_lines_carry_the_priority(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(log_module.sys, "stderr", out)
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    log = Log(console=True, syslog=False)
    log.write("fastha", 7, "error", "bad", 1.5)
    log.close()
    assert out.getvalue() == "<3>fastha[7]: bad\n"


class Stuck(io.StringIO):
    """A terminal that nobody reads."""

    def __init__(self):
        super().__init__()
        self.release = threading.Event()

    def write(self, text):
        self.release.wait(10)
        return super().write(text)


def test_a_stuck_console_delays_nobody_and_loses_with_a_count(monkeypatch):
    out = Stuck()
    monkeypatch.setattr(log_module.sys, "stderr", out)
    log = Log(console=True, syslog=False, depth=50)
    start = time.monotonic()
    for number in range(200):
        log.write("x", 1, "info", str(number))
    assert time.monotonic() - start < 1
    assert log.lost >= 149
    out.release.set()
    log.close()


def test_syslog_lines_and_a_daemon_that_restarts(tmp_path):
    path = str(tmp_path / "log")
    syslog = Syslog(facility=3, path=path)
    assert not syslog.send("fastha", 5, "info", "nobody there", 0.0)
    for _ in range(2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
            daemon.bind(path)
            daemon.settimeout(5)
            assert syslog.send("fastha", 5, "warning", "hello", time.time())
            line = daemon.recv(1000).decode()
            assert line.startswith("<28>")
            assert line.endswith(" fastha[5]: hello")
        (tmp_path / "log").unlink()
    syslog.close()


@pytest.mark.parametrize("level", ["error", "warning", "notice", "info", "debug"])
def test_every_level_has_a_number(level):
    assert 3 <= log_module.LEVELS[level] <= 7
