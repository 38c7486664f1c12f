"""The journal of our services."""

from fastha.lvs.journal import decode_journal, encode_journal
from fastha.model.net import Address
from fastha.model.table import ServiceKey

KEYS = {
    ServiceKey(4, 0, "TCP", Address("10.0.0.1"), 80),
    ServiceKey(6, 0, "UDP", Address("fd00::1"), 0),
    ServiceKey(4, fwmark=7),
    ServiceKey(6, fwmark=4294967295),
}


def test_round_trip_in_a_stable_order() -> None:
    data = encode_journal(KEYS)
    assert decode_journal(data) == (KEYS, 0)
    assert encode_journal(sorted(KEYS, reverse=True)) == data


def test_an_empty_journal() -> None:
    assert decode_journal(encode_journal([])) == (set(), 0)
    assert decode_journal(b"") == (set(), 0)


def test_damaged_lines_are_counted_and_the_rest_is_used() -> None:
    bad = b"5 tcp 10.0.0.1 80\n4 tcp fd00::1 80\n4 tcp 10.0.0.1\n4 mark 0\n4 x 10.0.0.1 80\n"
    bad += b"\xff\xfe\n4 tcp 10.0.0.1 99999\n4\n"
    keys, count = decode_journal(bad + encode_journal(KEYS))
    assert keys == KEYS
    assert count == 8
