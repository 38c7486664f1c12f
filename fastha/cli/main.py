"""`fastha`: the daemon, and the commands around it. What a command needs is imported when it is called."""

import difflib
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Any, Final

from fastha import __version__
from fastha.cli.options import COMMANDS, daemon_parser

_TEST: Final = "--config-test=-"
_SIGNALS: Final = {"STOP": signal.SIGTERM, "RELOAD": signal.SIGHUP}


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code (keepalived's: 0 good, 1 fatal, 2 and 5 configuration, 4 permission, 6 security)."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # names in a configuration may be any bytes
    called, *words = sys.argv if argv is None else ["fastha", *argv]
    if words and words[0] in COMMANDS:
        return _command(words[0], words[1:])
    parser = daemon_parser("fastha" if called.endswith("__main__.py") else called)
    # keepalived's -t takes a file only when it is attached: a word behind it must never become the log
    options, extra = parser.parse_known_args([_TEST if word in {"-t", "--config-test"} else word for word in words])
    if extra:
        parser.error(_unknown(extra[0]))
    if options.version:
        print(f"fastha {__version__}", file=sys.stderr)
        return 0
    if options.signum is not None:
        if options.signum not in _SIGNALS:
            parser.error(f"--signum: there are {', '.join(_SIGNALS)}")
        print(int(_SIGNALS[options.signum]))
        return 0
    if options.config_test is not None:
        return int(_import("configtest").config_test(options))
    return int(_import("daemon").run(options))


def _command(name: str, words: Sequence[str]) -> int:
    try:
        code = int(_import(name).main(words))
        sys.stdout.flush()
    except BrokenPipeError:
        # `fastha status | head` has seen enough; Python must not try to flush the rest when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _import(name: str) -> Any:
    return import_module(f"fastha.cli.{name}")


def _unknown(word: str) -> str:
    if word.startswith("-"):
        return f"unknown option {word}"
    near = difflib.get_close_matches(word, COMMANDS, n=1)
    return f"unknown command '{word}'" + (f"; did you mean '{near[0]}'?" if near else "")


if __name__ == "__main__":
    raise SystemExit(main())
