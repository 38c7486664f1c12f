"""fastha's checker process without its supervisor: started, given Plans and asked by the benchmark itself."""

import os
import socket
import struct
import sys
import time
from pathlib import Path

from benchmarks.lab import Lab, LabError, family
from fastha.config.load import load
from fastha.model import codec
from fastha.model.plan import CheckerPlan
from fastha.model.snapshot import CheckerSnapshot
from fastha.process import datagram
from fastha.process.channel import pair
from fastha.process.messages import AskSnapshot, LogLine, Message, NewPlan, NoPeer, Ready, SnapshotPart
from fastha.system.host import SystemHost
from fastha.system.memfd import read_sealed, write_sealed

PATIENCE = 60.0


def plan_of(text: str, where: Path) -> CheckerPlan:
    """The checker's part of the Plan that a configuration says."""
    path = where / "checker.conf"
    path.write_text(text)
    loaded = load(str(path), SystemHost())
    if loaded.plan is None:
        raise LabError(f"the benchmark's configuration is refused: {loaded.refused[:3]}")
    return loaded.plan.checker


class CheckerAlone:
    """`PLANE_LOG` (see `checker_host`) is `operations`."""

    def __init__(self, lab: Lab) -> None:
        self._serial = 0
        self._control, theirs = pair()
        self._control.settimeout(PATIENCE)
        self._fds: list[int] = []
        self.operations = lab.path / "operations"
        self.lines: list[str] = []
        argv = ["env", f"PLANE_LOG={self.operations}", sys.executable, "-m", "benchmarks.checker_host"]
        argv += ["--control", str(theirs.fileno()), "--run-dir", str(lab.path / "run")]
        self.process = lab.start(lab.directors, argv, output=lab.path / "checker-output", fds=[theirs.fileno()])
        theirs.close()
        self._say(NoPeer("runner"))

    @property
    def pid(self) -> int:
        """Of the checker itself."""
        return family(self.process.pid)[-1]

    def close(self) -> None:
        self._control.close()
        for fd in self._fds:
            os.close(fd)

    def _say(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        socket.send_fds(self._control, [datagram.encode(message)], fds)

    def _hear(self, kind: type[Ready] | type[SnapshotPart]) -> Ready | SnapshotPart:
        while True:
            data, fds, _, _ = socket.recv_fds(self._control, datagram.MAX_DATAGRAM, 8)
            if not data:
                raise LabError("the checker has ended")
            message = datagram.decode(read_sealed(fds.pop(0)) if data == datagram.IN_MEMFD else data)
            self._fds += fds
            if isinstance(message, LogLine):
                self.lines.append(message.text)
            elif isinstance(message, kind):
                return message

    def give(self, plan: bytes) -> int:
        """Send a Plan; when it was sent, ns of CLOCK_MONOTONIC."""
        self._serial += 1
        fd = write_sealed("plan", plan)
        begun = time.monotonic_ns()
        self._say(NewPlan(self._serial), (fd,))
        os.close(fd)
        return begun

    def ready(self) -> None:
        """Until the last Plan is in force."""
        answer = self._hear(Ready)
        if isinstance(answer, Ready) and answer.error:
            raise LabError(f"the checker refuses: {answer.error}")

    def snapshot(self) -> CheckerSnapshot:
        self._say(AskSnapshot(self._serial))
        self._hear(SnapshotPart)
        return codec.decode(CheckerSnapshot, read_sealed(self._fds.pop()))


def last_operation(path: Path) -> tuple[int, int]:
    """How many operations a plane's log holds, and when the last one was (ns of CLOCK_MONOTONIC)."""
    with path.open("rb") as file:
        (count,) = struct.unpack("Q8x", file.read(16))
        file.seek(16 * count)
        return count, struct.unpack("QQ", file.read(16))[0] if count else 0


def memory(pid: int) -> tuple[float, float]:
    """Resident and proportional memory of a process, MB."""
    found = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return int(found["Rss"].split()[0]) / 1000, int(found["Pss"].split()[0]) / 1000


def encoded(plan: CheckerPlan) -> bytes:
    """As the supervisor sends it."""
    return codec.encode(plan, sparse=True)
