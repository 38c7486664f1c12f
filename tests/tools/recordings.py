"""Recordings of the VRRP core beside keepalived, kept in tests/recordings and replayed by the tests.

python -m tests.tools.recordings         records anew what tests/netns/duel_cases* do (root), and notes what keepalived
                                         ($KEEPALIVED, or the installed one) did otherwise
python -m tests.tools.recordings --again the same inputs, with what the core does today: after a change that is meant
"""

import argparse
import gzip
import tempfile
from pathlib import Path

import msgspec

from fastha.vrrp.recording import line, replay

WHERE = Path(__file__).parent.parent / "recordings"
RESULTS = WHERE / "duels.tsv"
"""case, version of keepalived, what it did."""


def read_results() -> dict[tuple[str, str], str]:
    """(case, version) -> "the same", or what keepalived did otherwise."""
    lines = [text.split("\t") for text in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    return {(case, of): result for case, of, result in lines}


def files() -> list[Path]:
    return sorted(WHERE.glob("*.jsonl.gz"))


def write(path: Path, recording: bytes) -> None:
    path.write_bytes(gzip.compress(recording, 9, mtime=0))


def again(recording: bytes) -> bytes:
    """With the actions of today."""
    steps = [line(step.event, step.now, step.replayed) for step in replay(recording)]
    return b"\n".join([recording.partition(b"\n")[0], *steps, b""])


def anonymous(recording: bytes) -> bytes:
    """Without the place where it was recorded."""
    _, plan = msgspec.json.decode(recording.partition(b"\n")[0])
    return recording.replace(plan["recording"]["path"].encode(), b"/recording")


def record() -> None:
    from tests.netns.duel import play
    from tests.netns.duel_differences import differences
    from tests.netns.test_duel import OLDER, STAGES, version

    results = read_results()
    of = ".".join(str(part) for part in version())
    for name, (cases, words) in STAGES.items():
        with tempfile.TemporaryDirectory() as directory:
            told = play(Path(directory) / name, cases, words, "frec")
            recording = (Path(directory) / name / "fastha/recording.jsonl").read_bytes()
        write(WHERE / f"{name}.jsonl.gz", anonymous(recording))
        for case in cases:
            found = differences(case, told["keepalived"][case.name], told["fastha"][case.name])
            results[case.name, of] = OLDER.get(case.name, found[0]) if found else "the same"
    RESULTS.write_text("".join(f"{case}\t{of}\t{result}\n" for (case, of), result in sorted(results.items())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", action="store_true", help="keep the inputs")
    if not parser.parse_args().again:
        record()
        return
    for path in files():
        write(path, again(gzip.decompress(path.read_bytes())))


if __name__ == "__main__":
    main()
