"""Strangers' octets through the whole path of adverts: a socket, the compiled engine's thread, the core, its answer.

    python -m tests.fuzz.advert_path [--seconds N] [--seed S] [--extension FILE]

The sockets are no raw ones: a datagram of a Unix socket pair is as good as a packet of a raw IPv4 socket, whose header
comes with it, and one of a UDP socket over IPv6 as one of a raw IPv6 socket, whose header does not. So root is not
needed.
`--extension` takes the engine from that file, built with sanitizers say (then LD_PRELOAD names libasan.so).
"""

import argparse
import importlib.util
import os
import random
import socket
import sys
import time
from dataclasses import replace

from fastha.model.net import Address
from fastha.model.plan import AuthHmac, AuthType, UnicastPeer, VirtualAddress, VrrpInstance, VrrpPlan
from fastha.model.units import S
from fastha.vrrp import actions, events
from fastha.vrrp.core import Core
from fastha.vrrp.orders import SendFailed
from fastha.wire import ah, ip, trailer
from fastha.wire import vrrp as wire

OURS, PEERS = Address("10.0.0.1"), (Address("10.0.0.2"), Address("10.0.0.3"))
SECRET, PASSWORD = b"0123456789abcdef0123456789abcdef", b"secret\0\0"
ALIVE = 60 * S
"""Intervals are so long that nobody's master dies meanwhile: adverts decide everything."""


def plan() -> VrrpPlan:
    """One of each kind: plain, password, AH, signed; unicast ones that share a router id; IPv6."""

    def instance(name: str, vrid: int, version: int, **words: object) -> VrrpInstance:
        return VrrpInstance(
            name=name, interface="eth0", virtual_router_id=vrid, version=version, priority=100, adver_int=40 * S,
            addresses=(VirtualAddress(address=Address("10.0.0.100"), prefixlen=32, dev="eth0"),), **words,
        )  # type: ignore[arg-type]  # fmt: skip

    hmac = AuthHmac(keys={1: SECRET}, active_key=1, time_window=5)
    six = (VirtualAddress(address=Address("fd00::100"), prefixlen=128, dev="eth0"),)
    return VrrpPlan(
        instances=(
            instance("plain", 1, 3),
            instance("password", 2, 2, auth_type=AuthType.PASS, auth_pass=PASSWORD),
            instance("header", 3, 2, auth_type=AuthType.AH, auth_pass=PASSWORD),
            instance("signed", 4, 3, auth_hmac=hmac),
            *(
                instance(f"unicast {peer}", 7, 3, source=OURS, unicast_peers=(UnicastPeer(address=peer),))
                for peer in PEERS
            ),
            replace(instance("six", 9, 3), family=6, group=Address("ff02::12"), addresses=six),
        )
    )


class Path:
    def __init__(self, engine: object) -> None:
        self.engine = engine
        self.core = Core(plan())
        self.pairs = {112: socket.socketpair(type=socket.SOCK_DGRAM), 51: socket.socketpair(type=socket.SOCK_DGRAM)}
        self.six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.six.bind(("::1", 0))
        self.six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        self.six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        self.six.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.six_sender = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.six_sender.connect(self.six.getsockname())
        engine.start()
        for ours, _ in self.pairs.values():
            ours.setblocking(False)
        self.six.setblocking(False)
        slots = {
            112: engine.listen(self.pairs[112][0].fileno(), 4, 1),
            51: engine.listen(self.pairs[51][0].fileno(), 4, 1, 51),
            6: engine.listen(self.six.fileno(), 6, 1),
        }
        now = time.monotonic_ns()
        self.do(self.core.handle(events.LinkChanged("eth0", True, True, 1, 1500, True), now))
        for family, source in ((4, OURS), (6, Address("fe80::1"))):
            self.do(self.core.handle(events.SourceChanged("eth0", family, source), now))
        for endpoint in self.core.endpoints():
            slot = 6 if endpoint.family == 6 else 51 if endpoint.instance == 2 else 112
            engine.bind(endpoint, slots[slot], -1, 1)
        self.do(self.core.handle(events.Start(), now))
        self.heard = 0

    def do(self, todo: list[actions.Action]) -> None:
        for action in todo:
            if isinstance(action, actions.Give):
                self.engine.order(action.order)
            elif isinstance(action, actions.Send):
                self.engine.send(action.instance, action.datagrams)

    def turn(self) -> None:
        """What the engine has to say, and what the core answers."""
        happened = self.engine.events()
        now = time.monotonic_ns()
        self.engine.renew(now)
        for event in happened:
            if not isinstance(event, SendFailed):
                self.heard += isinstance(event, events.AdvertReceived)
                self.do(self.core.handle(event, now))
        self.do(self.core.tick(now))
        self.engine.settle()

    def close(self) -> None:
        assert self.engine.stop()
        for one in (*self.pairs[112], *self.pairs[51], self.six, self.six_sender):
            one.close()


def good(chance: random.Random, index: int) -> bytes:
    """A packet of a peer of that instance, as its socket gets it."""
    one = plan().instances[index]
    family = one.family
    source = chance.choice(PEERS) if family == 4 else Address("::1")
    destination = one.group if not one.unicast_peers else OURS
    message = wire.Message(
        version=one.version, virtual_router_id=one.virtual_router_id, priority=chance.choice((0, 50, 100, 200, 255)),
        interval=one.adver_int, addresses=tuple(a.address for a in one.addresses),
        auth_type={AuthType.PASS: 1, AuthType.AH: 2}.get(one.auth_type, 0),
        auth_data=PASSWORD if one.auth_type is AuthType.PASS else b"",
    )  # fmt: skip
    payload = wire.build(message, source, destination)
    if one.auth_hmac:
        payload += trailer.sign(payload, source, SECRET, 1, trailer.of_clock(time.time_ns()))
    if one.auth_type is AuthType.AH:
        return ah.build(source, destination, payload, PASSWORD, sequence=chance.randrange(1 << 32), ident=1)
    return payload if family == 6 else ip.build(ip.Ipv4(source, destination, payload))


def spoil(chance: random.Random, packet: bytes) -> bytes:
    """Some octets otherwise, fewer, more; or nothing of it."""
    data = bytearray(packet)
    for _ in range(chance.choice((0, 1, 1, 2, 5))):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(6):
            case 0:
                data = data[:at]
            case 1:
                data[at:at] = chance.randbytes(chance.choice((1, 2, 4, 28, 400)))
            case 2:
                data = bytearray(chance.randbytes(chance.choice((0, 1, 7, 8, 19, 20, 43, 44, 1500, 9000))))
            case 3:
                data[at:] = data[:at]
            case _ if at < len(data):
                data[at] = chance.choice((0, 1, 0x45, 0x4F, 0x7F, 0xFF, chance.randrange(256)))
    return bytes(data)


def run(engine: object, seed: int, packets: int, seconds: float = 0.0) -> dict[str, int]:
    """So many packets, or for so long; the engine's counters. What is sent is all counted, whatever it is."""
    chance = random.Random(seed)
    path = Path(engine)
    sent, end = 0, time.monotonic() + seconds
    try:
        while sent < packets or time.monotonic() < end:
            for _ in range(64):
                index = chance.randrange(7)
                where = path.six_sender if index == 6 else path.pairs[51 if index == 2 else 112][1]
                where.send(spoil(chance, good(chance, index)))
                sent += 1
            deadline = time.monotonic() + 5
            while counted(path.engine.stats()) < sent and time.monotonic() < deadline:
                path.turn()
            path.turn()
            states = set(path.core.states().values())
            assert states <= {"BACKUP", "MASTER"}, states
        stats = path.engine.stats()
        assert counted(stats) == sent, f"{sent} sent, {stats}"
        assert path.heard > sent // 100
        return {**stats, "sent": sent, "heard": path.heard}
    finally:
        path.close()


def counted(stats: dict[str, int]) -> int:
    """Datagrams that have been looked at."""
    what = ("expected", "reported", "ignored", "unknown_vrid", "too_short", "truncated", "waiting_lost")
    return sum(stats[name] for name in what)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--packets", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--extension", help="the engine's file")
    options = parser.parse_args()
    if options.extension:
        spec = importlib.util.spec_from_file_location("fastha._vrrp", options.extension)
        assert spec is not None
        assert spec.loader is not None
        sys.modules["fastha._vrrp"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    from fastha import _vrrp

    print(_vrrp.__file__)
    print(run(_vrrp.AdvertEngine(16), options.seed, options.packets, options.seconds))
    sys.stdout.flush()
    os._exit(0)  # the interpreter's own leaks are nobody's business here


if __name__ == "__main__":
    main()
