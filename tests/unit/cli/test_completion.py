"""Completion, as a shell sees it."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fastha.cli.completion import bash, fish, zsh
from fastha.cli.main import main

BASH, FISH, ZSH = shutil.which("bash"), shutil.which("fish"), shutil.which("zsh")


def complete(*words: str) -> list[str]:
    """What bash offers for the last of `words`."""
    if BASH is None:
        pytest.skip("needs bash")
    typed = " ".join(f"'{word}'" for word in ("fastha", *words))
    script = f"{bash()}\nCOMP_WORDS=({typed}); COMP_CWORD={len(words)}; _fastha; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    ran = subprocess.run([BASH, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    return ran.stdout.split()


CASES = [
    (("sta",), {"status"}),
    (("explain", "virtual_ro"), {"virtual_router_id", "virtual_routes"}),
    (("--lvs-plane", "nf"), {"nftables"}),
    (("--config-t",), {"--config-test"}),
    (("dump", "--fo"), {"--format"}),
    (("completion", "fi"), {"fish"}),
]


@pytest.mark.parametrize(("words", "offered"), CASES)
def test_bash(words: tuple[str, ...], offered: set[str]) -> None:
    assert set(complete(*words)) == offered


def test_bash_completes_files() -> None:
    assert "/etc/passwd" in complete("-c", "/etc/pass")


def complete_in_fish(*words: str) -> set[str]:
    """Words that fish offers, without their descriptions."""
    if FISH is None:
        pytest.skip("needs fish")
    script = f"{fish()}\ncomplete -C 'fastha {' '.join(words)}'\n"
    ran = subprocess.run([FISH, "--no-config", "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert not ran.stderr
    return {line.partition("\t")[0] for line in ran.stdout.splitlines()}


@pytest.mark.parametrize(("words", "offered"), CASES)
def test_fish(words: tuple[str, ...], offered: set[str]) -> None:
    assert complete_in_fish(*words) == offered


def test_fish_completes_files() -> None:
    assert "/etc/passwd" in complete_in_fish("-c", "/etc/pass")


INTERACTIVE = """\
PROMPT=
autoload -Uz compinit && compinit -u -D
source {script}
bindkey '^I' complete-word
ended() {{ exit }}
comppostfuncs=(ended)
compadd() {{
    if [[ ${{@[1,(i)(-|--)]}} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return $?; fi
    local -a hits
    builtin compadd -O hits "$@"
    print -rl -- $hits >> {hits}
    builtin compadd "$@"
}}
"""
"""Zsh with its completion system, where what is offered goes into a file."""


def complete_in_zsh(directory: Path, *words: str) -> set[str]:
    """Zsh completes only where somebody types: on a terminal of its own."""
    if ZSH is None:
        pytest.skip("needs zsh")
    script, hits, setup = directory / "_fastha", directory / "hits", directory / "setup"
    script.write_text(zsh())
    setup.write_text(INTERACTIVE.format(script=script, hits=hits))
    typing = (
        "zmodload zsh/zpty\nzpty z zsh -f -i\n"
        f"zpty -w z 'source {setup}'\nzpty -w z 'fastha {' '.join(words)}'$'\\t'\n"
        "while zpty -r z; do :; done\n"
    )
    subprocess.run([ZSH, "-f", "-c", typing], capture_output=True, check=False, timeout=60, cwd=directory)
    return set(hits.read_text().split()) if hits.exists() else set()


@pytest.mark.parametrize(("words", "offered"), CASES)
def test_zsh(tmp_path: Path, words: tuple[str, ...], offered: set[str]) -> None:
    assert complete_in_zsh(tmp_path, *words) == offered


def test_zsh_completes_files(tmp_path: Path) -> None:
    (tmp_path / "pools.conf").touch()
    assert "pools.conf" in complete_in_zsh(tmp_path, "-c", "poo")


@pytest.mark.parametrize(("shell", "script"), [("bash", bash), ("fish", fish), ("zsh", zsh)])
def test_the_command(shell: str, script: Callable[[], str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert capsys.readouterr().out == script()
