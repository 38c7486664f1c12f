"""docs/check-facts.md, from tests/check-facts.tsv, the names of tests and what keepalived's servers saw.

python -m tests.tools.check_facts
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.tools import check_duel, check_replies
from tests.tools.facts import TESTS, compared, functions, shown

FACTS = TESTS / "check-facts.tsv"
PAGE = TESTS.parent / "docs/check-facts.md"
FOLDERS = ("unit/checks", "unit/config", "unit/lvs")
"""Where tests are named by the number of the fact."""
HEAD = """# What checks have to be, and how we know

Each line is something that an operator of C keepalived relies on, by the numbers that tests are named by. Under "C
keepalived": the versions whose servers saw what is recorded in `tests/check-duel.tsv`, or that thought of replies what
is recorded in `tests/check-replies.tsv`; fastha does the same, unless the last column says otherwise. "Compared" means
that a test has the real one beside it (2.2.7). Made by `python -m tests.tools.check_facts`.
"""


@dataclass(frozen=True)
class Fact:
    section: str
    number: str
    text: str
    tests: tuple[str, ...]
    """FILE::NAME as in the table, those named by the number first."""
    differs: str


@cache
def numbered() -> dict[str, tuple[str, ...]]:
    """Number -> tests that are named by it: `5_3_retries`, `3_4_and_3_5_gain...`."""
    found: dict[str, list[str]] = {}
    for folder in FOLDERS:
        for path in sorted((TESTS / folder).glob("test_*.py")):
            file = f"{folder}/{path.stem.removeprefix('test_')}"
            for name in sorted(functions(file)):
                head = re.match(r"(?:\d+_\d+_(?:and_)?)+", name)
                for section, number in re.findall(r"(\d+)_(\d+)_", head[0]) if head else ():
                    found.setdefault(f"{section}.{number}", []).append(f"{file}::{name}")
    return {number: tuple(tests) for number, tests in found.items()}


def facts() -> Iterator[Fact]:
    section = ""
    for line in FACTS.read_text().splitlines():
        if line.startswith("= "):
            section = line[2:]
        elif line and not line.startswith("#"):
            number, text, tests, differs = line.split("\t")
            yield Fact(section, number, text, (*numbered().get(number, ()), *tests.split()), differs)


def missing(fact: Fact) -> list[str]:
    """Tests it names that are not there."""
    absent = []
    for test in fact.tests:
        file, _, name = test.partition("::")
        folder, _, stem = file.rpartition("/")
        if not (TESTS / folder / f"test_{stem}.py").exists() or name not in functions(file):
            absent.append(test)
    return absent


def duels(fact: Fact) -> list[str]:
    """Names of the cases in which keepalived's servers show it."""
    return [case.name for case in check_duel.CASES if fact.number in case.facts.split()]


def replies(fact: Fact) -> list[str]:
    """Names of the replies that show it."""
    return [f"{reply.kind}: {reply.name}" for reply in check_replies.REPLIES if fact.number in reply.facts.split()]


def keepalived(fact: Fact) -> str:
    """How far it was seen with the real one."""
    seen = check_duel.read_results() | check_replies.read_results()
    versions = sorted({version for name in (*duels(fact), *replies(fact)) for version in seen[name]})
    if versions:
        return ", ".join(versions)
    return "compared" if any(compared(test.partition("::")[0]) for test in fact.tests) else ""


def page() -> str:
    lines = [HEAD.rstrip("\n")]
    section = ""
    for fact in facts():
        if fact.section != section:
            section = fact.section
            lines += ["", f"## {section}", "", "| | fact | shown by | C keepalived | fastha |", "|---|---|---|---|---|"]
        tests = [shown(test) for test in fact.tests]
        tests += [f"`test_check_duel[{name}]`" for name in duels(fact)]
        if replies(fact):
            tests.append(f"`test_replies_duel`: {', '.join(name.split(': ')[1] for name in replies(fact))}")
        lines.append(f"| {fact.number} | {fact.text} | {'; '.join(tests)} | {keepalived(fact)} | {fact.differs} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(PAGE).write_text(page())
