"""Compares `fastha -t` with recorded verdicts of keepalived over a directory of configurations.

    python tests/tools/corpus.py DIR [-v]

DIR has VERDICTS.tsv: a header line, then rows whose first column is a file below DIR; the columns named by `--column`
hold keepalived's exit code. Interfaces that a file names are taken as present, as they were for the recorded verdicts.
"""

import argparse
import csv
import re
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from fastha.config.diagnostics import Severity
from fastha.config.host import Interface
from fastha.config.load import Loaded, load
from fastha.system.host import SystemHost

CRASHES = {"124", "134", "139"}
"""A hang or a crash is no model: the error is reported, exit 5."""
NAME = re.compile(r"[A-Za-z_][\w.@:-]{0,14}")


class EveryInterface(dict[str, Interface]):
    """Interfaces of a machine that has whatever looks like an interface name, except those known to be missing."""

    def __init__(self, missing: set[str]) -> None:
        self.missing = missing

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and NAME.fullmatch(name) is not None and name not in self.missing

    def get(self, name: str, default: Interface | None = None) -> Interface | None:  # type: ignore[override]
        return Interface(name) if name in self else default


class RecordedHost(SystemHost):
    """This machine with every interface, and no name resolution."""

    def __init__(self, missing: set[str]) -> None:
        self._every = EveryInterface(missing)

    def interfaces(self) -> Mapping[str, Interface]:
        return self._every

    def resolve(self, name: str):  # type: ignore[no-untyped-def]
        from fastha.model.net import parse_address

        try:
            return parse_address(name)
        except ValueError:
            return None


def judge(path: Path, messages: str) -> Loaded:
    """The verdict on one file. Interfaces that keepalived missed, by its recorded messages, are missing here too."""
    missing = set(re.findall(r"interface (\S+) (?:for .*? )?doesn't exist", messages))
    return load(str(path), RecordedHost(missing), config_id="host")


def compare(directory: Path, column: str, *, verbose: bool) -> int:
    """Number of files where the exit codes differ."""
    verdicts: Counter[tuple[str, str]] = Counter()
    differing = 0
    with (directory / "VERDICTS.tsv").open() as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            expected = "5" if row[column] in CRASHES else row[column]
            loaded = judge(directory / row["file"], row.get("first_message_" + column.removeprefix("exit_"), ""))
            got = str(loaded.exit_code)
            verdicts[expected, got] += 1
            if got == expected:
                continue
            differing += 1
            print(f"{row['file']}: keepalived {expected}, fastha {got}")
            print(f"    keepalived: {row.get('first_message_' + column.removeprefix('exit_'), '')}")
            for diagnostic in loaded.diagnostics:
                if diagnostic.severity is Severity.ERROR or verbose:
                    print(f"    fastha: {diagnostic.where}: {diagnostic.message}")
    for (expected, got), count in sorted(verdicts.items()):
        print(f"keepalived {expected}, fastha {got}: {count}")
    print(f"{sum(verdicts.values()) - differing} of {sum(verdicts.values())} alike")
    return differing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--column", default="exit_2.4.3")
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    return 1 if compare(options.directory, options.column, verbose=options.verbose) else 0


if __name__ == "__main__":
    sys.exit(main())
