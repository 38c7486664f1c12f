"""docs/status-schema.json describes what `fastha status --json` prints."""

import pytest

from tests.tools import status_schema

FIELDS = [
    (name, field)
    for name, definition in status_schema.schema()["$defs"].items()
    for field in definition["properties"]
]  # fmt: skip


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_every_field_is_described(name, field):
    assert status_schema.fields()[name][field].endswith((".", "`", ")"))


@pytest.mark.parametrize(
    ("name", "field", "unit"),
    [
        ("Snapshot", "wall", "seconds since the epoch"),
        ("InstanceSnapshot", "since_wall", "seconds since the epoch"),
        ("InstanceSnapshot", "adver_int", "nanoseconds"),
        ("Histogram", "bounds", "nanoseconds"),
    ],
)
def test_units_are_told(name, field, unit):
    assert unit in status_schema.fields()[name][field]
