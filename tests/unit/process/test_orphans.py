"""What a supervisor and a runner that were killed together leave behind."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap

from fastha.process import orphans
from fastha.system import pidfile, procs
from tests.poll import until

RUNNER = textwrap.dedent("""
    import subprocess, sys, time
    script = subprocess.Popen(["sleep", "300"], process_group=0)
    print(script.pid, flush=True)
    time.sleep(300)
""")


def test_scripts_of_a_dead_runner_are_ended_by_the_next_supervisor(tmp_path):
    runner = subprocess.Popen([sys.executable, "-c", RUNNER], start_new_session=True, stdout=subprocess.PIPE, text=True)
    script = int(runner.stdout.readline())
    runner.stdout.close()
    try:
        path = tmp_path / "runner.pid"
        pidfile.write_pid(str(path), runner.pid)
        runner.kill()
        runner.wait()
        assert procs.read_process(script) is not None
        said = []

        async def retire():
            _, _, rest = await orphans.retire(
                str(tmp_path), {"runner": str(path)}, 1.0, lambda level, text: said.append(text)
            )
            await rest

        asyncio.run(retire())
        until(lambda: procs.read_process(script) is None, "the end of the script")
        assert said == [f"ending scripts that a runner [{runner.pid}] left behind"]
        assert not path.exists()
    finally:
        if procs.read_process(script) is not None:
            os.kill(script, signal.SIGKILL)
