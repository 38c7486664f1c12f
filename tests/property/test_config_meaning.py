"""Random statements made from the keyword tables, written in any way the language has, mean what they say."""

import random
from decimal import Decimal as Exact
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastha.config import dump
from fastha.config.arguments import (
    FALSE,
    NO_LIMIT,
    TRUE,
    AddressArgument,
    Bool,
    Choice,
    Decimal,
    Flag,
    Integer,
    InterfaceName,
    Text,
)
from fastha.config.schema.entry import Repeat, Word
from fastha.config.schema.tables import BLOCKS
from fastha.config.tree import Node
from tests.config_contexts import CONTEXTS, fill
from tests.config_dump import assert_round_trip
from tests.config_machine import MAIN, Machine, read

KINDS = (Flag, Bool, Integer, Decimal, Text, InterfaceName, Choice, AddressArgument)
LETTERS = "abcxyzABC019_.-:/"
ANYTHING = LETTERS + " \t#!{}'=,$@~\\é"
BLANKS = (" ", "  ", "\t", " \t ", "\f", "\v ")
FEW = 6
PATHS = sorted(path for path in CONTEXTS if not path.endswith((" line", "nexthop", "encap")))


def tree(text: str, path: str) -> Node:
    """The block of kind `path` in a configuration."""
    root, _ = dump.read(MAIN, Machine(files={MAIN: text.encode()}), "lvs1")
    return next(node for node in _all(root) if node.block.path == path)


def _all(node: Node):  # type: ignore[no-untyped-def]
    yield node
    for child in node.children:
        yield from _all(child)


def meant(dice: random.Random, word: Word) -> tuple[list[str], Any]:
    """Arguments for a word, and the value that they mean."""
    argument = word.arguments
    if not getattr(argument, "required", "") and not isinstance(argument, Flag | Bool) and dice.random() < 0.3:
        return [], getattr(argument, "omitted", None)
    match argument:
        case Flag():
            return [], True
        case Bool():
            value = dice.choice([True, False])
            return (
                ([], True)
                if value and dice.random() < 0.3
                else ([dice.choice(sorted(TRUE if value else FALSE))], value)
            )
        case Integer():
            low = 1 if argument.raise_zero_to is not None and argument.low == 0 else argument.low
            number = dice.choice(
                [low, argument.high, dice.randint(low, argument.high), dice.randint(low, min(low + 9, argument.high))]
            )
            return [str(number)], number
        case Decimal():
            return _time(dice, argument)
        case InterfaceName():
            name = dice.choice(["lo", "eth0", "eth1"])
            return [name], name
        case Choice():
            name = dice.choice([name for name in argument.values if name])
            return [name], argument.values[name]
        case AddressArgument():
            address = dice.choice(_addresses(argument))
            return [address], address
        case Text():
            most = min(argument.longest or 20, 20)
            text = "".join(dice.choices(dice.choice([LETTERS, ANYTHING]), k=dice.randint(1, most)))
            if argument.longest:
                while len(text.encode()) > argument.longest:
                    text = text[:-1]
            return [text or "x"], text or "x"
    raise AssertionError(argument)


def _time(dice: random.Random, argument: Decimal) -> tuple[list[str], int]:
    step = Exact(10) ** -argument.places
    low, high = Exact(argument.low), Exact(argument.high)
    if argument.raise_zero_to is not None:
        low = max(low, step)
    if argument.high == NO_LIMIT:
        high = Exact(10**6)
    number = dice.choice([low, high, low + (high - low) * Exact(dice.random())]).quantize(step)
    number = min(max(number, low), high)
    return [f"{number:f}"], int(number * argument.scale)


def _addresses(argument: AddressArgument) -> list[str]:
    found = ["224.0.0.99", "ff02::99"] if argument.multicast else ["192.0.2.1", "198.51.100.7", "2001:db8::1"]
    return [text for text in found if not argument.family or (":" in text) == (argument.family == 6)]


def spelt(dice: random.Random, word: str, arguments: list[str]) -> str:
    """A statement in one of the ways to write it; it may take several lines."""
    parts = [word, *(_quoted(dice, text) for text in arguments)]
    line = dice.choice(BLANKS).join(parts)
    if dice.random() < 0.2:
        line += (
            dice.choice(["# a comment", ' ! { " }', "\t#"])
            if line.endswith('"')
            else dice.choice([" # a { comment", ' ! " }'])
        )
    way = dice.randrange(8)
    if way == 0:
        line = f"@lvs1 {line}"
    elif way == 1:
        line = f"@^other {line}\n@other {word} something else"
    elif way == 2 and len(arguments) == 1 and arguments[0].replace(".", "").isalnum():
        line = f"$VALUE={arguments[0]}\n$OTHER=$VALUE\n{word} {dice.choice(['$VALUE', '${VALUE}', '$OTHER'])}"
    elif way == 3:
        line = f"{dice.choice(BLANKS)}{line}{dice.choice(BLANKS)}\r"
    elif way == 4:
        line = f"# before\n\n{line}\n\n"
    return line


def _quoted(dice: random.Random, text: str) -> str:
    needs = not text or any(c in text for c in " \t#!{}$@~'\\")
    return f'"{text}"' if needs or dice.random() < 0.15 else text


def plain_words(path: str) -> list[Word]:
    """Those of a block whose argument is of a plain kind and that depend on no other word."""
    return [
        w
        for w in BLOCKS[path].words
        if not w.opens and type(w.arguments) in KINDS and not w.after and not w.settled and w.repeat is not Repeat.MANY
    ]


def body(dice: random.Random, path: str) -> tuple[str, dict[str, Any]]:
    """Statements for a block, and what each setting must come to."""
    taken = set(tree(fill(CONTEXTS[path], ""), path).values)
    lines, expected = [], {}
    words = plain_words(path)
    for word in dice.sample(words, min(FEW, len(words))):
        if word.setting in taken:
            continue
        arguments, value = meant(dice, word)
        taken.add(word.setting)
        lines.append(spelt(dice, word.name, arguments))
        expected[word.setting] = value
    return "\n".join(lines), expected


@pytest.mark.parametrize("path", PATHS)
def test_every_plain_word_gets_its_turn(path: str) -> None:
    taken = set(tree(fill(CONTEXTS[path], ""), path).values)
    drawn: set[str] = set()
    for seed in range(400):
        drawn |= body(random.Random(seed), path)[1].keys()
    assert drawn == {word.setting for word in plain_words(path)} - taken


@given(st.integers(0, 2**32), st.sampled_from(PATHS))
def test_statements_mean_what_they_say(seed: int, path: str) -> None:
    text, expected = body(random.Random(seed), path)
    node = tree(fill(CONTEXTS[path], text), path)
    assert {setting: node.maybe(setting) for setting in expected} == expected


@given(st.integers(0, 2**32), st.sampled_from(PATHS))
def test_and_their_dump_means_the_same(seed: int, path: str) -> None:
    text, _ = body(random.Random(seed), path)
    assert_round_trip(fill(CONTEXTS[path], text))


@given(st.integers(0, 2**32))
def test_several_blocks_are_read_side_by_side(seed: int) -> None:
    dice = random.Random(seed)
    count = dice.randint(1, 30)
    weights = [dice.randint(0, 65535) for _ in range(count)]
    servers = "".join(
        f"real_server 192.0.2.{number + 1} 80 {{\n{spelt(dice, 'weight', [str(weight)])}\n}}\n"
        for number, weight in enumerate(weights)
    )
    plan = read(f"virtual_server 192.0.2.200 80 {{\nprotocol TCP\nlvs_sched rr\nlvs_method NAT\n{servers}}}\n").plan
    assert plan is not None
    assert [server.weight for server in plan.checker.virtual_servers[0].real_servers] == weights
