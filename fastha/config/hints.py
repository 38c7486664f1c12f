"""What a person would notice who looks at a broken file: a value that a comment cuts, letters that only look right."""

import unicodedata

from fastha.config.lexer import COMMENT, strip_comment
from fastha.config.source import WORD, SourceFile

BLANKS = " \t\r\v\f"
ASCII_TWINS = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    **dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u202f\u3000", " "),
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", ""),
}
"""Typographic signs and what was probably typed; those that are invisible stand for nothing."""
LETTER_TWINS = dict(
    zip(
        "\u0430\u0435\u043e\u0440\u0441\u0445\u0443\u0456\u0455\u0458\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420"
        "\u0421\u0422\u0425\u03bf\u03b1\u0391\u0392\u0395\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a7",
        "aeopcxyisjABEKMHOPCTXoaABEHIKMNOPTX",
        strict=True,
    )
)
"""Cyrillic and Greek letters that look like Latin ones."""


def cut_by_comment(physical: str) -> str:
    """The mark that begins a comment right behind a word, as in `abc#1`; empty when there is none."""
    match = COMMENT.match(physical)
    if match is None or not match[2]:
        return ""
    before = match[1][-1:]
    return match[2][0] if before and before not in BLANKS + '{}"' else ""


def comment_mark(physical: str) -> str:
    """The mark that begins the comment of a line; empty when it has none."""
    match = COMMENT.match(physical)
    return match[2][0] if match and match[2] else ""


def look_alikes(file: SourceFile) -> dict[int, list[tuple[str, str]]]:
    """By line number the words with a sign or letter that only looks like an ASCII one, and what to say about each.

    A word in another alphabet altogether is a name like any other.
    """
    result: dict[int, list[tuple[str, str]]] = {}
    for number, physical in enumerate(file.lines, 1):
        if physical.isascii():
            continue
        for match in WORD.finditer(strip_comment(physical)):
            text = match[1] if match[1] is not None else match[0]
            found = _look_alike(text, quoted=match[1] is not None)
            if found:
                result.setdefault(number, []).append((text, found))
    return result


def _look_alike(text: str, *, quoted: bool) -> str:
    """About the first such character of a word; in quotes only letters among Latin ones count."""
    latin = any(c.isascii() and c.isalpha() for c in text)
    for character in text:
        if character in LETTER_TWINS and latin:
            return f"{_named(character)} looks like '{LETTER_TWINS[character]}' and is another letter"
        if character in ASCII_TWINS and not quoted:
            twin = ASCII_TWINS[character]
            meant = f"; a plain {twin} was probably meant" if twin.strip() else "; it is part of the word"
            return f"{_named(character)}{meant}"
    return ""


def _named(character: str) -> str:
    return f"U+{ord(character):04X} {unicodedata.name(character, '').lower()}".rstrip()
