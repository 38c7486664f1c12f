"""What single calls cost, without a network: pytest-benchmark over `micro_*.py`.

python -m benchmarks micro [OPTIONS OF PYTEST]
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    here = Path(__file__).parent
    files = sorted(map(str, here.glob("micro_*.py")))
    options = ["--benchmark-only", "--benchmark-columns=min,median,max,rounds", "--benchmark-sort=name", "-q", "-rN"]
    pytest = [sys.executable, "-m", "pytest", *options, *files, *(sys.argv[1:] if argv is None else argv)]
    return subprocess.run(pytest, cwd=here.parent, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
