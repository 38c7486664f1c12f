"""Watching directories."""

import os

import pytest
import uvloop

from fastha.system.inotify import Inotify


@pytest.fixture
def watched(tmp_path):
    loop = uvloop.new_event_loop()
    changes, gone = [], []
    inotify = Inotify(loop, lambda directory, name: changes.append(name), gone.append)
    directory = tmp_path / "d"
    directory.mkdir()
    inotify.watch(str(directory))

    def events():
        loop.call_later(0.03, loop.stop)
        loop.run_forever()
        seen, changes[:] = list(changes), []
        return seen

    yield directory, events, gone, inotify
    inotify.close()
    loop.close()


def test_writes_moves_and_deletions_are_seen(watched):
    directory, events, _, _ = watched
    (directory / "a").write_text("1")
    assert "a" in events()
    os.rename(directory / "a", directory / "b")
    assert events() == ["a", "b"]
    (directory / "b").unlink()
    assert events() == ["b"]


def test_the_end_of_the_directory_is_told_once(watched):
    directory, events, gone, inotify = watched
    directory.rmdir()
    assert events() == [""]
    assert gone == [str(directory)]
    directory.mkdir()
    inotify.watch(str(directory))
    (directory / "c").touch()
    assert "c" in events()


def test_a_missing_directory_is_an_error(watched):
    directory, _, _, inotify = watched
    with pytest.raises(FileNotFoundError):
        inotify.watch(str(directory / "nothing"))
