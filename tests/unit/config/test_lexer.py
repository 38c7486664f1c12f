"""Words, quotes, braces, comments, escapes."""

import pytest

from fastha.config.lexer import command_words, script_words, split, strip_comment
from fastha.config.source import CLOSE, OPEN


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("priority 100 # high", "priority 100 "),
        ("delay_before_retry 3#x", "delay_before_retry 3"),
        ("! all of it", ""),
        ('router_id "a#b!c" ! x', 'router_id "a#b!c" '),
        (r"auth_pass a\#b\!c", "auth_pass a#b!c"),
        (r'auth_pass "a\#b"', r'auth_pass "a\#b"'),
        ('router_id "open # quote', 'router_id "open # quote'),
        (r"script \d", r"script \d"),
        ("", ""),
    ],
)
def test_comments_begin_anywhere_outside_quotes(text: str, kept: str) -> None:
    assert strip_comment(text) == kept


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("priority 100", [["priority", "100"]]),
        ("a\tb\r\v\fc", [["a", "b", "c"]]),
        ("vrrp_instance VI_1{", [["vrrp_instance", "VI_1"], OPEN]),
        ("track_script { chk weight 2 }", [["track_script"], OPEN, ["chk", "weight", "2"], CLOSE]),
        ('router_id "a {b} c"', [["router_id", "a {b} c"]]),
        ('ab"c d"ef', [["ab", "c d", "ef"]]),
        ('x ""', [["x", ""]]),
        ("\u00a0priority 1", [["\u00a0priority", "1"]]),
        ("priority\u3000100", [["priority\u3000100"]]),
        ("   ", []),
    ],
)
def test_words_and_braces(text: str, lines: list[list[str]]) -> None:
    assert [words for words, _ in split(text)] == lines


def test_a_brace_is_told_from_a_quoted_one() -> None:
    ((words, _),) = split('router_id "{"')
    assert words == ["router_id", "{"]
    assert split("{")[0][0] is OPEN


def test_a_quote_that_is_not_closed_is_said() -> None:
    with pytest.raises(ValueError, match='router_id "A'):
        split('router_id "A')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('notify "/bin/x a b" root', ["notify", "/bin/x a b", "root"]),
        ("notify '/bin/x a'", ["notify", "/bin/x a"]),
        (r"notify /bin/a\ b", ["notify", r"/bin/a\ b"]),
    ],
)
def test_script_lines_group_by_either_quote(text: str, words: list[str]) -> None:
    assert script_words(text) == words


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("/bin/x a  b", ["/bin/x", "a", "b"]),
        ("/bin/x 'a b' c\"d e\"f", ["/bin/x", "a b", "cd ef"]),
        (r"/bin/x \x41\102\t\cA\E", ["/bin/x", "AB\t\x01\x1b"]),
        (r"a\ b \q", ["a b", "q"]),
        ("'it''s' \"a'b\"", ["its", "a'b"]),
        ("", []),
    ],
)
def test_a_command_is_cut_into_its_arguments(text: str, argv: list[str]) -> None:
    assert command_words(text) == argv


@pytest.mark.parametrize("text", ["/bin/x 'a", '/bin/x "a', "/bin/x a\\"])
def test_a_command_that_is_not_finished_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"quote|backslash"):
        command_words(text)
