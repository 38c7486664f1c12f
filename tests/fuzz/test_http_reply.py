"""Replies of strangers: the engine's judge against a plain one in Python, in any pieces."""

import hashlib
import itertools
import re

from hypothesis import example, given
from hypothesis import strategies as st

from fastha._checks import judge_http
from fastha.checks.recipes import Kind, Recipe, Verdict
from fastha.model.net import Address
from fastha.model.units import S


def md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


token = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.0 503 Service Unavailable",
        b"HTTP/1.1 200",
        b"HTTP/1.1  200 ",
        b" 200 ",
        b" 20 ",
        b" 2000 ",
        b" 999 ",
        b"\r\n",
        b"\r\n\r\n",
        b"\r",
        b"\n",
        b" ",
        b"\x00",
        b"Content-Length:",
        b"Content-Length: 5",
        b"Content-Length: 0",
        b"content-length: 7",
        b"Content-Length: -1",
        b"Content-Length:\t12x",
        b"Content-Length: 99999999999999999999999",
        b"Transfer-Encoding: chunked\r\n",
        b"body",
        b"x" * 1000,
        b"y" * 4000,
    ]
)
replies = st.one_of(
    st.binary(max_size=300),
    st.lists(st.one_of(token, st.binary(max_size=20)), max_size=14).map(b"".join),
    st.builds(
        lambda start, size, body: start + b"x" * size + b"\r\n\r\n" + body,
        token, st.integers(4040, 4095), st.binary(max_size=50),
    ),
)  # fmt: skip
cuts = st.lists(st.integers(0, 9000), max_size=12)
ranges = st.sampled_from([(), ((200, 200),), ((0, 0),), ((200, 299), (503, 503)), ((0, 999),), ((-5, 5000),)])


def plain(reply: bytes, recipe: Recipe) -> tuple[Verdict, int, bytes]:
    """What `check-behaviour` says, with the whole reply at hand."""
    head, end, body = reply.partition(b"\r\n\r\n")
    if not end or len(head) + 4 > 4095:
        return Verdict.NO_DATA, 0, b""
    head += end
    line = re.match(rb"[^ ]* ([0-9]{3}) ", head)
    status = int(line[1]) if line else 0
    if recipe.status_codes and not any(low <= status <= high for low, high in recipe.status_codes):
        return Verdict.STATUS, status, b""
    if recipe.digest is None:
        return Verdict.SUCCESS, status, b""
    length = re.search(rb"Content-Length:[ \t]*([0-9]*)", head)
    if length and 0 < len(length[1]) <= 18:
        body = body[: int(length[1])]
    digest = md5(body)
    return Verdict.SUCCESS if digest == recipe.digest else Verdict.DIGEST, status, digest


def recipe_of(status_codes: tuple[tuple[int, int], ...], digest: bytes | None) -> Recipe:
    return Recipe(
        kind=Kind.HTTP, address=Address("192.0.2.1"), port=80, timeout=S, request=b"GET / HTTP/1.0\r\n\r\n",
        status_codes=status_codes, digest=digest,
    )  # fmt: skip


@given(replies, cuts, ranges, st.sampled_from([None, md5(b""), b"\xff" * 16]))
@example(b"HTTP/1.1 200 OK\r\n\r\n", [17, 18, 19], ((200, 200),), None)
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc", [39, 40], (), md5(b"a"))
def test_reply(reply: bytes, cut: list[int], codes: tuple[tuple[int, int], ...], digest: bytes | None) -> None:
    recipe = recipe_of(codes, digest)
    places = [0, *sorted(place for place in cut if place < len(reply)), len(reply)]
    pieces = [reply[a:b] for a, b in itertools.pairwise(places)]
    assert judge_http(pieces, recipe) == plain(reply, recipe)


def test_every_cut_of_one_reply() -> None:
    """The end of the header may be split anywhere."""
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd"
    recipe = recipe_of(((200, 200),), md5(b"abc"))
    for first in range(len(reply)):
        for second in range(first, len(reply)):
            pieces = [reply[:first], reply[first:second], reply[second:]]
            assert judge_http(pieces, recipe)[0] is Verdict.SUCCESS
