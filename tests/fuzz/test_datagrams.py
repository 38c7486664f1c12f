"""Datagrams of strangers: the engine's judge against a plain one in Python."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastha._checks import judge_answer
from fastha.checks.dns import query
from fastha.checks.recipes import Kind, Recipe, Verdict
from fastha.model.net import Address
from fastha.model.units import S

tokens = st.sampled_from([0, 1, 0x00FF, 0xFF00, 0x1234, 0xFFFF])
heads = st.tuples(tokens, st.integers(0, 255), st.integers(0, 255)).map(
    lambda parts: parts[0].to_bytes(2) + bytes(parts[1:])
)
octets = st.one_of(st.binary(max_size=40), st.builds(lambda head, rest: head + rest, heads, st.binary(max_size=40)))


def recipe(kind: Kind, **words: object) -> Recipe:
    return Recipe(**{"kind": kind, "address": Address("127.0.0.1"), "timeout": S} | words)  # type: ignore[arg-type]


@given(octets, tokens)
@example(b"\x12\x34\x80" + bytes(9), 0x1234)
@example(b"\x12\x34\x80" + bytes(8), 0x1234)
def test_dns(data: bytes, token: int) -> None:
    found = judge_answer(data, recipe(Kind.DNS, request=query("a", "A")), token)
    if len(data) < 12 or data[:2] != token.to_bytes(2) or data[2] < 0x80:
        assert found == (None, 0)
    else:
        rcode = data[3] % 16
        assert found == (Verdict.STATUS if rcode else Verdict.SUCCESS, rcode)


@given(octets, tokens, st.booleans())
def test_echo(data: bytes, token: int, ours: bool) -> None:
    if ours:
        data = b"\0\0" + data[:4].ljust(4, b"\0") + token.to_bytes(2) + data
    found = judge_answer(data, recipe(Kind.PING, request=bytes(136)), token)
    good = len(data) >= 8 and data[0] == 0 and data[6:8] == token.to_bytes(2)
    assert found == (Verdict.SUCCESS if good else None, 0)


@given(
    st.binary(max_size=12),
    st.lists(st.tuples(st.integers(0, 255), st.sampled_from([0, 0xF0, 0x0F, 0xFF])), max_size=12),
    st.integers(0, 14),
    st.integers(0, 14),
    st.booleans(),
)
def test_udp(data: bytes, pattern: list[tuple[int, int]], low: int, high: int, alike: bool) -> None:
    if alike:
        data = bytes(value for value, _ in pattern)[: len(data)] or data
    reply, mask = bytes(value for value, _ in pattern), bytes(mask for _, mask in pattern)
    wanted = recipe(Kind.UDP, reply=reply, reply_mask=mask, min_reply_length=low, max_reply_length=high)
    good = not pattern or (
        low <= len(data) <= high
        and all(octet & bits == value & bits for octet, (value, bits) in zip(data, pattern, strict=False))
    )
    assert judge_answer(data, wanted) == (Verdict.SUCCESS if good else Verdict.REPLY, 0)


def test_kinds_without_datagrams() -> None:
    with pytest.raises(ValueError, match="TCP"):
        judge_answer(b"", recipe(Kind.TCP))
