"""Logical lines -> tree, by recursive descent along the keyword tables.

Errors never stop it. Where keepalived loses count of braces, so do we: an unknown word that opens a block is not
skipped, its contents are taken for the enclosing block's and its `}` ends that one. Anything else would accept files
that keepalived reads differently.
"""

from typing import Any

from fastha.config.arguments import DROP, Reading
from fastha.config.diagnostics import Report, closest
from fastha.config.hints import LeftOpen, cut_by_comment, left_open
from fastha.config.lines import LINE_READERS, TRACK_READERS, AddressLine
from fastha.config.schema.entry import Block, Repeat, Status, Word
from fastha.config.schema.lines import ADDRESS_LINE
from fastha.config.schema.tables import BLOCKS, ROOT
from fastha.config.source import CLOSE, OPEN, Line, SourceFile
from fastha.config.tree import Node

MAX_SUGGESTIONS = 200
"""Guesses at misspelt words in one reading; a file of something else altogether gets no more."""
LOST = "the block it opens is not known: its contents are taken for this block's, and its '}' ends this block"


class Parser:
    """One reading of `lines`.

    `pending` collects the words not yet in effect, each with the first line that has it; of a block that is not, the
    block's own word only.
    """

    def __init__(self, lines: list[Line], report: Report) -> None:
        self.pending: dict[tuple[str, str], tuple[Word, Line]] = {}
        self._lines = lines
        self._report = report
        self._at = 0
        self._memo: dict[str, dict[int, tuple[str, Any]]] = {path: {} for path in BLOCKS}
        self._named: set[tuple[str, Any]] = set()
        self._suggestions: dict[tuple[str, str], str] = {}
        self._open_block: LeftOpen | None = None
        self._looked = False

    def parse(self) -> Node:
        """The root with everything in it."""
        start = self._lines[0] if self._lines else Line([], "", SourceFile("", ""), 0, 0)
        root = Node(ROOT, start, None)
        while not self._block(root, nested=False):
            line = self._lines[self._at - 1]
            self._report.error("this '}' closes nothing", line)
        return root

    def _block(self, node: Node, *, nested: bool) -> bool:
        """Statements into `node` up to its `}`. True at the end of the file."""
        lines, values = self._lines, node.values
        index, memo = node.block.index, self._memo[node.block.path]
        at, end = self._at, len(self._lines)
        while at < end:
            line = lines[at]
            at += 1
            words = line.words
            known = memo.get(id(words))
            if known is not None:
                values[known[0]] = (known[1], line)
                continue
            if words is CLOSE:
                self._at = at
                return False
            self._at = at
            if words is OPEN:
                self._report.error("this '{' opens nothing; it is ignored", line)
                continue
            word = index.get(words[0])
            if word is None:
                self._unknown(node, line)
            elif word.opens:
                self._open(node, word, line)
                at = self._at
            else:
                self._setting(node, word, line, memo)
        self._at = at
        if nested:
            self._missing_brace(node.line)
        return True

    def _missing_brace(self, opening: Line) -> None:
        """A block is still open at the end of the file."""
        found = self._left_open()
        self._report.error(
            f"the '}}' of '{opening.words[0]}' is missing at the end of the file",
            opening,
            suggestion=_told(found) if found and found.opening is not opening else "",
        )

    def _left_open(self) -> LeftOpen | None:
        """The block that probably lacks its brace, looked for once."""
        if not self._looked:
            self._looked = True
            self._open_block = left_open(self._lines)
        return self._open_block

    def _unknown(self, node: Node, line: Line) -> None:
        name = line.words[0]
        message = f"unknown keyword '{name}' in {_place(node.block)}"
        if self._next_is(OPEN):
            message += f"; {LOST}"
        self._report.error(message, line, 0, suggestion=self._suggest(node, name))

    def _suggest(self, node: Node, name: str) -> str:
        block = node.block
        key = (block.path, name)
        if key not in self._suggestions:
            if len(self._suggestions) >= MAX_SUGGESTIONS:
                return ""
            self._suggestions[key] = self._elsewhere(node, name) or closest(name, block.index)
        return self._suggestions[key]

    def _elsewhere(self, node: Node, name: str) -> str:
        """Where a word does belong, and why it may be here."""
        places = [block.path for block in BLOCKS.values() if name in block.index]
        if not places:
            return ""
        where = ", ".join("the root" if path == ROOT.path else path for path in places[:4])
        text = f"'{name}' belongs into {where}"
        if node.block is ROOT:
            return f"{text}; is there a '}}' too many before it?"
        found = self._left_open()
        if found is not None:
            return f"{text}; {_told(found)}"
        return f"{text}; is the '}}' of '{node.line.words[0]}' (line {node.line.number}) missing?"

    def _next_is(self, brace: list[str]) -> bool:
        return self._at < len(self._lines) and self._lines[self._at].words is brace

    def _setting(self, node: Node, word: Word, line: Line, memo: dict[int, tuple[str, Any]]) -> None:
        """A statement without a block."""
        reading = Reading(line, self._report)
        if not self._welcome(node, word, reading):
            return
        value = word.arguments.read(reading)
        if word.arguments.free:
            self._cut(line)
        if value is DROP:
            return
        if word.arguments.most is not None:
            reading.wants(word.arguments.most + 1)
        setting = word.setting
        if word.settled and node.has(setting) and node.maybe(setting) != value and value in word.settled:
            reading.error(f"'{word.name}' was {node.maybe(setting)} before; {value} is ignored")
            return
        before = node.values.get(setting)
        if before is not None and (word.repeat is Repeat.MANY or setting in node.block.needed):
            node.further.append(before[1])
        if word.repeat is Repeat.MANY:
            values = before[0] if before else []
            values.append(value)
            node.values[setting] = (values, line)
            return
        node.values[setting] = (value, line)
        free = word.after is None and not word.settled and word.repeat is Repeat.LAST and word.arguments.pure
        if free and setting not in node.block.needed and not reading.complained:
            memo[id(line.words)] = (setting, value)

    def _cut(self, line: Line) -> None:
        """Remarks on a value that a comment sign ends."""
        physical = line.file.physical(line.number)
        mark = cut_by_comment(physical) if "#" in physical or "!" in physical else ""
        if mark and len(line.words) > 1:
            self._report.note(
                f"the value ends before '{mark}', which begins a comment",
                line,
                len(line.words) - 1,
                suggestion=f"if '{mark}' belongs to it, put the value in double quotes or write \\{mark}",
            )

    def _welcome(self, node: Node, word: Word, reading: Reading) -> bool:
        """Whether the word may be here, now; what is worth saying about it is said."""
        line = reading.line
        if word.status is Status.PENDING and not node.pending:
            self.pending.setdefault((node.block.path, word.name), (word, line))
        if word.deprecated:
            complain = reading.note if word.tolerated else reading.error
            complain(f"'{word.name}' is deprecated", 0, suggestion=f"write: {word.deprecated}")
        if word.after is not None:
            setting, allowed, phrase = word.after
            if not node.has(setting) or (allowed and node.maybe(setting) not in allowed):
                reading.error(f"'{word.name}' {phrase}; it is ignored", 0)
                return False
        if word.repeat is Repeat.FIRST and not word.opens and node.has(word.setting):
            reading.error(f"'{word.name}' is given a second time; it is ignored", 0)
            return False
        if word.repeat is Repeat.REPLACED and node.has(word.setting):
            reading.error(f"'{word.name}' is given a second time; this one counts", 0)
        return True

    def _open(self, node: Node, word: Word, line: Line) -> None:
        """A statement that opens a block."""
        reading = Reading(line, self._report, block=True)
        block = BLOCKS[word.opens]
        welcome = self._welcome(node, word, reading)
        header = word.arguments.read(reading) if welcome else DROP
        if header is not DROP:
            self._extra_parameters(word, block, reading)
        if word.repeat is Repeat.FIRST and node.blocks(block.path):
            reading.error(f"a second '{word.name}' in one {_place(node.block)}; it is skipped", 0)
            header = DROP
        if word.unique and header is not DROP:
            if (block.path, header) in self._named:
                reading.error(f"{word.name} '{header}' is already defined; this one is skipped", 1)
                header = DROP
            self._named.add((block.path, header))
        if not self._next_is(OPEN):
            if header is not DROP or not self._next_is(CLOSE):
                self._report.error(f"'{word.name}' needs a '{{'", line, 0)
        else:
            self._at += 1
        if header is DROP:
            self._skip(line)
            return
        child = Node(block, line, header)
        child.pending = node.pending or word.status is Status.PENDING
        node.children.append(child)
        if block.line:
            self._items(child)
        else:
            self._block(child, nested=True)

    def _extra_parameters(self, word: Word, block: Block, reading: Reading) -> None:
        """Words before the brace that nothing reads. Those of a block of lines may be meant as lines: an error."""
        most = word.arguments.most
        if most is None or len(reading.words) <= most + 1:
            return
        if block.line:
            reading.error(
                f"extra words before the '{{' of '{word.name}' are ignored: {' '.join(reading.words[most + 1 :])}",
                most + 1,
                suggestion="what belongs into the block stands behind the brace",
            )
        else:
            reading.wants(most + 1)

    def _skip(self, opening: Line) -> None:
        """To the end of a block that is not read."""
        depth = 1
        while self._at < len(self._lines):
            words = self._lines[self._at].words
            self._at += 1
            if words is OPEN:
                depth += 1
            elif words is CLOSE:
                depth -= 1
                if not depth:
                    return
        self._missing_brace(opening)

    def _items(self, node: Node) -> None:
        """The lines of a block of lines."""
        read = TRACK_READERS.get(node.block.path) or LINE_READERS[node.block.line]
        while self._at < len(self._lines):
            line = self._lines[self._at]
            self._at += 1
            if line.words is CLOSE:
                return
            if line.words is OPEN:
                self._report.error("this '{' opens nothing; it is ignored", line)
                continue
            item = read(Reading(line, self._report))
            if item is not DROP:
                node.further.append(line)
            if isinstance(item, AddressLine):
                self._pending_options(item)
            if isinstance(item, list):
                node.items.extend(item)
            elif item is not DROP:
                node.items.append(item)
        self._missing_brace(node.line)

    def _pending_options(self, item: AddressLine) -> None:
        """Words of an address line that are not yet in effect."""
        for name in item.options:
            word = ADDRESS_LINE.index.get(name)
            if word is not None and word.status is Status.PENDING:
                self.pending.setdefault((ADDRESS_LINE.path, name), (word, item.line))


def _place(block: Block) -> str:
    return "the file" if block is ROOT else block.path


def _told(found: LeftOpen) -> str:
    closing = f": the '}}' of line {found.closing.number} stands too far left for it" if found.closing else ""
    return f"'{found.opening.words[0]}' (line {found.opening.number}) seems to be left open{closing}"
