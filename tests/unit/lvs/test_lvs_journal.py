"""The journal of our services."""

from fastha.lvs.journal import Journal, decode_journal, encode_journal
from fastha.model.net import Address
from fastha.model.table import ServiceKey

KEYS = {
    ServiceKey(4, 0, "TCP", Address("10.0.0.1"), 80),
    ServiceKey(6, 0, "UDP", Address("fd00::1"), 0),
    ServiceKey(4, fwmark=7),
    ServiceKey(6, fwmark=4294967295),
}


def test_round_trip_in_a_stable_order() -> None:
    journal = Journal(KEYS, (900, 120, 300), True)
    data = encode_journal(journal)
    assert decode_journal(data) == (journal, 0)
    assert encode_journal(Journal(sorted(KEYS, reverse=True), (900, 120, 300), True)) == data


def test_an_empty_journal() -> None:
    assert decode_journal(encode_journal(Journal())) == (Journal(set()), 0)
    assert decode_journal(b"") == (Journal(set()), 0)
    assert not Journal()


def test_damaged_lines_are_counted_and_the_rest_is_used() -> None:
    bad = b"5 tcp 10.0.0.1 80\n4 tcp fd00::1 80\n4 tcp 10.0.0.1\n4 mark 0\n4 x 10.0.0.1 80\n"
    bad += b"\xff\xfe\n4 tcp 10.0.0.1 99999\n4\ntimeouts 1 2\ntimeouts 1 2 -3\nsync on\n"
    journal, count = decode_journal(bad + encode_journal(Journal(KEYS)))
    assert journal == Journal(KEYS)
    assert count == 11
