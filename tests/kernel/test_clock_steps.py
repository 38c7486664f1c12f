"""The wall clock is set forth and back: only in the machine of tests/ipvs-vm, whose clock is nobody's."""

import os
from pathlib import Path

import pytest

from tests.kernel.conftest import REPORTS
from tests.netns.disturbances import disturbed

pytestmark = pytest.mark.ipvs


@pytest.mark.skipif(REPORTS not in os.environ, reason="the clock of this host is not ours to set")
def test_the_backup_stays_backup(tmp_path: Path) -> None:
    result = disturbed("clock_steps", 6, ("fastha",), tmp_path)["fastha"]
    assert (result.takeovers, result.ended) == (0, 0)
    assert result.adverts > 50
