"""Mutated configurations: whatever comes out of a damaged file, it is findings and an exit code, never a traceback."""

import random

import pytest

from fastha.config.diagnostics import render_json, render_text
from fastha.config.schema.tables import entries
from tests.compat.test_config_verdicts import ALL
from tests.config_machine import MAIN, Machine, read

SEEDS = 40
LONG_SEEDS = 4000
PIECES = (
    b"{", b"}", b'"', b"'", b"\\", b"#", b"!", b"$", b"${", b"~SEQ(A,1,3) ", b"~LST({A,B},{1}) ", b"@x ", b"@^x ",
    b"\n", b"\r", b"\0", b"\xff", b" ", b"\t", b"-1", b"0", b"99999999999999999999", b"1.5s", b"include *", b"$A=",
    b"$A=\\\n", b"::", b"0.0.0.0/0", b"fwmark", b"group", b"weight", b"\xc2\xa0", b"/etc/passwd", b"${_RANDOM x}",
)  # fmt: skip
NAMES = sorted({word.name.encode() for _, word in entries()})


def mutated(seed: int) -> bytes:
    """Two probes spliced, then damaged in up to a dozen places."""
    dice = random.Random(seed)
    data = bytearray("\n".join(dice.choice(ALL).text for _ in range(2)).encode())
    for _ in range(dice.randint(1, 12)):
        at = dice.randrange(len(data) + 1)
        action = dice.randrange(5)
        if action == 0:
            del data[at : at + dice.randint(1, 30)]
        elif action == 1:
            data[at:at] = dice.choice(PIECES)
        elif action == 2:
            data[at:at] = b"\n" + dice.choice(NAMES) + b" "
        elif action == 3:
            data[at:at] = data[at : at + dice.randint(1, 80)]
        elif at < len(data):
            data[at] = dice.randrange(256)
    return bytes(data)


def check(seed: int) -> None:
    machine = Machine()
    machine.program("/usr/bin/true")
    loaded = read(mutated(seed), machine)
    assert loaded.exit_code in {0, 2, 5, 6}, seed
    assert (loaded.plan is None) == bool(loaded.refused), seed
    render_text(loaded.diagnostics).encode("utf-8", "surrogateescape")
    render_json(MAIN, loaded.exit_code, loaded.diagnostics)
    for finding in loaded.diagnostics:
        assert 0 < finding.column <= len(finding.source) + 1 or not finding.line, seed


@pytest.mark.parametrize("first", range(10))
def test_damaged_files(first: int, soak: bool) -> None:
    for seed in range(first, LONG_SEEDS if soak else SEEDS * 10, 10):
        check(seed)
