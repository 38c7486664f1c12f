"""Which daemon is asked."""

import socket

import pytest

from fastha.cli import client
from fastha.process.place import run_dir_of


def test_the_one_daemon_is_found_wherever_it_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "DEFAULT_RUN_DIR", str(tmp_path))
    assert client.the_run_dir(None) == str(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "dead").mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead/control.sock"))
    with socket.socket(socket.AF_UNIX) as alive, socket.socket(socket.AF_UNIX) as other:
        alive.bind(str(tmp_path / "a/control.sock"))
        alive.listen()
        assert client.the_run_dir(None) == str(tmp_path / "a")
        other.bind(str(tmp_path / "control.sock"))
        other.listen()
        with pytest.raises(client.DaemonError, match=r"2 daemons run here(.|\n)*/a"):
            client.the_run_dir(None)
        assert client.the_run_dir("/elsewhere") == "/elsewhere"


def test_daemons_with_different_pid_files_do_not_meet():
    assert run_dir_of(None, None) == "/run/fastha"
    assert run_dir_of("ns", "one") == "/run/fastha/ns_one"
    assert run_dir_of(None, None, "/run/a/k.pid") == "/run/fastha/run-a-k.pid"
    assert run_dir_of("ns", None, "/run/b.pid") == "/run/fastha/ns_run-b.pid"
