"""Connection tracking entries as Linux 6.18 sends them: two clients of virtual services, one of nobody's."""

import pytest

from fastha.model.net import Address
from fastha.wire import netfilter, netlink

TCP4 = bytes.fromhex(
    "020000003400018014000180080001000a5a0101080002000a5a09011c0002800500010006000000060002008b2b00000600030000500000"
    "3400028014000180080001000a5a0201080002000a5a01011c0002800500010006000000060002001f900000060003008b2b000008000300"
    "000001ae080008000000000008000c00215e88f108000b0000000001080007000006977d300004802c000180050001000300000005000200"
    "0a000000050003000a00000006000400230000000600050023000000"
)
UDP6 = bytes.fromhex(
    "0a0000004c0001802c00018014000300fd90000100000000000000000000000114000400fd9000090000000000000000000000011c000280"
    "0500010011000000060002004e20000006000300005000004c0002802c00018014000300fd90000200000000000000000000000114000400"
    "fd9000010000000000000000000000011c0002800500010011000000060002001f900000060003004e20000008000300000001aa08000800"
    "0000000008000c00d61f1a6f08000b0000000001080007000000001d"
)
NOBODYS = bytes.fromhex(
    "020000003400018014000180080001000a5a0101080002000a5a02021c000280050001001100000006000200dd2b0000060003001f900000"
    "34000280140001800800 01000a5a0202080002000a5a01011c0002800500010011000000060002001f90000006000300dd2b000008000300"
    "0000018a080008000000000008000c0036333ec208000b0000000001080007000000001d".replace(" ", "")
)


def test_flows_of_virtual_services() -> None:
    tcp, udp = netfilter.decode_flow(TCP4), netfilter.decode_flow(UDP6)
    assert tcp is not None
    assert udp is not None
    assert tcp[:5] == (6, Address("10.90.9.1"), 80, Address("10.90.2.1"), 8080)
    assert udp[:5] == (17, Address("fd90:9::1"), 80, Address("fd90:2::1"), 8080)


def test_what_is_not_translated_is_none_of_ours() -> None:
    assert netfilter.decode_flow(NOBODYS) is None


@pytest.mark.parametrize("data", [TCP4, UDP6])
def test_what_deletes_a_flow_is_its_tuple_and_identity(data: bytes) -> None:
    flow = netfilter.decode_flow(data)
    assert flow is not None
    assert flow.raw[:4] == data[:4]
    whole, part = netlink.attributes(data, 4), netlink.attributes(flow.raw, 4)
    assert part == {kind: whole[kind] for kind in (1, 12)}


@pytest.mark.parametrize("data", [TCP4, UDP6, NOBODYS])
def test_a_mutilated_entry_is_a_value_error(data: bytes) -> None:
    for end in range(len(data)):
        try:
            netfilter.decode_flow(data[:end])
        except ValueError:
            continue
    for index in range(len(data)):
        try:
            netfilter.decode_flow(data[:index] + bytes((data[index] ^ 0xFF,)) + data[index + 1 :])
        except ValueError:
            continue


def test_a_dump_is_narrowed_to_a_family_and_translated_entries() -> None:
    payload = netfilter.encode_get_flows(6)
    assert payload[0] == 10
    assert netlink.attributes(payload, 4) == {3: bytes.fromhex("00000020"), 26: bytes.fromhex("00000020")}


def test_the_number_of_the_last_transaction() -> None:
    answer = bytes.fromhex("00000003080001000000000308000200000008570b000300707974686f6e0000")
    assert netfilter.decode_generation(answer) == 3
