"""The daemon's command line under the name fastha: keepalived's letters, and a few words of our own."""

import argparse
from pathlib import PurePath
from typing import Final, NoReturn

from fastha.cli.letters import LOG_FILE, OPTIONS, SIGNALS, Takes
from fastha.model.plan import PlaneChoice

DEFAULT_CONFIG: Final = "/etc/keepalived/keepalived.conf"
DEFAULT_RUN_DIR: Final = "/run/fastha"
COMMANDS: Final = {
    "status": "what runs, in which state, and why",
    "reload": "read the configuration again",
    "explain": "tell about a word of the configuration language",
    "keywords": "list the words of the configuration language",
    "dump": "print the configuration as it is understood",
    "completion": "print completion for a shell",
    "genhash": "the MD5 of a page, for digest",
    "replay": "let the VRRP core live a recording again",
    "lab": "a small cluster in network namespaces, to look at",
}
DAEMON: Final = 3
"""syslog's number of the usual facility."""
_FACILITIES: Final = {"kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7}


class _Note(argparse.Action):
    """An option whose argument does not matter."""

    def __call__(self, _parser: object, namespace: argparse.Namespace, _values: object, _option: object = None) -> None:
        namespace.notes = [*(namespace.notes or []), self.const]


class Parser(argparse.ArgumentParser):
    """Ends with 1, as keepalived does, where argparse ends with 2."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and end."""
        self.exit(1, f"{self.prog}: {message}\n{self.format_usage()}")


def facility(text: str) -> int:
    """syslog's number of `0`..`7` (local0..7, keepalived's way), `local3`, `daemon`, ..."""
    if text.isdigit() and int(text) < 8:
        return 16 + int(text)
    if text.startswith("local") and text[5:].isdigit() and int(text[5:]) < 8:
        return 16 + int(text[5:])
    if text in _FACILITIES:
        return _FACILITIES[text]
    raise argparse.ArgumentTypeError(f"'{text}' is no log facility")


def _octal(text: str) -> int:
    try:
        value = int(text, 8)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no octal number") from None
    if not 0 <= value <= 0o777:
        raise argparse.ArgumentTypeError(f"'{text}' is no file mode")
    return value


def daemon_parser(called: str) -> Parser:
    """For the program called `called`; under the name keepalived `cli.keepalived` reads the command line."""
    name = PurePath(called).name
    commands = "\n".join(f"  {word:10} {text}" for word, text in COMMANDS.items())
    parser = Parser(
        prog=name,
        description="VRRP, health checks and load balancing after a keepalived.conf. Stays in the foreground.",
        epilog=f"other commands (each has --help):\n{commands}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "-c",
        "-f",
        "--use-file",
        "--config",
        dest="config",
        metavar="FILE",
        default=DEFAULT_CONFIG,
        help="configuration (default %(default)s)",
    )
    parser.add_argument(
        "-t",
        "--config-test",
        nargs="?",
        const="-",
        metavar="LOG",
        help="test the configuration, report to stderr (or, with --config-test=LOG, append to LOG), and end",
    )
    parser.add_argument(
        "--format", choices=["text", "json"], default="text", help="how the findings of a test are told; json to stdout"
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("-P", "--vrrp", action="store_true", help="VRRP only, no virtual servers")
    only.add_argument("-C", "--check", action="store_true", help="virtual servers only, no VRRP")
    parser.add_argument(
        "--lvs-plane",
        choices=[str(choice) for choice in PlaneChoice],
        help="where virtual servers are programmed, whatever the configuration says",
    )
    parser.add_argument("-i", "--config-id", metavar="ID", help="what `@ID` lines are compared with")
    parser.add_argument("-s", "--namespace", metavar="NAME", help="run in this network namespace")
    parser.add_argument("-n", "--dont-fork", action="store_true", help="stay in the foreground (it always does)")
    log = parser.add_argument_group("log")
    log.add_argument("-l", "--log-console", action="store_true", help="log to stderr, whatever else there is")
    log.add_argument(
        "-g", "--log-file", nargs="?", const=LOG_FILE, metavar="FILE", help=f"log to a file too (usual {LOG_FILE})"
    )
    log.add_argument("-d", "--dump-conf", action="store_true", help="write the data dump into the log at the start")
    log.add_argument("-D", "--log-detail", action="store_true", help="log more")
    log.add_argument("-G", "--no-syslog", action="store_true", help="do not log to syslog")
    log.add_argument(
        "-S", "--log-facility", type=facility, default=DAEMON, metavar="NAME", help="0-7, local3, daemon, ..."
    )
    end = parser.add_argument_group("children and the end")
    end.add_argument("-V", "--dont-release-vrrp", action="store_true", help="leave virtual addresses at the end")
    end.add_argument("-I", "--dont-release-ipvs", action="store_true", help="leave virtual servers at the end")
    end.add_argument("--ignore-sigint", action="store_true", help="do not end on SIGINT")
    end.add_argument("-m", "--core-dump", action="store_true", help="let a crash leave a core file")
    end.add_argument(
        "-M", "--core-dump-pattern", nargs="?", const="core", metavar="PATTERN", help="and set kernel.core_pattern"
    )
    end.add_argument("-R", "--dont-respawn", action="store_true", help="end when a child ends")
    files = parser.add_argument_group("files")
    files.add_argument(
        "--run-dir",
        metavar="DIR",
        help=f"pid files, control socket, journal (default {DEFAULT_RUN_DIR}, below it by namespace, instance, -p)",
    )
    files.add_argument("-p", "--pid", metavar="FILE", help="pid file of the supervisor")
    files.add_argument("-r", "--vrrp_pid", metavar="FILE", help="pid file of the vrrp process")
    files.add_argument("--checkers_pid", metavar="FILE", help="pid file of the checker")
    files.add_argument("-u", "--umask", type=_octal, metavar="MODE", help="octal, for files made by us and by scripts")
    parser.add_argument(
        "--signum", metavar="NAME", help=f"print the number of the signal for {', '.join(SIGNALS)}, and end"
    )
    parser.add_argument("-v", "--version", action="store_true", help="print the version and end")
    known = {name for action in parser._actions for name in action.option_strings}  # noqa: SLF001 - argparse has no other way
    for option in OPTIONS:
        if option.idle and f"--{option.name}" not in known:
            names = [f"--{option.name}", *([f"-{option.letter}"] if option.letter else [])]
            parser.add_argument(
                *names,
                action="append_const" if option.takes is Takes.NOTHING else _Note,
                dest="notes",
                const=option.note,
                help=argparse.SUPPRESS,
            )
    return parser
