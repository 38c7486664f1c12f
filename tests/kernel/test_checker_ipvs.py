"""The checker process over a real kernel's IPVS: start, failure, meddling, crash, replacement, stop."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fastha.model.plan import CheckerPlan, PlaneChoice
from fastha.system.ipvs import IpvsPlane
from tests.checker_driver import CheckerProcess, Web, plan_of, server

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]

FOREIGN = "-A -t 9.9.9.9:80 -s wlc"
SERVICE = "-A -t 127.9.9.9:80 -s rr"


def table() -> list[str]:
    return subprocess.run(["ipvsadm", "-Sn"], capture_output=True, text=True, check=True).stdout.splitlines()


def ipvsadm(line: str) -> None:
    subprocess.run(["ipvsadm", *line.split()], check=True)


@pytest.fixture
def webs(ipvs: IpvsPlane) -> Iterator[tuple[Web, Web]]:
    """Two servers; the table is empty but for one foreign service."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    ipvsadm(FOREIGN)
    both = Web(), Web()
    yield both
    for web in both:
        web.close()


def config(webs: tuple[Web, Web], **words: object) -> CheckerPlan:
    return replace(plan_of(server(webs[0]), server(webs[1], last=2)), lvs_plane=PlaneChoice.IPVS, **words)  # type: ignore[arg-type]


def line(web: Web, last: int) -> str:
    return f"-a -t 127.9.9.9:80 -r 127.0.0.{last}:{web.port} -m -w 1"


def test_a_dead_server_leaves_the_table_and_comes_back(webs: tuple[Web, Web], tmp_path: Path) -> None:
    one, two = webs
    with CheckerProcess(config(webs), tmp_path) as checker:
        assert set(table()) == {FOREIGN, SERVICE, line(one, 1), line(two, 2)}
        one.close()
        checker.until(lambda: line(one, 1) not in table())
        snapshot = checker.snapshot()
        assert snapshot.foreign_services == ("tcp [9.9.9.9]:80",)
        assert [shown.kernel_weight for shown in snapshot.virtual_servers[0].real_servers] == [None, 1]
        one.reopen()
        checker.until(lambda: line(one, 1) in table())
        assert checker.stop() == 0
    assert table() == [FOREIGN]


def test_what_is_cleared_behind_our_back_comes_back(webs: tuple[Web, Web], tmp_path: Path) -> None:
    one, two = webs
    with CheckerProcess(config(webs), tmp_path) as checker:
        ipvsadm("-C")
        checker.until(lambda: set(table()) == {SERVICE, line(one, 1), line(two, 2)}, patience=40)
        checker.until(lambda: any("putting right" in text for text in checker.log))


def test_a_killed_process_leaves_the_table_and_the_next_one_goes_on_from_it(
    webs: tuple[Web, Web], tmp_path: Path
) -> None:
    one, two = webs
    with CheckerProcess(config(webs), tmp_path) as checker:
        one.close()
        checker.until(lambda: line(one, 1) not in table())
        checker.kill()
    left = table()
    assert line(two, 2) in left
    with CheckerProcess(config(webs), tmp_path) as checker:
        assert table() == left, "the dead server is not taken in again"
        assert checker.snapshot().counters["plane_writes"] == 0
        one.reopen()
        checker.until(lambda: line(one, 1) in table())


def test_what_is_configured_no_more_goes_though_nobody_saw_it(webs: tuple[Web, Web], tmp_path: Path) -> None:
    with CheckerProcess(config(webs), tmp_path) as checker:
        assert checker.stop(release=False) == 0
    assert SERVICE in table()
    with CheckerProcess(replace(config(webs), virtual_servers=()), tmp_path):
        assert table() == [FOREIGN]


def test_reload_edits_in_place(webs: tuple[Web, Web], tmp_path: Path) -> None:
    one, two = webs
    with CheckerProcess(config(webs), tmp_path) as checker:
        before = checker.snapshot().counters["plane_writes"]
        servers = (replace(server(one), weight=7), server(two, last=2))
        changed = replace(plan_of(*servers), lvs_plane=PlaneChoice.IPVS)
        assert checker.plan(changed).error == ""
        assert line(one, 1).replace("-w 1", "-w 7") in table()
        assert checker.snapshot().counters["plane_writes"] == before + 1


def test_a_refusal_is_told_and_shown(webs: tuple[Web, Web], tmp_path: Path) -> None:
    (service,) = config(webs).virtual_servers
    odd = replace(config(webs), virtual_servers=(replace(service, scheduler="nosuch"),))
    with CheckerProcess(odd, tmp_path) as checker:
        checker.until(lambda: any("no scheduler 'nosuch'" in text for text in checker.log))
        (refusal,) = checker.snapshot().refusals
        assert "127.9.9.9" in refusal
        assert checker.plan(config(webs)).error == ""
        checker.until(lambda: SERVICE in table())
        checker.until(lambda: checker.snapshot().refusals == ())


def test_lvs_timeouts_are_restored(webs: tuple[Web, Web], ipvs: IpvsPlane, tmp_path: Path) -> None:
    own = ipvs.read_timeouts()
    with CheckerProcess(config(webs, lvs_timeouts=(111, 0, 33)), tmp_path) as checker:
        assert ipvs.read_timeouts() == (111, own[1], 33)
        assert checker.plan(config(webs, lvs_timeouts=(0, 22, 33))).error == ""
        assert ipvs.read_timeouts() == (own[0], 22, 33)
        checker.stop()
    assert ipvs.read_timeouts() == own
