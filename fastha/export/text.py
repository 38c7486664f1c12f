"""The Snapshot for people, as tables of meaningful cells, and these as plain lines; `export.terminal` shows them with
colours."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Final

from fastha.model.net import host_port
from fastha.model.snapshot import (
    CheckerSnapshot,
    CheckSnapshot,
    Histogram,
    InstanceSnapshot,
    RealServerSnapshot,
    RunnerSnapshot,
    Snapshot,
    VirtualServerSnapshot,
    VrrpSnapshot,
)
from fastha.model.units import seconds_text

GOOD: Final = "green"
BAD: Final = "red"
DULL: Final = "yellow"
WIDTH: Final = 100
"""Characters of a line where there is no terminal to say how many."""
_GAP: Final = "  "
_STATE_STYLE: Final = {"MASTER": GOOD, "FAULT": BAD, "running": GOOD, "waiting": BAD}


@dataclass(frozen=True, slots=True)
class Cell:
    """A piece of text with a meaning that a terminal may colour."""

    text: str
    style: str = ""


@dataclass(slots=True)
class Table:
    """A heading, columns and rows; or lines of prose when there are no columns."""

    title: str
    columns: tuple[str, ...] = ()
    rows: list[tuple[Cell, ...]] = field(default_factory=list)
    notes: list[Cell] = field(default_factory=list)

    def add(self, *cells: str | Cell) -> None:
        self.rows.append(tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in cells))


# --------------------------------------------------------------------------------------------- what


def tables(snapshot: Snapshot, *, verbose: bool = False) -> Iterator[Table]:
    """Everything worth reading, in order; with `verbose` the counters that are 0, too."""
    yield _head(snapshot)
    if snapshot.vrrp is not None:
        yield from _vrrp(snapshot.vrrp, snapshot.wall)
        yield from _counters("counters of the advert engine", snapshot.vrrp.engine, verbose=verbose)
    if snapshot.checker is not None:
        checker = snapshot.checker
        yield from _checker(checker, snapshot.wall)
        counters = {
            name: value
            for name, value in checker.counters.items()
            if checker.plane != "none" or not name.startswith("plane_")
        }
        yield from _counters("counters of the checks and the plane", counters, verbose=verbose)
    if snapshot.runner is not None:
        yield from _runner(snapshot.runner, snapshot.wall)
        yield from _counters("counters of the runner", snapshot.runner.counters, verbose=verbose)


def _head(snapshot: Snapshot) -> Table:
    table = Table(f"fastha {snapshot.version}", ("process", "pid", "state", "since", "restarts", "last end"))
    table.notes.append(Cell(f"configuration {snapshot.config}, read {_when(snapshot.config_loaded_wall)}"))
    if snapshot.config_note:
        table.notes.append(Cell(snapshot.config_note, BAD))
    answered = {"vrrp": snapshot.vrrp, "checker": snapshot.checker, "runner": snapshot.runner}
    for process in snapshot.processes:
        if process.down_since_wall:
            since = f"{_when(process.down_since_wall)} ({_ago(snapshot.wall, process.down_since_wall)})"
            table.notes.append(Cell(f"no {process.name} process works since {since}", BAD))
        state = process.state
        if state == "running" and answered.get(process.name) is None:
            state = "running, does not answer"
        style = _STATE_STYLE.get(state, "" if state == "not needed" else DULL)
        table.add(
            process.name,
            str(process.pid or "-"),
            Cell(state, style),
            _ago(snapshot.wall, process.since_wall),
            Cell(str(process.restarts), DULL if process.restarts else ""),
            process.last_exit or "-",
        )
    return table


def _vrrp(vrrp: VrrpSnapshot, now: float) -> Iterator[Table]:
    table = Table("instances", ("instance", "state", "since", "why", "priority", "master", "addresses present"))
    for instance in vrrp.instances:
        table.add(
            f"{instance.name} ({instance.interface}, {instance.virtual_router_id})",
            Cell(instance.state, _STATE_STYLE.get(instance.state, "")),
            _ago(now, instance.since_wall),
            instance.reason,
            _priority(instance),
            f"{instance.master_address or '-'} ({instance.master_priority})",
            _presence(instance),
        )
    yield table
    if vrrp.sync_groups:
        groups = Table("sync groups", ("group", "state", "members"))
        for group in vrrp.sync_groups:
            groups.add(group.name, Cell(group.state, _STATE_STYLE.get(group.state, "")), ", ".join(group.members))
        yield groups
    facts = Table("vrrp process")
    down = [name for name, up in vrrp.interfaces.items() if not up]
    if down:
        facts.notes.append(Cell(f"interfaces down: {', '.join(down)}", BAD))
    if vrrp.realtime:
        facts.notes.append(Cell(f"scheduling: {vrrp.realtime}"))
    facts.notes.append(Cell(f"adverts sent late by: {_histogram(vrrp.lateness)}"))
    yield facts


def _priority(instance: InstanceSnapshot) -> str:
    terms = " ".join(
        f"{term.value:+d} {term.source}" + (" (failed)" if term.failed else "")
        for term in instance.priority_terms
        if term.source != "configured" and (term.value or term.failed)
    )
    made = f" = {instance.priority} {terms}" if terms else ""
    return f"{instance.effective_priority}{made}"


def _presence(instance: InstanceSnapshot) -> Cell:
    present = len(set(instance.present) & set(instance.addresses))
    wanted = len(instance.addresses) if instance.state == "MASTER" else 0
    text = f"{present} of {len(instance.addresses)}"
    if len(instance.addresses) <= 2 and present:
        text += f": {', '.join(instance.present)}"
    return Cell(text, "" if present == wanted else BAD)


def _checker(checker: CheckerSnapshot, now: float) -> Iterator[Table]:
    head = Table(f"virtual servers, in {checker.plane}" if checker.plane != "none" else "virtual servers, only checked")
    if checker.plane_note:
        head.notes.append(Cell(checker.plane_note, DULL))
    head.notes += [Cell(f"refused by the kernel: {text}", BAD) for text in checker.refusals]
    head.notes += [Cell(f"in the way: {text}", BAD) for text in checker.warnings]
    if checker.sync_daemon:
        head.notes.append(Cell(f"connections are synchronised: {' and '.join(checker.sync_daemon)}"))
    if checker.host and checker.plane != "none":
        head.notes.append(Cell(f"host: {', '.join(f'{name} {value}' for name, value in checker.host.items())}"))
    head.notes += [Cell(f"changed by others: {text}", BAD) for text in checker.drift]
    head.notes += [Cell(f"left alone: {text}") for text in checker.not_understood]
    if checker.foreign_services:
        head.notes.append(Cell(f"not ours, left alone: {', '.join(checker.foreign_services)}"))
    head.notes.append(Cell(f"checks started late by: {_histogram(checker.lateness)}"))
    if checker.overdue.counts:
        head.notes.append(Cell(f"checks were found idle for: {_histogram(checker.overdue)}", BAD))
    yield head
    for service in checker.virtual_servers:
        yield _service(service, now)


def _service(service: VirtualServerSnapshot, now: float) -> Table:
    quorum = f"{service.quorum}+-{service.hysteresis}" if service.hysteresis else str(service.quorum)
    state = "up" if service.quorum_up else "DOWN"
    table = Table(
        f"{service.name} {service.scheduler}",
        ("server", "state", "weight", "kernel", "active", "inactive", "check", "result", "since", "last", "late"),
    )
    text = f"quorum {quorum} {state}, weight alive {service.weight_alive}"
    if service.services:
        text += f", {len(service.services)} services: {', '.join(service.services[:3])}"
        text += ", ..." if len(service.services) > 3 else ""
    if service.backup_in_use:
        text += ", BACKUPS SERVE"
    if service.panics:
        text += ", ALL SERVERS SERVE (panic_threshold)"
    if service.draining:
        text += f", draining {', '.join(service.draining)}"
    if service.snmp_name:
        text += f", SNMP name {service.snmp_name}"
    if not service.programmed:
        text += ", not in the kernel"
    if service.sorry_server is not None:
        text += f", sorry server {service.sorry_server}{' IN USE' if service.sorry_in_use else ''}"
    table.notes.append(Cell(text, "" if service.quorum_up and service.programmed else BAD))
    for server in service.real_servers:
        _server(table, server, now)
    return table


def _server(table: Table, server: RealServerSnapshot, now: float) -> None:
    weight = str(server.effective_weight)
    if server.effective_weight != server.weight:
        weight += f" ({server.weight})"
    if server.backup:
        weight += " backup"
    if server.held:
        weight += " held"
    if server.unproven:
        weight += " unproven"
    if server.ramp < 100:
        weight += f" at {server.ramp} %"
    kernel = Cell("-" if server.kernel_weight is None else str(server.kernel_weight))
    if (server.kernel_weight is not None) != server.programmed:
        kernel = Cell(kernel.text, BAD)
    checks: list[CheckSnapshot | None] = [*server.checkers] or [None]
    for number, check in enumerate(checks):
        first = (
            host_port(server.address, server.port),
            Cell("up" if server.alive else "DOWN", GOOD if server.alive else BAD),
            weight,
            kernel,
            str(server.active),
            str(server.inactive),
        )
        left: tuple[str | Cell, ...] = first if number == 0 else ("", "", "", "", "", "")
        table.add(*left, *_check(check, now))


def _check(check: CheckSnapshot | None, now: float) -> tuple[str | Cell, ...]:
    if check is None:
        return ("none", "always up", "", "", "")
    result = check.result if check.has_run or check.successes_left else "not run yet"
    if check.has_run and check.up and check.retries_left and not result:
        result = f"{check.retries_left} retries left"
    if not check.up and check.reason not in {"", check.result}:
        result += f"; down by: {check.reason}"
    if check.successes_left > 1:
        result += f"; {check.successes_left} successes to come up"
    return (
        f"{check.kind} {check.target}",
        Cell(result, "" if check.up else BAD),
        _ago(now, check.since_wall),
        _ago(now, check.last_wall),
        seconds_text(check.lateness),
    )


def _runner(runner: RunnerSnapshot, now: float) -> Iterator[Table]:
    late = [
        Cell(f"{what} late by: {_histogram(histogram)}")
        for what, histogram in (
            ("scripts started", runner.script_lateness),
            ("dialogues with services began", runner.service_lateness),
        )
        if sum(histogram.counts)
    ]
    if late:
        yield Table("runner", notes=late)
    if runner.scripts:
        table = Table("scripts", ("script", "state", "last result", "last end", "running", "late"))
        for script in runner.scripts:
            style = {"up": GOOD, "down": BAD}.get(script.state, DULL)
            table.add(
                script.name,
                Cell(script.state, style),
                script.result,
                _ago(now, script.last_wall),
                "yes" if script.running else "",
                seconds_text(script.lateness),
            )
        yield table
    if runner.files:
        files = Table("tracked files", ("file", "value"))
        for name, value in runner.files.items():
            files.add(name, str(value))
        yield files


# --------------------------------------------------------------------------------------------- words


def _when(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S") if wall else "never"


def _ago(now: float, wall: float) -> str:
    """How long ago, in the unit that fits."""
    if not wall:
        return "never"
    seconds = max(0.0, now - wall)
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / divisor:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def _counters(title: str, counters: dict[str, int], *, verbose: bool) -> Iterator[Table]:
    """Names and values, column by column; no table when there is nothing to show."""
    shown = [(name, str(value)) for name, value in counters.items() if value or verbose]
    if not shown:
        return
    wide = max(len(name) + len(value) for name, value in shown) + 2 * len(_GAP)
    columns = max(1, min(3, len(shown), (WIDTH - len(_GAP)) // wide))
    height = -(-len(shown) // columns)
    table = Table(title, ("counter", "value") * columns)
    for row in range(height):
        pairs = shown[row::height]
        table.add(*(text for pair in (*pairs, *[("", "")] * (columns - len(pairs))) for text in pair))
    yield table


def _histogram(histogram: Histogram) -> str:
    """Median, 99th percentile (upper bounds of their bins) and maximum."""
    total = sum(histogram.counts)
    if not total:
        return "nothing yet"
    return ", ".join(
        [
            f"half at most {_quantile(histogram, total, 0.5)}",
            f"99 % at most {_quantile(histogram, total, 0.99)}",
            f"at worst {seconds_text(histogram.maximum)} (of {total})",
        ]
    )


def _quantile(histogram: Histogram, total: int, share: float) -> str:
    seen = 0
    for bound, count in zip(histogram.bounds, histogram.counts, strict=False):
        seen += count
        if seen >= share * total:
            return seconds_text(min(bound, histogram.maximum))
    return seconds_text(histogram.maximum)


# ---------------------------------------------------------------------------------------------- how


def plain_lines(found: Iterable[Table], width: int = WIDTH) -> Iterator[str]:
    """Tables as aligned text within `width` characters (single words may be longer), a blank line between them."""
    for number, table in enumerate(found):
        if number:
            yield ""
        yield table.title
        for note in table.notes:
            yield from _wrapped(note.text, width, first=_GAP, then=_GAP * 2)
        if not table.rows:
            continue
        lines = [table.columns, *(tuple(cell.text for cell in row) for row in table.rows)]
        widths = _fitted(lines, width)
        for line in lines:
            cells = [_wrapped(text, wide) for text, wide in zip(line, widths, strict=True)]
            for parts in zip_longest(*cells, fillvalue=""):
                yield (_GAP + _GAP.join(part.ljust(w) for part, w in zip(parts, widths, strict=True))).rstrip()


def _fitted(lines: Sequence[tuple[str, ...]], width: int) -> list[int]:
    """The width of each column: what its texts need, or less for the widest ones until all fit."""
    columns = range(len(lines[0]))
    widths = [max(len(line[column]) for line in lines) for column in columns]
    least = [max((len(word) for line in lines for word in line[column].split()), default=0) for column in columns]
    while sum(widths) + len(_GAP) * len(widths) > width:
        narrower = [column for column in columns if widths[column] > least[column]]
        if not narrower:
            break
        widths[max(narrower, key=lambda column: widths[column])] -= 1
    return widths


def _wrapped(text: str, width: int, first: str = "", then: str = "") -> list[str]:
    wide = max(width, 1)
    return textwrap.wrap(
        text, wide, initial_indent=first, subsequent_indent=then, break_long_words=False, break_on_hyphens=False
    ) or [first]
