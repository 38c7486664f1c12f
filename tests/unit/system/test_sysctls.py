"""Settings that are ours for a while: what they were is remembered on disk first."""

import json
from pathlib import Path

import pytest

from fastha.system import sysctls
from fastha.system.sysctls import Sysctls

A, B = "ipv4/conf/eth0/arp_ignore", "ipv4/conf/eth0/rp_filter"


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up /proc/sys/net."""
    root = tmp_path / "net"
    for name, value in ((A, "0"), (B, "2")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{value}\n")
    monkeypatch.setattr(sysctls, "NET", root)
    return root


def values(net: Path) -> tuple[str, str]:
    return (net / A).read_text().strip(), (net / B).read_text().strip()


def test_set_and_put_back(net: Path, tmp_path: Path) -> None:
    journal = tmp_path / "run" / "journal"
    ours = Sysctls(journal)
    assert ours.hold({A: "1", B: "0"}) == []
    assert values(net) == ("1", "0")
    assert json.loads(journal.read_text()) == {A: "0", B: "2"}
    assert ours.original(B) == "2"
    assert ours.hold({A: "1"}) == []
    assert values(net) == ("1", "2")
    assert ours.release() == []
    assert values(net) == ("0", "2")
    assert not journal.exists()


def test_a_successor_knows_what_was(net: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    Sysctls(journal).hold({A: "1", B: "0"})
    successor = Sysctls(journal)
    successor.hold({A: "1"})
    assert values(net) == ("1", "2")
    successor.release()
    assert values(net) == ("0", "2")


def test_what_somebody_else_has_set_meanwhile_is_left(net: Path, tmp_path: Path) -> None:
    ours = Sysctls(tmp_path / "journal")
    ours.hold({A: "1"})
    (net / A).write_text("2\n")
    ours.release()
    assert values(net)[0] == "2"


def test_what_is_not_there_is_passed_over(net: Path, tmp_path: Path) -> None:
    ours = Sysctls(tmp_path / "journal")
    assert ours.hold({"ipv4/conf/gone/rp_filter": "1"}) == []
    (net / A).unlink()
    ours.hold({A: "1"})
    assert ours.release() == []


def test_a_torn_journal_is_no_journal(net: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.write_text('{"ipv4')
    ours = Sysctls(journal)
    ours.hold({A: "1"})
    ours.release()
    assert values(net) == ("0", "2")
