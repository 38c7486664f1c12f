"""Netlink framing: messages, attributes and the kernel's no."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastha.wire import netlink


@given(st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=40), max_size=8))
def test_attributes_come_back(wanted: dict[int, bytes]) -> None:
    data = b"".join(netlink.attribute(kind, value) for kind, value in wanted.items())
    assert len(data) % 4 == 0
    assert netlink.attributes(data) == wanted


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), st.binary(max_size=40)), max_size=6))
def test_messages_come_back_out_of_one_datagram(wanted: list[tuple[int, int, bytes]]) -> None:
    datagram = b"".join(netlink.frame(kind, 5, seq, payload) for kind, seq, payload in wanted)
    assert len(datagram) % 4 == 0
    assert [(each.kind, each.seq, each.payload) for each in netlink.messages(datagram)] == wanted


@given(st.binary(max_size=200))
def test_nonsense_is_a_value_error_or_a_value(data: bytes) -> None:
    for read in (lambda: netlink.attributes(data), lambda: list(netlink.messages(data))):
        try:
            read()
        except ValueError:
            continue


def test_nested_and_byte_order_bits_are_no_part_of_the_type() -> None:
    data = struct.pack("=HH", 8, 0x8000 | 0x4000 | 5) + b"abcd"
    assert netlink.attributes(data) == {5: b"abcd"}


def test_lengths_that_lead_outside_are_refused() -> None:
    with pytest.raises(ValueError, match="attribute 1 of 9 octets at 0 of 8"):
        netlink.attributes(struct.pack("=HH", 9, 1) + bytes(4))
    with pytest.raises(ValueError, match="attribute 1 of 3 octets"):
        netlink.attributes(struct.pack("=HH", 3, 1))
    with pytest.raises(ValueError, match="message of 15 octets"):
        list(netlink.messages(struct.pack("=IHHII", 15, 2, 0, 1, 0)))


def answer(flags: int, payload: bytes) -> netlink.Message:
    (message,) = netlink.messages(netlink.frame(netlink.ERROR, flags, 1, payload))
    return message


def test_acknowledgement_and_error() -> None:
    header = struct.pack("=IHHII", 36, 30, 5, 1, 0)
    assert netlink.failure(answer(0, struct.pack("=i", 0) + header)) == (0, "")
    assert netlink.failure(answer(0, struct.pack("=i", -errno.ENOENT) + header + bytes(20))) == (errno.ENOENT, "")


def test_the_kernels_own_words() -> None:
    words = netlink.attribute(1, b"Unknown scheduler\0")
    error = struct.pack("=i", -errno.EINVAL)
    capped = struct.pack("=IHHII", 36, 30, 5, 1, 0)
    flags = netlink.ACK_TLVS | netlink.CAPPED
    assert netlink.failure(answer(flags, error + capped + words)) == (errno.EINVAL, "Unknown scheduler")
    echoed = struct.pack("=IHHII", 37, 30, 5, 1, 0) + bytes(24)  # 37 octets, padded
    assert netlink.failure(answer(netlink.ACK_TLVS, error + echoed + words)) == (errno.EINVAL, "Unknown scheduler")


def test_a_family_and_its_number() -> None:
    assert netlink.family_request("IPVS") == bytes.fromhex("03010000 09000200 4950565300000000".replace(" ", ""))
    answer_ = netlink.generic(1, 2, netlink.attribute(2, b"IPVS\0") + netlink.attribute(1, struct.pack("=H", 33)))
    assert netlink.family_id(answer_) == 33
    with pytest.raises(ValueError, match="no family number"):
        netlink.family_id(netlink.generic(1, 2))
