"""The checker process's part of the Snapshot: the director's state, the kernel's table, the engine's last results."""

from collections.abc import Callable
from dataclasses import dataclass

from fastha.checks.core import CheckCore
from fastha.checks.life import Checker, FileChecker, HttpChecker, MiscChecker, RunnerChecker
from fastha.checks.recipes import Kind, LastProbe
from fastha.checks.words import file_words, result_words
from fastha.lvs.notices import server_name
from fastha.lvs.quorum import Pool, Server, kernel_key
from fastha.model.net import host_port
from fastha.model.snapshot import CheckSnapshot, RealServerSnapshot, VirtualServerSnapshot
from fastha.model.table import Destination, Table
from fastha.model.units import Ns, S


@dataclass(frozen=True, slots=True)
class Describer:
    """`last` asks the probe engine; `wall_offset` is wall time minus monotonic time, in seconds."""

    core: CheckCore
    last: Callable[[int], LastProbe]
    wall_offset: float

    def virtual_server(self, pool: Pool, kernel: Table) -> VirtualServerSnapshot:
        """A pool beside what the kernel has of it; `kernel` is empty when it could not be read."""
        plan = pool.plan
        sorry = plan.sorry_server
        entries = {at: kernel[at] for at in pool.services if at in kernel}
        return VirtualServerSnapshot(
            name=plan.name,
            snmp_name=plan.snmp_name,
            scheduler=plan.scheduler,
            quorum=plan.quorum,
            hysteresis=plan.hysteresis,
            quorum_up=pool.quorum_up,
            weight_alive=pool.alive_weight,
            programmed=len(entries) == len(pool.services),
            services=tuple(map(str, pool.services)) if plan.group else (),
            sorry_server=host_port(sorry.address, sorry.port) if sorry is not None else None,
            sorry_in_use=pool.sorry_in_use,
            backup_in_use=pool.backup_in_use,
            panics=pool.panics,
            draining=tuple(server_name(plan, each.plan) for each in pool.draining.values()),
            real_servers=tuple(self.real_server(server, entries) for server in pool),
        )

    def real_server(self, server: Server, entries: Table) -> RealServerSnapshot:
        """A server beside what the kernel has of it; connections are those of all services of its pool."""
        there: list[Destination | None] = []
        active = inactive = 0
        for at, entry in entries.items():
            key = kernel_key(at, server.plan) if server.pool.plan.group else server.key
            there.append(entry.destinations.get(key))
            counts = entry.connections.get(key, (0, 0))
            active, inactive = active + counts[0], inactive + counts[1]
        return RealServerSnapshot(
            address=server.plan.address,
            port=server.plan.port,
            snmp_name=server.plan.snmp_name,
            alive=server.alive,
            weight=server.plan.weight,
            effective_weight=server.effective_weight,
            backup=server.plan.backup,
            held=server.held,
            unproven=server.unproven,
            ramp=server.ramp,
            programmed=bool(there) and None not in there,
            kernel_weight=next((each.weight for each in there if each is not None), None),
            active=active,
            inactive=inactive,
            checkers=tuple(self.checker(self.core[target]) for target in server.checkers),
        )

    def checker(self, checker: Checker) -> CheckSnapshot:
        """A checker and its last result."""
        if isinstance(checker, RunnerChecker):
            target = _runner_target(checker)
            result, finished, lateness = _runner_result(checker), checker.seen_wall, checker.lateness
        elif isinstance(checker, FileChecker):
            target = checker.check.track_file
            result, finished, lateness = file_words(checker), checker.heard_wall, 0
        else:
            connection = checker.check.connection  # type: ignore[union-attr]
            ported = checker.kind != Kind.PING
            target = host_port(connection.address, connection.port) if ported else str(connection.address)
            result, finished, lateness = self._probe_result(checker)
        return CheckSnapshot(
            kind=checker.name,
            target=target,
            up=checker.up,
            has_run=checker.has_run,
            result=result if checker.enabled else f"suspended; before: {result}",
            since_wall=self._wall(checker.since),
            last_wall=finished,
            retries_left=checker.retries_left,
            successes_left=checker.successes_left,
            reason=_reason(checker),
            lateness=lateness,
        )

    def _probe_result(self, checker: Checker) -> tuple[str, float, Ns]:
        probe = self.last(checker.target)
        if not probe.started:
            return "not run yet", 0.0, 0
        url = max(0, checker.failed_url) if isinstance(checker, HttpChecker) else 0
        words = result_words(checker.check, probe.verdict, probe.errno, probe.status, url=url)
        return words, self._wall(probe.finished), probe.lateness

    def _wall(self, time: Ns) -> float:
        return time / S + self.wall_offset if time else 0.0


def _runner_target(checker: RunnerChecker) -> str:
    if isinstance(checker, MiscChecker):
        return " ".join(checker.check.command.argv)
    connection = checker.check.connection  # type: ignore[union-attr]
    return host_port(connection.address, connection.port)


def _runner_result(checker: RunnerChecker) -> str:
    if not checker.seen_wall:
        return "not run yet"
    return result_words(checker.check, checker.verdict, checker.errno, checker.status, text=checker.text)


def _reason(checker: Checker) -> str:
    """The result that took the checker down, in words."""
    decided = checker.decided
    if decided is None or isinstance(checker, FileChecker):
        return ""
    url = max(0, checker.failed_url) if isinstance(checker, HttpChecker) else 0
    return result_words(checker.check, decided.verdict, decided.errno, decided.status, url=url, text=decided.text)
