"""Files of recordings: one for each vrrp process, readable by nobody else."""

from pathlib import Path

from fastha.process.messages import Recorded
from fastha.process.recordings import keep


def test_each_process_has_its_own(tmp_path: Path) -> None:
    told: list[str] = []

    def log(level: str, text: str) -> None:
        told.append(f"{level}: {text}")

    path = tmp_path / "recording"
    for begins, text in ((True, "a\n"), (False, "b\n"), (True, "c\n")):
        keep(Recorded(str(path), text, begins), log)
    assert (path.read_text(), (tmp_path / "recording.1").read_text()) == ("c\n", "a\nb\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert told == []


def test_what_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    told: list[str] = []
    path = str(tmp_path / "not there" / "recording")
    keep(Recorded(path, "a\n", begins=True), lambda level, text: told.append(f"{level}: {text}"))
    keep(Recorded(path, "b\n", begins=False), lambda level, text: told.append(f"{level}: {text}"))
    assert len(told) == 1
    assert "error: vrrp_recording: " in told[0]


def test_somebody_s_link_is_not_followed(tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / "there").write_text("")
    keep(Recorded(str(tmp_path / "recording"), "a\n", begins=True), lambda *_: None)
    (tmp_path / "recording").unlink()
    (tmp_path / "recording").symlink_to(tmp_path / "there")
    keep(Recorded(str(tmp_path / "recording"), "b\n", begins=False), lambda _, text: told.append(text))
    assert (tmp_path / "there").read_text() == ""
    assert len(told) == 1
