"""Fixtures for tests with real packets between network namespaces."""

from collections.abc import Iterator

import pytest

from tests.netns.segment import Segment, unique


@pytest.fixture
def segment() -> Iterator[Segment]:
    """An empty Ethernet segment; gone after the test."""
    made = Segment(unique("fhv"))
    try:
        yield made
    finally:
        made.close()
