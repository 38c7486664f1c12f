"""What the IPVS plane makes of the kernel's answers, with a kernel made up here."""

import errno
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from fastha.model.net import Address
from fastha.model.plan import Method
from fastha.model.table import Destination, DestinationKey, Op, Operation, Service, ServiceKey
from fastha.system.ipvs import IpvsPlane
from fastha.system.netlink import AnswersLost, Refused
from fastha.wire import ipvs as wire

WEB = ServiceKey(4, 0, "TCP", Address("10.0.0.1"), 80)
ONE = DestinationKey(Address("10.0.1.1"), 80)
TWO = DestinationKey(Address("10.0.1.2"), 80)


class Kernel:
    """Records the commands that are sent and refuses those it is told to: (command, nth of its kind) -> errno."""

    def __init__(self, refusals: dict[tuple[int, int], int] | None = None) -> None:
        self.refusals = refusals or {}
        self.commands: list[int] = []
        self.sends = 0
        self.loses = 0
        """How many sends lose their answers."""

    def batch(self, _kind: int, payloads: Sequence[bytes]) -> dict[int, Refused]:
        self.sends += 1
        refused = {}
        for index, payload in enumerate(payloads):
            command = payload[0]
            code = self.refusals.get((command, self.commands.count(command)))
            self.commands.append(command)
            if code:
                refused[index] = Refused(code, "")
        if self.loses:
            self.loses -= 1
            raise AnswersLost
        return refused


def plane(kernel: Kernel) -> IpvsPlane:
    made = IpvsPlane.__new__(IpvsPlane)
    made._socket = kernel  # type: ignore[assignment]
    made._family = 30
    made._old = None
    return made


def add(key: DestinationKey = ONE, **attributes: Any) -> Operation:
    return Operation(Op.ADD_DEST, WEB, key=key, destination=Destination(**attributes))


def edit(key: DestinationKey = ONE) -> Operation:
    return Operation(Op.EDIT_DEST, WEB, key=key, destination=Destination(weight=2))


def delete(key: DestinationKey = ONE) -> Operation:
    return Operation(Op.DELETE_DEST, WEB, key=key)


ADD_SERVICE = Operation(Op.ADD_SERVICE, WEB, Service(scheduler="wrr"))
DELETE_SERVICE = Operation(Op.DELETE_SERVICE, WEB)


def test_operations_go_out_in_order_and_at_once() -> None:
    kernel = Kernel()
    assert plane(kernel).apply([ADD_SERVICE, add(ONE), add(TWO), edit(ONE), delete(TWO)]) == []
    assert kernel.commands == [wire.NEW_SERVICE, wire.NEW_DEST, wire.NEW_DEST, wire.SET_DEST, wire.DEL_DEST]


@pytest.mark.parametrize(
    ("operation", "answer", "then"),
    [
        (ADD_SERVICE, (wire.NEW_SERVICE, errno.EEXIST), wire.SET_SERVICE),
        (Operation(Op.EDIT_SERVICE, WEB, Service()), (wire.SET_SERVICE, errno.ESRCH), wire.NEW_SERVICE),
        (add(), (wire.NEW_DEST, errno.EEXIST), wire.SET_DEST),
        (edit(), (wire.SET_DEST, errno.ENOENT), wire.NEW_DEST),
    ],
)
def test_what_is_not_as_expected_is_made_so(operation: Operation, answer: tuple[int, int], then: int) -> None:
    command, code = answer
    kernel = Kernel({(command, 0): code})
    assert plane(kernel).apply([operation]) == []
    assert kernel.commands == [command, then]


@pytest.mark.parametrize(
    ("operation", "command", "code"),
    [
        (delete(), wire.DEL_DEST, errno.ENOENT),
        (delete(), wire.DEL_DEST, errno.ESRCH),
        (DELETE_SERVICE, wire.DEL_SERVICE, errno.ESRCH),
    ],
)
def test_what_is_gone_is_deleted(operation: Operation, command: int, code: int) -> None:
    kernel = Kernel({(command, 0): code})
    assert plane(kernel).apply([operation]) == []
    assert kernel.commands == [command]


def test_a_later_operation_has_the_last_word() -> None:
    """An add that finds its server there and is followed by the delete of it must not bring it back."""
    kernel = Kernel({(wire.NEW_DEST, 0): errno.EEXIST, (wire.NEW_DEST, 1): errno.EEXIST})
    assert plane(kernel).apply([add(ONE), add(TWO), delete(ONE)]) == []
    assert kernel.commands == [wire.NEW_DEST, wire.NEW_DEST, wire.DEL_DEST, wire.SET_DEST], "TWO only"
    kernel = Kernel({(wire.NEW_DEST, 0): errno.EEXIST})
    assert plane(kernel).apply([add(ONE), DELETE_SERVICE]) == []
    assert kernel.commands == [wire.NEW_DEST, wire.DEL_SERVICE]


def test_a_second_refusal_is_told() -> None:
    kernel = Kernel({(wire.NEW_DEST, 0): errno.EEXIST, (wire.SET_DEST, 0): errno.ENOMEM})
    (refusal,) = plane(kernel).apply([add()])
    assert (refusal.errno, refusal.operation.op) == (errno.ENOMEM, Op.EDIT_DEST)


@pytest.mark.parametrize(
    ("operation", "command", "code", "words"),
    [
        (ADD_SERVICE, wire.NEW_SERVICE, errno.ENOENT, ["add the service", "'wrr'", "modprobe ip_vs_wrr"]),
        (ADD_SERVICE, wire.NEW_SERVICE, errno.EPERM, ["EPERM", "CAP_NET_ADMIN"]),
        (ADD_SERVICE, wire.NEW_SERVICE, errno.EAFNOSUPPORT, ["built without"]),
        (add(), wire.NEW_DEST, errno.ESRCH, ["add server [10.0.1.1]:80", "service is not in the kernel"]),
        (add(), wire.NEW_DEST, errno.EINVAL, ["unicast"]),
        (add(weight=-1), wire.NEW_DEST, errno.ERANGE, ["weight -1 is negative"]),
        (add(uthreshold=1, lthreshold=2), wire.NEW_DEST, errno.ERANGE, ["lower threshold 2", "upper one 1"]),
        (
            add(DestinationKey(Address("fd00::1"), 80), method=Method()),
            wire.NEW_DEST,
            errno.EINVAL,
            ["other IP family", "TUN"],
        ),
        (DELETE_SERVICE, wire.DEL_SERVICE, errno.ENOMEM, ["delete the service", "out of memory"]),
    ],
)
def test_a_refusal_says_what_and_why(operation: Operation, command: int, code: int, words: list[str]) -> None:
    (refusal,) = plane(Kernel({(command, 0): code})).apply([operation])
    assert refusal.operation == operation
    assert refusal.errno == code
    for word in ("IPVS tcp [10.0.0.1]:80", errno.errorcode[code], *words):
        assert word in refusal.text
    assert "\n" not in refusal.text


def test_a_refusal_stops_nothing_else() -> None:
    kernel = Kernel({(wire.NEW_DEST, 0): errno.EINVAL})
    (refusal,) = plane(kernel).apply([add(ONE), add(TWO), edit(TWO)])
    assert refusal.operation.key == ONE
    assert kernel.commands == [wire.NEW_DEST, wire.NEW_DEST, wire.SET_DEST]


def test_a_value_that_does_not_fit_never_reaches_the_kernel() -> None:
    kernel = Kernel()
    (refusal,) = plane(kernel).apply([add(ONE, weight=1 << 40), add(TWO)])
    assert refusal.errno == errno.ERANGE
    assert "out of range" in refusal.text
    assert kernel.commands == [wire.NEW_DEST]


def test_after_lost_answers_all_is_sent_again_in_portions() -> None:
    """The second time everything is there already, and is edited: the wanted state either way."""
    operations = [add(DestinationKey(Address(f"10.1.0.{host}"), 80)) for host in range(250)]
    kernel = Kernel({(wire.NEW_DEST, 250 + index): errno.EEXIST for index in range(250)})
    kernel.loses = 1
    assert plane(kernel).apply(operations) == []
    assert kernel.sends == 1 + 3 + 1
    assert kernel.commands == [wire.NEW_DEST] * 500 + [wire.SET_DEST] * 250


def test_reading_leaves_out_what_it_has_no_words_for() -> None:
    service = wire.encode(ADD_SERVICE)
    good = wire.encode(add(ONE, weight=5))
    bypass = wire.encode(add(TWO)).replace(b"\x08\0\x03\0\0\0\0\0", b"\x08\0\x03\0\x04\0\0\0")
    dumps = {wire.encode_get_services(): [service], wire.encode_get_destinations(WEB): [good, bypass]}
    made = plane(Kernel())
    made._dumps = SimpleNamespace(dump=lambda _kind, payload: dumps[payload])  # type: ignore[assignment]
    table = made.read()
    assert table[WEB].service == Service(scheduler="wrr")
    assert table[WEB].destinations == {ONE: Destination(weight=5)}
    assert table[WEB].connections == {ONE: (0, 0)}
    assert made.not_understood == ["tcp [10.0.0.1]:80: IPVS forwarding method 4 is the kernel's own"]
