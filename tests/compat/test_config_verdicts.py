"""Verdicts on small configurations: fastha's against what is recorded, and the record against the real keepalived."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.config_machine import Machine, errors, read
from tests.corpus_files import PROGRAMS, ask_keepalived, why_not

PROBES = Path(__file__).parents[1] / "corpus" / "probes.txt"
HEAD = re.compile(r"^== (\S+): (\d+|crash)(?:, fastha (\d+): (.+))?$", re.MULTILINE)


@dataclass(frozen=True)
class Probe:
    name: str
    keepalived: int | None
    """None: keepalived crashes on it."""
    fastha: int
    text: str


def probes() -> list[Probe]:
    parts = HEAD.split(PROBES.read_text())[1:]
    result = []
    for name, code, ours, _reason, text in zip(*(parts[n::5] for n in range(5)), strict=True):
        expected = None if code == "crash" else int(code)
        result.append(Probe(name, expected, int(ours) if ours else int(code), text.lstrip("\n")))
    return result


ALL = probes()


@pytest.mark.parametrize("probe", ALL, ids=[probe.name for probe in ALL])
def test_fastha_s_verdict(probe: Probe) -> None:
    machine = Machine()
    for path in PROGRAMS:
        machine.program(path)
    loaded = read(probe.text, machine)
    assert loaded.exit_code == probe.fastha, errors(loaded)


def test_names_are_unique() -> None:
    assert len({probe.name for probe in ALL}) == len(ALL)


@pytest.mark.compat
def test_the_record_is_what_keepalived_says(tmp_path: Path) -> None:
    """All in one network namespace of their own."""
    if problem := why_not():
        pytest.skip(problem)
    chosen = {tmp_path / f"{probe.name}.conf": probe for probe in ALL if probe.keepalived is not None}
    for path, probe in chosen.items():
        path.write_text(probe.text)
    try:
        said = ask_keepalived(chosen)
    except RuntimeError as error:
        pytest.skip(str(error))
    assert {path.stem: code for path, code in said.items()} == {
        probe.name: str(probe.keepalived) for probe in chosen.values()
    }
