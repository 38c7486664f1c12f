"""Weights with their `reverse`, and init_file."""

from collections.abc import Callable
from typing import Any

from fastha.config.arguments import DROP, INT, Integer, Reading
from fastha.config.diagnostics import closest


def weight(limit: int) -> Callable[[Reading], Any]:
    """A reader of `weight N [reverse]`: (number, reverse)."""
    number = Integer(-limit, limit, "WEIGHT")

    def read(r: Reading) -> Any:
        value = number.value(r, r.words[1], 1)
        if value is DROP:
            return DROP
        reverse = len(r.words) > 2 and r.words[2] == "reverse"
        if len(r.words) > 2 and not reverse:
            r.error(f"unknown word '{r.words[2]}' after the weight", 2, suggestion=closest(r.words[2], ["reverse"]))
        return value, reverse

    return read


def init_file(r: Reading) -> Any:
    """(value, overwrite)."""
    value, overwrite = 0, False
    for at, word in enumerate(r.words[1:], 1):
        if word == "overwrite":
            overwrite = True
        elif word.removeprefix("-").isdecimal():
            value = int(word)
            if not -INT - 1 <= value <= INT:
                r.error(f"{value} does not fit into 32 bits; 0 is used", at)
                value = 0
            elif not -254 <= value <= 254:
                r.error(f"{value} is outside -254..254 and will be limited when it is read", at)
        else:
            r.error(f"'{word}' is neither a number nor 'overwrite'", at)
    return value, overwrite


def file_check_weight(r: Reading) -> Any:
    """`weight N [reverse|noreverse]` of FILE_CHECK: (number, reverse or None)."""
    value = Integer(-INT, INT, "WEIGHT").value(r, r.words[1], 1)
    if value is DROP:
        return DROP
    if len(r.words) > 2 and r.words[2] not in {"reverse", "noreverse"}:
        r.error(f"unknown word '{r.words[2]}' after the weight; the line is ignored", 2)
        return DROP
    return value, r.words[2] == "reverse" if len(r.words) > 2 else None
