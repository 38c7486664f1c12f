"""`fastha replay FILE`: a recording (`vrrp_recording`) lived again."""

import sys
from collections.abc import Sequence
from pathlib import Path

from fastha.cli.options import Parser
from fastha.model.units import S
from fastha.vrrp.recording import Step, replay

LONGEST = 400
"""Characters of an event, or of what followed, that are shown."""


def main(words: Sequence[str]) -> int:
    """Compare what the core does today with what it did; 1 when that is not the same, or the file cannot be read."""
    parser = Parser(prog="fastha replay", description="Lets the VRRP core live a recording again, and compares.")
    parser.add_argument("file", type=Path, help="what vrrp_recording wrote")
    parser.add_argument("-v", "--verbose", action="store_true", help="show each input, and what followed")
    options = parser.parse_args(words)
    steps: list[Step] = []
    try:
        for step in replay(options.file.read_bytes()):
            steps.append(step)
            if options.verbose:
                _show(step, step.now - steps[0].now)
    except (OSError, ValueError) as problem:
        print(f"fastha replay: {options.file}: {problem}", file=sys.stderr)
        return 1
    otherwise = [step for step in steps if not step.same]
    if otherwise:
        first = otherwise[0]
        print(f"line {first.number}: {first.event or 'time passed'}")
        print(f"  recorded {_short(first.recorded)}\n  replayed {_short(first.replayed)}")
    length = (steps[-1].now - steps[0].now) / S if steps else 0
    print(f"{len(steps)} inputs in {length:.3f} s: {len(otherwise) or 'none'} went otherwise")
    return 1 if otherwise else 0


def _show(step: Step, since: int) -> None:
    what = repr(step.event) if step.event is not None else "time passed"
    print(f"{since / S:10.6f} {what[:LONGEST]}\n           -> {_short(step.recorded)}")


def _short(text: bytes) -> str:
    shown = text.decode(errors="replace")
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}..."
