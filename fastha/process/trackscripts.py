"""vrrp_script: run periodically, counted by rise and fall, the result told to the vrrp process."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from fastha.model.plan import TrackScript
from fastha.model.snapshot import ScriptSnapshot
from fastha.model.units import Ns, S
from fastha.process.gate import Gate, Ticket
from fastha.system.scripts import Result
from fastha.track.scripts import ScriptCounter


class TrackedScript:
    """One vrrp_script."""

    def __init__(self, plan: TrackScript, owner: "TrackScripts") -> None:
        self.plan = plan
        self.counter = ScriptCounter(plan.rise, plan.fall)
        self._owner = owner
        self._due: Ns = time.monotonic_ns()
        self._timer: asyncio.TimerHandle | None = None
        self._ticket: Ticket | None = None
        self._last: Result | None = None
        self._last_wall = 0.0
        self._lateness: Ns = 0
        self._start()

    def _start(self) -> None:
        """A run is due now; the one after it follows one interval later, whatever this one does."""
        owner, plan = self._owner, self.plan
        if self._ticket is not None:
            owner.log("notice", f"Script `{plan.name}` is still running: this run is skipped", f"skip {plan.name}")
            owner.skipped += 1
        else:
            self._ticket = owner.gate.submit(Ticket(plan.command, self._due, self._ended, timeout=plan.timeout))
        now = time.monotonic_ns()
        self._due += plan.interval
        if self._due < now:
            # We were away (suspended, overloaded): go on from now, without a burst.
            self._due = now + plan.interval
        self._timer = owner.loop.call_later((self._due - now) / S, self._start)

    def _ended(self, result: Result) -> None:
        assert self._ticket is not None
        self._lateness = self._ticket.lateness
        self._ticket = None
        before, self._last = self._last, result
        self._last_wall = time.time()
        name = self.plan.name
        if before is None or before.status != result.status:
            self._owner.log("info", f"Script `{name}` now returning {result.status}", f"returning {name}")
        changed = self.counter.result(result.success)
        if changed is not None:
            output = f": {result.output}" if result.output and not changed else ""
            self._owner.log("info", f"VRRP_Script({name}) {_words(result)}{output}", f"result {name}")
            self._owner.told(name, changed)

    def adopt(self, plan: TrackScript) -> None:
        """The same command with other numbers: the result stays, the next run comes as the new interval says."""
        if (plan.rise, plan.fall) != (self.plan.rise, self.plan.fall):
            counter = ScriptCounter(plan.rise, plan.fall)
            counter.up = self.counter.up
            self.counter = counter
        if plan.interval != self.plan.interval and self._timer is not None:
            self._timer.cancel()
            now = time.monotonic_ns()
            self._due = max(now, self._due - self.plan.interval + plan.interval)
            self._timer = self._owner.loop.call_later((self._due - now) / S, self._start)
        self.plan = plan

    def close(self) -> None:
        """No more runs; one in progress is ended."""
        if self._timer is not None:
            self._timer.cancel()
        if self._ticket is not None:
            self._owner.gate.cancel(self._ticket)

    def snapshot(self) -> ScriptSnapshot:
        up = self.counter.up
        return ScriptSnapshot(
            name=self.plan.name,
            state="unknown" if up is None else "up" if up else "down",
            result=self._last.text() if self._last is not None else "",
            last_wall=self._last_wall,
            running=self._ticket is not None and self._ticket.run is not None,
            lateness=self._lateness,
            against=self.counter.against,
        )


class TrackScripts:
    """All of them. `tell(name, up)` is called for each changed result."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        gate: Gate,
        tell: Callable[[str, bool | None], None],
        log: Callable[[str, str, str], None],
    ) -> None:
        self.loop = loop
        self.gate = gate
        self.told = tell
        self.log = log
        self.skipped = 0
        self.scripts: dict[str, TrackedScript] = {}

    def adopt(self, plans: tuple[TrackScript, ...]) -> None:
        """Go over to these. A script whose command and user did not change keeps its result and a run in progress."""
        wanted = {plan.name: plan for plan in plans}
        for name, script in list(self.scripts.items()):
            if name not in wanted or wanted[name].command != script.plan.command:
                script.close()
                del self.scripts[name]
        for name, plan in wanted.items():
            if name in self.scripts:
                self.scripts[name].adopt(plan)
            else:
                self.scripts[name] = TrackedScript(plan, self)

    def tell_all(self) -> None:
        """Tell every result that is known."""
        for name, script in self.scripts.items():
            self.told(name, script.counter.up)

    def close(self) -> None:
        """No more runs."""
        with suppress(KeyError):
            while True:
                self.scripts.popitem()[1].close()


def _words(result: Result) -> str:
    """keepalived's words."""
    if result.error:
        return f"failed (cannot be run: {result.error})"
    if result.timed_out:
        return "timed_out"
    if result.signal:
        return f"failed (due to signal {result.signal})"
    return f"failed (exited with status {result.status})" if result.status else "succeeded"
