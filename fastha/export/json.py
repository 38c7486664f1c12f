"""The Snapshot as JSON, for programs: the field names of `model.snapshot`, durations in nanoseconds, wall times in
seconds."""

import orjson

from fastha.model import codec
from fastha.model.snapshot import Snapshot


def render_json(snapshot: Snapshot) -> bytes:
    """Indented JSON."""
    return orjson.dumps(orjson.loads(codec.encode(snapshot)), option=orjson.OPT_INDENT_2)
