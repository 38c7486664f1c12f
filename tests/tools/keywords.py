"""Writes what is made from the keyword tables and the model: python -m tests.tools.keywords"""

from pathlib import Path

from fastha.cli.completion import bash, fish, zsh
from fastha.config.explain import markdown
from fastha.config.jsonschema import render
from tests.tools import status_schema

DOCS = Path(__file__).parents[2] / "docs"


def products() -> dict[str, bytes]:
    """File below docs/ -> its contents."""
    return {
        "keywords.md": markdown().encode(),
        "schema.json": render(),
        "status-schema.json": status_schema.render(),
        "completion/fastha.bash": bash().encode(),
        "completion/_fastha": zsh().encode(),
        "completion/fastha.fish": fish().encode(),
    }


if __name__ == "__main__":
    for name, contents in products().items():
        (DOCS / name).parent.mkdir(exist_ok=True)
        (DOCS / name).write_bytes(contents)
