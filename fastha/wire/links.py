"""Making interfaces: payloads of RTM_NEWLINK (linux/if_link.h)."""

from struct import Struct
from typing import Final

from fastha.wire.netlink import attribute

IFF_UP: Final = 1
_LINK: Final = Struct("=BxHiII")
_U16: Final = Struct("=H")
_U32: Final = Struct("=I")
_ADDRESS, _IFNAME, _LOWER, _MASTER, _INFO, _GROUP = 1, 3, 5, 10, 18, 27
_KIND, _DATA = 1, 2
_MACVLAN_PRIVATE: Final = 1


def _made(name: str, lower: int, group: int, master: int, info: bytes) -> bytes:
    attrs = attribute(_IFNAME, name.encode() + b"\0") + attribute(_LOWER, _U32.pack(lower)) + attribute(_INFO, info)
    if group:
        attrs += attribute(_GROUP, _U32.pack(group))
    if master:
        attrs += attribute(_MASTER, _U32.pack(master))
    return _LINK.pack(0, 0, 0, 0, 0) + attrs


def macvlan(name: str, lower: int, mac: bytes, *, group: int = 0, master: int = 0) -> bytes:
    """A private macvlan on the interface with index `lower`, not up yet."""
    data = attribute(1, _U32.pack(_MACVLAN_PRIVATE))
    info = attribute(_KIND, b"macvlan") + attribute(_DATA, data)
    return _made(name, lower, group, master, info) + attribute(_ADDRESS, mac)


def ipvlan(name: str, lower: int, *, mode: int, group: int = 0, master: int = 0) -> bytes:
    """An ipvlan of layer 2; `mode` 0 bridge, 1 private, 2 vepa."""
    data = attribute(1, _U16.pack(0)) + attribute(2, _U16.pack(mode))
    return _made(name, lower, group, master, attribute(_KIND, b"ipvlan") + attribute(_DATA, data))


def up(index: int) -> bytes:
    return _LINK.pack(0, 0, index, IFF_UP, IFF_UP)


def by_index(index: int) -> bytes:
    """For RTM_DELLINK."""
    return _LINK.pack(0, 0, index, 0, 0)
