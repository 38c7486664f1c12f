"""The lab's display fits the terminal it is shown on."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from fastha.cli.lab import view
from fastha.cli.lab.example import Condition, DirectorHost, Example, locate
from fastha.cli.lab.lab import View
from fastha.cli.lab.traffic import Traffic
from fastha.config.load import load
from fastha.model.units import MS


class FakeLab(SimpleNamespace):
    """What the display reads of a lab: an example, its acts and what its client saw."""


@pytest.fixture(params=["master-backup", "active-active", "router"])
def lab(request) -> FakeLab:
    folder = locate(request.param)
    plans = {}
    for name in view.DIRECTORS:
        loaded = load(str(folder / f"{name}.conf"), DirectorHost())
        assert loaded.plan is not None
        plans[name] = loaded.plan
    example = Example(request.param, plans)
    traffic = Traffic()
    for target in example.targets():
        traffic.add([(target.label, 0, 10 * MS, f"web{n}", "") for n in (1, 2, 3)])
        traffic.add([(target.label, 0, 900 * MS, "", "timed out")])
    return FakeLab(
        example=example,
        traffic=traffic,
        rate=100.0,
        told=["director1 is switched off", "director1 is there again"],
        acts=dict.fromkeys(view.KEYS.values()),
        directors={name: SimpleNamespace(exists=True) for name in view.DIRECTORS},
        condition=Condition(),
    )


def shown(lab: FakeLab, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    silent = View(addresses={}, snapshots=dict.fromkeys(view.DIRECTORS))
    console.print(view.Screen(lab, silent), end="")
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 30), (120, 40), (200, 60)])
def test_everything_that_matters_fits(lab, width, height):
    lines = shown(lab, width, height)
    text = "\n".join(lines)
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)
    for words in ("director1", "director2", "requests, 100 a second", "longest gap", "web1", "there again"):
        assert words in text
    assert all(f"[{key}] {act}" in text for key, act in view.KEYS.items())
    assert "[q] quit" in lines[-1]


@pytest.mark.parametrize("height", [4, 8, 12])
def test_the_keys_are_there_however_small_the_terminal(lab, height):
    lines = shown(lab, 80, height)
    assert len(lines) <= height
    assert "[q] quit" in lines[-1]


def test_where_there_is_room_there_are_frames(lab):
    assert any("who holds which address" in line for line in shown(lab, 160, 60))
    assert not any("who holds which address" in line for line in shown(lab, 80, 16))
