"""Other processes, and scripts that a runner left behind."""

import os
import subprocess
import sys
import time

from fastha.system.procs import cmdline, end_scripts, processes, read_process


def test_a_process_is_described():
    child = subprocess.Popen(["sleep", "61"])
    try:
        end = time.monotonic() + 5
        while cmdline(child.pid) != ["sleep", "61"]:
            assert time.monotonic() < end
        process = read_process(child.pid)
        assert process is not None
        assert (process.comm, process.argv) == ("sleep", ["sleep", "61"])
        assert child.pid in {each.pid for each in processes()}
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert read_process(child.pid) is None, "a zombie counts for nothing"
    finally:
        child.kill()
        child.wait()
    assert read_process(child.pid) is None
    assert cmdline(child.pid) == []


def test_only_group_leaders_of_the_session_are_ended(tmp_path):
    """The script gets SIGTERM; what it started in the background does not."""
    program = f"""
import subprocess, sys
script = subprocess.Popen(["/bin/sh", "-c", "sleep 62 & echo $! > {tmp_path}/background; wait"], process_group=0,
                          stdout=subprocess.DEVNULL)
print(script.pid, flush=True)
sys.stdin.read()
"""
    runner = subprocess.Popen(
        [sys.executable, "-c", program], start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    script = int(runner.stdout.readline())
    end = time.monotonic() + 5
    while not (tmp_path / "background").exists() or not (tmp_path / "background").read_text():
        assert time.monotonic() < end
    background = int((tmp_path / "background").read_text())
    runner.kill()
    runner.wait()
    runner.stdin.close()
    runner.stdout.close()
    try:
        assert end_scripts(runner.pid) == 1
        while read_process(script) is not None:
            assert time.monotonic() < end
        assert read_process(background) is not None
    finally:
        os.kill(background, 9)
