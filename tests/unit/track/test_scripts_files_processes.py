"""Rise and fall, numbers in files, quorum of processes."""

import pytest

from fastha.model.plan import TrackProcess
from fastha.model.units import S
from fastha.track.files import parse_value, read_value
from fastha.track.processes import Quorum, is_match
from fastha.track.scripts import ScriptCounter


@pytest.mark.parametrize("first", [True, False])
def test_the_first_run_decides_whatever_rise_and_fall_say(first: bool) -> None:
    counter = ScriptCounter(rise=5, fall=7)
    assert counter.result(first) is first
    assert counter.up is first


def test_down_takes_fall_failures_in_a_row_and_up_rise_successes() -> None:
    counter = ScriptCounter(rise=2, fall=3)
    runs = [(True, True), (False, None), (False, None), (True, None), (False, None), (False, None), (False, False)]
    runs += [(True, None), (False, None), (True, None), (True, True), (True, None)]
    assert [counter.result(success) for success, _ in runs] == [changed for _, changed in runs]


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"0", 0),
        (b"12\n", 12),
        (b"  -7", -7),
        (b"+5 apples", 5),
        (b"0x1F", 31),
        (b"-0x10\n", -16),
        (b"010", 8),
        (b"08", 0),
        (b"0x", 0),
        (b"", 0),
        (b"apples", 0),
        (b"- 5", 0),
        (b"2147483647", 2147483647),
        (b"-2147483648", -2147483648),
        (b"2147483648", None),
        (b"-2147483649", None),
        (b"9" * 200, None),
        (b" " * 127 + b"5", 0),
        (b"\xff\xfe5", 0),
    ],
)
def test_numbers_as_strtol_reads_them(data: bytes, value: int | None) -> None:
    assert parse_value(data) == value


def test_what_is_wrong_is_said() -> None:
    assert not read_value(b"5").problem
    assert "'apples' is not a number" in read_value(b"apples\n").problem
    assert "2147483648 does not fit" in read_value(b"2147483648").problem


def track(**words: object) -> TrackProcess:
    return TrackProcess(**{"name": "p", "process": ("haproxy",), **words})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "argv", "matches"),
    [
        ({}, ["haproxy", "-f", "x"], True),
        ({"process": ("/usr/sbin/haproxy",)}, ["haproxy"], True),
        ({"process": ("nginx",)}, ["haproxy"], False),
        ({"process": ("haproxy", "-f", "x"), "param_match": "exact"}, ["haproxy", "-f", "x"], True),
        ({"process": ("haproxy", "-f", "x"), "param_match": "exact"}, ["haproxy", "-f", "xy"], False),
        ({"process": ("haproxy", "-f"), "param_match": "partial"}, ["haproxy", "-f", "x"], True),
        ({"process": ("haproxy", "-g"), "param_match": "partial"}, ["haproxy", "-f", "x"], False),
        ({"process": ("haproxy", "-f", "x"), "param_match": "initial"}, ["haproxy", "-f", "xyz"], True),
        ({"process": ("haproxy", "-f", "x"), "param_match": "initial"}, ["haproxy", "-f", "x", "y"], False),
        ({"param_match": "initial"}, ["haproxy"], True),
        ({"param_match": "initial"}, ["haproxy", "-f"], False),
        ({"process": ("/opt/h",), "full_command": True}, ["/opt/h"], True),
        ({"process": ("/opt/h",), "full_command": True}, ["h"], False),
        ({"process": ("/opt/h",), "full_command": True}, [], False),
    ],
)
def test_which_processes_count(words: dict[str, object], argv: list[str], matches: bool) -> None:
    assert is_match(track(**words), "haproxy", argv) is matches


def test_a_long_name_is_compared_as_the_kernel_cuts_it() -> None:
    assert is_match(track(process=("a-very-long-process-name",)), "a-very-long-pro", [])


def test_quorum_between_its_bounds() -> None:
    quorum = Quorum(track(quorum=2, quorum_max=3))
    assert [quorum.counted(n, 0) for n in (1, 2, 3, 4, 4, 3)] == [False, True, None, False, None, True]


def test_quorum_delays_and_their_cancelling() -> None:
    quorum = Quorum(track(fork_delay=2 * S, terminate_delay=3 * S))
    assert quorum.counted(1, 0) is True
    assert quorum.counted(0, 1 * S) is None
    assert quorum.deadline() == 4 * S
    assert quorum.counted(1, 2 * S) is None
    assert quorum.deadline() is None
    quorum.counted(0, 5 * S)
    assert quorum.tick(7 * S) is None
    assert quorum.tick(8 * S) is False
    quorum.counted(1, 9 * S)
    assert quorum.deadline() == 11 * S
    assert quorum.tick(11 * S) is True
