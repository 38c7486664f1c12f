"""`fastha -t`: judge a configuration file.

What most tests do without is loaded when it is needed: loading takes longer than judging a file of usual size.
"""

import sys
from argparse import Namespace
from contextlib import ExitStack
from importlib import import_module
from typing import Final, TextIO

from fastha.cli.reading import Reading
from fastha.config.diagnostics import Diagnostic, Severity, exit_code
from fastha.model.plan import Plan, PlaneChoice

MAX_TOLD: Final = 1000
"""Findings that are told for people; nobody reads more."""


def config_test(options: Namespace) -> int:
    """Report every finding to stderr (as JSON: to stdout), or append them to the file named; keepalived's exit code."""
    config, report_to = options.config, options.config_test
    try:
        loaded = Reading(config, config_id=options.config_id, namespace=options.namespace, only_test=True)()
    except OSError as error:
        print(f"fastha: {error}", file=sys.stderr)
        return 1
    with ExitStack() as stack:
        out: TextIO = sys.stderr
        if report_to != "-":
            try:
                out = stack.enter_context(open(report_to, "a", encoding="utf-8"))
            except OSError as error:
                print(f"{report_to}: {error.strerror}", file=sys.stderr)
                return 1
        findings = [*loaded.diagnostics, *_impossible(options.lvs_plane, loaded.plan)]
        code = exit_code(findings)
        if options.format == "json":
            render_json = import_module("fastha.config.findings").render_json
            print(render_json(config, code, findings).decode(), file=sys.stdout if report_to == "-" else out)
            return code
        for finding in findings[:MAX_TOLD]:
            print(finding.text(), file=out)
        if len(findings) > MAX_TOLD:
            print(f"{len(findings) - MAX_TOLD} more findings are not shown; --format json has all", file=out)
        errors = sum(each.severity is Severity.ERROR for each in findings)
        if errors:
            print(f"{config}: {errors} error{'s' if errors > 1 else ''}", file=out)
    return code


def _impossible(asked: str | None, plan: Plan | None) -> list[Diagnostic]:
    """What the nftables plane could not do, when it is asked for by name; a test judges the file, not the machine."""
    if plan is None or (asked or plan.checker.lvs_plane) != PlaneChoice.NFTABLES:
        return []
    obstacles = import_module("fastha.system.plane").obstacles
    return [
        Diagnostic(severity=Severity.ERROR, message=f"lvs_plane nftables: {text}")
        for text in obstacles(plan.checker.virtual_servers)
    ]
