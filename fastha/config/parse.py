"""Logical lines -> tree, by recursive descent along the keyword tables.

Errors never stop it. Where keepalived loses count of braces, so do we: an unknown word that opens a block is not
skipped, its contents are taken for the enclosing block's and its `}` ends that one. Anything else would accept files
that keepalived reads differently. Only in a file that lacks closing braces, so that keepalived refuses it anyway,
a statement that belongs into an outer block ends those inside it: what follows is judged as it was meant.
"""

from typing import Any

from fastha.config.arguments import DROP, Reading
from fastha.config.braces import NO_KEYWORDS, Braces, LeftOpen
from fastha.config.diagnostics import Report, closest
from fastha.config.foreign import shell
from fastha.config.hints import cut_by_comment
from fastha.config.lines import LINE_READERS, TRACK_READERS, AddressLine
from fastha.config.schema.entry import Block, Repeat, Status, Word
from fastha.config.schema.lines import ADDRESS_LINE
from fastha.config.schema.tables import BLOCKS, OPENED, ROOT
from fastha.config.source import CLOSE, OPEN, Line, SourceFile
from fastha.config.tree import Node

MAX_SUGGESTIONS = 200
"""Guesses at misspelt words in one reading; a file of something else altogether gets no more."""

SAID = frozenset({Status.PENDING, Status.NO_EFFECT})
"""Of words that do not do what they say the operator is told."""


class Parser:
    """One reading of `lines`.

    `pending` collects the words not (yet) in effect, each with the first line that has it; of a block that is not, the
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
        self._braces = Braces(lines)
        self._nodes: list[Node] = []
        """The blocks around the line that is read."""
        self._resume: Node | None = None
        """The block where reading goes on, while those left open inside it are left."""
        self._lost = 0
        """Unknown blocks around the line that is read, outside of all known ones."""

    def parse(self) -> Node:
        """The root with everything in it."""
        start = self._lines[0] if self._lines else Line([], "", SourceFile("", ""), 0, 0)
        root = Node(ROOT, start, None)
        self._nodes.append(root)
        while not self._block(root, nested=False):
            if self._lost:
                self._lost -= 1
            else:
                self._report.error("this '}' closes nothing", self._lines[self._at - 1])
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
                if nested and self._left(line):
                    return False
                self._unknown(node, line)
                at = self._at
            elif word.opens:
                self._open(node, word, line)
                at = self._at
                if self._resume is node:
                    self._resume = None
                elif self._resume is not None:
                    return False
            else:
                self._setting(node, word, line, memo)
        self._at = at
        if nested:
            self._missing_brace(node.line)
        return True

    def _missing_brace(self, opening: Line) -> None:
        """A block is still open at the end of the file."""
        found = self._braces.left_open()
        self._report.error(
            f"the '}}' of '{opening.words[0]}' is missing at the end of the file",
            opening,
            suggestion=str(found) if found and found.opening is not opening else "",
        )

    def _left(self, line: Line) -> bool:
        """Whether `line` shows that the block around it is left open: then reading goes on with it in an outer one."""
        outer = self._braces.owner(self._nodes, line, opens=self._next_is(OPEN))
        if outer is None:
            return False
        before = f"before '{line.words[0]}' (line {line.number})"
        found = self._braces.left_open()
        for node in reversed(self._nodes[self._nodes.index(outer) + 1 :]):
            if found and found.closing and node.line.order <= found.opening.order < found.closing.order < line.order:
                self._report.error(f"{found}; noticed {before}", found.opening)
            else:
                self._report.error(f"{LeftOpen(node.line, None)}: its '}}' is missing {before}", node.line)
        self._resume = outer
        self._at -= 1
        return True

    def _unknown(self, node: Node, line: Line) -> None:
        """A word that this block does not have; the brace that follows it has its share in the finding."""
        name = line.words[0]
        opens = self._next_is(OPEN)
        if opens:
            self._at += 1
        at_root = node.block is ROOT
        if not (at_root and self._lost):
            message = f"unknown keyword '{name}' in {_place(node.block)}"
            if opens and at_root:
                message += "; what is in its braces is passed over with it"
            elif opens:
                path = node.block.path
                message += f"; its contents are taken for those of {path}, and its '}}' ends {path}"
            hint = shell(line) if at_root else ""
            self._report.error(message, line, 0, suggestion=hint or self._suggest(node, name))
        if opens and at_root:
            self._lost += 1

    def _suggest(self, node: Node, name: str) -> str:
        block = node.block
        key = (block.path, name)
        if key not in self._suggestions:
            if len(self._suggestions) >= MAX_SUGGESTIONS:
                return ""
            before, equals, after = name.partition("=")
            if equals and before in block.index:
                self._suggestions[key] = f"write: {before} {after}".rstrip()
            else:
                self._suggestions[key] = self._elsewhere(node, name) or closest(name, block.index)
        return self._suggestions[key]

    def _elsewhere(self, node: Node, name: str) -> str:
        """Where a word does belong, and why it may be here."""
        places = [path for path, block in BLOCKS.items() if path in OPENED and name in block.index]
        if not places:
            return ""
        where = ", ".join("the root" if path == ROOT.path else path for path in places[:4])
        text = f"'{name}' belongs into {where}"
        if node.block is ROOT:
            return f"{text}; is there a '}}' too many before it?" if self._braces.balance() < 0 else text
        found = self._braces.left_open()
        if found is not None:
            return f"{text}; {found}"
        if self._braces.balance() <= 0:
            return text
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
        elif len(line.words) > 2 and line.words[1] == "=":
            without = " ".join([word.name, *line.words[2:]])
            reading.note("there is no '=' between a word and its value", 1, suggestion=f"write: {without}")
        if value is DROP:
            node.bad.add(word.setting)
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
        if word.status in SAID and not node.pending:
            self.pending.setdefault((node.block.path, word.name), (word, line))
        if word.deprecated:
            complain = reading.note if word.tolerated else reading.advise
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
            reading.advise(f"'{word.name}' is given a second time; this one counts", 0)
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
            node.bad.add(block.path)
            self._skip(block, line)
            return
        child = Node(block, line, header)
        child.pending = node.pending or word.status is Status.PENDING
        node.children.append(child)
        self.inside(child)
        self._nodes.pop()

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

    def _skip(self, block: Block, opening: Line) -> None:
        """To the end of a block that does not count; what is wrong inside is said as well, as notes."""
        depth, begin = 1, self._at
        while self._at < len(self._lines):
            words = self._lines[self._at].words
            self._at += 1
            if words is OPEN:
                depth += 1
            elif words is CLOSE:
                depth -= 1
                if not depth:
                    before, self._report.lenient = self._report.lenient, True
                    Parser(self._lines[begin : self._at], self._report).inside(Node(block, opening, None))
                    self._report.lenient = before
                    return
        self._missing_brace(opening)

    def inside(self, node: Node) -> None:
        """The contents of `node` up to its `}`."""
        self._nodes.append(node)
        if node.block.line:
            self._items(node)
        else:
            self._block(node, nested=True)

    def _items(self, node: Node) -> None:
        """The lines of a block of lines."""
        read = TRACK_READERS.get(node.block.path) or LINE_READERS[node.block.line]
        outside = self._nodes[:-1]
        while self._at < len(self._lines):
            line = self._lines[self._at]
            self._at += 1
            if line.words is CLOSE:
                return
            if line.words is OPEN:
                self._report.error("this '{' opens nothing; it is ignored", line)
                continue
            stranger = any(line.words[0] in outer.block.index for outer in outside)
            if (stranger or self._next_is(OPEN)) and self._left(line):
                return
            if stranger and node.block.line in NO_KEYWORDS:
                self._unknown(node, line)
                continue
            reading = Reading(line, self._report)
            item = read(reading)
            if item is not DROP:
                node.further.append(reading.counting())
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
