"""Definitions and their expansion: `$NAME`, `${NAME}`, `${_RANDOM ..}` and kin, `~SEQ`, `~LST`."""

import re
from collections.abc import Callable, Iterator

from fastha.config.host import Host

DEFINITION = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)=[ \t]*(.*)\Z", re.DOTALL)
REFERENCE = re.compile(
    r"\$\{([A-Za-z_][A-Za-z0-9_]*)((?:[ \t]+[^ \t{}]+)*)[ \t]*\}|\$([A-Za-z_][A-Za-z0-9_]*)(?=[ \t,)\r]|\Z)"
)
NUMBER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|[0-9]+)")
"""What may be an integer in C notation: int() takes underscores and the digits of all scripts, too."""
SEQUENCE = re.compile(r"~(SEQx?|LST)[ \t]*\(")
MAX_ROUNDS = 64
"""Expansions of one line before it is taken for a definition that refers to itself."""
MAX_REPEATS = 100_000
MAX_LINE = 1023
"""Longest line in bytes, as in keepalived."""


class Definitions:
    """The text substitutions known so far. A value is one line, or several for a multi-line definition."""

    def __init__(self, host: Host, config_id: str, complain: Callable[[str, str], None]) -> None:
        self._host = host
        self._config_id = config_id
        self._complain = complain
        self._values: dict[str, list[str]] = {}
        self.places: dict[str, str] = {}
        """`file:line` of definitions, as far as known."""

    def __bool__(self) -> bool:
        return bool(self._values)

    def define(self, name: str, lines: list[str]) -> None:
        self._values[name] = lines

    def expand(self, text: str, directory: str) -> list[str]:
        """`text` with every known reference replaced, again and again until none is left; unknown ones stay.

        Several lines come out when a reference to a multi-line definition ends the line.
        """
        tail: list[str] = []
        for _ in range(MAX_ROUNDS):
            expanded, more, changed = self._round(text, directory)
            if not changed:
                return [text, *tail]
            if len(expanded) > MAX_LINE:
                self._complain(f"expanded, the line is longer than {MAX_LINE} bytes; it is not expanded", "")
                return [text, *tail]
            text, tail = expanded, more + tail
        names = [name for match in REFERENCE.finditer(text) if (name := match[1] or match[3]) in self._values]
        name = names[0] if names else ""
        place = f" (of {self.places[name]})" if name in self.places else ""
        self._complain(f"the definition of '{name}'{place} refers to itself", name)
        return [text, *tail]

    def _round(self, text: str, directory: str) -> tuple[str, list[str], bool]:
        """One pass from left to right; the further lines of a multi-line value are returned apart."""
        out: list[str] = []
        more: list[str] = []
        at = 0
        changed = False
        for match in REFERENCE.finditer(text):
            name = match[1] or match[3]
            lines = self._values.get(name)
            if lines is None or match[2]:
                value = self._predefined(name, (match[2] or "").split(), directory) if match[1] else None
                if value is None:
                    continue
            elif len(lines) > 1:
                if text[match.end() :].strip():
                    continue
                value, more = lines[0], lines[1:]
            else:
                value = lines[0] if lines else ""
            out += (text[at : match.start()], value)
            at = match.end()
            changed = True
        out.append(text[at:])
        return "".join(out), more, changed

    def _predefined(self, name: str, parameters: list[str], directory: str) -> str | None:
        """The value of `${_NAME ...}`; None when it stays as it is."""
        if name == "_PWD":
            return directory
        if name == "_INSTANCE":
            return self._config_id
        if name == "_HASH":
            return "#"
        if name == "_BANG":
            return "!"
        if name == "_ENV":
            if len(parameters) != 1:
                self._complain("${_ENV NAME} takes exactly one name", "${_ENV")
                return None
            return self._host.environment(parameters[0]) or ""
        if name == "_RANDOM":
            return self._random(parameters)
        return None

    def _random(self, parameters: list[str]) -> str | None:
        if len(parameters) > 2 or not all(p.isascii() and p.isdecimal() for p in parameters):
            self._complain("${_RANDOM [MIN [MAX]]} takes at most two numbers", "${_RANDOM")
            return None
        low = int(parameters[0]) if parameters else 0
        high = int(parameters[1]) if len(parameters) > 1 else 32767
        if low > high:
            self._complain(f"${{_RANDOM}}: {low} is above {high}; {low} is used", "${_RANDOM")
            return str(low)
        return str(self._host.random(low, high))

    def repeat(self, text: str, directory: str) -> Iterator[str]:
        """The lines that `~SEQ(..) rest`, `~SEQx(..) rest` or `~LST(..) rest` stands for, variable set before each.

        ValueError, saying what is wrong, when it is malformed: the line is dropped.
        """
        match = SEQUENCE.match(text)
        end = text.find(")")
        if match is None or end < 0:
            raise ValueError(f"'{text.split(maxsplit=1)[0]}': expected ~SEQ(..), ~SEQx(..) or ~LST(..)")
        inside = text[match.end() : end]
        rest = text[end + 1 :].strip()
        if match[1] == "LST":
            sets = _list_values(inside)
        else:
            expanded = " ".join(self.expand(inside, directory))
            sets = _sequence_values(expanded, hexadecimal=match[1] == "SEQx")
        for values in sets:
            for name, value in values:
                self.define(name, [value])
            yield rest


def _number(text: str) -> int:
    """An integer in C notation. ValueError when it is none."""
    if NUMBER.fullmatch(text) is None:
        raise ValueError(text)
    digits = text.lstrip("+-")
    base = 16 if digits[:2].lower() == "0x" else 8 if digits.startswith("0") and len(digits) > 1 else 10
    return int(text, base)


def _sequence_values(inside: str, *, hexadecimal: bool) -> list[list[tuple[str, str]]]:
    """Values of ~SEQ(VAR, [START, [STEP,]] END)."""
    parts = [part.strip() for part in inside.split(",")]
    if not 2 <= len(parts) <= 4 or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", parts[0]):
        raise ValueError("~SEQ needs (VAR, [START, [STEP,]] END)")
    try:
        numbers = [_number(part) for part in parts[1:]]
    except ValueError:
        raise ValueError(f"~SEQ: '{inside}' has something that is no number") from None
    end = numbers[-1]
    start = numbers[0] if len(numbers) > 1 else (-1 if end < 0 else 1)
    step = numbers[1] if len(numbers) > 2 else (1 if end >= start else -1)
    if step == 0 or (end - start) * step < 0:
        raise ValueError(f"~SEQ: step {step} never gets from {start} to {end}")
    if hexadecimal and (start < 0 or end < 0):
        raise ValueError("~SEQx: negative numbers have no hexadecimal form here")
    if (end - start) // step >= MAX_REPEATS:
        raise ValueError(f"~SEQ: more than {MAX_REPEATS} repetitions")
    values = range(start, end + (1 if step > 0 else -1), step)
    return [[(parts[0], f"{value:x}" if hexadecimal else str(value))] for value in values]


def _list_values(inside: str) -> list[list[tuple[str, str]]]:
    """Values of ~LST(VAR, v1, v2..) or ~LST({V1,V2..},{a,b..},..)."""
    groups = [
        [member.strip() for member in part[1:-1].split(",")] if part.startswith("{") else [part.strip()]
        for part in re.findall(r"\{[^}]*\}|[^,{}]+(?=,|\Z)|(?<=,)(?=,)", inside.strip())
        if part.strip()
    ]
    if len(groups) < 2:
        raise ValueError("~LST needs (VAR, value, ...) or ({VAR,VAR}, {value,value}, ...)")
    names = groups[0]
    for group in groups[1:]:
        if len(group) > len(names):
            raise ValueError(f"~LST: {len(group)} values for {len(names)} names")
    return [list(zip(names, group + [""] * (len(names) - len(group)), strict=True)) for group in groups[1:]]
