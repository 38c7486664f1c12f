"""What a vrrp process may resume."""

from fastha.model.units import MS, S
from fastha.process.messages import States
from fastha.process.resume import leave_states, resumable, silent_at, take_states

STATES = States({"a": "MASTER", "b": "BACKUP", "c": "MASTER"}, {"a": 3 * S, "b": 3 * S, "c": 800 * MS})


def test_masters_less_than_their_master_down_time_ago():
    assert resumable(STATES, heard=0, now=100 * MS) == ("a", "c")
    assert resumable(STATES, heard=0, now=S) == ("a",), "and the start itself takes half a second"
    assert resumable(STATES, heard=0, now=3 * S) == ()
    assert resumable(States({"x": "MASTER"}), heard=0, now=0) == (), "without a known time nothing is resumed"


def test_the_note_is_taken_once(tmp_path):
    leave_states(str(tmp_path), STATES)
    states, at = take_states(str(tmp_path))
    assert states == STATES
    assert at > 0
    assert take_states(str(tmp_path)) == (States(), 0)


def test_a_broken_or_unwritable_note_is_no_note(tmp_path):
    (tmp_path / "vrrp.states").write_text("{")
    assert take_states(str(tmp_path)) == (States(), 0)
    leave_states(str(tmp_path / "nowhere"), STATES)


def test_when_another_master_is_to_be_expected():
    assert silent_at(STATES, heard=S) == S + 800 * MS, "the first of them counts"
    assert silent_at(States({"b": "BACKUP"}, {"b": S}), heard=S) is None
