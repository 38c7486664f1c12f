"""The check core goes through what C keepalived went through, as its servers saw it (`tests/check-duel.tsv`).

The same configuration is read by fastha; servers fail and pass attempt by attempt as they did there, in virtual time.
"""

from __future__ import annotations

from functools import cache

import pytest

from fastha.checks.engine import Outcome
from fastha.checks.recipes import Kind, Recipe, Verdict
from fastha.model.units import MS, S
from tests.check_builders import OK, Lab
from tests.config_machine import Machine, read
from tests.tools.check_duel import CASES, Case, Trace, address, configuration, read_results, script

RESULTS = read_results()
WHERE = "/scripts"
BAD = {
    "HTTP_GET": Outcome(Verdict.STATUS, status=500),
    "SMTP_CHECK": Outcome(Verdict.STATUS, status=554),
    "DNS_CHECK": Outcome(Verdict.STATUS, status=2),
    "UDP_CHECK": Outcome(Verdict.REPLY),
    "MISC_CHECK": Outcome(Verdict.EXIT, status=1),
}
DIFFERENT: dict[str, str] = {}
"""Case -> fastha's trace, where it is meant to be another."""


@cache
def traces() -> dict[str, str]:
    """Case -> what the core made of it."""
    machine = Machine()
    machine.modes["/"] = (0o040755, 0, 0)
    for number in range(len(CASES)):
        machine.program(f"{WHERE}/{script(number)}")
    loaded = read(configuration(WHERE), machine)
    assert loaded.plan is not None
    found = [Trace(case.outcomes) for case in CASES]
    lab = Lab(loaded.plan.checker)

    def server(number: int, case: Case, trace: Trace) -> None:
        several = case.check.count("url {") > 1

        def behave(recipe: Recipe, now: int) -> Outcome:
            url = recipe.request.split(b" ")[1].decode()[1:] if recipe.kind == Kind.HTTP and several else ""
            return OK if trace.attempt(now / S, url) else BAD[case.kind]

        lab.state[address(number)] = lab.state[f"{WHERE}/{script(number)}"] = behave

    for number, (case, trace) in enumerate(zip(CASES, found, strict=True)):
        server(number, case, trace)
    names = {f"[{address(number)}]": trace for number, trace in enumerate(found)}
    while lab.now < 45 * S:
        due = lab.probes.deadline()
        assert due is not None
        for notice in lab.run(max(0, due - lab.now) / S + MS / S):
            if notice.kind == "RS" and notice.state:
                names[notice.name.split(":", maxsplit=1)[0]].note(notice.state)
    return {case.name: trace.text() for case, trace in zip(CASES, found, strict=True)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_as_keepalived(case: Case) -> None:
    seen = set(RESULTS[case.name].values())
    assert len(seen) == 1, "both versions do the same"
    if case.name in DIFFERENT:
        assert traces()[case.name] == DIFFERENT[case.name]
        assert traces()[case.name] not in seen, "it is different no more"
    else:
        assert {traces()[case.name]} == seen


def test_the_record_is_of_these_cases() -> None:
    assert list(RESULTS) == [case.name for case in CASES]
    assert all({"2.2.7"} <= set(versions) for versions in RESULTS.values())
