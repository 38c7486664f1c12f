"""The configurations of `tests/corpus` with their recorded verdicts, and how keepalived is asked for them."""

import csv
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.config_machine import Machine

CORPUS = Path(__file__).parent / "corpus"
VERDICTS = CORPUS / "VERDICTS.tsv"
RECORDED_WITH = "v2.2.7"
CONFIG_ID = "lvs1"
PROGRAMS = ("/usr/bin/true", "/usr/bin/false", "/usr/bin/test", "/usr/bin/cat", "/bin/true")
COLUMNS = ("file", "keepalived", "fastha", "why")
"""Exit codes of `-t`; keepalived's `crash` for an end by a signal. `why` says why fastha's is meant to differ."""


@dataclass(frozen=True)
class Verdict:
    file: str
    keepalived: str
    fastha: str
    why: str

    @property
    def path(self) -> Path:
        return CORPUS / self.file


def verdicts() -> list[Verdict]:
    with VERDICTS.open(newline="") as file:
        return [Verdict(**row) for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


def machine() -> Machine:
    """A machine with the whole corpus on it, and what its files need."""
    result = Machine()
    for path in PROGRAMS:
        result.program(path)
    for path in sorted(CORPUS.rglob("*.*")):
        result.files[str(path)] = path.read_bytes()
    return result


def keepalived_version() -> str:
    if shutil.which("keepalived") is None:
        return ""
    said = subprocess.run(["keepalived", "-v"], capture_output=True, text=True, check=False).stderr
    match = re.search(r"Keepalived (v[\d.]+)", said)
    return match[1] if match else ""


def why_not() -> str:
    """Why keepalived cannot be asked here; empty when it can."""
    if os.geteuid() != 0:
        return "needs root for a network namespace"
    if keepalived_version() != RECORDED_WITH:
        return f"needs keepalived {RECORDED_WITH}, which the verdicts were recorded with"
    return ""


def ask_keepalived(files: Iterable[Path]) -> Mapping[Path, str]:
    """Its verdicts, all in one network namespace of their own with eth0 and eth1. RuntimeError where there is none."""
    script = (
        "ip link set lo up; ip link add eth0 type veth peer name eth1 || exit 1\n"
        "while read -r file; do\n"
        f'keepalived -t -i {CONFIG_ID} -f "$file" >/dev/null 2>&1 </dev/null; echo "$? $file"\n'
        "done\n"
    )
    ran = subprocess.run(
        ["unshare", "-n", "sh", "-c", script],
        input="".join(f"{file}\n" for file in files),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=dict(os.environ, PATH="/usr/sbin:/usr/bin:/sbin:/bin"),
    )
    if ran.returncode or not ran.stdout:
        raise RuntimeError(f"no network namespace with a pair of interfaces: {ran.stderr.strip()}")
    said = (line.split(" ", 1) for line in ran.stdout.splitlines())
    return {Path(file): "crash" if int(code) > 128 else code for code, file in said}
