"""The advert engine's thread with real sockets: the lease, floods, bad datagrams, what cannot be sent."""

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from fastha._vrrp import AdvertEngine
from fastha.model.net import Address
from fastha.model.units import MS, S
from fastha.system import sockets
from fastha.vrrp.events import AdvertReceived, LeaseLost, MasterDown
from fastha.vrrp.orders import Datagram, Endpoint, Mode, Order, SendFailed
from tests.netns.segment import Node, Segment, inside
from tests.poll import until

pytestmark = pytest.mark.netns

GROUP = Address("224.0.0.18")
ADVERT = bytes.fromhex("31330a6401000014000000000a4d0064")[:12]


class Rig:
    """An engine on eth0 of a node, with one instance (VRID 0x33)."""

    def __init__(self, node: Node, instances: int = 1) -> None:
        self.node = node
        self.engine = AdvertEngine(64)
        self.index = inside(node.namespace, lambda: socket.if_nametoindex("eth0"))
        listener = inside(node.namespace, lambda: sockets.listener(4, "eth0", self.index, GROUP, None))
        sender = inside(node.namespace, lambda: sockets.sender(4, "eth0", self.index))
        self.slot = self.engine.listen(listener.detach(), 4, self.index)
        self.sender = sender.detach()
        self.endpoint = Endpoint(
            instance=0, interface="eth0", family=4, virtual_router_id=0x33, source=Address(node.address), group=GROUP
        )
        for number in range(instances):
            endpoint = replace(self.endpoint, instance=number, virtual_router_id=0x33 + number)
            self.engine.bind(endpoint, self.slot, self.sender, self.index)
        self.engine.start()
        self.seen: list[object] = []

    def wait(self, kind: type, seconds: float = 3.0) -> object:
        """The first event of `kind` from now on; others are settled and kept in `seen`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            select.select([self.engine], [], [], 0.05)
            events = self.engine.events()
            self.seen += events
            self.engine.settle()
            for event in events:
                if isinstance(event, kind):
                    return event
        raise AssertionError(f"no {kind.__name__} within {seconds} s; seen: {self.seen}")

    def speak(self, interval: int, *, generation: int = 1) -> None:
        self.engine.renew(time.monotonic_ns())
        datagrams = (Datagram(GROUP, ADVERT),)
        order = Order(instance=0, generation=generation, mode=Mode.SPEAK, datagrams=datagrams, interval=interval)
        self.engine.order(order)

    def close(self) -> None:
        self.engine.stop()
        os.close(self.sender)


@pytest.fixture
def rig(segment: Segment) -> Iterator[Rig]:
    made = Rig(segment.node())
    try:
        yield made
    finally:
        made.close()


def raw(node: Node) -> socket.socket:
    """A raw socket of another node, to speak from."""
    sock = inside(node.namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 112))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(node.address))
    return sock


def test_adverts_end_with_the_lease(rig: Rig, segment: Segment) -> None:
    capture = segment.capture()
    rig.speak(100 * MS)
    lost = rig.wait(LeaseLost)
    assert isinstance(lost, LeaseLost)
    assert lost.generation == 1
    count = len(capture.adverts())
    assert 5 <= count <= 11
    time.sleep(0.3)
    assert len(capture.adverts()) == count
    rig.speak(100 * MS, generation=2)
    until(lambda: len(capture.adverts()) > count + 2, "adverts under a new order")


def test_the_lease_is_three_intervals_when_that_is_longer(rig: Rig) -> None:
    begin = time.monotonic()
    rig.speak(500 * MS)
    rig.wait(LeaseLost)
    assert 1.45 < time.monotonic() - begin < 2.9


def test_expected_adverts_stay_in_c_and_silence_is_told_in_time(rig: Rig, segment: Segment) -> None:
    other = segment.node()
    order = Order(
        instance=0,
        generation=1,
        mode=Mode.LISTEN,
        deadline=time.monotonic_ns() + 400 * MS,
        restart=400 * MS,
        interval=S,
        expected=ADVERT,
        expected_source=Address(other.address),
    )
    rig.engine.order(order)
    with raw(other) as sock:
        for _ in range(5):
            sock.sendto(ADVERT, (GROUP, 0))
            time.sleep(0.1)
        until(lambda: rig.engine.counters(0)[1] == 5, "expected adverts to be counted")
    last = time.monotonic()
    down = rig.wait(MasterDown)
    assert isinstance(down, MasterDown)
    assert time.monotonic() - last < 1.5
    assert not [e for e in rig.seen if isinstance(e, AdvertReceived)]


def test_what_differs_goes_up_once_and_in_order(rig: Rig, segment: Segment) -> None:
    other = segment.node()
    deadline = time.monotonic_ns() + 100 * S
    rig.engine.order(Order(instance=0, generation=7, mode=Mode.LISTEN, deadline=deadline, restart=S))
    with raw(other) as sock:
        for priority in range(1, 6):
            sock.sendto(bytes([0x31, 0x33, priority, *ADVERT[3:]]), (GROUP, 0))
        until(lambda: rig.engine.stats()["received"] == 5, "adverts")
    assert rig.engine.stats()["waited"] == 4
    heard: list[AdvertReceived] = []
    while len(heard) < 5:
        one = rig.wait(AdvertReceived)
        assert isinstance(one, AdvertReceived)
        heard.append(one)
    assert [one.payload[2] for one in heard] == [1, 2, 3, 4, 5]
    first = heard[0]
    assert (first.generation, first.source, first.destination, first.ttl) == (7, other.address, GROUP, 255)
    assert first.multicast
    assert first.length_ok
    assert first.interface == rig.index


def test_garbage_is_counted_and_hurts_nobody(rig: Rig, segment: Segment) -> None:
    other = segment.node()
    rig.engine.order(
        Order(instance=0, generation=1, mode=Mode.LISTEN, deadline=time.monotonic_ns() + 100 * S, restart=S)
    )
    with raw(other) as sock:
        sock.sendto(b"", (GROUP, 0))
        sock.sendto(b"\x31\x33", (GROUP, 0))
        sock.sendto(bytes([0x31, 0x99, *ADVERT[2:]]), (GROUP, 0))
        sock.sendto(ADVERT + bytes(1400), (GROUP, 0))
        until(lambda: rig.engine.stats()["received"] == 4, "four datagrams")
    stats = rig.engine.stats()
    assert (stats["too_short"], stats["unknown_vrid"], stats["reported"]) == (2, 1, 1)
    assert rig.engine.unknown_vrids(rig.slot) == {0x99}
    one = rig.wait(AdvertReceived)
    assert isinstance(one, AdvertReceived)
    assert len(one.payload) == len(ADVERT) + 1400


def test_a_flood_of_one_vrid_does_not_silence_another(segment: Segment) -> None:
    """VRID 0x33 is flooded by what nobody expects; 0x34 goes on being heard, and speaking."""
    rig = Rig(segment.node(), instances=2)
    try:
        other = segment.node()
        calm = bytes([0x31, 0x34, *ADVERT[2:]])
        now = time.monotonic_ns()
        rig.engine.order(Order(instance=0, generation=1, mode=Mode.LISTEN, deadline=now + 100 * S, restart=S))
        rig.engine.order(
            Order(
                instance=1,
                generation=1,
                mode=Mode.LISTEN,
                deadline=now + 2 * S,
                restart=500 * MS,
                interval=100 * MS,
                expected=calm,
                expected_source=Address(other.address),
            )
        )
        with raw(other) as sock:
            end = time.monotonic() + 1.5
            turn = 0
            while time.monotonic() < end:
                flood = bytes([0x31, 0x33, turn & 0xFF, *ADVERT[3:]])
                for _ in range(100):
                    sock.sendto(flood, (GROUP, 0))
                sock.sendto(calm, (GROUP, 0))
                turn += 1
        assert rig.engine.counters(1)[1] > 3
        stats = rig.engine.stats()
        assert stats["waiting_lost"] > 0
        assert not [e for e in rig.engine.events() if isinstance(e, MasterDown)]
    finally:
        rig.close()


def test_what_cannot_be_sent_is_told_once_and_when_it_can_again(rig: Rig, segment: Segment) -> None:
    rig.node.ip("link", "set", "eth0", "down")
    rig.speak(50 * MS)
    failed = rig.wait(SendFailed)
    assert failed in (SendFailed(0, errno.ENETDOWN), SendFailed(0, errno.ENETUNREACH))
    rig.node.ip("link", "set", "eth0", "up")
    rig.engine.renew(time.monotonic_ns())
    assert rig.wait(SendFailed) == SendFailed(0, 0)
    assert rig.engine.stats()["send_failed"] > 0


def test_without_a_source_nothing_is_sent(rig: Rig) -> None:
    rig.engine.bind(replace(rig.endpoint, source=None), rig.slot, rig.sender, rig.index)
    rig.speak(S)
    assert rig.wait(SendFailed) == SendFailed(0, errno.EADDRNOTAVAIL)


def test_adverts_of_many_instances_leave_on_time(segment: Segment) -> None:
    rig = Rig(segment.node(), instances=60)
    try:
        rig.engine.renew(time.monotonic_ns())
        for number in range(60):
            datagram = Datagram(GROUP, bytes([0x31, 0x33 + number, *ADVERT[2:]]))
            rig.engine.order(
                Order(instance=number, generation=1, mode=Mode.SPEAK, datagrams=(datagram,), interval=50 * MS)
            )
        until(lambda: rig.engine.stats()["sent"] >= 600, "six hundred adverts")
        assert rig.engine.stats()["missed"] == 0
        lateness = rig.engine.lateness()
        assert lateness.total >= 600
        assert sum(lateness.counts[:10]) > lateness.total * 0.9  # within 50 ms, whatever else the machine does
    finally:
        rig.close()


def test_one_turn_sends_the_adverts_of_many(segment: Segment) -> None:
    """They are ordered one by one; their second ones are due together."""
    rig = Rig(segment.node(), instances=60)
    try:
        now = time.monotonic_ns()
        rig.engine.renew(now)
        for number in range(60):
            datagram = Datagram(GROUP, bytes([0x31, 0x33 + number, *ADVERT[2:]]))
            words = {"mode": Mode.SPEAK, "datagrams": (datagram,), "interval": 20 * MS, "second": now + 50 * MS}
            rig.engine.order(Order(instance=number, generation=1, **words))  # type: ignore[arg-type]
        until(lambda: rig.engine.stats()["sent"] >= 120, "the second adverts")
        before = rig.engine.stats()
        until(lambda: rig.engine.stats()["sent"] - before["sent"] >= 600, "ten more of each")
        after = rig.engine.stats()
        assert after["turns"] - before["turns"] < (after["sent"] - before["sent"]) / 10
    finally:
        rig.close()


def test_many_adverts_are_read_a_few_at_a_time(rig: Rig, segment: Segment) -> None:
    other = segment.node()
    deadline = time.monotonic_ns() + 100 * S
    words = {"mode": Mode.LISTEN, "deadline": deadline, "restart": 100 * S, "interval": S, "expected": ADVERT}
    rig.engine.order(Order(instance=0, generation=1, expected_source=Address(other.address), **words))  # type: ignore[arg-type]
    before = rig.engine.stats()["turns"]
    with raw(other) as sock:
        for _ in range(5000):
            sock.sendto(ADVERT, (GROUP, 0))
        until(lambda: rig.engine.stats()["received"] > 4000, "most of them to be read")
    assert rig.engine.stats()["turns"] - before < 2000
    assert rig.engine.stats()["reported"] == 0


def test_frames_leave_whole(rig: Rig, segment: Segment) -> None:
    capture = segment.capture()
    frame = b"\xff" * 6 + b"\x02\0\0\0\0\x01" + struct.pack("!H", 0x88B5) + bytes(range(46))
    packet = inside(rig.node.namespace, sockets.packet_sender)
    with packet:
        rig.engine.frames(packet.fileno(), [(rig.index, frame)] * 700)
        until(lambda: rig.engine.stats()["frames"] == 700, "frames")
    until(lambda: sum(f.data == frame for f in list(capture.frames)) == 700, "frames on the wire")
