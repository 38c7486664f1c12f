"""The command line: options, exit codes, and that it is quick."""

import subprocess
import sys

import pytest

from fastha.cli.main import main
from fastha.cli.options import daemon_parser, facility


def command(*words: str, **keywords) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "fastha", *words], capture_output=True, text=True, timeout=60, check=False, **keywords
    )


def test_help_and_version_end_with_0():
    assert command("--help").returncode == 0
    assert "status" in command("-h").stdout
    assert command("-v").stderr.startswith("fastha ")


@pytest.mark.parametrize("words", [["--no-such"], ["-c"], ["-S", "nonsense"], ["-u", "9"], ["-P", "-C"], ["statsu"]])
def test_wrong_options_end_with_1_and_say_why(words):
    result = command(*words)
    assert result.returncode == 1
    assert "usage: fastha" in result.stderr


def test_a_mistyped_command_gets_a_suggestion():
    assert "did you mean 'status'?" in command("statsu").stderr


def test_signum():
    assert command("--signum", "RELOAD").stdout == "1\n"
    assert command("--signum=STOP").stdout == "15\n"
    assert command("--signum=JSON").stdout == "36\n"
    assert command("--signum=NONE").returncode == 1


def test_minus_t_never_takes_the_next_word_for_its_log(tmp_path):
    config = tmp_path / "keepalived.conf"
    config.write_text("global_defs {\n}\n")
    assert command("-t", str(config)).returncode == 1, "a word too many"
    assert config.read_text() == "global_defs {\n}\n"
    assert command("-t", "-c", str(config)).returncode == 0


def test_config_test_reports_to_stderr_or_a_file(tmp_path):
    config = tmp_path / "keepalived.conf"
    config.write_text("global_defs {\n  no_such_word\n}\n")
    result = command("-t", "-f", str(config))
    assert result.returncode == 5
    assert f"{config}:2:3: error: " in result.stderr
    assert "1 error" in result.stderr
    log = tmp_path / "log"
    result = command(f"--config-test={log}", "-f", str(config))
    assert result.stderr == ""
    assert "no_such_word" in log.read_text()
    assert command(f"--config-test={tmp_path}/no/where", "-f", str(config)).returncode == 1


def test_a_daemon_without_a_configuration_ends_and_says_which(tmp_path):
    result = command("-c", str(tmp_path / "missing.conf"), "--run-dir", str(tmp_path / "run"))
    assert result.returncode not in (0, 1)
    assert "missing.conf" in result.stderr


def test_status_and_reload_without_a_daemon(tmp_path):
    for word in ("status", "reload"):
        result = command(word, "--run-dir", str(tmp_path))
        assert result.returncode == 1
        assert "no daemon answers" in result.stderr


def test_explain_and_keywords():
    assert "advert_int" in command("explain", "advert_int").stdout
    wrong = command("explain", "advert_imt")
    assert wrong.returncode == 1
    assert "advert_int" in wrong.stderr
    assert "total" in command("keywords").stdout


def test_the_letter_c_names_the_configuration():
    assert daemon_parser("fastha").parse_args(["-c", "a.conf"]).config == "a.conf"


@pytest.mark.parametrize(("text", "number"), [("0", 16), ("7", 23), ("local3", 19), ("daemon", 3), ("user", 1)])
def test_log_facilities(text, number):
    assert facility(text) == number


def test_the_command_starts_without_the_heavy_modules():
    program = (
        "import sys; from fastha.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted(set(sys.modules) & {'asyncio', 'rich', 'uvloop', 'pyroute2', 'msgspec'}), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert result.stderr == "[]\n"


def test_a_reader_that_has_seen_enough_is_no_error():
    result = subprocess.run(
        f"{sys.executable} -m fastha keywords | head -1; echo ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert result.stderr == ""
    assert result.stdout.splitlines()[-1] == "0"


def test_main_is_callable_in_process(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().err.startswith("fastha ")
