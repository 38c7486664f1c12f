"""Mutated configurations: whatever comes out of a damaged file, it is findings and an exit code, never a traceback."""

import random
import time

import pytest

from fastha.config.diagnostics import render_text
from fastha.config.findings import render_json
from fastha.config.schema.tables import entries
from tests.compat.test_config_verdicts import ALL
from tests.config_dump import assert_round_trip
from tests.config_machine import MAIN, Machine, read
from tests.corpus_files import CORPUS

FILES = 2_000
LONG_FILES = 100_000
DUMPED = 10
"""Of so many files one is dumped and read again."""
SECONDS = 10.0
"""Of processor time, far more than any of these files may take."""
PIECES = (
    b"{", b"}", b'"', b"'", b"\\", b"#", b"!", b"$", b"${", b"~SEQ(A,1,3) ", b"~LST({A,B},{1}) ", b"@x ", b"@^x ",
    b"\n", b"\r", b"\0", b"\xff", b" ", b"\t", b"-1", b"0", b"99999999999999999999", b"1.5s", b"include *", b"$A=",
    b"$A=\\\n", b"::", b"0.0.0.0/0", b"fwmark", b"group", b"weight", b"\xc2\xa0", b"/etc/passwd", b"${_RANDOM x}",
)  # fmt: skip
LARGEST = 6_000
SEEDS = [probe.text.encode() for probe in ALL] + [
    path.read_bytes() for path in sorted(CORPUS.rglob("*.*")) if path.stat().st_size < LARGEST
]
NAMES = sorted({word.name.encode() for _, word in entries()})


def mutated(seed: int) -> bytes:
    """Two configurations spliced, then damaged in up to a dozen places."""
    dice = random.Random(seed)
    data = bytearray(b"\n".join(dice.choice(SEEDS) for _ in range(2)))
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


def prepared() -> Machine:
    machine = Machine()
    machine.program("/usr/bin/true")
    return machine


def check(seed: int) -> None:
    loaded = read(mutated(seed), prepared())
    # 4: an interface to be polled is not there
    assert loaded.exit_code in {0, 2, 4, 5, 6}, seed
    assert (loaded.plan is None) == bool(loaded.refused), seed
    render_text(loaded.diagnostics).encode("utf-8", "surrogateescape")
    render_json(MAIN, loaded.exit_code, loaded.diagnostics)
    for finding in loaded.diagnostics:
        assert 0 < finding.column <= len(finding.source) + 1 or not finding.line, seed


@pytest.mark.parametrize("first", range(10))
def test_damaged_files(first: int, soak: bool) -> None:
    for seed in range(first, LONG_FILES if soak else FILES, 10):
        check(seed)


@pytest.mark.parametrize("first", range(10))
def test_damaged_files_are_dumped(first: int, soak: bool) -> None:
    for seed in range(first, (LONG_FILES if soak else FILES) // DUMPED, 10):
        assert_round_trip(mutated(seed), prepared())


DEFINED = b"".join(b"$A%d=$A%d $A%d\n" % (n, n - 1, n - 1) for n in range(1, 200)) + b"x $A199\n"
BOMB = b"$A=\\\n~SEQ(X,1,1000) $B\\\n x\n$B=\\\n~SEQ(Y,1,1000) $C \\\n y\n$C=~SEQ(Z,1,1000) z\n$A\n"
HARD = {
    "a huge line": b"router_id " + b"x" * 10_000_000,
    "a huge line of braces": b"{}" * 500_000,
    "a huge line of quotes": b'"' * 999_999,
    "a huge line of backslashes": b"\\" * 1_000_000,
    "a huge line of dollars": b"$" * 1_000_000,
    "many short lines": b"\n" * 2_000_000,
    "deep blocks": b"vrrp_instance V {\n" * 100_000,
    "deep unknown blocks": b"what {\n" * 100_000,
    "deep braces": b"{ " * 300_000,
    "closing braces": b"} " * 300_000,
    "deep brace patterns": b"include " + b"{a," * 300 + b"}" * 300,
    "wide brace patterns": b"include " + b"{a,b}" * 100,
    "a file that includes itself": b"include keepalived.conf\n" * 5,
    "a definition of itself": b"$A=$A $A\nx $A\n",
    "definitions of each other": b"$A=$B x\n$B=$A y\nz $A\n",
    "definitions that double": DEFINED,
    "lines of itself": b"$A=\\\nx\\\n$A\n$A\n",
    "repetitions of repetitions": b"~SEQ(A,1,99999) ~SEQ(B,1,99999) ~SEQ(C,1,99999) x",
    "repetitions in definitions": BOMB,
    "an endless sequence": b"~SEQ(A,1,99999999999999999999) x $A",
    "conditions of conditions": b"@lvs1 " * 100_000 + b"x",
    "numbers without end": b"vrrp_instance V {\npriority " + b"9" * 900 + b"\nadvert_int 0." + b"1" * 900 + b"\n}",
    "a range without end": b"virtual_server_group g {\n::-ffff 80\n0.0.0.0/1 80\n}\nvirtual_server group g {\n"
    b"protocol TCP\nreal_server 192.0.2.1 80 {\n}\n}",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", HARD)
def test_hard_files_end_soon(name: str) -> None:
    begun = time.process_time()
    loaded = read(HARD[name], prepared())
    assert loaded.exit_code in {0, 2, 5, 6}
    render_text(loaded.diagnostics)
    assert time.process_time() - begun < SECONDS
