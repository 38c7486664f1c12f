"""Short ways to write checkers, servers and pools in tests, a model kernel, and a director in virtual time."""

from __future__ import annotations

from typing import Any

from fastha.checks.actions import Change, Changed, Probe, RunScript
from fastha.checks.core import CheckCore
from fastha.checks.engine import ModelProbes, Outcome
from fastha.checks.life import Check
from fastha.checks.recipes import Kind, ProbeOrder, Recipe, Report, Verdict
from fastha.lvs.notices import Notice
from fastha.lvs.reconcile import reconcile
from fastha.lvs.wanted import wanted_table
from fastha.model.net import Address
from fastha.model.plan import (
    CheckerPlan,
    Checkers,
    Command,
    Connection,
    DnsCheck,
    FileCheck,
    HttpCheck,
    MiscCheck,
    PingCheck,
    RealServer,
    SmtpCheck,
    TcpCheck,
    UdpCheck,
    Url,
    VirtualServer,
)
from fastha.model.table import Entry, Op, Operation, ServiceKey, Table
from fastha.model.units import S
from fastha.process.director import Director

EEXIST, ENOENT, ESRCH = 17, 2, 3
OK = Outcome(Verdict.SUCCESS)
REFUSED = Outcome(Verdict.REFUSED, errno=111)
LOCAL = Outcome(Verdict.LOCAL, errno=99)


def connection(last: int = 1, port: int = 80) -> Connection:
    return Connection(address=Address(f"10.0.1.{last}"), port=port)


def tcp(last: int = 1, **words: Any) -> TcpCheck:
    return TcpCheck(**{"delay_loop": 6 * S, "warmup": 0, "connection": connection(last), **words})


def http(last: int = 1, urls: tuple[str, ...] = ("/a",), **words: Any) -> HttpCheck:
    defaults = {"delay_loop": 6 * S, "warmup": 0, "delay_before_retry": 3 * S, "connection": connection(last)}
    return HttpCheck(**{**defaults, "urls": tuple(Url(path=path) for path in urls), **words})


def misc(**words: Any) -> MiscCheck:
    defaults = {
        "delay_loop": 6 * S,
        "warmup": 0,
        "retry": 0,
        "timeout": 6 * S,
        "command": Command(argv=("/bin/check",)),
    }
    return MiscCheck(**{**defaults, **words})


KINDS = {"tcp": TcpCheck, "http": HttpCheck, "misc": MiscCheck, "udp": UdpCheck, "dns": DnsCheck, "smtp": SmtpCheck,
         "ping": PingCheck, "file": FileCheck}  # fmt: skip


def checkers(*checks: Check) -> Checkers:
    return Checkers(**{field: tuple(check for check in checks if type(check) is kind) for field, kind in KINDS.items()})


def rs(last: int = 1, *checks: Check, **words: Any) -> RealServer:
    return RealServer(**{"address": Address(f"10.0.1.{last}"), "port": 80, "checkers": checkers(*checks), **words})


def vs(*servers: RealServer, last: int = 1, port: int = 80, **words: Any) -> VirtualServer:
    address = Address(f"10.0.0.{last}")
    defaults = {"name": f"[{address}]:tcp:{port}", "address": address, "port": port, "scheduler": "rr"}
    return VirtualServer(**{**defaults, "real_servers": servers, **words})


def plan(*services: VirtualServer, **words: Any) -> CheckerPlan:
    return CheckerPlan(virtual_servers=services, **words)


class Life:
    """One checker driven by hand: `ok()` and `bad()` give the next result and return (change, delay in seconds)."""

    def __init__(self, check: Check, *, fresh: bool = True, up: bool | None = None) -> None:
        self.core = CheckCore()
        self.now = 0
        self.target, actions = self.core.add(check, "one", self.now, fresh=fresh, up=up)
        (self.order,) = actions
        self.changes: list[Changed] = []
        self.weights: list[int | None] = []

    @property
    def checker(self) -> Any:
        return self.core[self.target]

    @property
    def standing(self) -> bool:
        """Whether the order goes on by itself while the expected happens."""
        order = self.order.order if isinstance(self.order, Probe) else self.order
        return order.interval > 0

    @property
    def recipe(self) -> Recipe:
        return self.order.order.recipe

    @property
    def first(self) -> float:
        order = self.order
        return (order.order.first if isinstance(order, Probe) else self.now + order.delay) / S

    def report(self, verdict: Verdict, *, status: int = 0, took: int = 0, errno: int = 0) -> tuple[Change, float]:
        order = self.order.order if isinstance(self.order, Probe) else self.order
        started = order.first if isinstance(order, ProbeOrder) else self.now + order.delay
        self.now = started + took
        actions = self.core.handle(
            Report(self.target, order.generation, verdict, errno, status, started, self.now), self.now
        )
        changed = [action for action in actions if isinstance(action, Changed)]
        self.weights += [action.weight for action in actions if hasattr(action, "weight")]
        self.changes += changed
        (self.order,) = [action for action in actions if isinstance(action, (Probe, RunScript))]
        return (changed[0].change if changed else Change.NONE), self.first - self.now / S

    def ok(self, **words: Any) -> tuple[Change, float]:
        return self.report(Verdict.SUCCESS, **words)

    def bad(self, verdict: Verdict = Verdict.REFUSED, **words: Any) -> tuple[Change, float]:
        return self.report(verdict, **words)


class ModelKernel:
    """The kernel's table with its errors: EEXIST, ENOENT, ESRCH; strict, unlike a plane, which forgives some."""

    def __init__(self, table: Table | None = None) -> None:
        self.table: Table = table if table is not None else {}
        self.writes = 0

    def apply(self, operations: list[Operation]) -> list[int]:
        """Errnos, 0 for success."""
        self.writes += len(operations)
        return [self._one(operation) for operation in operations]

    def _one(self, operation: Operation) -> int:
        op, at, key = operation.op, operation.at, operation.key
        entry = self.table.get(at)
        if op == Op.ADD_SERVICE:
            if entry is not None:
                return EEXIST
            self.table[at] = Entry(operation.service)
            return 0
        if entry is None:
            return ESRCH
        if op == Op.EDIT_SERVICE:
            entry.service = operation.service
        elif op == Op.DELETE_SERVICE:
            del self.table[at]
        elif op == Op.ADD_DEST:
            if key in entry.destinations:
                return EEXIST
            entry.destinations[key] = operation.destination
        elif key not in entry.destinations:
            return ENOENT
        elif op == Op.EDIT_DEST:
            entry.destinations[key] = operation.destination
        else:
            del entry.destinations[key]
        return 0


class Lab:
    """A director with model servers and a model kernel, in virtual time.

    `state[address]` is what a probe of that server gives; a function of (recipe, now) is asked. Scripts are probed by
    the same model, `state["script"]` or by their first argument.
    """

    def __init__(
        self, config: CheckerPlan, *, kernel: Table | None = None, ours: set[ServiceKey] = frozenset()
    ) -> None:
        self.now = 0
        self.state: dict[str, Any] = {}
        self.scripts: dict[int, RunScript] = {}
        self.probes = ModelProbes(self._behave)
        self.kernel = ModelKernel(kernel)
        self.director = Director()
        self.notices: list[Notice] = []
        self.lines: list[str] = []
        self.runs: list[tuple[float, str]] = []
        self.errors: list[int] = []
        self.ours = set(ours)
        self.director.start(config, 0, kernel=self.kernel.table, ours=ours)
        self.settle()

    def _behave(self, target: int, recipe: Recipe, now: int) -> Outcome:
        name = self.scripts[target].command.argv[0] if recipe.kind == Kind.SCRIPT else str(recipe.address)
        self.runs.append((now / S, name))
        state = self.state.get(name, OK)
        return state(recipe, now) if callable(state) else state

    def settle(self) -> None:
        """Do what the director says."""
        effects = self.director.take()
        for action in effects.orders:
            if isinstance(action, Probe):
                self.probes.order(action.order, self.now)
            elif isinstance(action, RunScript):
                self.scripts[action.target] = action
                recipe = Recipe(kind=Kind.SCRIPT, timeout=action.timeout, script=action.target)
                order = ProbeOrder(
                    target=action.target,
                    generation=action.generation,
                    recipe=recipe,
                    first=self.now + action.delay,
                    interval=0 if action.dynamic else action.interval,
                    expect_success=action.expect_success,
                )
                self.probes.order(order, self.now)
            else:
                self.probes.remove(action.target)
        self.notices += effects.notices
        self.lines += [f"{level} {text}" for level, text, _ in effects.lines]
        if effects.touched:
            wanted = wanted_table(self.director.services)
            self.ours |= set(wanted)
            errors = self.kernel.apply(reconcile(self.kernel.table, wanted, self.ours))
            self.errors += [error for error in errors if error]

    def run(self, seconds: float) -> list[Notice]:
        """Let time pass; returns what was told meanwhile."""
        told = len(self.notices)
        end = self.now + round(seconds * S)
        while (due := self.probes.deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            for report in self.probes.advance(self.now):
                self.director.report(report, self.now)
            self.settle()
        self.now = end
        return self.notices[told:]

    def reload(self, config: CheckerPlan) -> list[Notice]:
        told = len(self.notices)
        self.director.reload(config, self.now)
        self.settle()
        return self.notices[told:]

    def stop(self) -> list[Notice]:
        told = len(self.notices)
        self.director.stop()
        self.settle()
        return self.notices[told:]

    def weights(self, number: int = 0) -> dict[str, int]:
        """Address -> weight in the kernel, of the n-th virtual server."""
        key = list(self.director.pools)[number]
        return {str(at.address): there.weight for at, there in self.kernel.table[key].destinations.items()}


def told(notices: list[Notice]) -> list[str]:
    """`RS 10.0.1.1 DOWN`, `VS UP`: notices in short."""
    return [
        f"RS {notice.name[1:].split(']')[0]} {notice.state}".strip() if notice.kind == "RS" else f"VS {notice.state}"
        for notice in notices
    ]
