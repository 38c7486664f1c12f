"""Virtual servers of many shapes, through failures and reloads: fastha and C keepalived have the same table and tell
the same of each."""

from __future__ import annotations

import random
import shutil
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import pytest

from fastha.system.ipvs import IpvsPlane
from tests.checker_driver import Web, own_network
from tests.kernel.daemons import Daemon, running
from tests.kernel.shapes import SCRIPTS, Maker, text_of

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs, pytest.mark.compat]

SHAPES = 40
SEEDS = 1
SOAK_SEEDS = 20
PORTS = tuple(range(8001, 8007))

Steps = list[tuple[str, list[str], list[str]]]


class Fleet:
    """The shapes, their servers, and the chance that rules them: the same for both daemons."""

    def __init__(self, directory: Path, seed: int) -> None:
        directory.mkdir(parents=True)
        self.directory, self.config, self.fifo = directory, directory / "conf", directory / "fifo"
        self._chance = random.Random(seed)
        self._maker = Maker(self._chance, len(PORTS))
        self._shapes = [self._maker.shape(number) for number in range(1, SHAPES + 1)]
        self._webs = {port: Web(port) for port in PORTS}
        self._closed: set[int] = set()
        self._script = directory / "check"
        self._script.write_text(f"#!/bin/sh\nexit $(cat {directory}/code.$1)\n")
        self._script.chmod(0o755)
        self.shake()
        self.write()

    def write(self) -> None:
        head = f"global_defs {{\nenable_script_security\nscript_user root\nlvs_notify_fifo {self.fifo}\n}}\n"
        self.config.write_text(head + "".join(text_of(shape, PORTS, self._script) for shape in self._shapes))

    def change(self) -> None:
        """Another file."""
        self._shapes = [changed for shape in self._shapes if (changed := self._maker.changed(shape)) is not None]
        self.write()

    def shake(self) -> None:
        """Some servers fail, some come back."""
        for port, web in self._webs.items():
            if self._chance.random() < 0.4:
                (web.reopen if port in self._closed else web.close)()
                self._closed ^= {port}
        for script in range(SCRIPTS):
            fresh = self.directory / "code.new"
            fresh.write_text(str(self._chance.choice((0, 1))))
            fresh.rename(self.directory / f"code.{script}")

    def close(self) -> None:
        for web in self._webs.values():
            web.close()


def live_through(kind: str, directory: Path, seed: int) -> Steps:
    with own_network():
        fleet = Fleet(directory, seed)
        try:
            with running(kind, fleet.directory, fleet.config, fleet.fifo) as daemon:
                _a_life(daemon, fleet)
        finally:
            fleet.close()
    return daemon.steps


def _a_life(daemon: Daemon, fleet: Fleet) -> None:
    daemon.settle("start")
    fleet.shake()
    daemon.settle("failures")
    fleet.change()
    daemon.reload("reload")
    fleet.shake()
    daemon.settle("failures after the reload")
    daemon.process.terminate()
    daemon.settle("stop", ended=True)


def told(lines: list[str]) -> dict[str, list[list[str]]]:
    """By virtual server: what was told of each thing, in order, and whether of a server or of the service. What is told
    twice in a row is one of the differences."""
    by_service: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        words = line.split()
        name = " ".join(words[1:-1])
        by_service[name[name.index(" ") + 1 :] if words[0] == "RS" else name].append(line)
    result = {}
    for service, said in by_service.items():
        by_thing: dict[str, list[str]] = defaultdict(list)
        for line in said:
            by_thing[line.rpartition(" ")[0]].append(line)
        result[service] = [[each for each, _ in groupby(by_thing[thing])] for thing in sorted(by_thing)]
    return result


@pytest.mark.timeout(3000)
def test_shapes(ipvs: IpvsPlane, tmp_path: Path, soak: bool) -> None:
    """A difference counts when it comes twice: a probe that meets a server in the moment of its change sees one state
    or the other."""
    if shutil.which("keepalived") is None:
        pytest.skip("keepalived is not installed")
    for seed in range(SOAK_SEEDS if soak else SEEDS):
        try:
            same(seed, tmp_path / "first")
        except AssertionError:
            same(seed, tmp_path / "second")


def same(seed: int, directory: Path) -> None:
    """Both live through the same; tables and words of both are the same."""
    places = (directory / f"k{seed}", directory / f"f{seed}")
    with ThreadPoolExecutor(2) as both:
        theirs, ours = both.map(live_through, ("keepalived", "fastha"), places, (seed, seed))
    for (what, table_theirs, said_theirs), (_, table_ours, said_ours) in zip(theirs, ours, strict=True):
        where = f"seed {seed}, {what}"
        assert "reload was refused" not in (places[1] / "log.fastha").read_text(), where
        if what == "stop":  # of a group keepalived may leave something
            assert table_ours == [], where
        else:
            assert table_ours == table_theirs, f"{where}: the table"
        assert told(said_ours) == told(said_theirs), f"{where}: the FIFO"
