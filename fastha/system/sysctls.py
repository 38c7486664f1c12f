"""Settings under /proc/sys/net that are ours for a while and are then as they were.

What they were is journalled before the first write, so that a process that is killed leaves the next one able to put
it right. Written at set-up and at the end only: /proc is no place to go at a failover.
"""

import contextlib
import json
import os
from pathlib import Path
from typing import Final

NET: Final = Path("/proc/sys/net")


class Sysctls:
    """`journal`: the file that remembers. Names are relative to /proc/sys/net: `ipv4/conf/eth0/rp_filter`."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._before: dict[str, str] = {}
        self._ours: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError):
            self._before = {str(name): str(value) for name, value in json.loads(journal.read_text()).items()}

    def read(self, name: str) -> str | None:
        """What it is now; None: there is no such."""
        try:
            return (NET / name).read_text().strip()
        except OSError:
            return None

    def original(self, name: str) -> str | None:
        """What it was before it was ours."""
        return self._before.get(name, self.read(name))

    def once(self, name: str, value: str) -> str | None:
        """Set it for good: the interface is of our own making. What went wrong, in words."""
        try:
            (NET / name).write_text(value)
        except OSError as error:
            return f"cannot set net/{name} to {value}: {error.strerror}"
        return None

    def hold(self, wanted: dict[str, str]) -> list[str]:
        """These, and no others, are ours from now on; what was and is no longer wanted is put back. What went wrong."""
        for name in [name for name in self._before if name not in wanted]:
            self._put_back(name)
        for name in wanted:
            if name not in self._before and (now := self.read(name)) is not None:
                self._before[name] = now
        problems = self._remember()
        for name, value in wanted.items():
            if name in self._before and self.read(name) != value and (problem := self.once(name, value)):
                problems.append(problem)
        self._ours = dict(wanted)
        return problems

    def release(self) -> list[str]:
        """Everything as it was."""
        return self.hold({})

    def _put_back(self, name: str) -> None:
        value, ours = self._before.pop(name), self._ours.pop(name, None)
        now = self.read(name)
        if now is not None and now in {ours or now}:  # somebody else may have set it meanwhile
            self.once(name, value)

    def _remember(self) -> list[str]:
        try:
            if not self._before:
                self._journal.unlink(missing_ok=True)
                return []
            self._journal.parent.mkdir(parents=True, exist_ok=True)
            beside = self._journal.with_suffix(".new")
            beside.write_text(json.dumps(self._before))
            os.replace(beside, self._journal)
        except OSError as error:
            return [f"cannot remember settings in {self._journal}: {error.strerror}"]
        return []
