"""The vrrp process: the core's decisions, the advert engine, rtnetlink and the other processes, wired together.

    engine, rtnetlink, runner, supervisor --events--> core --actions--> engine, addresses, runner, supervisor

Everything happens in turns of the loop. A turn hands events to the core and does what it asks for in order, with one
exception: addresses wait for the end of the turn, so that a failover of a thousand instances is one netlink batch;
announcements wait for the addresses, and what is logged or told for those. That the core lives shows in two things,
given from here only: the engine's lease and the answer to the watchdog.
"""

import os
import resource
import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from fastha._vrrp import AdvertEngine
from fastha.model.plan import ProcessSettings, Recording, VrrpInstance, VrrpPlan
from fastha.model.snapshot import LinkSnapshot, VrrpSnapshot
from fastha.model.units import MS, Ns, S
from fastha.process import messages
from fastha.process.announcements import Announcements
from fastha.process.child import Child, Refused, run_child
from fastha.process.machine import Machine
from fastha.process.vrrp_mail import Mails
from fastha.system import buffers, clock, realtime
from fastha.system.advert_sockets import AdvertSockets
from fastha.system.proctitle import set_comm
from fastha.system.raising import Raising
from fastha.system.wanted import STATIC
from fastha.vrrp import actions, events
from fastha.vrrp.core import Core
from fastha.vrrp.orders import SendFailed
from fastha.vrrp.recording import RecordingCore

if TYPE_CHECKING:
    import asyncio

BEAT: Final = 0.25
"""Seconds between renewals of the engine's lease when nothing else happens; the lease is 1 s at least."""
SILENT_ENGINE: Final = 2 * S
"""An engine that has made no turn for so long hangs; it makes four a second."""
UNKNOWN_EVERY: Final = 5 * S
FIT_AGAIN: Final = S
"""Sockets that could not be opened are tried again this often; meanwhile their instances stay BACKUP."""
EXIT_PERMISSION: Final = 4
ROOM: Final = 64
"""Instances the engine has room for, at least; twice those of a Plan when that is more: an index is not used again at
once."""
EVENTS: Final = 16
"""Of the engine, in one turn: a great failover is carried out in portions; while the engine announces one the next is
decided."""


class VrrpWork:
    """The work of the vrrp process (`process.child.Work`)."""

    core: Core
    engine: AdvertEngine
    machine: Machine
    sockets: AdvertSockets
    announcements: Announcements

    def __init__(self, child: Child[VrrpPlan]) -> None:
        self._child = child
        self._loop = child.loop
        self._mails = Mails()
        self._logs: list[actions.Log] = []
        self._tells: list[actions.Tell] = []
        self._mute: set[int] = set()
        """Instances whose adverts fail, as told."""
        self._fit_at: Ns | None = None
        """When the sockets are to be made to fit again; None: they do."""
        self._finished = False
        self._released = False
        self._since_wall: dict[str, float] = {}
        """When an instance entered the state it is in, by the clock of that moment."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: Ns | None = None
        self._engine_turns = (0, clock.monotonic())
        self._unknown: set[tuple[str, int]] = set()
        self._unknown_at: Ns = 0
        self._realtime = ""
        self._recording: Recording | None = None
        self._recorded = False
        self._raising = Raising(ProcessSettings())
        self._beat_at: Ns | None = None

    # ---------------------------------------------------------------------------------------- the life

    def start(self, plan: VrrpPlan, resume: frozenset[str]) -> None:
        _raise_descriptor_limit()
        if plan.process.process_name:
            set_comm(plan.process.process_name)
        self.core = RecordingCore(plan, plan.recording.room) if plan.recording else Core(plan)
        self._recording = plan.recording
        self.engine = AdvertEngine(max(ROOM, 2 * len(plan.instances)))
        buffers.ask("command", plan.process.command_buffer)
        buffers.ask("monitor", plan.process.monitor_buffer)
        self.machine = Machine(self._loop, self._child.run_dir, self._complain, self._links_answer)
        try:
            self.announcements = Announcements(self.engine, self.machine.link_of)
        except PermissionError:
            raise Refused("VRRP needs raw sockets (CAP_NET_RAW and CAP_NET_ADMIN)", EXIT_PERMISSION) from None
        self.engine.start()
        self.sockets = AdvertSockets(
            self.engine, self.machine.index_of, lambda instance: self.core.instances[instance].plan.rx_buffer
        )
        self._enter_realtime(plan)
        described = self.machine.start(plan, self._plans())
        self.engine.renew(clock.monotonic())  # who is resumed speaks before the first turn is over
        self._turn([*described, events.Start(resume)])
        self._loop.add_reader(self.engine.fileno(), self._engine_speaks)
        self._loop.add_reader(self.machine.network.fileno(), self._kernel_speaks)
        self._loop.add_reader(self.machine.holdings.watch.fileno(), self._routes_speak)
        self._beat()

    def reload(self, plan: VrrpPlan) -> None:
        self.engine.grow(2 * max(len(plan.instances), len(self.core.plan.instances)))
        process = self.core.plan.process
        self._turn([*self.machine.prepare(plan), events.Reload(plan)])
        self._turn(self.machine.settle(plan))
        if plan.process != process:
            if plan.process.process_name:
                set_comm(plan.process.process_name)
            self._enter_realtime(plan)

    def stop(self, release: bool) -> None:
        self._released = release
        if release:
            self._say_released(self.core.plan, "stopped")
            self.machine.holdings.want(STATIC, False)
        self._turn([events.Shutdown(release)])

    def _say_released(self, plan: VrrpPlan, why: str) -> None:
        """What goes out of the kernel, in one line."""
        addresses = self.machine.addresses_present(static=why == "stopped")
        self._child.log("notice", f"{why}: {len(plan.instances)} instances release {addresses} addresses")

    def release(self, plan: VrrpPlan, state: str) -> None:
        """After a process that died. `STOP`: everything goes; `FAULT`: what virtual routers hold, as nobody speaks for
        them. The advert engine has no part in this: it may be what the other died of."""
        self.machine = Machine(self._loop, self._child.run_dir, self._complain, lambda _: None)
        self.machine.start(plan, dict(enumerate(plan.instances)))
        self._say_released(plan, "stopped" if state == "STOP" else "nobody speaks for them")
        holdings = self.machine.holdings
        for holder in (*range(len(plan.instances)), *((STATIC,) if state == "STOP" else ())):
            holdings.want(holder, False)
        self._complain(holdings.commit())
        for one in plan.instances:
            self._tells.append(actions.Tell("INSTANCE", one.name, state, one.priority))
        self._tells += [actions.Tell("GROUP", group.name, state, 0) for group in plan.sync_groups]
        self._send_tells()
        self._child.report(messages.States({one.name: state for one in plan.instances}))
        self.machine.close(release=state == "STOP")
        self._child.finish()

    def _end(self) -> None:
        """The core has said its last word, and it has been done."""
        self._take_recording()
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self.engine.fileno())
        self._loop.remove_reader(self.machine.network.fileno())
        self._loop.remove_reader(self.machine.holdings.watch.fileno())
        if not self.engine.stop():
            self._child.log("error", "the advert engine did not stop; what it had to say may be unsaid")
        self.sockets.close()
        self.announcements.close()
        self.machine.close(release=self._released)
        self._child.finish()

    def healthy(self) -> bool:
        now, turns = clock.monotonic(), self.engine.stats()["turns"]
        if turns != self._engine_turns[0]:
            self._engine_turns = (turns, now)
        return now - self._engine_turns[1] < SILENT_ENGINE

    def snapshot(self) -> VrrpSnapshot:
        instances = self.core.instances
        counts = {index: self.engine.counters(index) for index in instances}
        present = {
            one.name: self.machine.holdings.present(index, self.machine.network) for index, one in instances.items()
        }
        described = self.core.snapshot(clock.monotonic(), clock.wall(), counts=counts, present=present)
        counters = {**self.engine.stats(), "netlink_overruns": self.machine.overruns(), **self._child.lost()}
        stamped = tuple(
            replace(one, since_wall=self._since_wall.get(one.name, one.since_wall)) for one in described.instances
        )
        return replace(
            described,
            instances=stamped,
            links=self._links(),
            realtime=self._realtime,
            engine=counters,
            lateness=self.engine.lateness(),
        )

    def _links(self) -> tuple[LinkSnapshot, ...]:
        return tuple(
            LinkSnapshot(
                name=link.name,
                index=link.index,
                up=link.up,
                mtu=link.mtu,
                mac=link.mac.hex(":"),
                addresses=tuple(each.address for each in self.machine.network.addresses.get(link.index, {}).values()),
            )
            for link in self.machine.network.interfaces.values()
        )

    def _enter_realtime(self, plan: VrrpPlan) -> None:
        engine = self.engine.native_id
        self._realtime, refused = realtime.enter(plan.process, (engine,) if engine else ())
        self._raising = Raising(plan.process, (engine,) if engine else ())
        for line in refused:
            self._child.log("warning", line)

    # ----------------------------------------------------------------------------------------- the peers

    def linked(self, peer: str) -> None:
        """Trackers are told by the runner; events wait in their own queue: nothing to repeat."""

    def received(self, peer: str, message: messages.Message) -> None:
        match message:
            case messages.TrackerScript(name, up):
                self._turn([events.ScriptResult(name, up)])
            case messages.TrackerFile(name, value):
                self._turn([events.FileValue(name, value)])
            case messages.TrackerProcess(name, up):
                self._turn([events.ProcessQuorum(name, up)])
            case _:
                self._child.log("warning", f"{peer} sent {type(message).__name__}, which is not for me")

    # ------------------------------------------------------------------------------------ what wakes us

    def _engine_speaks(self) -> None:
        happened = self.engine.events(EVENTS)
        for one in happened:
            if isinstance(one, SendFailed):
                self._send_failed(one)
        self._turn([one for one in happened if not isinstance(one, SendFailed)], settle=True)

    def _send_failed(self, failure: SendFailed) -> None:
        """Tell when adverts cannot leave, and when they can again; that they cannot without a link is no news."""
        instance = self.core.instances.get(failure.instance)
        if instance is None:
            return
        link = self.machine.link_of(instance.plan.interface)
        if failure.errno and link is not None and link.up:
            self._mute.add(failure.instance)
            self._child.log("warning", f"({instance.name}) cannot send adverts: {os.strerror(failure.errno)}")
        elif not failure.errno and failure.instance in self._mute:
            self._mute.discard(failure.instance)
            self._child.log("info", f"({instance.name}) adverts can be sent again")

    def _kernel_speaks(self) -> None:
        happened, moved = self.machine.changes()
        if moved:
            self._fit_at = 0  # it may be another interface of the same name
        self._turn(happened)

    def _routes_speak(self) -> None:
        """Links first: what went with its interface is told as that."""
        self._kernel_speaks()
        if not self._finished:
            self._turn(self.machine.routes_gone())

    def _links_answer(self, happened: list[events.Event]) -> None:
        """Interfaces that are polled."""
        if not self._finished:
            self._turn(happened)

    def _beat(self) -> None:
        """The lease, and what is looked at now and then."""
        if self._finished:
            return
        if self._beat_at is not None:
            self._judge_lateness(self._beat_at)
        self._turn(())
        self._take_recording()
        if self.core.plan.log_unknown_vrids:
            self._look_for_unknown(clock.monotonic())
        self._beat_at = clock.monotonic() + int(BEAT * S)
        self._loop.call_later(BEAT, self._beat)

    def _take_recording(self) -> None:
        """What the core has written down goes to the supervisor: disks are not for us."""
        if isinstance(self.core, RecordingCore) and self._recording and (text := self.core.take()):
            self._child.report(messages.Recorded(self._recording.path, text.decode(), not self._recorded))
            self._recorded = True

    def _look_for_unknown(self, now: Ns) -> None:
        if now < self._unknown_at:
            return
        self._unknown_at = now + UNKNOWN_EVERY
        unknown = self.sockets.unknown_vrids()
        for interface, vrid in sorted(unknown - self._unknown):
            self._child.log("info", f"unknown VRID {vrid} is advertised on {interface}")
        self._unknown |= unknown

    # -------------------------------------------------------------------------------------------- a turn

    def _turn(self, happened: Iterable[events.Event], *, settle: bool = False) -> None:
        """Hand events to the core, and time; do what follows. `settle`: they were the engine's."""
        self.engine.hold()
        for event in happened:
            self._do(self.core.handle(event, clock.monotonic()))
        now = clock.monotonic()
        self._do(self.core.tick(now))
        if self._fit_at is not None and now >= self._fit_at:
            self._fit(now)
        problems = self.machine.holdings.commit()
        self.announcements.send(self.machine.holdings.addresses, now)
        if settle:
            self.engine.settle()
        self.engine.go()
        self._complain(problems)
        self._log()
        self._tell()
        if self._finished:
            self._end()
            return
        self.engine.renew(now)
        self._set_timer(self.core.deadline(), now)

    def _do(self, todo: list[actions.Action]) -> None:
        for action in todo:
            match action:
                case actions.Give(order):
                    self.engine.order(order)
                case actions.Send(instance, datagrams):
                    self.engine.send(instance, datagrams)
                case actions.WantAddresses(instance, present):
                    self.machine.holdings.want(instance, present)
                case actions.Announce():
                    self.announcements.add(action)
                case actions.Tell():
                    self._tells.append(action)
                case actions.Log():
                    self._logs.append(action)
                case actions.Rebuild():
                    self.machine.assign(self._plans(), self.core.plan)
                    self._fit(clock.monotonic())
                case actions.Finished():
                    self._finished = True

    def _fit(self, now: Ns) -> None:
        """Give the engine the sockets that the instances need now."""
        problems = self.sockets.fit(self.core.endpoints())
        self._fit_at = now + FIT_AGAIN if problems else None
        self._complain(problems)

    def _plans(self) -> dict[int, VrrpInstance]:
        """By index, as they are now."""
        return {index: one.plan for index, one in self.core.instances.items()}

    def _log(self) -> None:
        logs, self._logs = self._logs, []
        for one in logs:
            self._child.log(one.level, one.text)

    def _tell(self) -> None:
        """Notifications to the runner; states, of which a successor may resume, to the supervisor."""
        if self._tells:
            self._send_tells()
        if moved := self.core.moved():
            self._since_wall |= dict.fromkeys(moved, clock.wall())
            states = {name: instance.state.value for name, instance in moved.items()}
            down = {name: instance.master_down_interval for name, instance in moved.items()}
            self._child.report(messages.States(states, down))

    def _send_tells(self) -> None:
        tells, self._tells = self._tells, []
        for one in tells:
            subject, body = ("", "") if one.only_fifo else self._mails.compose(one.kind, one.name, one.state)
            told = messages.Tell(one.kind, one.name, one.state, one.priority, subject, body, one.only_fifo)
            self._child.send("runner", told)

    def _set_timer(self, deadline: Ns | None, now: Ns) -> None:
        """Wake for the core's agenda; the loop counts whole milliseconds, so up to one too late."""
        if deadline == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = None
        if deadline is not None:
            self._timer = self._loop.call_later((max(0, deadline - now) + MS) / S, self._timer_fired)

    def _timer_fired(self) -> None:
        if self._timer_at is not None:
            self._judge_lateness(self._timer_at + MS)
        self._timer_at = None
        self._turn(())

    def _judge_lateness(self, due: Ns) -> None:
        """A timer was to fire then."""
        raised = self._raising.late(clock.monotonic() - due)
        if raised:
            self._child.log("warning", raised)

    def _complain(self, problems: Iterable[str]) -> None:
        for problem in problems:
            self._child.log("error", problem)


def _raise_descriptor_limit() -> None:
    """Two sockets for each interface, family and group."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> int:
    return run_child("vrrp", VrrpPlan, VrrpWork)


if __name__ == "__main__":
    sys.exit(main())
