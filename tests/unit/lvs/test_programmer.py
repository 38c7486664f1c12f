"""The programmer against a plane that can refuse, break, and be meddled with."""

from __future__ import annotations

import errno
import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from fastha.lvs.journal import decode_journal
from fastha.model.net import Address
from fastha.model.plan import CheckerPlan
from fastha.model.table import DestinationKey, Entry, Op, Operation, Refusal, Service, ServiceKey, Table
from fastha.model.units import S
from fastha.process.director import Director
from fastha.process.programmer import CHECK_EVERY, CHECK_SHARE, NOTICE_SHARE, JournalFile, Programmer
from tests.check_builders import ModelKernel, plan, rs, tcp, vs

KEY = ServiceKey(4, 0, "TCP", Address("10.0.0.1"), 80)
OTHER = KEY._replace(port=81)


class FakePlane:
    """A plane over a model kernel. `refuse` says with which errno an operation is refused, 0 if not."""

    name = "ipvs"
    note = ""
    slow = False

    def __init__(self) -> None:
        self.kernel = ModelKernel()
        self.refuse: Callable[[Operation], int] = lambda _operation: 0
        self.broken = False
        self.hint = False
        self.batches: list[list[Operation]] = []
        self.before_add: Callable[[], None] = lambda: None

    def read(self) -> Table:
        if self.broken:
            raise OSError(errno.ENOBUFS, "no buffers")
        return deepcopy(self.kernel.table)

    def read_one(self, at: ServiceKey) -> Entry | None:
        return self.read().get(at)

    def disturbed(self) -> bool:
        return self.hint

    def apply(self, operations: list[Operation]) -> list[Refusal]:
        if self.broken:
            raise OSError(errno.ENOBUFS, "no buffers")
        self.before_add()
        self.batches.append(operations)
        refusals = []
        for operation in operations:
            code = self.refuse(operation)
            if code == 0:
                (code,) = self.kernel.apply([operation])
            if code:
                refusals.append(Refusal(operation, code, f"{operation.at} {operation.op.name} {operation.key}: {code}"))
        return refusals

    def read_timeouts(self) -> tuple[int, int, int]:
        return (900, 120, 300)

    def set_timeouts(self, tcp: int, tcpfin: int, udp: int) -> None: ...

    def flush(self) -> None:
        self.kernel.table.clear()

    def close(self) -> None: ...


class Bench:
    """A director's pools, a programmer and a fake plane."""

    def __init__(self, run_dir: Path, config: CheckerPlan | None = None, *, plane: FakePlane | None = None) -> None:
        self.plane = plane if plane is not None else FakePlane()
        self.posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.ready = 0
        self.log: list[str] = []
        self.now = 0
        self.journal = JournalFile(str(run_dir))
        self.programmer = Programmer(
            self.plane,
            self.journal,
            lambda level, text, cause: self.log.append(f"{level} {text}"),
            post=self.posted.put,
            ready=self._count,
        )
        self.director = Director()
        self.config = config if config is not None else plan(vs(rs(1, tcp(1)), rs(2, tcp(2))))

    def _count(self) -> None:
        self.ready += 1

    def loop(self) -> None:
        """What the loop does next."""
        self.posted.get(timeout=10)()

    def start(self, *, flush: bool = False) -> None:
        table = self.programmer.open(flush=flush)
        self.director.start(self.config, self.now, kernel=table, ours=self.programmer.ours)
        self.director.take()
        self.programmer.install(self.director.services, table, self.now)

    def reload(self, config: CheckerPlan) -> None:
        self.director.reload(config, self.now)
        self.programmer.touch(self.director.take().touched)
        self.programmer.flush(self.director.services, self.now)

    def tick(self, seconds: float = 1) -> None:
        self.now += round(seconds * S)
        self.programmer.tick(self.director.services, self.now)

    def weights(self) -> dict[str, int]:
        return {str(at.address): there.weight for at, there in self.plane.kernel.table[KEY].destinations.items()}

    def journalled(self) -> set[ServiceKey]:
        path = Path(self.journal.path)
        return set(decode_journal(path.read_bytes())[0].keys) if path.exists() else set()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "run")


def test_the_journal_is_written_before_the_first_add(bench: Bench) -> None:
    seen: list[set[ServiceKey]] = []
    bench.plane.before_add = lambda: seen.append(bench.journalled())
    bench.start()
    bench.reload(plan(*bench.config.virtual_servers, vs(port=81)))
    assert seen == [{KEY}, {KEY, OTHER}]


def test_a_service_that_is_configured_no_more_leaves_kernel_and_journal(bench: Bench) -> None:
    bench.start()
    bench.reload(plan(vs(rs(1, tcp(1)), port=81)))
    assert set(bench.plane.kernel.table) == {OTHER} == bench.journalled()


def test_one_batch_a_turn(bench: Bench) -> None:
    bench.start()
    bench.reload(plan(vs(*(rs(n, tcp(n)) for n in range(1, 9)))))
    assert [len(batch) for batch in bench.plane.batches] == [3, 6]


def test_release_takes_our_services_out_and_leaves_others(bench: Bench) -> None:
    bench.plane.kernel.table[OTHER] = Entry(Service())
    bench.start()
    assert bench.programmer.foreign == (OTHER,)
    bench.programmer.release(bench.now)
    assert set(bench.plane.kernel.table) == {OTHER}
    assert bench.journalled() == set()


def test_what_a_crash_left_is_ours_by_the_journal(tmp_path: Path) -> None:
    first = Bench(tmp_path)
    first.start()
    second = Bench(tmp_path, plan(vs(rs(1, tcp(1)), port=81)))
    second.plane.kernel = first.plane.kernel
    second.plane.kernel.table[KEY._replace(port=9)] = Entry(Service())
    second.start()
    assert set(second.plane.kernel.table) == {OTHER, KEY._replace(port=9)}


def test_lvs_flush(bench: Bench) -> None:
    bench.plane.kernel.table[OTHER] = Entry(Service())
    bench.start(flush=True)
    assert set(bench.plane.kernel.table) == {KEY}


def test_a_damaged_journal_is_told(bench: Bench) -> None:
    Path(bench.journal.path).parent.mkdir()
    Path(bench.journal.path).write_text("nonsense\n4 tcp 10.0.0.1 81\n")
    bench.plane.kernel.table[OTHER] = Entry(Service())
    bench.start()
    assert set(bench.plane.kernel.table) == {KEY}
    assert any("1 damaged" in line for line in bench.log)


def test_a_journal_that_cannot_be_written_is_told_and_we_go_on(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file, not a directory")
    bench = Bench(tmp_path / "run")
    bench.start()
    assert bench.weights() == {"10.0.1.1": 1, "10.0.1.2": 1}
    assert any("cannot write" in line for line in bench.log)


def test_a_refused_server_is_told_once_kept_and_tried_again(bench: Bench) -> None:
    refused = DestinationKey(Address("10.0.1.2"), 80)
    bench.plane.refuse = lambda operation: errno.EINVAL if operation.key == refused else 0
    bench.start()
    assert bench.weights() == {"10.0.1.1": 1}
    assert list(bench.programmer.refused) == [(KEY, refused)]
    for _ in range(10):
        bench.tick()
    assert sum(line.startswith("error") for line in bench.log) == 1
    bench.plane.refuse = lambda _operation: 0
    for _ in range(60):
        bench.tick()
    assert bench.weights() == {"10.0.1.1": 1, "10.0.1.2": 1}
    assert bench.programmer.refused == {}
    assert any("accepted now" in line for line in bench.log)


def test_a_refused_service_is_one_refusal_not_one_per_server(bench: Bench) -> None:
    bench.plane.refuse = lambda operation: errno.ENOENT if operation.op == Op.ADD_SERVICE else 0
    bench.start()
    assert bench.plane.kernel.table == {}
    assert list(bench.programmer.refused) == [(KEY, None)]
    bench.plane.refuse = lambda _operation: 0
    for _ in range(5):
        bench.tick()
    assert bench.weights() == {"10.0.1.1": 1, "10.0.1.2": 1}
    assert bench.programmer.refused == {}


def test_refusals_of_what_nobody_wants_any_more_are_forgotten(bench: Bench) -> None:
    bench.plane.refuse = lambda operation: errno.ENOENT if operation.op == Op.ADD_SERVICE else 0
    bench.start()
    bench.reload(plan())
    bench.tick()
    assert bench.programmer.refused == {}


def test_a_plane_that_breaks_is_read_anew_when_it_works(bench: Bench) -> None:
    bench.start()
    bench.plane.broken = True
    bench.reload(plan(vs(rs(3, tcp(3)))))
    bench.tick(3)
    bench.plane.broken = False
    for _ in range(10):
        bench.tick()
    assert bench.weights() == {"10.0.1.3": 1}
    assert any("cannot be programmed" in line for line in bench.log)


@pytest.mark.parametrize("harm", ["clear", "server", "weight", "scheduler"])
def test_what_others_change_is_put_right(bench: Bench, harm: str) -> None:
    bench.start()
    table = bench.plane.kernel.table
    before = deepcopy(table)
    one = DestinationKey(Address("10.0.1.1"), 80)
    if harm == "clear":
        table.clear()
    elif harm == "server":
        del table[KEY].destinations[one]
    elif harm == "weight":
        table[KEY].destinations[one] = next(iter(table[KEY].destinations.values())).__class__(weight=77)
    else:
        table[KEY].service = Service(scheduler="sh")
    bench.tick(CHECK_EVERY / S + 1)
    assert bench.plane.kernel.table == before
    assert bench.programmer.counters["plane_repairs"] > 0
    assert any("putting right" in line for line in bench.log)
    assert bench.programmer.mirror == before


def test_a_table_that_takes_long_to_read_is_read_seldom_but_soon_after_a_sign(bench: Bench, monkeypatch: Any) -> None:
    bench.start()
    read, seconds = bench.plane.read, itertools.count(1)
    now = [0]
    monkeypatch.setattr(time, "monotonic_ns", lambda: now[0])

    def slowly() -> Table:
        now[0] = next(seconds) * S
        return read()

    monkeypatch.setattr(bench.plane, "read", slowly)
    bench.tick(CHECK_EVERY / S)
    reads = bench.programmer.counters["plane_reads"]
    bench.plane.kernel.table.clear()
    bench.tick(NOTICE_SHARE + 1)
    assert bench.programmer.counters["plane_reads"] == reads
    bench.plane.hint = True
    bench.tick(1)
    assert bench.programmer.counters["plane_reads"] == reads + 1
    assert bench.weights() == {"10.0.1.1": 1, "10.0.1.2": 1}
    bench.tick(NOTICE_SHARE - 2)
    assert bench.programmer.counters["plane_reads"] == reads + 1, "whoever changes it all the time costs little"
    bench.plane.hint = False
    bench.tick(CHECK_SHARE)
    assert bench.programmer.counters["plane_reads"] == reads + 2


def test_somebody_who_fights_us_is_told_once(bench: Bench) -> None:
    bench.start()
    for _ in range(5):
        bench.plane.kernel.table.clear()
        bench.tick(CHECK_EVERY / S + 1)
    assert sum("putting right" in line for line in bench.log) == 1


def test_the_picture_shares_its_values_with_the_pools(bench: Bench) -> None:
    """So that tens of thousands of servers are not kept twice."""
    bench.start()
    (pool,) = bench.director.pools.values()
    keys = {id(key) for key in bench.programmer.mirror[KEY].destinations}
    assert keys == {id(server.key) for server in pool}
    bench.tick(CHECK_EVERY / S + 1)
    assert {id(key) for key in bench.programmer.mirror[KEY].destinations} == keys


# -------------------------------------------------------------------------------------------- a slow plane


class SlowPlane(FakePlane):
    """Its changes wait until they are let go on; all calls come one at a time."""

    slow = True

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.go_on.set()
        self.threads: set[int] = set()

    def apply(self, operations: list[Operation]) -> list[Refusal]:
        assert self.go_on.wait(10)
        self.threads.add(threading.get_ident())
        return super().apply(operations)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[Bench, SlowPlane]]:
    plane = SlowPlane()
    bench = Bench(tmp_path, plane=plane)
    bench.start()
    yield bench, plane
    plane.go_on.set()
    bench.programmer.close()


def test_a_slow_plane_works_beside_the_loop(slow: tuple[Bench, SlowPlane]) -> None:
    bench, plane = slow
    assert bench.weights() == {"10.0.1.1": 1, "10.0.1.2": 1}, "the start waits"
    plane.go_on.clear()
    bench.reload(plan(vs(rs(1, tcp(1), weight=5), rs(2, tcp(2)))))
    bench.reload(plan(vs(rs(1, tcp(1), weight=6))))
    bench.tick(CHECK_EVERY / S)
    assert bench.weights() == {"10.0.1.1": 1, "10.0.1.2": 1}, "nothing has been done, and we are here"
    assert bench.programmer.kernel([KEY]) == bench.programmer.mirror
    ready = bench.ready
    plane.go_on.set()
    while bench.ready == ready:
        bench.loop()
    assert bench.weights() == {"10.0.1.1": 5, "10.0.1.2": 1}
    bench.programmer.flush(bench.director.services, bench.now)
    while bench.ready == ready + 1:
        bench.loop()
    assert bench.weights() == {"10.0.1.1": 6}
    assert threading.get_ident() not in plane.threads


def test_what_was_wanted_last_counts_when_a_reading_took_long(slow: tuple[Bench, SlowPlane]) -> None:
    bench, plane = slow
    del plane.kernel.table[KEY]
    bench.tick(CHECK_EVERY / S)
    bench.director.reload(plan(vs(rs(1, tcp(1), weight=9))), bench.now)
    bench.programmer.touch(bench.director.take().touched)
    bench.programmer.flush(bench.director.services, bench.now)
    ready = bench.ready
    while bench.ready == ready:
        bench.loop()
    assert bench.weights() == {"10.0.1.1": 9}


def test_the_end_waits_for_what_is_being_done(slow: tuple[Bench, SlowPlane]) -> None:
    bench, plane = slow
    plane.go_on.clear()
    bench.reload(plan(vs(rs(1, tcp(1), weight=5))))
    threading.Timer(0.1, plane.go_on.set).start()
    bench.programmer.release(bench.now)
    assert KEY not in plane.kernel.table
    assert bench.journalled() == set()


def test_the_documents_tell_how_long_others_changes_stay() -> None:
    told = " ".join((Path(__file__).parents[3] / "docs" / "operators.md").read_text().split())
    assert CHECK_EVERY == S
    assert f"read again every second, or, when that takes longer than 5 ms, every {CHECK_SHARE} times as long" in told
    assert f"{NOTICE_SHARE} times as long" in told


def test_what_is_still_to_be_done_or_was_refused_is_nobodys_doing(bench: Bench) -> None:
    bench.start()
    programmer = bench.programmer
    one = DestinationKey(Address("10.0.1.1"), 80)
    del bench.plane.kernel.table[KEY].destinations[one]
    programmer.touch({KEY: {one}})
    programmer.check(bench.director.services, bench.now)
    assert one in bench.plane.kernel.table[KEY].destinations
    assert programmer.counters["plane_repairs"] == 0, "it was on its way"
