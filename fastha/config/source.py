"""Where a statement stands: files, physical lines, and the logical lines cut out of them."""

import re

WORD = re.compile(r'"([^"]*)"|([^ \t\r\v\f\n"{}]+)|([{}])')
"""A double-quoted run, a bare word, or a brace. Blanks are exactly keepalived's; U+00A0 is not one."""


class SourceFile:
    """A file as it was read. `parent` is the line that included it."""

    __slots__ = ("directory", "lines", "name", "parent")

    def __init__(self, name: str, text: str, parent: "Line | None" = None) -> None:
        self.name = name
        self.lines = text.split("\n")
        self.parent = parent
        self.directory = name.rpartition("/")[0] or ("/" if name.startswith("/") else ".")

    def inclusions(self) -> list[str]:
        """`file:line` of the include that led here, of the one that led there, and so on."""
        result = []
        at = self.parent
        while at is not None:
            result.append(f"{at.file.name}:{at.number}")
            at = at.file.parent
        return result

    def physical(self, number: int) -> str:
        """Line `number` (from 1) as it stands in the file, without the line end."""
        return self.lines[number - 1].rstrip("\r") if 0 < number <= len(self.lines) else ""


OPEN = ["{"]
"""The words of an opening brace: compared by identity, because a quoted "{" is an ordinary word."""
CLOSE = ["}"]
"""The words of a closing brace."""


class Line:
    """A logical line: its words, without quotes. A brace is a logical line of its own.

    `text` is the statement after expansion, quotes and backslashes included; `order` counts logical lines.
    `words` may be shared between equal lines and is never changed.
    """

    __slots__ = ("file", "number", "order", "text", "words")

    def __init__(self, words: list[str], text: str, file: SourceFile, number: int, order: int) -> None:
        self.words = words
        self.text = text
        self.file = file
        self.number = number
        self.order = order

    def locate(self, word: int) -> tuple[int, int]:
        """Column (from 1) and width of word number `word` in the physical line.

        What came out of a definition may not stand there at all; then the first thing on the line is meant.
        """
        physical = self.file.physical(self.number)
        found = [(m.start(), m.end(), m[1] if m[1] is not None else m[0]) for m in WORD.finditer(physical)]
        texts = [text for _, _, text in found]
        wanted = self.words[: word + 1]
        last = wanted[-1] if wanted else ""
        # a backslash that ends the line has been joined to the last word
        for words in (wanted, [*wanted[:-1], last[:-1]]) if last.endswith("\\") else (wanted,):
            for start in range(len(texts) - len(words) + 1):
                if texts[start : start + len(words)] == words:
                    begin, end, _ = found[start + len(words) - 1]
                    return begin + 1, end - begin
        if 0 <= word < len(self.words):
            at = physical.find(self.words[word])
            if at >= 0 and self.words[word]:
                return at + 1, len(self.words[word])
        stripped = physical.lstrip()
        return len(physical) - len(stripped) + 1, len(stripped) or 1
