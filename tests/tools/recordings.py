"""Recordings of the VRRP core beside keepalived, kept in tests/recordings and replayed by the tests.

python -m tests.tools.recordings            records anew what tests/netns/duel_cases* do (root, keepalived)
python -m tests.tools.recordings --again    the same inputs, with what the core does today: after a change that is meant
"""

import argparse
import gzip
import tempfile
from pathlib import Path

import msgspec

from fastha.vrrp.recording import line, replay

WHERE = Path(__file__).parent.parent / "recordings"


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
    first, _, rest = recording.partition(b"\n")
    kind, plan = msgspec.json.decode(first)
    place = plan["recording"]["path"].encode()
    return msgspec.json.encode([kind, plan]).replace(place, b"/recording") + b"\n" + rest.replace(place, b"/recording")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", action="store_true", help="keep the inputs")
    if parser.parse_args().again:
        for path in files():
            write(path, again(gzip.decompress(path.read_bytes())))
        return
    from tests.netns.duel import play
    from tests.netns.test_duel import STAGES

    for name, (cases, words) in STAGES.items():
        with tempfile.TemporaryDirectory() as directory:
            play(Path(directory) / name, cases, words, "frec")
            recording = (Path(directory) / name / "fastha/recording.jsonl").read_bytes()
        write(WHERE / f"{name}.jsonl.gz", anonymous(recording))


if __name__ == "__main__":
    main()
