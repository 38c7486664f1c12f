"""Digests, status codes, hexadecimal octets, domain names."""

import re
from typing import Any

from fastha.config.arguments import DROP, Reading
from fastha.config.diagnostics import closest

REGEX_OPTIONS = frozenset({
    "allow_empty_class", "alt_bsux", "auto_callout", "caseless", "dollar_endonly", "dotall", "dupnames", "extended",
    "firstline", "match_unset_backref", "multiline", "never_ucp", "never_utf", "no_auto_capture", "no_auto_possess",
    "no_dotstar_anchor", "no_start_optimize", "ucp", "ungreedy", "utf", "never_backslash_c", "alt_circumflex",
    "alt_verbnames", "use_offset_limit",
})  # fmt: skip
CODE = re.compile(r"([0-9]{3})(?:-([0-9]{3}))?")


def digest(r: Reading) -> Any:
    """16 bytes of MD5."""
    text = r.words[1]
    if len(text) != 32:
        r.error(f"a digest has 32 digits; '{text}' has {len(text)}; the line is ignored")
        return DROP
    try:
        return bytes.fromhex(text)
    except ValueError:
        r.error(f"'{text}' is not hexadecimal; the line is ignored")
        return DROP


def status_codes(r: Reading) -> Any:
    """Inclusive ranges; a bad word is reported and left out."""
    ranges = []
    for at, text in enumerate(r.words[1:], 1):
        match = CODE.fullmatch(text)
        low = int(match[1]) if match else 0
        high = int(match[2] or match[1]) if match else 0
        if not 100 <= low <= high <= 599:
            r.error(f"'{text}' is no status code or range of 100..599; it is ignored", at)
            continue
        ranges.append((low, high))
    return tuple(ranges)


def _octets(r: Reading, alphabet: str) -> list[str] | None:
    """Two characters per octet: blanks end one, a lone digit is one."""
    octets: list[str] = []
    for at, text in enumerate(r.words[1:], 1):
        if not text or not all(c in alphabet for c in text.lower()):
            r.error(f"'{text}' is not hexadecimal", at)
            return None
        octets += [text[i : i + 2].rjust(2, "0") for i in range(0, len(text), 2)]
    return octets


def hex_octets(r: Reading) -> Any:
    octets = _octets(r, "0123456789abcdef")
    return DROP if octets is None else bytes.fromhex("".join(octets))


def reply_pattern(r: Reading) -> Any:
    """Pairs (value, mask) per octet; empty: any answer."""
    octets = _octets(r, "0123456789abcdefx")
    if octets is None:
        return ()
    return tuple(
        (
            int(octet.lower().replace("x", "0"), 16),
            int("".join("0" if c in "xX" else "f" for c in octet), 16),
        )
        for octet in octets
    )


def stack(r: Reading) -> Any:
    """(start, max) octets."""
    if len(r.words) != 3 or not (r.words[1].isdecimal() and r.words[2].isdecimal()):
        r.note("'regex_stack' takes two numbers; the line is ignored")
        return DROP
    start, most = int(r.words[1]), int(r.words[2])
    if start > most:
        r.note(f"{start} is above {most}; the line is ignored")
        return DROP
    return start, most


def domain_name(r: Reading) -> Any:
    """A name without empty labels; a dot at its end is allowed."""
    name: str = r.words[1]
    labels = name.removesuffix(".").split(".") if name != "." else []
    if "" in labels:
        r.error(f"'{name}' has an empty label; the line is ignored")
        return DROP
    octets = [len(label.encode("utf-8", "surrogateescape")) for label in labels]
    if any(size > 63 for size in octets) or sum(octets) + len(octets) > 254:
        r.error(f"'{name}' is too long for a name (63 octets a label, 255 in all); the line is ignored")
        return DROP
    return name


def offset(r: Reading) -> Any:
    """An offset in the body; keepalived takes a bad one for 0 without counting it as an error."""
    text = r.words[1]
    if not (text.isascii() and text.isdecimal()):
        r.note(f"'{text}' is no number of octets; 0 is used")
        return 0
    return int(text)


def regex_options(r: Reading) -> Any:
    """PCRE2 options. keepalived passes over unknown ones in silence; here they are at least remarked on."""
    for at, word in enumerate(r.words[1:], 1):
        if word not in REGEX_OPTIONS:
            r.note(f"unknown option '{word}'; it is ignored", at, suggestion=closest(word, REGEX_OPTIONS))
    return tuple(word for word in r.words[1:] if word in REGEX_OPTIONS)
