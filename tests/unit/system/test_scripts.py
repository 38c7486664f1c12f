"""Running scripts: how they end, what they get, time-outs, output."""

import asyncio
import os
import time

import pytest
import uvloop

from fastha.model.plan import Command
from fastha.model.units import MS
from fastha.system.scripts import Launcher, Result, argv_of, environment


def run(main):
    """`main(loop, launcher)` on uvloop, as the runner does."""
    loop = uvloop.new_event_loop()
    lines = []
    try:
        launcher = Launcher(loop, lambda level, text: lines.append(text))
        return loop.run_until_complete(asyncio.wait_for(main(loop, launcher), 30))
    finally:
        loop.close()


def sh(text: str, **keywords) -> Command:
    return Command(argv=("/bin/sh", "-c", text), **keywords)


def one(command: Command, **keywords) -> Result:
    """The result of one run."""

    async def main(loop, launcher):
        done = loop.create_future()
        launcher.start(command, done.set_result, **keywords)
        result = await done
        assert not launcher.runs
        return result

    return run(main)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_exit_status_and_output():
    result = one(sh("echo out; echo err >&2; exit 3"))
    assert (result.status, result.signal, result.success, result.text()) == (3, 0, False, "exit 3")
    assert result.output.splitlines() == ["out", "err"]
    assert 0 < result.finished - result.started < 10_000 * MS
    assert one(Command(argv=("/bin/true",))).success


def test_death_by_signal_is_a_failure():
    result = one(sh("kill -9 $$"))
    assert (result.status, result.signal, result.success, result.text()) == (137, 9, False, "signal 9")


@pytest.mark.parametrize("path", ["/nonexistent/script", "/etc/passwd", "/"])
def test_what_cannot_be_run_says_why(path):
    before = open_files()
    result = one(Command(argv=(path,)))
    assert not result.success
    assert result.error.startswith(f"{path}: ")
    assert result.text().startswith("cannot run: ")
    assert open_files() == before


def test_words_are_passed_as_they_are_and_the_extra_ones_behind():
    result = one(Command(argv=("/usr/bin/printf", "%s|", "a b", "$HOME", "")), extra=("INSTANCE", 'x "y"'))
    assert result.output == 'a b|$HOME||INSTANCE|x "y"|'


def test_a_shell_command_has_its_words_quoted():
    result = one(Command(argv=("printf", "%s|", "a b", "$HOME", "it's"), shell=True), extra=("z",))
    assert result.output == "a b|$HOME|it's|z|"
    assert argv_of(Command(argv=("</dev/tcp/127.0.0.1/80",), shell=True))[2] == "</dev/tcp/127.0.0.1/80"
    assert one(Command(argv=("</dev/null",), shell=True)).success
    assert one(Command(argv=("</nonexistent",), shell=True)).status != 0


def test_environment_is_ours_without_what_could_harm():
    given = {"PATH": "/bin", "IFS": "x", "LD_PRELOAD": "a", "LD_LIBRARY_PATH": "b", "NOTIFY_SOCKET": "c", "TZ": "UTC"}
    assert environment(given) == {"PATH": "/bin", "TZ": "UTC"}


def test_descriptors_group_and_signals_of_a_script():
    result = one(sh("ls /proc/self/fd | wc -l; readlink /proc/self/fd/0; ps -o pgid= -p $$; echo $$; pwd"))
    descriptors, stdin, group, pid, cwd = [line.strip() for line in result.output.splitlines()]
    assert int(descriptors) <= 4, "0, 1, 2 and the directory that ls reads"
    assert stdin == "/dev/null"
    assert group == pid
    assert cwd == "/"
    ignored = one(sh("grep SigIgn /proc/self/status")).output.split()[1]
    assert int(ignored, 16) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run scripts as other users")
def test_user_and_groups():
    result = one(sh("id -u; id -g; id -G", uid=65534, gid=65534))
    assert result.output.split() == ["65534"] * 3
    result = one(sh("id -u; id -g; id -G", uid=65534, gid=65534, groups=(65534, 7)))
    assert result.output.split()[:2] == ["65534", "65534"]
    assert "7" in result.output.split()


def test_time_out_terms_the_group_and_the_rest_is_killed(tmp_path):
    marker = tmp_path / "pid"
    result = one(sh(f"sleep 300 & echo $! > {marker}; wait"), timeout=200 * MS)
    assert result.timed_out
    assert result.text() == "timed out"
    assert result.signal == 15
    assert_gone(int(marker.read_text()))


def test_a_script_that_ignores_sigterm_is_killed_two_seconds_later():
    start = time.monotonic()
    result = one(sh("trap '' TERM; echo ready; while :; do sleep 0.1; done"), timeout=200 * MS)
    assert result.timed_out
    assert result.signal == 9
    assert 2.0 <= time.monotonic() - start < 5.0


def assert_gone(pid: int) -> None:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return
        except FileNotFoundError:
            return
        time.sleep(0.01)
    pytest.fail(f"{pid} still runs")


def test_a_flood_of_output_is_read_and_only_its_end_kept():
    result = one(sh("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo the end"))
    assert result.success
    assert result.output.endswith("the end")
    assert len(result.output) <= 2048


def test_lines_are_handed_on():
    lines = []
    assert one(sh("echo one; printf two; sleep 0.05; echo ' three'; printf four"), on_line=lines.append).success
    assert lines == ["one", "two three", "four"]


def test_a_daemon_started_by_a_script_keeps_writing(tmp_path):
    """The script ends at once; what it left behind writes later and must not die of SIGPIPE."""
    marker = tmp_path / "alive"

    async def main(loop, launcher):
        done = loop.create_future()
        launcher.start(sh(f"(sleep 0.3; echo late && echo yes > {marker}) & exit 0"), done.set_result)
        result = await done
        assert result.success
        end = time.monotonic() + 5
        while not marker.exists():
            assert time.monotonic() < end
            await asyncio.sleep(0.01)

    run(main)


def test_hundreds_at_once_and_no_descriptor_is_left():
    before = open_files()

    async def main(loop, launcher):
        results = []
        for _ in range(300):
            launcher.start(Command(argv=("/bin/true",)), results.append)
        while len(results) < 300:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        assert all(result.success for result in results)
        assert not launcher.runs

    run(main)
    assert open_files() == before
