"""What signs adverts: authentication { } of version 2, and auth_hmac { }."""

import re
import stat
from typing import Any

from fastha.config.diagnostics import Exit
from fastha.config.semantics.context import Context
from fastha.config.source import Line
from fastha.config.tree import Node
from fastha.model.plan import AuthHmac, HmacMode
from fastha.model.units import Ns, S

SHORTEST, LONGEST = 32, 64
"""Bytes of an auth_hmac key."""
LONGEST_FILE = 4096
SMALLEST_WINDOW, LARGEST_WINDOW = 5, 300
"""Seconds, where the file does not say."""
HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")


def auth_hmac(ctx: Context, node: Node, interval: Ns, *, strict: bool) -> AuthHmac | None:
    """auth_hmac of an instance whose advert_int is `interval`; None: it has none, or none that works."""
    blocks = node.blocks("auth_hmac")
    if not blocks:
        return None
    what = node.header
    settings: dict[str, Any] = {}
    keys: dict[int, bytes] = {}
    for block in blocks:
        settings |= {name: value for name, (value, _) in block.values.items()}
        for number, written, line in block.maybe("key") or ():
            if number in keys:
                ctx.error(f"{what}: key {number} is there twice; the second one is ignored", line, 1)
            elif (key := _key(ctx, written, line)) is not None:
                keys[number] = key
    active = settings.get("active_key", 0)
    if active not in keys:
        said = f"active_key {active} is not among its keys" if active else "active_key is missing"
        ctx.error(f"{what}: auth_hmac is dropped: {said}", blocks[0].line)
        return None
    mode = HmacMode(settings.get("mode", "enforce"))
    if strict and mode is not HmacMode.ENFORCE:
        ctx.error(f"{what}: mode of auth_hmac is enforce in strict mode", blocks[0].line_of("mode"))
        mode = HmacMode.ENFORCE
    window = min(max(3 * interval // S, SMALLEST_WINDOW), LARGEST_WINDOW)
    return AuthHmac(
        keys=keys,
        active_key=active,
        time_window=settings.get("time_window", window),
        monotonic=settings.get("anti_replay") == "monotonic",
        mode=mode,
    )


def _key(ctx: Context, written: str, line: Line) -> bytes | None:
    """The key as it is written: text, hex:DIGITS, or file:PATH with one of these in it. None, said, when it is none."""
    if not written.startswith("file:"):
        return _value(ctx, written.encode("utf-8", "surrogateescape"), line)
    path = written.removeprefix("file:")
    try:
        contents = ctx.host.read_head(path, LONGEST_FILE + 1)
    except OSError as error:
        ctx.error(f"key file {path}: {error.strerror}; the key is ignored", line, 2)
        return None
    if len(contents) > LONGEST_FILE:
        ctx.error(f"key file {path} is longer than {LONGEST_FILE} bytes; the key is ignored", line, 2)
        return None
    info = ctx.host.stat(path)
    if info is not None and stat.S_IMODE(info.mode) & 0o077:
        text = f"key file {path} can be read by others than its owner"
        ctx.report.error(text, line, 2, suggestion=f"chmod go= {path}", exit_code=Exit.SECURITY)
    return _value(ctx, contents.rstrip(b"\r\n"), line)


def _value(ctx: Context, text: bytes, line: Line) -> bytes | None:
    key = text
    if text.startswith(b"hex:"):
        digits = text[4:].decode("latin-1")
        if not HEX.fullmatch(digits):
            ctx.error("a hex: key has an even number of hexadecimal digits; the key is ignored", line, 2)
            return None
        key = bytes.fromhex(digits)
    if not SHORTEST <= len(key) <= LONGEST:
        ctx.error(f"a key has {SHORTEST} to {LONGEST} bytes, and not {len(key)}; it is ignored", line, 2)
        return None
    return key
