"""The benchmark of `-t` runs and judges configurations that have nothing wrong."""

import shutil

import pytest

from benchmarks import bench_config
from tests.config_machine import read


@pytest.mark.parametrize("check", [bench_config.TCP, bench_config.HTTP])
def test_its_configurations_are_good(check: str) -> None:
    loaded = read(bench_config.configuration(40, 20, check))
    assert loaded.diagnostics == []
    assert loaded.plan is not None
    assert [len(service.real_servers) for service in loaded.plan.checker.virtual_servers] == [20, 20]
    assert all(server.checkers for service in loaded.plan.checker.virtual_servers for server in service.real_servers)


@pytest.mark.compat
def test_it_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench_config, "SHAPES", (("few", 40, 20, bench_config.TCP),))
    monkeypatch.setenv("KEEPALIVED", shutil.which("keepalived") or "")
    assert bench_config.main(["--pairs", "1"]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[-2:]] == [
        ["few", "keepalived"],
        ["few", "fastha"],
    ]
