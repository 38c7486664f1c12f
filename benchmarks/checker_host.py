"""A checker process whose plane only notes when it was told to change something, as the shim does for keepalived.

`python -m benchmarks.checker_host --control FD`, with $PLANE_LOG naming the file: how many operations, then for each
the time (ns of CLOCK_MONOTONIC) and its kind, 64 bits each.
"""

import mmap
import os
import struct
import sys
import time

from benchmarks.bench_lvs import TablePlane
from fastha.lvs.reconcile import execute
from fastha.model.plan import CheckerPlan, PlaneChoice
from fastha.model.table import Operation, Refusal, Table
from fastha.process import checker
from fastha.process.child import run_child

OPERATIONS = 1_000_000


class NotedPlane(TablePlane):
    """See the module's text."""

    def __init__(self, path: str) -> None:
        super().__init__()
        size = 16 * (OPERATIONS + 1)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.ftruncate(file, size)
        self._log = mmap.mmap(file, size)
        os.close(file)

    def read(self) -> Table:
        return self.table

    def apply(self, operations: list[Operation]) -> list[Refusal]:
        for operation in operations:
            self.writes += 1
            struct.pack_into("QQ", self._log, 16 * self.writes, time.monotonic_ns(), operation.op)
            struct.pack_into("Q", self._log, 0, self.writes)
            execute(self.table, operation)
        return []


def open_noted(_choice: PlaneChoice, _plan: CheckerPlan) -> NotedPlane:
    return NotedPlane(os.environ["PLANE_LOG"])


if __name__ == "__main__":
    vars(checker)["open_plane"] = open_noted
    sys.exit(run_child("checker", CheckerPlan, checker.CheckerWork))
