"""Notify FIFOs."""

import os
import stat

import pytest
import uvloop

from fastha.system.fifo import Fifo, Made


@pytest.fixture
def loop():
    loop = uvloop.new_event_loop()
    yield loop
    loop.close()


def turn(loop, seconds=0.05):
    loop.call_later(seconds, loop.stop)
    loop.run_forever()


def make(path, loop, uid=None):
    return Fifo(str(path), os.geteuid() if uid is None else uid, os.getegid(), loop, note_in(path.parent))


def note_in(directory):
    return Made(str(directory / "note"))


def test_made_with_mode_0644_less_umask_and_removed_at_the_end(tmp_path, loop):
    older = os.umask(0o077)
    try:
        fifo = make(tmp_path / "f", loop)
    finally:
        os.umask(older)
    found = (tmp_path / "f").stat()
    assert stat.S_ISFIFO(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600
    fifo.close()
    assert not (tmp_path / "f").exists()


def test_an_existing_one_is_used_and_left(tmp_path, loop):
    os.mkfifo(tmp_path / "f")
    fifo = make(tmp_path / "f", loop)
    fifo.write(b"hello\n")
    reader = os.open(tmp_path / "f", os.O_RDONLY | os.O_NONBLOCK)
    assert os.read(reader, 100) == b"hello\n"
    os.close(reader)
    fifo.close()
    assert (tmp_path / "f").exists()


def test_one_made_by_the_process_before_is_removed_by_the_last(tmp_path, loop):
    make(tmp_path / "f", loop).close(leave=True)
    assert (tmp_path / "f").exists()
    make(tmp_path / "f", loop).close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_or_a_link_in_its_place_is_refused(tmp_path, loop):
    (tmp_path / "file").write_text("precious")
    os.mkfifo(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for name in ("file", "link"):
        with pytest.raises(OSError, match=r"FIFO|symbolic"):
            make(tmp_path / name, loop)
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owners(tmp_path, loop):
    fifo = Fifo(str(tmp_path / "new"), 65534, 65534, loop, note_in(tmp_path))
    assert (tmp_path / "new").stat().st_uid == 65534
    fifo.close()
    os.mkfifo(tmp_path / "f")
    os.chown(tmp_path / "f", 1234, 1234)
    with pytest.raises(PermissionError, match="user 1234"):
        make(tmp_path / "f", loop)
    Fifo(str(tmp_path / "f"), 1234, 1234, loop, note_in(tmp_path)).close()


def test_a_full_pipe_delays_lines_and_keeps_their_order(tmp_path, loop):
    fifo = make(tmp_path / "f", loop)
    lines = [b"%04d %s\n" % (number, b"x" * 95) for number in range(2000)]
    for line in lines:
        fifo.write(line)
    assert fifo.waiting > 1000
    reader = os.open(tmp_path / "f", os.O_RDONLY | os.O_NONBLOCK)
    got = b""
    while len(got) < len(b"".join(lines)):
        turn(loop, 0.01)
        try:
            got += os.read(reader, 1 << 20)
        except BlockingIOError:
            continue
    assert got == b"".join(lines)
    assert fifo.lost == 0
    assert fifo.waiting == 0
    os.close(reader)
    fifo.close()


def test_what_nobody_reads_is_lost_oldest_first_and_counted(tmp_path, loop):
    fifo = make(tmp_path / "f", loop)
    for number in range(11_000):
        fifo.write(b"%05d" % number + b"y" * 95)
    assert fifo.waiting == 10_000
    assert 300 <= fifo.lost <= 1000, "what the pipe itself took is not lost"
    fifo.close()
