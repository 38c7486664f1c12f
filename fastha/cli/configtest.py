"""`fastha -t`: judge a configuration file."""

import sys
from argparse import Namespace
from contextlib import ExitStack
from typing import TextIO

from fastha.config.diagnostics import Severity
from fastha.config.load import load
from fastha.system.host import SystemHost


def config_test(options: Namespace) -> int:
    """Report every finding to stderr, or append them to the file named; keepalived's exit code of the test."""
    config, report_to = options.config, options.config_test
    loaded = load(config, SystemHost(), config_id=options.config_id)
    with ExitStack() as stack:
        out: TextIO = sys.stderr
        if report_to != "-":
            try:
                out = stack.enter_context(open(report_to, "a", encoding="utf-8"))
            except OSError as error:
                print(f"{report_to}: {error.strerror}", file=sys.stderr)
                return 1
        for finding in loaded.diagnostics:
            print(finding.text(), file=out)
        errors = sum(each.severity is Severity.ERROR for each in loaded.diagnostics)
        if errors:
            print(f"{config}: {errors} error{'s' if errors > 1 else ''}", file=out)
    return loaded.exit_code
