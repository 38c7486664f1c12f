"""Pid files."""

import os
import subprocess
import sys

import pytest

from fastha.system.pidfile import HeldError, PidFile, read_pid, remove, write_pid


def test_locked_while_we_live_and_removed_after(tmp_path):
    path = str(tmp_path / "keepalived.pid")
    file = PidFile(path)
    assert read_pid(path) == os.getpid()
    assert os.stat(path).st_mode & 0o777 == 0o644
    with pytest.raises(HeldError, match=f"already running as pid {os.getpid()}"):
        PidFile(path)
    file.remove()
    assert not os.path.exists(path)
    PidFile(path).remove()


def test_the_file_of_a_dead_process_is_no_obstacle(tmp_path):
    path = str(tmp_path / "p")
    program = f"from fastha.system.pidfile import PidFile; PidFile({path!r}); import os; os._exit(0)"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert read_pid(path) not in (None, os.getpid())
    file = PidFile(path)
    assert read_pid(path) == os.getpid()
    file.remove()


def test_the_lock_does_not_go_to_children(tmp_path):
    file = PidFile(str(tmp_path / "p"))
    child = subprocess.Popen(["sleep", "60"])
    try:
        file.remove()
        PidFile(str(tmp_path / "p")).remove()
    finally:
        child.kill()
        child.wait()


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "target").write_text("precious")
    (tmp_path / "p").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic"):
        PidFile(str(tmp_path / "p"))
    assert (tmp_path / "target").read_text() == "precious"


def test_plain_ones(tmp_path):
    path = str(tmp_path / "vrrp.pid")
    assert read_pid(path) is None
    write_pid(path, 1234)
    assert read_pid(path) == 1234
    (tmp_path / "vrrp.pid").write_text("nonsense")
    assert read_pid(path) is None
    remove(path)
    remove(path)
