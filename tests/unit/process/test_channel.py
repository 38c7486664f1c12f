"""Messages between processes: encoding, ordering, slow receivers, descriptors, the end."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import uvloop

from fastha.process import channel as channel_module
from fastha.process import datagram
from fastha.process.channel import Channel, pair
from fastha.process.messages import (
    AskSnapshot,
    Link,
    LogLine,
    Message,
    NewPlan,
    Ping,
    ScriptDrop,
    ScriptOrder,
    ScriptSeen,
    States,
    Stop,
    Tell,
    TrackerScript,
)
from fastha.process.outbox import Outbox
from fastha.system.memfd import read_sealed, write_sealed

SAMPLES: list[Message] = [
    NewPlan(3, ("VI_1", "VI_2")),
    Link("runner"),
    Stop(release=False),
    States({"VI_1": "MASTER"}, {"VI_1": 3_609_375_000}),
    LogLine("info", 'with "quotes" and ü', 1.5),
    TrackerScript("chk", None),
    Tell("GROUP", "G", "FAULT", 0, "subject", "body"),
    ScriptOrder(1, 2, ("/bin/true", "a b"), 0, 0, (1, 2), False, 10, 20, 30, True),
    ScriptOrder(1, 2, ("/bin/true",), 0, 0, None, True, 10, 20, 30, False, True),
    ScriptSeen(((1, 0, 2.5, 9), (2, 1, 3.5, 8))),
]


class End:
    """One end with what it received."""

    def __init__(self, sock, loop, outbox=None):
        self.got: list[Message] = []
        self.fds: list[int] = []
        self.closed = loop.create_future()
        self.channel = Channel(sock, loop, self.on_message, lambda: self.closed.set_result(None), outbox)

    def on_message(self, message, fds):
        self.got.append(message)
        self.fds += fds


@contextmanager
def running(loop) -> Iterator[tuple[End, End]]:
    left, right = pair()
    ends = End(left, loop), End(right, loop)
    try:
        yield ends
    finally:
        for end in ends:
            end.channel.close()


def run(main):
    """`main(loop)` on uvloop, as the processes do."""
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(main(loop), 20))
    finally:
        loop.close()


async def until(condition):
    while not condition():  # noqa: ASYNC110 - a test polls
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("message", SAMPLES, ids=lambda m: type(m).__name__)
def test_every_message_comes_back_as_it_was(message):
    assert datagram.decode(datagram.encode(message)) == message


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'["Nobody"]', b'["Stop",3]', b'["Stop"]', b'["Ping",1,2]', b"\xff"]
)
def test_garbage_is_a_value_error(data):
    with pytest.raises(ValueError, match="no message"):
        datagram.decode(data)


def test_order_descriptors_and_the_end():
    async def main(loop):
        with running(loop) as (left, right):
            fd = write_sealed("test", b"x" * 100_000)
            left.channel.send(NewPlan(1), (fd,))
            for serial in range(500):
                left.channel.send(Tell("VS", "a", str(serial)))
            await until(lambda: len(right.got) == 501)
            assert [each.state for each in right.got[1:]] == [str(n) for n in range(500)]
            assert read_sealed(right.fds[0]) == b"x" * 100_000
            with pytest.raises(OSError, match="Bad file"):
                os.fstat(fd)
            left.channel.close()
            await right.closed
            assert right.channel.closed

    run(main)


def test_the_last_words_of_a_peer_that_did_not_read_ours_arrive():
    """The kernel says ECONNRESET once before what is queued, when the other end was closed over something unread."""

    async def main(loop):
        left, right = pair()
        said = [Tell("RS", f"{number}", "DOWN") for number in range(5)]
        for each in said:
            left.send(datagram.encode(each))
        right.send(datagram.encode(Ping(1)))
        left.close()
        end = End(right, loop)
        await asyncio.wait_for(end.closed, 5)
        assert end.got == said

    run(main)


def test_a_message_larger_than_a_datagram_arrives():
    async def main(loop):
        with running(loop) as (left, right):
            big = Tell("VS", "a", "UP", 0, "s", "b" * 300_000)
            left.channel.send(big)
            await until(lambda: right.got)
            assert right.got == [replace(big, serial=1)]

    run(main)


def test_a_slow_receiver_sees_every_event_in_order_and_only_the_last_state():
    async def main(loop):
        left, right = pair()
        sender = End(left, loop)
        objects = 3000
        for number in range(objects):
            sender.channel.send(Tell("RS", f"server {number}", "DOWN"))
            sender.channel.send(TrackerScript("chk", number % 2 == 0))
            sender.channel.send(TrackerScript(f"other {number}", up=True))
        assert len(sender.channel.outbox) > 100, "the socket took everything: the test is void"
        receiver = End(right, loop)
        assert await sender.channel.flush(10)
        await until(lambda: sum(isinstance(each, Tell) for each in receiver.got) == objects)
        tells = [each.name for each in receiver.got if isinstance(each, Tell)]
        assert tells == [f"server {number}" for number in range(objects)]
        states = [each for each in receiver.got if each == TrackerScript("chk", False)]
        assert states
        assert [each for each in receiver.got if isinstance(each, TrackerScript) and each.name == "chk"][-1].up is False
        assert len([each for each in receiver.got if isinstance(each, TrackerScript)]) < 2 * objects
        assert sender.channel.outbox.lost == {}
        sender.channel.close()
        receiver.channel.close()

    run(main)


def test_a_small_send_buffer_makes_large_messages_travel_in_memory_files(monkeypatch):
    monkeypatch.setattr(channel_module, "_SEND_BUFFER", 1)

    async def main(loop):
        with running(loop) as (left, right):
            messages = [Tell("VS", "a", "UP", 0, "s", "b" * size) for size in (10, 30_000, 20_000, 10)]
            for message in messages:
                left.channel.send(message)
            await until(lambda: len(right.got) == 4)
            assert [each.mail_body for each in right.got] == [each.mail_body for each in messages]

    run(main)


def test_what_waits_goes_to_the_successor():
    async def main(loop):
        outbox = Outbox()
        left, right = pair()
        sender = End(left, loop, outbox)
        right.close()
        await sender.closed
        sender.channel.send(Tell("VS", "a", "UP"))
        sender.channel.send(Tell("VS", "a", "DOWN"))
        left, right = pair()
        successor = End(right, loop)
        again = End(left, loop, outbox)
        await until(lambda: len(successor.got) == 2)
        assert [each.state for each in successor.got] == ["UP", "DOWN"]
        again.channel.close()
        successor.channel.close()

    run(main)


def test_a_bad_datagram_is_counted_and_the_next_one_read():
    async def main(loop):
        reports = []
        loop.set_exception_handler(lambda _loop, context: reports.append(context))
        left, right = pair()
        receiver = End(right, loop)
        left.send(b"nonsense")
        left.send(datagram.encode(AskSnapshot(4)))
        await until(lambda: receiver.got)
        assert receiver.got == [AskSnapshot(4)]
        assert receiver.channel.bad == 1
        assert len(reports) == 1
        left.close()
        receiver.channel.close()

    run(main)


# --------------------------------------------------------------------------------------------- outbox


def drained(outbox: Outbox) -> list[Message]:
    out = []
    while (waiting := outbox.first()) is not None:
        out.append(waiting.message)
        outbox.done()
    return out


def test_a_line_is_bounded_per_object_and_loses_its_oldest():
    outbox = Outbox()
    outbox.put(Tell("VS", "quiet", "UP"))
    for number in range(100):
        outbox.put(Tell("VS", "flapping", str(number)))
    messages = drained(outbox)
    assert messages[0] == Tell("VS", "quiet", "UP", serial=1)
    assert [each.state for each in messages[1:]] == [str(n) for n in range(36, 100)]
    assert outbox.lost == {"Tell": 36}


def test_unconfirmed_events_are_said_again_first_and_in_order():
    outbox = Outbox()
    for state in ("1", "2", "3"):
        outbox.put(Tell("VS", "a", state))
    sent = drained(outbox)
    outbox.put(Tell("VS", "a", "4"))
    outbox.put(TrackerScript("chk", up=True))
    outbox.confirm((sent[0].serial, sent[2].serial))
    outbox.resend()
    again = drained(outbox)
    assert [each.state for each in again if isinstance(each, Tell)] == ["2", "4"]
    assert TrackerScript("chk", up=True) in again
    outbox.confirm(tuple(each.serial for each in again if isinstance(each, Tell)))
    outbox.resend()
    assert len(outbox) == 0


def test_states_are_merged_and_orders_and_drops_replace_each_other():
    outbox = Outbox()
    outbox.put(States({"a": "BACKUP", "b": "BACKUP"}))
    outbox.put(ScriptOrder(1, 1, ("x",), 0, 0, None, False, 1, 1, 1, True))
    outbox.put(ScriptDrop(1))
    outbox.put(States({"a": "MASTER"}))
    outbox.put(Ping(1))
    outbox.put(Ping(2))
    assert drained(outbox) == [States({"a": "MASTER", "b": "BACKUP"}), ScriptDrop(1), Ping(2)]


def test_replaced_messages_close_their_descriptors():
    outbox = Outbox()
    first, second = os.open("/dev/null", os.O_RDONLY), os.open("/dev/null", os.O_RDONLY)
    outbox.put(Link("vrrp"), (first,))
    outbox.put(Link("vrrp"), (second,))
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(first)
    outbox.clear()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(second)
