"""docs/vrrp-facts.md, from tests/vrrp-facts.tsv, the names of tests/rfc and what was recorded of keepalived.

python -m tests.tools.facts
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.tools.recordings import read_results

TESTS = Path(__file__).parent.parent
FACTS = TESTS / "vrrp-facts.tsv"
PAGE = TESTS.parent / "docs/vrrp-facts.md"
RFCS = {"rfc3768": "RFC 3768, version 2", "rfc5798": "RFC 5798, version 3", "rfc9568": "RFC 9568, what it changes"}
HEAD = """# What VRRP has to be, and how we know

Each line is something that a keepalived peer or its operator would notice. The tests are named by file and function
under `tests/`; those of `test_duel` run both daemons side by side, and what C keepalived did there is recorded with its
version. "compared" means that the test has C keepalived beside it. Made by `python -m tests.tools.facts`.
"""
DUEL = "netns/duel"


@dataclass(frozen=True)
class Fact:
    section: str
    text: str
    tests: tuple[str, ...]
    """`duel:CASE`, or FILE::NAME as in the table."""
    differs: str


def facts() -> Iterator[Fact]:
    section = ""
    for line in FACTS.read_text().splitlines():
        if line.startswith("= "):
            section = line[2:]
        elif line and not line.startswith("#"):
            text, tests, differs = line.split("\t")
            yield Fact(section, text, tuple(tests.split()), differs)


def path_of(file: str) -> Path:
    folder, _, name = file.rpartition("/")
    return TESTS / folder / f"test_{name}.py"


@cache
def functions(file: str) -> frozenset[str]:
    """Names of test functions and methods in a file, without `test_`."""
    tree = ast.parse(path_of(file).read_text())
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return frozenset(name.removeprefix("test_") for name in names if name.startswith("test_"))


@cache
def compared(file: str) -> bool:
    """Whether a file's tests run C keepalived, or hold what it said."""
    return "mark.compat" in path_of(file).read_text() or file.startswith(("compat/", "unit/wire/"))


def missing(fact: Fact, cases: frozenset[str]) -> list[str]:
    """Tests it names that are not there."""
    absent = []
    for test in fact.tests:
        file, _, name = test.partition("::")
        if test.startswith("duel:"):
            absent += [] if test.removeprefix("duel:") in cases else [test]
        elif not path_of(file).exists() or name not in functions(file):
            absent.append(test)
    return absent


def keepalived(fact: Fact) -> str:
    """What C keepalived does, as far as it was seen."""
    results: dict[str, set[str]] = {}
    duels = {test.removeprefix("duel:") for test in fact.tests if test.startswith("duel:")}
    for (case, version), result in read_results().items():
        if case in duels:
            results.setdefault(version, set()).add(result)
    if results and all(found == {"the same"} for found in results.values()):
        return f"the same: {', '.join(sorted(results))}"
    if results:
        return "; ".join(f"{version}: {', '.join(sorted(found))}" for version, found in sorted(results.items()))
    return "compared" if any(compared(test.partition("::")[0]) for test in fact.tests) else ""


def shown(test: str) -> str:
    if test.startswith("duel:"):
        return f"`test_duel[{test.removeprefix('duel:')}]`"
    file, _, name = test.partition("::")
    return f"`{file}`: {name.replace('_', ' ')}"


def rfc(file: str) -> Iterator[tuple[str, str]]:
    """(section, sentence) of each test of an RFC, from its name, in the file's order."""
    tree = ast.parse((TESTS / "rfc" / f"test_{file}.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            found = re.match(r"test_((?:\d+_)*)(.*)", node.name)
            assert found is not None
            numbers = [n for n in found[1].split("_") if n]
            sections = [n for n in numbers if len(n) < 3]
            lines = [n for n in numbers if len(n) >= 3]
            yield ".".join(sections) + (f" ({', '.join(lines)})" if lines else ""), found[2].replace("_", " ")


def page() -> str:
    lines = [HEAD]
    section = ""
    for fact in facts():
        if fact.section != section:
            section = fact.section
            lines += [f"## {section}\n", "| fact | shown by | C keepalived | fastha |", "|---|---|---|---|"]
        lines.append(
            f"| {fact.text} | {'; '.join(shown(t) for t in fact.tests)} | {keepalived(fact)} | {fact.differs} |"
        )
    for file, title in RFCS.items():
        lines += [
            f"## {title}\n",
            f"One test each, in `tests/rfc/test_{file}.py`.\n",
            "| section | test |",
            "|---|---|",
        ]
        lines += [f"| {number} | {sentence} |" for number, sentence in rfc(file)]
    text = "\n".join(lines) + "\n"
    return re.sub(r"\n(## )", r"\n\n\1", text).replace("\n\n\n", "\n\n")


if __name__ == "__main__":
    PAGE.write_text(page())
