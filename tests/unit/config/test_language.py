"""The whole language has entries: a list of its words, written down apart from the tables, against the tables."""

from pathlib import Path

import pytest

from fastha.config.explain import explain
from fastha.config.schema.tables import BLOCKS
from tests.config_machine import messages, read

ROWS = [
    tuple(line.split("\t"))
    for line in (Path(__file__).parent / "language.tsv").read_text().splitlines()
    if not line.startswith("# ")
]
WORDS = 713
NOWHERE = ("-", "-")
"""Of a word that is named only to say that it may not stand there."""


def test_the_list_is_whole() -> None:
    assert len(ROWS) == len({row[:2] for row in ROWS}) == WORDS
    assert all(len(row) == 4 for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=["-".join(row[:2]).replace(" ", "_") for row in ROWS])
def test_a_word_has_its_entry(row: tuple[str, str, str, str]) -> None:
    block, word, path, name = row
    if (path, name) == NOWHERE:
        assert word not in BLOCKS[block].index
        return
    assert name in BLOCKS[path].index
    assert BLOCKS[path].index[name].effect in explain(f"{path}.{name}").replace("\n", " ")


def test_what_may_not_stand_there_is_said_to_be_unknown() -> None:
    for block, word, *entry in ROWS:
        if tuple(entry) == NOWHERE:
            text = f"{block} G {{\n{word} /bin/true\n}}\n"
            assert f"unknown keyword '{word}' in {block}" in messages(read(text))
