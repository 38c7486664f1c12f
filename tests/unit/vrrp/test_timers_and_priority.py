"""Arithmetic: skew and master-down times to the microsecond, the agenda, priorities and their trackers."""

import pytest

from fastha.model.plan import SyncGroup, Track
from fastha.model.units import MS, US, S
from fastha.vrrp.priority import Assessment, Seen, Tracks, assess, file_term, switch_term, tracks_of
from fastha.vrrp.timers import Timers, master_down_interval, minimum_skew, second_advert, skew_time
from tests.unit.vrrp.bench import instance


@pytest.mark.parametrize("first", [0, 5 * MS, 123_456_789, 999_999_999])
@pytest.mark.parametrize("interval", [10 * MS, 100 * MS, S])
def test_the_second_advert_is_due_at_a_whole_millisecond(first: int, interval: int) -> None:
    second = second_advert(first, interval)
    assert second % MS == 0
    assert first + interval - MS < second <= first + interval


@pytest.mark.parametrize(
    ("version", "priority", "interval", "skew"),
    [
        (2, 100, S, 609_375),
        (2, 100, 30 * S, 609_375),
        (2, 255, S, 3_906),
        (2, 1, S, 996_093),
        (3, 100, S, 609_375),
        (3, 255, S, 3_906),
        (3, 100, 100 * MS, 60_937),
        (3, 254, 10 * MS, 78),
        (3, 1, 40_950 * MS, 40_790_039),
        (3, 100, 1_009 * MS, 609_375),  # whole centiseconds
    ],
)
def test_skew_time(version: int, priority: int, interval: int, skew: int) -> None:
    assert skew_time(version, priority, interval) == skew * US


def test_master_down_interval() -> None:
    assert master_down_interval(2, 100, S) == 3_609_375 * US
    assert master_down_interval(3, 200, 100 * MS, adverts=5) == 500 * MS + 21_875 * US
    assert minimum_skew(3, S) == 3_906 * US
    assert minimum_skew(2, 5 * S) == 3_906 * US


def test_agenda_moves_cancels_and_keeps_order() -> None:
    timers = Timers()
    timers.set(("a", 0), 30)
    timers.set(("b", 0), 20)
    timers.set(("c", 0), 20)
    timers.set(("a", 0), 10)
    timers.cancel(("c", 0))
    assert timers.next() == 10
    assert [timers.due(25), timers.due(25), timers.due(25)] == [("a", 0), ("b", 0), None]
    assert timers.next() is None
    assert ("a", 0) not in timers


@pytest.mark.parametrize(
    ("weight", "reverse", "up", "term"),
    [
        (20, False, True, (20, False)),
        (20, False, False, (0, False)),
        (-20, False, True, (0, False)),
        (-20, False, False, (-20, False)),
        (20, True, True, (-20, False)),
        (20, True, False, (0, False)),
        (-20, True, True, (0, False)),
        (-20, True, False, (20, False)),
        (0, False, True, (0, False)),
        (0, False, False, (0, True)),
        (0, True, True, (0, True)),
        (0, True, False, (0, False)),
    ],
)
def test_weight_of_something_up_or_down(weight: int, reverse: bool, up: bool, term: tuple[int, bool]) -> None:
    assert switch_term(Track(name="x", weight=weight, reverse=reverse), up) == term


@pytest.mark.parametrize(
    ("weight", "reverse", "value", "term"),
    [
        (1, False, 10, (10, False)),
        (2, False, 200, (253, False)),
        (2, False, -127, (0, True)),
        (1, False, -253, (-253, False)),
        (1, True, 254, (0, True)),
        (-5, True, 3, (15, False)),
        (0, False, 0, (0, False)),
        (0, False, 7, (0, True)),
        (0, True, 0, (0, True)),
        (0, True, -1, (0, False)),
    ],
)
def test_weight_of_a_file(weight: int, reverse: bool, value: int, term: tuple[int, bool]) -> None:
    assert file_term(Track(name="x", weight=weight, reverse=reverse), value) == term


def scripts(*weights: int) -> Tracks:
    return Tracks(scripts=tuple(Track(name=f"s{i}", weight=w) for i, w in enumerate(weights)))


@pytest.mark.parametrize(("base", "weight", "effective", "total"), [(100, 200, 254, 300), (100, -200, 1, -100)])
def test_effective_priority_stays_within_1_and_254(base: int, weight: int, effective: int, total: int) -> None:
    seen = Seen(scripts={"s0": weight > 0})
    found = assess(base, scripts(weight), seen)
    assert (found.effective, found.total) == (effective, total)


def test_an_owner_ignores_weights_but_not_faults() -> None:
    found = assess(255, scripts(-50, 0), Seen(scripts={"s0": False, "s1": False}))
    assert found.effective == 255
    assert found.faults == ("script s1 failed",)


def test_terms_say_what_a_priority_is_made_of() -> None:
    tracks = Tracks(
        interfaces=(Track(name="eth1", weight=-10),),
        scripts=(Track(name="chk", weight=5),),
        files=(Track(name="m", weight=-1),),
        processes=(Track(name="haproxy"),),
    )
    seen = Seen(interfaces={"eth1": False}, scripts={"chk": True}, files={"m": 7}, processes={"haproxy": False})
    found = assess(100, tracks, seen)
    assert [(t.source, t.value, t.failed) for t in found.terms] == [
        ("configured", 100, False),
        ("interface eth1", -10, False),
        ("script chk", 5, False),
        ("process haproxy", 0, True),
        ("file m", -7, False),
    ]
    assert found.effective == 88
    assert found.faults == ("process haproxy failed",)


def test_unknown_counts_for_nothing_and_holds_only_without_weight() -> None:
    found = assess(100, scripts(-20, 0), Seen())
    assert found == Assessment(terms=found.terms, total=100, effective=100, faults=(), pending=("script s1",))


def test_an_interface_nobody_told_about_is_down() -> None:
    assert assess(100, Tracks(interfaces=(Track(name="eth9"),)), Seen()).faults == ("interface eth9 down",)


class TestTracksOf:
    def test_the_own_interface_is_tracked(self) -> None:
        assert tracks_of(instance(), None).interfaces == (Track(name="eth0"),)
        assert tracks_of(instance(dont_track_primary=True), None).interfaces == ()
        weighted = (Track(name="eth0", weight=-5),)
        assert tracks_of(instance(track_interfaces=weighted), None).interfaces == weighted

    def test_a_group_drops_and_flattens_what_would_drive_its_members_apart(self) -> None:
        plan = instance(
            track_interfaces=(Track(name="eth1", weight=-5),),
            track_scripts=(Track(name="a", weight=5), Track(name="b")),
            track_files=(Track(name="f", weight=1),),
            track_processes=(Track(name="p", weight=9),),
        )
        found = tracks_of(plan, SyncGroup(name="G", members=("VI",)))
        assert found == Tracks(
            interfaces=(Track(name="eth0"), Track(name="eth1")),
            scripts=(Track(name="b"),),
            processes=(Track(name="p"),),
        )

    def test_sync_group_tracking_weight_keeps_them(self) -> None:
        plan = instance(track_scripts=(Track(name="a", weight=5),))
        group = SyncGroup(name="G", members=("VI",), sync_group_tracking_weight=True)
        assert tracks_of(plan, group).scripts == (Track(name="a", weight=5),)

    def test_the_groups_own_trackers_count_for_each_member(self) -> None:
        group = SyncGroup(name="G", members=("VI",), track_scripts=(Track(name="g", weight=-7),))
        assert tracks_of(instance(), group).scripts == (Track(name="g", weight=-7),)
        assert tracks_of(instance(), group, group_has_owner=True).scripts == (Track(name="g"),)
