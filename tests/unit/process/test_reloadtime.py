"""reload_time_file: what its line means, and when the time has come."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from fastha.process.reloadtime import ReloadTime, moment

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC).timestamp()
EAST = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("line", "later", "dated"),
    [
        ("12:00:01Z", 1, False),
        ("11:59:59Z", 86399, False),
        ("14:00:01", 1, False),
        ("26-11-24 12:00:05 Z\n", 5, True),
        ("2026-11-25 14:00:00", 86400, True),
    ],
)
def test_times(line, later, dated):
    assert moment(line, NOW, EAST) == (NOW + later, dated)


def test_a_date_in_the_past_is_none_and_nonsense_an_error():
    assert moment("2026-11-24 12:00:00Z", NOW, EAST) is None
    for nonsense in ("", "soon", "25:00:00", "2026-13-01 00:00:00", "12:00"):
        with pytest.raises(ValueError, match=r".+"):
            moment(nonsense, NOW, EAST)


def test_the_file_is_removed_when_its_time_comes_unless_it_repeats(tmp_path):
    said = []
    path = tmp_path / "when"
    waiting = ReloadTime(lambda level, text: said.append(text))
    waiting.follow(str(path), repeat=False)
    assert not waiting.due(NOW)
    path.write_text("12:00:05Z\n")
    assert not waiting.due(NOW)
    assert waiting.due(NOW + 5)
    assert not path.exists()
    assert not waiting.due(NOW + 6)

    waiting.follow(str(path), repeat=True)
    path.write_text("12:00:10Z\n")
    assert not waiting.due(NOW + 7)
    assert waiting.due(NOW + 10)
    assert not waiting.due(NOW + 11)
    assert waiting.due(NOW + 10 + 86400)
    assert not waiting.due(NOW + 11 + 86400)
    path.unlink()
    assert not waiting.due(NOW + 10 + 2 * 86400)
    assert any("is gone" in text for text in said)


def test_a_time_that_has_passed_or_is_none_is_told_once(tmp_path):
    said = []
    path = tmp_path / "when"
    path.write_text("yesterday")
    waiting = ReloadTime(lambda level, text: said.append((level, text)))
    waiting.follow(str(path), repeat=False)
    for second in range(3):
        assert not waiting.due(NOW + second)
    assert [level for level, _ in said] == ["warning"]
