"""Signed adverts: the authentication header and the auth_hmac trailer, against packets of keepalived."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastha.model.net import Address, unpacked
from fastha.model.units import MS, US, S
from fastha.wire import ah, ip, trailer
from fastha.wire import vrrp as wire

HERE = Path(__file__).parent
SECRET = b"0123456789abcdef0123456789abcdef"
END = ip.HEADER.size + ah.SIZE


def rows(name: str) -> list[list[str]]:
    lines = (HERE / name).read_text().splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


AH = [
    (case, password.encode().ljust(8, b"\0"), bytes.fromhex(packet))
    for case, password, packet in rows("ah-captures.tsv")
]
HMAC = [(case, bytes.fromhex(packet)) for case, packet in rows("hmac-captures.tsv")]


def split(packet: bytes) -> tuple[Address, bytes, bytes]:
    """(sender, message, trailer)."""
    source, payload = (packet[12:16], packet[20:]) if packet[0] >> 4 == 4 else (packet[8:24], packet[40:])
    return unpacked(source), payload[: -trailer.SIZE], payload[-trailer.SIZE :]


class TestAh:
    @pytest.mark.parametrize(("case", "key", "packet"), AH)
    def test_captures_are_right_and_made_again_bit_for_bit(self, case: str, key: bytes, packet: bytes) -> None:
        assert ah.right(packet[:END], packet[END:], key)
        found, header = ip.parse(packet), ah.read(packet[:END])
        assert found is not None
        assert header is not None
        source, ident = found[0].source, found[0].ident
        made = ah.build(
            source, found[0].destination, packet[END:], key, sequence=header.sequence, ident=ident, ttl=found[0].ttl
        )
        assert made == packet
        message = wire.parse(packet[END:], source, found[0].destination, checksum_as_v2=True)
        assert isinstance(message, wire.Message)
        assert (message.auth_type, message.auth_data) == (wire.AUTH_AH, bytes(8))

    def test_sequences_of_a_capture_rise_from_1(self) -> None:
        sequences = [ah.read(packet[:END]).sequence for case, _, packet in AH if case == "multicast"]  # type: ignore[union-attr]
        assert sequences[:3] == [1, 2, 3]

    @pytest.mark.parametrize(("case", "key", "packet"), [AH[0], AH[4]])
    def test_every_octet_counts_but_what_may_change_on_the_way(self, case: str, key: bytes, packet: bytes) -> None:
        ignored = {1, 6, 7, 10, 11} | ({8} if case == "unicast" else set())
        for at in range(len(packet)):
            other = packet[:at] + bytes([packet[at] ^ 1]) + packet[at + 1 :]
            assert ah.right(other[:END], other[END:], key) is (at in ignored), at

    def test_another_password(self) -> None:
        _, _, packet = AH[0]
        assert not ah.right(packet[:END], packet[END:], b"secret2\0")

    @pytest.mark.parametrize("length", [0, 20, 43])
    def test_too_short(self, length: int) -> None:
        assert ah.read(bytes(length)) is None
        assert not ah.right(bytes(length), b"", b"x")


class TestTrailer:
    @pytest.mark.parametrize(("case", "packet"), HMAC)
    def test_captures_are_made_again_bit_for_bit(self, case: str, packet: bytes) -> None:
        source, message, octets = split(packet)
        found = trailer.read(octets)
        assert (found.kind, found.key_id, found.reserved) == (1, 7, 0)
        assert trailer.sign(message, source, SECRET, 7, found.sequence) == octets
        header = wire.read_header(message)
        assert header is not None
        assert (header.virtual_router_id, header.priority) == (51, 150)

    @pytest.mark.parametrize(("case", "packet"), [HMAC[0], HMAC[4]])
    def test_every_octet_counts_but_the_checksum(self, case: str, packet: bytes) -> None:
        source, message, octets = split(packet)
        found = trailer.read(octets)
        for at in range(len(message)):
            other = message[:at] + bytes([message[at] ^ 1]) + message[at + 1 :]
            right = trailer.signature(other, source, SECRET, 7, found.sequence) == found.signature
            assert right is (at in {6, 7}), at
        for words in ((Address("192.0.2.9"), SECRET, 7, found.sequence), (source, SECRET, 8, found.sequence)):
            assert trailer.signature(message, *words) != found.signature
        assert trailer.signature(message, source, SECRET, 7, found.sequence + 1) != found.signature

    def test_over_ipv4_the_checksum_leaves_the_trailer_out(self) -> None:
        for case, packet in HMAC:
            source, message, octets = split(packet)
            if ":" in source:  # the kernel makes it over all it sends
                group = Address("ff02::12")
                assert wire.message_checksum(message + octets, source, group, pseudo=True) == 0
            else:
                to = unpacked(packet[16:20])
                assert wire.message_checksum(message, source, to, pseudo=case.startswith("v3")) == 0


class TestSequences:
    def test_of_the_clock(self) -> None:
        assert trailer.of_clock(0) == 0
        assert trailer.of_clock(3 * S + 500 * MS) == 3 << 32 | 0x8000 << 16
        assert trailer.of_clock(S - 1) == 0xFFFF << 16

    def test_two_in_one_tick_are_counted_on(self) -> None:
        wall = 1_700_000_000 * S
        first = trailer.following(0, wall, 5)
        assert first == trailer.of_clock(wall)
        assert trailer.following(first, wall, 5) == first + 1
        assert trailer.following(first + 1, wall + 20 * US, 5) == trailer.of_clock(wall + 20 * US)

    def test_a_clock_that_was_set_back_a_little_is_waited_for(self) -> None:
        last = trailer.of_clock(1000 * S)
        assert trailer.following(last, 996 * S, 5) == last + 1

    def test_a_clock_that_was_set_back_far_is_begun_with_again(self) -> None:
        last = trailer.of_clock(1000 * S)
        assert trailer.following(last, 994 * S, 5) == trailer.of_clock(994 * S)
        assert trailer.following(last, 994 * S, 0) == last + 1  # anti_replay monotonic

    @given(st.integers(0, 2**64 - 1), st.integers(-(2**63) + 1, 2**63 - 1))
    def test_they_compare_as_serial_numbers(self, sequence: int, by: int) -> None:
        assert trailer.ahead((sequence + by) % 2**64, sequence) == by

    @given(st.lists(st.integers(0, 3 * S), min_size=1, max_size=30), st.integers(0, 2**34 * S))
    def test_while_the_clock_goes_on_they_rise(self, steps: list[int], wall: int) -> None:
        last = 0
        for step in steps:
            wall += step
            following = trailer.following(last, wall, 5)
            assert not last or trailer.ahead(following, last) > 0
            last = following
