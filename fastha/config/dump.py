"""`fastha dump`: the configuration as it was understood, in the language itself or as JSON.

Includes, conditions and definitions are carried out, lines and words that cannot be read are left out, values that were
corrected are the corrected ones. What only shows in the whole, such as a virtual server without servers, stays in.
Reading a dump gives the Plan that reading the original gave.
"""

from collections.abc import Iterator
from typing import Any

from fastha.config.arguments import DROP, Flag, Reading
from fastha.config.diagnostics import Diagnostic, Report
from fastha.config.expand import MAX_LINE
from fastha.config.host import Host
from fastha.config.parse import Parser
from fastha.config.preprocess import Preprocessor
from fastha.config.schema.entry import Repeat, Word
from fastha.config.script import Pattern, Script
from fastha.config.source import Line
from fastha.config.tree import Node

INDENT = "    "
SPECIAL = frozenset(' \t\r\v\f"{}#!')
"""What a word must be quoted for."""
AT_START = ("@", "~", "$", "include")
"""What makes a line something else when its first word begins with it."""


def read(path: str, host: Host, config_id: str | None = None) -> tuple[Node, list[Diagnostic]]:
    """The tree of a configuration, and what is wrong with its grammar. OSError or ValueError: `path` cannot be read."""
    report = Report()
    source = Preprocessor(host, config_id or host.hostname().partition(".")[0], report)
    source.read(path)
    root = Parser(source.lines, report).parse()
    return root, report.diagnostics


def canonical(root: Node) -> str:
    """The configuration in the language, one statement a line."""
    return "".join(f"{line}\n" for line in _block(root, ""))


def _block(node: Node, indent: str) -> Iterator[str]:
    for part in _statements(node):
        if isinstance(part, Line):
            yield _short(indent, _line(node, part))
            continue
        yield _short(indent, f"{quoted_words(part.line.words)} {{")
        yield from _block(part, indent + INDENT)
        yield indent + "}"


def _statements(node: Node) -> list[Line | Node]:
    """What counts of a block, in the order of the file."""
    lines = {id(line): line for line in (*(line for _, line in node.values.values()), *node.further)}
    parts: list[tuple[int, Line | Node]] = [(line.order, line) for line in lines.values()]
    parts += [(child.line.order, child) for child in node.children]
    return [part for _, part in sorted(parts, key=lambda pair: pair[0])]


def _short(indent: str, statement: str) -> str:
    """Indented, unless that would make the line longer than keepalived reads."""
    fits = len(indent) + len(statement.encode("utf-8", "surrogateescape")) <= MAX_LINE
    return indent + statement if fits else statement


def _line(node: Node, line: Line) -> str:
    """A statement without a block."""
    word = node.block.index.get(line.words[0]) if not node.block.line else None
    if word is None:
        return quoted_words(line.words)
    if isinstance(word.arguments, Script | Pattern):
        return escaped(line.text)
    value, holder = node.values.get(word.setting, (None, line))
    words = line.words[1:]
    if holder is line and word.repeat is not Repeat.MANY:
        words = _canonical_words(word, value, line)
    return quoted_words([word.name, *words])


def _canonical_words(word: Word, value: Any, line: Line) -> list[str]:
    """The argument in its shortest form, if that means the same."""
    written = line.words[1:]
    shortest = word.arguments.written(value, written)
    if shortest == written:
        return written
    again = Line([word.name, *shortest], quoted_words([word.name, *shortest]), line.file, line.number, line.order)
    reading = Reading(again, Report())
    means = word.arguments.read(reading)
    return shortest if means is not DROP and means == value and not reading.complained else written


def quoted_words(words: list[str]) -> str:
    """Words as a line, with the quotes they need."""
    first, *rest = words
    start = f'"{first}"' if first.startswith(AT_START) else _quoted(first)
    return " ".join([start, *map(_quoted, rest)])


def _quoted(word: str) -> str:
    return word if word and SPECIAL.isdisjoint(word) else f'"{word}"'


def escaped(text: str) -> str:
    """The text of a statement, read again to the same: comment signs outside of quotes have their backslash."""
    parts = text.strip().split('"')
    outside = [part.replace("#", r"\#").replace("!", r"\!") for part in parts[::2]]
    parts[::2] = outside
    return '"'.join(parts)


def as_data(node: Node) -> dict[str, Any]:
    """A block as a value for JSON: settings by word, blocks of a kind as a list (or as one, where only one may be)."""
    result: dict[str, Any] = {}
    for part in _statements(node):
        name = part.words[0] if isinstance(part, Line) else part.line.words[0]
        word = node.block.index[name]
        if isinstance(part, Line):
            value = _setting(node, word, part)
            if word.repeat is Repeat.MANY:
                result.setdefault(name, []).append(value)
            else:
                result[name] = value
        else:
            _add(result, name, word, part)
    return result


def _setting(node: Node, word: Word, line: Line) -> Any:
    value, holder = node.values.get(word.setting, (None, line))
    if isinstance(word.arguments, Pattern):
        return shown(value)
    words = _canonical_words(word, value, line) if holder is line and word.repeat is not Repeat.MANY else line.words[1:]
    return word.arguments.data([shown(text) for text in words])


def _add(result: dict[str, Any], name: str, word: Word, child: Node) -> None:
    """A block into the object of the block around it."""
    header = {} if isinstance(word.arguments, Flag) else {"arguments": [shown(text) for text in child.line.words[1:]]}
    if child.block.line:
        lines = [shown(quoted_words(line.words)) for line in child.further]
        if header:
            result.setdefault(name, []).append({**header, "lines": lines})
        else:
            result.setdefault(name, []).extend(lines)
        return
    if word.repeat is Repeat.MANY and name != "global_defs":
        result.setdefault(name, []).append({**header, **as_data(child)})
    else:
        result.setdefault(name, {}).update(as_data(child))


def shown(text: str) -> str:
    """Text that JSON can hold: octets that are not UTF-8 as `\\xNN`."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
