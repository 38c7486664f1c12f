"""The checker process: the director's decisions, the probe engine, the kernel's table and the runner, wired together.

    engine, runner --reports--> director --orders--> engine, runner
                                         --touched-> programmer --operations--> plane
                                         --notices-> runner

Everything happens in turns of the loop. A turn hands a batch of reports to the director and does what comes of them:
first the kernel, in one batch, then the orders, then the telling.
"""

import asyncio
import gc
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from fastha._checks import TlsContext
from fastha.checks.actions import HoldDialogue, Order, Probe, RunScript
from fastha.checks.life import FileChecker, RunnerChecker
from fastha.checks.recipes import ProbeOrder, Report, Verdict
from fastha.checks.words import error_words
from fastha.lvs.notices import Notice
from fastha.lvs.surroundings import SETTINGS, warnings
from fastha.model.net import Address
from fastha.model.plan import CheckerPlan, FlushOnStop, ProcessSettings, RealServer
from fastha.model.snapshot import CheckerSnapshot, Histogram, VirtualServerSnapshot
from fastha.model.table import Plane
from fastha.model.units import MS, Ns, S
from fastha.process.child import Child, Refused, run_child
from fastha.process.describe import Describer
from fastha.process.director import Director
from fastha.process.ipvsextras import IpvsExtras
from fastha.process.markedgroups import MarkTable
from fastha.process.messages import (
    Message,
    ScriptDrop,
    ScriptOrder,
    ScriptReport,
    ScriptSeen,
    ServiceOrder,
    ServiceReport,
    ServiceSeen,
    States,
    Tell,
    TrackerFile,
)
from fastha.process.probers import Probers
from fastha.process.programmer import JournalFile, Programmer
from fastha.process.thrift import share
from fastha.process.turns import Lateness
from fastha.system import buffers, clock, netns
from fastha.system.links import Network
from fastha.system.ping import allow_ping, restore_ping
from fastha.system.plane import open_plane
from fastha.system.proctitle import set_comm
from fastha.system.raising import Raising
from fastha.system.scheduling import apply_settings
from fastha.system.sysctl import read_numbers

TICK: Final = 1.0
"""Seconds between looks at the kernel's table and at refusals."""
LOST_EVERY: Final = 5
"""Ticks between looks for lost targets."""
HOST_EVERY: Final = 60
"""Ticks between looks at the settings of the host."""
AT_ONCE: Final = 256
"""So many lost targets are probed at once; more (the machine stood still) are spread over their interval."""
PIECE: Final = 5 * MS
"""The loop is given back after so much of a snapshot."""
SILENT_ENGINE: Final = 10 * S
"""An engine thread that has not gone round for so long hangs; it does at least once a second."""


class CheckerWork:
    """The work of the checker process (`process.child.Work`)."""

    engine: Probers
    programmer: Programmer
    extras: IpvsExtras

    def __init__(self, child: Child[CheckerPlan]) -> None:
        self.director = Director()
        self._child = child
        self._loop = child.loop
        self._journal = JournalFile(child.run_dir)
        self._network: Network | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._raising = Raising(ProcessSettings())
        self._started: Ns = 0
        self._ticks = 0
        self._lost = 0
        """Targets that had to be ordered anew because nobody probed them."""
        self._overdue = Lateness()
        """For how long these were idle."""
        self._engine_silent = False
        self._local_errors = 0
        self._warned: list[str] = []
        self._runner_knows = False
        self._states: dict[str, str] | None = None
        """Of VRRP instances, as the supervisor tells them."""
        self._mark_table = MarkTable(child.log)
        self._ping_range: str | None = None
        """ping_group_range before we changed it."""

    # ---------------------------------------------------------------------------------------- life

    def start(self, plan: CheckerPlan, resume: frozenset[str]) -> None:  # noqa: ARG002 - instances are not ours
        share(plan)
        self._schedule(plan)
        tls = _tls_context(plan)
        self.programmer = self._programmer(self._open_plane(plan))
        try:
            table = self.programmer.open(flush=plan.lvs_flush)
        except OSError as error:
            raise Refused(f"{self.programmer.plane.name}: the table cannot be read: {error}") from None
        self._started = now = clock.monotonic()
        self._set_extras(plan, now)
        self._follow_addresses(plan, now)
        self.engine = Probers(self._loop, self._engine_speaks)
        try:
            self.engine.start()
        except OSError as error:
            raise Refused(f"the probe engine cannot start: {error}") from None
        if tls is not None:
            self.engine.use_tls(tls)
        self._allow_ping(plan)
        plan = self._with_marks(plan)
        self.director.start(plan, now, kernel=table, ours=self.programmer.ours, hand_over=self._order)
        self.programmer.install(self.director.services, table, now)
        self._mark_table.follow(self.director.plan)
        self._enact(now)
        self._say_size()
        self._warn_of_host()
        self._timer = self._loop.call_later(TICK, self._tick)
        gc.collect()
        gc.freeze()

    def reload(self, plan: CheckerPlan) -> None:
        share(plan)
        old = self.director.plan
        if plan.net_namespace_ipvs != old.net_namespace_ipvs:
            self._child.log("warning", "a changed net_namespace_ipvs needs a restart; the one of the start stays")
            plan = replace(plan, net_namespace_ipvs=old.net_namespace_ipvs)
        if plan.share_checks != old.share_checks:
            self._child.log("warning", "a changed share_checks needs a restart; the one of the start stays")
            plan = replace(plan, share_checks=old.share_checks)
        tls = _tls_context(plan)
        plane = self._open_plane(plan) if plan.lvs_plane != old.lvs_plane else None
        now = clock.monotonic()
        self._follow_addresses(plan, now)
        plan = self._with_marks(plan, plane)
        self.director.reload(plan, now)
        if plane is not None:
            self._change_plane(plane, now)
        self._configure_extras(plan, now)
        if tls is not None:
            self.engine.use_tls(tls)
        self._allow_ping(plan)
        if plan.process != old.process:
            self._schedule(plan)
        self._enact(now)
        self._mark_table.follow(self.director.plan)
        self._say_size()
        self._warn_of_host()
        gc.unfreeze()
        gc.collect()
        gc.freeze()

    def stop(self, release: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.engine.stop()
        if release:
            self._release(clock.monotonic())
            self._restore_ping()
        self.programmer.close()
        if self._network is not None:
            self._loop.remove_reader(self._network.fileno())
            self._network.close()
        self._child.finish()

    def release(self, plan: CheckerPlan, state: str) -> None:  # noqa: ARG002 - of services nothing else is told
        self.programmer = self._programmer(self._open_plane(plan))
        try:
            table = self.programmer.open(flush=False)
        except OSError as error:
            raise Refused(f"{self.programmer.plane.name}: the table cannot be read: {error}") from None
        now = clock.monotonic()
        self.extras = IpvsExtras(self.programmer.plane, self._journal, self._child.log)
        self.director.start(plan, now, kernel=table, ours=self.programmer.ours)
        self.director.take()  # nobody is going to check anything
        self._mark_table.inherit(plan)
        self._release(now)
        self.programmer.close()
        self._child.finish()

    def _release(self, now: Ns) -> None:
        """Everything of ours out of the kernel, and say so."""
        self.director.stop()
        self._tell(self.director.take().notices)
        self._mark_table.release()
        before = self.programmer.mirror
        services, servers = len(before), sum(len(entry.destinations) for entry in before.values())
        self.programmer.release(now, flush=self.director.plan.lvs_flush_on_stop is FlushOnStop.ALL)
        self.extras.release(now)
        left = len(self.programmer.mirror)
        if self.programmer.programs:
            text = f"{self.programmer.plane.name}: released {services - left} services with {servers} servers"
            self._child.log("notice", f"{text}; {left} services are left" if left else text)

    def healthy(self) -> bool:
        silence = clock.monotonic() - max(self.engine.heartbeat(), self._started)
        well = self.engine.running and silence < SILENT_ENGINE
        if not well and not self._engine_silent:
            what = f"has not gone round for {silence / S:.0f} s" if self.engine.running else "has ended"
            self._child.log("error", f"the probe engine {what}: this process is of no use and asks to be started anew")
        self._engine_silent = not well
        return well

    def _say_size(self) -> None:
        """What we hold, in one line."""
        pools = self.director.pools.values()
        servers = sum(len(pool.servers) for pool in pools)
        up = sum(pool.quorum_up for pool in pools)
        text = (
            f"{len(pools)} virtual servers ({up} with quorum), {servers} real servers, {len(self.director.core)} checks"
        )
        self._child.log("info", f"{text}; plane {self.programmer.plane.name}", "size")

    def _allow_ping(self, plan: CheckerPlan) -> None:
        """PING_CHECK works by sockets that the kernel gives to some groups only."""
        if self._ping_range is None and any(server.checkers.ping for server in _real_servers(plan)):
            try:
                self._ping_range = allow_ping()
            except OSError as error:
                self._child.log("error", f"PING_CHECK: ping_group_range cannot be set: {error.strerror or error}")

    def _with_marks(self, plan: CheckerPlan, plane: Plane | None = None) -> CheckerPlan:
        """nftables_ipvs is for IPVS, and nothing else is marked for. `plane`: the one that comes."""
        name = (plane or self.programmer.plane).name
        if plan.marked_groups is None or name == "ipvs":
            return plan
        if name == "nftables":
            self._child.log("warning", "nftables_ipvs takes IPVS: each address of a group is a service of its own")
        return replace(plan, marked_groups=None)

    def _restore_ping(self) -> None:
        if self._ping_range is not None:
            try:
                restore_ping(self._ping_range)
            except OSError as error:
                self._child.log("error", f"ping_group_range cannot be restored: {error.strerror or error}")
            self._ping_range = None

    def _schedule(self, plan: CheckerPlan) -> None:
        buffers.ask("command", plan.process.command_buffer)
        buffers.ask("monitor", plan.process.monitor_buffer)
        if plan.process.process_name:
            set_comm(plan.process.process_name)
        for line in apply_settings(plan.process):
            self._child.log("warning", line)
        self._raising = Raising(plan.process)

    # --------------------------------------------------------------------------------------- plane

    def _open_plane(self, plan: CheckerPlan) -> Plane:
        try:
            with netns.inside(plan.net_namespace_ipvs):
                plane = open_plane(plan.lvs_plane, plan)
        except OSError as error:
            where = f" in {error.filename}" if error.filename else ""
            raise Refused(f"virtual servers cannot be programmed: {error.strerror or error}{where}") from None
        if plan.net_namespace_ipvs is not None and plane.name == "nftables":
            plane.close()
            raise Refused("net_namespace_ipvs takes IPVS, and here virtual servers would be done by nftables")
        if plane.note:
            self._child.log("warning", plane.note)
        return plane

    def _programmer(self, plane: Plane) -> Programmer:
        return Programmer(
            plane,
            self._journal,
            self._child.log,
            post=self._loop.call_soon_threadsafe,
            ready=lambda: self._loop.call_soon(self._flush_again),
        )

    def _flush_again(self) -> None:
        """The plane has done what it had to do: what was touched meanwhile is next."""
        self.programmer.flush(self.director.services, clock.monotonic())

    def _change_plane(self, plane: Plane, now: Ns) -> None:
        """lvs_plane was changed: out of one kernel table, into another."""
        self.programmer.release(now)
        self.extras.release(now)
        self.programmer.close()
        self.programmer = self._programmer(plane)
        try:
            table = self.programmer.open(flush=False)
        except OSError as error:
            self._child.log("error", f"{plane.name}: the table cannot be read: {error}")
            table = {}
        self._set_extras(self.director.plan, now)
        self.programmer.install(self.director.services, table, now)

    def _host(self) -> dict[str, int]:
        """The settings around the plane."""
        try:
            with netns.inside(self.director.plan.net_namespace_ipvs):
                return read_numbers(SETTINGS)
        except OSError as error:
            self._child.log("error", f"settings of the host cannot be read: {error}", "host")
            return {}

    def _warn_of_host(self) -> None:
        """Say what is in the way, once for as long as it is."""
        plan = self.director.plan
        if not self.programmer.programs or not plan.virtual_servers:
            return
        found = warnings(plan.virtual_servers, self._host(), self.programmer.plane.name)
        for text in found:
            if text not in self._warned:
                self._child.log("warning", text)
        self._warned = found

    def _set_extras(self, plan: CheckerPlan, now: Ns) -> None:
        """Timeouts and synchronisation of a plane just opened."""
        self.extras = IpvsExtras(self.programmer.plane, self._journal, self._child.log)
        self._configure_extras(plan, now)
        if self._states is not None:
            self.extras.follow(self._states, now)

    def _configure_extras(self, plan: CheckerPlan, now: Ns) -> None:
        self.programmer.drift = plan.lvs_drift
        self.extras.set_timeouts(plan.lvs_timeouts)
        self.extras.configure(plan.sync_daemon, now)

    # ------------------------------------------------------------------------------------- turns

    def _engine_speaks(self) -> None:
        now = clock.monotonic()
        for report in self.engine.reports():
            self.director.report(report, now)
        self._enact(now)

    def _tick(self) -> None:
        late = int((self._loop.time() - self._timer.when()) * S) if self._timer is not None else 0
        if raised := self._raising.late(late):
            self._child.log("warning", raised)
        self._timer = self._loop.call_later(TICK, self._tick)
        now = clock.monotonic()
        self._ticks += 1
        if self._ticks % HOST_EVERY == 0:
            self._warn_of_host()
        if self._ticks % LOST_EVERY == 0:
            self._find_lost(now)
            self._tell_local_errors()
        self.director.tick(now)
        self._enact(now)
        # what we change ourselves is under way by now: what it finds otherwise in the table, others have done
        self.programmer.tick(self.director.services, now)
        self.extras.tick(now)

    def _tell_local_errors(self) -> None:
        """The engine itself tries again what could not be probed for want of something on this host; say so."""
        errors = self.engine.stats()["local_errors"]
        if errors == self._local_errors:
            return
        count, self._local_errors = errors - self._local_errors, errors
        lasts = (
            self.engine.last(checker.target)
            for checker in self.director.core
            if not isinstance(checker, (RunnerChecker, FileChecker))
        )
        reason = next((error_words(last.errno) for last in lasts if last.verdict == Verdict.LOCAL and last.started), "")
        self._child.log("error", f"{count} probes could not be made: {reason or 'it has passed'}", "local errors")

    def _find_lost(self, now: Ns) -> None:
        """No target may be idle for more than two intervals, whatever went wrong elsewhere."""
        core = self.director.core
        lost = self.engine.overdue(now)
        idle = [now - (self.engine.last(target).started or self._started) for target in lost]
        if self._child.peer_alive("runner"):
            silent = core.silent(now)
            lost += silent
            idle += [now - core.heard(target) for target in silent]
        count = self.director.renew(lost, now, at_once=len(lost) <= AT_ONCE)
        if count:
            self._lost += count
            for time in idle:
                self._overdue.count(time)
            self._child.log("warning", f"{count} checks were overdue by two intervals; ordered again", "overdue")

    def _enact(self, now: Ns) -> None:
        """Do what the director has come to."""
        effects = self.director.take()
        self.programmer.touch(effects.touched)
        self.programmer.flush(self.director.services, now)
        self._order(effects.orders)
        for level, text, cause in effects.lines:
            self._child.log(level, text, cause)
        self._tell(effects.notices)

    def _order(self, orders: list[Order]) -> None:
        probes: list[ProbeOrder] = []
        for action in orders:
            if isinstance(action, Probe):
                probes.append(action.order)
            elif isinstance(action, RunScript):
                self._child.send("runner", _script_order(action, self._group(action.target)))
            elif isinstance(action, HoldDialogue):
                self._child.send("runner", _service_order(action, self._group(action.target)))
            elif action.runner:
                self._child.send("runner", ScriptDrop(action.target))
            else:
                self._give(probes)
                withdraw = self.engine.remove if action.forget else self.engine.hold
                withdraw(action.target)
        self._give(probes)

    def _group(self, target: int) -> str:
        """The virtual server a check belongs to."""
        server = self.director.server(target)
        return server.pool.plan.name if server is not None else ""

    def _give(self, probes: list[ProbeOrder]) -> None:
        """Hand orders to the engine and empty the list; one that it cannot take is told, the others go on."""
        try:
            self.engine.orders(probes)
        except (ValueError, OSError):
            for order in probes:
                try:
                    self.engine.order(order)
                except (ValueError, OSError) as error:
                    at = self.director.server(order.target)
                    name = f"{at.pool.plan.name} {at.key}" if at is not None else f"target {order.target}"
                    self._child.log("error", f"{name}: cannot be checked: {error}")
        probes.clear()

    def _tell(self, notices: list[Notice]) -> None:
        for notice in notices:
            self._child.send(
                "runner",
                Tell(
                    notice.kind,
                    notice.name,
                    notice.state,
                    mail_subject=notice.mail_subject,
                    mail_body=notice.mail_body,
                ),
            )

    # ------------------------------------------------------------------------------------ runner

    def linked(self, peer: str) -> None:
        """The first runner finds its orders waiting; one that comes after it has to get them anew."""
        if peer != "runner":
            return
        if self._runner_knows:
            now = clock.monotonic()
            self.director.renew(self.director.runners(), now, at_once=False)
            self._enact(now)
        self._runner_knows = True

    def received(self, peer: str, message: Message) -> None:
        now = clock.monotonic()
        core = self.director.core
        if isinstance(message, ScriptReport):
            self.director.report(_script_report(message, now), now)
            if message.error:
                server = self.director.server(message.target)
                name = f"{server.pool.plan.name}: {server.key}" if server is not None else f"script {message.target}"
                self._child.log("error", f"{name}: MISC_CHECK cannot be run: {message.error}")
            core.ran(message.target, message.started_wall + message.duration / S, message.lateness)
            self._enact(now)
        elif isinstance(message, ServiceReport):
            self.director.report(_service_report(message, now), now)
            core.ran(message.target, message.ended_wall, message.lateness)
            self._enact(now)
        elif isinstance(message, ScriptSeen):
            for target, status, wall, lateness in message.seen:
                ended = Verdict.EXIT if status else Verdict.SUCCESS
                core.seen(Report(target, 0, ended, 0, status, now, now), wall, lateness, now)
        elif isinstance(message, ServiceSeen):
            for target, verdict, text, wall, lateness in message.seen:
                core.seen(Report(target, 0, Verdict(verdict), 0, 0, now, now, text=text), wall, lateness, now)
        elif isinstance(message, TrackerFile):
            self.director.file(message.name, message.value, clock.wall(), now)
            self._enact(now)
        elif isinstance(message, States):
            self._states = (self._states or {}) | message.states
            self.extras.follow(message.states, now)
        else:
            self._child.log("warning", f"{peer} sent {type(message).__name__}, which is not for me")

    # ---------------------------------------------------------------------------------- ha_suspend

    def _follow_addresses(self, plan: CheckerPlan, now: Ns) -> None:
        """Watch this host's addresses when a virtual server follows one."""
        if self._network is None and any(server.ha_suspend for server in plan.virtual_servers):
            self._network = Network(frozenset(), lambda _interface, _address: False)
            self._network.read()
            self._loop.add_reader(self._network.fileno(), self._addresses_changed)
            self.director.local_addresses(self._local_addresses(), now)

    def _addresses_changed(self) -> None:
        assert self._network is not None
        self._network.changes()
        now = clock.monotonic()
        self.director.local_addresses(self._local_addresses(), now)
        self._enact(now)

    def _local_addresses(self) -> dict[Address, int]:
        """Usable addresses, and on how many interfaces each is."""
        assert self._network is not None
        counts: dict[Address, int] = {}
        for addresses in self._network.addresses.values():
            for present in addresses.values():
                if present.usable:
                    counts[present.address] = counts.get(present.address, 0) + 1
        return counts

    # ------------------------------------------------------------------------------------ snapshot

    async def snapshot(self) -> CheckerSnapshot:
        """Of tens of thousands of servers it takes a good part of a second: so it is made in many turns of the loop."""
        core, programmer = self.director.core, self.programmer
        virtual_servers = await self._described()
        host = self._host()
        counters = {
            **self.engine.stats(),
            **programmer.counters,
            **self._child.lost(),
            "checkers": len(core),
            "checks_shared": self.director.shared,
            "reports_stale": core.stale,
            "overdue": self._lost,
        }
        return CheckerSnapshot(
            plane=programmer.plane.name,
            plane_note=programmer.plane.note,
            virtual_servers=virtual_servers,
            foreign_services=tuple(str(key) for key in programmer.foreign),
            drift=programmer.drifted,
            not_understood=tuple(getattr(programmer.plane, "not_understood", ())),
            sync_daemon=self.extras.halves,
            host=host,
            warnings=tuple(warnings(self.director.plan.virtual_servers, host, programmer.plane.name)),
            refusals=tuple(refusal.text for refusal in programmer.refused.values()),
            counters=counters,
            lateness=self.engine.lateness(),
            overdue=self._overdue.histogram() if self._lost else Histogram(),
        )

    async def _described(self) -> tuple[VirtualServerSnapshot, ...]:
        director, programmer = self.director, self.programmer
        describer = Describer(director.core, self.engine.last, clock.wall() - clock.monotonic() / S)
        found, turn = [], clock.monotonic()
        for pool in list(director.pools.values()):
            if clock.monotonic() - turn > PIECE:
                await asyncio.sleep(0)
                turn = clock.monotonic()
            if director.pools.get(pool.key) is pool:  # no reload has taken it away meanwhile
                kernel = programmer.kernel(pool.services) if programmer.programs else {}
                found.append(describer.virtual_server(pool, kernel))
        return tuple(found)


def _real_servers(plan: CheckerPlan) -> Iterator[RealServer]:
    return (server for service in plan.virtual_servers for server in service.real_servers)


def _tls_context(plan: CheckerPlan) -> TlsContext | None:
    """The SSL block's files, read again at each reload; None when nothing is checked under TLS."""
    servers = [server.checkers for server in _real_servers(plan)]
    if not any(any(check.tls for check in of.http) or any(check.tls for check in of.tcp) for of in servers):
        return None
    try:
        return TlsContext(plan.tls)
    except ValueError as error:
        raise Refused(f"SSL: {error}") from None


def _script_order(action: RunScript, group: str) -> ScriptOrder:
    command = action.command
    return ScriptOrder(
        target=action.target,
        generation=action.generation,
        argv=command.argv,
        uid=command.uid,
        gid=command.gid,
        groups=command.groups,
        shell=command.shell,
        timeout=action.timeout,
        delay=action.delay,
        interval=action.interval,
        expect_success=action.expect_success,
        dynamic=action.dynamic,
        expect_status=action.expect_status,
        jitter=action.jitter,
        group=group,
    )


def _service_order(action: HoldDialogue, group: str) -> ServiceOrder:
    return ServiceOrder(
        target=action.target,
        generation=action.generation,
        check=action.check,
        delay=action.delay,
        interval=action.interval,
        expect_success=action.expect_success,
        group=group,
    )


def _service_report(message: ServiceReport, now: Ns) -> Report:
    """A dialogue's result as any other report."""
    return Report(
        message.target,
        message.generation,
        Verdict(message.verdict),
        message.errno,
        message.status,
        now - message.duration,
        now,
        text=message.text,
    )


def _script_report(message: ScriptReport, now: Ns) -> Report:
    """A script's result as any other report; a death by signal has a status that no exit code can have."""
    if message.error:
        verdict = Verdict.LOCAL
    elif message.timed_out:
        verdict = Verdict.TIMEOUT
    else:
        verdict = Verdict.EXIT if message.status or message.signal else Verdict.SUCCESS
    status = 256 + message.signal if message.signal else message.status
    return Report(message.target, message.generation, verdict, 0, status, now - message.duration, now)


if __name__ == "__main__":
    sys.exit(run_child("checker", CheckerPlan, CheckerWork))
