"""What helps a person to find a mistake: braces, cut values, letters that only look right."""

import pytest

from fastha.config.diagnostics import Diagnostic
from tests.config_machine import GOOD_INSTANCE, instance, read

OPEN_BLOCK = """\
vrrp_instance V {
    interface eth0
    virtual_router_id 51
    virtual_ipaddress {
        192.0.2.1
}

vrrp_script check {
    script /bin/true
}
"""


def about(text: str, part: str) -> Diagnostic:
    """The one finding whose message has `part`."""
    (found,) = [d for d in read(text).diagnostics if part in d.message]
    return found


def test_the_block_left_open_is_named_where_it_is_noticed() -> None:
    found = about(OPEN_BLOCK, "unknown keyword 'vrrp_script'")
    assert found.suggestion == (
        "'vrrp_script' belongs into the root; 'virtual_ipaddress' (line 4) seems to be left open: "
        "the '}' of line 6 stands too far left for it"
    )


def test_and_at_the_end_of_the_file() -> None:
    text = OPEN_BLOCK.partition("vrrp_script")[0]
    found = about(text, "is missing at the end")
    assert (found.line, found.column) == (1, 1)
    assert "'virtual_ipaddress' (line 4) seems to be left open" in found.suggestion


def test_without_indentation_the_innermost_open_block_is_named() -> None:
    text = OPEN_BLOCK.replace("    ", "")
    assert "is the '}' of 'vrrp_instance' (line 1) missing?" in about(text, "unknown keyword 'vrrp_script'").suggestion


def test_one_brace_too_many() -> None:
    text = GOOD_INSTANCE.format("}") + "priority 100\n"
    assert "a '}' too many before it?" in about(text, "unknown keyword 'priority'").suggestion


def test_blocks_that_are_closed_are_not_suspected() -> None:
    assert about(
        GOOD_INSTANCE.format("  }\n") + "virtual_server_grop x {\n}\n", "'virtual_server_grop'"
    ).suggestion == ("did you mean 'virtual_server_group'?")


@pytest.mark.parametrize("mark", ["#", "!"])
def test_a_password_cut_by_a_comment_sign(mark: str) -> None:
    loaded = instance(f"authentication {{\nauth_type PASS\nauth_pass ab{mark}12\n}}")
    (found,) = loaded.diagnostics
    assert loaded.exit_code == 0
    assert found.severity == "note"
    assert f"the value ends before '{mark}'" in found.message
    assert found.source[found.column - 1 :].startswith("ab")


@pytest.mark.parametrize("value", ['"ab#12"', "ab # secret", r"ab\#12", "ab"])
def test_a_password_that_is_whole(value: str) -> None:
    assert instance(f"authentication {{\nauth_type PASS\nauth_pass {value}\n}}").diagnostics == []


def test_a_password_that_is_all_comment() -> None:
    found = about(GOOD_INSTANCE.format("authentication {\nauth_type PASS\nauth_pass #12\n}"), "needs a value")
    assert "from '#' on it is a comment" in found.suggestion


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("pri\u043erity 100", "cyrillic small letter o looks like 'o'"),
        ("priority\u00a0100", "no-break space"),
        ("priority 100\u200b", "zero width space"),
        ("state \u201cMASTER\u201d", 'a plain " was probably meant'),
        ("priority \u2013100", "a plain - was probably meant"),
    ],
)
def test_letters_that_only_look_right(line: str, said: str) -> None:
    loaded = instance(line)
    notes = [d for d in loaded.diagnostics if d.severity == "note"]
    assert said in notes[0].message
    assert notes[0].line == 8


def test_other_alphabets_are_names() -> None:
    text = 'global_defs {\nrouter_id "\u041c\u043e\u0441\u043a\u0432\u0430"\n}\n# \u2013 \u201cx\u201d\n'
    assert read(text).diagnostics == []
