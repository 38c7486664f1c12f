"""What is wrong with a configuration, and where: collected while it is read, rendered as text or JSON.

An error counts: it is something keepalived complains about too, and it decides the exit code. A note never counts.
"""

import difflib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Final

from fastha.config.source import Line


class Severity(StrEnum):
    ERROR = "error"
    NOTE = "note"


class Exit(IntEnum):
    """keepalived's exit codes of a configuration test, by class of problem."""

    GOOD = 0
    MISSING_ARGUMENT = 2
    CANNOT_RUN = 4
    """The main file cannot be read."""
    ERRORS = 5
    SECURITY = 6
    """Scripts would run without script security, or an include check failed."""


MAX_SHOWN: Final = 160
"""Characters of a source line that are shown with a finding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One finding. `line` and `column` count from 1; 0 when the finding belongs to no line."""

    severity: Severity
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    width: int = 1
    """Length of the word at `column`."""
    source: str = ""
    """The line as it stands in the file."""
    suggestion: str = ""
    included_from: str = ""
    """`file:line`, ... of the includes that led here, the nearest first."""
    exit_code: Exit = Exit.ERRORS
    advice: bool = False
    """All that was written is in force; it is probably not what is meant. It counts in a test of the file, and stops no
    reload."""

    @property
    def where(self) -> str:
        """`file:line:column`, as far as known."""
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"

    def text(self) -> str:
        """For people: one line saying where and what, the source line with a caret, the suggestion."""
        head = f"{self.where}: " if self.where else ""
        lines = [f"{head}{self.severity}: {self.message}"]
        if self.source:
            lines += self._excerpt()
        if self.included_from:
            lines.append(f"    included from {self.included_from}")
        if self.suggestion:
            lines.append(f"    {self.suggestion}")
        return "\n".join(lines)

    def _excerpt(self) -> list[str]:
        """The source line and the caret below it; of a long line only what is around the column."""
        shown, at = self.source.replace("\t", " "), self.column - 1
        width = max(self.width, 1)
        if len(shown) > MAX_SHOWN:
            begin = max(0, min(at - MAX_SHOWN // 4, len(shown) - MAX_SHOWN))
            cut = begin + MAX_SHOWN
            head, tail = "..." if begin else "", "..." if cut < len(shown) else ""
            width = max(1, min(width, cut - at))
            shown, at = head + shown[begin:cut] + tail, at - begin + len(head)
        return [f"    {shown}", "    " + " " * at + "^" + "~" * (width - 1)]

    def log_line(self) -> str:
        """For a log, which has a level of its own: where and what, in one line."""
        head = f"{self.where}: " if self.where else ""
        rest = [f"included from {self.included_from}"] if self.included_from else []
        rest += [self.suggestion] if self.suggestion else []
        return head + self.message + (f" ({'; '.join(rest)})" if rest else "")


MAX_FINDINGS: Final = 100_000
"""Findings that are kept; of a file that is something else altogether nobody reads more."""
ELSEWHERE: Final = {
    "roundrobin": "rr",
    "round_robin": "rr",
    "round-robin": "rr",
    "leastconn": "lc",
    "least_conn": "lc",
    "device": "dev",
    "interface": "dev",
}
"""What other programs call a thing."""
SHORTEST: Final = 3
"""Letters of a word that a longer one may stand for."""
NOWHERE: Final = 2**63
"""Order of what is about no line: last."""


class Report:
    """Collects the diagnostics of one reading; each is said once."""

    def __init__(self) -> None:
        self._found: list[tuple[int, Diagnostic]] = []
        self._said: set[tuple[str, int, int]] = set()
        self._places: dict[tuple[str, int, int, int], list[int]] = {}
        """Of what is said of a word of a physical line: where it stands in `_found`, how often, of which line last."""
        self._left_out: Counter[tuple[Severity, Exit]] = Counter()
        self.lenient = False
        """What is read does not count anyway: what is found is a note."""

    def error(
        self,
        message: str,
        line: Line | None = None,
        word: int = 0,
        *,
        suggestion: str = "",
        exit_code: Exit = Exit.ERRORS,
        advice: bool = False,
    ) -> None:
        """Something keepalived reports too. `word` is the index of the word in the line that is meant."""
        self._add(Severity.ERROR, message, (line, word), suggestion=suggestion, exit_code=exit_code, advice=advice)

    def note(self, message: str, line: Line | None = None, word: int = 0, *, suggestion: str = "") -> None:
        """Worth saying, but no reason to fail a test of the file."""
        self._add(Severity.NOTE, message, (line, word), suggestion=suggestion, exit_code=Exit.GOOD)

    def _add(
        self,
        severity: Severity,
        message: str,
        place: tuple[Line | None, int],
        *,
        suggestion: str,
        exit_code: Exit,
        advice: bool = False,
    ) -> None:
        if self.lenient:
            severity, exit_code, advice = Severity.NOTE, Exit.GOOD, False
        line, word = place
        order = NOWHERE if line is None else line.order
        said = (message, order, word)
        if said in self._said or self._repeated(f"{severity} {message}", line, word):
            return
        if len(self._said) >= MAX_FINDINGS:
            self._left_out[severity, exit_code] += 1
            return
        self._said.add(said)
        found = Diagnostic(
            severity=severity, message=message, suggestion=suggestion, exit_code=exit_code, advice=advice
        )
        if line is not None:
            column, width = line.locate(word) if line.number else (0, 1)
            found = replace(
                found,
                file=line.file.name,
                line=line.number,
                column=column,
                width=width,
                source=line.file.physical(line.number),
                included_from=", ".join(line.file.inclusions()),
            )
        self._found.append((order, found))

    def _repeated(self, message: str, line: Line | None, word: int) -> bool:
        """Whether the physical line has it already, which repetitions and definitions make many lines of: it counts."""
        if line is None or not line.number:
            return False
        count = self._places.setdefault((message, id(line.file), line.number, word), [len(self._found), 0, -1])
        if count[2] != line.order:
            count[1:] = count[1] + 1, line.order
        return count[1] > 1

    def wrong_lines(self) -> set[tuple[str, int]]:
        """(file, line) of each error."""
        return {(found.file, found.line) for _, found in self._found if found.severity is Severity.ERROR}

    def instead(self, message: str, line: Line) -> None:
        """One error in the place of everything found so far; the exit code stays what it was."""
        code = Exit(self.exit_code)
        self._found, self._said, self._places = [], set(), {}
        self._left_out.clear()
        self.error(message, line, exit_code=code)

    def only_notes(self) -> None:
        """Nothing found so far counts: errors become notes."""
        self._found = [
            (order, replace(found, severity=Severity.NOTE, exit_code=Exit.GOOD)) for order, found in self._found
        ]
        self._left_out = Counter({(Severity.NOTE, Exit.GOOD): self._left_out.total()})

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """In the order of the lines they are about; those about no line come last, and how many were left out."""
        counted = list(self._found)
        for at, times, _ in self._places.values():
            if times > 1:
                order, found = counted[at]
                counted[at] = order, replace(found, message=f"{found.message} ({times} times)")
        return [found for _, found in sorted(counted, key=lambda pair: pair[0])] + [
            Diagnostic(severity=severity, message=f"{count} more findings are left out", exit_code=code)
            for (severity, code), count in self._left_out.items()
            if count
        ]

    @property
    def exit_code(self) -> int:
        return exit_code(self.diagnostics)


def exit_code(diagnostics: Iterable[Diagnostic]) -> int:
    """keepalived's: a keyword without its argument ends the reading at once with 2; else the highest class wins."""
    codes = {int(d.exit_code) for d in diagnostics if d.severity is Severity.ERROR}
    if Exit.MISSING_ARGUMENT in codes:
        return int(Exit.MISSING_ARGUMENT)
    return max(codes, default=0)


def closest(word: str, known: Iterable[str]) -> str:
    """A suggestion: the word of `known` that `word` was probably meant to be, or nothing."""
    candidates = list(known)
    lowered = {name.lower(): name for name in candidates}
    low = word.lower()
    if low in lowered:
        return f"did you mean '{lowered[low]}'? (case matters)"
    found = difflib.get_close_matches(word, candidates, n=1, cutoff=0.7)
    if not found and ELSEWHERE.get(low) in candidates:
        found = [ELSEWHERE[low]]
    if not found:
        found = [name for key, name in lowered.items() if sorted(key) == sorted(low)]
    if not found and len(low) >= SHORTEST:
        found = [name for key, name in lowered.items() if len(key) >= SHORTEST and low.startswith(key)]
        found.sort(key=len, reverse=True)
    return f"did you mean '{found[0]}'?" if found else ""


def render_text(diagnostics: Iterable[Diagnostic]) -> str:
    """All of them for a terminal or a log, each as `Diagnostic.text`."""
    return "\n".join(d.text() for d in diagnostics)
