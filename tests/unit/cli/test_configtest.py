"""`fastha -t`: the forms of the option, and findings as JSON."""

import json
from pathlib import Path

import pytest

from fastha.cli.main import main

BAD = """\
vrrp_instance V {
  interface lo
  virtual_router_id 1
  virtual_ipaddress {
    192.0.2.1
  }
  prioritty 100
}
"""
DR = """\
virtual_server 192.0.2.1 80 {
  protocol TCP
  lvs_sched rr
  lvs_method DR
  real_server 192.0.2.2 80 {
  }
}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "keepalived.conf"
    path.write_text(BAD)
    return path


@pytest.mark.parametrize("test", ["-t", "--config-test"])
@pytest.mark.parametrize("name", ["-c", "-f", "--use-file"])
def test_every_form_tells_file_line_and_column(
    config: Path, test: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([test, name, str(config)]) == 5
    said = capsys.readouterr()
    assert said.out == ""
    assert f"{config}:7:3: error: unknown keyword 'prioritty' in vrrp_instance\n" in said.err
    assert "      prioritty 100\n      ^~~~~~~~~\n    did you mean 'priority'?\n" in said.err


def test_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-t", "-c", str(config), "--format", "json"]) == 5
    said = capsys.readouterr()
    assert said.err == ""
    told = json.loads(said.out)
    assert told["file"] == str(config)
    assert told["exit_code"] == 5
    (finding,) = [f for f in told["findings"] if "prioritty" in f["message"]]
    assert (finding["line"], finding["column"], finding["width"]) == (7, 3, 9)
    assert finding["suggestion"] == "did you mean 'priority'?"


def test_json_into_a_file(config: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert main([f"--config-test={log}", "-c", str(config), "--format", "json"]) == 5
    assert json.loads(log.read_text())["exit_code"] == 5


def test_json_of_odd_octets(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_bytes(b"no\xffword\n")
    assert main(["-t", "-c", str(config), "--format", "json"]) == 5
    assert json.loads(capsys.readouterr().out)["findings"][0]["source"] == "no\\xffword"


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-t", "-c", f"{tmp_path}/nowhere.conf"]) == 4
    assert f"{tmp_path}/nowhere.conf: error: cannot be read: No such file" in capsys.readouterr().err


def test_a_namespace_that_is_not_there(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text("net_namespace no-such-namespace\n" + BAD)
    assert main(["-t", "-c", str(config)]) == 0
    said = capsys.readouterr().err
    assert "there is no network namespace 'no-such-namespace' here" in said
    assert "note: unknown keyword 'prioritty'" in said


def test_the_plane_is_judged_only_when_asked_for(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(DR)
    assert main(["-t", "-c", str(config)]) == 0
    assert capsys.readouterr().err == ""
    assert main(["-t", "-c", str(config), "--lvs-plane", "nftables"]) == 5
    assert "error: lvs_plane nftables: " in capsys.readouterr().err


@pytest.mark.parametrize("name", ['""', ".", "../../etc/passwd", "n" * 300])
def test_a_namespace_of_an_impossible_name_is_a_finding(
    name: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(f"net_namespace {name}\n{BAD}")
    assert main(["-t", "-f", str(config)]) == 0
    said = capsys.readouterr().err
    assert f"{config}:1:15: note: there is no network namespace '" in said
    assert f"{config}:8:3: note: unknown keyword 'prioritty'" in said


def test_of_very_many_findings_the_first_thousand_are_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(BAD + "prioritty 100\n" * 1500)
    assert main(["-t", "-f", str(config)]) == 5
    told = capsys.readouterr().err.splitlines()
    assert main(["-t", "-f", str(config), "--format", "json"]) == 5
    found = json.loads(capsys.readouterr().out)["findings"]
    assert len(found) > 1500
    assert sum(line.startswith(f"{config}:") for line in told[:-1]) == 1000
    assert told[-2].startswith(f"{len(found) - 1000} more findings are not shown")
    assert told[-1].endswith("errors")


def test_a_long_line_is_shown_around_its_column(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(BAD.replace("prioritty 100", f"{'# '.rjust(9)}\n  virtual_router_id 7 {'x' * 400} {'y' * 400}"))
    main(["-t", "-f", str(config)])
    assert max(len(line) for line in capsys.readouterr().err.splitlines() if line.startswith("    ")) <= 4 + 166
