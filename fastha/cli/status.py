"""`fastha status`."""

import sys
from collections.abc import Sequence
from importlib import import_module

import orjson

from fastha.cli.client import DaemonError, ask, the_run_dir
from fastha.cli.options import Parser
from fastha.export.json import render_json
from fastha.export.text import plain_lines, tables
from fastha.model import codec
from fastha.model.snapshot import Snapshot


def main(words: Sequence[str]) -> int:
    """Show the state of the daemon; 0, or 1 when none answers."""
    parser = Parser(prog="fastha status", description="What runs, in which state, and why.")
    parser.add_argument("--json", action="store_true", help="the whole snapshot as JSON: see docs/status-schema.json")
    parser.add_argument("-v", "--verbose", action="store_true", help="the counters that are 0, too")
    parser.add_argument("--run-dir", metavar="DIR", help="the daemon's; needed when several run")
    options = parser.parse_args(words)
    try:
        answer = ask(the_run_dir(options.run_dir), {"op": "status"})
    except DaemonError as error:
        print(f"fastha status: {error}", file=sys.stderr)
        return 1
    snapshot = codec.decode(Snapshot, orjson.dumps(answer["snapshot"]))
    shown = tables(snapshot, verbose=options.verbose)
    if options.json:
        print(render_json(snapshot).decode())
    elif sys.stdout.isatty():
        # rich takes longer to import than all the rest takes to run
        import_module("fastha.export.terminal").print_tables(shown, sys.stdout)
    else:
        print("\n".join(plain_lines(shown)))
    return 0
