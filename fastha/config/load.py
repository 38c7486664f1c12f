"""The way in: a path -> Loaded, with the Plan, everything found on the way, and keepalived's exit code."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastha.config.diagnostics import Diagnostic, Exit, Report
from fastha.config.dump import canonical
from fastha.config.foreign import recognise
from fastha.config.host import Host
from fastha.config.parse import Parser
from fastha.config.preprocess import Preprocessor
from fastha.config.schema.entry import Status, Word
from fastha.config.semantics.context import Context
from fastha.config.semantics.lvs import lvs_part
from fastha.config.semantics.pending import check_pending
from fastha.config.semantics.process import fifos, mail, supervisor_plan
from fastha.config.semantics.scripts import Scripts
from fastha.config.semantics.tracking import Tracking
from fastha.config.semantics.vrrp import vrrp_notifies, vrrp_plan
from fastha.config.source import Line, SourceFile
from fastha.model.plan import Plan, RunnerPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What came of reading a configuration.

    `plan` is there even when lines were in error (they are dropped, as keepalived does) and None when keepalived would
    not run the configuration at all; `refused` says why, each reason also being a diagnostic.
    """

    plan: Plan | None
    diagnostics: list[Diagnostic]
    exit_code: int
    notes_not_in_effect: list[str]
    """One line per word that is read and checked and does nothing yet, for the log at start; those that change what an
    object is for come first and begin with `WARNING: `."""
    refused: list[str]
    net_namespace: str | None = None
    """The network namespace it is for; what it says about interfaces means those there."""
    canonical: str = ""
    """All of it in one file, as `dump.canonical` prints it, when config_save_dir asks for it."""
    needs_vrrp: bool = False
    needs_checker: bool = False


def load(
    path: str, host: Host, *, config_id: str | None = None, namespace: str | None = None, log_detail: bool = False
) -> Loaded:
    """Read `path` with everything it includes and judge it. Never raises for what stands in a file.

    `config_id` (option -i) is what `@id` conditions compare with; by default the host name up to the first dot.
    `namespace` (option -s) is the network namespace it is for, whatever the file says.
    `log_detail` (option -D) goes into the Plan.
    """
    with _uncollected():
        return _load(path, host, config_id, namespace, log_detail=log_detail)


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection meanwhile: a fleet's file makes a million objects and hardly any garbage, and looking for
    it again and again took half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _load(path: str, host: Host, config_id: str | None, namespace: str | None, *, log_detail: bool) -> Loaded:
    report = Report()
    source = Preprocessor(host, config_id or host.hostname().partition(".")[0], report)
    try:
        source.read(path)
    except OSError as error:
        return _nothing(report, path, error.strerror or str(error))
    except ValueError as error:
        return _nothing(report, path, str(error))
    parser = Parser(source.lines, report)
    root = parser.parse()
    notes = _pending_notes(parser.pending, report)
    ctx = Context(host, report, root)
    plan = _plan(ctx, log_detail=log_detail)
    foreign = recognise(source.lines, report.wrong_lines(), definitions=source.defines)
    if foreign is not None:
        report.instead(*foreign)
        ctx.refused[:] = [foreign.message] if ctx.refused else []
    _judge_namespace(ctx, namespace)
    return Loaded(
        plan=plan,
        diagnostics=report.diagnostics,
        exit_code=report.exit_code,
        notes_not_in_effect=notes,
        refused=ctx.refused,
        net_namespace=root.maybe("net_namespace"),
        canonical=canonical(root) if plan is not None and plan.supervisor.config_save_dir is not None else "",
        needs_vrrp=any(
            root.blocks(path) for path in ("vrrp_instance", "static_ipaddress", "static_routes", "static_rules")
        ),
        needs_checker=bool(root.blocks("virtual_server")),
    )


def _judge_namespace(ctx: Context, asked: str | None) -> None:
    """A namespace that is not there: keepalived's processes cannot enter it and read nothing, and the test is good."""
    name = asked or ctx.root.maybe("net_namespace")
    if name is None or ctx.host.has_namespace(name):
        return
    ctx.report.only_notes()
    ctx.report.note(
        f"there is no network namespace '{name:.100}' here: keepalived reads nothing then, and its test ends with 0; "
        "what else is said is what it would find",
        None if asked else ctx.root.line_of("net_namespace"),
        1,
    )


def _nothing(report: Report, path: str, why: str) -> Loaded:
    """Of a main file that cannot be read."""
    report.error(f"cannot be read: {why}", Line([], "", SourceFile(path, ""), 0, 0), exit_code=Exit.CANNOT_RUN)
    return Loaded(
        plan=None,
        diagnostics=report.diagnostics,
        exit_code=report.exit_code,
        notes_not_in_effect=[],
        refused=[d.log_line() for d in report.diagnostics],
    )


def _plan(ctx: Context, *, log_detail: bool) -> Plan | None:
    """The Plan of a tree; None when it is refused (`ctx.refused`)."""
    scripts = Scripts(ctx)
    tracking = Tracking(ctx, scripts)
    vrrp = vrrp_plan(ctx, tracking, log_detail=log_detail)
    lvs = lvs_part(ctx, scripts, tracking)
    check_pending(ctx)
    supervisor = supervisor_plan(ctx, scripts)
    runner = RunnerPlan(
        router_id=supervisor.router_id,
        track_scripts=tracking.scripts(),
        track_files=tracking.files(),
        track_processes=tracking.processes(),
        notifies=(*vrrp_notifies(ctx, scripts, vrrp), *lvs.notifies),
        fifos=fifos(ctx, scripts),
        mail=mail(ctx),
        process_monitor_buffer=ctx.defs.get("process_monitor_rcv_bufs", 0),
    )
    if ctx.refused:
        return None
    scripts.judge()
    return Plan(supervisor=supervisor, vrrp=vrrp, checker=lvs.checker, runner=runner)


def _pending_notes(pending: dict[tuple[str, str], tuple[Word, Line]], report: Report) -> list[str]:
    """Says of each word not in effect, once, where it stands and what that means. Returned, for the log at start, are
    those that will be in effect one day."""
    loud, quiet = [], []
    for (block, name), (word, line) in pending.items():
        where = "" if block == "root" else f" of {block}"
        if word.status is Status.NO_EFFECT:
            report.note(f"'{name}'{where} has no effect. {word.effect}", line)
            continue
        message = f"'{name}'{where} is not yet in effect: {word.pending}"
        report.note(message, line)
        text = f"{line.file.name}:{line.number}: {message}"
        if word.loud:
            loud.append(f"WARNING: {text}")
        else:
            quiet.append(text)
    return loud + quiet
