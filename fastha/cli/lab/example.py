"""An example: two configuration files, what they say to the lab, and what must come of each mishap.

Everything the lab needs to know stands in the configurations themselves: which addresses the client asks, which
server uses which gateway, how long a takeover or an ejection may last.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Final

from fastha.cli.lab.network import DIRECTORS, PORTS, SERVERS
from fastha.config.diagnostics import render_text
from fastha.config.host import Interface
from fastha.config.load import load
from fastha.model.net import Address
from fastha.model.plan import CheckerTiming, Plan, RealServer, VirtualServer, VrrpInstance
from fastha.model.units import Ns
from fastha.system.host import SystemHost
from fastha.vrrp.priority import Seen, assess, tracks_of
from fastha.vrrp.timers import master_down_interval

CONFIG_DIR: Final = "/etc/keepalived"
WEB_PORT: Final = 80


class ExampleError(Exception):
    """There is no such example, or its files are not ones the lab can bring to life."""


class DirectorHost(SystemHost):
    """This machine, seen from a director that does not exist yet: its interfaces are those of the lab."""

    def interfaces(self) -> Mapping[str, Interface]:
        return {"lo": Interface("lo", loopback=True)} | {
            port.device: Interface(port.device) for port in PORTS if port.machine == DIRECTORS[0]
        }


def folder() -> Path:
    """Where the examples are, in a checkout or an installed package."""
    return Path(str(resources.files("fastha") / "examples"))


def names() -> list[str]:
    """The examples that come with fastha."""
    return sorted(entry.name for entry in folder().iterdir() if entry.is_dir())


def title(name: str) -> str:
    """What the README says of an example."""
    for line in (folder() / "README.md").read_text().splitlines():
        if line.startswith(f"| `{name}` |"):
            return line.split("|")[2].strip()
    return ""


@dataclass(frozen=True, slots=True)
class Target:
    """Something the client asks for."""

    label: str
    address: Address
    port: int


@dataclass(slots=True)
class Condition:
    """What is broken right now."""

    dead: set[str] = field(default_factory=set)
    """Directors whose daemon does not run (or that nobody can reach)."""
    severed: set[str] = field(default_factory=set)
    """Directors behind whose back network there is nothing."""
    maintained: set[str] = field(default_factory=set)
    """Directors whose maintenance file says 1."""
    down: set[str] = field(default_factory=set)
    """Web servers."""


@dataclass(frozen=True, slots=True)
class Example:
    """Two directors' plans and what follows from them."""

    name: str
    plans: Mapping[str, Plan]

    @property
    def first(self) -> Plan:
        """The plan of the first director; both are about the same addresses and pools."""
        return self.plans[DIRECTORS[0]]

    @property
    def instances(self) -> tuple[VrrpInstance, ...]:
        return self.first.vrrp.instances

    @property
    def services(self) -> tuple[VirtualServer, ...]:
        return self.first.checker.virtual_servers

    def plan_of(self, director: str, instance: str) -> VrrpInstance:
        return next(i for i in self.plans[director].vrrp.instances if i.name == instance)

    # ------------------------------------------------------------------------------- set-up

    def targets(self) -> list[Target]:
        """The services, or behind plain routers the web servers themselves."""
        if self.services:
            return [Target(vs.name, vs.address, vs.port) for vs in self.services if vs.address]
        return [Target(name, Address(address), WEB_PORT) for name, address in SERVERS.items()]

    def routes(self) -> dict[str, str]:
        """machine -> default gateway: a virtual address of the network it is in, for a server the one that moves
        together with the address of its service."""
        front, back = self._virtual("eth0"), self._virtual("eth1")
        routes = {}
        if front and not self.services:
            routes["client"] = next(iter(front.values()))
        for name, address in SERVERS.items():
            if back:
                routes[name] = back.get(self._group_of_server(address), next(iter(back.values())))
        return routes

    def _virtual(self, device: str) -> dict[str, str]:
        """sync group (or instance) -> its first address on `device`."""
        return {self._group(i.name): i.addresses[0].address for i in self.instances if i.interface == device}

    def _group(self, instance: str) -> str:
        return next((g.name for g in self.first.vrrp.sync_groups if instance in g.members), instance)

    def _group_of_server(self, server: str) -> str:
        for vs in self.services:
            if any(rs.address == server for rs in vs.real_servers):
                holder = next((i for i in self.instances if any(a.address == vs.address for a in i.addresses)), None)
                return self._group(holder.name) if holder else ""
        return ""

    @property
    def maintenance_file(self) -> str | None:
        """The file that moves the addresses away, if the configuration tracks one."""
        return next((file.path for file in self.first.runner.track_files), None)

    @property
    def watches_path(self) -> bool:
        """Whether a script is tracked: then a director can notice that it reaches nothing any more."""
        return bool(self.first.runner.track_scripts)

    # ------------------------------------------------------------------------- what must come

    def masters(self, condition: Condition) -> dict[str, str | None]:
        """instance -> the director that must hold it; None when nobody can."""
        return {i.name: self._master(i.name, condition) for i in self.instances}

    def _master(self, instance: str, condition: Condition) -> str | None:
        best: tuple[int, str] | None = None
        for director in DIRECTORS:
            if director in condition.dead:
                continue
            plan, vrrp = self.plan_of(director, instance), self.plans[director].vrrp
            group = next((g for g in vrrp.sync_groups if instance in g.members), None)
            runner = self.plans[director].runner
            seen = Seen(
                interfaces={"eth0": True, "eth1": True},
                scripts={script.name: director not in condition.severed for script in runner.track_scripts},
                files={file.name: int(director in condition.maintained) for file in runner.track_files},
            )
            verdict = assess(plan.priority, tracks_of(plan, group), seen)
            if not verdict.faults and (best is None or verdict.effective > best[0]):
                best = (verdict.effective, director)
        return best[1] if best else None

    def pool(self, service: VirtualServer, condition: Condition) -> set[Address]:
        """The servers that must be in the pool of `service`."""
        down = {SERVERS[name] for name in condition.down}
        return {rs.address for rs in service.real_servers if rs.address not in down}

    def takeover(self) -> Ns:
        """The longest a master may be missed: the largest master-down interval of any instance on any director."""
        return max(
            (
                master_down_interval(i.version, i.priority, i.adver_int, i.down_timer_adverts)
                for plan in self.plans.values()
                for i in plan.vrrp.instances
            ),
            default=0,
        )

    def preempt_delay(self) -> Ns:
        """How much longer a director waits before it takes back what a lower priority holds."""
        return max((i.preempt_delay for plan in self.plans.values() for i in plan.vrrp.instances), default=0)

    def judgement(self) -> Ns:
        """The longest a checker or a tracking script may take to change its verdict."""
        checks = [_judgement(check) for vs in self.services for rs in vs.real_servers for check in checkers(rs)]
        scripts = [
            max(s.rise, s.fall) * max(s.interval, s.timeout) + s.timeout for s in self.first.runner.track_scripts
        ]
        return max(checks + scripts, default=0)


def checkers(server: RealServer) -> list[CheckerTiming]:
    """All checkers of a server, whatever kind."""
    return [*server.checkers.tcp, *server.checkers.http, *server.checkers.misc]


def _judgement(check: CheckerTiming) -> Ns:
    """From an event to the verdict: the wait for the next run, and every retry timing out."""
    connection = getattr(check, "connection", None)
    timeout = connection.connect_timeout if connection else getattr(check, "timeout", check.delay_loop)
    return check.delay_loop + timeout + check.retry * (check.delay_before_retry + timeout)


def locate(name: str) -> Path:
    """The directory of the example called `name`, or `name` itself when it is a path. Raises ExampleError."""
    path = Path(name) if os.sep in name else folder() / name
    if not path.is_dir():
        known = ", ".join(names())
        raise ExampleError(f"there is no example {name!r}; there are {known} (or name a directory: ./{name})")
    return path.absolute()


def copy_files(path: Path, to: Path) -> None:
    """An example's files as an operator would install them: owned by (the cage's) root, scripts executable."""
    for file in path.iterdir():
        if file.is_file():
            copy = to / file.name
            shutil.copyfile(file, copy)
            copy.chmod(0o755 if file.read_bytes().startswith(b"#!") else 0o644)


def read(name: str) -> Example:
    """The example whose files were copied to CONFIG_DIR. Raises ExampleError."""
    plans = {director: _plan(Path(CONFIG_DIR, f"{director}.conf")) for director in DIRECTORS}
    example = Example(name, plans)
    if not example.instances:
        raise ExampleError(f"{name}: no vrrp_instance, so nobody would hold an address")
    if [i.name for i in example.instances] != [i.name for i in plans[DIRECTORS[1]].vrrp.instances]:
        raise ExampleError(f"{name}: the two directors have different instances")
    return example


def _plan(path: Path) -> Plan:
    """The plan of one director; a finding in its file is an error of the example."""
    if not path.exists():
        raise ExampleError(f"the example has no {path.name}")
    loaded = load(str(path), DirectorHost())
    if loaded.plan is None or loaded.exit_code:
        raise ExampleError(f"{path.name} is not in order\n{render_text(loaded.diagnostics)}")
    return loaded.plan
