"""Words behind those that a keyword takes: never passed over in silence."""

import re

import pytest

from fastha.config.schema.entry import Block, Word
from fastha.config.schema.tables import BLOCKS, entries
from tests.config_contexts import CONTEXTS, statement
from tests.config_machine import errors, instance, messages, read, service

OPEN_ENDED = {
    "notify_fifo_script", "vrrp_notify_fifo_script", "lvs_notify_fifo_script", "process", "script", "misc_path",
    "vrrp_iptables", "vrrp_ipsets", "regex_stack",
}  # fmt: skip
"""Words that take what comes, and one whose finding is about the whole line."""
EXTRA = ("more", "words", "than", "fit")
ALL = [
    (block, word)
    for block, word in entries()
    if word.example and block.path in CONTEXTS and word.name not in OPEN_ENDED and not block.path.startswith("route")
]


def notes(text: str) -> list[str]:
    return [f"{d.line}:{d.column} {d.message}" for d in read(text).diagnostics if d.severity == "note"]


@pytest.mark.parametrize(("block", "word"), ALL, ids=[f"{block.path}-{word.name}" for block, word in ALL])
def test_no_extra_word_is_lost_in_silence(block: Block, word: Word) -> None:
    """Whether it is a note, an error, or the name of an account that is not there."""
    changed = re.sub(r"\s*(\{|\n|$)", r" more words than fit \1", word.example, count=1)
    found = read(statement(block.path, word.name, changed)).diagnostics
    assert any("more" in d.message or d.source[d.column - 1 :].startswith(EXTRA) for d in found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("priority 100 101", "8:14 extra words ignored: 101"),
        ("nopreempt now please", "8:11 extra words ignored: now please"),
        ("preempt_delay 5 6", "8:17 extra words ignored: 6"),
        ("state MASTER ; the first one", "8:14 extra words ignored: ; the first one"),
        ("track_interface {\neth1 weight 5 reverse twice\n}", "9:23 extra words ignored: twice"),
    ],
)
def test_a_note_points_at_the_first_of_them(text: str, said: str) -> None:
    loaded = instance(text)
    assert loaded.exit_code == 0
    assert [f"{d.line}:{d.column} {d.message}" for d in loaded.diagnostics] == [said]


def test_before_a_brace() -> None:
    text = service("sorry_server 192.0.2.99 80 inhibit").diagnostics
    assert [d.message for d in text] == ["extra words ignored: inhibit"]
    assert notes("global_defs all {\n}") == ["1:13 extra words ignored: all"]
    assert notes("virtual_server_group A {\n192.0.2.1 80 90\n}") == ["2:14 extra words ignored: 90"]


def test_each_equal_line_is_remarked_on() -> None:
    assert len(notes("global_defs {\nrouter_id a b\nrouter_id a b\n}")) == 2


LISTS = [(b, w) for b, w in ALL if w.opens and BLOCKS[w.opens].line and w.name != "virtual_server_group"]


@pytest.mark.parametrize(("block", "word"), LISTS, ids=[f"{block.path}-{word.name}" for block, word in LISTS])
def test_blocks_of_lines_take_none(block: Block, word: Word) -> None:
    loaded = read(statement(block.path, word.name, word.example.replace("{", "vip {", 1)))
    assert f"extra words before the '{{' of '{word.name}' are ignored: vip" in messages(loaded)
    assert loaded.exit_code >= 5


@pytest.mark.parametrize("kind", ["vrrp_instance", "vrrp_sync_group", "track_group"])
def test_a_name_is_one_word(kind: str) -> None:
    loaded = read(f"{kind} A B {{\nanything\n}}\n")
    assert errors(loaded) == [f"1:{len(kind) + 4} '{kind}' takes one word, and not 'B' too; the whole block is ignored"]
    assert loaded.diagnostics[0].suggestion == 'in double quotes they are one: "A B"'
    assert loaded.exit_code == 5


def test_a_group_of_two_names_ends_with_2() -> None:
    loaded = read("virtual_server_group A B {\n192.0.2.1 80\n}\n")
    assert loaded.exit_code == 2
    assert "takes one word, and not 'B' too" in messages(loaded)
