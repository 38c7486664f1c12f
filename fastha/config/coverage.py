"""`fastha keywords`: how much of the language is known, and how much of it is in effect."""

from collections import Counter

from fastha.config.explain import status_text
from fastha.config.schema.entry import Status
from fastha.config.schema.tables import ROOT, entries


def coverage() -> str:
    """A table by block: entries in effect, pending, without effect, our own; then the totals."""
    blocks: dict[str, Counter[Status]] = {}
    for block, word in entries():
        blocks.setdefault("(root)" if block is ROOT else block.path, Counter())[word.status] += 1
    statuses = list(Status)
    width = max(len(path) for path in blocks)
    lines = [f"{'block':<{width}} {'words':>6}" + "".join(f" {status:>18}" for status in statuses)]
    total: Counter[Status] = Counter()
    for path, counts in blocks.items():
        lines.append(_row(path, width, counts, statuses))
        total += counts
    lines.append(_row("total", width, total, statuses))
    return "\n".join(lines)


def _row(name: str, width: int, counts: Counter[Status], statuses: list[Status]) -> str:
    return f"{name:<{width}} {counts.total():>6}" + "".join(f" {counts[status] or '-':>18}" for status in statuses)


def words() -> str:
    """One line per entry: that it is parsed, whether it is in effect, and if not what that means."""
    rows = [(f"{'' if block is ROOT else block.path + '.'}{word.name}", word) for block, word in entries()]
    width = max(len(name) for name, _ in rows)
    lines = [f"{'word':<{width}} parsed in effect"]
    for name, word in rows:
        effective = "no" if word.status in {Status.PENDING, Status.NO_EFFECT} else "yes"
        note = "" if word.status is Status.IN_EFFECT else status_text(word)
        lines.append(f"{name:<{width}} yes    {effective:<9} {note}".rstrip())
    return "\n".join(lines)


def pending() -> str:
    """One line per entry that is not yet in effect, with what that means."""
    return "\n".join(
        f"{'' if block is ROOT else block.path + '.'}{word.name}: {status_text(word)}"
        for block, word in entries()
        if word.status is Status.PENDING
    )
