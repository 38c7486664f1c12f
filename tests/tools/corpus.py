"""Compares `fastha -t` with recorded verdicts of keepalived over a directory of configurations.

    python -m tests.tools.corpus DIR [-v]

DIR has VERDICTS.tsv: a header line, then rows whose first column is a file below DIR. Columns that begin with `exit_`
hold keepalived's exit codes: `exit_2.4.3` on a machine with every interface that a file names and none of its scripts,
`exit_2.4.3_prepared` on one that has its scripts and users as well.
"""

import argparse
import csv
import re
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from fastha.config import dump
from fastha.config.diagnostics import Severity
from fastha.config.host import FileInfo, Interface, User
from fastha.config.load import Loaded, load
from fastha.model.net import Address, parse_address
from fastha.system.host import SystemHost

CRASHES = {"124", "134", "139"}
"""A hang or a crash is no model: the error is reported, exit 5."""
COLUMNS = ("exit_2.4.3", "exit_2.4.3_prepared")
NAME = re.compile(r"[A-Za-z_][\w.@:-]{0,14}")
MISSING, LOST = "Config files missing", "no file matches"
"""How keepalived and fastha say: there is nothing to include. If only fastha does, there was when that was recorded."""
CONFIG_ID = "host"
DEFAULT_USER = "keepalived_script"
SHOWN = 4
"""Findings shown of a file that differs, unless all are asked for."""


class EveryInterface(dict[str, Interface]):
    """Interfaces of a machine that has whatever looks like an interface name, except those known to be missing."""

    def __init__(self, missing: set[str]) -> None:
        self.missing = missing

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and NAME.fullmatch(name) is not None and name not in self.missing

    def get(self, name: str, default: Interface | None = None) -> Interface | None:  # type: ignore[override]
        return Interface(name) if name in self else default


class RecordedHost(SystemHost):
    """This machine with every interface, no further network namespace, and no name resolution."""

    def __init__(self, missing: set[str]) -> None:
        self._every = EveryInterface(missing)

    def interfaces(self) -> Mapping[str, Interface]:
        return self._every

    def random(self, low: int, high: int) -> int:
        return low

    def has_namespace(self, name: str) -> bool:
        return False

    def resolve(self, name: str) -> Address | None:
        try:
            return parse_address(name)
        except ValueError:
            return None


class PreparedHost(RecordedHost):
    """The same with every user, every group, and every program that is named by an absolute path. Beside the files
    themselves (`${_PWD}/scripts/..`) nothing was put."""

    def __init__(self, directory: Path, missing: set[str]) -> None:
        super().__init__(missing)
        self._beside = f"{directory}/"

    def stat(self, path: str) -> FileInfo | None:
        return super().stat(path) or (FileInfo(0o100755, 0, 0) if self._made(path) else None)

    def realpath(self, path: str) -> str | None:
        return super().realpath(path) or (path if self._made(path) else None)

    def _made(self, path: str) -> bool:
        return path.startswith("/") and not path.lstrip("/").startswith(self._beside.lstrip("/"))

    def read_head(self, path: str, size: int) -> bytes:
        try:
            return super().read_head(path, size)
        except OSError:
            return b"#!/bin/sh\n"[:size]

    def user(self, name: str) -> User | None:
        known = super().user(name)
        if known is not None or name == DEFAULT_USER:
            return known
        return User(name, 1000, 1000)

    def group(self, name: str) -> int | None:
        known = super().group(name)
        return 1000 if known is None else known


class DumpedHost(PreparedHost):
    """The same with another text in the place of one file."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(path.parent, set())
        self._path, self._text = str(path), text

    def read_file(self, path: str) -> bytes:
        return self._text.encode("utf-8", "surrogateescape") if path == self._path else super().read_file(path)


def survives(path: Path) -> bool:
    """Whether reading the dump of a file gives the Plan that the file gives."""
    host = PreparedHost(path.parent, set())
    root, _ = dump.read(str(path), host, CONFIG_ID)
    again = load(str(path), DumpedHost(path, dump.canonical(root)), config_id=CONFIG_ID)
    return again.plan == load(str(path), host, config_id=CONFIG_ID).plan


def judge(path: Path, messages: str, *, prepared: bool = False) -> Loaded:
    """The verdict on one file. Interfaces that keepalived missed, by its recorded messages, are missing here too."""
    missing = set(re.findall(r"interface (\S+) (?:for .*? )?doesn't exist", messages))
    host = PreparedHost(path.parent, missing) if prepared else RecordedHost(missing)
    return load(str(path), host, config_id=CONFIG_ID)


def compare(directory: Path, column: str, *, verbose: bool) -> int:
    """Prints where the exit codes differ, and the figures. The number of files that differ."""
    verdicts: Counter[tuple[str, str]] = Counter()
    differing = 0
    incomplete = []
    with (directory / "VERDICTS.tsv").open() as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            expected = "5" if row[column] in CRASHES else row[column]
            messages = row.get("first_message_2.4.3", "")
            loaded = judge(directory / row["file"], messages, prepared=column.endswith("_prepared"))
            got = str(loaded.exit_code)
            if got != expected and any(LOST in d.message for d in loaded.diagnostics) and MISSING not in messages:
                incomplete.append(row["file"])
                continue
            verdicts[expected, got] += 1
            if got == expected:
                continue
            differing += 1
            print(f"{row['file']}: keepalived {expected}, fastha {got}")
            print(f"    keepalived, nothing prepared: {messages}")
            shown = [d for d in loaded.diagnostics if d.severity is Severity.ERROR or verbose]
            for diagnostic in shown[: None if verbose else SHOWN]:
                print(f"    fastha: {diagnostic.where}: {diagnostic.message}")
            if len(shown) > SHOWN and not verbose:
                print(f"    fastha: and {len(shown) - SHOWN} more")
    total = sum(verdicts.values())
    alike = total - differing
    clean = sum(count for (expected, got), count in verdicts.items() if (expected == "0") == (got == "0"))
    print(f"{column}: of {total} files" + "".join(f"; {name} includes what is not here" for name in incomplete))
    for (expected, got), count in sorted(verdicts.items()):
        print(f"    keepalived {expected}, fastha {got}: {count}")
    print(f"    exit code alike: {alike} ({alike / total:.1%}); clean or not alike: {clean} ({clean / total:.1%})")
    return differing


def dumps(directory: Path) -> int:
    """Prints which files' dumps mean something else. Their number."""
    with (directory / "VERDICTS.tsv").open() as file:
        files = [row["file"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    lost = [name for name in files if not survives(directory / name)]
    print("".join(f"{name}: its dump means something else\n" for name in lost), end="")
    print(f"dump: {len(files) - len(lost)} of {len(files)} read back the same")
    return len(lost)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--column", action="append", help="only this one (may be repeated)")
    parser.add_argument("-v", "--verbose", action="store_true", help="show notes too, and every finding")
    options = parser.parse_args()
    columns = options.column or COLUMNS
    with (options.directory / "VERDICTS.tsv").open() as file:
        missing = set(columns) - set(next(csv.reader(file, delimiter="\t")))
    if missing:
        parser.error(f"VERDICTS.tsv has no column {', '.join(sorted(missing))}")
    differing = sum([compare(options.directory, column, verbose=options.verbose) for column in columns])
    return 1 if differing + dumps(options.directory) else 0


if __name__ == "__main__":
    sys.exit(main())
