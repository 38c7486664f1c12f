"""Physical lines into words: comments, quotes, braces; and the second tokeniser that script words have."""

import re

from fastha.config.source import CLOSE, OPEN, WORD

COMMENT = re.compile(r'((?:[^"#!\\]|\\[\s\S]?|"[^"]*(?:"|$))*)([#!].*)?')
ESCAPED = re.compile(r'"[^"]*"?|\\([#!])')
SCRIPT_WORD = re.compile(r"""(?:[^\s"'\\]|\\[\s\S]|"(?:[^"\\]|\\[\s\S])*"|'(?:[^'\\]|\\[\s\S])*')+""")
SCRIPT_PIECE = re.compile(r"""\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|c[\s\S]|[\s\S])|(["'])|([^"'\\]+)""")
ESCAPES = {"a": "\a", "b": "\b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def strip_comment(text: str) -> str:
    """`text` up to the first `#` or `!` that is neither quoted nor escaped; `\\#` and `\\!` lose their backslash.

    A backslash that ends what is kept belongs to the last word.
    """
    match = COMMENT.match(text)
    kept = match[1] if match else text
    if "\\" in kept:
        kept = ESCAPED.sub(lambda m: m[1] or m[0], kept)
        if kept.rstrip().endswith("\\"):
            kept = kept.rstrip()[:-1].rstrip() + "\\"
    return kept


def split(text: str) -> list[tuple[list[str], str]]:
    """The logical lines of a comment-free physical line, each with its text. Braces come as OPEN and CLOSE.

    ValueError when a quote is not closed: the words before it are lost with the rest, as in keepalived.
    """
    if text.count('"') % 2:
        raise ValueError(text.strip())
    result: list[tuple[list[str], str]] = []
    words: list[str] = []
    begin = 0
    for match in WORD.finditer(text):
        brace = match[3]
        if brace is None:
            words.append(match[1] if match[1] is not None else match[2])
            continue
        if words:
            result.append((words, text[begin : match.start()]))
            words = []
        result.append((OPEN if brace == "{" else CLOSE, brace))
        begin = match.end()
    if words:
        result.append((words, text[begin:]))
    return result


def script_words(text: str) -> list[str]:
    """First pass over a line with a script: words grouped by either quote, the outer quotes taken off, backslash pairs
    kept. ValueError when a quote is not closed or the line ends in a lone backslash."""
    words: list[str] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        if text[at] in "\"'":
            end = _closing(text, at)
            words.append(text[at + 1 : end])
            at = end + 1
            continue
        end = at
        while end < len(text) and not text[end].isspace() and text[end] not in "\"'":
            end += 2 if text[end] == "\\" else 1
        if end > len(text):
            raise ValueError("the line ends in a lone backslash")
        words.append(text[at:end])
        at = end
    return words


def _closing(text: str, at: int) -> int:
    """Index of the quote that closes the one at `at`."""
    end = at + 1
    while end < len(text) and text[end] != text[at]:
        end += 2 if text[end] == "\\" else 1
    if end >= len(text):
        raise ValueError(f"the quote {text[at]} is not closed")
    return end


def command_words(text: str) -> list[str]:
    """Second pass, over the script word itself: argv. Quotes of both kinds group, escapes are decoded, adjacent pieces
    join. ValueError as `script_words`."""
    words = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = SCRIPT_WORD.match(text, at)
        if match is None or (match.end() < len(text) and not text[match.end()].isspace()):
            raise ValueError(
                "a quote is not closed" if match is None or text[match.end()] != "\\" else "lone backslash"
            )
        words.append(_decode(match[0]))
        at = match.end()
    return words


def _decode(piece: str) -> str:
    """A script word without its quotes and with its escapes decoded."""
    out: list[str] = []
    quote = ""
    for match in SCRIPT_PIECE.finditer(piece):
        escape, mark, plain = match.groups()
        if escape is not None:
            out.append(_escape(escape))
        elif mark is not None:
            if not quote:
                quote = mark
            elif quote == mark:
                quote = ""
            else:
                out.append(mark)
        else:
            out.append(plain)
    return "".join(out)


def _escape(text: str) -> str:
    kind = text[0]
    if kind == "x" and len(text) > 1:
        return chr(int(text[1:], 16))
    if kind in "01234567":
        return chr(int(text, 8) & 0xFF)
    if kind == "c" and len(text) > 1:
        return chr(ord(text[1]) & 0x1F)
    return ESCAPES.get(kind, text)
