"""The table of facts about checks names tests that are there, and the page is made from it as it is."""

import pytest

from tests.tools.check_duel import CASES
from tests.tools.check_facts import PAGE, Fact, duels, facts, missing, numbered, page, replies
from tests.tools.check_replies import REPLIES

FACTS = list(facts())


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.number)
def test_every_fact_has_tests_that_are_there(fact: Fact) -> None:
    assert fact.tests or duels(fact) or replies(fact)
    assert missing(fact) == []


def test_numbers_are_unique_and_every_numbered_test_has_its_fact() -> None:
    numbers = [fact.number for fact in FACTS]
    assert len(set(numbers)) == len(numbers)
    assert set(numbered()) <= set(numbers)
    assert {number for case in (*CASES, *REPLIES) for number in case.facts.split()} <= set(numbers)


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text() == page(), "python -m tests.tools.check_facts"
