"""Values <-> JSON bytes: orjson writes the dataclasses as they are, msgspec reads them back typed."""

from base64 import b64encode
from typing import Any, TypeVar

import msgspec
import orjson

T = TypeVar("T")


def _default(value: object) -> str:
    """Bytes travel as base64, which is what msgspec reads them from."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} does not serialise")


def encode(value: Any) -> bytes:
    """`value`, a dataclass of the model, as JSON."""
    return orjson.dumps(value, default=_default, option=orjson.OPT_NON_STR_KEYS)


def decode(kind: type[T], data: bytes | memoryview) -> T:
    """The value of type `kind` that `encode` wrote; ValueError when `data` is something else.

    Straight from the bytes to the values: a Plan of tens of thousands of servers never exists as dictionaries.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise ValueError(f"{kind.__name__}: {error}") from None
