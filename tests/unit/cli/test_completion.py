"""Completion, as a shell sees it."""

import shutil
import subprocess

import pytest

from fastha.cli.completion import bash, zsh
from fastha.cli.main import main

BASH = shutil.which("bash")


def complete(*words: str) -> list[str]:
    """What bash offers for the last of `words`."""
    if BASH is None:
        pytest.skip("needs bash")
    typed = " ".join(f"'{word}'" for word in ("fastha", *words))
    script = f"{bash()}\nCOMP_WORDS=({typed}); COMP_CWORD={len(words)}; _fastha; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    ran = subprocess.run([BASH, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    return ran.stdout.split()


def test_bash() -> None:
    assert complete("sta") == ["status"]
    assert complete("explain", "virtual_ro") == ["virtual_router_id", "virtual_routes"]
    assert complete("--lvs-plane", "nf") == ["nftables"]
    assert "--config-test" in complete("--c")
    assert complete("dump", "--fo") == ["--format"]


def test_bash_completes_files() -> None:
    assert "/etc/passwd" in complete("-c", "/etc/pass")


def test_zsh_reads_its_script() -> None:
    if shutil.which("zsh") is None:
        pytest.skip("needs zsh")
    subprocess.run(["zsh", "-n"], input=zsh(), text=True, check=True, timeout=30)


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    assert capsys.readouterr().out == bash()
    assert main(["completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("#compdef fastha\n")
