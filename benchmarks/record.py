"""Runs of a benchmark as lines of JSON, so that a long one can be made in pieces and be read later."""

import json
import os
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any


def spread(values: Sequence[float], form: str = ".1f") -> str:
    """Median (least..greatest); `-` when there is none."""
    if not values:
        return "-"
    return f"{statistics.median(values):{form}} ({min(values):{form}}..{max(values):{form}})"


def add(path: Path | None, **row: object) -> dict[str, Any]:
    """Append a run to a file, if there is one; `row` with the time and the load of the machine."""
    whole = {**row, "at": round(time.time(), 1), "load": round(os.getloadavg()[0], 2)}
    if path is not None:
        with path.open("a") as file:
            file.write(json.dumps(whole) + "\n")
    return whole


def rows(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """All runs in some files."""
    for path in paths:
        yield from map(json.loads, path.read_text().splitlines())
