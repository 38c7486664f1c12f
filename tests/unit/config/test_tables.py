"""The keyword tables themselves: every entry is complete, and its example is read without complaint."""

import re

import pytest

from fastha.config.coverage import coverage, pending, words
from fastha.config.diagnostics import Report
from fastha.config.explain import explain
from fastha.config.parse import Parser
from fastha.config.preprocess import Preprocessor
from fastha.config.schema.entry import Block, Status, Word
from fastha.config.schema.syntax import NOT_PARSED
from fastha.config.schema.tables import BLOCKS, entries
from tests.config_contexts import CONTEXTS, statement
from tests.config_machine import MAIN, Machine, read
from tests.tools.keywords import DOCS, products

ENTRIES = list(entries())
IDS = [f"{block.path}-{word.name}" for block, word in ENTRIES]


@pytest.mark.parametrize(("block", "word"), ENTRIES, ids=IDS)
def test_an_entry_is_complete(block: Block, word: Word) -> None:
    assert word.effect
    assert (word.status is Status.PENDING) == bool(word.pending)
    assert not word.opens or word.opens in BLOCKS
    assert word.deprecated or not word.tolerated
    word.arguments.describe()
    if block.path not in NOT_PARSED and word.name not in {"as"}:
        assert word.example or block.path.startswith(("route", "rule"))


@pytest.mark.parametrize(
    ("block", "word"),
    [(b, w) for b, w in ENTRIES if w.example and b.path in CONTEXTS],
    ids=[f"{b.path}-{w.name}" for b, w in ENTRIES if w.example and b.path in CONTEXTS],
)
def test_its_example_is_read_without_complaint(block: Block, word: Word) -> None:
    example = word.example
    if (
        block.path == "rule line"
        and "priority" not in example
        and "order" not in example
        and "preference" not in example
    ):
        example += " priority 100"
    text = statement(block.path, word.name, example)
    machine = Machine(files={MAIN: text.encode()})
    report = Report()
    source = Preprocessor(machine, "lvs1", report)
    source.read(MAIN)
    Parser(source.lines, report).parse()
    complaints = [d.message for d in report.diagnostics if d.severity == "error"]
    complaints = [message for message in complaints if "second" not in message]
    if word.deprecated or (block.path == "route line" and word.name in {"gw", "or", "default6"}):
        assert all("deprecated" in message for message in complaints)
    else:
        assert complaints == []


def test_every_block_that_is_opened_can_be_reached() -> None:
    opened = {word.opens for _, word in ENTRIES if word.opens}
    inside = {block.path for block in BLOCKS.values() if block.words or block.line}
    apart = {"root", *NOT_PARSED} | {p for p in inside if p.endswith((" line", "nexthop", "encap"))}
    assert opened == inside - apart


def test_names_are_unique_in_a_block() -> None:
    for block in BLOCKS.values():
        assert len(block.index) == len(block.words)


def test_explain_knows_every_word() -> None:
    for _, word in ENTRIES:
        assert word.name in explain(word.name)
    assert "vrrp_instance" in explain("vrrp_instance.priority")
    with pytest.raises(KeyError, match="did you mean 'priority'"):
        explain("prioritty")


def test_the_coverage_report_counts_every_entry() -> None:
    assert coverage().splitlines()[-1].split()[1] == str(len(ENTRIES))
    assert len(words().splitlines()) == 1 + len(ENTRIES)
    assert len(pending().splitlines()) == sum(word.status is Status.PENDING for _, word in ENTRIES)


@pytest.mark.parametrize("name", products())
def test_what_is_made_from_the_tables_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_bytes() == products()[name], "run python -m tests.tools.keywords"


def test_a_word_without_effect_is_said_to_have_none_and_nothing_more() -> None:
    loaded = read("vrrp_script s {\nscript /usr/bin/true\ninit_fail\ninit_fail\n}\nnamespace_with_ipsets\n")
    notes = [d.message for d in loaded.diagnostics if "has no effect" in d.message]
    assert [note.partition(" has")[0] for note in notes] == ["'init_fail' of vrrp_script", "'namespace_with_ipsets'"]
    assert loaded.notes_not_in_effect == []
    assert "vrrp_script.init_fail" in words()
    rows = dict(re.findall(r"^(\S+) +yes +(yes|no)\b", words(), re.MULTILINE))
    for block, word in entries():
        name = f"{'' if block.path == 'root' else block.path + '.'}{word.name}"
        if name in rows:
            assert rows[name] == ("no" if word.status in {Status.PENDING, Status.NO_EFFECT} else "yes"), name
