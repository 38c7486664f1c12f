"""Files into logical lines: comments, conditions (`@id`), definitions, repetitions, includes, braces.

Nearly every line of a real file needs none of this. Such a line is split once per distinct text, and equal lines share
their words, which the parser uses to read a repeated statement only once.
"""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress

from fastha.config.diagnostics import Exit, Report
from fastha.config.expand import DEFINITION, MAX_LINE, Definitions
from fastha.config.hints import look_alikes
from fastha.config.host import Host
from fastha.config.lexer import split, strip_comment
from fastha.config.source import Line, SourceFile

MAX_INCLUDES = 64
"""Depth of includes before they are taken for a circle."""
MAX_NESTING = 64
"""Depth of definitions and repetitions inside each other."""
MAX_FILES = 10_000
"""Inclusions in a whole configuration."""
MAX_ALTERNATIVES = 10_000
"""File names that the braces of one include may stand for."""
MAX_EXPANDED = 500_000
"""Lines that come out of definitions and repetitions; repetitions inside repetitions soon make more."""
ALTERNATIVES = re.compile(r"\{([^{}]*)\}")

READ, MATCH, WILDCARD, BRACE = "read", "match", "wildcard_match", "brace_match"
CHECKS = (READ, MATCH, WILDCARD, BRACE)
INCLUDES = {
    "include": frozenset[str](),
    "includer": frozenset({READ}),
    "includem": frozenset({READ, MATCH}),
    "includew": frozenset({READ, MATCH, WILDCARD}),
    "includeb": frozenset({READ, BRACE}),
    "includea": frozenset(CHECKS),
}
Segments = list[tuple[list[str], str]]


class _TooMuchError(Exception):
    """The reading ends here; it has been said why."""


class Preprocessor:
    """Reads a configuration into `lines`; what is wrong goes to the report."""

    def __init__(self, host: Host, config_id: str, report: Report) -> None:
        self.lines: list[Line] = []
        self._host = host
        self._config_id = config_id
        self._report = report
        self._definitions = Definitions(host, config_id, self._complain)
        self._cache: dict[str, Segments | None] = {}
        self._checks: frozenset[str] = frozenset()
        self._open: list[str] = []
        """The files that are being read, each included by the one before it."""
        self._files = 0
        self._nesting = 0
        self._expanded = 0
        self._at: Line | None = None
        """The line that a complaint is about."""

    @property
    def defines(self) -> bool:
        """Whether the configuration has definitions of its own."""
        return bool(self._definitions)

    def read(self, path: str) -> None:
        """The main file with everything it includes. OSError when it cannot be read."""
        with suppress(_TooMuchError):
            self._file(path, self._host.read_file(path), None)

    def _complain(self, message: str, part: str = "") -> None:
        """Says what is wrong with the line at hand. `part`: the text meant, if it stands there; else the whole line."""
        at = self._at
        if at is not None:
            shown = part if part and part in at.text else at.text.strip()
            at = Line([shown], shown, at.file, at.number, at.order)
        self._report.error(message, at)

    def _file(self, path: str, data: bytes, parent: Line | None) -> None:
        file = SourceFile(path, data.decode("utf-8", "surrogateescape"), parent)
        self._open.append(path)
        odd = {} if data.isascii() else look_alikes(file)
        checks = self._checks
        body: list[str] = []
        defining: str | None = None
        cache, lines = self._cache, self.lines
        append = lines.append
        for number, text in enumerate(file.lines, 1):
            if odd and number in odd:
                self._remark(odd[number], file, number)
            if defining is None:
                if text not in cache:
                    cache[text] = _easy(text)
                segments = cache[text]
                if segments is not None:
                    for words, part in segments:
                        append(Line(words, part, file, number, len(lines)))
                    continue
            self._at = Line([text], text, file, number, len(lines))
            if not self._acceptable(text):
                continue
            bare = strip_comment(text).strip(" \t\r\v\f")
            if defining is None:
                defining = self._hard(bare, file, number, body, whole=text)
            elif not _continues(bare, body, text):
                self._define(defining, body)
                defining = None
        if defining is not None:
            self._define(defining, body)
        self._checks = checks
        self._open.pop()

    def _remark(self, found: list[tuple[str, str]], file: SourceFile, number: int) -> None:
        for word, message in found:
            self._report.note(message, Line([word], word, file, number, len(self.lines)))

    def _define(self, name: str, body: list[str]) -> None:
        """A definition is complete; its blank lines do not count."""
        self._definitions.define(name, [line for line in body if line] or [""])

    def _acceptable(self, text: str) -> bool:
        """False, and said, when keepalived would not read this line at all."""
        if len(text) > MAX_LINE // 4 and len(text.encode("utf-8", "surrogateescape")) > MAX_LINE:
            self._complain(f"the line is longer than {MAX_LINE} bytes; it is ignored")
            return False
        if "\0" in text:
            self._complain("the line has a NUL byte; it is ignored", "\0")
            return False
        return True

    def _hard(
        self, text: str, file: SourceFile, number: int, body: list[str], *, expanded: bool = False, whole: str = ""
    ) -> str | None:
        """A line that needs more than splitting. Returns the name of a definition that goes on in the next lines.

        `whole`: the line with its comment, which may end in the backslash of a definition.
        `expanded`: it stands for a reference, as the first line of what was defined; that one is no definition itself,
        though the further lines may be.
        """
        for _ in range(MAX_NESTING):
            if text.startswith("@"):
                head, *rest = text.split(None, 1)
                negated = head.startswith("@^")
                if not rest or (head[2 if negated else 1 :] == self._config_id) == negated:
                    return None
                text = rest[0]
            definition = None if expanded else DEFINITION.match(text)
            if definition:
                self._definitions.places[definition[1]] = f"{file.name}:{number}"
                del body[:]
                if _continues(definition[2], body, whole):
                    return definition[1]
                self._define(definition[1], body)
                return None
            if text.startswith("~"):
                self._repeat(text, file, number, body)
                return None
            if "$" not in text:
                break
            lines = self._definitions.expand(text, file.directory)
            if len(lines) > 1:
                self._nested(lines, file, number, body, expanded=True)
                return None
            if lines[0] == text:
                break
            text = strip_comment(lines[0]).strip()
            expanded = True
        self._statement(text, file, number)
        return None

    def _repeat(self, text: str, file: SourceFile, number: int, body: list[str]) -> None:
        try:
            self._nested(self._definitions.repeat(text, file.directory), file, number, body)
        except ValueError as error:
            self._complain(f"{error}; the line is ignored", text)

    def _nested(
        self, lines: Iterable[str], file: SourceFile, number: int, body: list[str], *, expanded: bool = False
    ) -> None:
        """The lines that came out of one line; `expanded`, see `_hard`, holds for the first of them."""
        if self._nesting >= MAX_NESTING:
            self._complain(f"definitions are nested deeper than {MAX_NESTING}; is one part of itself?")
            return
        self._nesting += 1
        try:
            for line in lines:
                self._expanded += 1
                if self._expanded > MAX_EXPANDED:
                    self._complain(f"definitions and repetitions make more than {MAX_EXPANDED} lines; no more is read")
                    raise _TooMuchError
                self._hard(strip_comment(line).strip(), file, number, body, expanded=expanded)
                expanded = False
        finally:
            self._nesting -= 1

    def _statement(self, text: str, file: SourceFile, number: int) -> None:
        """An expanded line: an include, or words."""
        words = text.split(None, 1)
        if words and words[0] in INCLUDES:
            self._include(words[0], words[1].strip() if len(words) > 1 else "", file, number)
            return
        if words and words[0] == "include_check":
            self._include_check(text.split()[1:])
        try:
            segments = split(text)
        except ValueError:
            self._complain("a double quote is not closed; the rest of the line is ignored", text[text.rindex('"') :])
            whole = text
            segments = split(text[: text.rindex('"')])
            if segments:
                # script words are cut by rules of their own, and complain themselves
                segments[-1] = (segments[-1][0], whole)
        for part_words, part in segments:
            self.lines.append(Line(part_words, part, file, number, len(self.lines)))

    def _include_check(self, words: Sequence[str]) -> None:
        """global_defs include_check: what later includes must fulfil. Its words are judged by the parser."""
        if not words:
            self._checks = frozenset(CHECKS)
        for word in words:
            name = word.lstrip("+-")
            if name not in CHECKS:
                continue
            if word.startswith("-"):
                self._checks -= {name}
            elif word.startswith("+"):
                self._checks |= {name}
            else:
                self._checks = frozenset({READ, name})

    def _include(self, keyword: str, pattern: str, file: SourceFile, number: int) -> None:
        at = Line([keyword, pattern], f"{keyword} {pattern}", file, number, len(self.lines))
        if not pattern:
            self._report.error(f"'{keyword}' needs the name of a file", at)
            return
        if len(self._open) > MAX_INCLUDES:
            self._report.error(f"includes are nested deeper than {MAX_INCLUDES}: '{pattern}' is ignored", at, 1)
            return
        if _alternatives(pattern) > MAX_ALTERNATIVES:
            self._report.error(f"'{pattern}' stands for more than {MAX_ALTERNATIVES} files; it is ignored", at, 1)
            return
        checks = self._checks | INCLUDES[keyword]
        full = pattern if pattern.startswith("/") or file.directory == "." else f"{file.directory}/{pattern}"
        try:
            paths = self._host.glob(full)
        except OSError as error:
            self._report.error(f"'{pattern}' is ignored: {error.strerror}", at, 1)
            return
        wild = any(mark in pattern for mark in "*?[")
        if not paths:
            message = f"no file matches '{pattern}'"
            hint = "quotes are taken for a part of the name here: leave them out" if '"' in pattern else ""
            if (WILDCARD if wild else MATCH) in checks or (BRACE in checks and "{" in pattern):
                self._report.error(message, at, 1, suggestion=hint, exit_code=Exit.SECURITY)
            else:
                self._report.note(message, at, 1, suggestion=hint)
        for path in paths:
            self._include_file(path, checks, at)

    def _include_file(self, path: str, checks: frozenset[str], at: Line) -> None:
        if path in self._open:
            self._report.error(f"'{path}' would include itself; it is ignored", at, 1)
            return
        self._files += 1
        if self._files > MAX_FILES:
            if self._files == MAX_FILES + 1:
                self._report.error(f"more than {MAX_FILES} files; no more are included", at, 1)
            return
        info = self._host.stat(path)
        problem = ""
        if info is None:
            problem = f"'{path}' does not exist"
        elif info.mode & 0o170000 != 0o100000:
            problem = f"'{path}' is not a regular file"
        elif info.mode & 0o111:
            problem = f"'{path}' is executable"
        if not problem:
            try:
                data = self._host.read_file(path)
            except OSError as error:
                problem = f"'{path}' cannot be read: {error.strerror}"
        if not problem:
            self._file(path, data, at)
        elif READ in checks:
            self._report.error(f"{problem}; it is not included", at, 1, exit_code=Exit.SECURITY)
        else:
            self._report.note(f"{problem}; it is not included", at, 1)


def _alternatives(pattern: str) -> int:
    """How many names the braces of a pattern stand for, at most."""
    count = 1
    while count <= MAX_ALTERNATIVES and "{" in pattern:
        for match in ALTERNATIVES.finditer(pattern):
            count *= match[1].count(",") + 1
        pattern, found = ALTERNATIVES.subn("", pattern)
        if not found:
            break
    return count


def _continues(text: str, body: list[str], whole: str) -> bool:
    """Adds a line of a definition's body; True when a backslash says that it goes on. `whole`: the line with its
    comment, whose last backslash counts too."""
    body.append(text.removesuffix("\\").strip())
    return text.endswith("\\") or whole.rstrip().endswith("\\")


def _easy(text: str) -> Segments | None:
    """The logical lines of a line that depends on nothing but itself; None for the others, and for those to refuse."""
    if len(text) > MAX_LINE // 4 or "\0" in text:
        return None
    if "#" in text or "!" in text or "\\" in text:
        text = strip_comment(text)
    if "$" in text or "@" in text or "~" in text or "include" in text:
        stripped = text.lstrip(" \t\r\v\f")
        if "$" in text or stripped.startswith(("@", "~", "include")):
            return None
    try:
        return split(text)
    except ValueError:
        return None
