"""Addresses as values.

An `Address` is the canonical text of an IPv4 or IPv6 address (what `ipaddress` prints): it compares, hashes,
serialises and logs as itself, and is parsed once. `packed` gives its 4 or 16 bytes in network order.
"""

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Literal, NewType

Address = NewType("Address", str)
Family = Literal[4, 6]
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}")
"""Four decimal octets without leading zeros: the one form, and so canonical. A fleet has tens of thousands of them, and
`ipaddress` takes twenty times as long."""

_TWINS = str.maketrans({"O": "0", "o": "0", "l": "1", "I": "1"})
"""Letters that look like digits."""


def parse_address(text: str) -> Address:
    """The canonical form of `text`; ValueError, quoting the input, when it is no IPv4 or IPv6 address."""
    try:
        if _IPV4.fullmatch(text):
            return Address(text)
        if ":" in text and "%" not in text:  # a zone is no part of an address, though `ipaddress` has it so
            return Address(str(IPv6Address(text)))
    except ValueError:
        pass
    meant = text.translate(_TWINS)
    hint = f"; did you mean {meant}?" if meant != text and _IPV4.fullmatch(meant) else ""
    raise ValueError(f"'{text}' is not an IP address{hint}")


def family_of(address: Address) -> Family:
    """4 or 6."""
    return 6 if ":" in address else 4


@lru_cache(maxsize=65536)
def packed(address: Address) -> bytes:
    """The address in network order: 4 or 16 bytes."""
    return IPv6Address(address).packed if ":" in address else bytes(map(int, address.split(".")))


def unpacked(data: bytes) -> Address:
    """The address of 4 or 16 bytes in network order; ValueError for any other length."""
    if len(data) == 4:
        return Address(".".join(map(str, data)))
    return Address(str(IPv6Address(data)))


def host_port(address: Address, port: int) -> str:
    """`10.0.0.1:80` or `[fd00::1]:80`."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
