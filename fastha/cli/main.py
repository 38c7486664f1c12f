"""`fastha`: the daemon, and the commands around it. What a command needs is imported when it is called."""

import difflib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import PurePath
from typing import Any, Final

from fastha import __version__
from fastha.cli.letters import SIGNALS
from fastha.cli.options import COMMANDS, daemon_parser
from fastha.process.program import FASTHA, KEEPALIVED

NO_CONFIGURATION: Final = 6
_TEST: Final = "--config-test=-"


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code (keepalived's: 0 good, 1 fatal, 2 and 5 configuration, 4 permission, 6 security)."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # names in a configuration may be any bytes
    called, *words = sys.argv if argv is None else ["fastha", *argv]
    if PurePath(called).name == "genhash":
        return _command("genhash", words)
    if words and words[0] in {"-T", "--genhash"}:
        return _command("genhash", words[1:])
    if PurePath(called).name == "keepalived":
        return _as_keepalived(words)
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
        if options.signum not in SIGNALS:
            parser.error(f"--signum: there are {', '.join(SIGNALS)}")
        print(int(SIGNALS[options.signum]))
        return 0
    if options.config_test is not None:
        return int(_import("configtest").config_test(options))
    return int(_import("daemon").run(options, FASTHA))


def _as_keepalived(words: Sequence[str]) -> int:
    """Called by that name: a symbolic link."""
    keepalived = _import("keepalived")
    try:
        options = keepalived.parse(words)
    except keepalived.WrongError as error:
        print(error, file=sys.stderr)
        return 1
    if options.help or options.version:
        print(keepalived.usage("keepalived") if options.help else keepalived.version(), file=sys.stderr)
        return 0
    if options.signum is not None:
        print(int(SIGNALS[options.signum]))
        return 0
    if options.config_test is not None:
        return int(_import("configtest").config_test(options))
    if not os.path.exists(options.config):
        print(f"{options.config}: no configuration file", file=sys.stderr)
        return NO_CONFIGURATION
    if not options.dont_fork:
        keepalived.into_background()
    return int(_import("daemon").run(options, KEEPALIVED))


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
