"""Tests marked `ipvs` run here when this kernel has IPVS, and in the machine of tests/ipvs-vm when it has none.

All of them go into one boot of that machine, when the first one's turn has come (of several workers one gets all tests
of this folder). The pytest in there writes each report to a file that the machine shares; here they are handed on as if
the tests had run here.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from fastha.system.ipvs import IpvsPlane

RUNNER = Path(__file__).parent.parent / "ipvs-vm" / "ipvs-vm"
REPORTS = "FASTHA_KERNEL_REPORTS"
"""In the guest: the file its reports go to."""
NO_GUEST = 125
GUEST_TIME = 600
"""Seconds for all tests in the guest."""


@functools.cache
def no_ipvs_here() -> str:
    """Why IPVS cannot be programmed on this host; empty when it can."""
    try:
        IpvsPlane().close()
    except OSError as error:
        return str(error)
    return ""


class Guest:
    """What became of the tests that ran in the guest."""

    def __init__(self) -> None:
        self.reports: dict[str, list[pytest.TestReport]] = {}
        self.missing = ""
        """Why the guest could not be had."""
        self.ending = ""
        """How it ended, and the end of what it printed."""

    def run(self, config: pytest.Config, names: list[str]) -> None:
        with tempfile.TemporaryDirectory(prefix="fastha-kernel.") as shared:
            reports = Path(shared) / "reports"
            (Path(shared) / "names").write_text("\n".join(names))
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"@{shared}/names"]
            done = subprocess.run(
                [RUNNER, "--timeout", str(GUEST_TIME), "--rw", shared, "--", *command],
                cwd=config.rootpath,
                env={**os.environ, REPORTS: str(reports)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            said = done.stdout.decode(errors="replace")
            lines = reports.read_text().splitlines() if reports.exists() else []
        self.ending = f"ipvs-vm ended with {done.returncode}:\n{said[-4000:]}"
        if done.returncode == NO_GUEST and not lines:
            self.missing = said.strip() or "ipvs-vm has no guest"
        for line in lines:
            report = config.hook.pytest_report_from_serializable(config=config, data=json.loads(line))
            if isinstance(report.longrepr, list):  # the place and reason of a skip, a tuple before it was JSON
                report.longrepr = tuple(report.longrepr)
            self.reports.setdefault(report.nodeid, []).append(report)

    def of(self, item: pytest.Item) -> Iterable[pytest.TestReport]:
        """The reports of a test; one that is made up here when the guest has none."""
        if self.missing:
            where = (str(item.path), item.location[1] or 0, f"IPVS: {no_ipvs_here()}; {self.missing}")
            return [_report(item, "setup", "skipped", where)]
        return self.reports.get(item.nodeid) or [_report(item, "call", "failed", f"no report of this. {self.ending}")]


GUEST = pytest.StashKey[Guest]()


def _report(item: pytest.Item, when: str, outcome: str, longrepr: object) -> pytest.TestReport:
    return pytest.TestReport(item.nodeid, item.location, {}, outcome, longrepr, when)


def guest_for(item: pytest.Item) -> Guest | None:
    """The guest that ran `item` and all its like, now or before; None when the test is to run here."""
    config = item.config
    if not item.get_closest_marker("ipvs") or REPORTS in os.environ or not no_ipvs_here():
        return None
    guest = config.stash.get(GUEST, None)
    if guest is None:
        names = [each.nodeid for each in item.session.items if each.get_closest_marker("ipvs")]
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(f"running {len(names)} tests in the machine with IPVS")
        guest = config.stash[GUEST] = Guest()
        config.hook.pytest_timeout_cancel_timer(item=item)  # the guest has a time limit of its own
        guest.run(config, names)
    return guest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    guest = guest_for(item)
    if guest is None:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in guest.of(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


_config: list[pytest.Config] = []


def pytest_configure(config: pytest.Config) -> None:
    _config.append(config)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In the guest: hand the report to the host."""
    path = os.environ.get(REPORTS)
    if path:
        config = _config[0]
        data = config.hook.pytest_report_to_serializable(config=config, report=report)
        with Path(path).open("a") as file:
            file.write(json.dumps(data) + "\n")


# ------------------------------------------------------------------------------------------ fixtures


@pytest.fixture
def ipvs() -> Iterable[IpvsPlane]:
    """The plane, empty before and after."""
    assert shutil.which("ipvsadm"), "ipvsadm is not installed"
    plane = IpvsPlane()
    plane.flush()
    yield plane
    plane.flush()
    plane.close()
