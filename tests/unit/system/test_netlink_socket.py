"""The netlink socket against the real kernel: its controller of generic families, which everybody may ask."""

import errno

import pytest

from fastha.system.netlink import AnswersLost, NetlinkSocket, generic_family
from fastha.wire import netlink as wire


@pytest.fixture
def sock():
    opened = NetlinkSocket()
    yield opened
    opened.close()


def ask_for(name: str) -> bytes:
    return wire.family_request(name)


def test_a_question_and_its_answer(sock: NetlinkSocket) -> None:
    assert generic_family(sock, "nlctrl") == wire.GENERIC_CONTROL


def test_a_refused_question_is_an_os_error(sock: NetlinkSocket) -> None:
    with pytest.raises(OSError, match="No such file") as caught:
        generic_family(sock, "fastha-nonesuch")
    assert caught.value.errno == errno.ENOENT


def test_a_dump(sock: NetlinkSocket) -> None:
    numbers = {wire.family_id(payload) for payload in sock.dump(wire.GENERIC_CONTROL, wire.generic(3))}
    assert wire.GENERIC_CONTROL in numbers
    assert len(numbers) > 1


def test_a_refused_dump_is_an_os_error(sock: NetlinkSocket) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        sock.dump(wire.GENERIC_CONTROL, wire.generic(99))
    assert caught.value.errno == errno.EOPNOTSUPP


def test_a_batch_tells_which_were_refused(sock: NetlinkSocket) -> None:
    """More than one send and far more than 256 answers: none is lost, and those behind a refusal are carried out."""
    payloads = [ask_for("nlctrl" if index % 100 == 0 else f"none-{index}") for index in range(5000)]
    refused = sock.batch(wire.GENERIC_CONTROL, payloads)
    assert set(refused) == {index for index in range(5000) if index % 100}
    assert {refusal.errno for refusal in refused.values()} == {errno.ENOENT}


def test_batches_are_cut_where_the_socket_wants_it(sock: NetlinkSocket) -> None:
    sock.batch_octets, sock.batch_requests = 10_000, 7
    payloads = [bytes(100)] * 20
    assert [*sock._portions(payloads)] == [(0, 7), (7, 7), (14, 6)]
    sock.batch_octets = 3 * 116
    assert [*sock._portions(payloads)] == [(first, min(3, 20 - first)) for first in range(0, 20, 3)]
    sock.batch_octets = 10
    assert [*sock._portions(payloads[:2])] == [(0, 1), (1, 1)], "one at least"
    assert [*sock._portions([])] == []


def test_lost_answers_are_told_and_the_socket_goes_on(sock: NetlinkSocket) -> None:
    """A receive buffer that is too small, and a batch that does not know it."""
    sock._socket.setsockopt(1, 8, 2048)  # SO_RCVBUF
    sock.batch_requests = 1 << 20
    with pytest.raises(AnswersLost):
        sock.batch(wire.GENERIC_CONTROL, [ask_for(f"none-{index}") for index in range(400)])
    assert generic_family(sock, "nlctrl") == wire.GENERIC_CONTROL


def test_sequence_numbers_wrap(sock: NetlinkSocket) -> None:
    sock._sequence = (1 << 32) - 3
    refused = sock.batch(wire.GENERIC_CONTROL, [ask_for("nlctrl")] * 5)
    assert refused == {}
    assert generic_family(sock, "nlctrl") == wire.GENERIC_CONTROL


def test_there_must_be_such_a_protocol() -> None:
    with pytest.raises(OSError, match=r"."):
        NetlinkSocket(31)
