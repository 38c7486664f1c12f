"""The runner: everything that forks, waits for a disk or a mail server, or reads a file. Nothing of it in real time."""

import asyncio
import os
import time
from collections.abc import Callable
from typing import Final

from fastha.model.plan import RunnerPlan
from fastha.model.snapshot import RunnerSnapshot
from fastha.model.units import MS
from fastha.process.checkscripts import CheckScripts
from fastha.process.checkservices import CheckServices
from fastha.process.child import Child, run_child
from fastha.process.gate import Gate
from fastha.process.messages import (
    Message,
    ScriptDrop,
    ScriptOrder,
    ServiceOrder,
    Tell,
    Told,
    TrackerFile,
    TrackerProcess,
    TrackerScript,
)
from fastha.process.notifier import Notifier
from fastha.process.trackfiles import TrackFiles
from fastha.process.trackprocesses import TrackProcesses
from fastha.process.trackscripts import TrackScripts
from fastha.system import buffers
from fastha.system.fifo import Made
from fastha.system.scripts import Launcher

_PEERS_PATIENCE: Final = 3.0
"""Seconds we wait at the end for the others to say their last."""
_TELLING_PATIENCE: Final = 3.0
"""Seconds that what was told until then has at the end for its scripts to begin and, as long as it waits, to end."""
_MAIL_PATIENCE: Final = 1.0
_SCRIPTS_PATIENCE: Final = 1.0
"""Seconds that scripts have to end on SIGTERM when we leave."""
_POLL: Final = 0.02


class Runner:
    """The work of the runner process."""

    def __init__(self, child: Child[RunnerPlan]) -> None:
        self._child = child
        loop = child.loop
        self._launcher = Launcher(loop, child.log)
        # Checks and notifies apart: a flood of events must not delay the checks, nor slow checks the events.
        self._checks = Gate(self._launcher, RunnerPlan().script_limit)
        self._events = Gate(self._launcher, RunnerPlan().script_limit)
        self._scripts = TrackScripts(loop, self._checks, self._tell_script, child.log)
        self._files = TrackFiles(loop, self._tell_file, child.log)
        self._processes = TrackProcesses(loop, self._tell_process, child.log)
        self._orders = CheckScripts(loop, self._checks, lambda message: child.send("checker", message))
        self._services = CheckServices(loop, lambda message: child.send("checker", message))
        made = Made(os.path.join(child.run_dir, "fifos"))
        self._notifier = Notifier(
            loop, self._launcher, self._events, child.log, made, os.path.join(child.run_dir, "mail.spool")
        )
        self._confirmed: dict[str, list[int]] = {}
        self._leaving: asyncio.Task[None] | None = None

    def start(self, plan: RunnerPlan, resume: frozenset[str]) -> None:  # noqa: ARG002 - nothing of ours to resume
        """Begin."""
        buffers.ask("process", plan.process_monitor_buffer)
        self.reload(plan)

    def reload(self, plan: RunnerPlan) -> None:
        """Go over to `plan`."""
        self._checks.limit = self._events.limit = plan.script_limit
        self._notifier.adopt(plan)
        self._files.adopt(plan.track_files)
        self._processes.adopt(plan.track_processes)
        self._scripts.adopt(plan.track_scripts)

    def linked(self, peer: str) -> None:
        """A new vrrp process knows no tracker; a new checker no file, and nothing of the orders of the one before."""
        if peer == "vrrp":
            self._scripts.tell_all()
            self._processes.tell_all()
        else:
            self._orders.forget_all()
            self._services.forget_all()
        for name, value in self._files.values.items():
            self._child.send(peer, TrackerFile(name, value))

    def received(self, peer: str, message: Message) -> None:
        """An event to tell, or an order for a check script."""
        match message:
            case Tell(serial=serial):
                self._notifier.tell(message, lambda: self._confirm(peer, serial))
            case ScriptOrder():
                self._services.take(ScriptDrop(message.target))
                self._orders.take(message)
            case ServiceOrder():
                self._orders.take(ScriptDrop(message.target))
                self._services.take(message)
            case ScriptDrop():
                self._orders.take(message)
                self._services.take(message)
            case _:
                self._child.log("warning", f"{peer} sent {type(message).__name__}, which is not for me")

    def _confirm(self, peer: str, serial: int) -> None:
        """An event's scripts have been started: its sender may forget it. Several are told together."""
        if not self._confirmed:
            self._child.loop.call_soon(self._tell_confirmed)
        self._confirmed.setdefault(peer, []).append(serial)

    def _tell_confirmed(self) -> None:
        confirmed, self._confirmed = self._confirmed, {}
        for peer, serials in confirmed.items():
            self._child.send(peer, Told(tuple(serials)))

    def healthy(self) -> bool:
        """The loop answers: that is all there is."""
        return True

    def snapshot(self) -> RunnerSnapshot:
        counters = {
            "started": self._launcher.started,
            "running": len(self._launcher.runs),
            "checks_waiting": self._checks.waiting,
            "checks_skipped": self._scripts.skipped,
            "check_scripts": len(self._orders),
            "check_services": len(self._services),
            "services_asked": self._services.held,
            "services_running": self._services.running,
            "services_waiting": self._services.waiting,
            "latest_check_ms": self._checks.lateness.maximum // MS,
            "latest_service_ms": self._services.lateness.maximum // MS,
            "latest_notify_ms": self._events.lateness.maximum // MS,
            **self._orders.outcomes.counters(),
            **self._services.outcomes.counters(),
            **self._notifier.counters(),
            **self._child.lost(),
        }
        return RunnerSnapshot(
            scripts=tuple(script.snapshot() for script in self._scripts.scripts.values()),
            files=dict(self._files.values),
            processes=self._processes.snapshot(),
            counters=counters,
            script_lateness=self._checks.lateness.histogram(),
            service_lateness=self._services.histogram(),
        )

    # ------------------------------------------------------------------------------------- trackers

    def _tell_script(self, name: str, up: bool | None) -> None:
        self._child.send("vrrp", TrackerScript(name, up))

    def _tell_file(self, name: str, value: int) -> None:
        for peer in ("vrrp", "checker"):
            self._child.send(peer, TrackerFile(name, value))

    def _tell_process(self, name: str, up: bool) -> None:
        self._child.send("vrrp", TrackerProcess(name, up))

    # ------------------------------------------------------------------------------------------ end

    def release(self, plan: RunnerPlan, state: str) -> None:  # noqa: ARG002 - the kernel has nothing of ours
        """Nothing to do."""
        self._child.finish()

    def stop(self, release: bool) -> None:
        """Leave: first the trackers and checks, then, when the others have said their last, what is to be told."""
        self._scripts.close()
        self._files.close()
        self._processes.close()
        self._orders.forget_all()
        self._services.close()
        self._leaving = self._child.loop.create_task(self._leave(release))

    async def _leave(self, release: bool) -> None:
        child, notifier, launcher = self._child, self._notifier, self._launcher
        await _until(lambda: not (child.peer_alive("vrrp") or child.peer_alive("checker")), _PEERS_PATIENCE)
        notifier.hurry()
        if not await _until(lambda: notifier.idle, _TELLING_PATIENCE):
            child.log("warning", "notify scripts still run or wait: they are left to themselves")
        await notifier.close(_MAIL_PATIENCE, leave=not release)
        await _until(lambda: not any(run.terminated for run in launcher.runs), _SCRIPTS_PATIENCE)
        for run in launcher.runs:
            if run.terminated:
                run.kill()
        child.finish()


async def _until(condition: Callable[[], bool], patience: float) -> bool:
    """Wait at most `patience` seconds for `condition`; what it says at last."""
    end = time.monotonic() + patience
    while not condition() and time.monotonic() < end:  # noqa: ASYNC110 - conditions of several parts, for seconds, once
        await asyncio.sleep(_POLL)
    return condition()


if __name__ == "__main__":
    raise SystemExit(run_child("runner", RunnerPlan, Runner))
