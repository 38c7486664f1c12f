"""JSON schema of `fastha dump --format json`, made from the keyword tables: `docs/schema.json`."""

from typing import Any

import orjson

from fastha.config.arguments import Flag
from fastha.config.schema.entry import Block, Repeat, Status, Word
from fastha.config.schema.tables import BLOCKS, ROOT

LINES = {"type": "array", "items": {"type": "string"}}
ARGUMENTS = {"type": "array", "items": {"type": "string"}, "minItems": 1}


def schema() -> dict[str, Any]:
    """The schema. A definition for each block of keywords; blocks of lines are lists of strings."""
    reached = {word.opens for block in BLOCKS.values() for word in block.words if word.opens}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "keepalived.conf as fastha understands it",
        "description": "What `fastha dump --format json` prints; made from the keyword tables.",
        **_object(ROOT, named=False),
        "$defs": {
            block.path: _object(block, named=_named(block))
            for block in sorted(BLOCKS.values(), key=lambda block: block.path)
            if block.path in reached and not block.line
        },
    }


def render() -> bytes:
    """`docs/schema.json`."""
    return orjson.dumps(schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _named(block: Block) -> bool:
    """Whether the line that opens the block has arguments."""
    return any(
        word.opens == block.path and not isinstance(word.arguments, Flag)
        for other in BLOCKS.values()
        for word in other.words
    )


def _object(block: Block, *, named: bool) -> dict[str, Any]:
    properties = {word.name: _property(word) for word in block.words}
    result: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if named:
        properties["arguments"] = ARGUMENTS
        result["required"] = ["arguments"]
    return result


def _property(word: Word) -> dict[str, Any]:
    what = {"description": _description(word)} | ({"deprecated": True} if word.deprecated else {})
    if not word.opens:
        value = dict(word.arguments.json_schema())
        shape = value.pop("description", "")
        if word.repeat is Repeat.MANY:
            value = {"type": "array", "items": value}
        return {**value, "description": f"{what.pop('description')} {shape}".strip(), **what}
    if BLOCKS[word.opens].line:
        if isinstance(word.arguments, Flag):
            return {**LINES, **what}
        item = {
            "type": "object",
            "properties": {"arguments": ARGUMENTS, "lines": LINES},
            "required": ["arguments", "lines"],
            "additionalProperties": False,
        }
        return {"type": "array", "items": item, **what}
    reference = {"$ref": f"#/$defs/{word.opens}"}
    if word.repeat is Repeat.MANY and word.name != "global_defs":
        return {"type": "array", "items": reference, **what}
    return {**reference, **what}


def _description(word: Word) -> str:
    note = f" ({word.status})" if word.status is not Status.IN_EFFECT else ""
    default = f" Default: {word.default}." if word.default else ""
    return f"{word.effect}{default}{note}"
