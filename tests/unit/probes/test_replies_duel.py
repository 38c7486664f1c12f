"""The engine takes for good what C keepalived takes for good, of the same servers (`tests/check-replies.tsv`)."""

from __future__ import annotations

import pytest

from fastha._checks import ProbeEngine
from fastha.checks.core import CheckCore
from fastha.checks.recipes import ProbeOrder, Verdict
from fastha.process.director import checks_of
from tests.checker_driver import own_network
from tests.config_machine import read
from tests.tools.check_replies import REPLIES, Reply, Servers, configuration, read_results
from tests.unit.probes.servers import collect

RESULTS = read_results()
DIFFERENT = {"regex in the header": "bad"}
"""A pattern is searched in the body alone."""


@pytest.fixture(scope="module")
def verdicts() -> dict[str, str]:
    """Reply -> what the engine thinks of it."""
    loaded = read(configuration("/nowhere"))
    assert loaded.plan is not None
    core = CheckCore()
    orders: list[ProbeOrder] = []
    for service in loaded.plan.checker.virtual_servers:
        (check,) = checks_of(service.real_servers[0])
        _, (probe,) = core.add(check, service.name, 0, fresh=True)
        orders.append(probe.order)  # type: ignore[union-attr]
    with own_network():
        servers, engine = Servers(), ProbeEngine()
        engine.start()
        try:
            engine.orders(orders)
            reports = sorted(collect(engine, len(orders)), key=lambda report: report.target)
        finally:
            engine.stop()
            servers.close()
    return {
        reply.name: "good" if report.verdict == Verdict.SUCCESS else "bad"
        for reply, report in zip(REPLIES, reports, strict=True)
    }


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: f"{reply.kind}: {reply.name}")
def test_as_keepalived(reply: Reply, verdicts: dict[str, str]) -> None:
    seen = set(RESULTS[f"{reply.kind}: {reply.name}"].values())
    assert len(seen) == 1, "both versions think the same"
    if reply.name in DIFFERENT:
        assert verdicts[reply.name] == DIFFERENT[reply.name]
        assert verdicts[reply.name] not in seen, "it is different no more"
    else:
        assert {verdicts[reply.name]} == seen


def test_names_are_unique_and_all_are_recorded() -> None:
    assert list(RESULTS) == [f"{reply.kind}: {reply.name}" for reply in REPLIES]
