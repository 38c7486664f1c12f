"""A pattern searched in pieces finds what it finds in the whole; lines of mail servers, in any pieces."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastha._checks import judge_http, regex_error, smtp_codes
from fastha.checks.recipes import Kind, Recipe, Verdict
from fastha.model.net import Address
from fastha.model.plan import Regex
from fastha.model.units import S

HEAD = b"HTTP/1.0 200 OK\r\n\r\n"
PATTERNS = [
    "abc", "a+b", "^a", "a$", "^$", "a.c", r"\bab\b", "(?<=a)b", "(?<!a)b", "a(?=b)", "a(?!b)", "(a|b)*c", "a{2,3}b",
    "", "[^a]b", r"\Aab", r"ab\Z", "(?m)^b", "(?m)a$", "(?i)ABC", "(?s)a.b", "aa|aab|ab", "(?:ab)+c?", r"(?<=\bab)c",
]  # fmt: skip
letters = st.text("abc \n", max_size=40).map(str.encode)
cuts = st.lists(st.integers(0, 60), max_size=8)
patterns = st.sampled_from(PATTERNS)


def found(body: bytes, places: list[int], regex: Regex) -> bool:
    """What the engine says of a body that comes in pieces, cut at these places (the head by itself, or not)."""
    whole = HEAD + body
    bounds = [0, *sorted(min(place + len(HEAD) - 5, len(whole)) for place in places), len(whole)]
    pieces = [whole[a:b] for a, b in itertools.pairwise(bounds)]
    recipe = Recipe(kind=Kind.HTTP, address=Address("127.0.0.1"), request=b"-", timeout=S, regex=regex)
    verdict, status, _ = judge_http(pieces, recipe)
    assert status == 200
    assert verdict in {Verdict.SUCCESS, Verdict.REGEX}
    return verdict is Verdict.SUCCESS


def plainly(body: bytes, regex: Regex) -> bool:
    """The same by Python's re, in one go."""
    if regex.min_offset > len(body):
        return bool(regex.no_match)
    match = re.compile(regex.pattern.encode()).search(body, regex.min_offset)
    hit = match is not None and (regex.max_offset is None or match.start() <= regex.max_offset)
    return hit != regex.no_match


@given(letters, cuts, patterns, st.booleans())
@example(b"a", [0, 0, 1], "^a", False)
@example(b"ab", [1], "(?<=a)b", False)
@example(b"aab", [1, 2], "aa|aab|ab", False)
@example(b"b\na", [2], "(?m)^b", False)
@example(b"", [], "^$", False)
def test_in_pieces_as_in_the_whole(body: bytes, places: list[int], pattern: str, no_match: bool) -> None:
    regex = Regex(pattern=pattern, no_match=no_match)
    assert found(body, places, regex) == plainly(body, regex)


# Python's ^ and \A with a position differ from PCRE2's with an offset; the others agree.
OFFSET_PATTERNS = ["abc", "a+b", "a.c", "(?<=a)b", "(?<!a)b", "a(?!b)", "(a|b)*c", r"\bab\b", "b$", "x?"]


@given(letters, cuts, st.sampled_from(OFFSET_PATTERNS), st.integers(0, 45), st.none() | st.integers(0, 45))
@example(b"abcabc", [3], "abc", 1, 3)
@example(b"abcabc", [3], "abc", 1, 2)
@example(b"ab", [1], "(?<=a)b", 1, 1)
@example(b"abc", [], "x?", 3, None)
@example(b"abc", [], "x?", 4, None)
def test_offsets(body: bytes, places: list[int], pattern: str, low: int, high: int | None) -> None:
    regex = Regex(pattern=pattern, min_offset=low, max_offset=high)
    assert found(body, places, regex) == plainly(body, regex)


@given(st.text("aäß€😀 ", max_size=20), cuts, st.sampled_from(["ä", "ß€", "^.a", "[ä€]😀", r"(?<=€)a", "\\w😀", "€$"]))
@example("ß€", [3, 4], "ß€")
@example("😀", [1, 2, 3], "^.$")
def test_characters_cut_in_two(text: str, places: list[int], pattern: str) -> None:
    regex = Regex(pattern=pattern, options=("utf", "ucp"))
    assert found(text.encode(), places, regex) == (re.search(pattern, text) is not None)


@given(st.binary(max_size=200), cuts, st.sampled_from(["ä", ".", "a", "(?<=ä)a"]))
def test_octets_that_are_no_characters(body: bytes, places: list[int], pattern: str) -> None:
    """They match nothing, and end nothing else."""
    regex = Regex(pattern=pattern, options=("utf",))
    assert found(body, places, regex) == found(body, [], regex)


@given(
    st.binary(max_size=30), st.binary(max_size=200), cuts, st.lists(st.sampled_from(["caseless", "utf", "extended"]))
)
def test_any_pattern_at_all(pattern: bytes, body: bytes, places: list[int], options: list[str]) -> None:
    """It compiles or it says why not; nothing else happens."""
    regex = Regex(pattern=pattern.decode("utf-8", "surrogateescape"), options=tuple(options))
    if regex_error(regex):
        return
    found(body, places, regex)


def test_patterns_that_cannot_be() -> None:
    assert regex_error(Regex(pattern="(")) == "missing closing parenthesis (at offset 1)"
    assert regex_error(Regex(pattern="a")) == ""
    with pytest.raises(KeyError):
        regex_error(Regex(pattern="a", options=("nonsense",)))


def test_a_partial_match_of_more_than_4095_octets_is_given_up() -> None:
    regex = Regex(pattern="<x*>")
    assert found(b"<" + b"x" * 4000 + b">", [100, 3000], regex)
    assert not found(b"<" + b"x" * 9000 + b">", [100, 3000, 6000], regex)
    assert found(b"<" + b"x" * 9000 + b"><x>", [100, 3000, 6000], regex), "the search goes on behind it"


def test_a_long_look_back() -> None:
    assert found(b"a" * 300 + b"b", [100, 200, 290], Regex(pattern="(?<=a{250})b"))
    assert not found(b"a" * 249 + b"b", [100, 200, 240], Regex(pattern="(?<=a{250})b"))


def test_stack() -> None:
    assert found(b"ab" * 1500 + b"c", [9], Regex(pattern="(?:a|b)*c$", stack=(32768, 1 << 20)))


# ----------------------------------------------------------------------------------------------- SMTP

lines = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [b"220 ok\r", b"220", b"220\r", b"250-x", b"25", b"2500", b"x" * 511, b"x" * 512 + b"220 y", b""]
        ),
    ),
    max_size=8,
)


def code(line: bytes) -> int:
    """keepalived's rule, by Python's own means."""
    while len(line) > 512:
        line = line[512:]
    match = re.match(rb"([0-9]{3})(?: |\Z)", line)
    return int(match[1]) if match else 0


@given(lines, st.lists(st.integers(0, 3000), max_size=8))
def test_smtp_codes(written: list[bytes], places: list[int]) -> None:
    data = b"".join(line.replace(b"\n", b"") + b"\n" for line in written) + b"no end"
    bounds = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(bounds)]
    assert smtp_codes(pieces) == [code(line.replace(b"\n", b"")) for line in written]
