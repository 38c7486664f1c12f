"""The checker process where the kernel has no IPVS: nftables by itself, in a network namespace of the test's own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fastha.model.plan import CheckerPlan, PlaneChoice
from fastha.system.nftables import NftablesPlane
from tests.checker_driver import CheckerProcess, Web, own_network, plan_of, server

pytestmark = [pytest.mark.kernel, pytest.mark.netns]


@pytest.fixture
def webs() -> Iterator[tuple[Web, Web]]:
    """Two servers, in a new network namespace that this thread is in meanwhile."""
    if not shutil.which("nft"):
        pytest.skip("needs nft")
    with own_network():
        try:
            NftablesPlane().close()
        except OSError as error:
            pytest.skip(f"no nftables plane here: {error}")
        both = Web(), Web()
        yield both
        for web in both:
            web.close()


def config(webs: tuple[Web, Web], plane: PlaneChoice = PlaneChoice.NFTABLES) -> CheckerPlan:
    return replace(plan_of(server(webs[0]), server(webs[1], last=2)), lvs_plane=plane)


def weights(checker: CheckerProcess) -> list[int | None]:
    """What the kernel really has, read from it for each snapshot."""
    return [shown.kernel_weight for shown in checker.snapshot().virtual_servers[0].real_servers]


def ruleset() -> str:
    return subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout


def test_a_dead_server_leaves_the_table_and_comes_back(webs: tuple[Web, Web], tmp_path: Path) -> None:
    with CheckerProcess(config(webs), tmp_path) as checker:
        assert checker.snapshot().plane == "nftables"
        assert weights(checker) == [1, 1]
        webs[0].close()
        checker.until(lambda: weights(checker) == [None, 1])
        webs[0].reopen()
        checker.until(lambda: weights(checker) == [1, 1])
        assert checker.stop() == 0
    assert "127.9.9.9" not in ruleset()


def test_what_is_flushed_behind_our_back_comes_back(webs: tuple[Web, Web], tmp_path: Path) -> None:
    with CheckerProcess(config(webs), tmp_path) as checker:
        subprocess.run(["nft", "flush", "ruleset"], check=True)
        checker.until(lambda: "127.9.9.9" in ruleset(), patience=40)
        checker.until(lambda: weights(checker) == [1, 1])


def test_a_killed_process_leaves_the_table_and_the_next_one_goes_on_from_it(
    webs: tuple[Web, Web], tmp_path: Path
) -> None:
    with CheckerProcess(config(webs), tmp_path) as checker:
        webs[0].close()
        checker.until(lambda: weights(checker) == [None, 1])
        checker.kill()
    with CheckerProcess(config(webs), tmp_path) as checker:
        assert weights(checker) == [None, 1]
        assert checker.snapshot().counters["plane_writes"] == 0


def test_a_reload_may_change_the_plane(webs: tuple[Web, Web], tmp_path: Path) -> None:
    with CheckerProcess(config(webs), tmp_path) as checker:
        assert checker.plan(config(webs, PlaneChoice.NONE)).error == ""
        assert "127.9.9.9" not in ruleset()
        assert checker.snapshot().plane == "none"
        assert checker.plan(config(webs)).error == ""
        assert weights(checker) == [1, 1]


def test_damage_that_the_services_do_not_show_is_repaired(webs: tuple[Web, Web], tmp_path: Path) -> None:
    with CheckerProcess(config(webs), tmp_path) as checker:
        words = "jump balance"
        assert words in ruleset()
        for chain in ("prerouting", "output"):
            subprocess.run(["nft", "flush", "chain", "inet", "fastha_lvs", chain], check=True)
        assert words not in ruleset()
        checker.until(lambda: ruleset().count(words) == 2, patience=40)
        checker.until(lambda: any("putting right" in line for line in checker.log))
