"""The snapshot as text, on a terminal and elsewhere, and as JSON."""

import io
import json
from dataclasses import replace

import pytest

from fastha.export.json import render_json
from fastha.export.terminal import print_tables
from fastha.export.text import plain_lines, tables
from fastha.model import codec
from fastha.model.net import Address
from fastha.model.snapshot import (
    CheckerSnapshot,
    CheckSnapshot,
    GroupSnapshot,
    Histogram,
    InstanceSnapshot,
    PriorityTerm,
    ProcessSnapshot,
    RealServerSnapshot,
    RunnerSnapshot,
    ScriptSnapshot,
    Snapshot,
    VirtualServerSnapshot,
    VrrpSnapshot,
)
from fastha.model.units import MS

NOW = 1_700_000_000.0

INSTANCE = InstanceSnapshot(
    name="VI_1",
    interface="eth0",
    virtual_router_id=51,
    family=4,
    version=2,
    state="MASTER",
    wanted="MASTER",
    since_wall=NOW - 90,
    reason="no adverts from a master",
    priority=100,
    effective_priority=80,
    priority_terms=(
        PriorityTerm(source="configured", value=100),
        PriorityTerm(source="script chk", value=-20, failed=True),
        PriorityTerm(source="interface eth1", value=0),
    ),
    master_address=Address("10.0.0.5"),
    master_priority=80,
    addresses=("10.0.0.1/24 dev eth0", "10.0.0.2/24 dev eth0"),
    present=("10.0.0.1/24 dev eth0",),
)


def check(**words) -> CheckSnapshot:
    given = {
        "kind": "TCP_CHECK",
        "target": "10.0.1.1:80",
        "up": True,
        "has_run": True,
        "result": "connected",
        "since_wall": NOW - 4000,
        "last_wall": NOW - 2,
        "retries_left": 1,
        "lateness": 3 * MS,
    }
    return CheckSnapshot(**(given | words))


def server(address: str, *checks: CheckSnapshot, **words) -> RealServerSnapshot:
    given = {"alive": True, "weight": 1, "effective_weight": 1, "programmed": True, "kernel_weight": 1}
    return RealServerSnapshot(address=Address(address), port=80, checkers=checks, **(given | words))


SERVICE = VirtualServerSnapshot(
    name="[10.0.0.1]:tcp:80",
    scheduler="wrr",
    quorum=2,
    hysteresis=1,
    quorum_up=False,
    weight_alive=1,
    programmed=True,
    sorry_server="[10.9.9.9]:tcp:80",
    sorry_in_use=True,
    real_servers=(
        server("10.0.1.1", check(), check(kind="HTTP_GET", up=False, result="status 503 not in 200-299")),
        server("fd00::1", check(has_run=False), alive=False, weight=5, effective_weight=0, kernel_weight=None,
               programmed=False),
        server("10.0.1.3"),
    ),
)  # fmt: skip

WHOLE = Snapshot(
    version="1.2.3",
    wall=NOW,
    config="/etc/keepalived/keepalived.conf",
    config_loaded_wall=NOW - 1000,
    config_note="the reload was refused",
    processes=(
        ProcessSnapshot(name="vrrp", pid=11, state="running", since_wall=NOW - 5, restarts=1, last_exit="watchdog"),
        ProcessSnapshot(name="checker", pid=None, state="waiting", since_wall=NOW, restarts=3, last_exit="exit 7"),
    ),
    vrrp=VrrpSnapshot(
        instances=(INSTANCE,),
        sync_groups=(GroupSnapshot(name="G", state="MASTER", members=("VI_1", "VI_2")),),
        interfaces={"eth0": True, "eth1": False},
        realtime="SCHED_RR 50, memory locked",
        engine={"sent": 5, "overflow": 0},
        lateness=Histogram(bounds=(1000, 2000), counts=(90, 9, 1), total=1, maximum=5000),
    ),
    checker=CheckerSnapshot(
        plane="ipvs",
        plane_note="a note",
        virtual_servers=(SERVICE,),
        foreign_services=("tcp [10.7.7.7]:80",),
        refusals=("add tcp [10.0.0.1]:80: no such scheduler",),
        counters={"started": 7},
    ),
    runner=RunnerSnapshot(
        scripts=(
            ScriptSnapshot(name="chk", state="down", result="exit 1", last_wall=NOW - 1, running=True, lateness=1),
        ),
        files={"maintenance": 3},
        counters={"started": 2},
    ),
)
EMPTY = Snapshot(version="1", wall=NOW, config="c", config_loaded_wall=0.0, config_note="")


@pytest.fixture(scope="module")
def text() -> str:
    return "\n".join(plain_lines(tables(WHOLE), width=200))


@pytest.mark.parametrize(
    "words",
    [
        "fastha 1.2.3",
        "the reload was refused",
        "watchdog",
        "VI_1 (eth0, 51)  MASTER  90 s",
        "no adverts from a master",
        "80 = 100 -20 script chk (failed)",
        "10.0.0.5 (80)",
        "1 of 2: 10.0.0.1/24 dev eth0",
        "interfaces down: eth1",
        "SCHED_RR 50, memory locked",
        "half at most 1 us, 99 % at most 2 us, at worst 5 us (of 100)",
        "counters of the advert engine\n  counter  value\n  sent     5",
        "virtual servers, in ipvs",
        "refused by the kernel: add tcp [10.0.0.1]:80: no such scheduler",
        "not ours, left alone: tcp [10.7.7.7]:80",
        "quorum 2+-1 DOWN, weight alive 1, sorry server [10.9.9.9]:tcp:80 IN USE",
        "[fd00::1]:80",
        "0 (5)",
        "not run yet",
        "always up",
        "status 503 not in 200-299",
        "3 ms",
        "67 min",
        "chk     down   exit 1",
        "maintenance  3",
    ],
)
def test_what_an_operator_looks_for_is_there(text, words):
    assert words in text


def test_what_does_not_count_is_not_there(text):
    assert "interface eth1" not in text
    assert "overflow" not in text


def test_lines_have_no_blanks_at_their_ends(text):
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_terminal_gets_the_same_words_with_colours():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    print_tables(tables(WHOLE), out)
    assert "VI_1" in out.getvalue()
    assert "status 503" in out.getvalue() or "503" in out.getvalue()


def test_a_daemon_without_children_is_shown():
    assert "\n".join(plain_lines(tables(EMPTY))).startswith("fastha 1\n  configuration c, read never")


def test_a_process_that_is_down_is_said_to_be():
    down = ProcessSnapshot(
        name="vrrp",
        pid=None,
        state="waiting",
        since_wall=NOW - 1,
        restarts=5,
        last_exit="killed by SIGKILL",
        down_since_wall=NOW - 42,
    )
    words = "\n".join(plain_lines(tables(replace(WHOLE, vrrp=None, processes=(down,)))))
    assert "no vrrp process works since " in words
    assert "(42 s" in words


def test_json_is_the_snapshot():
    assert codec.decode(Snapshot, render_json(WHOLE)) == WHOLE
    assert json.loads(render_json(EMPTY))["vrrp"] is None


def test_counters_that_are_0_are_shown_on_demand():
    assert "overflow  0" in "\n".join(plain_lines(tables(WHOLE, verbose=True)))


def test_counters_stand_in_columns():
    counters = {f"a_counter_with_number_{n}": n for n in range(40)}
    engine = Snapshot(version="1", wall=NOW, config="c", config_loaded_wall=0.0, config_note="",
                      vrrp=VrrpSnapshot(engine=counters))  # fmt: skip
    lines = list(plain_lines(tables(engine)))
    assert "  a_counter_with_number_1   1      a_counter_with_number_14  14     a_counter_with_number_27  27" in lines
    assert len(lines) < 30


def test_lines_fit_100_columns():
    long = check(up=False, result="the answer is not what it should be: " + "some words of it " * 10)
    service = replace(SERVICE, real_servers=(server("10.0.1.1", long),))
    checker = replace(WHOLE.checker, virtual_servers=(service,), warnings=("something is in the way " * 10,))
    lines = list(plain_lines(tables(replace(WHOLE, checker=checker))))
    assert max(map(len, lines)) <= 100
    assert sum(line.count("words") for line in lines) == 10


def test_without_a_plane_nothing_is_said_of_one():
    checker = replace(WHOLE.checker, plane="none", counters={"started": 7, "plane_writes": 3})
    shown = "\n".join(plain_lines(tables(replace(WHOLE, checker=checker))))
    assert "virtual servers, only checked" in shown
    assert "plane_writes" not in shown
    assert "started  7" in shown
