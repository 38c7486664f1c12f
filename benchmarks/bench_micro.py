"""Micro-benchmarks of hot paths, by pytest-benchmark: `python -m benchmarks micro [--pairs N] [PYTEST OPTIONS]`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pytest

MICRO = Path(__file__).parent / "micro"
OPTIONS = ("--benchmark-only", "--benchmark-disable-gc", "--benchmark-columns=min,median,iqr,ops", "-q")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="rounds of each, at least (default %(default)s)")
    options, rest = parser.parse_known_args(argv)
    return int(pytest.main([str(MICRO), *OPTIONS, f"--benchmark-min-rounds={options.pairs}", *rest]))
