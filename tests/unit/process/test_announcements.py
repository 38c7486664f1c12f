"""Gratuitous ARP of many instances at once: every address is told once before any is told again."""

import pytest

from fastha.model.net import Address
from fastha.process import announcements
from fastha.process.announcements import Announcements
from fastha.system.links import Interface
from fastha.vrrp.actions import Announce
from fastha.wire import arp

LINK = Interface("eth0", 2, up=True, mtu=1500, multicast=True, arp=True, mac=bytes.fromhex("020000000001"))
A, B, C = (Address(f"10.0.0.{n}") for n in (1, 2, 3))


class Engine:
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def frames(self, _fd: int, frames: list[tuple[int, bytes]]) -> None:
        self.sent += [octets for index, octets in frames if index == LINK.index]


class Wanted:
    """C was given up again."""

    def known(self, _interface: str, _address: Address) -> bool:
        return True

    def wanted(self, _interface: str, address: Address) -> bool:
        return address != C


class Socket:
    def fileno(self) -> int:
        return 3


def test_pass_by_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcements, "packet_sender", Socket)
    engine = Engine()
    told = Announcements(engine, lambda name: LINK if name == "eth0" else None)  # type: ignore[arg-type]
    told.add(Announce(0, (("eth0", A), ("eth0", C)), count=2))
    told.add(Announce(1, (("eth0", B), ("gone", B)), count=3))
    told.send(Wanted(), 0)  # type: ignore[arg-type]
    assert engine.sent == [arp.gratuitous(LINK.mac, address) for address in (A, B, A, B, B)]
    told.send(Wanted(), 0)  # type: ignore[arg-type]
    assert len(engine.sent) == 5
