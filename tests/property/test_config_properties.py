"""The configuration under generated input: what holds whatever is written."""

from hypothesis import given
from hypothesis import strategies as st

from fastha.config.arguments import DROP, Decimal, Integer, Reading
from fastha.config.diagnostics import Report
from fastha.config.lexer import command_words, split, strip_comment
from fastha.config.preprocess import Preprocessor
from fastha.config.source import CLOSE, OPEN, Line, SourceFile
from fastha.model.codec import decode, encode
from fastha.model.plan import Plan
from fastha.model.units import S
from tests.config_machine import MAIN, Machine, read

WORDS = st.text("abz09_.:/-", min_size=1, max_size=8)
BLANKS = st.text(" \t\r\v\f", min_size=1, max_size=3)
ANY_LINE = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=60)


def reading(text: str) -> Reading:
    return Reading(Line(["word", text], f"word {text}", SourceFile("x", f"word {text}"), 1, 0), Report())


@given(st.lists(st.tuples(WORDS, BLANKS), max_size=6))
def test_words_come_out_as_they_went_in(pairs: list[tuple[str, str]]) -> None:
    text = "".join(word + blank for word, blank in pairs)
    assert [words for words, _ in split(text)] == ([[word for word, _ in pairs]] if pairs else [])


@given(st.lists(st.text("ab {}#!\\'\t", max_size=6), min_size=1, max_size=4))
def test_quoted_words_come_out_as_they_went_in(words: list[str]) -> None:
    text = " ".join(f'"{word}"' for word in words)
    assert split(strip_comment(text)) == [(words, text)]


@given(st.lists(st.text("ab\"' \\#\t", min_size=1, max_size=6), min_size=1, max_size=4))
def test_escaped_arguments_come_out_as_they_went_in(words: list[str]) -> None:
    quoted = " ".join("".join(f"\\{c}" if c in "\"' \\\t" else c for c in word) for word in words)
    assert command_words(quoted) == words


@given(ANY_LINE)
def test_no_line_is_too_odd_to_cut(text: str) -> None:
    kept = strip_comment(text)
    try:
        lines = split(kept)
    except ValueError:
        assert kept.count('"') % 2
        return
    depth = sum(1 if words is OPEN else -1 if words is CLOSE else 0 for words, _ in lines)
    assert depth == kept_braces(kept)


def kept_braces(text: str) -> int:
    """Opening minus closing braces outside double quotes."""
    outside = "".join(text.split('"')[::2])
    return outside.count("{") - outside.count("}")


@given(st.integers(-(10**9), 10**9))
def test_integers_are_taken_within_their_range_only(number: int) -> None:
    argument = Integer(1, 255)
    got = argument.value(reading(str(number)), str(number), 1)
    assert got == (number if 1 <= number <= 255 else DROP)


@given(st.integers(0, 4_294_967_295))
def test_times_are_exact_to_the_microsecond(microseconds: int) -> None:
    text = f"{microseconds // 10**6}.{microseconds % 10**6:06d}"
    assert Decimal("0").value(reading(text), text, 1) == microseconds * S // 10**6


@given(
    st.lists(st.sampled_from(["{", "}", "vrrp_instance V {", "real_server 192.0.2.1 80 {", "priority 7", "group {"]))
)
def test_any_order_of_braces_is_read_to_the_end(lines: list[str]) -> None:
    loaded = read("\n".join(lines))
    balanced = sum(line.count("{") - line.count("}") for line in lines) == 0
    assert balanced or loaded.exit_code != 0


@given(st.binary(max_size=200))
def test_bytes_never_raise(data: bytes) -> None:
    loaded = read(data)
    assert loaded.exit_code in {0, 2, 5, 6}


@given(st.dictionaries(st.text("AB", min_size=1, max_size=2), st.text("${}AB\\ =x", max_size=8), max_size=4), ANY_LINE)
def test_definitions_never_run_away(definitions: dict[str, str], line: str) -> None:
    text = "".join(f"${name}={value}\n" for name, value in definitions.items()) + line
    source = Preprocessor(Machine(files={MAIN: text.encode("utf-8", "surrogatepass")}), "x", Report())
    source.read(MAIN)


@given(
    st.lists(st.integers(1, 250), min_size=1, max_size=6, unique=True),
    st.sampled_from(["NAT", "DR", "TUN"]),
    st.integers(0, 1000),
    st.booleans(),
)
def test_a_plan_survives_the_journey_to_its_process(hosts: list[int], method: str, weight: int, alpha: bool) -> None:
    servers = "".join(f"real_server 192.0.2.{n} 80 {{\nweight {weight}\nTCP_CHECK {{\n}}\n}}\n" for n in hosts)
    text = (
        "vrrp_instance V {\ninterface eth0\nvirtual_router_id 1\nauthentication {\nauth_type PASS\nauth_pass é#\n}\n"
        "virtual_ipaddress {\n192.0.2.254\n}\n}\n"
        f"virtual_server 192.0.2.254 80 {{\nprotocol TCP\nlvs_sched rr\nlvs_method {method}\n"
        f"{'alpha' if alpha else ''}\n{servers}}}\n"
    )
    plan = read(text).plan
    assert plan is not None
    assert [server.address for server in plan.checker.virtual_servers[0].real_servers] == [
        f"192.0.2.{n}" for n in hosts
    ]
    assert decode(Plan, encode(plan)) == plan
