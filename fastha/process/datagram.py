"""Messages <-> datagrams: one JSON array `[kind, fields...]`, `kind` being the name of the class in `messages`.

A message that does not fit into a datagram travels in a sealed memfd: the datagram is then `["@"]`, and the first
descriptor beside it is the memfd.
"""

from dataclasses import fields
from operator import attrgetter
from typing import Any, Final, get_args, get_type_hints

import msgspec
import orjson

from fastha.model import codec
from fastha.process import messages
from fastha.process.messages import Message

MAX_DATAGRAM: Final = 65536
"""Bytes."""
IN_MEMFD: Final = b'["@"]'


class _Layout:
    """How one kind of message is taken apart and put together; computed once."""

    def __init__(self, kind: type[Message]) -> None:
        names = [each.name for each in fields(kind)]
        hints = get_type_hints(kind)
        self.kind = kind
        self.shape: Any = tuple[tuple(hints[name] for name in names)]  # type: ignore[misc]
        get = attrgetter(*names)
        self.values = get if len(names) > 1 else lambda message: (get(message),)


_LAYOUTS: Final = {kind.__name__: _Layout(kind) for kind in get_args(messages.Message)}


def encode(message: Message) -> bytes:
    """The JSON array of `message`; longer than MAX_DATAGRAM: send it in a memfd."""
    name = type(message).__name__
    return codec.encode((name, *_LAYOUTS[name].values(message)))


def decode(data: bytes | memoryview) -> Message:
    """The message of a JSON array; ValueError when it is no message."""
    try:
        name, *values = orjson.loads(data)
        layout = _LAYOUTS[name]
        message: Message = layout.kind(*msgspec.convert(values, layout.shape))
    except (ValueError, TypeError, KeyError, msgspec.ValidationError) as error:
        raise ValueError(f"no message: {error!r} in {bytes(data[:80])!r}") from None
    return codec.restored(message, data)
