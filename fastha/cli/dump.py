"""`fastha dump`."""

import sys
from collections.abc import Sequence

import orjson

from fastha.cli.options import DEFAULT_CONFIG, Parser
from fastha.config import dump
from fastha.config.diagnostics import Severity
from fastha.system.host import SystemHost


def options_parser() -> Parser:
    """The options of `fastha dump`."""
    parser = Parser(
        prog="fastha dump",
        description="The configuration as it is understood: includes, conditions and definitions carried out, what "
        "cannot be read left out. What only shows in the whole (fastha -t tells) stays in.",
    )
    parser.add_argument(
        "-c", "-f", "--use-file", "--config", dest="config", metavar="FILE", default=DEFAULT_CONFIG, help="%(default)s"
    )
    parser.add_argument("-i", "--config-id", metavar="ID", help="what `@ID` lines are compared with")
    parser.add_argument("--format", choices=["text", "json"], default="text", help="json: see docs/schema.json")
    return parser


def main(words: Sequence[str]) -> int:
    """Print the configuration as it is understood; 1 when it cannot be read."""
    options = options_parser().parse_args(words)
    try:
        root, findings = dump.read(options.config, SystemHost(), options.config_id)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        print(f"fastha dump: cannot read {options.config}: {why}", file=sys.stderr)
        return 1
    if options.format == "json":
        print(orjson.dumps(dump.as_data(root), option=orjson.OPT_INDENT_2).decode())
    else:
        print(dump.canonical(root), end="")
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    if errors:
        print(f"fastha dump: {errors} errors were found; fastha -t tells", file=sys.stderr)
    return 0
