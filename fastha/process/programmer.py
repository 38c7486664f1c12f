"""The programmer: makes the kernel's table what the director wants, and keeps it so.

It reads the table once at the start and then keeps its own picture of our services (`mirror`), so a change of one
server costs one comparison and one operation. From time to time it reads again, to see whether somebody else had his
hands in it, and repairs what he did. What the kernel refuses is told once, kept for the snapshot, and tried again.
"""

import os
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from fastha.lvs.journal import Journal, decode_journal, encode_journal
from fastha.lvs.quorum import Pool
from fastha.lvs.reconcile import destination_operation, execute, ordered, reconcile, service_operations
from fastha.lvs.wanted import Services, wanted_destination, wanted_entry, wanted_table
from fastha.model.plan import Drift
from fastha.model.table import DestinationKey, Op, Operation, Plane, Refusal, ServiceKey, Table
from fastha.model.units import Ns, S
from fastha.process.lane import Lane, Post

Touched = dict[ServiceKey, set[DestinationKey] | None]
Say = Callable[[str, str, str], None]
"""(level, text, cause)"""

CHECK_EVERY: Final = S
CHECK_SHARE: Final = 200
"""Reading the table may take one part in so many of our time: a large one is read less often."""
NOTICE_SHARE: Final = 10
"""The same when there is a sign that others changed something (`Plane.disturbed`)."""
RETRY_FIRST: Final = S
RETRY_LONGEST: Final = 60 * S
_TOLD_AT_ONCE: Final = 10
"""Refusals of one batch that get a line each."""

Subject = tuple[ServiceKey, DestinationKey | None]


class JournalFile:
    """`lvs.journal` in the run directory. `journal` is what it holds."""

    def __init__(self, run_dir: str) -> None:
        self.path = os.path.join(run_dir, "lvs.journal")
        self.journal = Journal()
        self._written = False

    @property
    def keys(self) -> Collection[ServiceKey]:
        return self.journal.keys

    def read(self) -> int:
        """Fill `journal` from the file; returns how many of its lines were damaged. OSError when it cannot be read."""
        try:
            with open(self.path, "rb") as file:
                self.journal, bad = decode_journal(file.read())
        except FileNotFoundError:
            return 0
        self._written = True
        return bad

    def write(self, journal: Journal) -> None:
        """Replace the file, whole or not at all. OSError when it cannot be written; `journal` holds all the same."""
        if journal == self.journal and self._written:
            return
        self.journal = journal
        if journal:
            os.makedirs(os.path.dirname(self.path), mode=0o755, exist_ok=True)
            with open(f"{self.path}.new", "wb") as file:
                file.write(encode_journal(journal))
            os.rename(f"{self.path}.new", self.path)
        else:
            with suppress(FileNotFoundError):
                os.unlink(self.path)
        self._written = bool(journal)


class Programmer:
    """One kernel table. `say` writes the log.

    The calls of most planes are quick and happen inside ours. Those of a slow one are done beside the loop when `post`
    is given (`process.lane`): what is touched meanwhile waits, and `ready` is called when they are done, so that
    somebody flushes again.
    """

    def __init__(
        self,
        plane: Plane,
        journal: JournalFile,
        say: Say,
        *,
        post: Post | None = None,
        ready: Callable[[], object] = lambda: None,
    ) -> None:
        self.plane = plane
        self._lane = Lane(post if plane.slow else None)
        self._ready = ready
        self._services: Services = {}
        """As last told."""
        self.mirror: Table = {}
        """Our services as we believe the kernel has them."""
        self.foreign: tuple[ServiceKey, ...] = ()
        self.refused: dict[Subject, Refusal] = {}
        self.counters = {"plane_writes": 0, "plane_refusals": 0, "plane_repairs": 0, "plane_drift": 0, "plane_reads": 0}
        self.drift = Drift.REPAIR
        self.drifted: tuple[str, ...] = ()
        """What others have changed and we have left so (lvs_drift report)."""
        self._journal = journal
        self._say = say
        self._touched: Touched = {}
        self._again: Touched = {}
        """What was refused, for the next try."""
        self._lost = False
        """The last attempt broke off: read everything before the next."""
        self._retry_at: Ns = 0
        self._retry_delay: Ns = RETRY_FIRST
        self._check_at: Ns = 0
        self._notice_at: Ns = 0
        self._took: Ns = 0
        """How long the last reading took, with what came of it."""
        self._repaired: tuple[Operation, ...] = ()

    @property
    def programs(self) -> bool:
        """Whether the plane has a table at all."""
        return self.plane.name != "none"

    @property
    def ours(self) -> Collection[ServiceKey]:
        """Services that the journal says are ours."""
        return self._journal.keys

    # --------------------------------------------------------------------------------------- start

    def open(self, *, flush: bool) -> Table:
        """Read the journal and the table as they are; `flush` empties the table first (lvs_flush).

        OSError when the table cannot be read.
        """
        try:
            bad = self._journal.read()
        except OSError as error:
            self._say(
                "warning", f"cannot read {self._journal.path}: {error.strerror}; only configured services are ours", ""
            )
        else:
            if bad:
                self._say(
                    "warning", f"{self._journal.path}: {bad} damaged lines; those services are not known as ours", ""
                )
        if flush:
            try:
                self.plane.flush()
            except OSError as error:
                self._say("error", f"lvs_flush: {error.strerror}", "")
        begin = time.monotonic_ns()
        table = self._read()
        self._took = time.monotonic_ns() - begin
        self.mirror = {key: entry for key, entry in table.items() if key in self.ours}
        return table

    def install(self, services: Services, table: Table, now: Ns) -> None:
        """Make `table`, just read, what `services` want. Returns when it is done."""
        self._services = services
        wanted = wanted_table(services)
        self._claim(wanted)
        self._see(table, wanted)
        self._apply(reconcile(table, wanted, self.ours), now, lambda: self._agreed(wanted))
        self._lane.wait()
        self._next_check(now)

    def _agreed(self, wanted: Table) -> None:
        self._agree(wanted)
        self._settle_journal(self._services)

    def _see(self, table: Table, wanted: Table) -> None:
        """Take what was read as our picture."""
        self.mirror = {key: entry for key, entry in table.items() if key in wanted or key in self.ours}
        self.foreign = tuple(key for key in table if key not in self.mirror)

    def _agree(self, wanted: Table) -> None:
        """After everything was accepted our picture is `wanted`, whose values are shared with the pools: so tens of
        thousands of servers are not kept twice."""
        if not self._lost and not self._again:
            self.mirror = wanted

    def _read(self) -> Table:
        self.counters["plane_reads"] += 1
        return self.plane.read()

    def _next_check(self, now: Ns) -> None:
        self._check_at = now + max(CHECK_EVERY, CHECK_SHARE * self._took)
        self._notice_at = now + NOTICE_SHARE * self._took

    def _disturbed(self) -> bool:
        try:
            return self.plane.disturbed()
        except OSError:
            return True  # the reading says why

    def _claim(self, wanted: Iterable[ServiceKey]) -> None:
        """Write down that these are ours, before the kernel has the first of them."""
        if self.programs:
            self._write_journal({*self.ours, *wanted})

    def _settle_journal(self, wanted: Iterable[ServiceKey]) -> None:
        """Forget services that are gone from the configuration and from the kernel."""
        if self.programs:
            self._write_journal({*wanted, *(at for at in self.ours if at in self.mirror)})

    def _write_journal(self, keys: set[ServiceKey]) -> None:
        try:
            self._journal.write(replace(self._journal.journal, keys=keys))
        except OSError as error:
            text = (
                f"cannot write {self._journal.path}: {error.strerror}; a service that is removed from the configuration"
            )
            self._say("warning", f"{text} while fastha is down would stay in the kernel", "journal")

    # ----------------------------------------------------------------------------------- all the time

    def touch(self, touched: Touched) -> None:
        """These may differ from what is wanted now."""
        _merge(self._touched, touched)

    def flush(self, services: Services, now: Ns) -> None:
        """Bring what was touched in order, in one batch."""
        self._services = services
        if not self._touched or self._lane.busy:
            return
        if self._lost:
            return  # `tick` reads everything and starts from there
        touched, self._touched = self._touched, {}
        new = [at for at in touched if at in services and at not in self.ours]
        if new:
            self._claim(new)
        operations: list[Operation] = []
        for at, keys in touched.items():
            operations += self._operations(at, keys, services.get(at, ()))
        gone = any(at not in services for at in touched)
        self._apply(operations, now, lambda: self._settle_journal(self._services) if gone else None)

    def _operations(self, at: ServiceKey, keys: set[DestinationKey] | None, pools: tuple[Pool, ...]) -> list[Operation]:
        entry = self.mirror.get(at)
        if keys is None or not pools or entry is None:
            return service_operations(at, entry, wanted_entry(pools, at) if pools else None)
        changes = (
            destination_operation(at, key, entry.destinations.get(key), wanted_destination(pools, at, key))
            for key in keys
        )
        return ordered(change for change in changes if change is not None)

    def _apply(self, operations: list[Operation], now: Ns, then: Callable[[], object] = lambda: None) -> None:
        """Have it done; `then` follows, also when it was refused."""
        if not operations:
            then()
            return
        if self.programs:
            self.counters["plane_writes"] += len(operations)

        def done(outcome: list[Refusal] | OSError) -> None:
            self._applied(operations, outcome, now)
            then()
            self._ready()

        self._lane.run(lambda: self.plane.apply(operations), done)

    def _applied(self, operations: list[Operation], outcome: list[Refusal] | OSError, now: Ns) -> None:
        if isinstance(outcome, OSError):
            self._lost = True
            self._retry(now)
            self._say("error", f"{self.plane.name}: the table cannot be programmed: {outcome}; trying again", "plane")
            return
        refused = {(refusal.operation.at, refusal.operation.key) for refusal in outcome}
        for operation in operations:
            subject = (operation.at, operation.key)
            if subject in refused or (operation.key is not None and operation.at not in self.mirror):
                continue
            execute(self.mirror, operation)
            if self.refused.pop(subject, None) is not None:
                self._say("info", f"{self.plane.name} {operation.at}: accepted now: {_thing(operation)}", "")
        self._note(outcome, now)

    def _note(self, refusals: list[Refusal], now: Ns) -> None:
        """Keep, tell and plan to repeat what was refused. Servers of a service that was refused say nothing new."""
        told = 0
        for refusal in refusals:
            operation = refusal.operation
            self.counters["plane_refusals"] += 1
            _merge(self._again, {operation.at: None if operation.key is None else {operation.key}})
            if operation.key is not None and operation.at not in self.mirror:
                continue
            subject = (operation.at, operation.key)
            known = self.refused.get(subject)
            self.refused[subject] = refusal
            if known is None or known.errno != refusal.errno:
                told += 1
                if told <= _TOLD_AT_ONCE:
                    self._say("error", refusal.text, refusal.text)
        if told > _TOLD_AT_ONCE:
            self._say(
                "error", f"{self.plane.name}: {told - _TOLD_AT_ONCE} more operations were refused; see the status", ""
            )
        if refusals:
            self._retry(now)

    def _retry(self, now: Ns) -> None:
        self._retry_at = now + self._retry_delay
        self._retry_delay = min(2 * self._retry_delay, RETRY_LONGEST)

    def tick(self, services: Services, now: Ns) -> None:
        """To be called about once a second: repeat what was refused, look for what others changed."""
        self._services = services
        if self._lane.busy:
            return
        self._forget_refusals(services)
        if self._retry_at and now >= self._retry_at:
            self._retry_at = 0
            if self._lost:
                self.check(services, now)
            else:
                self.touch(self._again)
                self._again = {}
                self.flush(services, now)
            if not self._retry_at:
                self._retry_delay = RETRY_FIRST
        elif self.drift is not Drift.IGNORE and (
            now >= self._check_at or (now >= self._notice_at and self._disturbed())
        ):
            self.check(services, now)

    def _forget_refusals(self, services: Services) -> None:
        """A refusal about something that nobody wants any more is history."""
        for at, key in [
            subject for subject in self.refused if subject[0] not in services and subject[0] not in self.mirror
        ]:
            del self.refused[at, key]

    def check(self, services: Services, now: Ns) -> None:
        """Read the table and repair what differs from what is wanted."""
        self._services = services
        self._next_check(now)
        if not self.programs:
            self._lost = False
            self._touched = {}
            return
        begin = time.monotonic_ns()

        def read(outcome: Table | OSError) -> None:
            if isinstance(outcome, OSError):
                self._say("error", f"{self.plane.name}: the table cannot be read: {outcome}; trying again", "plane")
                if self._lost:
                    self._retry(now)
            else:
                self._judge(outcome, now)
                self._took = time.monotonic_ns() - begin
                self._next_check(now)

        self._lane.run(self._read, read)

    def _judge(self, table: Table, now: Ns) -> None:
        """Compare what was read with what is wanted by now."""
        lost, self._lost = self._lost, False
        wanted = wanted_table(self._services)
        self._claim(wanted)
        self._see(table, wanted)
        operations = reconcile(table, wanted, self.ours)
        if not operations and getattr(self.plane, "damage", None):
            # The table says what we want but is not made as it should be: any word makes the plane rebuild it.
            operations = [Operation(Op.EDIT_SERVICE, at, service=entry.service) for at, entry in wanted.items()]
        if self.drift is Drift.REPORT and not lost:
            self._report(operations)
            return
        self.drifted = ()
        self._repair(operations, now, lambda: self._agreed(wanted), expected=lost)

    def _report(self, operations: list[Operation]) -> None:
        """Tell what a reading found, once, and leave it. What we have to change ourselves later is changed."""
        strange = tuple(one for one in operations if self._strange(one))
        self.drifted = tuple(f"{one.at}: {_thing(one)} would put it right" for one in strange)
        if strange and strange != self._repaired:
            self.counters["plane_drift"] += len(strange)
            self._say("warning", f"{self.plane.name}: the table was changed by others: {self._some(strange)}", "")
        self._repaired = strange

    def _strange(self, operation: Operation) -> bool:
        """Others made it necessary: neither did the kernel refuse it, or its service, nor is it still to be done."""
        at, key = operation.at, operation.key
        if (at, key) in self.refused or (at, None) in self.refused:
            return False
        if at not in self._touched:
            return True
        touched = self._touched[at]
        return touched is not None and key not in touched

    @staticmethod
    def _some(operations: tuple[Operation, ...]) -> str:
        more = f" and {len(operations) - 3} more" if len(operations) > 3 else ""
        return ", ".join(f"{one.at} {_thing(one)}" for one in operations[:3]) + more

    def _repair(self, operations: list[Operation], now: Ns, then: Callable[[], object], *, expected: bool) -> None:
        """Put right what a reading found. The same difference again and again is told once: somebody fights us, or the
        kernel does not keep what it is told."""
        strange = tuple(one for one in operations if self._strange(one))
        if strange and not expected:
            self.counters["plane_repairs"] += len(strange)
            if strange != self._repaired:
                what = self._some(strange)
                self._say("warning", f"{self.plane.name}: the table was not as we left it; putting right: {what}", "")
        self._repaired = strange
        self._touched, self._again = {}, {}
        self._apply(operations, now, then)

    # ---------------------------------------------------------------------------------------- stop

    def release(self, now: Ns, *, flush: bool = False) -> None:
        """Take all our services out of the kernel; with `flush` everything that is in it (lvs_flush_on_stop)."""
        self._lane.wait()
        self._touched = {}
        if flush:
            try:
                self.plane.flush()
                self.mirror = {}
            except OSError as error:
                self._say("error", f"lvs_flush_on_stop: {error.strerror}; only our own services are removed", "")
        self._services = {}
        self._apply([Operation(Op.DELETE_SERVICE, at) for at in list(self.mirror)], now)
        self._lane.wait()
        self._settle_journal(())

    def close(self) -> None:
        """Let the plane go, and leave what is in the kernel."""
        self._lane.close()
        self.plane.close()

    def kernel(self, services: Iterable[ServiceKey]) -> Table:
        """These services right now, for the snapshot (of a slow plane: as we believe them). Those that are not there
        are left out, and those that cannot be read."""
        found: Table = {}
        for at in services:
            try:
                entry = self.mirror.get(at) if self.plane.slow else self.plane.read_one(at)
            except OSError as error:
                self._say("error", f"{self.plane.name}: {at} cannot be read: {error}", "plane")
                break
            if entry is not None:
                found[at] = entry
        return found


def _merge(into: Touched, more: Touched) -> None:
    for at, keys in more.items():
        if keys is None or into.get(at, keys) is None:
            into[at] = None
        else:
            mine = into.setdefault(at, set())
            if mine is not None:
                mine |= keys


def _thing(operation: Operation) -> str:
    verb = {Op.ADD_SERVICE: "add", Op.ADD_DEST: "add", Op.DELETE_SERVICE: "delete", Op.DELETE_DEST: "delete"}
    return f"{verb.get(operation.op, 'change')} {operation.key if operation.key is not None else 'the service'}"
