"""Whole configurations: fastha's verdict against what is recorded, and the record against the real keepalived."""

import pytest

from fastha.config.load import load
from tests.config_dump import assert_round_trip
from tests.config_machine import errors
from tests.corpus_files import CONFIG_ID, CORPUS, Verdict, ask_keepalived, machine, verdicts, why_not

ALL = verdicts()
HOST = machine()
LEAST = 250


@pytest.mark.parametrize("verdict", ALL, ids=[verdict.file for verdict in ALL])
def test_fastha_s_verdict(verdict: Verdict) -> None:
    loaded = load(str(verdict.path), HOST, config_id=CONFIG_ID)
    assert str(loaded.exit_code) == verdict.fastha, errors(loaded)
    assert (verdict.fastha != verdict.keepalived) == bool(verdict.why)


def test_every_file_has_a_verdict() -> None:
    assert {str(path.relative_to(CORPUS)) for path in CORPUS.rglob("*.conf")} == {verdict.file for verdict in ALL}
    assert len(ALL) >= LEAST


@pytest.mark.parametrize("verdict", ALL, ids=[verdict.file for verdict in ALL])
def test_its_dump_means_the_same(verdict: Verdict) -> None:
    assert_round_trip(verdict.path.read_bytes(), machine())


@pytest.mark.compat
@pytest.mark.timeout(300)
def test_the_record_is_what_keepalived_says() -> None:
    if problem := why_not():
        pytest.skip(problem)
    try:
        said = ask_keepalived(verdict.path for verdict in ALL)
    except RuntimeError as error:
        pytest.skip(str(error))
    assert {verdict.file: said[verdict.path] for verdict in ALL} == {v.file: v.keepalived for v in ALL}
