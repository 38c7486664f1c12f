"""The checker process over a real kernel's IPVS: start, failure, meddling, crash, replacement, stop."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fastha.model.net import Address
from fastha.model.plan import CheckerPlan, FlushOnStop, PlaneChoice, ServiceEntry, SyncSettings
from fastha.process.messages import States
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


def test_timeouts_are_restored_after_a_crash(webs: tuple[Web, Web], ipvs: IpvsPlane, tmp_path: Path) -> None:
    own = ipvs.read_timeouts()
    with CheckerProcess(config(webs, lvs_timeouts=(111, 0, 33)), tmp_path) as checker:
        checker.kill()
    assert ipvs.read_timeouts() == (111, own[1], 33)
    with CheckerProcess(config(webs, lvs_timeouts=(0, 22, 0)), tmp_path) as checker:
        assert ipvs.read_timeouts() == (own[0], 22, own[2])
        checker.stop()
    assert ipvs.read_timeouts() == own


def test_a_group_is_a_service_for_each_entry(webs: tuple[Web, Web], tmp_path: Path) -> None:
    """One checker takes a server out of every service; entries come and go with a reload."""
    one, two = webs

    def grouped(*entries: ServiceEntry) -> CheckerPlan:
        (single,) = config(webs).virtual_servers
        group = replace(single, name="[g]:0", address=None, port=0, group="g", entries=entries)
        return replace(config(webs), virtual_servers=(group,))

    def lines(service: str, *servers: str) -> set[str]:
        option = "-f" if service.isdecimal() else "-t"
        return {f"-A {option} {service} -s rr", *(f"-a {option} {service} -r {each} -m -w 1" for each in servers)}

    first, second = f"127.0.0.1:{one.port}", f"127.0.0.2:{two.port}"
    entries = (
        ServiceEntry(address=Address("127.9.8.255"), port=80),
        ServiceEntry(address=Address("127.9.9.0"), port=81),
        ServiceEntry(fwmark=7),
    )
    with CheckerProcess(grouped(*entries), tmp_path) as checker:
        services = ("127.9.8.255:80", "127.9.9.0:81", "7")
        assert set(table()) == {FOREIGN}.union(*(lines(each, first, second) for each in services))
        one.close()
        left = {FOREIGN}.union(*(lines(each, second) for each in services))
        checker.until(lambda: set(table()) == left)
        down = [f"RS [127.0.0.1]:tcp:{one.port} [g]:0 DOWN"]
        checker.until(lambda: [line for line in checker.told() if line.startswith("RS")] == down)
        before = checker.snapshot().counters["plane_writes"]
        assert checker.plan(grouped(*entries[1:], ServiceEntry(fwmark=8))).error == ""
        assert set(table()) == {FOREIGN}.union(*(lines(each, second) for each in ("127.9.9.0:81", "7", "8")))
        assert checker.snapshot().counters["plane_writes"] == before + 3
        assert checker.stop() == 0
    assert table() == [FOREIGN]


def running(ipvs: IpvsPlane) -> list[tuple[bool, str, int]]:
    return sorted((each.master, each.interface, each.syncid) for each in ipvs.read_daemons())


def test_the_sync_daemon_follows_its_instance(webs: tuple[Web, Web], ipvs: IpvsPlane, tmp_path: Path) -> None:
    settings = SyncSettings(interface="lo", instance="VI", syncid=51)
    with CheckerProcess(config(webs, sync_daemon=settings), tmp_path) as checker:
        checker.say(States({}))
        checker.until(lambda: running(ipvs) == [(False, "lo", 51)])
        checker.say(States({"VI": "MASTER"}))
        checker.until(lambda: running(ipvs) == [(True, "lo", 51)])
        assert checker.snapshot().sync_daemon == ("master",)
        assert checker.plan(config(webs, sync_daemon=replace(settings, syncid=52))).error == ""
        assert running(ipvs) == [(True, "lo", 52)]
        checker.kill()
    assert running(ipvs) == [(True, "lo", 52)], "it goes on without us"
    with CheckerProcess(config(webs), tmp_path) as checker:
        assert running(ipvs) == []
        checker.stop()


def test_both_halves_without_an_instance(webs: tuple[Web, Web], ipvs: IpvsPlane, tmp_path: Path) -> None:
    with CheckerProcess(config(webs, sync_daemon=SyncSettings(interface="lo", maxlen=1000)), tmp_path) as checker:
        assert running(ipvs) == [(False, "lo", 0), (True, "lo", 0)]
        assert checker.stop() == 0
    assert running(ipvs) == []


def test_flush_on_stop_empties_the_whole_table(webs: tuple[Web, Web], tmp_path: Path) -> None:
    """4.11: and nothing is told of real servers."""
    (service,) = config(webs).virtual_servers
    plan = replace(config(webs), virtual_servers=(replace(service, omega=True),), lvs_flush_on_stop=FlushOnStop.ALL)
    with CheckerProcess(plan, tmp_path) as checker:
        assert checker.stop() == 0
        assert [line for line in checker.told() if line.endswith("DOWN")] == ["VS [127.9.9.9]:tcp:80 DOWN"]
    assert table() == []


def test_a_namespace_of_its_own_for_ipvs(webs: tuple[Web, Web], tmp_path: Path) -> None:
    """The checks run where the process is; only the table is in the other namespace."""
    name = f"fhk{os.getpid()}-ipvs"
    subprocess.run(["ip", "netns", "add", name], check=True)
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    try:
        with CheckerProcess(config(webs, net_namespace_ipvs=name), tmp_path) as checker:
            assert table() == [FOREIGN]
            command = ["ip", "netns", "exec", name, "ipvsadm", "-Sn"]
            there = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
            assert set(there) == {SERVICE, line(webs[0], 1), line(webs[1], 2)}
            assert checker.stop() == 0
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)
