"""Values <-> JSON bytes: orjson writes the dataclasses as they are, msgspec reads them back typed.

Text that came from bytes that are not UTF-8 (a path in a configuration file) holds lone surrogates, as Python's
`surrogateescape` makes them; JSON cannot. Such a byte travels as one of the characters U+10FE80 to U+10FEFF, of the
last private plane, and is itself again afterwards.

A Plan travels `sparse`, without what is as by default: a quarter of the octets, and what the reader fills in are the
defaults themselves, which all servers share.
"""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from operator import attrgetter
from typing import Any, Final, TypeVar

import msgspec
import orjson

T = TypeVar("T")
_PLAIN: Final = frozenset({int, str, bool, float, bytes, type(None)})
_OUT: Final = {0xDC00 + byte: 0x10FE00 + byte for byte in range(0x80, 0x100)}
_BACK: Final = {there: here for here, there in _OUT.items()}
_SIGNS: Final = (b"\xf4\x8f\xba", b"\xf4\x8f\xbb")
"""How those characters begin in UTF-8."""


def _default(value: object) -> object:
    """Bytes travel as base64, which is what msgspec reads them from; sets in order."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} does not serialise")


def encode(value: Any, *, sparse: bool = False) -> bytes:
    """`value`, a dataclass of the model, as JSON; `sparse`: without the fields that have their defaults."""
    if sparse:
        value = _sparse(value)
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


@cache
def _layout(kind: type) -> tuple[Callable[[Any], tuple[Any, ...]], tuple[tuple[str, Any], ...]] | None:
    """Of a dataclass: what fetches all its fields, and their names and defaults. None for what goes as it is."""
    if not is_dataclass(kind):
        return None
    names = tuple(
        (each.name, each.default if each.default_factory is MISSING else each.default_factory())
        for each in fields(kind)
    )
    if len(names) == 1:  # attrgetter gives a single one as it is
        name = names[0][0]
        return lambda value: (getattr(value, name),), names
    return (attrgetter(*(name for name, _ in names)) if names else lambda _: ()), names


def _sparse(value: Any) -> Any:
    """`value` with every dataclass in it as a dictionary of what differs from the defaults."""
    kind: Any = type(value)
    if kind is tuple:
        return [_sparse(each) for each in value]
    if kind is dict:
        return {key: _sparse(each) for key, each in value.items()}
    layout = _layout(kind)
    if layout is None:
        return value
    found = {}
    fetch, names = layout
    for part, (name, default) in zip(fetch(value), names, strict=True):
        if part is not default and part != default:
            found[name] = part if type(part) in _PLAIN else _sparse(part)
    return found


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
