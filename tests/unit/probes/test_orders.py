"""Orders to the probe engine: standing ones, single ones, new ones at every moment, bad ones."""

import errno
import gc
import os
import select
import time
from collections import Counter
from collections.abc import Callable

import pytest

from fastha._checks import MAX_TARGETS, ProbeEngine
from fastha.checks.recipes import Kind, ProbeOrder, Recipe, Verdict
from fastha.model.net import Address
from fastha.model.units import MS, S
from tests.unit.probes.servers import (
    LIMIT,
    LOOPBACK,
    OK,
    Server,
    answer,
    collect,
    hold,
    http,
    once,
    probe,
    silent,
    standing,
    tcp,
    wait_for,
)

# ------------------------------------------------------------------------------------- standing orders


def test_the_expected_outcome_is_counted_not_reported(
    engine: ProbeEngine, serve: Callable[..., Server], closed_port: int
) -> None:
    server = serve(answer(OK))
    engine.orders([standing(http(server.port), 0), standing(tcp(closed_port), 1, expect=False)])
    wait_for(lambda: min(engine.last(0).runs, engine.last(1).runs) >= 5, "five probes of each")
    assert engine.reports() == []
    last = engine.last(0)
    assert (last.verdict, last.status) == (Verdict.SUCCESS, 200)
    assert engine.last(1).errno == errno.ECONNREFUSED


def test_the_unexpected_outcome_is_reported_once_and_holds(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    script = [answer(OK)]
    server = serve(lambda connection: script[0](connection))  # noqa: PLW0108 (which one is asked each time)
    engine.order(standing(http(server.port)))
    wait_for(lambda: engine.last(0).runs >= 3, "three probes")
    script[0] = answer(b"HTTP/1.0 500 No\r\n\r\n")
    (report,) = collect(engine, 1)
    assert (report.verdict, report.status) == (Verdict.STATUS, 500)
    accepted = server.accepted
    time.sleep(0.2)  # four intervals
    assert server.accepted == accepted
    engine.order(standing(http(server.port), expect=False, generation=2))
    wait_for(lambda: server.accepted >= accepted + 3, "it goes on")
    assert engine.reports() == []
    script[0] = answer(OK)
    (report,) = collect(engine, 1)
    assert (report.verdict, report.generation) == (Verdict.SUCCESS, 2)


def test_one_shot_reports_a_success(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    assert probe(engine, tcp(serve(hold).port)).verdict is Verdict.SUCCESS


def test_phase_is_kept_and_no_interval_is_made_up_for(serve: Callable[..., Server]) -> None:
    """A server slower than the interval: starts stay in phase, what passed meanwhile is missed."""
    engine = ProbeEngine()
    engine.start()
    interval = 100 * MS
    order = standing(http(serve(answer(OK, pause=0.23)).port), interval=interval)
    engine.order(order)
    starts: set[int] = set()
    wait_for(lambda: starts.add(engine.last(0).started) or len(starts) >= 5, "some probes")  # type: ignore[func-returns-value]
    for start in sorted(starts)[1:]:
        assert (start - order.first) % interval < 90 * MS
    gaps = [b - a for a, b in zip(sorted(starts)[1:], sorted(starts)[2:], strict=False)]
    assert min(gaps) > 200 * MS
    assert engine.stats()["missed"] >= 4
    engine.stop()


def test_an_order_from_the_past_begins_now_in_its_phase(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    recipe = tcp(serve(hold).port)
    interval = 400 * MS
    first = time.monotonic_ns() - 100 * interval - 100 * MS
    engine.order(ProbeOrder(target=0, generation=1, recipe=recipe, first=first, interval=interval))
    engine.order(ProbeOrder(target=1, generation=1, recipe=recipe, first=0, interval=0))
    wait_for(lambda: engine.last(0).runs == 2 and engine.last(1).runs == 1, "one at once, one in its phase")
    assert (engine.last(0).started - first) % interval < 300 * MS
    assert engine.stats()["missed"] < 50, "the hundred before the order are nobody's"
    assert engine.lateness().maximum < LIMIT * S


def test_orders_given_before_start(serve: Callable[..., Server]) -> None:
    engine = ProbeEngine()
    engine.orders([once(tcp(serve(hold).port), target) for target in range(1000)])
    assert not engine.running
    engine.start()
    assert engine.running
    assert Counter(report.verdict for report in collect(engine, 1000)) == {Verdict.SUCCESS: 1000}
    engine.stop()
    assert not engine.running


def test_a_new_order_supersedes_the_probe_in_flight(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    mute, good = serve(silent), serve(answer(OK))
    for generation in range(1, 50):
        engine.order(once(http(mute.port, timeout=10 * S), generation=generation))
    engine.order(once(http(good.port), generation=50))
    (report,) = collect(engine, 1)
    assert (report.verdict, report.generation) == (Verdict.SUCCESS, 50)
    wait_for(lambda: engine.stats()["in_flight"] == 0, "nothing in flight")


def test_a_report_not_fetched_is_dropped_by_the_next_order(
    engine: ProbeEngine, closed_port: int, serve: Callable[..., Server]
) -> None:
    engine.order(once(tcp(closed_port)))
    wait_for(lambda: engine.last(0).runs == 1, "it ran")
    engine.order(once(tcp(serve(hold).port), generation=2))
    (report,) = collect(engine, 1)
    assert (report.generation, report.verdict) == (2, Verdict.SUCCESS)


def test_hold_and_remove(engine: ProbeEngine, serve: Callable[..., Server], closed_port: int) -> None:
    server = serve(hold)
    engine.orders([standing(tcp(server.port), 0), standing(tcp(server.port), 1)])
    wait_for(lambda: engine.last(0).runs and engine.last(1).runs, "both run")
    engine.hold(0)
    engine.remove(1)
    wait_for(lambda: engine.stats()["targets"] == 1, "one is forgotten")
    runs = engine.last(0).runs
    assert runs > 0
    time.sleep(0.15)  # three intervals
    assert engine.last(0).runs == runs
    assert engine.last(1).runs == 0
    assert engine.last(1).started == 0
    engine.order(once(tcp(closed_port), 1, generation=7))
    (report,) = collect(engine, 1)
    assert (report.target, report.generation) == (1, 7)


def test_order_races(engine: ProbeEngine, serve: Callable[..., Server], closed_port: int) -> None:
    """Orders given all the time, at every moment of a probe: each ends in one report of its own generation."""
    server = serve(answer(OK))
    recipes = [http(server.port), tcp(server.port), tcp(closed_port), tcp(server.port, close_rst=True)]
    latest = dict.fromkeys(range(20), 0)
    answered: set[int] = set()
    for generation in range(1, 400):
        target = generation % 20
        latest[target] = generation
        answered.discard(target)
        engine.order(once(recipes[generation % 7 % 4], target, generation))
        for report in engine.reports():
            assert report.generation == latest[report.target]
            assert report.target not in answered
            answered.add(report.target)
    while len(answered) < 20:
        for report in collect(engine, 1):
            assert report.generation == latest[report.target]
            answered.add(report.target)
    assert engine.reports() == []
    assert engine.stats()["in_flight"] == 0


def test_more_reports_than_the_limit(engine: ProbeEngine, closed_port: int) -> None:
    engine.orders([once(tcp(closed_port), target) for target in range(300)])
    wait_for(lambda: engine.stats()["reported"] == 300, "all have failed")
    seen: list[int] = []
    while len(seen) < 300:
        assert select.select([engine.fileno()], [], [], LIMIT)[0], "the rest keeps the descriptor readable"
        reports = engine.reports(limit=70)
        assert len(reports) <= 70
        seen += [report.target for report in reports]
    assert sorted(seen) == list(range(300))
    assert engine.reports() == []
    assert not select.select([engine.fileno()], [], [], 0)[0]


# ---------------------------------------------------------------------------------------- bad orders


@pytest.mark.parametrize(
    ("order", "complaint"),
    [
        (once(tcp(80), target=-1), "target -1"),
        (once(tcp(80), target=MAX_TARGETS), f"target {MAX_TARGETS}"),
        (once(Recipe(kind=Kind.SCRIPT, timeout=S, address=LOOPBACK)), "SCRIPT"),
        (once(tcp(65536)), "port 65536"),
        (once(tcp(80, address=Address("nonsense"))), "nonsense"),
        (once(tcp(80, timeout=0)), "timeout 0"),
        (once(tcp(80, deadline=-1)), "deadline -1"),
        (once(tcp(80, bind_if="a" * 16)), "interface name"),
        (once(tcp(80, bindto=Address("::1"))), "family"),
        (once(http(80, digest=b"short")), "digest"),
        (once(http(80, request=b"")), "request"),
        (ProbeOrder(target=0, generation=1, recipe=tcp(80), first=0, interval=-1), "interval -1"),
        (ProbeOrder(target=0, generation=1, recipe=tcp(80), first=1 << 62, interval=0), "first"),
    ],
)  # fmt: skip
def test_bad_orders_are_refused(order: ProbeOrder, complaint: str) -> None:
    engine = ProbeEngine()
    with pytest.raises(ValueError, match=complaint):
        engine.order(order)


def test_a_bad_order_does_not_stop_those_before_it(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    server = serve(hold)
    with pytest.raises(ValueError, match="port"):
        engine.orders([once(tcp(server.port), 0), once(tcp(70000), 1)])
    (report,) = collect(engine, 1)
    assert report.target == 0


def test_cap_must_be_positive() -> None:
    before = os.fstat(0)
    with pytest.raises(ValueError, match="cap 0"):
        ProbeEngine(cap=0)
    gc.collect()
    assert os.path.samestat(before, os.fstat(0)), "an engine that was refused closes no descriptor of others"


def test_interface_file_names_what_there_is() -> None:
    """`_checks.pyi` and the compiled module agree."""
    import ast
    from pathlib import Path

    import fastha._checks as module

    tree = ast.parse(Path(module.__file__).with_name("_checks.pyi").read_text())
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    ours = {name for name, value in vars(module).items() if getattr(value, "__module__", "") == "fastha._checks"}
    public = {name for name in ours if not name.startswith("_")}
    assert public == classes.keys() | functions
    for name, node in classes.items():
        declared = {item.name for item in node.body if isinstance(item, ast.FunctionDef)} - {"__init__"}
        assert declared == {member for member in vars(getattr(module, name)) if not member.startswith("_")}, name
