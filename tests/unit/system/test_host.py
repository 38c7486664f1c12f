"""The machine as the configuration sees it: answers about this very machine, and about what is not there."""

import os
from glob import glob
from pathlib import Path

import pytest

from fastha.config.host import Host
from fastha.system import host as machine
from fastha.system.host import SystemHost, braces


@pytest.fixture
def host() -> Host:
    return SystemHost()


def test_files(host: Host, tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_bytes(b"abc")
    (tmp_path / "b.conf").write_bytes(b"")
    assert host.read_file(str(tmp_path / "a.conf")) == b"abc"
    assert host.read_head(str(tmp_path / "a.conf"), 2) == b"ab"
    assert host.glob(str(tmp_path / "*.conf")) == [str(tmp_path / "a.conf"), str(tmp_path / "b.conf")]
    assert host.glob(str(tmp_path / "{b,a}.conf")) == [str(tmp_path / "b.conf"), str(tmp_path / "a.conf")]
    assert host.glob(str(tmp_path / "none*")) == []
    with pytest.raises(FileNotFoundError):
        host.read_file(str(tmp_path / "none"))


def test_paths(host: Host, tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0o640)
    (tmp_path / "link").symlink_to("file")
    info = host.stat(str(tmp_path / "link"))
    assert info is not None
    assert (info.mode & 0o170777, info.uid) == (0o100640, os.geteuid())
    there = host.lstat(str(tmp_path / "link"))
    assert there is not None
    assert there.mode & 0o170000 == 0o120000
    assert host.realpath(str(tmp_path / "link")) == os.path.realpath(tmp_path / "file")
    assert host.stat(str(tmp_path / "none")) is None
    assert host.realpath(str(tmp_path / "none")) is None
    assert host.stat("nul\0byte") is None


def test_interfaces_users_and_names(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    assert host.interfaces()["lo"].loopback
    root = host.user("root")
    assert root is not None
    assert root.uid == 0
    assert host.user("no such user") is None
    assert host.group("no such group") is None
    assert host.group("root") == 0
    assert host.identity().uid == os.geteuid()
    assert host.hostname()
    assert host.resolve("127.0.0.1") == "127.0.0.1"
    assert host.resolve("::1") == "::1"
    assert host.resolve("name.invalid..") is None
    monkeypatch.setenv("FASTHA_TEST", "x")
    assert host.environment("FASTHA_TEST") == "x"
    assert host.environment("FASTHA_TEST_NOT") is None
    assert 3 <= host.random(3, 4) <= 4
    assert host.cpus() >= 1
    assert host.uptime() > 0


@pytest.mark.parametrize(
    ("pattern", "alternatives"),
    [
        ("a", ["a"]),
        ("{a,b}", ["a", "b"]),
        ("x{a,b}{1,2}", ["xa1", "xa2", "xb1", "xb2"]),
        ("{a,{b,c}}", ["a", "b", "a", "c"]),
        ("{a}", ["{a}"]),
        ("{a,", ["{a,"]),
    ],
)
def test_braces(pattern: str, alternatives: list[str]) -> None:
    assert sorted(set(braces(pattern))) == sorted(set(alternatives))


def test_wildcards_find_what_the_library_finds(host: Host) -> None:
    here = str(Path(__file__).parents[2])
    for pattern in ("/*/*.py", "/unit/*/test_h*", "/.*", "/*/", "/unit/[a-k]*/*.py", "/unit/none/*", "/*/test_none.py"):
        assert host.glob(here + pattern) == sorted(glob(here + pattern))


def test_a_search_and_a_file_without_end_are_errors(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "MAX_LOOKED_AT", 10)
    monkeypatch.setattr(machine, "MAX_FILE", 10)
    for number in range(11):
        (tmp_path / f"{number}.conf").write_bytes(b"abc" * number)
    with pytest.raises(OSError, match="more than 10 files"):
        host.glob(str(tmp_path / "*.conf"))
    assert len(host.read_file(str(tmp_path / "3.conf"))) == 9
    with pytest.raises(OSError, match="File too large"):
        host.read_file(str(tmp_path / "4.conf"))
