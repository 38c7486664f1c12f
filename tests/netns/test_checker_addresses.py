"""ha_suspend in the checker process: checks follow an address of this host."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.checker_driver import CheckerProcess, Web, own_network, plan_of, server

pytestmark = pytest.mark.netns


def address(word: str) -> None:
    subprocess.run(["ip", "address", word, "127.9.9.9/32", "dev", "lo"], check=True)


def test_ha_suspend_follows_the_address(tmp_path: Path) -> None:
    with own_network():
        web = Web()
        config = plan_of(server(web))
        (service,) = config.virtual_servers
        config = replace(config, virtual_servers=(replace(service, ha_suspend=True),))
        with CheckerProcess(config, tmp_path) as checker:

            def shown() -> str:
                return checker.snapshot().virtual_servers[0].real_servers[0].checkers[0].result

            checker.until(lambda: shown() == "suspended; before: not run yet")
            address("add")
            checker.until(lambda: shown() == "connected")
            address("del")
            checker.until(lambda: shown() == "suspended; before: connected")
            web.close()
            address("add")
            checker.until(lambda: any(told.endswith("DOWN") for told in checker.told()))
            assert sum("health checks are on" in line for line in checker.log) == 2
        web.close()
