"""What was found in a configuration, for programs."""

from collections.abc import Iterable
from dataclasses import asdict

import orjson

from fastha.config.diagnostics import Diagnostic


def render_json(file: str, code: int, diagnostics: Iterable[Diagnostic]) -> bytes:
    """A JSON object: the file, the exit code of its test, and `findings` with the fields of `Diagnostic`. Octets of a
    file that are not UTF-8 are shown as `\\xNN`."""
    findings = [{key: _shown(value) for key, value in asdict(d).items()} for d in diagnostics]
    return orjson.dumps({"file": _shown(file), "exit_code": code, "findings": findings}, option=orjson.OPT_INDENT_2)


def _shown(value: object) -> object:
    """A string that JSON can hold."""
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
