"""Orders with several recipes: each has its turn, and the report says whose it was."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from fastha._checks import ProbeEngine
from fastha.checks.engine import ModelProbes, Outcome
from fastha.checks.recipes import Kind, ProbeOrder, Recipe, Verdict
from fastha.model.units import MS, S
from tests.unit.probes.servers import OK, Server, collect, http, standing, tcp, wait_for


class Pages:
    """A server that keeps which pages were asked for; `bad` are not there."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.bad: set[str] = set()
        self.keeps = False
        self._lock = threading.Lock()

    def __call__(self, connection: socket.socket) -> None:
        while request := connection.recv(4096):
            page = request.split(b" ")[1].decode()
            with self._lock:
                self.asked.append(page)
            connection.sendall(OK.replace(b"200 OK", b"404 No") if page in self.bad else OK)
            if not self.keeps:
                return


def rounds(port: int, *pages: str, interval: int = 30 * MS, **more: object) -> ProbeOrder:
    recipes = [http(port, request=f"GET {page} HTTP/1.0\r\n\r\n".encode(), **more) for page in pages]
    return replace(standing(recipes[0], 0, interval), then=tuple(recipes[1:]))


def test_each_has_its_turn_and_nothing_is_reported(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    pages = Pages()
    server = serve(pages)
    engine.order(rounds(server.port, "/a", "/b", "/c"))
    wait_for(lambda: len(pages.asked) >= 7, "two rounds")
    assert pages.asked[:7] == ["/a", "/b", "/c", "/a", "/b", "/c", "/a"]
    assert engine.reports() == []


def test_the_report_says_whose_turn_it_was(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    pages = Pages()
    server = serve(pages)
    engine.order(rounds(server.port, "/a", "/b", "/c"))
    wait_for(lambda: len(pages.asked) >= 4, "a round")
    pages.bad = {"/c"}
    (report,) = collect(engine, 1)
    assert (report.turn, report.verdict, report.status) == (2, Verdict.STATUS, 404)
    asked = len(pages.asked)
    assert pages.asked[-1] == "/c"
    engine.order(replace(rounds(server.port, "/c", "/a"), generation=2))
    (report,) = collect(engine, 1)
    assert (report.turn, report.generation) == (0, 2)
    assert pages.asked[asked:] == ["/c"]


def test_a_kept_connection_serves_all_that_go_the_same_way(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    pages = Pages()
    pages.keeps = True
    server = serve(pages)
    engine.order(rounds(server.port, "/a", "/b", keepalive=True))
    wait_for(lambda: len(pages.asked) >= 6, "three rounds")
    assert server.accepted == 1
    other = serve(pages)
    order = rounds(server.port, "/x", "/y", keepalive=True)
    elsewhere = replace(order.then[0], port=other.port)
    engine.order(replace(order, then=(elsewhere,), generation=2))
    wait_for(lambda: pages.asked.count("/y") >= 3, "rounds over two servers")
    assert other.accepted >= 3, "nobody's connection was used for another"
    assert engine.reports() == []
    engine.remove(0)


def test_bad_rounds_are_refused(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    order = rounds(1, "/a", "/b")
    with pytest.raises(ValueError, match="one transport"):
        engine.order(replace(order, then=(replace(tcp(1), kind=Kind.UDP),)))
    with pytest.raises(ValueError, match="at most 256 recipes"):
        engine.order(replace(order, then=order.then * 256))


def test_orders_given_again_while_the_round_goes_on(engine: ProbeEngine, serve: Callable[..., Server]) -> None:
    """What the thread points to lives until it has taken the next order."""
    pages = Pages()
    server = serve(pages)
    for generation in range(1, 200):
        names = [f"/{generation}{letter}" for letter in "abcde"]
        engine.order(replace(rounds(server.port, *names, interval=MS), generation=generation))
    wait_for(lambda: sum(page.startswith("/199") for page in pages.asked) >= 11, "two rounds of the last one")
    last = [page for page in pages.asked if page.startswith("/199")]
    assert last[:6] == [f"/199{letter}" for letter in "abcdea"]
    assert engine.reports() == []


def test_the_twin_goes_round_alike() -> None:
    seen: list[bytes] = []

    def behave(_target: int, recipe: Recipe, _now: int) -> Outcome:
        seen.append(recipe.request.split(b" ")[1])
        return Outcome(Verdict.STATUS if len(seen) == 6 else Verdict.SUCCESS)

    probes = ModelProbes(behave)
    probes.order(replace(rounds(1, "/a", "/b", "/c"), first=0), 0)
    (report,) = probes.advance(10 * S)
    assert seen == [b"/a", b"/b", b"/c", b"/a", b"/b", b"/c"]
    assert report.turn == 2
