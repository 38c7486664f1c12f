"""How the lab looks: a live table on a terminal, lines elsewhere."""

import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from fastha.cli.lab.check import Outcome
from fastha.cli.lab.lab import Lab, View
from fastha.cli.lab.network import DIRECTORS, SERVERS
from fastha.model.snapshot import RealServerSnapshot, VirtualServerSnapshot
from fastha.model.units import seconds_text

KEYS = {
    "f": "failover",
    "o": "handover",
    "c": "crash",
    "s": "server-down",
    "m": "maintenance",
    "p": "path-down",
    "h": "heal",
}
NAMES = 22
"""Columns for the names of instances and services."""
STYLES = {"MASTER": "bold green", "BACKUP": "cyan", "FAULT": "bold red", "no power": "red", "stopped": "red"}


def state_of(lab: Lab, view: View, director: str, instance: str) -> str:
    """MASTER, BACKUP, ...: what the daemon says; where it says nothing, what its kernel shows."""
    if not lab.directors[director].exists:
        return "no power"
    if director in lab.condition.dead:
        return "stopped"
    snapshot = view.snapshots.get(director)
    if snapshot and snapshot.vrrp:
        return next((i.state for i in snapshot.vrrp.instances if i.name == instance), "unknown")
    held = view.addresses.get(director, set())
    mine = lab.example.plan_of(director, instance).addresses
    return "has the address" if any(a.address in held for a in mine) else "silent"


def why_out(server: RealServerSnapshot) -> str:
    """Why a server is not in the pool, in the words of its checkers."""
    reasons = [f"{check.kind}: {check.result}" for check in server.checkers if not check.up]
    return "; ".join(reasons) or ("not in the kernel" if not server.programmed else "weight 0")


def in_pool(server: RealServerSnapshot) -> bool:
    """The kernel sends connections to it."""
    return server.programmed and bool(server.kernel_weight)


def server_text(server: RealServerSnapshot) -> str:
    """`web1` or `web1 out (TCP_CHECK: connection refused)`."""
    name = next((name for name, address in SERVERS.items() if address == server.address), server.address)
    return name if in_pool(server) else f"{name} out ({why_out(server)})"


def service_of(view: View, director: str | None, name: str) -> VirtualServerSnapshot | None:
    """What `director` says of a service."""
    snapshot = view.snapshots.get(director or "")
    if snapshot is None or snapshot.checker is None:
        return None
    return next((vs for vs in snapshot.checker.virtual_servers if vs.name == name), None)


def table_of(title: str, first: str, *, roomy: bool) -> Table:
    """A table with its first column: with a frame and a heading, or in as few lines as it can be."""
    if not roomy:
        table = Table(box=None, expand=True, pad_edge=False, header_style="bold underline")
        table.add_column(first, no_wrap=True, max_width=NAMES)
        return table
    table = Table(title=title, title_justify="left", expand=True)
    table.add_column(first, width=NAMES)
    return table


def directors_table(lab: Lab, view: View, *, roomy: bool) -> Table:
    table = table_of(f"{lab.example.name}: who holds which address", "instance", roomy=roomy)
    table.add_column("address", width=15)
    for director in DIRECTORS:
        table.add_column(director, ratio=1, no_wrap=not roomy)
    for instance in lab.example.instances:
        cells = []
        for director in DIRECTORS:
            state = state_of(lab, view, director, instance.name)
            told = detail(view, director, instance.name, roomy=roomy)
            cells.append(Text(state, STYLES.get(state, "")) + Text(told, "dim"))
        table.add_row(instance.name, ", ".join(a.address for a in instance.addresses), *cells)
    return table


def detail(view: View, director: str, instance: str, *, roomy: bool) -> str:
    """Priority, time and (where there is room) reason of an instance, if its daemon tells."""
    snapshot = view.snapshots.get(director)
    found = (
        next((i for i in snapshot.vrrp.instances if i.name == instance), None) if snapshot and snapshot.vrrp else None
    )
    if found is None or snapshot is None:
        return ""
    since = max(0, int(snapshot.wall - found.since_wall))
    if not roomy:
        return f" {found.effective_priority}, for {since} s"
    return f" priority {found.effective_priority}, for {since} s ({found.reason})"


def pools_table(lab: Lab, view: View, *, roomy: bool) -> Table:
    table = table_of("pools", "service", roomy=roomy)
    for director in DIRECTORS:
        table.add_column(f"pool of {director}", ratio=1)
    for vs in lab.example.services:
        cells = []
        for director in DIRECTORS:
            service = service_of(view, director, vs.name)
            servers = service.real_servers if service else ()
            texts = [Text(server_text(rs), "" if in_pool(rs) else STYLES["FAULT"]) for rs in servers]
            cells.append(Text("\n" if roomy else ", ").join(texts) if texts else Text("-", "dim"))
        table.add_row(vs.name, *cells)
    return table


def traffic_table(lab: Lab, *, roomy: bool) -> Table:
    now = time.monotonic_ns()
    requests = f"requests, {lab.rate:g} a second"
    table = table_of(requests, "target", roomy=roomy)
    table.add_column("answered by" if roomy else requests, ratio=2)
    table.add_column("failed", ratio=1)
    for name in ("longest gap", "since the last act" if roomy else "since act"):
        table.add_column(name, justify="right")
    for target in lab.example.targets():
        whole, marked = lab.traffic.whole.get(target.label), lab.traffic.marked.get(target.label)
        if whole is None or marked is None:
            table.add_row(target.label, "nobody yet")
            continue
        answered = ", ".join(f"{name} {count}" for name, count in sorted(whole.answered.items()))
        failed = ", ".join(f"{count} {reason.lower()}" for reason, count in whole.failed.items())
        gaps = [seconds_text(window.gap(now) // 1_000_000 * 1_000_000) for window in (whole, marked)]
        table.add_row(target.label, answered, failed or "none", *gaps)
    return table


@dataclass(frozen=True, slots=True)
class Screen:
    """The whole display of one moment, in the roomiest shape that fits the terminal. The keys are always there; of
    what does not fit even then the pools go first, and what is left is cut at its end."""

    lab: Lab
    view: View

    def _shapes(self) -> Iterator[RenderableType]:
        for roomy, pools in ((True, True), (False, True), (False, False)):
            parts: list[RenderableType] = [directors_table(self.lab, self.view, roomy=roomy)]
            if self.lab.example.services and pools:
                parts.append(pools_table(self.lab, self.view, roomy=roomy))
            parts.append(traffic_table(self.lab, roomy=roomy))
            told = self.lab.told[-3:] if roomy else self.lab.told[-1:]
            parts.append(Text(" | ".join(told) or self.lab.example.name))
            yield Group(*parts)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        keys = [f"[{key}]\0{act}" for key, act in KEYS.items() if act in self.lab.acts]
        # rich would break lines between a key and its word
        wrapped = textwrap.wrap("  ".join([*keys, "[q]\0quit"]), options.max_width)
        foot = console.render_lines(Text("\n".join(wrapped).replace("\0", " "), "bold"), options, pad=False)
        room = max(0, console.size.height - len(foot))
        body: list[list[Segment]] = []
        for shape in self._shapes():
            body = console.render_lines(shape, options, pad=False)
            if len(body) <= room:
                break
        for line in (*body[:room], *foot):
            yield from line
            yield Segment.line()


def lines(lab: Lab, view: View) -> Iterator[str]:
    """The same in plain lines: one per instance and service, one per target."""
    for instance in lab.example.instances:
        states = ", ".join(f"{d} {state_of(lab, view, d, instance.name)}" for d in DIRECTORS)
        yield f"{instance.name}: {states}"
    acting = lab.master(view)
    for vs in lab.example.services:
        holder = next((d for d, held in view.addresses.items() if vs.address in held), acting)
        if (service := service_of(view, holder, vs.name)) is not None:
            yield f"{vs.name} on {holder}: {', '.join(server_text(rs) for rs in service.real_servers)}"


def traffic_line(lab: Lab) -> str:
    """Requests per server and the longest gap since the last act, of all targets."""
    now = time.monotonic_ns()
    parts = []
    for label, window in lab.traffic.marked.items():
        answered = ", ".join(f"{name} {count}" for name, count in sorted(window.answered.items()))
        parts.append(
            f"{label}: {answered or 'no answer'}; {window.failed.total()} failed; "
            f"longest gap {window.gap(now) / 1e9:.3f} s"
        )
    return " | ".join(parts) or "no requests yet"


def report(outcomes: list[Outcome]) -> Iterator[str]:
    """What the acts of a script did, what was allowed, and what was not as it must be: lines."""
    for o in outcomes:
        settled = f"after {o.settled / 1e9:.1f} s" if o.settled is not None else "never"
        yield (
            f"{'FAILED' if o.problems else 'ok':6} {o.act}: {o.told}; in order {settled} (at most "
            f"{o.allowed.settle / 1e9:.1f}), longest gap {o.gap / 1e9:.3f} s (at most {o.allowed.gap / 1e9:.3f}), "
            f"{o.failed} failed requests"
        )
        yield from (f"       {problem}" for problem in o.problems)
