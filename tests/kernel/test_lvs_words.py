"""From the words of a configuration to what ipvsadm says of the kernel."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from fastha.model.plan import CheckerPlan, PlaneChoice
from fastha.system.ipvs import IpvsPlane
from tests.checker_driver import CheckerProcess
from tests.config_machine import messages, read

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]


def plan_of(text: str) -> CheckerPlan:
    loaded = read(text)
    assert loaded.plan is not None, messages(loaded)
    return replace(loaded.plan.checker, lvs_plane=PlaneChoice.IPVS)


def service(header: str, words: str, *servers: str) -> str:
    real = "".join(
        f"real_server {address} {{\n{more}\n}}\n" for address, _, more in (s.partition(";") for s in servers)
    )
    return f"virtual_server {header} {{\n{words}\n{real}}}\n"


def thresholds(plane: IpvsPlane) -> list[tuple[int, int]]:
    """Upper and lower ones that are set; `ipvsadm -S` does not print them."""
    every = (destination for entry in plane.read().values() for destination in entry.destinations.values())
    return [(each.uthreshold, each.lthreshold) for each in every if each.uthreshold or each.lthreshold]


def table() -> list[str]:
    return subprocess.run(["ipvsadm", "-Sn"], capture_output=True, text=True, check=True).stdout.splitlines()


CASES = {
    "10.4 persistence: timeout, granularity": (
        service("127.9.0.1 80", "protocol TCP\nlvs_sched rr\nlvs_method NAT\npersistence_timeout 60\n"
                "persistence_granularity 255.255.255.0", "127.0.0.1 80"),
        ["-A -t 127.9.0.1:80 -s rr -p 60 -M 255.255.255.0", "-a -t 127.9.0.1:80 -r 127.0.0.1:80 -m -w 1"],
    ),
    "2.3 port 0 is persistent": (
        service("127.9.0.1", "protocol TCP\nlvs_sched rr\nlvs_method DR", "127.0.0.1"),
        ["-A -t 127.9.0.1:0 -s rr -p 360", "-a -t 127.9.0.1:0 -r 127.0.0.1:0 -g -w 1"],
    ),
    "2.3 no protocol is UDP; one-packet": (
        service("127.9.0.1 53", "lvs_sched rr\nlvs_method NAT\nops", "127.0.0.1 53"),
        ["-A -u 127.9.0.1:53 -s rr -o", "-a -u 127.9.0.1:53 -r 127.0.0.1:53 -m -w 1"],
    ),
    "flags of a scheduler": (
        service("127.9.0.1 80", "protocol TCP\nlvs_sched sh\nsh-port\nsh-fallback\nlvs_method NAT", "127.0.0.1 80"),
        ["-A -t 127.9.0.1:80 -s sh -b sh-fallback,sh-port", "-a -t 127.9.0.1:80 -r 127.0.0.1:80 -m -w 1"],
    ),
    "10.5 a mark; DR has no port there": (
        service("fwmark 7", "lvs_sched wlc\nlvs_method DR", "127.0.0.1", "127.0.0.2;lvs_method NAT"),
        ["-A -f 7 -s wlc", "-a -f 7 -r 127.0.0.1:0 -g -w 1", "-a -f 7 -r 127.0.0.2:0 -m -w 1"],
    ),
    "10.10 tunnels": (
        service(
            "127.9.0.1 80",
            "protocol TCP\nlvs_sched rr\nlvs_method TUN",
            "127.0.0.1 80",
            "127.0.0.2 80;lvs_method TUN type gue port 6080 csum",
            "127.0.0.3 80;lvs_method TUN type gre csum",
        ),
        [
            "-A -t 127.9.0.1:80 -s rr",
            "-a -t 127.9.0.1:80 -r 127.0.0.1:80 -i -w 1 --tun-type ipip",
            "-a -t 127.9.0.1:80 -r 127.0.0.2:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum",
            "-a -t 127.9.0.1:80 -r 127.0.0.3:80 -i -w 1 --tun-type gre --tun-csum",
        ],
    ),
    "thresholds and weights": (
        service(
            "127.9.0.1 80",
            "protocol SCTP\nlvs_sched wrr\nlvs_method NAT\nweight 5",
            "127.0.0.1 81;uthreshold 100\nlthreshold 50",
            "127.0.0.2 82;weight 0",
        ),
        [
            "-A --sctp-service 127.9.0.1:80 -s wrr",
            "-a --sctp-service 127.9.0.1:80 -r 127.0.0.1:81 -m -w 5",
            "-a --sctp-service 127.9.0.1:80 -r 127.0.0.2:82 -m -w 0",
        ],
    ),
    "4.3 an inhibited sorry server waits at weight 0": (
        service(
            "127.9.0.1 80",
            "protocol TCP\nlvs_sched rr\nlvs_method NAT\nsorry_server 127.0.0.9 80\nsorry_server_inhibit",
            "127.0.0.1 80",
        ),
        [
            "-A -t 127.9.0.1:80 -s rr",
            "-a -t 127.9.0.1:80 -r 127.0.0.1:80 -m -w 1",
            "-a -t 127.9.0.1:80 -r 127.0.0.9:80 -m -w 0",
        ],
    ),
    "10.9 a group of both families": (
        "virtual_server_group g {\n127.9.0.255-127.9.1.0 80\nfd00::1 80\n}\n"
        + service("group g", "protocol TCP\nlvs_sched rr\nlvs_method TUN", "127.0.0.1 80"),
        [
            "-A -t 127.9.0.255:80 -s rr",
            "-a -t 127.9.0.255:80 -r 127.0.0.1:80 -i -w 1 --tun-type ipip",
            "-A -t 127.9.1.0:80 -s rr",
            "-a -t 127.9.1.0:80 -r 127.0.0.1:80 -i -w 1 --tun-type ipip",
            "-A -t [fd00::1]:80 -s rr",
            "-a -t [fd00::1]:80 -r 127.0.0.1:80 -i -w 1 --tun-type ipip",
        ],
    ),
}  # fmt: skip


def test_what_ipvsadm_says(ipvs: IpvsPlane, tmp_path: Path) -> None:
    """One process goes from each configuration to the next by reload; at the end nothing is left."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with CheckerProcess(plan_of(next(iter(CASES.values()))[0]), tmp_path) as checker:
        for case, (text, expected) in CASES.items():
            assert checker.plan(plan_of(text)).error == "", case
            assert sorted(table()) == sorted(expected), (case, checker.log[-5:])
            assert thresholds(ipvs) == ([(100, 50)] if "thresholds" in case else []), case
        assert checker.snapshot().refusals == ()
        assert checker.stop() == 0
    assert table() == []


def test_changes_in_place_are_edits(ipvs: IpvsPlane, tmp_path: Path) -> None:
    """11.3 to 11.5: scheduler, flags, persistence, weight, method, and thresholds alone: one write each."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    head = "protocol TCP\nlvs_sched rr\nlvs_method TUN"
    hashed = head.replace("rr", "sh")
    persistent = f"{hashed}\nsh-port\npersistence_timeout 9"
    limits = "weight 3\nuthreshold 9\nlthreshold 4"
    steps = [
        (hashed, ""),
        (f"{hashed}\nsh-port", ""),
        (persistent, ""),
        (persistent, "weight 3"),
        (persistent, "weight 3\nuthreshold 9"),
        (persistent, limits),
        (persistent, f"{limits}\nlvs_method DR"),
    ]

    def config(words: str, more: str) -> CheckerPlan:
        return plan_of(service("127.9.0.1 80", words, f"127.0.0.1 80;{more}", "127.0.0.2 80"))

    with CheckerProcess(config(head, ""), tmp_path) as checker:
        for step in steps:
            before = checker.snapshot().counters["plane_writes"]
            assert checker.plan(config(*step)).error == ""
            assert checker.snapshot().counters["plane_writes"] == before + 1, step
        assert thresholds(ipvs) == [(9, 4)]
        assert sorted(table()) == [
            "-A -t 127.9.0.1:80 -s sh -p 9 -b sh-port",
            "-a -t 127.9.0.1:80 -r 127.0.0.1:80 -g -w 3",
            "-a -t 127.9.0.1:80 -r 127.0.0.2:80 -i -w 1 --tun-type ipip",
        ]
