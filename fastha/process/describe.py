"""The checker process's part of the Snapshot: the director's state, the kernel's table, the engine's last results."""

from collections.abc import Callable
from dataclasses import dataclass

from fastha.checks.core import CheckCore
from fastha.checks.life import Checker, HttpChecker, MiscChecker
from fastha.checks.recipes import LastProbe
from fastha.checks.words import result_words
from fastha.lvs.quorum import Pool, Server
from fastha.model.net import host_port
from fastha.model.snapshot import CheckSnapshot, RealServerSnapshot, VirtualServerSnapshot
from fastha.model.table import Entry
from fastha.model.units import Ns, S


@dataclass(frozen=True, slots=True)
class Describer:
    """`last` asks the probe engine; `wall_offset` is wall time minus monotonic time, in seconds."""

    core: CheckCore
    last: Callable[[int], LastProbe]
    wall_offset: float

    def virtual_server(self, pool: Pool, entry: Entry | None) -> VirtualServerSnapshot:
        """A pool beside what the kernel has of it (None: nothing, or it could not be read)."""
        plan = pool.plan
        sorry = plan.sorry_server
        return VirtualServerSnapshot(
            name=plan.name,
            scheduler=plan.scheduler,
            quorum=plan.quorum,
            hysteresis=plan.hysteresis,
            quorum_up=pool.quorum_up,
            weight_alive=pool.alive_weight,
            programmed=entry is not None,
            sorry_server=host_port(sorry.address, sorry.port) if sorry is not None else None,
            sorry_in_use=pool.sorry_in_use,
            real_servers=tuple(self.real_server(server, entry) for server in pool),
        )

    def real_server(self, server: Server, entry: Entry | None) -> RealServerSnapshot:
        """A server beside what the kernel has of it."""
        there = entry.destinations.get(server.key) if entry is not None else None
        active, inactive = entry.connections.get(server.key, (0, 0)) if entry is not None else (0, 0)
        return RealServerSnapshot(
            address=server.plan.address,
            port=server.plan.port,
            alive=server.alive,
            weight=server.plan.weight,
            effective_weight=server.effective_weight,
            programmed=there is not None,
            kernel_weight=there.weight if there is not None else None,
            active=active,
            inactive=inactive,
            checkers=tuple(self.checker(self.core[target]) for target in server.checkers),
        )

    def checker(self, checker: Checker) -> CheckSnapshot:
        """A checker and its last result."""
        if isinstance(checker, MiscChecker):
            target = " ".join(checker.check.command.argv)
            result, finished, lateness = _script_result(checker), checker.seen_wall, checker.lateness
        else:
            connection = checker.check.connection  # type: ignore[union-attr]
            target = host_port(connection.address, connection.port)
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


def _script_result(checker: MiscChecker) -> str:
    if not checker.seen_wall:
        return "not run yet"
    return result_words(checker.check, checker.verdict, 0, checker.status)
