"""What the lab makes of the client's records."""

from fastha.cli.lab.traffic import Traffic
from fastha.model.units import MS


def test_counts_and_gaps_are_per_target() -> None:
    traffic = Traffic()
    traffic.add(
        [
            ("a", 0, 10 * MS, "web1", ""),
            ("b", 0, 10 * MS, "web3", ""),
            ("a", 20 * MS, 30 * MS, "web2", ""),
            ("a", 40 * MS, 140 * MS, "", "timed out"),
            ("a", 400 * MS, 410 * MS, "web2", ""),
        ]
    )
    a, b = traffic.whole["a"], traffic.whole["b"]
    assert dict(a.answered) == {"web1": 1, "web2": 2}
    assert dict(a.failed) == {"timed out": 1}
    assert a.longest_gap == 380 * MS
    assert b.gap(50 * MS) == 40 * MS, "the gap that is still going on counts"


def test_a_mark_begins_a_window_whose_gap_began_before() -> None:
    traffic = Traffic()
    traffic.add([("a", 0, 10 * MS, "web1", "")])
    traffic.mark(100 * MS)
    traffic.add([("a", 300 * MS, 310 * MS, "web1", "")])
    assert traffic.marked["a"].longest_gap == 300 * MS
    assert traffic.marked["a"].answered.total() == 1
    assert traffic.whole["a"].answered.total() == 2


def test_failures_of_requests_from_before_the_mark_are_not_the_acts() -> None:
    traffic = Traffic()
    traffic.add([("a", 0, 10 * MS, "web1", "")])
    traffic.mark(100 * MS)
    traffic.add([("a", 90 * MS, 990 * MS, "", "timed out"), ("a", 110 * MS, 1010 * MS, "", "timed out")])
    assert traffic.marked["a"].failed.total() == 1


def test_answers_that_arrive_out_of_order_make_no_gap() -> None:
    traffic = Traffic()
    traffic.add([("a", 20 * MS, 30 * MS, "web1", ""), ("a", 0, 10 * MS, "web1", "")])
    traffic.add([("a", 15 * MS, 25 * MS, "web1", "")])
    assert traffic.whole["a"].longest_gap == 20 * MS
    assert traffic.whole["a"].last_answer == 30 * MS
