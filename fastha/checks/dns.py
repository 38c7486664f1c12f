"""The DNS query of DNS_CHECK (RFC 1035 section 4)."""

from typing import Final

TYPES: Final = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28, "RRSIG": 46, "DNSKEY": 48}
_RECURSION_DESIRED: Final = 0x0100
_CLASS_IN: Final = 1
_LABEL_MOST: Final = 63
_NAME_MOST: Final = 255


def encode_name(name: str) -> bytes:
    """A name as labels; `.` is the root. ValueError for a label or a name that is too long, or an empty label."""
    bare = name.removesuffix(".")
    labels = [label.encode("utf-8", "surrogateescape") for label in bare.split(".")] if bare else []
    for label in labels:
        if not 0 < len(label) <= _LABEL_MOST:
            raise ValueError(f"a label of {len(label)} octets in '{name}'; it may have 1 to {_LABEL_MOST}")
    encoded = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    if len(encoded) > _NAME_MOST:
        raise ValueError(f"'{name}' has {len(encoded)} octets; a name may have {_NAME_MOST}")
    return encoded


def query(name: str, kind: str) -> bytes:
    """One question for records of type `kind`, class IN, recursion desired; the id is 0, to be filled in."""
    header = b"\0\0" + _RECURSION_DESIRED.to_bytes(2) + b"\0\1" + bytes(6)
    return header + encode_name(name) + TYPES[kind].to_bytes(2) + _CLASS_IN.to_bytes(2)
