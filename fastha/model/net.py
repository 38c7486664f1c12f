"""Addresses as values.

An `Address` is the canonical text of an IPv4 or IPv6 address (what `ipaddress` prints): it compares, hashes,
serialises and logs as itself, and is parsed once. `packed` gives its 4 or 16 bytes in network order.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, NewType

Address = NewType("Address", str)
Family = Literal[4, 6]


def parse_address(text: str) -> Address:
    """The canonical form of `text`; ValueError, quoting the input, when it is no IPv4 or IPv6 address."""
    try:
        if ":" not in text:
            return Address(str(IPv4Address(text)))
        if "%" not in text:  # a zone is no part of an address, though `ipaddress` has it so
            return Address(str(IPv6Address(text)))
    except ValueError:
        pass
    raise ValueError(f"'{text}' is not an IP address")


def family_of(address: Address) -> Family:
    """4 or 6."""
    return 6 if ":" in address else 4


@lru_cache(maxsize=65536)
def packed(address: Address) -> bytes:
    """The address in network order: 4 or 16 bytes."""
    return IPv6Address(address).packed if ":" in address else IPv4Address(address).packed


def unpacked(data: bytes) -> Address:
    """The address of 4 or 16 bytes in network order; ValueError for any other length."""
    if len(data) == 4:
        return Address(".".join(map(str, data)))
    return Address(str(IPv6Address(data)))


def host_port(address: Address, port: int) -> str:
    """`10.0.0.1:80` or `[fd00::1]:80`."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
