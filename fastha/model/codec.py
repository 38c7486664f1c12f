"""Values <-> JSON bytes: orjson writes the dataclasses as they are, msgspec reads them back typed.

Text that came from bytes that are not UTF-8 (a path in a configuration file) holds lone surrogates, as Python's
`surrogateescape` makes them; JSON cannot. Such a byte travels as one of the characters U+10FE80 to U+10FEFF, of the
last private plane, and is itself again afterwards.
"""

from base64 import b64encode
from dataclasses import fields, is_dataclass
from typing import Any, Final, TypeVar

import msgspec
import orjson

T = TypeVar("T")
_OUT: Final = {0xDC00 + byte: 0x10FE00 + byte for byte in range(0x80, 0x100)}
_BACK: Final = {there: here for here, there in _OUT.items()}
_SIGNS: Final = (b"\xf4\x8f\xba", b"\xf4\x8f\xbb")
"""How those characters begin in UTF-8."""


def _default(value: object) -> str:
    """Bytes travel as base64, which is what msgspec reads them from."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} does not serialise")


def encode(value: Any) -> bytes:
    """`value`, a dataclass of the model, as JSON."""
    try:
        return orjson.dumps(value, default=_default, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return orjson.dumps(_mapped(value, _OUT), default=_default, option=orjson.OPT_NON_STR_KEYS)


def decode(kind: type[T], data: bytes | memoryview) -> T:
    """The value of type `kind` that `encode` wrote; ValueError when `data` is something else.

    Straight from the bytes to the values: a Plan of tens of thousands of servers never exists as dictionaries.
    """
    try:
        value = msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise ValueError(f"{kind.__name__}: {error}") from None
    return restored(value, data)


def restored(value: T, data: bytes | memoryview) -> T:
    """`value`, read from the JSON `data`, with bytes that are not UTF-8 as Python has them."""
    whole = bytes(data) if isinstance(data, memoryview) else data
    if any(sign in whole for sign in _SIGNS):
        restored_value: T = _mapped(value, _BACK)
        return restored_value
    return value


def _mapped(value: Any, table: dict[int, int]) -> Any:
    """`value` with each character of each text in it mapped."""
    if type(value) is str:
        return value.translate(table)
    if isinstance(value, tuple | list):
        return type(value)(_mapped(each, table) for each in value)
    if isinstance(value, dict):
        return {_mapped(key, table): _mapped(each, table) for key, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{each.name: _mapped(getattr(value, each.name), table) for each in fields(value)})
    return value
