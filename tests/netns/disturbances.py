"""What must not make a backup believe that its master is dead, and how often it did.

    python -m tests.netns.disturbances NAME SECONDS [DAEMON ...]

Each daemon (fastha, keepalived) is a pair of its own on a segment of its own; all are disturbed at the same time.
Version 3, an advert every 100 ms, priorities 200 and 100: the backup waits for 361 ms.
"""

import contextlib
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from fastha.model.plan import VrrpPlan
from fastha.model.units import MS, S
from tests.netns.segment import Segment, unique
from tests.netns.vrrp_daemons import FasthaVrrp, Keepalived, instance, keepalived_config
from tests.poll import until

INTERVAL = 100 * MS
MASTER_DOWN = 3 * INTERVAL + 60_937_000
VRID = 51
DAEMONS = ("fastha", "keepalived")
BUSY = 8
CLOCK_STEPS = (3600, -3600, 0.3, -0.3, 10, -10, 86_400, -86_400)
"""Seconds."""


class Result(NamedTuple):
    takeovers: int
    """How often the backup became master."""
    adverts: int
    """Of the master."""
    ended: int
    """How often a process of the pair has died: none is expected to."""
    longest: float
    """ms between two of them; NaN when the clock they are stamped by was set."""

    def __str__(self) -> str:
        silence = "" if math.isnan(self.longest) else f", {self.longest:.0f} ms the longest silence"
        return f"{self.takeovers} false takeovers, {self.adverts} adverts, {self.ended} ends{silence}"


class Pair:
    """A master and a backup of one kind that have found each other."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind = kind
        self.segment = Segment(unique(f"fhd{kind[0]}"))
        self.a, self.b = self.segment.node(), self.segment.node()
        self.master = self._start(directory / "a", 200)
        until(lambda: self.master.state() == "MASTER", f"{kind} to be MASTER", 20)
        self.backup = self._start(directory / "b", 100)
        until(lambda: self.backup.state() == "BACKUP", f"{kind} to be BACKUP", 20)
        self.capture = self.segment.capture()
        until(lambda: len(self.capture.adverts(self.a.address)) > 3, "adverts", 10)

    def _start(self, directory: Path, priority: int) -> FasthaVrrp | Keepalived:
        node = self.a if priority == 200 else self.b
        plan = instance(vrid=VRID, priority=priority, version=3, adver_int=INTERVAL)
        if self.kind == "fastha":
            return FasthaVrrp(node, VrrpPlan(instances=(plan,)), directory)
        return Keepalived(
            node,
            "global_defs {\n vrrp_rt_priority 50\n vrrp_rlimit_rttime 2000000\n}\n" + keepalived_config(plan, INTERVAL),
            directory,
        )

    def result(self) -> Result:
        """What was seen so far. A backup that takes over speaks; adverts less than a second apart are one takeover."""
        wrong = [f.at for f in self.capture.adverts(self.b.address) if f.vrrp[2]]
        right = [f.at for f in self.capture.adverts(self.a.address)]
        takeovers = sum(1 for before, at in zip([0.0, *wrong], wrong, strict=False) if at - before > 1)
        longest = max((after - before for before, after in pairwise(right)), default=0.0)
        return Result(takeovers, len(right), self._ended(), longest * 1e3)

    def _ended(self) -> int:
        ended = 0
        for daemon in (self.master, self.backup):
            ended += daemon.process.poll() is not None
            if isinstance(daemon, Keepalived):
                ended += daemon.log().count("Respawning")
        return ended

    def close(self) -> None:
        self.segment.close()


def processes(root: int) -> list[int]:
    """A process and its descendants."""
    found = [root]
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{root}/task/{root}/children").read_text().split():
            found += processes(int(child))
    return found


def stop_for(daemons: list[FasthaVrrp | Keepalived], seconds: float) -> None:
    """SIGSTOP to all their processes, and SIGCONT after a while."""
    pids = [pid for daemon in daemons for pid in processes(daemon.process.pid)]
    for number, wait in ((signal.SIGSTOP, seconds), (signal.SIGCONT, 0.0)):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # the result tells
                os.kill(pid, number)
        time.sleep(wait)


# -------------------------------------------------------------------------------------------------- the disturbances


def busy(_pairs: list[Pair], end: float) -> None:
    """8 processes that only compute."""
    loops = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(BUSY)]
    try:
        time.sleep(max(0.0, end - time.monotonic()))
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def loss(pairs: list[Pair], end: float) -> None:
    """Every third advert to the backup is dropped."""
    for pair in pairs:
        hook = "type filter hook input priority 0; ip protocol 112 numgen inc mod 3 0 counter drop;"
        rules = f"table ip loss {{ chain adverts {{ {hook} }}; }}"
        pair.b.run("nft", rules)
    time.sleep(max(0.0, end - time.monotonic()))
    for pair in pairs:
        assert "packets 0 " not in pair.b.run("nft", "list", "table", "ip", "loss"), "nothing was dropped"


def backup_stopped(pairs: list[Pair], end: float) -> None:
    """SIGSTOP of the backup for 10 s, again and again."""
    while (left := end - time.monotonic()) > 0:
        stop_for([pair.backup for pair in pairs], min(10.0, left))
        time.sleep(1)


def master_stopped(pairs: list[Pair], end: float) -> None:
    """SIGSTOP of the master for its master-down time less one and a half intervals, every second."""
    while time.monotonic() < end:
        stop_for([pair.master for pair in pairs], (MASTER_DOWN - INTERVAL * 3 / 2) / S)
        time.sleep(1)


def clock_steps(_pairs: list[Pair], end: float) -> None:
    """The wall clock is set forth and back, at most once a second."""
    turn = 0
    while time.monotonic() < end:
        time.clock_settime(time.CLOCK_REALTIME, time.time() + CLOCK_STEPS[turn % len(CLOCK_STEPS)])
        turn += 1
        time.sleep(1)


DISTURBANCES: dict[str, Callable[[list[Pair], float], None]] = {
    "busy": busy,
    "loss": loss,
    "backup_stopped": backup_stopped,
    "master_stopped": master_stopped,
    "clock_steps": clock_steps,
}


@contextlib.contextmanager
def pairs_of(kinds: tuple[str, ...], directory: Path) -> Iterator[list[Pair]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(Pair(kind, directory / kind))) for kind in kinds]


def disturbed(name: str, seconds: float, kinds: tuple[str, ...], directory: Path) -> dict[str, Result]:
    """Disturb a pair of each kind for so long; what came of it."""
    with pairs_of(kinds, directory) as pairs:
        DISTURBANCES[name](pairs, time.monotonic() + seconds)
        time.sleep(2 * MASTER_DOWN / S)  # what was disturbed last has its time to go wrong
        results = {pair.kind: pair.result() for pair in pairs}
    if name == "clock_steps":
        results = {kind: result._replace(longest=math.nan) for kind, result in results.items()}
    return results


def main() -> int:
    name, seconds, kinds = sys.argv[1], float(sys.argv[2]), tuple(sys.argv[3:]) or DAEMONS
    with tempfile.TemporaryDirectory(prefix="fastha-disturbed-") as directory:
        for kind, result in disturbed(name, seconds, kinds, Path(directory)).items():
            print(f"{name} {seconds:g} s, {kind}: {result}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
