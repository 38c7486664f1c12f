"""A recording can be replayed, and is the same again; what was recorded beside keepalived too."""

import gzip
from pathlib import Path

import pytest

from fastha.cli import replay as command
from fastha.model.plan import VrrpPlan
from fastha.model.units import S
from fastha.vrrp import events
from fastha.vrrp.core import Core
from fastha.vrrp.recording import RecordingCore, replay
from tests.simulation.scenario import Story
from tests.tools.recordings import again, files

ROOM = 1 << 26


@pytest.mark.parametrize("path", files(), ids=lambda path: path.name)
def test_what_was_recorded_beside_keepalived(path: Path) -> None:
    """After a change that is meant: python -m tests.tools.recordings --again."""
    steps = list(replay(gzip.decompress(path.read_bytes())))
    assert len(steps) > 40
    assert [step for step in steps if not step.same] == []


def test_there_are_recordings() -> None:
    assert {path.name for path in files()} >= {"packets.jsonl.gz", "reload.jsonl.gz", "tracking.jsonl.gz"}


@pytest.mark.parametrize("seed", range(2))
def test_the_life_of_every_node_of_a_cluster(seed: int) -> None:
    cores: list[RecordingCore] = []

    def make(plan: VrrpPlan) -> Core:
        cores.append(RecordingCore(plan, ROOM))
        return cores[-1]

    Story(seed, make).run()
    for core in cores:
        assert all(step.same for step in replay(core.take()))


def recorded(room: int = ROOM) -> RecordingCore:
    core = RecordingCore(VrrpPlan(startup_delay=S), room)
    core.handle(events.Start(frozenset({"VI_2", "VI_1"})), S)
    core.tick(3 * S)
    return core


def test_inputs_come_back_as_they_were() -> None:
    first, second = replay(recorded().take())
    assert (first.now, first.event) == (S, events.Start(frozenset({"VI_1", "VI_2"})))
    assert (second.now, second.event) == (3 * S, None)
    assert b"Delayed start completed" in second.recorded


def test_time_without_an_effect_is_not_written() -> None:
    core = recorded()
    core.take()
    core.tick(4 * S)
    assert core.take() == b""


def test_it_ends_when_there_is_no_more_room() -> None:
    core = recorded(room=150)
    text = core.take()
    assert text.endswith(b'["full"]\n')
    assert len(text) < 170
    core.handle(events.Shutdown(), 5 * S)
    assert core.take() == b""
    assert len(list(replay(text))) < 2


def test_what_the_core_failed_over_is_the_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    core = recorded()
    with pytest.raises(KeyError):
        core.handle(None, 6 * S)  # type: ignore[arg-type]
    assert core.take().splitlines()[-1] == b'[6000000000,"",null,null]'


def test_a_line_that_is_cut_off_is_passed_over() -> None:
    assert len(list(replay(recorded().take()[:-20]))) == 1


@pytest.mark.parametrize("spoil", [lambda t: t.replace(b"Start", b"Stert"), lambda t: b"[]\n" + t, lambda t: t[2:]])
def test_other_text_is_refused_with_its_line(spoil: object) -> None:
    with pytest.raises(ValueError, match=r"^line [12]: "):
        list(replay(spoil(recorded().take())))  # type: ignore[operator]


def test_the_command_tells_what_went_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "recording"
    file.write_bytes(recorded().take())
    assert command.main([str(file)]) == 0
    assert capsys.readouterr().out == "2 inputs in 2.000 s: none went otherwise\n"
    other = file.read_bytes().replace(b"start completed", b"start cancelled")
    file.write_bytes(other)
    assert command.main([str(file), "--verbose"]) == 1
    told = capsys.readouterr().out
    assert "line 3: time passed" in told
    assert "2 inputs in 2.000 s: 1 went otherwise" in told
    file.write_bytes(again(other))
    assert command.main([str(file)]) == 0
    assert command.main([str(tmp_path / "no such file")]) == 1
    assert "No such file" in capsys.readouterr().err
