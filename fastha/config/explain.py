"""`fastha explain WORD` and the keyword reference: the tables as text."""

from collections.abc import Iterable

from fastha.config.diagnostics import closest
from fastha.config.schema.entry import Block, Repeat, Status, Word
from fastha.config.schema.tables import ROOT, entries

INDENT = 11
INTRODUCTION = """# Keywords

Every word of the configuration language that fastha knows, block by block; made from the keyword tables
(`fastha/config/schema`) by `tests/tools/keywords.py`. `fastha explain WORD` shows more of one word.
Words marked *not yet in effect* are read and checked, and reported.
"""


def explain(word: str) -> str:
    """All that the tables say about a word, in each block where it stands.

    KeyError, with a suggestion, when there is no such word. `BLOCK.WORD` or `BLOCK/WORD` narrows it down to one block.
    """
    block_name, name = _narrowed(word)
    found = [
        (block, entry)
        for block, entry in entries()
        if entry.name == name and (not block_name or block.path == block_name)
    ]
    if not found:
        guess = closest(name, {entry.name for _, entry in entries()})
        raise KeyError(f"there is no word '{word}'" + (f"; {guess}" if guess else ""))
    merged: dict[tuple[str, str], list[Block]] = {}
    for block, entry in found:
        merged.setdefault(_entry(entry), []).append(block)
    return "\n\n".join(
        f"{head}\n{_row('in', ', '.join(_where(block) for block in blocks))}\n{rows}"
        for (head, rows), blocks in merged.items()
    )


def _narrowed(word: str) -> tuple[str, str]:
    for mark in ("/", "."):
        block, found, name = word.rpartition(mark)
        if found and any(b.path == block for b, _ in entries()):
            return block, name
    return "", word


def _entry(word: Word) -> tuple[str, str]:
    """The heading of an entry, and its rows."""
    shape = word.arguments.describe()
    head = f"{word.name} {shape}".rstrip() + (" { ... }" if word.opens else "")
    rows = [("effect", word.effect)]
    if word.default:
        rows.append(("default", word.default))
    rows.append(("reload", str(word.reload)))
    if word.repeat is not Repeat.LAST:
        rows.append(("repeated", str(word.repeat)))
    if word.deprecated:
        rows.append(("deprecated", f"write {word.deprecated}"))
    if word.after:
        rows.append(("condition", word.after[2]))
    rows.append(("status", status_text(word)))
    if word.example:
        rows.append(("example", word.example.replace("\n", "\n" + " " * (INDENT + 2))))
    return head, "\n".join(_row(name, text) for name, text in rows)


def _row(name: str, text: str) -> str:
    return f"  {name:<{INDENT}}{text}"


def _where(block: Block) -> str:
    return "the root" if block is ROOT else block.path


def status_text(word: Word) -> str:
    """The status with what it means for this word."""
    if word.status is Status.PENDING:
        return f"{word.status}: {word.pending}"
    return str(word.status)


def markdown() -> str:
    """The keyword reference, `docs/keywords.md`."""
    parts = [INTRODUCTION]
    blocks: dict[str, list[Word]] = {}
    for block, word in entries():
        blocks.setdefault("root" if block is ROOT else block.path, []).append(word)
    for path, words in blocks.items():
        parts.append(
            f"## {path}\n\n| word | default | effect | reload |\n|---|---|---|---|\n" + "\n".join(_rows(words))
        )
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _rows(words: Iterable[Word]) -> Iterable[str]:
    for word in words:
        shape = f"{word.name} {word.arguments.describe()}".rstrip() + (" {}" if word.opens else "")
        effect = word.effect
        if word.status is not Status.IN_EFFECT:
            effect += f" *{_first_upper(status_text(word))}.*"
        if word.deprecated:
            effect += f" Write: {word.deprecated}."
        cells = (f"`{shape}`", word.default, effect, str(word.reload))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]
