"""Framing of HTTP replies, dialogues and PROXY headers: the engine's against plain ones in Python."""

from __future__ import annotations

import itertools
import re
import struct

from hypothesis import example, given
from hypothesis import strategies as st

from fastha._checks import frame_http, judge_http, proxy_octets, talk_through
from fastha.checks.recipes import Kind, Recipe, Verdict
from fastha.checks.starttls import AFTER, BEFORE, steps
from fastha.model.net import Address, packed
from fastha.model.plan import Proxy, Regex, StartTls
from fastha.model.units import S

cuts = st.lists(st.integers(0, 400), max_size=10)


def pieces(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(bounds)]


# -------------------------------------------------------------------------------------------- framing

fields = st.sampled_from(
    [
        b"Content-Length: 5", b"content-length:5 ", b"Content-Length: 0", b"Content-Length: x", b"Content-Length: 5, 5",
        b"Content-Length: 7", b"Content-Length: 9999999999999999999", b"Transfer-Encoding: chunked",
        b"TRANSFER-ENCODING: gzip, Chunked", b"Transfer-Encoding: identity", b"Connection: close", b"Connection:close",
        b"Connection: Keep-Alive", b"Connection: upgrade , close", b"Connection: closed", b"X: y", b"", b"nonsense",
        b"Content-Length : 5", b" Content-Length: 5",
    ]
)  # fmt: skip
starts = st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"http/1.1 200 ", b"HTTP/2 200", b"", b"HTTP/1.1"])
CHUNKS = [
    b"5\r\nhello\r\n", b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"a;x=y\n0123456789\n", b"F\r\n", b"\r\n", b"000\r\n\r\n",
    b"1\r\nab", b"g", b"fffffffffffffff\r\n", b"fffffffffffffffff\r\n", b"x" * 50,
]  # fmt: skip
bodies = st.one_of(st.binary(max_size=40), st.lists(st.sampled_from(CHUNKS), max_size=6).map(b"".join))
replies = st.tuples(starts, st.lists(fields, max_size=4), bodies)


def chunks(data: bytes) -> tuple[bool, int] | None:
    """(complete, octets) of a chunked body; None: it is not valid."""
    at = 0
    while True:
        size = re.compile(rb"[0-9a-fA-F]+").match(data, at)
        if size is None:
            return (False, len(data)) if at == len(data) else None
        if len(size[0]) > 15:
            return None
        line = data.find(b"\n", size.end())
        if line < 0:
            return False, len(data)
        at = line + 1
        length = int(size[0], 16)
        if not length:
            while True:
                line = data.find(b"\n", at)
                if line < 0:
                    return False, len(data)
                empty = not data[at:line].replace(b"\r", b"")
                at = line + 1
                if empty:
                    return True, at
        if at + length >= len(data):
            return False, len(data)
        at += length
        end = re.compile(rb"\r*\n").match(data, at)
        if end is None:
            return (False, len(data)) if not data[at:].replace(b"\r", b"") else None
        at = end.end()


def plain_frame(lines: list[bytes], status: int, bodiless: bool, body: bytes) -> tuple[bool, bool, int]:
    """RFC 9112, section 6.3, with the whole reply at hand."""
    keeps = lines[0][:9].lower() == b"http/1.1 "
    close = coded = bad = False
    lengths = set()
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        name = name.lower() if colon else b""
        tokens = [token.strip(b" \t").lower() for token in value.split(b",")]
        if name == b"connection":
            if b"close" in tokens:
                close = True
            elif b"keep-alive" in tokens:
                keeps = True
        elif name == b"content-length":
            number = value.strip(b" \t")
            bad = bad or not re.fullmatch(rb"[0-9]{1,18}", number)
            lengths.add(number)
        elif name == b"transfer-encoding":
            bad = bad or coded or b"chunked" not in tokens
            coded = True
    number_set = {int(number) for number in lengths if number.isdigit()}
    if close or bad or status < 200 or (coded and lengths) or len(number_set) > 1:
        return False, False, len(body)
    if bodiless or status in (204, 304):
        return True, keeps and not body, 0
    if coded:
        found = chunks(body)
        if found is None:
            return False, False, len(body)
        return found[0], keeps and found[1] == len(body), found[1]
    if lengths:
        (length,) = number_set
        return len(body) >= length, keeps and len(body) <= length, min(length, len(body))
    return False, False, len(body)


@given(replies, st.sampled_from([200, 204, 304, 100, 0, 503]), st.booleans(), cuts)
@example(
    (b"HTTP/1.1 200 OK", [b"Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n"), 200, False, [1, 2, 3, 9, 12]
)
@example((b"HTTP/1.1 200 OK", [b"Content-Length: 5"], b"hello"), 200, False, [5])
@example((b"HTTP/1.1 200 OK", [b"Content-Length: 5"], b"hello!"), 200, False, [])
def test_where_a_reply_ends(
    reply: tuple[bytes, list[bytes], bytes], status: int, bodiless: bool, places: list[int]
) -> None:
    start, lines, body = reply
    lines = [line for line in lines if line]
    head = b"\r\n".join([start, *lines, b"", b""])
    expected = plain_frame([start, *lines], status, bodiless, body)
    assert frame_http(head, pieces(body, places), status=status, bodiless=bodiless) == expected


@given(st.binary(max_size=200), st.binary(max_size=100), cuts)
def test_any_head_and_body(head: bytes, body: bytes, places: list[int]) -> None:
    done, keeps, taken = frame_http(head + b"\r\n\r\n", pieces(body, places))
    assert 0 <= taken <= len(body)
    assert not (keeps and done and taken < len(body))


def test_overhead_without_end_is_no_chunk() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for endless in (b"1;" + b"x" * 5000, b"0\r\n" + b"A: b\r\n" * 1000):
        assert frame_http(head, [endless])[:2] == (False, False)
    many = b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n"
    assert frame_http(head, [many]) == (True, True, len(many))


@given(st.binary(max_size=100), cuts, st.booleans())
def test_what_is_compared_is_the_reply_as_it_came(body: bytes, places: list[int], framed: bool) -> None:
    recipe = Recipe(
        kind=Kind.HTTP, address=Address("127.0.0.1"), request=b"-", timeout=S, status_codes=((200, 200),),
        digest=bytes(16), keepalive=framed,
    )  # fmt: skip
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    whole = [*pieces(head + body, places)]
    bare = Recipe(**{name: getattr(recipe, name) for name in recipe.__slots__} | {"keepalive": False})
    assert judge_http([*whole, b"surplus"], recipe) == judge_http(whole, bare)
    assert judge_http(whole, recipe)[0] is Verdict.DIGEST


# ------------------------------------------------------------------------------------------ dialogues

PATTERNS = ["a", "ab", "^a", "a$", "a+b", "(?<=a)b", r"\Ab", "a.c", "(?s)a.*?c", "^$", "c|ab", r"^a\b"]


@given(st.text("abc\n", max_size=40).map(str.encode), cuts, st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=4))
@example(b"aab", [1, 2], ["a+b"])
@example(b"abab", [1, 2, 3], ["ab", "^ab"])
def test_a_dialogue_in_pieces(data: bytes, places: list[int], patterns: list[str]) -> None:
    """As soon as a pattern can be judged it is, so its match is the one in the whole: or one that ends earlier."""
    passed = talk_through(pieces(data, places), [Regex(pattern=pattern) for pattern in patterns])
    at = 0
    for number, pattern in enumerate(patterns):
        match = re.compile(pattern.encode()).search(data[at:])
        if match is None or (match.end() == 0 and not data[at:]):
            assert passed <= number or pattern == "^$"
            return
        if passed <= number or pattern in ("a$", "^$", r"^a\b"):
            assert passed >= number
            return
        at += match.end()


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8), st.sampled_from([*StartTls]))
def test_starttls_against_anything(data: bytes, places: list[int], protocol: StartTls) -> None:
    dialogue, before = steps(protocol, "a.b", ())
    waiting = [step.expect for step in dialogue[:before] if step.expect is not None]
    assert 0 <= talk_through(pieces(data, places), waiting) <= len(waiting)


def test_a_server_that_says_too_much() -> None:
    assert talk_through([b"x" * 20_000 + b"y"], [Regex(pattern="y")]) == 0
    assert talk_through([b"x" * 16_383 + b"y"], [Regex(pattern="y")]) == 1
    assert talk_through([b"y" * 60_000], [Regex(pattern="y{1000}")] * 60) == 60


def test_every_protocol_has_its_dialogue() -> None:
    assert {*BEFORE, StartTls.XMPP} == {*StartTls}
    assert AFTER.keys() <= BEFORE.keys()


# --------------------------------------------------------------------------------------- PROXY header

v4 = st.ip_addresses(v=4).map(str)
v6 = st.ip_addresses(v=6).map(str)
ports = st.integers(0, 65535)


@given(st.one_of(st.tuples(v4, v4), st.tuples(v6, v6)), ports, ports, st.sampled_from([*Proxy][1:]))
def test_proxy_header(ends: tuple[str, str], source_port: int, target_port: int, kind: Proxy) -> None:
    source, target = Address(ends[0]), Address(ends[1])
    header = proxy_octets(kind, source, source_port, target, target_port)
    signature = b"\r\n\r\n\0\r\nQUIT\n"
    if kind is Proxy.V1_LOCAL:
        assert header == b"PROXY UNKNOWN\r\n"
    elif kind is Proxy.V2_LOCAL:
        assert header == signature + b"\x20\0\0\0"
    elif kind is Proxy.V1:
        word, family, *rest = header.decode().removesuffix("\r\n").split(" ")
        assert len(header) <= 107
        assert (word, family) == ("PROXY", "TCP6" if ":" in source else "TCP4")
        assert [packed(Address(rest[0])), packed(Address(rest[1]))] == [packed(source), packed(target)]
        assert rest[2:] == [str(source_port), str(target_port)]
    else:
        six = ":" in source
        assert header[:14] == signature + b"\x21" + (b"\x21" if six else b"\x11")
        body = packed(source) + packed(target) + struct.pack("!HH", source_port, target_port)
        assert header[14:] == struct.pack("!H", len(body)) + body
