"""What helps a person to find a mistake: cut values, letters that only look right."""

import pytest

from fastha.config.diagnostics import Diagnostic
from tests.config_machine import GOOD_INSTANCE, instance, read


def about(text: str, part: str) -> Diagnostic:
    """The one finding whose message has `part`."""
    (found,) = [d for d in read(text).diagnostics if part in d.message]
    return found


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
