"""What all tests share: fixed seeds, the long runs of `./dev soak`, what a machine lacks, and what must have run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

HERE = Path(__file__).parent
OUTCOMES: dict[str, str] = {}
"""Test node id -> its worst outcome so far."""
WORSE = ("passed", "skipped", "failed")

settings.register_profile(
    "test", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "soak", parent=settings.get_profile("test"), derandomize=False, max_examples=5000, print_blob=True
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="long runs: full counts, new seeds, and tests/soak")
    parser.addoption("--required", metavar="FILE", help="fail unless what FILE names has run and passed")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("soak" if config.getoption("--soak") else "test")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if collection_path == HERE / "soak" and not config.getoption("--soak") else None


@pytest.fixture(scope="session")
def soak(pytestconfig: pytest.Config) -> bool:
    """Whether this is a long run: take the full counts and fresh seeds (and print them)."""
    return bool(pytestconfig.getoption("--soak"))


# ------------------------------------------------------------------------------ what a machine lacks

MISSING = {
    "netns": "" if os.geteuid() == 0 and shutil.which("ip") else "network namespaces need root and iproute2",
    "compat": "" if shutil.which("keepalived") else "keepalived is not installed",
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, reason in MISSING.items():
        if reason and item.get_closest_marker(marker):
            pytest.skip(reason)


# ------------------------------------------------------------------------------------ several workers


class Scheduling(LoadFileScheduling):
    """A file's tests go to one worker, because fixtures are shared in files; those of tests/netns all to one, so that
    they do not make each other late, and those of tests/kernel to one, because they share a machine."""

    def _split_scope(self, nodeid: str) -> str:
        for folder in ("tests/netns/", "tests/kernel/"):
            if nodeid.startswith(folder):
                return folder
        return str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    return Scheduling(config, log)


# ---------------------------------------------------------------------------------- what must have run


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    OUTCOMES.setdefault(report.nodeid, "passed")
    OUTCOMES[report.nodeid] = max(OUTCOMES[report.nodeid], report.outcome, key=WORSE.index)


def required(text: str) -> Iterator[tuple[str, int]]:
    """The lines of a required file: `PREFIX-OF-NODE-IDS [AT-LEAST]`; `#` starts a comment."""
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words:
            yield words[0], int(words[1]) if len(words) > 1 else 1


def lacking(text: str, outcomes: dict[str, str]) -> list[str]:
    """What the required file `text` names and `outcomes` (node id -> outcome) does not have."""
    lacks = []
    for prefix, least in required(text):
        seen = [outcome for node, outcome in outcomes.items() if node.startswith(prefix)]
        if seen.count("passed") < least:
            lacks.append(
                f"{prefix}: {least} must pass, {seen.count('passed')} did, {seen.count('skipped')} were skipped"
            )
    return lacks


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):
        return  # one of several workers: it has seen a part only
    file = session.config.getoption("--required")
    if file and session.exitstatus == pytest.ExitCode.OK and lacking(Path(file).read_text(), OUTCOMES):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    file = config.getoption("--required")
    lacks = lacking(Path(file).read_text(), OUTCOMES) if file else []
    if lacks:
        terminalreporter.section(f"required by {file}, but not there", red=True)
        for line in lacks:
            terminalreporter.write_line(line)
