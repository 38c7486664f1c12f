"""Script strings: commands, with an account to run them under, and patterns."""

import re
from dataclasses import dataclass
from typing import ClassVar

from fastha.config.arguments import DROP, Argument, Drop, Reading
from fastha.config.lexer import command_words, script_words
from fastha.config.source import Line

EATEN = re.compile(r"(?<!\\)(?:\\\\)*(\\[dDsSwWbBAZzQ.*+?()|^$\[{])")
"""A backslash that is meant for the pattern, and that the string takes for its own."""
SCRIPT_WORDS = 3
"""Of a command with an account: SCRIPT USER GROUP."""


@dataclass(frozen=True)
class ScriptLine:
    """A command as written. `user` and `group` are names; `supplementary` is the colon before the group."""

    argv: tuple[str, ...]
    line: Line
    user: str | None = None
    group: str | None = None
    supplementary: bool = False


@dataclass(frozen=True)
class Script(Argument):
    """SCRIPT, quoted when it has arguments, then an account if `account` allows one. `filled`: an empty command is an
    error, and not only a remark."""

    account: bool = True
    required: str = "fatal"
    filled: bool = False
    most: int | None = None
    pure: ClassVar[bool] = False
    free: ClassVar[bool] = True

    def read(self, r: Reading) -> ScriptLine | Drop | None:
        try:
            words = script_words(r.line.text)[1:]
            if not words:
                if not self.required:
                    return None
                self.missing(r)
                return DROP
            # without an account every word belongs to the command
            argv = command_words(words[0]) if self.account else _whole(words)
        except ValueError as error:
            r.error(f"the command cannot be read: {error}; the line is ignored")
            return DROP
        if not argv or not argv[0]:
            complain = r.error if self.filled else r.note
            complain("the command is empty; the line is ignored")
            return DROP
        if not self.account or len(words) < 2:
            return ScriptLine(tuple(argv), r.line)
        r.wants(len(r.words) - max(len(words) - SCRIPT_WORDS, 0))
        user, group, supplementary = account(words[1:])
        return ScriptLine(tuple(argv), r.line, user, group, supplementary)

    def describe(self) -> str:
        text = "SCRIPT [USER [[:]GROUP]]" if self.account else "SCRIPT"
        return text if self.required else f"[{text}]"


def _whole(words: list[str]) -> list[str]:
    """The command of a line where all words are the command's."""
    argv = command_words(words[0])
    for word in words[1:]:
        argv += command_words(word) if " " not in word else [" ".join(command_words(word))]
    return argv


def account(words: list[str]) -> tuple[str, str | None, bool]:
    """USER [[:]GROUP]: names of user and group, and whether supplementary groups are wanted."""
    user = words[0]
    group = words[1] if len(words) > 1 else None
    supplementary = group is not None and group.startswith(":")
    if group is not None and supplementary:
        group = group[1:] or None
    return user, group, supplementary


@dataclass(frozen=True)
class Pattern(Argument):
    """PATTERN: one word whose quotes of either kind and whose escapes are read as a script's are."""

    required: str = "error"
    most: int | None = None
    free: ClassVar[bool] = True

    def read(self, r: Reading) -> str | Drop:
        try:
            words = command_words(r.line.text)[1:]
        except ValueError as error:
            r.error(f"the pattern cannot be read: {error}; {r.dropped}")
            return DROP
        if not words:
            self.missing(r)
            return DROP
        if len(words) > 1:
            hint = f'in double quotes they are one: "{" ".join(words)}"'
            r.error(f"'{r.words[0]}' takes one word, and not '{words[1]}' too; {r.dropped}", 2, suggestion=hint)
            return DROP
        eaten = EATEN.search(r.line.text)
        if eaten is not None:
            lost = eaten[1]
            r.note(f"the backslash of '{lost}' does not reach the pattern", suggestion=f"write: \\{lost}")
        return words[0]

    def describe(self) -> str:
        return "PATTERN"


@dataclass(frozen=True)
class Account(Argument):
    """USER [[:]GROUP]."""

    required: str = "error"
    most: int | None = 2

    def read(self, r: Reading) -> tuple[str, str | None, bool] | Drop:
        if len(r.words) < 2:
            self.missing(r)
            return DROP
        return account(r.words[1:])

    def describe(self) -> str:
        return "USER [[:]GROUP]"
