"""Messages between processes: every one comes back as it was; nothing else is ever taken for one."""

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastha.process import datagram
from fastha.process.messages import Message, Tell, TrackerScript
from fastha.process.outbox import Outbox

NAMES = st.text(max_size=40) | st.binary(max_size=20).map(lambda data: data.decode("utf-8", "surrogateescape"))
INTEGERS = st.integers(-(2**63), 2**63 - 1)
st.register_type_strategy(int, INTEGERS)
st.register_type_strategy(str, NAMES)
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
ANY_MESSAGE = st.one_of(*(st.from_type(kind) for kind in get_args(Message)))
JSON = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=20), inner, max_size=5),
    max_leaves=20,
)


@given(ANY_MESSAGE)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_message_comes_back_as_it_was(message: Message) -> None:
    assert datagram.decode(datagram.encode(message)) == message


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_bytes_are_no_message(data: bytes) -> None:
    with pytest.raises(ValueError, match="no message"):
        datagram.decode(data)


@given(st.sampled_from([kind.__name__ for kind in get_args(Message)]), st.lists(JSON, max_size=6))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_wrong_fields_are_a_value_error_or_a_message_that_keeps_its_types(kind: str, fields: list[object]) -> None:
    import orjson

    try:
        message = datagram.decode(orjson.dumps([kind, *fields]))
    except ValueError:
        return
    assert datagram.decode(datagram.encode(message)) == message


OBJECTS = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["event", "state", "send", "confirm", "die"]), OBJECTS, st.integers(0, 3)), max_size=60
)


@given(STEPS)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_no_event_is_lost_whoever_dies_and_each_object_keeps_its_order(steps: list[tuple[str, str, int]]) -> None:
    """Against a model: a receiver that confirms some of what it got, dies, and has a successor."""
    outbox = Outbox()
    said: dict[str, list[str]] = {"a": [], "b": [], "c": []}
    heard: dict[str, list[str]] = {"a": [], "b": [], "c": []}
    received: list[Tell] = []
    confirmed: set[int] = set()
    state: dict[str, bool] = {}
    latest: dict[str, bool] = {}

    def deliver() -> None:
        waiting = outbox.first()
        assert waiting is not None
        message = waiting.message
        outbox.done()
        if isinstance(message, Tell):
            assert message.serial not in confirmed
            received.append(message)
            if message.state not in heard[message.name]:
                heard[message.name].append(message.state)
        elif isinstance(message, TrackerScript):
            assert message.up is not None
            state[message.name] = message.up

    for step, name, number in steps:
        if step == "event":
            said[name].append(str(len(said[name])))
            outbox.put(Tell("VS", name, said[name][-1]))
        elif step == "state":
            latest[name] = bool(number % 2)
            outbox.put(TrackerScript(name, latest[name]))
        elif step == "send" and len(outbox):
            deliver()
        elif step == "confirm":
            part = tuple(tell.serial for tell in received[:number])
            del received[:number]
            confirmed.update(part)
            outbox.confirm(part)
        elif step == "die":
            received.clear()
            outbox.resend()
    while len(outbox):
        deliver()
    assert heard == said
    assert state == latest
    assert outbox.lost == {}
