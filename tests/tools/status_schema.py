"""Makes docs/status-schema.json: what `fastha status --json` prints, from the docstrings of `fastha.model.snapshot`."""

import ast
import inspect
from typing import Any, Final

import msgspec
import orjson

from fastha.model import snapshot

TITLE: Final = "fastha status --json"
UNITS: Final = (
    "Durations are integers of nanoseconds. Times (names that end in `wall`) are seconds since the epoch, with a "
    "fraction; 0 is never. All other numbers count something or have no unit."
)


def fields() -> dict[str, dict[str, str]]:
    """Class -> field -> what its docstring says, with its unit."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(snapshot)).body:
        if isinstance(node, ast.ClassDef):
            told = found[node.name] = {}
            for field, after in zip(node.body, [*node.body[1:], None], strict=True):
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    told[field.target.id] = (text_of(after) + unit(field)).strip()
    return found


def text_of(node: ast.stmt | None) -> str:
    """A docstring in one line; empty when `node` is none."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split())
    return ""


def unit(field: ast.AnnAssign) -> str:
    assert isinstance(field.target, ast.Name)
    if "Ns" in ast.unparse(field.annotation):
        return " Unit: nanoseconds."
    return " Unit: seconds since the epoch." if field.target.id.endswith("wall") else ""


def schema() -> dict[str, Any]:
    """The schema, every field described."""
    made = msgspec.json.schema(snapshot.Snapshot)
    told = fields()
    for name, definition in made["$defs"].items():
        for field, properties in definition["properties"].items():
            properties["description"] = told[name][field]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": TITLE, "description": UNITS, **made}


def render() -> bytes:
    """`docs/status-schema.json`."""
    return orjson.dumps(schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
