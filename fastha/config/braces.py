"""What the braces and the indentation of a whole file tell about a block that is left open."""

from typing import NamedTuple

from fastha.config.source import CLOSE, OPEN, Line
from fastha.config.tree import Node

BLANKS = " \t\r\v\f"
NO_KEYWORDS = frozenset({"address", "static address", "peer", "group_entry"})
"""Kinds of lines that cannot begin with a keyword of another block."""


class LeftOpen(NamedTuple):
    """A block that lacks its brace. `closing` is the line whose brace ended it, and stands further left."""

    opening: Line
    closing: Line | None

    def __str__(self) -> str:
        text = f"'{self.opening.words[0]}' (line {self.opening.number}) is left open"
        if self.closing is None:
            return text
        return f"{text}: the '}}' of line {self.closing.number} stands too far left for it"


class Braces:
    """The braces of `lines`, counted when something is wrong and not before."""

    def __init__(self, lines: list[Line]) -> None:
        self._lines = lines
        self._balance: int | None = None
        self._missing = 0
        """Of the braces that the file lacks, those not yet taken for found."""
        self._looked = False
        self._left_open: LeftOpen | None = None

    def left_open(self) -> LeftOpen | None:
        """The block that probably lacks its brace; None where the indentation does not tell."""
        if not self._looked:
            self._looked = True
            self._left_open = _left_open(self._lines)
        return self._left_open

    def owner(self, nodes: list[Node], line: Line, *, opens: bool) -> Node | None:
        """The enclosing block that a statement belongs to, when those inside it are left open; None when it is just
        out of place.

        `nodes` are the blocks around it, the innermost last, which does not know it; `opens`: a brace follows. Only as
        many blocks are closed in this way as the file lacks braces, and only where the statement opens a block too or
        stands no further right than the innermost one.
        """
        inner = nodes[-1]
        kind, name = inner.block.line, line.words[0]
        for levels, outer in enumerate(reversed(nodes[:-1]), 1):
            word = outer.block.index.get(name)
            if word is None:
                continue
            sure = kind in NO_KEYWORDS or (opens and word.opens)
            if not sure and _indent(line) > _indent(inner.line):
                return None
            return outer if self._spend(levels) else None
        # no list has braces in it: an unknown word with a block of its own
        return nodes[-2] if kind and opens and self._spend(1) else None

    def balance(self) -> int:
        """How many closing braces the whole file lacks; below 0: has too many."""
        if self._balance is None:
            self._balance = self._missing = sum((line.words is OPEN) - (line.words is CLOSE) for line in self._lines)
        return self._balance

    def _spend(self, levels: int) -> bool:
        """Whether the file lacks so many closing braces still; they are taken for found."""
        if self.balance() < levels or levels > self._missing:
            return False
        self._missing -= levels
        return True


def _left_open(lines: list[Line]) -> LeftOpen | None:
    """Of a file with too few closing braces the first block whose closing brace is indented like an outer block."""
    stack: list[Line] = []
    for at, line in enumerate(lines):
        if line.words is OPEN:
            stack.append(lines[at - 1] if at and lines[at - 1].words is not OPEN else line)
        elif line.words is CLOSE and stack:
            opening = stack.pop()
            if opening.file is line.file and _begins(line) and _indent(line) < _indent(opening):
                outer = [other for other in stack if other.file is line.file]
                if any(_indent(other) == _indent(line) for other in outer):
                    return LeftOpen(opening, line)
    return None


def _begins(line: Line) -> bool:
    """Whether the closing brace begins its physical line."""
    return line.file.physical(line.number).lstrip(BLANKS).startswith("}")


def _indent(line: Line) -> int:
    physical = line.file.physical(line.number).expandtabs()
    return len(physical) - len(physical.lstrip(" "))
