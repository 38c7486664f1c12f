"""The table of facts names tests that are there, and the page is made from it as it is."""

import pytest

from tests.netns.test_duel import CASES
from tests.tools.facts import PAGE, Fact, facts, missing, page

NAMES = frozenset(case.name for _, case in CASES)


@pytest.mark.parametrize("fact", list(facts()), ids=lambda fact: fact.text[:40])
def test_every_fact_has_tests_that_are_there(fact: Fact) -> None:
    assert fact.tests
    assert missing(fact, NAMES) == []


def test_every_duel_shows_a_fact() -> None:
    shown = {test.removeprefix("duel:") for fact in facts() for test in fact.tests}
    assert shown >= NAMES


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text() == page(), "python -m tests.tools.facts"
