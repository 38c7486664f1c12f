"""`python -m benchmarks [NAME] [OPTIONS]`: run one benchmark (`NAME --help` tells its options), or all of them.

Without a name the options (`--pairs N`) go to each.
"""

import importlib
import sys
from pathlib import Path

from benchmarks.lab import LabError

BENCHMARKS = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))


def main() -> int:
    arguments = sys.argv[1:]
    if arguments and arguments[0] in ("-h", "--help"):
        print(f"{__doc__}\n\nNAME: {', '.join(BENCHMARKS)}")
        return 0
    named = bool(arguments) and not arguments[0].startswith("-")
    if named and arguments[0] not in BENCHMARKS:
        print(f"no benchmark '{arguments[0]}': there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in [arguments[0]] if named else BENCHMARKS:
        print(f"== {name}", flush=True)
        try:
            importlib.import_module(f"benchmarks.bench_{name}").main(arguments[named:])
        except LabError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
