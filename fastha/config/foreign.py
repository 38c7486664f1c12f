"""Files that are no configuration as they stand: templates that nobody filled in, JSON, YAML, pieces of shell scripts.

keepalived reads them word by word, and so do we; but what then comes out is dozens of findings about nothing, where one
would do.
"""

import re
from itertools import pairwise
from typing import NamedTuple

from fastha.config.lexer import strip_comment
from fastha.config.source import OPEN, Line

QUOTED = re.compile(r'"[^"]*"')
TEMPLATES = (
    (re.compile(r"\{\{.*?\}\}|\{%.*?%\}"), "'{{ }}' and '{% %}' are filled in by Jinja (Ansible, Salt), Go or Helm"),
    (re.compile(r"<%.*?%>"), "'<% %>' is filled in by ERB (Puppet, Chef)"),
)
YAML_LINE = re.compile(r"---\s*$|\s*(- )?[\w.-]+:(\s|$)")
HERE_DOCUMENT = re.compile(r"<<-?\s*[\"'\\]?(\w+)")
FEW = 3
"""So many lines at the beginning tell what a file is."""
ENDS = frozenset({"EOF", "EOT", "EOL", "END"})
"""Usual last lines of here-documents."""


class Foreign(NamedTuple):
    """What a file is instead, and a line, of one word, that shows it."""

    message: str
    line: Line


def recognise(lines: list[Line], wrong: set[tuple[str, int]], *, definitions: bool) -> Foreign | None:
    """What the file is instead of a configuration; None for a configuration, however bad.

    `wrong`: (file, line) of the errors. What keepalived reads without complaint is never taken for something else.
    `definitions`: it has some, and so references in it are its own.
    """
    if not lines or not wrong:
        return None
    return _data(lines) or _template(lines, wrong) or (None if definitions else _unset(lines, wrong))


def _data(lines: list[Line]) -> Foreign | None:
    """JSON and YAML, by how they begin."""
    first = lines[0]
    if first.words is OPEN and len(lines) > 1 and lines[1].text.lstrip().startswith('"'):
        return Foreign("this is JSON, and no keepalived configuration", first)
    starts = list({(line.file.name, line.number): line for line in reversed(lines)}.values())[::-1][:FEW]
    if len(starts) > 1 and all(YAML_LINE.match(line.file.physical(line.number)) for line in starts):
        return Foreign("this is YAML, and no keepalived configuration", first)
    return None


def _template(lines: list[Line], wrong: set[tuple[str, int]]) -> Foreign | None:
    """A template, by the first of its marks, if one of the lines with such marks is in error."""
    firsts: dict[tuple[str, int], Line] = {}
    for line in lines:
        firsts.setdefault((line.file.name, line.number), line)
    texts = [(line, _plain(line)) for line in firsts.values()]
    for pattern, by in TEMPLATES:
        marked = [(line, found[0]) for line, text in texts if (found := pattern.search(text))]
        if any((line.file.name, line.number) in wrong for line, _ in marked):
            message = f"this is a template that is not filled in, and no configuration yet: {by}"
            return Foreign(message, _mark(*marked[0]))
    return None


def _unset(lines: list[Line], wrong: set[tuple[str, int]]) -> Foreign | None:
    """References `${NAME}` that nothing replaced: the first where the brace was taken for a block's."""
    for line, after in pairwise(lines):
        open_here = after.words is OPEN and after.number == line.number and line.words[-1].endswith("$")
        if open_here and (line.file.name, line.number) in wrong:
            return Foreign(
                "nothing defines what stands in '${ }' here; was a shell or envsubst to fill it in?", _mark(line, "${")
            )
    return None


def _mark(line: Line, text: str) -> Line:
    """The place of `text` in a line."""
    return Line([text], line.text, line.file, line.number, line.order)


def _plain(line: Line) -> str:
    """The physical line without comment and quoted words."""
    return QUOTED.sub("", strip_comment(line.file.physical(line.number)))


def shell(line: Line) -> str:
    """About an unknown word outside of all blocks: what it means if it is from a shell script that writes the file."""
    here = HERE_DOCUMENT.search(line.text)
    if here:
        return f"this is a line of a shell script; the configuration is what stands between it and '{here[1]}'"
    if len(line.words) == 1 and line.words[0] in ENDS:
        return "this is the end of a here-document, left over from a shell script: delete the line"
    return ""
