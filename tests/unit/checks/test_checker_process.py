"""The checker process as it is started, on loopback and without a kernel table."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fastha.model.net import Address
from fastha.model.plan import (
    Checkers,
    MiscCheck,
    PlaneChoice,
    RealServer,
    TcpCheck,
    Url,
)
from fastha.model.units import MS
from fastha.process.messages import ScriptReport, ScriptSeen
from tests.check_builders import misc
from tests.checker_driver import TICK, CheckerProcess, Web, plan_of, server


@pytest.fixture
def web() -> Iterator[Web]:
    one = Web()
    yield one
    one.close()


@pytest.mark.parametrize("kind", ["tcp", "http"])
def test_a_server_goes_and_comes(web: Web, tmp_path: Path, kind: str) -> None:
    with CheckerProcess(plan_of(server(web, kind=kind)), tmp_path) as checker:
        name = f"[127.0.0.1]:tcp:{web.port} [127.9.9.9]:tcp:80"
        checker.until(lambda: checker.snapshot().virtual_servers[0].real_servers[0].checkers[0].has_run)
        snapshot = checker.snapshot()
        assert snapshot.plane == "none"
        (check,) = snapshot.virtual_servers[0].real_servers[0].checkers
        assert check.result == ("connected" if kind == "tcp" else "status 200")
        web.close()
        checker.until(lambda: "VS [127.9.9.9]:tcp:80 DOWN" in checker.told())
        assert checker.told()[-2:] == [f"RS {name} DOWN", "VS [127.9.9.9]:tcp:80 DOWN"]
        (check,) = checker.snapshot().virtual_servers[0].real_servers[0].checkers
        assert (check.up, check.result) == (False, "connection refused")
        web.reopen()
        checker.until(lambda: f"RS {name} UP" in checker.told())
        assert checker.ping()
        assert checker.stop() == 0


def test_http_request_on_the_wire(web: Web, tmp_path: Path) -> None:
    with CheckerProcess(plan_of(server(web, kind="http")), tmp_path) as checker:
        checker.until(lambda: len(web.requests) >= 3)
    assert set(web.requests) == {
        f"GET /a HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 127.0.0.1:{web.port}\r\n\r\n".encode()
    }


def test_status_and_url_of_a_failure_are_shown(web: Web, tmp_path: Path) -> None:
    web.reply = b"HTTP/1.0 503 Sorry\r\n\r\n"
    real = server(web, kind="http")
    (check,) = real.checkers.http
    urls = (Url(path="/x", status_codes=((503, 503),)), Url(path="/y"))
    config = plan_of(replace(real, checkers=Checkers(http=(replace(check, urls=urls),))))
    with CheckerProcess(config, tmp_path) as checker:
        checker.until(lambda: len(checker.tells) == 3)
        (shown,) = checker.snapshot().virtual_servers[0].real_servers[0].checkers
        assert shown.result == "status 503 not in 200-299"
        assert any("HTTP_GET is down: status 503 not in 200-299" in line for line in checker.log)


def test_reload_by_difference(web: Web, tmp_path: Path) -> None:
    with CheckerProcess(plan_of(server(web)), tmp_path) as checker:
        assert checker.plan(plan_of(server(web), server(web, last=2))).error == ""
        assert len(checker.snapshot().virtual_servers[0].real_servers) == 2
        assert checker.plan(plan_of(server(web, last=2))).error == ""
        assert checker.snapshot().counters["checkers"] == 1
        checker.until(lambda: f"RS [127.0.0.1]:tcp:{web.port} [127.9.9.9]:tcp:80 DOWN" in checker.told())


def test_scripts_go_to_the_runner_and_come_back(tmp_path: Path) -> None:
    check: MiscCheck = misc(dynamic=True, delay_loop=TICK)
    real = RealServer(address=Address("127.0.0.1"), port=80, weight=3, checkers=Checkers(misc=(check,)))
    with CheckerProcess(plan_of(real), tmp_path) as checker:
        checker.until(lambda: bool(checker.orders))
        ((target, order),) = checker.orders.items()
        assert (order.argv, order.interval, order.expect_success) == (("/bin/check",), 0, True)
        checker.say(ScriptReport(target, order.generation, 12, False, 1.0, 10 * MS), to=checker.runner)
        checker.until(lambda: checker.orders[target].interval == TICK)
        assert checker.orders[target].expect_status == 12
        (shown,) = checker.snapshot().virtual_servers[0].real_servers
        assert (shown.effective_weight, shown.checkers[0].result) == (10, "exit 12")
        checker.say(ScriptSeen(((target, 12, 123.0, 5),)), to=checker.runner)
        checker.until(lambda: checker.snapshot().virtual_servers[0].real_servers[0].checkers[0].last_wall == 123.0)
        order = checker.orders[target]
        checker.say(ScriptReport(target, order.generation, 137, False, 1.0, 10 * MS, signal=9), to=checker.runner)
        checker.until(lambda: "RS [127.0.0.1]:tcp:80 [127.9.9.9]:tcp:80 DOWN" in checker.told())
        (shown,) = checker.snapshot().virtual_servers[0].real_servers
        assert shown.checkers[0].result == "killed by signal 9"


def test_a_new_runner_gets_the_orders_anew(tmp_path: Path) -> None:
    real = RealServer(address=Address("127.0.0.1"), port=80, checkers=Checkers(misc=(misc(),)))
    with CheckerProcess(plan_of(real), tmp_path) as checker:
        checker.until(lambda: bool(checker.orders))
        first = next(iter(checker.orders.values()))
        checker.orders.clear()
        checker.link()
        checker.until(lambda: bool(checker.orders))
        assert next(iter(checker.orders.values())).generation > first.generation


def test_a_plane_that_cannot_be_had_is_an_error_that_says_so(web: Web, tmp_path: Path) -> None:
    if Path("/proc/net/ip_vs").exists():
        pytest.skip("this kernel has IPVS")
    config = replace(plan_of(server(web)), lvs_plane=PlaneChoice.IPVS)
    with CheckerProcess(config, tmp_path, expect_error=True) as checker:
        assert "IPVS" in checker.error
        assert checker.process.wait(10) == 101, "a refusal of its own choice, which the supervisor takes as 1"


def test_a_refused_reload_leaves_the_old_plan(web: Web, tmp_path: Path) -> None:
    if Path("/proc/net/ip_vs").exists():
        pytest.skip("this kernel has IPVS")
    with CheckerProcess(plan_of(server(web)), tmp_path) as checker:
        assert "IPVS" in checker.plan(replace(plan_of(), lvs_plane=PlaneChoice.IPVS)).error
        assert len(checker.snapshot().virtual_servers[0].real_servers) == 1


def test_an_order_the_engine_cannot_take_is_told_and_the_others_go_on(web: Web, tmp_path: Path) -> None:
    good, bad = server(web), server(web, last=2)
    (check,) = bad.checkers.tcp
    wrong: TcpCheck = replace(check, connection=replace(check.connection, bind_if="x" * 40))
    config = plan_of(replace(bad, checkers=Checkers(tcp=(wrong,))), good)
    with CheckerProcess(config, tmp_path) as checker:
        checker.until(lambda: any("cannot be checked" in line for line in checker.log))
        checker.until(lambda: checker.snapshot().virtual_servers[0].real_servers[1].checkers[0].has_run)


def test_without_a_supervisor_it_goes_on(web: Web, tmp_path: Path) -> None:
    with CheckerProcess(plan_of(server(web)), tmp_path) as checker:
        checker.control.close()
        checker.control, unused = socket.socketpair()
        web.close()
        checker.until(lambda: any(told.endswith("DOWN") for told in checker.told()))
        os.kill(checker.process.pid, 15)
        assert checker.process.wait(10) == 0
        unused.close()
