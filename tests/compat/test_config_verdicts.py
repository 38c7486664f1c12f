"""Verdicts on small configurations: fastha's against what is recorded, and the record against the real keepalived."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.config_machine import Machine, errors, read

PROBES = Path(__file__).parents[1] / "corpus" / "probes.txt"
HEAD = re.compile(r"^== (\S+): (\d+|crash)(?:, fastha (\d+): (.+))?$", re.MULTILINE)
RECORDED_WITH = "v2.2.7"
PROGRAMS = ("/usr/bin/true", "/usr/bin/false", "/usr/bin/test", "/usr/bin/cat", "/bin/true")


@dataclass(frozen=True)
class Probe:
    name: str
    keepalived: int | None
    """None: keepalived crashes on it."""
    fastha: int
    text: str


def probes() -> list[Probe]:
    parts = HEAD.split(PROBES.read_text())[1:]
    result = []
    for name, code, ours, _reason, text in zip(*(parts[n::5] for n in range(5)), strict=True):
        expected = None if code == "crash" else int(code)
        result.append(Probe(name, expected, int(ours) if ours else int(code), text.lstrip("\n")))
    return result


ALL = probes()


@pytest.mark.parametrize("probe", ALL, ids=[probe.name for probe in ALL])
def test_fastha_s_verdict(probe: Probe) -> None:
    machine = Machine()
    for path in PROGRAMS:
        machine.program(path)
    loaded = read(probe.text, machine)
    assert loaded.exit_code == probe.fastha, errors(loaded)


def test_names_are_unique() -> None:
    assert len({probe.name for probe in ALL}) == len(ALL)


def keepalived_version() -> str:
    if shutil.which("keepalived") is None:
        return ""
    said = subprocess.run(["keepalived", "-v"], capture_output=True, text=True, check=False).stderr
    match = re.search(r"Keepalived (v[\d.]+)", said)
    return match[1] if match else ""


@pytest.mark.compat
def test_the_record_is_what_keepalived_says(tmp_path: Path) -> None:
    """All in one network namespace of their own, with an interface eth0."""
    if os.geteuid() != 0:
        pytest.skip("needs root for a network namespace")
    if keepalived_version() != RECORDED_WITH:
        pytest.skip(f"needs keepalived {RECORDED_WITH}, which the verdicts were recorded with")
    chosen = [probe for probe in ALL if probe.keepalived is not None]
    for probe in chosen:
        (tmp_path / f"{probe.name}.conf").write_text(probe.text)
    script = (
        "ip link set lo up; ip link add eth0 type veth peer name peer0 || exit 1\n"
        f'cd "{tmp_path}" || exit 1\n'
        'for file in *.conf; do keepalived -t -f "$file" 2>/dev/null; echo "${file%.conf} $?"; done\n'
    )
    ran = subprocess.run(
        ["unshare", "-n", "sh", "-c", script], capture_output=True, text=True, check=False, timeout=100
    )
    if ran.returncode or not ran.stdout:
        pytest.skip(f"no network namespace with a pair of interfaces: {ran.stderr.strip()}")
    said = dict(line.rsplit(" ", 1) for line in ran.stdout.splitlines())
    assert said == {probe.name: str(probe.keepalived) for probe in chosen}
