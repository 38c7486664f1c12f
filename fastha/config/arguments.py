"""What may follow a keyword: one class per type of argument, with its units and range.

`read` takes the words of a line and returns the value, or DROP when keepalived would ignore the line; what is wrong is
said through the `Reading`. `describe` is the argument as the keyword reference and `fastha explain` show it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from fastha.config.diagnostics import Exit, Report, closest
from fastha.config.hints import comment_mark
from fastha.config.source import Line
from fastha.model.net import Address, Family, family_of, parse_address
from fastha.model.units import S


class Drop:
    """The one value that says: this line is ignored."""

    def __repr__(self) -> str:
        return "DROP"


DROP: Final = Drop()
UINT: Final = 2**32 - 1
INT: Final = 2**31 - 1
INTEGER = re.compile(r"[+-]?[0-9]+")
DECIMAL = re.compile(r"\+?([0-9]*)(?:\.([0-9]*))?")
MAX_INTERFACE: Final = 15
NO_LIMIT: Final = "18446744073709.551614"
"""Upper bound of the times that keepalived bounds by its integers only."""
CENTURY: Final = 100 * 365 * 86_400 * S
"""Longer times are this long: nanoseconds must fit into 64 bits."""
TRUE: Final = frozenset({"on", "true", "yes"})
FALSE: Final = frozenset({"off", "false", "no"})


class Reading:
    """One line while its arguments are read: its words, and a way to complain about them."""

    __slots__ = ("complained", "dropped", "line", "passed_over", "report", "words")

    def __init__(self, line: Line, report: Report, *, block: bool = False) -> None:
        self.line = line
        self.words = line.words
        self.report = report
        self.complained = False
        self.dropped = "the whole block is ignored" if block else "the line is ignored"
        """What happens without a value."""
        self.passed_over: set[int] = set()
        """Indexes of words that do not count, in a line that does."""

    def counting(self) -> Line:
        """The line without the words that do not count."""
        if not self.passed_over:
            return self.line
        words = [word for at, word in enumerate(self.words) if at not in self.passed_over]
        return Line(words, self.line.text, self.line.file, self.line.number, self.line.order)

    def error(self, message: str, word: int = 1, *, suggestion: str = "", exit_code: Exit = Exit.ERRORS) -> None:
        self.complained = True
        self.report.error(message, self.line, word, suggestion=suggestion, exit_code=exit_code)

    def advise(self, message: str, word: int = 1, *, suggestion: str = "") -> None:
        """An error as keepalived counts, though what was written is in force."""
        self.complained = True
        self.report.error(message, self.line, word, suggestion=suggestion, advice=True)

    def note(self, message: str, word: int = 1, *, suggestion: str = "") -> None:
        self.complained = True
        self.report.note(message, self.line, word, suggestion=suggestion)

    def wants(self, most: int) -> None:
        """Remarks on the words beyond the first `most` (with the keyword): keepalived passes over them in silence."""
        if len(self.words) > most:
            self.note(f"extra words ignored: {' '.join(self.words[most:])}", most)


class Argument:
    """Base of the argument types. `required` is what keepalived does without the word: `fatal` (exit 2 at once),
    `error` (reported, line ignored), `note` (line ignored, exit code untouched) or `` (it may be left out)."""

    required: str = "fatal"
    most: int | None = 1
    """How many words are read at most; None: all, or those beyond are judged by `read`."""
    pure: ClassVar[bool] = True
    """Equal lines have equal values, so that one reading serves all."""
    free: ClassVar[bool] = False
    """Any text will do, so that nothing else would show that a comment sign cut it."""

    def read(self, r: Reading) -> Any:
        """The value of the whole line."""
        if len(r.words) < 2:
            return self.missing(r)
        return self.value(r, r.words[1], 1)

    def value(self, r: Reading, text: str, at: int) -> Any:
        """The value of one word."""
        raise NotImplementedError

    def describe(self) -> str:
        raise NotImplementedError

    def written(self, _value: Any, words: list[str], /) -> list[str]:
        """The words that say a value in the shortest way; by default those that said it."""
        return words

    def data(self, words: list[str], /) -> Any:
        """Argument words as a value for JSON, as `json_schema` describes it."""
        return " ".join(words)

    def json_schema(self) -> dict[str, Any]:
        """JSON schema of `data`."""
        return {"type": "string", "description": self.describe()}

    def missing(self, r: Reading) -> Any:
        """What a line without the argument means."""
        message = f"'{r.words[0]}' needs a value: {self.describe()}"
        mark = comment_mark(r.line.file.physical(r.line.number))
        hint = f"from '{mark}' on it is a comment; put the value in double quotes if it begins with one" if mark else ""
        if self.required == "note":
            r.note(message, 0, suggestion=hint)
        else:
            code = Exit.MISSING_ARGUMENT if self.required == "fatal" else Exit.ERRORS
            r.error(message, 0, suggestion=hint, exit_code=code)
        return DROP


@dataclass(frozen=True)
class Flag(Argument):
    """No argument: the word itself is the setting."""

    required: str = ""
    most: int | None = 0

    def read(self, _r: Reading, /) -> Any:
        return True

    def written(self, _value: Any, _words: list[str], /) -> list[str]:
        return []

    def data(self, _words: list[str], /) -> Any:
        return True

    def json_schema(self) -> dict[str, Any]:
        return {"const": True}

    def describe(self) -> str:
        return ""


@dataclass(frozen=True)
class Bool(Argument):
    """on, true, yes or off, false, no; the word alone means true. `always` is for words whose false is no false."""

    required: str = ""

    def read(self, r: Reading) -> Any:
        if len(r.words) < 2:
            return True
        return self.value(r, r.words[1], 1)

    def value(self, r: Reading, text: str, at: int) -> Any:
        if text in TRUE:
            return True
        if text in FALSE:
            return False
        r.error(f"'{text}' is neither true (on, yes) nor false (off, no)", at, suggestion=closest(text, TRUE | FALSE))
        return DROP

    def written(self, value: Any, _words: list[str], /) -> list[str]:
        return ["true" if value else "false"]

    def data(self, words: list[str], /) -> Any:
        return not words or words[0] in TRUE

    def json_schema(self) -> dict[str, Any]:
        return {"type": "boolean"}

    def describe(self) -> str:
        return "[true|false]"


@dataclass(frozen=True)
class Integer(Argument):
    """A decimal integer of [low, high]. `otherwise` is used, and said, when it is bad; DROP: the line is ignored.

    `raise_zero_to`: the value that keepalived takes, and says so, instead of 0.
    """

    low: int
    high: int
    name: str = "N"
    unit: str = ""
    required: str = "fatal"
    otherwise: Any = DROP
    omitted: Any = None
    """Value when the word is left out, with `required` ``."""
    c_notation: bool = False
    raise_zero_to: int | None = None
    strict: bool = True
    """False: digits followed by junk are reported and used."""
    alone: bool = False
    """A further word is an error that costs the line."""

    def read(self, r: Reading) -> Any:
        if len(r.words) < 2 and not self.required:
            return self.omitted
        if self.alone and len(r.words) > 2:
            r.error(f"'{r.words[0]}' takes one number, and not '{r.words[2]}' too; {r.dropped}", 2)
            return DROP
        return Argument.read(self, r)

    def value(self, r: Reading, text: str, at: int) -> Any:
        match = INTEGER.match(text)
        number: int | None
        if not text:
            number = 0
            r.note('"" is taken as 0', at)
        elif self.c_notation:
            number = c_integer(text)
        elif match and (match.end() == len(text) or not self.strict):
            number = int(match[0])
        else:
            number = None
        after = r.dropped if self.otherwise is DROP else f"{self.otherwise} is used"
        if number is None:
            r.error(f"'{text}' is not a whole number ({self.describe()}); {after}", at)
            return self.otherwise
        if not self.low <= number <= self.high:
            r.error(f"{number} is outside {self.range()}{self._unit()}; {after}", at)
            return self.otherwise
        if match and match.end() != len(text) and not self.c_notation:
            r.error(f"'{text}' has something after the number; {number} is used", at)
        if number == 0 and self.raise_zero_to is not None:
            r.error(f"0 makes no sense here; {self.raise_zero_to} is used", at)
            return self.raise_zero_to
        return number

    def written(self, value: Any, _words: list[str], /) -> list[str]:
        return [str(value)] if type(value) is int else []

    def data(self, words: list[str], /) -> Any:
        if not words:
            return True
        return c_integer(words[0]) if self.c_notation else int(words[0])

    def json_schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "integer", "minimum": self.low, "maximum": self.high}
        if self.unit:
            schema["description"] = self.unit
        return schema if self.required else {"anyOf": [schema, {"const": True}]}

    def _unit(self) -> str:
        return f" {self.unit}" if self.unit else ""

    def range(self) -> str:
        return f"{self.low}..{self.high}"

    def describe(self) -> str:
        text = f"{self.name} ({self.range()}{self._unit()})"
        return text if self.required else f"[{text}]"


@dataclass(frozen=True)
class Decimal(Argument):
    """A time as a decimal number; the value is nanoseconds. `low` and `high` are in `unit`, as text."""

    low: str
    high: str = "4294.967295"
    places: int = 6
    unit: str = "seconds"
    scale: int = S
    """Nanoseconds per unit."""
    required: str = "fatal"
    otherwise: Any = DROP
    raise_zero_to: str | None = None

    def value(self, r: Reading, text: str, at: int) -> Any:
        if not text:
            r.note('"" is taken as 0', at)
        match = DECIMAL.match(text or "0")
        after = r.dropped if self.otherwise is DROP else f"{self.otherwise} is used"
        if match is None or not match[0].strip("+."):
            r.error(f"'{text}' is not a number ({self.describe()}); {after}", at)
            return self.otherwise
        if match.end() != len(text or "0"):
            r.error(f"'{text}' has something after the number; {after} (times are plain {self.unit})", at)
            return self.otherwise
        fraction = match[2] or ""
        number = self._scaled(match[1], fraction)
        if len(fraction.rstrip("0")) > self.places:
            number = self._rounded(number)
            r.error(f"'{text}' has more than {self.places} decimals; it is rounded", at)
        if not self._scaled(*_halves(self.low)) <= number <= self._scaled(*_halves(self.high)):
            r.error(f"{text} is outside {self.low}..{self.high} {self.unit}; {after}", at)
            return self.otherwise
        if number == 0 and self.raise_zero_to is not None:
            r.error(f"0 makes no sense here; {self.raise_zero_to} is used", at)
            return self._scaled(*_halves(self.raise_zero_to))
        return min(number, CENTURY)

    def written(self, value: Any, words: list[str], /) -> list[str]:
        if type(value) is not int:
            return words
        whole, rest = divmod(value, self.scale)
        fraction = str(rest + self.scale)[1:].rstrip("0")
        return [f"{whole}.{fraction}" if fraction else str(whole)]

    def data(self, words: list[str], /) -> Any:
        return float(words[0]) if "." in words[0] else int(words[0])

    def json_schema(self) -> dict[str, Any]:
        bounds = {"minimum": float(self.low)} | ({} if self.high == NO_LIMIT else {"maximum": float(self.high)})
        return {"type": "number", **bounds, "description": self.unit}

    def _scaled(self, whole: str, fraction: str) -> int:
        digits = fraction[:12]
        parts: int = 10 ** len(digits)
        return int(whole or "0") * self.scale + int(digits or "0") * self.scale // parts

    def _rounded(self, number: int) -> int:
        parts: int = 10**self.places
        step = self.scale // parts
        return (number + step // 2) // step * step

    def describe(self) -> str:
        bounds = f"{self.low}..{self.high}" if self.high != NO_LIMIT else f"from {self.low}"
        return f"{self.unit.upper()} ({bounds}, {self.places} decimals)"


def _halves(number: str) -> tuple[str, str]:
    whole, _, fraction = number.partition(".")
    return whole, fraction


@dataclass(frozen=True)
class Text(Argument):
    """One word, or a quoted string. `longest`: what is beyond is cut off or, with `refuse`, the line is ignored.
    `filled`: an empty one is an error that costs the line."""

    name: str = "TEXT"
    required: str = "error"
    longest: int = 0
    refuse: bool = False
    further: Literal["", "error", "fatal"] = ""
    """What further words are: passed over, an error that costs the line, or one that ends keepalived's reading."""
    omitted: Any = None
    filled: bool = False
    free: ClassVar[bool] = True

    def read(self, r: Reading) -> Any:
        if len(r.words) < 2 and not self.required:
            return self.omitted
        if len(r.words) > 2 and self.further:
            code = Exit.MISSING_ARGUMENT if self.further == "fatal" else Exit.ERRORS
            hint = f'in double quotes they are one: "{" ".join(r.words[1:])}"'
            message = f"'{r.words[0]}' takes one word, and not '{r.words[2]}' too; {r.dropped}"
            r.error(message, 2, suggestion=hint, exit_code=code)
            return DROP
        return Argument.read(self, r)

    def value(self, r: Reading, text: str, at: int) -> Any:
        if self.filled and not text:
            r.error(f"{self.name} is empty; {r.dropped}", at)
            return DROP
        if self.longest and len(text.encode("utf-8", "surrogateescape")) > self.longest:
            if self.refuse:
                r.error(f"'{text}' is longer than {self.longest} characters; {r.dropped}", at)
                return DROP
            cut = text.encode("utf-8", "surrogateescape")[: self.longest].decode("utf-8", "surrogateescape")
            r.error(f"'{text}' is longer than {self.longest} characters; it is cut to '{cut}'", at)
            return cut
        return text

    def written(self, value: Any, words: list[str], /) -> list[str]:
        return words[:1] if not isinstance(value, str) or not words else [value]

    def describe(self) -> str:
        text = f"{self.name} (at most {self.longest} characters)" if self.longest else self.name
        return text if self.required else f"[{text}]"


@dataclass(frozen=True)
class InterfaceName(Argument):
    """The name of a network interface. Whether it exists is judged later."""

    required: str = "fatal"

    def value(self, r: Reading, text: str, at: int) -> Any:
        if len(text.encode("utf-8", "surrogateescape")) > MAX_INTERFACE:
            r.error(f"'{text}' is longer than {MAX_INTERFACE} characters, too long for an interface name", at)
            return DROP
        return text

    def describe(self) -> str:
        return "INTERFACE"


@dataclass(frozen=True)
class Choice(Argument):
    """One of a few words; the value is what the word maps to."""

    values: Mapping[str, Any]
    required: str = "fatal"
    ignore_case: bool = False
    otherwise: Any = DROP
    omitted: Any = None
    what: str = "value"

    def read(self, r: Reading) -> Any:
        if len(r.words) < 2 and not self.required:
            return self.omitted
        return Argument.read(self, r)

    def value(self, r: Reading, text: str, at: int) -> Any:
        found = self.values.get(text, DROP)
        if found is DROP and self.ignore_case:
            found = next((v for k, v in self.values.items() if k.lower() == text.lower()), DROP)
        if found is not DROP:
            return found
        after = r.dropped if self.otherwise is DROP else f"{self.otherwise} is used"
        r.error(
            f"unknown {self.what} '{text}'; {after}",
            at,
            suggestion=closest(text, self.values) or f"known: {', '.join(self.values)}",
        )
        return self.otherwise

    def written(self, value: Any, words: list[str], /) -> list[str]:
        if not words or (not self.required and value == self.omitted):
            return []
        return [next((name for name, means in self.values.items() if means == value), words[0])]

    def json_schema(self) -> dict[str, Any]:
        return {"enum": [*self.values, *([] if self.required else [""])]}

    def describe(self) -> str:
        text = "|".join(self.values)
        return text if self.required else f"[{text}]"


@dataclass(frozen=True)
class AddressArgument(Argument):
    """An IPv4 or IPv6 address. `strict`: what follows it is an error; else see `lone_address`."""

    required: str = "fatal"
    family: Family | None = None
    multicast: bool = False
    strict: bool = False

    def value(self, r: Reading, text: str, at: int) -> Any:
        try:
            address = parse_address(text) if self.strict else lone_address(r, text, at)
        except ValueError as error:
            r.error(f"{error}; {r.dropped}", at)
            return DROP
        if self.family and family_of(address) != self.family:
            r.error(f"{text} is not an IPv{self.family} address; {r.dropped}", at)
            return DROP
        if self.multicast and not is_multicast(address):
            r.error(f"{text} is not a multicast address; {r.dropped}", at)
            return DROP
        return address

    def describe(self) -> str:
        kind = f"IPv{self.family} " if self.family else ""
        return f"{kind}{'multicast ' if self.multicast else ''}ADDRESS"


def lone_address(r: Reading, text: str, at: int) -> Address:
    """An address where a prefix length or the end of a range means nothing: keepalived passes over it, and so do we,
    with a note. ValueError when it is no address."""
    host, mark, _ = text.partition("/" if "/" in text else "-")
    address = parse_address(host)
    if mark:
        r.note(f"one address is wanted here: '{text[len(host) :]}' is ignored", at)
    return address


def is_multicast(address: str) -> bool:
    """224.0.0.0/4 or ff00::/8."""
    if ":" in address:
        return address.startswith("ff")
    return 224 <= int(address.partition(".")[0]) <= 239


@dataclass(frozen=True)
class Words(Argument):
    """All the words of the line, as a tuple."""

    name: str = "WORD..."
    least: int = 1
    required: str = "error"
    most: int | None = None

    def read(self, r: Reading) -> Any:
        if len(r.words) - 1 < self.least:
            return self.missing(r)
        return tuple(r.words[1:])

    def describe(self) -> str:
        return self.name


@dataclass(frozen=True)
class Custom(Argument):
    """A line with a grammar of its own, read by a function."""

    reader: Callable[[Reading], Any]
    shape: str
    required: str = "error"
    least: int = 1
    most: int | None = None

    def read(self, r: Reading) -> Any:
        if len(r.words) - 1 < self.least:
            return self.missing(r)
        return self.reader(r)

    def describe(self) -> str:
        return self.shape


def c_integer(text: str) -> int | None:
    """An integer in C notation (0x.., leading 0 octal); None when it is none."""
    digits = text.lstrip("+-")
    if not digits or len(text) - len(digits) > 1:
        return None
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits.startswith("0") and len(digits) > 1 else 10
    if "_" in digits or not digits.isascii():
        return None
    try:
        return -int(digits, base) if text.startswith("-") else int(digits, base)
    except ValueError:
        return None


def one_of(words: Iterable[str]) -> dict[str, str]:
    """The values of a Choice whose words mean themselves."""
    return {word: word for word in words}
