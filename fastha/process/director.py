"""The director: checkers, servers and pools joined. Still pure; the checker process is the shell around it.

A report goes to the check core; what became of the checker goes to its server's pool; what the pool says is told. Which
services and destinations of the kernel's table may now be wrong is noted in `touched`. Nothing happens here: `take`
hands out what is to be done.

    director = Director()
    director.start(plan, now)
    director.report(report, now)
    effects = director.take()

A start that finds its own services in the kernel (after a crash, or an upgrade) takes over what the process before
knew: servers that are in the pool are up, the others down, until their first result says otherwise. So a crash neither
empties an alpha pool nor sends clients to servers known to be dead.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from fastha.checks.actions import Action, Added, Changed, Order, Weighed
from fastha.checks.core import CheckCore, spread
from fastha.checks.life import Check, Checker, FileChecker, MiscChecker, RunnerChecker, same_parameters
from fastha.checks.recipes import Report, Verdict
from fastha.lvs.marks import Marks
from fastha.lvs.notices import server_name
from fastha.lvs.quorum import Draining, Pool, PoolKey, Server, kernel_key, pools_by_key, service_keys
from fastha.lvs.wanted import Services, services_of
from fastha.model.net import Address
from fastha.model.plan import CheckerPlan, FileCheck, RealServer, VirtualServer
from fastha.model.table import DestinationKey, Entry, ServiceKey, Table
from fastha.model.units import Ns
from fastha.process.effects import Effects
from fastha.process.sharing import Users


def checks_of(plan: RealServer) -> tuple[Check, ...]:
    """The checkers of a real server, kind by kind."""
    checkers = plan.checkers
    return (
        *checkers.tcp,
        *checkers.http,
        *checkers.misc,
        *checkers.udp,
        *checkers.dns,
        *checkers.smtp,
        *checkers.ping,
        *checkers.file,
        *checkers.service,
    )


def _identity(server: Server, index: int) -> str:
    """What a checker's phase hangs on: who is checked for whom, not when or in which process."""
    return f"{server.pool.key} {server.key} {index}"


class Director:
    """All virtual servers of the process. See the module's text."""

    def __init__(self) -> None:
        self.core = CheckCore()
        self.pools: dict[PoolKey, Pool] = {}
        self.services: Services = {}
        """The kernel's services and the pools behind each."""
        self.plan = CheckerPlan()
        self._users = Users()
        """Servers by target number."""
        self._local: dict[Address, int] = {}
        """Addresses this host has, and on how many interfaces: for ha_suspend."""
        self._files: dict[str, tuple[int, float]] = {}
        """Tracked files: number, and the wall time of its arrival."""
        self._file_users: dict[str, set[int]] = {}
        """FILE_CHECKs by file."""
        self._rising: dict[Server, Ns | None] = {}
        """Servers that start slowly, and since when; None: the next tick will say."""
        self._held: dict[Server, Ns] = {}
        """Servers that fell too often, and until when they stay out."""
        self._marks = Marks()
        self._draining: set[Pool] = set()
        """Pools with servers that drain."""
        self._leaving: dict[PoolKey, Pool] = {}
        """Those of them that the configuration has no more."""
        self._effects = Effects()

    def take(self) -> Effects:
        """What has come together since the last call."""
        effects, self._effects = self._effects, Effects()
        return effects

    def server(self, target: int) -> Server | None:
        """Whose checker this is; of several the one to be named."""
        return self._users.first(target)

    @property
    def shared(self) -> int:
        """Checkers that are done by another one (share_checks)."""
        return self._users.saved

    # --------------------------------------------------------------------------------------- start

    def start(
        self,
        plan: CheckerPlan,
        now: Ns,
        *,
        kernel: Table | None = None,
        ours: Collection[ServiceKey] = (),
        hand_over: Callable[[list[Order]], object] | None = None,
    ) -> None:
        """Begin. `kernel` is the table as it is, `ours` the services in it that a process before us put there.

        `hand_over` gets the orders service by service (else they are among the effects): all at once are more than
        what is left of them at the engine, and the first may be due before the last is made.
        """
        self.plan = plan = self._marks.give(plan)
        self.core.close_rst = plan.close_rst
        self._users.sharing = plan.share_checks
        wanted, complaints = pools_by_key(plan.virtual_servers)
        self._effects.lines += [("error", text, "") for text in complaints]
        for service in wanted.values():
            before = _before(service, kernel or {}, ours)
            self._new_pool(service, now, fresh=True, before=before)
            if hand_over is not None:
                hand_over(self._effects.orders)
                self._effects.orders = []
        self.services = services_of(self.pools.values())

    def _new_pool(self, plan: VirtualServer, now: Ns, *, fresh: bool, before: "_Before | None" = None) -> None:
        pool = Pool(plan, no_checker_emails=self.plan.no_checker_emails)
        pool.enabled = not plan.ha_suspend or self._is_local(plan)
        self.pools[pool.key] = pool
        for server in plan.real_servers:
            self._new_server(pool, server, now, fresh=fresh, before=before)
        self._effects.notices += pool.start(init_notifies=self.plan.rs_init_notifies)
        self._effects.touch_all(pool)

    def _new_server(
        self, pool: Pool, plan: RealServer, now: Ns, *, fresh: bool, before: "_Before | None" = None
    ) -> None:
        server = Server(pool, plan)
        if server.key in pool.servers:
            self._effects.say(pool, "error", f"real server {server.key} is there twice; the second is left out")
            return
        checks = checks_of(plan)
        up: bool | None = None
        if before is not None and checks:
            there = before.entry.destinations.get(kernel_key(before.at, plan))
            up = there is not None and (there.weight > 0 or not plan.inhibit_on_failure or plan.weight == 0)
            fresh = False
        server.checkers = tuple(
            self._new_checker(server, check, index, now, fresh=fresh, up=up) for index, check in enumerate(checks)
        )
        server.failed = sum(not self.core[target].up for target in server.checkers)
        server.alive = server.fit
        pool.add(server)

    def _new_checker(
        self,
        server: Server,
        check: Check,
        index: int,
        now: Ns,
        *,
        fresh: bool,
        up: bool | None,
        like: Checker | None = None,
    ) -> int:
        there = self._users.find(check, server)
        if there is not None:
            self._users.add(there, check, server)
            known = self.core[there]
            if isinstance(known, MiscChecker):
                server.wish(there, known.weight)
            return there
        target, orders = self.core.add(check, _identity(server, index), now, fresh=fresh, up=up, like=like)
        self._users.add(target, check, server)
        if server.pool.enabled:
            self._effects.order(orders)
        else:
            self.core.suspend(target)
        if isinstance(check, FileCheck):
            self._new_file_user(server, target, check.track_file, now)
        return target

    def _new_file_user(self, server: Server, target: int, name: str, now: Ns) -> None:
        """A FILE_CHECK whose file is known already begins with its number; the server is not in the pool yet."""
        self._file_users.setdefault(name, set()).add(target)
        if name in self._files:
            for action in self.core.file_value(target, *self._files[name], now):
                if isinstance(action, Added):
                    server.add(target, action.amount)

    # ------------------------------------------------------------------------------------- running

    def report(self, report: Report, now: Ns) -> None:
        """A probe or script came out otherwise than expected, or was a single one."""
        users = self._users.of(report.target)
        actions = self.core.handle(report, now)
        if not users or not actions:
            return
        self._effects.order(actions)
        changed = [self._follow(server, actions, report) for server in users]
        if not any(changed):
            self._effects.say_unchanged(self.core[report.target], users[0], report)

    def file(self, name: str, value: int, wall: float, now: Ns) -> None:
        """The number in a tracked file is this."""
        self._files[name] = (value, wall)
        for target in sorted(self._file_users.get(name, ())):
            server = self.server(target)
            if server is not None:
                self._follow(server, self.core.file_value(target, value, wall, now), _told(target, now))

    def _follow(self, server: Server, actions: Iterable[Action], report: Report) -> bool:
        """Let a server have what the core has concluded, in `report`'s words; has a checker changed?"""
        pool = server.pool
        before = _use(pool)
        changed = False
        for action in actions:
            match action:
                case Changed():
                    changed = True
                    self._changed(pool, server, action, report)
                case Weighed(target, weight):
                    server.wish(target, weight)
                    self._effects.announce(pool, pool.weight_changed(server))
                    self._effects.touch(pool, server)
                case Added(target, amount):
                    server.add(target, amount)
                    self._effects.announce(pool, pool.weight_changed(server))
                    self._effects.touch(pool, server)
        self._used_otherwise(pool, before)
        return changed

    def _used_otherwise(self, pool: Pool, before: "_Use") -> None:
        """After a change: other servers may serve than before."""
        after = _use(pool)
        if after.panics != before.panics:
            self._effects.say_panic(pool)
        if after.backup != before.backup:
            words = "backups serve: the others have no quorum" if after.backup else "backups serve no more"
            self._effects.say(pool, "warning" if after.backup else "notice", words)
        if after != before:
            self._effects.touch_all(pool)

    def _changed(self, pool: Pool, server: Server, action: Changed, report: Report) -> None:
        change = action.change
        if change.first:
            self._effects.announce(pool, pool.checker_confirmed(server, up=change.up, mail=action.mail))
            return
        if change.up:
            server.unproven = False
        level, state = ("notice", "is up") if change.up else ("warning", "is down")
        self._effects.say_result(self.core[report.target], server, report, level, state)
        was_alive = server.alive
        self._damp(pool, server, up=change.up, now=report.finished)
        self._effects.announce(pool, pool.checker_changed(server, up=change.up, mail=action.mail))
        if server.alive != was_alive:
            self._ramp(pool, server)
        self._effects.touch(pool, server)

    # -------------------------------------------------------------------------------- as time goes by

    def _damp(self, pool: Pool, server: Server, *, up: bool, now: Ns) -> None:
        """One of a server's checkers is about to change: note a fall, and hold a server that fell too often."""
        damping = pool.plan.flap_damping
        if damping is None:
            return
        count, span = damping
        if not up:
            if server.alive:
                server.falls = (*server.falls, now)[-count:]
            return
        falls = server.falls
        often = len(falls) >= count and falls[-1] - falls[-count] <= span
        if often and server.failed == 1 and not server.held:
            server.held = True
            self._effects.say(
                pool, "warning", f"{server_name(pool.plan, server.plan)} falls too often: it is held for a time"
            )
        if server.held:
            self._held[server] = now + span

    def _release_held(self, now: Ns) -> None:
        for server, until in list(self._held.items()):
            pool = server.pool
            if pool.servers.get(server.key) is not server or server.failed:
                del self._held[server]  # it is asked again when it comes up
            elif now >= until or pool.plan.flap_damping is None:
                del self._held[server]
                server.held, server.falls = False, ()
                before = _use(pool)
                self._effects.say(pool, "notice", f"{server_name(pool.plan, server.plan)} is held no longer")
                self._effects.announce(pool, [*pool.set_alive(server, True, ""), *pool.judge()])
                self._ramp(pool, server)
                self._effects.touch(pool, server)
                self._used_otherwise(pool, before)

    def _ramp(self, pool: Pool, server: Server) -> None:
        """A server that has just come up begins with little weight (slow_start)."""
        self._rising.pop(server, None)
        server.ramp = 100
        if server.alive and pool.plan.slow_start:
            server.ramp = 1
            self._rising[server] = None

    def tick(self, now: Ns) -> None:
        """To be called about once a second: weights that rise, servers that have drained or were held."""
        self._release_held(now)
        for server, known in list(self._rising.items()):
            pool = server.pool
            span = pool.plan.slow_start
            since = self._rising[server] = now if known is None else known
            server.ramp = min(100, max(1, 100 * (now - since) // span)) if span else 100
            if server.ramp == 100:
                del self._rising[server]
            if pool.servers.get(server.key) is server:
                self._effects.touch(pool, server)
        for pool in list(self._draining):
            for key in [key for key, each in pool.draining.items() if now >= each.until]:
                each = pool.draining.pop(key)
                self._effects.say(pool, "info", f"{server_name(pool.plan, each.plan)} has drained")
                for at in pool.services:
                    keys = self._effects.touched.setdefault(at, set())
                    if keys is not None:
                        keys.add(kernel_key(at, each.plan))
            if not pool.draining:
                self._draining.discard(pool)
                if self._leaving.pop(pool.key, None) is not None:
                    self._effects.touch_all(pool)
                    self.services = self._services_of()

    def renew(self, targets: Iterable[int], now: Ns, *, at_once: bool) -> int:
        """Order these again: at once when they were lost, spread over their interval for a prober that starts anew."""
        count = 0
        for target in targets:
            checker = self.core.get(target)
            server = self.server(target)
            if checker is None or server is None:
                continue
            index = server.checkers.index(target)
            first = now if at_once else now + spread(_identity(server, index), checker.check.delay_loop)
            actions = self.core.renew(target, first, now)
            self._effects.order(actions)
            count += len(actions)
        return count

    def runners(self) -> list[int]:
        """Targets of all checks that the runner carries out."""
        return [checker.target for checker in self.core if isinstance(checker, RunnerChecker)]

    # ------------------------------------------------------------------------------------- suspend

    def local_addresses(self, addresses: dict[Address, int], now: Ns) -> None:
        """The addresses this host has now, and on how many interfaces: ha_suspend follows them."""
        self._local = addresses
        for pool in self.pools.values():
            if pool.plan.ha_suspend:
                self._enable(pool, self._is_local(pool.plan), now)

    def _is_local(self, plan: VirtualServer) -> bool:
        """Whether this host has the address; of a group, one of them."""
        addresses = (plan.address, *(entry.address for entry in plan.entries))
        return any(self._local.get(address, 0) > 0 for address in addresses if address is not None)

    def _enable(self, pool: Pool, enabled: bool, now: Ns) -> None:
        if pool.enabled == enabled:
            return
        pool.enabled = enabled
        words = "on: its address is here" if enabled else "off: its address is not here"
        self._effects.say(pool, "notice", f"health checks are {words}")
        for server in pool:
            for index, target in enumerate(server.checkers):
                if enabled:
                    actions = self.core.resume(target, _identity(server, index), now)
                    self._effects.order(actions)
                    self._follow(server, actions, _told(target, now))
                elif not self._users.shared(target):
                    self._effects.order(self.core.suspend(target))

    # -------------------------------------------------------------------------------------- reload

    def reload(self, plan: CheckerPlan, now: Ns) -> None:
        """Go over to `plan` by difference: what is the same keeps its state, its phase and its order.

        (keepalived restarts every timer.) What went is announced whatever `omega` says.
        """
        close_changed = plan.close_rst != self.plan.close_rst
        self.plan = plan = self._marks.give(plan)
        self.core.close_rst = plan.close_rst
        wanted, complaints = pools_by_key(plan.virtual_servers)
        self._effects.lines += [("error", text, "") for text in complaints]
        before, self.pools = self.pools, {}
        for key, pool in before.items():
            if key not in wanted:
                self._effects.notices += pool.farewell(removed=True)
                self._effects.touch_all(pool)
                for server in pool:
                    self._drop(server, server.checkers)
                    self._rising.pop(server, None)
                    self._held.pop(server, None)
                self._leave(pool, now)
        for key, service in wanted.items():
            kept = before.get(key)
            if kept is None:
                self._new_pool(service, now, fresh=False)
                continue
            self.pools[kept.key] = kept  # with the old key: one small piece of the new Plan keeps a megabyte of it
            kept.no_checker_emails = plan.no_checker_emails
            if kept.plan != service:
                self._reload_pool(kept, service, now)
        # where both are equal the old one is kept, and the new one need not be
        if len(self.pools) == len(plan.virtual_servers):
            self.plan = replace(plan, virtual_servers=tuple(pool.plan for pool in self.pools.values()))
        for key in self._leaving.keys() & wanted.keys():
            self._draining.discard(self._leaving.pop(key))
        shared, self.services = self.services, self._services_of()
        for at, pools in self.services.items():
            if len(pools) > 1 and pools != shared.get(at):
                self._effects.touched[at] = None  # another one of them may be the first now
        if close_changed:
            self.renew([checker.target for checker in self.core], now, at_once=False)

    def _leave(self, pool: Pool, now: Ns) -> None:
        """The configuration has it no more: with drain_time its service stays, and what served in it drains."""
        pool.leave(now + pool.plan.drain_time if pool.plan.drain_time else None)
        self._draining.discard(pool)
        if pool.draining:
            self._draining.add(pool)
            self._leaving[pool.key] = pool

    def _services_of(self) -> Services:
        """The kernel's services; those of pools that are there come first."""
        return services_of([*self.pools.values(), *self._leaving.values()])

    def _reload_pool(self, pool: Pool, plan: VirtualServer, now: Ns) -> None:
        notices = self._effects.notices
        wanted = {DestinationKey(server.address, server.port): server for server in reversed(plan.real_servers)}
        before = _use(pool)
        for key in [key for key in pool.servers if key not in wanted]:
            leaving = pool.servers[key]
            self._drop(leaving, leaving.checkers)
            self._rising.pop(leaving, None)
            if plan.drain_time and leaving.alive:
                pool.draining[key] = Draining(leaving.plan, now + plan.drain_time)
                self._draining.add(pool)
            notices += pool.remove(key)
        for key in wanted:
            pool.draining.pop(key, None)
        self._effects.touch_all(pool)
        pool.set_plan(plan)
        self._enable(pool, not plan.ha_suspend or self._is_local(plan), now)
        kept, pool.servers = pool.servers, {}
        for real in plan.real_servers:
            server = kept.pop(DestinationKey(real.address, real.port), None)
            if server is None:
                self._new_server(pool, real, now, fresh=False)
                continue
            pool.servers[server.key] = server
            if server.plan != real:
                self._reload_server(pool, server, real, now)
        if len(pool.servers) == len(plan.real_servers):  # none is there twice
            pool.plan = replace(plan, real_servers=tuple(server.plan for server in pool.servers.values()))
        self._effects.announce(pool, pool.judge() or pool.sorry_came(before=before.sorry))
        self._used_otherwise(pool, before)
        self._effects.touch_all(pool)

    def _reload_server(self, pool: Pool, server: Server, plan: RealServer, now: Ns) -> None:
        old = list(server.checkers)
        pool.replan(server, plan)
        checks = checks_of(plan)
        found = self._match(old, checks)
        known = [self.core[target] for target in found if target is not None]
        fails = any(not checker.up for checker in known)
        unknown = not server.alive and not any(checker.has_run for checker in known)
        # An alpha checker that is new starts down only beside a failure, or when nothing is known of the server.
        targets: list[int] = []
        for index, (check, target) in enumerate(zip(checks, found, strict=True)):
            if target is None or self._parts(server, target, check):
                up = not check.alpha or not (fails or unknown)
                like = None if target is None else self.core[target]
                targets.append(self._new_checker(server, check, index, now, fresh=False, up=up, like=like))
                continue
            targets.append(target)
            if self.core[target].check == check:
                self.core.replace(target, check)
                continue
            self._users.changed(target, self.core[target].check, check, server)
            actions = self.core.retime(target, check, _identity(server, index), now)
            for action in actions:
                if isinstance(action, Added):
                    server.add(target, action.amount)
            self._effects.order(actions)
        gone = [target for target in old if target not in targets]
        self._drop(server, gone)
        for target in gone:
            server.wish(target, None)
            server.add(target, 0)
        server.checkers = tuple(targets)
        server.failed = sum(not self.core[target].up for target in targets)
        if pool.plan.flap_damping is None:
            server.held = False
        alive = server.fit
        if alive != server.alive:
            self._effects.notices += pool.set_alive(server, alive, "")
        pool.recount(server)

    def _parts(self, server: Server, target: int, check: Check) -> bool:
        """Of a checker whose definition changes: others go on with the old one, or there is one already that is as the
        new one is to be. Without share_checks neither is ever so."""
        if self.core[target].check == check:
            return False
        return self._users.shared(target) or self._users.find(check, server) is not None

    def _match(self, old: list[int], checks: tuple[Check, ...]) -> list[int | None]:
        """For each new definition the old checker that goes on: an equal one if there is one, else one with the same
        parameters; each goes on once."""
        free = list(old)
        found: list[int | None] = [None] * len(checks)
        for equal in (True, False):
            for index, check in enumerate(checks):
                if found[index] is not None:
                    continue
                for target in free:
                    has = self.core[target].check
                    if has == check if equal else same_parameters(has, check):
                        found[index] = target
                        free.remove(target)
                        break
        return found

    def _drop(self, server: Server, targets: Iterable[int]) -> None:
        for target in targets:
            checker = self.core[target]
            if not self._users.leave(target, checker.check, server):
                continue
            if isinstance(checker, FileChecker):
                self._file_users[checker.check.track_file].discard(target)
            self._effects.order(self.core.remove(target))

    # ---------------------------------------------------------------------------------------- stop

    def stop(self) -> None:
        """Say the last words of everything; then nothing is wanted any more."""
        for pool in self.pools.values():
            self._effects.notices += pool.farewell(removed=False, servers=not self.plan.lvs_flush_on_stop)
            self._effects.touch_all(pool)
        self.pools, self.services, self._leaving = {}, {}, {}


@dataclass(frozen=True, slots=True)
class _Use:
    """Which servers of a pool serve."""

    sorry: bool
    backup: bool
    panics: bool


def _use(pool: Pool) -> _Use:
    return _Use(pool.sorry_in_use, pool.backup_in_use, pool.panics)


@dataclass(frozen=True, slots=True)
class _Before:
    """A service that the process before us left in the kernel."""

    at: ServiceKey
    entry: Entry


def _before(plan: VirtualServer, kernel: Table, ours: Collection[ServiceKey]) -> _Before | None:
    """What the kernel says about a pool's servers, if it does. The services of a group all say the same."""
    left = (_Before(at, kernel[at]) for at in service_keys(plan) if at in ours and at in kernel)
    return next((before for before in left if _tells(before, plan)), None)


def _tells(before: _Before, plan: VirtualServer) -> bool:
    """Whether what is in the kernel says anything about these servers: not when it is full of others, because the
    configuration was changed meanwhile; then nobody would serve until the first results."""
    servers = [*plan.real_servers, *([plan.sorry_server] if plan.sorry_server is not None else [])]
    there = before.entry.destinations
    return not there or any(kernel_key(before.at, server) in there for server in servers)


def _told(target: int, now: Ns) -> Report:
    """In the place of a report, when it is not a probe that says something."""
    return Report(target, 0, Verdict.SUCCESS, 0, 0, now, now)
