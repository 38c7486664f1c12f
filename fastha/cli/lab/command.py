"""The command line of `fastha lab`."""

import argparse
import asyncio
import shutil
import sys
from pathlib import Path

from rich.console import Console

from fastha.cli.lab import example as examples
from fastha.cli.lab.cage import CageError, run_caged
from fastha.cli.lab.example import CONFIG_DIR, Example, ExampleError
from fastha.cli.lab.lab import PROCESSES, Lab
from fastha.cli.lab.network import DIRECTORS
from fastha.cli.lab.show import Wish, run
from fastha.model.plan import PlaneChoice
from fastha.model.units import S

DEFAULT = "master-backup"
KILLS = tuple(f"kill-{name}" for name in PROCESSES)
ACTS = {
    "failover": "the acting director loses its power",
    "handover": "the acting director's daemon is stopped in order",
    "crash": "every process of the acting director's daemon is killed and the daemon started again",
    "kill-NAME": "one process of the acting director's daemon is killed: supervisor, vrrp, checker, runner",
    "server-down": "a web server ends",
    "maintenance": "the acting director's maintenance file gets a 1",
    "path-down": "the network behind the acting director is lost, its link stays up",
    "heal": "everything comes back",
}


def parser() -> argparse.ArgumentParser:
    """The options, with their help."""
    acts = "\n".join(f"  {name:12} {text}" for name, text in ACTS.items())
    parser = argparse.ArgumentParser(
        prog="fastha lab",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="A client, two directors and three web servers in network namespaces of their own: two real\n"
        "daemons with ordinary configuration files, requests through the virtual address, and what happens when\n"
        "things break. Needs no root where user namespaces are allowed; leaves nothing behind.",
        epilog=f"acts:\n{acts}",
    )
    parser.add_argument("example", nargs="?", default=DEFAULT, help=f"see --list, or a directory (default: {DEFAULT})")
    parser.add_argument("--list", action="store_true", help="name the examples and end")
    parser.add_argument("--script", metavar="ACT,ACT,...", help="do these, one after the other")
    parser.add_argument("--check", action="store_true", help="exit with 1 when something was not as it must be")
    parser.add_argument("--seconds", type=float, metavar="N", help="end N seconds after the script (default: key q)")
    parser.add_argument("--rate", type=float, default=100, metavar="N", help="requests a second (default: %(default)s)")
    parser.add_argument(
        "--margin",
        type=float,
        default=0.5,
        metavar="S",
        help="seconds that a gap may exceed the formula (default: 0.5)",
    )
    parser.add_argument(
        "--daemon",
        default="fastha",
        metavar="PROGRAM[,PROGRAM]",
        help="the daemon, or one for each director: fastha, or keepalived to compare",
    )
    parser.add_argument("--plane", choices=[str(choice) for choice in PlaneChoice], help="the daemons' --lvs-plane")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="keep the logs of all programs in DIR")
    return parser


def default_script(example: Example) -> tuple[str, ...]:
    """Everything this example is about, once."""
    script = ["failover", "heal", "handover", "heal"]
    if example.services:
        script += ["server-down", "heal"]
    if example.maintenance_file:
        script += ["maintenance", "heal"]
    if example.watches_path:
        script += ["path-down", "heal"]
    return tuple(script)


def acts_of(text: str, example: Example) -> tuple[str, ...]:
    """The acts of `--script`. Raises ExampleError for one that this example cannot do."""
    script = tuple(word for word in text.split(",") if word)
    for word in script:
        if word not in ACTS and word not in KILLS:
            raise ExampleError(f"--script: there is no act {word!r}; there are {', '.join(ACTS)}")
        if word == "maintenance" and not example.maintenance_file:
            raise ExampleError(f"--script: {example.name} tracks no file, so there is no {word}")
        if word == "path-down" and not example.watches_path:
            raise ExampleError(f"--script: {example.name} tracks no script, so nothing would come of {word}")
    return script


def main(argv: list[str] | None = None) -> int:
    """Run the command; its exit code: 0, 1 (something was not as it must be), 2 (usage, or refused by the host)."""
    args = parser().parse_args(argv)
    console = Console()
    if args.list:
        for name in examples.names():
            console.print(f"{name:15} {examples.title(name)}", highlight=False, soft_wrap=True)
        return 0
    try:
        need_programs()
        programs(args.daemon)
        path = examples.locate(args.example)
        return run_caged(lambda unprivileged: caged(args, path, unprivileged))
    except (ExampleError, CageError) as error:
        print(f"fastha lab: {error}", file=sys.stderr)
        return 2


def programs(daemon: str) -> tuple[str, str]:
    """What each director runs: `fastha`, or the path of another program. Raises ExampleError."""
    words = daemon.split(",")
    found = [word if word == "fastha" else shutil.which(word) for word in words]
    if len(words) > len(DIRECTORS) or None in found:
        raise ExampleError(f"--daemon: {daemon!r} names no program, or more than two")
    return found[0] or "", found[-1] or ""


def need_programs() -> None:
    """Raises ExampleError when a program is missing that the lab runs."""
    for program, package in (
        ("ip", "iproute2"),
        ("nsenter", "util-linux"),
        ("unshare", "util-linux"),
        ("mount", "mount"),
    ):
        if shutil.which(program) is None:
            raise ExampleError(f"the program {program} is missing (Debian: package {package})")


def wish_of(args: argparse.Namespace, example: Example, terminal: bool) -> Wish:
    """What is to be done. Raises ExampleError."""
    script = acts_of(args.script, example) if args.script else ()
    # where nobody can press keys, everything is shown once
    if not script and (args.check or not (terminal or args.seconds is not None)):
        script = default_script(example)
    seconds = args.seconds if args.seconds is not None else 0.0 if args.check or not terminal else None
    return Wish(script, args.check, seconds, int(args.margin * S))


def caged(args: argparse.Namespace, path: Path, unprivileged: bool) -> int:
    """Inside the cage: the lab itself."""
    console = Console()
    try:
        examples.copy_files(path, Path(CONFIG_DIR))
        example = examples.read(path.name)
        wish = wish_of(args, example, terminal=sys.stdin.isatty() and console.is_terminal)
        plane = args.plane or ("nftables" if unprivileged and example.services else None)
        if unprivileged:
            console.print("not root: a user namespace, pools by nftables, no real-time scheduling", highlight=False)
        return asyncio.run(run(Lab(example, programs(args.daemon), plane, args.rate, args.logs), wish, console))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    except (ExampleError, OSError, RuntimeError) as error:
        print(f"fastha lab: {error}", file=sys.stderr)
        return 2
