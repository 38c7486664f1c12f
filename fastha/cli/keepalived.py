"""The command line under keepalived's name: its letters, its words when one is wrong, its way into the background.

`keepalived` is a symbolic link to `fastha` that an operator makes; we install none.
"""

import os
import platform
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Sequence
from typing import Final

from fastha import __version__
from fastha.cli.letters import LOG_FILE, OPTIONS, SIGNALS, Option, Takes
from fastha.cli.options import DAEMON, DEFAULT_CONFIG, facility

COMPATIBLE: Final = "2.4.3"
"""The keepalived whose language and formats we have; programs look for it in the output of -v."""
_LETTERS: Final = {option.letter: option for option in OPTIONS if option.letter}
_NAMES: Final = {option.name: option for option in OPTIONS}


class WrongError(Exception):
    """The command line cannot be understood; the text is keepalived's."""


def scan(words: Sequence[str]) -> tuple[list[tuple[Option, str | None]], list[str]]:
    """The options with their arguments, and the words that are none. WrongError as keepalived says it."""
    found: list[tuple[Option, str | None]] = []
    rest: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            rest += left
            break
        if word.startswith("--"):
            found.append(_long(word, left))
        elif word.startswith("-") and len(word) > 1:
            found += _short(word, left)
        else:
            rest.append(word)
    return found, rest


def _long(word: str, left: list[str]) -> tuple[Option, str | None]:
    name, equals, value = word[2:].partition("=")
    option = _NAMES.get(name)
    if option is None:
        near = [each for each in OPTIONS if each.name.startswith(name)]  # getopt_long takes what is clear
        if len(near) != 1:
            raise WrongError(f"Unknown option {word}")
        option = near[0]
    if option.takes is Takes.NOTHING:
        if equals:
            raise WrongError(f"Unknown option {word}")
        return option, None
    if equals or option.takes is Takes.MAYBE:
        return option, value if equals else None
    return option, _next(left, word)


def _short(word: str, left: list[str]) -> list[tuple[Option, str | None]]:
    """`-nlD`, `-fFILE`, `-nf FILE`."""
    found: list[tuple[Option, str | None]] = []
    for at, letter in enumerate(word[1:], 2):
        option = _LETTERS.get(letter)
        if option is None:
            raise WrongError(f"Unknown option -{letter}")
        if option.takes is Takes.NOTHING:
            found.append((option, None))
            continue
        attached = word[at:]
        if not attached and option.takes is Takes.WORD:
            attached = _next(left, f"-{letter}")
        found.append((option, attached or None))
        break
    return found


def _next(left: list[str], word: str) -> str:
    if not left:
        raise WrongError(f"Missing parameter for option {word}")
    return left.pop(0)


def parse(words: Sequence[str]) -> Namespace:
    """What the daemon and the test of a file take (`cli.options.daemon_parser` makes the like). What is wrong and can
    be left out is printed, as keepalived does; WrongError otherwise."""
    found, rest = scan(words)
    if rest:
        print(f"Unexpected argument(s): {' '.join(rest)} ")
    options = Namespace(
        **{option.key: False if option.takes is Takes.NOTHING else None for option in OPTIONS},
        config=DEFAULT_CONFIG,
        format="text",
        notes=[],
    )
    options.log_facility = DAEMON
    for option, value in found:
        _take(options, option, value)
    if options.signum is not None and options.signum not in SIGNALS:
        raise WrongError(f"Unknown sigfunc {options.signum}")
    options.config = options.use_file or DEFAULT_CONFIG
    options.vrrp = options.vrrp and not options.check
    return options


def _take(options: Namespace, option: Option, value: str | None) -> None:
    if option.idle:
        options.notes.append(option.note)
    match option.name:
        case "umask":
            mask = _number(value or "")
            if mask is None or not 0 <= mask <= 0o777:
                print(f"Invalid --umask option {value}", file=sys.stderr)
            else:
                options.umask = mask
        case "log-facility":
            try:
                options.log_facility = facility(value or "")
            except ArgumentTypeError:
                print(f"Invalid log facility '{value}'", file=sys.stderr)
        case "config-test":
            options.config_test = value or "-"
        case "log-file":
            options.log_file = value or LOG_FILE
        case "core-dump-pattern":
            options.core_dump = True
            options.core_dump_pattern = value or "core"
        case _:
            setattr(options, option.key, True if option.takes is Takes.NOTHING else value)


def _number(text: str) -> int | None:
    """As strtol(3) reads it in a base of its own choice: 022 is octal."""
    try:
        return int(text, 8 if text.startswith("0") and text.isdigit() else 0)
    except ValueError:
        return None


def version() -> str:
    """The shape of keepalived's, whose first line programs read."""
    lines = [
        f"Keepalived v{COMPATIBLE} (fastha {__version__})",
        "",
        f"fastha {__version__}, which speaks the language of keepalived {COMPATIBLE}",
        "",
        f"Running on {platform.system()} {platform.release()} {platform.version()}",
        "",
        "Config options:  NFTABLES LVS REGEX VRRP VRRP_AUTH JSON",
    ]
    return "\n".join(lines)


def usage(called: str) -> str:
    """The help."""
    lines = [f"Usage: {called} [OPTION...]"]
    for option in OPTIONS:
        if not option.help:
            continue
        letter = f"-{option.letter}, " if option.letter else "    "
        argument = {Takes.NOTHING: "", Takes.WORD: f"={option.what}", Takes.MAYBE: f"[={option.what}]"}[option.takes]
        head = f"  {letter}--{option.name}{argument}"
        text = option.help + (" (no effect)" if option.idle else "")
        lines.append(f"{head:<31}{text}" if len(head) < 31 else f"{head}\n{'':<31}{text}")
    return "\n".join(lines)


def into_background() -> None:
    """Leave the terminal and the caller: a session of our own, the standard descriptors at /dev/null."""
    if os.fork():
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    if null > 2:
        os.close(null)
