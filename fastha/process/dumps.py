"""The dump files that keepalived's signals ask for: `export.keepalived` says what is in them, this where they go.

Files go to $TMPDIR when it is an absolute directory, else to /tmp. Each is written beside its place and renamed, so
that a reader sees a whole one; it is made anew, so that nobody's symbolic link is followed. Rendering and writing
happen in a thread: a slow disk holds up nothing.
"""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final

from fastha.export.keepalived import checker, definitions, stats, vrrp
from fastha.model import codec
from fastha.model.plan import Plan
from fastha.model.snapshot import CheckerSnapshot, RunnerSnapshot, VrrpSnapshot

Ask = Callable[[tuple[str, ...]], Awaitable[dict[str, bytes]]]
"""Asks these children for their parts of the snapshot (JSON); those that answered."""


class What(StrEnum):
    """What to dump."""

    DATA = "data"
    STATS = "statistics"
    STATS_CLEAR = "statistics, and clear them"
    JSON = "JSON"
    LOG = "data, into the log"


def directory(tmpdir: str | None) -> str:
    """Where dumps go; `tmpdir` is $TMPDIR."""
    if tmpdir and os.path.isabs(tmpdir) and os.path.isdir(tmpdir):
        return tmpdir
    return "/tmp"  # noqa: S108 - keepalived's place


def write(path: str, content: bytes) -> None:
    """Put a file there, whole, mode 0666 less umask. OSError when that cannot be done."""
    umask = os.umask(0o077)
    os.umask(umask)
    fd, new = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=os.path.dirname(path) or ".")
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, 0o666 & ~umask)
            file.write(content)
        os.rename(new, path)
    except BaseException:
        os.unlink(new)
        raise


def data(plan: Plan, parts: dict[str, bytes]) -> dict[str, str]:
    """The data dumps of the children that answered, by what is put into the name of the file."""
    texts = {}
    running = _vrrp_part(parts)
    if running is not None:
        texts[""] = vrrp.render_data(plan, running, _runner_part(parts))
    if "checker" in parts:
        texts["_check"] = checker.render_check(plan, codec.decode(CheckerSnapshot, parts["checker"]))
    return texts


def _vrrp_part(parts: dict[str, bytes]) -> VrrpSnapshot | None:
    return codec.decode(VrrpSnapshot, parts["vrrp"]) if "vrrp" in parts else None


def _runner_part(parts: dict[str, bytes]) -> RunnerSnapshot | None:
    return codec.decode(RunnerSnapshot, parts["runner"]) if "runner" in parts else None


_CONCERNED: Final = {
    What.DATA: ("vrrp", "runner", "checker"),
    What.LOG: ("vrrp", "runner", "checker"),
    What.STATS: ("vrrp",),
    What.STATS_CLEAR: ("vrrp",),
    What.JSON: ("vrrp", "runner"),
}
"""The children whose state is in it."""


class Dumps:
    """Writes dumps one after the other; one that is asked for again before it began is written once. `plan` gives the
    Plan in force."""

    def __init__(self, ask: Ask, plan: Callable[[], Plan], log: Callable[[str, str], None]) -> None:
        self._ask = ask
        self._plan = plan
        self._log = log
        self._wanted: dict[What, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._baseline: dict[str, dict[str, int]] = {}
        """The counters as they were when they were cleared."""

    def want(self, what: What) -> None:
        """Write it soon."""
        self._wanted[what] = None
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self._wanted:
            what = next(iter(self._wanted))
            del self._wanted[what]
            try:
                await self._dump(what)
            except Exception as problem:  # noqa: BLE001 - a dump must never cost the daemon
                self._log("error", f"cannot dump {what}: {problem}")

    async def _dump(self, what: What) -> None:
        parts = await self._ask(_CONCERNED[what])
        await asyncio.to_thread(self._write_all, what, self._plan(), parts)

    # ------------------------------------------------------------------------------ in the thread

    def _write_all(self, what: What, plan: Plan, parts: dict[str, bytes]) -> None:
        own = plan.supervisor
        where = directory(os.environ.get("TMPDIR"))
        running, runner = _vrrp_part(parts), _runner_part(parts)
        match what:
            case What.DATA | What.LOG:
                texts = {"_parent": definitions.render_parent(plan), **data(plan, parts)}
                for process, text in texts.items():
                    if what is What.LOG:
                        self._log("info", text)
                    else:
                        self._write(self._state_path(plan, where, process), text)
            case What.JSON:
                if running is not None and running.instances:
                    content = stats.render_json(plan, running, runner, self._baseline, own.json_version)
                    self._write(os.path.join(where, "keepalived.json"), content)
            case What.STATS | What.STATS_CLEAR:
                if running is not None:
                    self._write(os.path.join(where, "keepalived.stats"), stats.render_stats(running, self._baseline))
                    if what is What.STATS_CLEAR:
                        self._baseline = {one.name: dict(one.stats) for one in running.instances}

    @staticmethod
    def _state_path(plan: Plan, where: str, process: str) -> str:
        """`keepalived.data` and its kin: state_dump_file renames it, data_use_instance adds namespace and instance."""
        own = plan.supervisor
        asked = own.state_dump_file or "keepalived.data"
        if asked.endswith("/"):
            asked += "keepalived.data"
        if not os.path.isabs(asked):
            asked = os.path.join(where, os.path.basename(asked))
        stem, extension = os.path.splitext(asked)
        names = "_".join(name for name in (own.net_namespace, own.instance) if name) if own.data_use_instance else ""
        return f"{stem}{process}{f'.{names}' if names else ''}{extension}"

    def _write(self, path: str, content: str | bytes) -> None:
        data = content if isinstance(content, bytes) else content.encode(errors="surrogateescape")
        try:
            write(path, data)
        except OSError as error:
            self._log("error", f"cannot write {path}: {error.strerror}")
