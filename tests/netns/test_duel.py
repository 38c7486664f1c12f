"""C keepalived and fastha side by side, case by case: what scripts are told and when, adverts and announcements octet
by octet, counters, and what the machine has then. See `duel`, and `duel_cases*` for the cases.

The keepalived installed may be older than the one that is followed; `OLDER` says where, and why a case is passed over.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fastha.vrrp.recording import replay
from tests.netns import duel_cases, duel_cases_reload, duel_cases_tracking, duel_cases_words
from tests.netns.duel import KEEPALIVED, Case, Story, play
from tests.netns.duel_differences import differences

pytestmark = [pytest.mark.netns, pytest.mark.compat]

STAGES: dict[str, tuple[list[Case], str]] = {
    "packets": (duel_cases.CASES, ""),
    "tracking": (duel_cases_tracking.CASES, duel_cases_tracking.GLOBAL),
    "reload": (duel_cases_reload.CASES, duel_cases_reload.GLOBAL),
    "words": (duel_cases_words.CASES, duel_cases_words.GLOBAL),
}
CASES = [(stage, case) for stage, (cases, _) in STAGES.items() for case in cases]
OLDER: dict[str, str] = {
    "announced_again_with_a_refresh": "before 2.3 the refresh waits for the next advert",
    "a_tracked_source": "before 2.4 the loss is not noticed",
    "announcements_in_time": "before 2.3 the refresh waits for the next advert",
    "an_owner_that_ignores_adverts": "before 2.3 there is no such word",
    "checksum_as_version_2": "before 2.3 wrong checksums count here too",
    "excluded_and_special_addresses": "an address with a peer is not removed",
    "other_addresses_are_counted_and_used": "before 2.3 such an advert is not used",
    "other_addresses_of_the_known_master_are_skipped": "before 2.3 such an advert is not used",
    "two_owners_the_other_one_yields": "before 2.3 both lower themselves at once",
    "two_owners_the_other_one_goes_on": "before 2.4 the wait for the other is longer, or there is none",
    "two_owners_we_yield": "before 2.3 both lower themselves at once",
}


def version() -> tuple[int, ...]:
    told = subprocess.run([KEEPALIVED, "--version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r"v(\d+)\.(\d+)\.(\d+)", told)
    return tuple(int(part) for part in found.groups()) if found else (0,)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {stage: tmp_path_factory.mktemp(stage) for stage in STAGES}


@pytest.fixture(scope="module")
def stories(places: dict[str, Path]) -> dict[str, dict[str, dict[str, Story]]]:
    """stage -> side -> case -> story."""
    if shutil.which(KEEPALIVED) is None:
        pytest.skip("keepalived is not installed")
    return {stage: play(places[stage], cases, words, f"fd{stage[0]}") for stage, (cases, words) in STAGES.items()}


@pytest.mark.parametrize(("stage", "case"), CASES, ids=[case.name for _, case in CASES])
def test_both_do_the_same(stories: dict[str, dict[str, dict[str, Story]]], stage: str, case: Case) -> None:
    theirs, ours = stories[stage]["keepalived"][case.name], stories[stage]["fastha"][case.name]
    assert not ours.failure
    if case.name in OLDER and version() < (2, 4):
        return  # it has done what its script waits for, and there is nothing to compare with
    assert differences(case, theirs, ours) == []


@pytest.mark.usefixtures("stories")
@pytest.mark.parametrize("stage", STAGES)
def test_what_fastha_did_can_be_replayed(places: dict[str, Path], stage: str) -> None:
    steps = list(replay((places[stage] / "fastha/recording.jsonl").read_bytes()))
    assert len(steps) > 40
    assert all(step.same for step in steps)
