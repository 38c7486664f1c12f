"""`fastha reload`."""

import sys
from collections.abc import Sequence

from fastha.cli.client import DaemonError, ask, the_run_dir
from fastha.cli.options import Parser


def main(words: Sequence[str]) -> int:
    """Let the daemon read its configuration again, and wait for what becomes of it; 0, or 1 with the reason."""
    parser = Parser(prog="fastha reload", description="Read the configuration again; ends when it is in force.")
    parser.add_argument("--run-dir", metavar="DIR", help="the daemon's; needed when several run")
    options = parser.parse_args(words)
    try:
        note = ask(the_run_dir(options.run_dir), {"op": "reload"}, patience=180.0)["note"]
    except DaemonError as error:
        note = str(error)
    if note:
        print(f"fastha reload: {note}", file=sys.stderr)
    return 1 if note else 0
