"""Reading a dump again; and a judge of JSON schemas as far as ours needs one."""

from typing import Any

from fastha.config import dump
from fastha.config.jsonschema import schema
from tests.config_machine import MAIN, Machine, read

SCHEMA = schema()


def dumped(text: str | bytes, machine: Machine | None = None) -> str:
    """The dump of `text` as the main file."""
    return dump.canonical(_root(text, machine))


def data_of(text: str | bytes, machine: Machine | None = None) -> Any:
    return dump.as_data(_root(text, machine))


def _root(text: str | bytes, machine: Machine | None) -> Any:
    machine = machine or Machine()
    machine.files[MAIN] = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return dump.read(MAIN, machine)[0]


def assert_round_trip(text: str | bytes, machine: Machine | None = None) -> None:
    """parse(dump(parse(x))) == parse(x), dump(parse(dump)) == dump, and its JSON is as the schema says."""
    machine = machine or Machine()
    once = read(text, machine).plan
    written = dumped(text, machine)
    assert read(written, machine).plan == once
    assert dumped(written, machine) == written
    assert list(violations(data_of(text, machine), SCHEMA)) == []


def violations(value: Any, rule: Any, where: str = "$"):  # type: ignore[no-untyped-def]
    """What `value` has that the schema `rule` does not allow."""
    if "$ref" in rule:
        yield from violations(value, SCHEMA["$defs"][rule["$ref"].rpartition("/")[2]], where)
    if "anyOf" in rule:
        if all(list(violations(value, choice, where)) for choice in rule["anyOf"]):
            yield f"{where}: {value!r} is none of {rule['anyOf']}"
        return
    if "const" in rule and value != rule["const"]:
        yield f"{where}: {value!r} is not {rule['const']!r}"
    if "enum" in rule and value not in rule["enum"]:
        yield f"{where}: {value!r} is none of {rule['enum']}"
    kinds = {
        "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
    }  # fmt: skip
    if "type" in rule and not isinstance(value, kinds[rule["type"]]):
        yield f"{where}: {value!r} is no {rule['type']}"
        return
    if isinstance(value, (int, float)) and not rule.get("minimum", value) <= value <= rule.get("maximum", value):
        yield f"{where}: {value} is outside {rule.get('minimum')}..{rule.get('maximum')}"
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from violations(item, rule.get("items", {}), f"{where}[{number}]")
    if isinstance(value, dict) and "properties" in rule:
        yield from (f"{where}.{name} is missing" for name in rule.get("required", ()) if name not in value)
        for name, item in value.items():
            if name not in rule["properties"]:
                yield f"{where}.{name} is unknown"
            else:
                yield from violations(item, rule["properties"][name], f"{where}.{name}")
