"""Asking an interface whether its link is up, for drivers that do not tell (linkbeat_interfaces).

Three ways, as `mii-tool`, `ethtool` and `ifconfig` ask: the link status bit of the PHY (IEEE 802.3 22.2.4.2.13),
ETHTOOL_GLINK, and the flag IFF_RUNNING. A driver may take milliseconds to answer, so nobody in real time asks.
"""

import array
import fcntl
import socket
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

SIOCGIFFLAGS, SIOCETHTOOL, SIOCGMIIPHY, SIOCGMIIREG = 0x8913, 0x8946, 0x8947, 0x8948
ETHTOOL_GLINK: Final = 0x0A
BMSR, BMSR_LINK = 1, 0x0004
"""The basic status register and its link bit."""
IFF_UP, IFF_RUNNING = 0x1, 0x40
_FLAGS: Final = struct.Struct("16sH22x")
_MII: Final = struct.Struct("16sHHHH16x")
_POINTER: Final = struct.Struct("16sP16x")
_GLINK: Final = struct.Struct("=II")


class Linkbeat:
    """Asks; OSError from a way means that the driver, or the interface, does not know it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._ways: dict[str, Callable[[str], bool]] = {
            "MII": self._mii,
            "ETHTOOL": self._ethtool,
            "IOCTL": self._flags,
        }
        self._chosen: dict[str, str] = {}
        """interface -> the way that worked, where any may be taken."""

    def close(self) -> None:
        self._socket.close()

    def up(self, interface: str, way: str = "") -> bool:
        """Whether it is up and its link is there. `way` empty: MII, ETHTOOL or IOCTL, the first that works. An
        interface that is not there is not up."""
        known = way or self._chosen.get(interface)
        for name in [known] if known else list(self._ways):
            try:
                answer = self._ways[name](interface)
            except OSError:
                continue
            self._chosen[interface] = name
            return answer and self._is(interface, IFF_UP)
        self._chosen.pop(interface, None)
        return False

    def _mii(self, interface: str) -> bool:
        name = interface.encode()
        _, phy, _, _, _ = _MII.unpack(self._ask(SIOCGMIIPHY, _MII.pack(name, 0, 0, 0, 0)))
        status = 0
        for _ in range(2):  # the bit latches a loss until it is read
            status = _MII.unpack(self._ask(SIOCGMIIREG, _MII.pack(name, phy, BMSR, 0, 0)))[4]
        return bool(status & BMSR_LINK)

    def _ethtool(self, interface: str) -> bool:
        value = array.array("B", _GLINK.pack(ETHTOOL_GLINK, 0))
        self._ask(SIOCETHTOOL, _POINTER.pack(interface.encode(), value.buffer_info()[0]))
        return bool(_GLINK.unpack(value.tobytes())[1])

    def _flags(self, interface: str) -> bool:
        return self._is(interface, IFF_RUNNING)

    def _is(self, interface: str, flag: int) -> bool:
        try:
            answer = self._ask(SIOCGIFFLAGS, _FLAGS.pack(interface.encode(), 0))
        except OSError:
            return False
        return bool(_FLAGS.unpack(answer)[1] & flag)

    def _ask(self, what: int, request: bytes) -> bytes:
        return fcntl.ioctl(self._socket, what, request)
