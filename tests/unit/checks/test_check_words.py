"""Results in words."""

from fastha.checks.recipes import Verdict
from fastha.checks.words import result_words
from tests.check_builders import http, misc, tcp


def test_words() -> None:
    assert result_words(tcp(), Verdict.SUCCESS, 0, 0) == "connected"
    assert result_words(tcp(), Verdict.REFUSED, 111, 0) == "connection refused"
    assert result_words(tcp(), Verdict.REFUSED, 71, 0) == "EPROTO"
    assert result_words(http(), Verdict.STATUS, 0, 503) == "status 503 not in 200-299"
    assert result_words(http(), Verdict.SUCCESS, 0, 200) == "status 200"
    assert result_words(http(), Verdict.TIMEOUT, 0, 0) == "timed out"
    assert result_words(misc(), Verdict.EXIT, 0, 3) == "exit 3"
    assert result_words(misc(), Verdict.SUCCESS, 0, 0) == "exit 0"
    assert result_words(tcp(), Verdict.LOCAL, 99, 0) == "not probed: no source address or port"
