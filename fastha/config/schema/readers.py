"""Lines with a grammar of their own, in global_defs and elsewhere: one function each, used by the keyword tables."""

from collections.abc import Callable
from typing import Any

from fastha.config.arguments import DROP, UINT, Integer, InterfaceName, Reading, c_integer, is_multicast, lone_address
from fastha.config.diagnostics import closest
from fastha.config.preprocess import CHECKS

PORT = Integer(1, 65535, "PORT")
UMASK_NAMES = {
    f"I{kind}{who}": bit << shift
    for who, shift in (("USR", 6), ("GRP", 3), ("OTH", 0))
    for kind, bit in (("R", 4), ("W", 2), ("X", 1))
} | {"IRWXU": 0o700, "IRWXG": 0o070, "IRWXO": 0o007}


def smtp_server(r: Reading) -> Any:
    """(name or address, port)."""
    port: Any = 25
    if len(r.words) > 2:
        port = PORT.value(r, r.words[2], 2)
        if port is DROP:
            return DROP
    return r.words[1], port


def lvs_timeouts(r: Reading) -> Any:
    """(tcp, tcpfin, udp) seconds; 0 leaves the kernel's."""
    values = {"tcp": 0, "tcpfin": 0, "udp": 0}
    at = 1
    while at < len(r.words):
        name = r.words[at]
        if name not in values:
            r.error(f"unknown timeout '{name}'", at, suggestion=closest(name, values))
            at += 1
            continue
        if at + 1 >= len(r.words):
            r.error(f"'{name}' needs a number of seconds", at)
            break
        value = Integer(0, 2_678_400, "SECONDS").value(r, r.words[at + 1], at + 1)
        if value is not DROP:
            values[name] = value
        at += 2
    return values["tcp"], values["tcpfin"], values["udp"]


def flush_on_stop(r: Reading) -> Any:
    if len(r.words) > 1 and r.words[1] != "VS":
        r.error(f"'{r.words[1]}' is not VS; the line is ignored")
        return DROP
    return r.words[1] if len(r.words) > 1 else "all"


def sync_daemon(r: Reading) -> Any:
    """A dict of the options given, with `interface`."""
    options: dict[str, Any] = {"interface": InterfaceName().value(r, r.words[1], 1)}
    if options["interface"] is DROP:
        return DROP
    numbers = {
        "id": Integer(0, 255, "ID"),
        "maxlen": Integer(1, 65507, "BYTES"),
        "port": PORT,
        "ttl": Integer(1, 255, "TTL"),
    }
    at = 2
    if len(r.words) > 2 and r.words[2] not in {*numbers, "inst", "group"}:
        options["inst"] = (r.words[2], 2)
        at = 3
        if len(r.words) > 3 and r.words[3].isdecimal():
            r.error("the bare number is taken as id; write 'id' before it", 3)
            options["id"] = numbers["id"].value(r, r.words[3], 3)
            at = 4
    while at < len(r.words):
        name = r.words[at]
        if name not in {*numbers, "inst", "group"}:
            r.error(f"unknown option '{name}'", at, suggestion=closest(name, [*numbers, "inst", "group"]))
            at += 1
            continue
        if at + 1 >= len(r.words):
            r.error(f"'{name}' needs a value", at)
            break
        value: Any = r.words[at + 1]
        if name == "inst":
            value = (value, at + 1)
        elif name == "group":
            value = _group(r, value, at + 1)
        else:
            value = numbers[name].value(r, value, at + 1)
        if value is not DROP:
            options[name] = value
        at += 2
    return options


def _group(r: Reading, text: str, at: int) -> Any:
    try:
        address = lone_address(r, text, at)
    except ValueError as error:
        r.error(str(error), at)
        return DROP
    if not is_multicast(address):
        r.error(f"{text} is not a multicast address", at)
        return DROP
    return address


def affinity(r: Reading) -> Any:
    """Numbers of processors, or none of them when one is bad."""
    numbers = []
    for at, text in enumerate(r.words[1:], 1):
        value = Integer(0, 4095, "CPU").value(r, text, at)
        if value is DROP:
            return ()
        numbers.append(value)
    return tuple(numbers)


def umask(r: Reading) -> Any:
    text = "".join(r.words[1:])
    if text.startswith("+"):
        r.error(f"'{text}' is not a number")
        return DROP
    if len(r.words) > 2 and "|" not in text:
        r.error(f"'{r.words[2]}' is one word too many; the line is ignored", 2)
        return DROP
    number = c_integer(text)
    if number is None:
        number = 0
        for name in text.split("|"):
            bit = UMASK_NAMES.get(name)
            if bit is None:
                r.error(
                    f"'{name}' is neither a number nor one of {', '.join(UMASK_NAMES)}",
                    suggestion=closest(name, UMASK_NAMES),
                )
                return DROP
            number |= bit
    if not 0 <= number <= 0o777:
        r.error(f"{text} is outside 0..0777")
        return DROP
    return number


def receive_policy(r: Reading) -> Any:
    words = {word.upper() for word in r.words[1:]}
    for at, word in enumerate(r.words[1:], 1):
        if word.upper() not in {"MTU", "ADVERT"}:
            r.wants(at + 1)
            return Integer(0, UINT, "BYTES").value(r, word, at)
    if {"MTU", "ADVERT"} <= words:
        r.error("both MTU and ADVERT; MTU is used", 2)
    return "MTU" if "MTU" in words else "ADVERT"


def garp_extra(low: int) -> Callable[[Reading], Any]:
    """A reader of `[all] SECONDS`: (on every interface, seconds)."""
    seconds = Integer(low, 86400, "SECONDS")

    def read(r: Reading) -> Any:
        everywhere = r.words[1] == "all"
        at = 2 if everywhere else 1
        if at >= len(r.words):
            r.error("a number of seconds is missing", 1)
            return DROP
        r.wants(at + 1)
        value = seconds.value(r, r.words[at], at)
        return DROP if value is DROP else (everywhere, value)

    return read


def include_checks(r: Reading) -> Any:
    """Carried out by the preprocessor; here its words are judged."""
    bare = 0
    for at, word in enumerate(r.words[1:], 1):
        name = word.lstrip("+-")
        if name not in CHECKS:
            r.error(f"unknown include check '{word}'", at, suggestion=closest(name, CHECKS))
        elif name == word:
            bare += 1
            if bare > 1:
                r.error(f"'{word}' has neither + nor -, like one before it", at)
    return tuple(r.words[1:])


def hmac_key(r: Reading) -> Any:
    """(id, how the key is written, its line). The key itself is looked at later: it may be in a file."""
    number = Integer(1, 255, "ID").value(r, r.words[1], 1)
    return DROP if number is DROP else (number, r.words[2], r.line)
