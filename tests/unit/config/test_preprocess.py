"""Conditions, definitions, repetitions, includes, and what a line may not be."""

import pytest

from fastha.config.diagnostics import Report
from fastha.config.preprocess import Preprocessor
from tests.config_machine import MAIN, Machine, errors, read


def lines(text: str, machine: Machine | None = None, config_id: str = "lvs1") -> list[str]:
    """The logical lines of `text`, words joined by blanks."""
    machine = machine or Machine()
    machine.files[MAIN] = text.encode()
    source = Preprocessor(machine, config_id, Report())
    source.read(MAIN)
    return [" ".join(line.words) for line in source.lines]


def test_a_line_counts_only_for_its_configuration_id() -> None:
    text = "@lvs1 priority 150\n@lvs2 priority 100\n@^lvs1 state BACKUP\n@^lvs2 state MASTER\n@lvs1\n"
    assert lines(text) == ["priority 150", "state MASTER"]
    assert lines(text, config_id="lvs2") == ["priority 100", "state BACKUP"]


def test_the_id_is_the_short_host_name_unless_given() -> None:
    text = "@lvs1 net_namespace a\n@other net_namespace b\n"
    assert read(text).plan.supervisor.net_namespace == "a"  # type: ignore[union-attr]
    assert read(text, config_id="other").plan.supervisor.net_namespace == "b"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$P=150\npriority $P", ["priority 150"]),
        ("$IF=eth\ninterface ${IF}0", ["interface eth0"]),
        ("$A=$B\n$B=7\nx $A", ["x 7"]),
        ("$A=1\n$A=2\nx $A", ["x 2"]),
        ("x $UNKNOWN ", ["x $UNKNOWN"]),
        ("$A=1\nx $AB $A,", ["x $AB 1,"]),
        ("$E=\nx ${E}y", ["x y"]),
        ("@lvs1 $A=1\n@lvs2 $A=2\nx $A", ["x 1"]),
        ("$L=@lvs2 priority 9\n$L\npriority 1", ["priority 1"]),
        ("$A=b # c\nx $A", ["x b"]),
    ],
)
def test_definitions(text: str, expected: list[str]) -> None:
    assert lines(text) == expected


def test_a_definition_of_several_lines_is_several_lines() -> None:
    text = "$BLOCK=\\\nreal_server 192.0.2.${N} 80 { \\\n weight 1 \\\n\\\n}\n$N=1\n$BLOCK\n$N=2\n$BLOCK\n"
    body = ["{", "weight 1", "}"]
    assert lines(text) == ["real_server 192.0.2.1 80", *body, "real_server 192.0.2.2 80", *body]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$D=\\\na \\\n# \\\nb\n$D", ["a", "b"]),
        ("$D=\\\na # why \\\nb # last\nc\n$D", ["c", "a", "b"]),
        ("$D=\\\na \\ # why\nb\n$D", ["a", "b"]),
        ("$D=# why \\\na\n$D", ["a"]),
        ("$D=\\\na \\\n# the end\nb\n$D", ["b", "a"]),
        ("# no definition \\\na \\\nb", ["a\\", "b"]),
    ],
)
def test_a_backslash_goes_on_with_a_definition_from_a_comment_too(text: str, expected: list[str]) -> None:
    assert lines(text) == expected


def test_definitions_inside_a_definition_take_effect_in_order() -> None:
    text = "$ONE=x $ID\n$ALL=\\\ny \\\n$ID=1 \\\n$ONE \\\n$ID=2 \\\n$ONE\n$ALL\n"
    assert lines(text) == ["y", "x 1", "x 2"]


def test_the_first_line_of_what_is_defined_is_no_definition() -> None:
    assert lines("$ALL=\\\n$ID=1 \\\nx ${ID}\n$ALL\n") == ["$ID=1", "x $", "{", "ID", "}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("~SEQ(N, 3) x $N", ["x 1", "x 2", "x 3"]),
        ("~SEQ(N, 2, 3) x${N}", ["x2", "x3"]),
        ("~SEQ(N, 5, -2, 1) x $N", ["x 5", "x 3", "x 1"]),
        ("~SEQ(N, -2) x $N", ["x -1", "x -2"]),
        ("~SEQ(N, 0x10, 0x11) x $N", ["x 16", "x 17"]),
        ("~SEQx(N, 9, 11) x $N", ["x 9", "x a", "x b"]),
        ("~SEQ(A, 2) ~SEQ(B, 2) x $A$B ${A}${B}", ["x $A1 11", "x $A2 12", "x $A1 21", "x $A2 22"]),
        ("$M=2\n~SEQ(N, $M) x $N", ["x 1", "x 2"]),
        ("~LST(N, a, b) x $N", ["x a", "x b"]),
        ("~LST({A,B}, {1,2}, {3}) x ${A}-${B}", ["x 1-2", "x 3-"]),
        ("~SEQ ( N , 2 ) x $N", ["x 1", "x 2"]),
    ],
)
def test_repetitions(text: str, expected: list[str]) -> None:
    assert lines(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "~SEQ(N, 1, 0, 3) x",
        "~SEQ(N, 1, -1, 3) x",
        "~SEQ(N) x",
        "~SEQ(N, a) x",
        "~SEQ N x",
        "~SEQx(N, -1) x",
        "~FOO(1) x",
    ],
)
def test_a_bad_repetition_is_said_and_dropped(text: str) -> None:
    loaded = read(text)
    assert loaded.exit_code == 5
    assert "1:1" in errors(loaded)[0]


def test_a_definition_that_refers_to_itself_ends() -> None:
    loaded = read("$A=x ${A}\n$A\n")
    assert any("refers to itself" in message for message in errors(loaded))


def test_a_definition_that_is_part_of_itself_ends() -> None:
    loaded = read("$A=\\\nx \\\n$A\n$A\n")
    assert any("nested deeper" in message for message in errors(loaded))


def test_definitions_do_not_grow_without_bound() -> None:
    doubling = "$A=xxxxxxxx\n" + "".join(f"${chr(66 + n)}=${{{chr(65 + n)}}}${{{chr(65 + n)}}}\n" for n in range(20))
    loaded = read(doubling + "${T}\n")
    assert any("longer than 1023" in message for message in errors(loaded))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x ${_PWD}", ["x /etc/keepalived"]),
        ("x ${_INSTANCE}", ["x lvs1"]),
        ("x ${_ENV WHO}y", ["x mey"]),
        ("x ${_ENV NOBODY}y", ["x y"]),
        ("x ${_RANDOM 10 20}", ["x 15"]),
        ("x ${_RANDOM 7}", ["x 16387"]),
        ('x "a${_HASH}b${_BANG}"', ["x a#b!"]),
        ("$_PWD=mine\nx ${_PWD}", ["x mine"]),
    ],
)
def test_predefined_names(text: str, expected: list[str]) -> None:
    assert lines(text, Machine(variables={"WHO": "me"})) == expected


def test_includes_are_read_in_order_from_their_own_directory() -> None:
    machine = Machine(
        files={
            "/etc/keepalived/conf.d/b.conf": b"include more/c.conf\nb",
            "/etc/keepalived/conf.d/a.conf": b"a",
            "/etc/keepalived/conf.d/more/c.conf": b"c",
        }
    )
    assert lines("include conf.d/?.conf\nend", machine) == ["a", "c", "b", "end"]


def test_a_missing_include_is_a_remark_and_with_a_check_an_error() -> None:
    assert read("include none/*.conf").exit_code == 0
    assert "no file matches" in read("include none/*.conf").diagnostics[0].message
    assert read("includew none/*.conf").exit_code == 6
    assert read("includem none.conf").exit_code == 6
    assert read("includer none.conf").exit_code == 0
    assert read("global_defs {\n include_check match\n}\ninclude none.conf").exit_code == 6


def test_quotes_are_a_part_of_the_name() -> None:
    machine = Machine(files={"/etc/keepalived/x.conf": b"b"})
    loaded = read('include "x.conf"', machine)
    (found,) = loaded.diagnostics
    assert (found.message, loaded.exit_code) == ("""no file matches '"x.conf"'""", 0)
    assert "leave them out" in found.suggestion
    assert read('includem "x.conf"', machine).exit_code == 6


def test_an_executable_is_not_included() -> None:
    machine = Machine(files={"/etc/keepalived/x": b"a"}, modes={"/etc/keepalived/x": (0o100755, 0, 0)})
    assert lines("include x\nb", machine) == ["b"]


def test_includes_in_a_circle_end() -> None:
    assert "would include itself" in errors(read("include keepalived.conf"))[0]


def test_lines_that_are_too_long_or_have_a_nul_are_not_read() -> None:
    loaded = read(b"a" * 1024 + b"\nvrrp\0_instance x\n")
    assert [message.split(" ", 1)[1][:20] for message in errors(loaded)] == [
        "the line is longer t",
        "the line has a NUL b",
    ]
    assert "unknown" in errors(read(b"a" * 1023))[0]


def test_windows_line_ends_are_blanks() -> None:
    assert lines("priority 100\r\n\r\nstate MASTER\r\n") == ["priority 100", "state MASTER"]


def test_bytes_that_are_no_utf8_stay_what_they_are() -> None:
    loaded = read(b'global_defs {\n router_id "\xb0\xa1"\n}\n# \xff\n')
    assert loaded.exit_code == 0
    assert loaded.plan is not None
    assert loaded.plan.supervisor.router_id.encode("utf-8", "surrogateescape") == b"\xb0\xa1"


def test_a_search_for_files_that_would_not_end_is_an_error() -> None:
    class Endless(Machine):
        def glob(self, pattern: str) -> list[str]:
            raise OSError(7, "more than 10 files would have to be looked at", pattern)

    loaded = read("include /*/*/nothing\npriority 1\n", Endless())
    assert errors(loaded)[0] == "1:9 '/*/*/nothing' is ignored: more than 10 files would have to be looked at"


def test_what_a_repetition_makes_wrong_many_times_is_told_once() -> None:
    assert errors(read("~SEQ(a, 1, 9) ~SEQ(b, 1, 9) foo $a\nfoo 1\n")) == [
        "1:29 unknown keyword 'foo' in the file (81 times)",
        "2:1 unknown keyword 'foo' in the file",
    ]


def test_too_many_lines_end_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastha.config.preprocess.MAX_EXPANDED", 50)
    assert errors(read("~SEQ(a, 1, 9) ~SEQ(b, 1, 9) include none\nfoo\n~SEQ(a, 1, 9) foo\n")) == [
        "1:1 definitions and repetitions make more than 50 lines; no more is read"
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "  $A=x $A\n  include a\n\t$A\n",
            "3:3 the definition of 'A' (of /etc/keepalived/keepalived.conf:1) refers to itself",
        ),
        ("  ~SEQ(a, 1_0) foo\n", "1:3 ~SEQ: 'a, 1_0' has something that is no number; the line is ignored"),
        ('  router "abc\n', "1:10 a double quote is not closed; the rest of the line is ignored"),
        ("  x ${_RANDOM 5 3}\n", "1:5 ${_RANDOM}: 5 is above 3; 5 is used"),
        ("  a b\0c\n", "1:6 the line has a NUL byte; it is ignored"),
        ("net_namespace a\nglobal_defs {\n  vrrp_version 9 \\\n}\n", "3:16 "),
    ],
)
def test_findings_stand_below_what_they_are_about(text: str, found: str) -> None:
    machine = Machine(namespaces=frozenset({"a"}))
    assert any(error.startswith(found) for error in errors(read(text, machine))), errors(read(text, machine))
