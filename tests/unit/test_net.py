"""Addresses as values: what is one, and their canonical form, as `ipaddress` has it."""

import random
from ipaddress import IPv4Address, IPv6Address

import pytest

from fastha.model.net import packed, parse_address

PIECES = (
    "0",
    "1",
    "9",
    "10",
    "99",
    "100",
    "199",
    "200",
    "249",
    "250",
    "255",
    "256",
    "300",
    "01",
    "00",
    "",
    "a",
    " ",
    "-1",
)


def expected(text: str) -> str | None:
    kind = IPv6Address if ":" in text else IPv4Address
    try:
        return str(kind(text)) if "%" not in text else None
    except ValueError:
        return None


def ours(text: str) -> str | None:
    try:
        return parse_address(text)
    except ValueError:
        return None


def test_what_an_ipv4_address_is() -> None:
    dice = random.Random(4)
    for _ in range(20_000):
        text = ".".join(dice.choice(PIECES[: dice.choice((11, 19))]) for _ in range(dice.choice((3, 4, 4, 4, 4, 5))))
        assert ours(text) == expected(text), text


@pytest.mark.parametrize(
    "text",
    ["10.0.0.1\n", "\u0661.1.1.1", "1.1.1.1.", ".1.1.1.1", "::1", "fe80::1%eth0", "FD00::A", "::1.2.3.4", ":", "x"],
)
def test_odd_ones(text: str) -> None:
    assert ours(text) == expected(text)


@pytest.mark.parametrize("text", ["0.0.0.0", "192.0.2.1", "255.255.255.255", "2001:db8::1"])
def test_packed(text: str) -> None:
    kind = IPv6Address if ":" in text else IPv4Address
    assert packed(parse_address(text)) == kind(text).packed
