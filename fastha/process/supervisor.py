"""The supervisor: reads the configuration once, starts the children, keeps them running, ends in order.

It holds the pid files, the signals, the log and the control socket, and touches neither packets nor the load balancer.
"""

import asyncio
import os
import signal
import time
import traceback
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from fastha import __version__
from fastha.model import codec
from fastha.model.plan import CheckerPlan, Command, Plan, PlaneChoice, VrrpPlan
from fastha.model.snapshot import Snapshot
from fastha.model.units import Ns, S
from fastha.process import configure, heldjournal, orphans, recordings
from fastha.process.changes import changes
from fastha.process.channel import pair
from fastha.process.child import REFUSED
from fastha.process.children import ChildProcess
from fastha.process.control import ControlSocket
from fastha.process.dumps import Dumps, What
from fastha.process.join import SnapshotJoin, joined
from fastha.process.messages import LogLine, Message, NoPeer, Ready, Recorded, SnapshotPart, States
from fastha.process.outbox import merge_states
from fastha.process.parts import CHILDREN, parts_of
from fastha.process.place import Place
from fastha.process.program import FASTHA, Program
from fastha.process.reloadtime import ReloadTime
from fastha.process.resume import resumable, silent_at
from fastha.process.savedir import SaveDir
from fastha.system import procs
from fastha.system.log import Log
from fastha.system.pidfile import HeldError, PidFile
from fastha.system.proctitle import set_comm
from fastha.system.scripts import Launcher, Result
from fastha.system.sdnotify import Notifier

_LINKED: Final = (("vrrp", "runner"), ("checker", "runner"))
_TICK: Final = 1.0
_RELOAD_PATIENCE: Final = 120.0
"""Seconds a child may take to answer a reload before it is reported as unfinished."""
_RETIRE_PATIENCE: Final = 5.0
_RUNNER_PATIENCE: Final = 5.0
_JOURNALS: Final = {"vrrp": (heldjournal.NAME, VrrpPlan()), "checker": ("lvs.journal", CheckerPlan())}
"""Child -> its journal in the run directory, and a Plan that wants nothing."""
DUMPS: Final = {
    signal.SIGUSR1: What.DATA,
    signal.SIGUSR2: What.STATS,
    signal.SIGRTMAX - 1: What.STATS_CLEAR,
    signal.SIGRTMIN + 2: What.JSON,
}
"""keepalived's signals that ask for a dump."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says to the supervisor."""

    config: str
    run_dir: str | None = None
    """None: `place.DEFAULT_RUN_DIR`, or a directory below it: see `place.run_dir_of`."""
    vrrp: bool = True
    """False: `--check`, no vrrp process."""
    checker: bool = True
    """False: `--vrrp`, no checker."""
    plane: PlaneChoice | None = None
    namespace: str | None = None
    """The network namespace named on the command line."""
    umask: int | None = None
    """Instead of the configuration's."""
    detail: bool = False
    program: Program = FASTHA
    """The name we were called by."""
    ignore_sigint: bool = False
    dump: bool = False
    """Write the data dump into the log once everything runs."""
    release_vrrp: bool = True
    release_ipvs: bool = True
    respawn: bool = True
    pid_files: dict[str, str] = field(default_factory=dict)
    """Process (`supervisor`, `vrrp`, ...) -> path, where the command line names one."""
    package: str = "fastha.process"
    """Where the children's modules are."""


class Supervisor:
    """One daemon. `read` reads the configuration, and is called again for every reload, in a thread."""

    def __init__(
        self, options: Options, read: Callable[[], configure.Read], loop: asyncio.AbstractEventLoop, log: Log
    ) -> None:
        self._options = options
        self._file = configure.ConfigurationFile(read, self.log)
        self._loop = loop
        self._log = log
        self._place = self._place_of(Plan())
        self._notifier = Notifier(os.environ)
        self._ending = asyncio.Event()
        self._exit_code = 0
        self._plan = Plan()
        self._note = ""
        self._states = States()
        self._children: dict[str, ChildProcess] = {}
        self._wanted: set[str] = set()
        """The children that the Plan in force needs."""
        self._join = SnapshotJoin()
        self._dumps = Dumps(self._ask_children, lambda: self._plan, self.log)
        self._save_dir = SaveDir(self._ask_children, lambda name: self._children[name].pid, self.log)
        self._reload_time = ReloadTime(self.log)
        self._released_at = -1
        """The count of restarts of the vrrp process at which what it held was last released."""
        self._releasing: asyncio.Task[bool] | None = None
        self._old_runner: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[None] | None = None
        self._reload_wanted = False
        self._reloading: asyncio.Task[None] | None = None
        self._ready_told = False
        self._control: ControlSocket | None = None

    # ------------------------------------------------------------------------------------------- life

    async def run(self) -> int:
        """Live until told to end; the exit code."""
        self._signals()
        try:
            first = self._file.read()
        except OSError as error:
            self.log("error", f"cannot start: {error}")
            return 1
        if first.plan is None:
            self.log("error", f"{self._options.config}: no configuration to run with")
            return self._no_plan()
        self._place = self._place_of(first.plan)
        self._adopt(first.plan, first)
        self._save_dir.configuration(first.plan, first.canonical)
        try:
            pid_file = self._enter()
        except HeldError as error:
            self.log("error", f"daemon is {error}")
            return 0
        except PermissionError as error:
            self.log("error", f"{error}; it needs root, or --run-dir with a directory of one's own")
            return 4
        except OSError as error:
            self.log("error", str(error))
            return 1
        try:
            ticking = self._essential(self._tick())
            await self._until_ending(self._start())
            ticking.cancel()
            await self._leave()
        finally:
            pid_file.remove()
        return self._exit_code

    def _place_of(self, plan: Plan) -> Place:
        options = self._options
        return Place(
            options.program,
            plan.supervisor,
            run_dir=options.run_dir,
            pid_files=options.pid_files,
            namespace=options.namespace,
        )

    def _no_plan(self) -> int:
        """keepalived's exit code: the configuration is refused, or there is none."""
        return 2 if os.path.exists(self._options.config) else 6

    def end(self, exit_code: int = 0) -> None:
        """Begin the end."""
        if not self._ending.is_set():
            self._exit_code = exit_code
            self._ending.set()

    def log(self, level: str, text: str) -> None:
        """A line of the supervisor's own."""
        self._write(self._place.ident(), os.getpid(), level, text, None)

    def _write(self, ident: str, pid: int, level: str, text: str, wall: float | None) -> None:
        if level != "debug" or self._options.detail:
            self._log.write(ident, pid, level, text, wall)

    def _signals(self) -> None:
        self._loop.add_signal_handler(signal.SIGTERM, self._told_to_end, signal.SIGTERM)
        if self._options.ignore_sigint:
            self._loop.add_signal_handler(signal.SIGINT, self.log, "debug", "SIGINT is not for us")
        else:
            self._loop.add_signal_handler(signal.SIGINT, self._told_to_end, signal.SIGINT)
        self._loop.add_signal_handler(signal.SIGHUP, self._told_to_reload)
        for asking, what in DUMPS.items():
            self._loop.add_signal_handler(asking, self._dumps.want, what)

    def _told_to_end(self, number: signal.Signals) -> None:
        self.log("notice", f"stopping ({number.name})")
        self.end()

    def _told_to_reload(self) -> None:
        self.log("notice", f"reloading {self._options.config}")
        self._reload_soon()

    def _enter(self) -> PidFile:
        """The place we run in; the network namespace was entered as the file was read."""
        settings, place = self._plan.supervisor, self._place
        pid_file = place.enter(self.log)
        set_comm(settings.process_name or self._options.program.name)
        os.umask(settings.umask if self._options.umask is None else self._options.umask)
        os.chdir("/")
        for name in CHILDREN:
            command = place.command(self._options.package, name)
            self._children[name] = ChildProcess(name, self._loop, self, command, place.pid_path(name))
        return pid_file

    async def _until_ending(self, start: Coroutine[Any, Any, None]) -> None:
        self._starting = self._essential(start)
        await self._ending.wait()
        self._starting.cancel()

    def _essential(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task without which we do not go on: when it fails, we end in order."""
        task = self._loop.create_task(work)
        task.add_done_callback(self._essential_ended)
        return task

    def _essential_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (problem := task.exception()) is not None:
            self.log("error", "".join(traceback.format_exception(problem)))
            self.end(70)

    async def _start(self) -> None:
        settings = self._plan.supervisor
        self.log("notice", f"fastha {__version__} starts with {self._options.config}")
        await self._open_control()
        if settings.startup_script is not None:
            await self._run_script("startup_script", settings.startup_script, settings.startup_script_timeout)
        pid_files = {name: self._place.pid_path(name) for name in CHILDREN}
        states, at, self._old_runner = await orphans.retire(self._place.run_dir, pid_files, _RETIRE_PATIENCE, self.log)
        resume = resumable(states, at, time.monotonic_ns())
        parts = self._parts(self._plan)
        if not parts:
            self.log("warning", "nothing to do: the configuration has no vrrp_instance and no virtual_server")
            self._notifier.ready("nothing to do")
        self._wanted = set(parts)
        await self._release_unneeded()
        for name, part in parts.items():
            self._children[name].start(part, resume if name == "vrrp" else ())

    async def _release_unneeded(self) -> None:
        """Journals of processes that this configuration has no need of: what they name is in the kernel still."""
        for name, (journal, nothing) in _JOURNALS.items():
            if name not in self._wanted and journal in os.listdir(self._place.run_dir):
                child = self._children[name]
                child.plan, child.left = codec.encode(nothing), True
                await child.stop(True, self._plan.supervisor.child_wait_time / S)

    async def _open_control(self) -> None:
        path = os.path.join(self._place.run_dir, "control.sock")
        handlers = {"status": self._op_status, "reload": self._op_reload, "version": self._op_version}
        self._control = ControlSocket(path, handlers, self.log)
        try:
            await self._control.open()
        except OSError as error:
            self.log("warning", f"no control socket: {path}: {error.strerror}")
            self._control = None

    async def _leave(self) -> None:
        self._notifier.stopping()
        if self._reloading is not None:
            self._reloading.cancel()
        settings = self._plan.supervisor
        patience = settings.child_wait_time / S
        await asyncio.gather(
            self._children["vrrp"].stop(self._options.release_vrrp, patience),
            self._children["checker"].stop(self._options.release_ipvs, patience),
        )
        # Last: it runs what the others told it on their way out.
        await self._children["runner"].stop(True, max(patience, _RUNNER_PATIENCE))
        if settings.shutdown_script is not None:
            await self._run_script("shutdown_script", settings.shutdown_script, settings.shutdown_script_timeout)
        if self._control is not None:
            await self._control.close()
        self.log("notice", "stopped")

    async def _run_script(self, word: str, command: Command, limit: Ns) -> None:
        done: asyncio.Future[Result] = self._loop.create_future()
        Launcher(self._loop, self.log).start(command, done.set_result, timeout=limit)
        result = await done
        if not result.success:
            output = f": {result.output}" if result.output else ""
            self.log("warning", f"{word} {command.argv[0]}: {result.text()}{output}")

    # -------------------------------------------------------------------------------------- watchdog

    async def _tick(self) -> None:
        serial = 0
        before = time.monotonic()
        manager_told = 0.0
        while True:
            patience = self._plan.supervisor.watchdog / S
            pause = min(_TICK, patience / 4)
            await asyncio.sleep(pause)
            now = time.monotonic()
            serial += 1
            for child in self._children.values():
                if now - before > pause + patience / 2:
                    child.excuse()
                child.watch(serial, patience)
            before = now
            self._release_if_silent()
            if self._reload_time.due(time.time()):
                self.log("notice", f"reloading {self._options.config} (the time in reload_time_file has come)")
                self._reload_soon()
            if os.getpid() == 1 and self._starting is not None and self._starting.done():
                self._reap_strangers()
            period = self._notifier.watchdog_period
            if period is not None and now - manager_told >= period - _TICK:
                manager_told = now
                self._notifier.alive()

    def _release_if_silent(self) -> None:
        """A vrrp process that dies again and again: once others must have become master its addresses go, and with them
        what may be resumed. Once for each of its deaths."""
        vrrp = self._children["vrrp"]
        if vrrp.state != "waiting" or self._released_at == vrrp.restarts or self._ending.is_set():
            return
        at = silent_at(self._states, vrrp.heard_at)
        if at is not None and time.monotonic_ns() >= at:
            self._released_at = vrrp.restarts
            self.log("error", "no vrrp process for longer than a silent master is believed: releasing its addresses")
            patience = self._plan.supervisor.child_wait_time / S
            self._releasing = self._loop.create_task(vrrp.release("FAULT", patience))

    def _reap_strangers(self) -> None:
        """As process 1 of a container we inherit what scripts leave behind, and nobody else would take its end."""
        ours = {child.pid for child in self._children.values()}
        with suppress(ChildProcessError):
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                if ended.si_pid in ours:
                    return  # the child's own watcher is about to see it
                os.waitpid(ended.si_pid, 0)

    # -------------------------------------------------------------------------------------- children

    def child_started(self, child: ChildProcess) -> None:
        """Link it to its peers that are there."""
        self.log("info", f"{child.name} [{child.pid}] started")
        for one, other in _LINKED:
            if child.name not in (one, other):
                continue
            if self._children[one].alive and self._children[other].alive:
                left, right = pair()
                self._children[one].link(other, left)
                self._children[other].link(one, right)
        self._tell_absence()

    def _tell_absence(self) -> None:
        """Without this, what is meant for a runner that is not needed would pile up."""
        for one, other in _LINKED:
            if other not in self._wanted and self._children[one].alive:
                self._children[one].send(NoPeer(other))

    def child_said(self, child: ChildProcess, message: Message, fds: tuple[int, ...]) -> None:
        """Take what a child says."""
        match message:
            case LogLine(level, text, wall):
                self._write(self._place.ident(child.name), child.pid or 0, level, text, wall)
            case Recorded():
                recordings.keep(message, self.log)
            case States():
                self._states = merge_states(self._states, message)
                self._children["checker"].send(message)
            case SnapshotPart(serial):
                self._join.answered(child.name, serial, fds)
                return
            case Ready(_, error):
                if error:
                    self.log("error", f"{child.name}: {error}")
                elif child.name == "checker":
                    child.send(self._states)
                self._tell_ready()
            case _:
                self.log("warning", f"{child.name} sent {type(message).__name__}, which is not for me")
        for fd in fds:
            os.close(fd)

    def release_failed(self, child: ChildProcess, state: str) -> None:
        """Addresses that nobody speaks for must not stay; services only lose what they gain by their checks."""
        if child.name != "vrrp":
            return
        try:
            from fastha.process import lastresort  # noqa: PLC0415 - it brings rtnetlink, hardly ever needed here

            lastresort.release(self._place.run_dir, self._plan.vrrp, self.log, static=state == "STOP")
        except Exception as problem:  # noqa: BLE001 - there is nothing left to try
            self.log("error", f"nor could the supervisor remove it: {type(problem).__name__}: {problem}")

    def child_ended(self, child: ChildProcess, exit_code: int | None) -> None:
        """Start it again, or end with it."""
        if child.name == "runner" and child.last_pid is not None:
            # As keepalived's scripts, which get SIGTERM when their parent dies.
            procs.end_scripts(child.last_pid)
        if self._ending.is_set():
            return
        if exit_code is not None and exit_code > REFUSED:
            self.log("error", f"{child.name} cannot run here: stopping")
            self.end(exit_code - REFUSED)
        elif not self._options.respawn:
            self.log("error", f"{child.name} ended and is not to be started again: stopping")
            self.end(1)
        elif child.name == "vrrp" and exit_code != 0:
            child.restart(lambda: resumable(self._states, child.heard_at, time.monotonic_ns()))
            if (at := silent_at(self._states, child.heard_at)) is not None:
                # on the dot: a restart a moment later would begin anew, and say nothing of what is lost
                self._loop.call_later(max(0, at - time.monotonic_ns()) / S + 0.001, self._release_if_silent)
        else:
            child.restart(tuple)

    def _tell_ready(self) -> None:
        wanted = [
            child for child in self._children.values() if child.state not in ("not needed", "stopped", "stopping")
        ]
        if self._ready_told or self._ending.is_set() or not wanted:
            return
        if any(child.state != "running" for child in wanted):
            return
        self._ready_told = True
        if self._options.dump:
            self._dumps.want(What.LOG)
        self.log("notice", f"running: {', '.join(child.name for child in wanted)}")
        self._notifier.ready(f"running with {self._options.config}")

    # ----------------------------------------------------------------------------------------- reload

    def _reload_soon(self) -> None:
        self._reload_wanted = True
        if self._reloading is None or self._reloading.done():
            self._reloading = self._loop.create_task(self._reload_all())

    async def _reload_all(self) -> None:
        """Reload; what asks for one meanwhile, or during the start, is merged into one more."""
        if self._starting is not None:
            await asyncio.wait({self._starting})
        while self._reload_wanted:
            self._reload_wanted = False
            self._notifier.reloading()
            self._note = await self._reload_once()
            if self._note:
                self.log("error", self._note)
            else:
                self.log("notice", "reload complete")
            self._notifier.ready(self._note or f"running with {self._options.config}")

    async def _reload_once(self) -> str:
        """What became of it: `` or what is wrong."""
        try:
            usual_sign = self._place.beside_pid_file("keepalived.reload")
            read = await self._file.read_again(self._plan.supervisor, usual_sign)
        except Exception as problem:  # noqa: BLE001 - a mistake of ours in reading must not cost what runs
            self.log("error", "".join(traceback.format_exception(problem)))
            return f"the reload failed, the old configuration stays: {problem!r}"
        why = self._file.refusal(read)
        if why or read.plan is None:
            return f"the reload was refused, the old configuration stays: {why}"
        old = self._plan.supervisor
        for word in configure.unchangeable(old, read.plan.supervisor):
            self.log("warning", f"{word} cannot be changed by a reload; the old value stays")
        settings = replace(
            read.plan.supervisor,
            net_namespace=old.net_namespace,
            instance=old.instance,
            use_pid_dir=old.use_pid_dir,
        )
        plan = replace(read.plan, supervisor=settings)
        for line in changes(self._plan, plan) or ["no instance, virtual server or script is otherwise than before"]:
            self.log("notice", f"reload: {line}")
        await self._save_dir.before_reload(self._plan)
        self._adopt(plan, read)
        self._save_dir.configuration(plan, read.canonical)
        became = await self._go_over(self._parts(self._plan))
        await self._save_dir.after_reload(plan)
        return became

    async def _go_over(self, parts: dict[str, bytes]) -> str:
        """Bring the children to `parts`; what they refused."""
        self._wanted = set(parts)
        answers: dict[str, asyncio.Future[str]] = {}
        leaving = []
        # The runner first: the others' new trackers and scripts are then known to it.
        for name in reversed(CHILDREN):
            child = self._children[name]
            part = parts.get(name)
            if part is None:
                if child.state not in ("not needed", "stopped"):
                    leaving.append(self._let_go(child))
            elif child.state in {"waiting", "releasing"}:
                child.plan = part
            elif not child.alive:
                child.start(part)
                if child.in_force is not None:
                    answers[name] = child.in_force
            elif child.plan != part or (name == "vrrp" and self._plan.vrrp.fifo_write_states_on_reload):
                answers[name] = child.reload(part)
                if name == "runner":
                    # What the others tell of a new service must find its scripts known.
                    await asyncio.wait({answers[name]}, timeout=_RUNNER_PATIENCE)
        await asyncio.gather(*leaving)
        self._tell_absence()
        if answers:
            await asyncio.wait(answers.values(), timeout=_RELOAD_PATIENCE)
        problems = [
            f"{name}: {answer.result() if answer.done() else 'has not answered yet'}"
            for name, answer in answers.items()
            if not answer.done() or answer.result()
        ]
        return "; ".join(problems)

    async def _let_go(self, child: ChildProcess) -> None:
        """A child that a reload needs no more. Virtual routers that left the file are told of as they would be beside
        others that stay: deleted, since stopped means that the daemon ends."""
        patience = self._plan.supervisor.child_wait_time / S
        if child.name == "vrrp" and child.state == "running":
            await asyncio.wait({child.reload(codec.encode(self._plan.vrrp, sparse=True))}, timeout=patience)
        await child.stop(True, patience)

    def _adopt(self, plan: Plan, read: configure.Read) -> None:
        self._plan = plan
        self._file.adopt(read)
        if self._children:
            set_comm(plan.supervisor.process_name or self._options.program.name)
        self._reload_time.follow(plan.supervisor.reload_time_file, repeat=plan.supervisor.reload_repeat)

    def _parts(self, plan: Plan) -> dict[str, bytes]:
        options = self._options
        return parts_of(plan, vrrp=options.vrrp, checker=options.checker, plane=options.plane)

    # ---------------------------------------------------------------------------------------- control

    async def _op_status(self, _request: dict[str, Any]) -> dict[str, Any]:
        patience = self._plan.supervisor.control_timeout / S
        parts = await self._join.ask(self._children.values(), patience)
        return {"snapshot": joined(self._head(), parts)}

    async def _ask_children(self, names: tuple[str, ...]) -> dict[str, bytes]:
        """For the dumps: the parts of these."""
        children = [child for name, child in self._children.items() if name in names and child.state == "running"]
        if not children:
            return {}
        parts = await self._join.ask(children, self._plan.supervisor.control_timeout / S)
        for child in children:
            if child.name not in parts:
                self.log("warning", f"{child.name} does not say what is to be dumped of it")
        return parts

    def _head(self) -> Snapshot:
        """The supervisor's own part."""
        return Snapshot(
            version=__version__,
            wall=time.time(),
            config=self._options.config,
            config_loaded_wall=self._file.adopted_wall,
            config_note=self._note,
            processes=tuple(child.snapshot() for child in self._children.values()),
        )

    async def _op_reload(self, _request: dict[str, Any]) -> dict[str, Any]:
        self.log("notice", f"reloading {self._options.config} (asked through the control socket)")
        self._reload_soon()
        if self._reloading is not None:
            with suppress(asyncio.CancelledError):
                await asyncio.shield(self._reloading)
        return {"note": self._note}

    async def _op_version(self, _request: dict[str, Any]) -> dict[str, Any]:
        return {"version": __version__, "pid": os.getpid()}
