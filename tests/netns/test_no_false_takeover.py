"""A few seconds of what must not make a backup believe its master dead; `tests/soak` takes ten minutes of each."""

from pathlib import Path

import pytest

from tests.netns.disturbances import disturbed

pytestmark = pytest.mark.netns


@pytest.mark.parametrize(
    ("name", "seconds"), [("busy", 3), ("loss", 3), ("backup_stopped", 2.5), ("master_stopped", 3)]
)
def test_the_backup_stays_backup(name: str, seconds: float, tmp_path: Path) -> None:
    result = disturbed(name, seconds, ("fastha",), tmp_path)["fastha"]
    assert (result.takeovers, result.ended) == (0, 0)
    assert result.adverts > seconds * 10 * (0.6 if name == "master_stopped" else 0.8)
