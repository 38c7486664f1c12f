"""use_vmac and use_ipvlan: lines of loosely ordered words."""

import re
from typing import Any

from fastha.config.arguments import DROP, InterfaceName, Reading
from fastha.config.diagnostics import Exit
from fastha.model.net import parse_address

MAC = re.compile(r"[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){4,5}")
MODES = ("bridge", "private", "vepa")


def _value(r: Reading, at: int) -> str | None:
    """The word after word `at`, which cannot do without it."""
    if at + 1 < len(r.words):
        return r.words[at + 1]
    r.error(f"'{r.words[at]}' needs a value", at, exit_code=Exit.MISSING_ARGUMENT)
    return None


def _name(r: Reading, options: dict[str, Any], text: str, at: int) -> None:
    if "name" in options:
        r.error(f"a second name: '{text}' is ignored", at)
        return
    if not text or set(text) & set("/: "):
        r.error(f"'{text}' cannot be the name of an interface; it is ignored", at)
        return
    name = InterfaceName().value(r, text, at)
    if name is not DROP:
        options["name"] = name


def use_vmac(r: Reading) -> Any:
    """A dict of what was given: name, mac, netlink_notify_msg, group."""
    options: dict[str, Any] = {}
    at = 1
    while at < len(r.words):
        word = r.words[at]
        if word == "netlink_notify_msg":
            options["netlink_notify_msg"] = True
        elif word in {"name", "group"}:
            value = _value(r, at)
            if value is None:
                return DROP
            at += 1
            if word == "name":
                _name(r, options, value, at)
            else:
                options["group"] = value
        elif ":" in word:
            _mac(r, options, word, at)
        else:
            _name(r, options, word, at)
        at += 1
    return options


def _mac(r: Reading, options: dict[str, Any], text: str, at: int) -> None:
    if not MAC.fullmatch(text):
        r.error(f"'{text}' is not a MAC address of 5 or 6 octets; it is ignored", at)
        return
    octets = [int(part, 16) for part in text.split(":")]
    if "mac" in options:
        r.error(f"a second MAC address: '{text}' is ignored", at)
    elif octets[0] & 1:
        r.error(f"'{text}' is a multicast MAC address; it is ignored", at)
    elif octets[:3] == [0, 0, 0x5E]:
        r.error(f"'{text}' is in the range of the RFC, which needs no word; it is ignored", at)
    else:
        options["mac"] = text


def use_ipvlan(r: Reading) -> Any:
    """A dict of what was given: name, address, prefixlen, mode, group."""
    options: dict[str, Any] = {}
    at = 1
    while at < len(r.words):
        word = r.words[at]
        if word in {"name", "group"}:
            value = _value(r, at)
            if value is None:
                return DROP
            at += 1
            if word == "name":
                _name(r, options, value, at)
            else:
                options["group"] = value
        elif word in MODES:
            if "mode" in options:
                r.error(f"a second mode: '{word}' is ignored", at)
            options.setdefault("mode", word)
        else:
            try:
                address = parse_address(word.partition("/")[0])
            except ValueError:
                _name(r, options, word, at)
            else:
                if "address" in options:
                    r.error(f"a second address: '{word}' is ignored", at)
                else:
                    options["address"] = address
                    _prefixlen(r, options, word.partition("/")[2], at)
        at += 1
    return options


def _prefixlen(r: Reading, options: dict[str, Any], text: str, at: int) -> None:
    full = 128 if ":" in options["address"] else 32
    if text.isdecimal() and int(text) <= full:
        options["prefixlen"] = int(text)
    elif text:
        r.error(f"'{text}' is no prefix length of 0..{full}; {full} is used", at)
