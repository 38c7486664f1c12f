"""What is said and heard in the short dialogues of service checks: MySQL, PostgreSQL, Redis, LDAP, gRPC health.

Only as much as it takes to know whether a server serves; logging in to a database is a library's business. What is
heard comes from strangers: ValueError says that it is not what it should be, `Heard` what it means otherwise.

Sources: MySQL's and PostgreSQL's protocol chapters ("Connection Phase"; "Message Formats"), the RESP specification,
RFC 4511 sections 4.2 and 4.3, the gRPC health checking protocol and Protocol Buffers' encoding.
"""

from typing import Final, NamedTuple

LIMIT: Final = 65536
"""Octets of the longest message that is read."""


class Heard(NamedTuple):
    """An answer: whether the server serves, its own code for that (0: none), and in words."""

    good: bool
    status: int
    text: str


def _text(octets: bytes) -> str:
    """What a stranger wrote, fit for a line of a log."""
    return "".join(c if c.isprintable() else " " for c in octets[:200].decode("utf-8", "replace")).strip()


# -------------------------------------------------------------------------------------------- MySQL

MYSQL_HEADER: Final = 4
"""Octets: three of the length, one of the sequence number."""
_HANDSHAKE_V10: Final = 10
_ERR: Final = 0xFF


def mysql_length(header: bytes) -> int:
    """Octets of the packet behind this header."""
    length = int.from_bytes(header[:3], "little")
    if not 0 < length <= LIMIT or header[3] != 0:
        raise ValueError("not MySQL")
    return length


def mysql_greeting(packet: bytes) -> Heard:
    """The first packet of a server: its greeting, or an error (too many connections, host blocked)."""
    if packet[0] == _ERR:
        if len(packet) < 3:
            raise ValueError("not MySQL")
        words = packet[9:] if packet[3:4] == b"#" else packet[3:]
        code = int.from_bytes(packet[1:3], "little")
        return Heard(False, code, f"error {code}: {_text(words)}")
    version, end, _ = packet[1:].partition(b"\0")
    if packet[0] != _HANDSHAKE_V10 or not end:
        raise ValueError("not MySQL")
    return Heard(True, 0, f"greeted by {_text(version)}")


# --------------------------------------------------------------------------------------- PostgreSQL

PGSQL_HEADER: Final = 5
"""Octets: the kind, four of the length that counts itself."""
_PROTOCOL_3: Final = 196608
_NOT_YET: Final = ("57P03", "53300", "57P01", "57P02")
"""cannot_connect_now, too_many_connections, admin_shutdown, crash_shutdown; after any other refusal it works."""


def pgsql_startup(user: str, database: str) -> bytes:
    """The first message: who wants to log in, and to which database (empty: as the user)."""
    words = ["user", user, *(["database", database] if database else []), "application_name", "fastha"]
    body = _PROTOCOL_3.to_bytes(4) + b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in words) + b"\0"
    return (len(body) + 4).to_bytes(4) + body


def pgsql_length(header: bytes) -> int:
    """Octets of the message behind this header."""
    length = int.from_bytes(header[1:5]) - 4
    if header[:1] not in (b"R", b"E", b"v") or not 0 <= length <= LIMIT:
        raise ValueError("not PostgreSQL")
    return length


def pgsql_answer(kind: bytes, message: bytes) -> Heard:
    """What comes of the first message: asked for a password, let in, or refused (pg_isready judges the same way)."""
    if kind != b"E":
        return Heard(True, 0, "accepts connections")
    fields = {part[:1]: part[1:] for part in message.split(b"\0") if part}
    state = _text(fields.get(b"C", b""))
    text = f"{state} {_text(fields.get(b'M', b''))}".strip()
    if not state:
        raise ValueError("not PostgreSQL")
    return Heard(state not in _NOT_YET, 0, text if state in _NOT_YET else f"accepts connections ({text})")


# -------------------------------------------------------------------------------------------- Redis


def redis_command(*words: str) -> bytes:
    """A command as an array of bulk strings."""
    encoded = [word.encode("utf-8", "surrogateescape") for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)


def redis_reply(line: bytes) -> Heard:
    """A reply of one line: `+OK`, `-LOADING ...`."""
    if line[:1] not in (b"+", b"-") or not line.endswith(b"\r\n"):
        raise ValueError("not Redis")
    return Heard(line[:1] == b"+", 0, _text(line[1:]))


# --------------------------------------------------------------------------------------------- LDAP

LDAP_UNBIND: Final = bytes.fromhex("30 05 02 01 02 42 00")
_INTEGER, _OCTETS, _ENUMERATED, _SEQUENCE, _BIND, _BIND_RESPONSE, _SIMPLE = 0x02, 0x04, 0x0A, 0x30, 0x60, 0x61, 0x80
_RESULTS: Final = {
    1: "operationsError",
    2: "protocolError",
    7: "authMethodNotSupported",
    8: "strongerAuthRequired",
    32: "noSuchObject",
    34: "invalidDNSyntax",
    48: "inappropriateAuthentication",
    49: "invalidCredentials",
    50: "insufficientAccessRights",
    51: "busy",
    52: "unavailable",
    53: "unwillingToPerform",
    80: "other",
}
"""RFC 4511 appendix A."""


def _element(tag: int, contents: bytes) -> bytes:
    size = len(contents)
    if size < 0x80:
        return bytes((tag, size)) + contents
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets + contents


def ldap_bind(name: str, password: str) -> bytes:
    """A simple bind; both empty: anonymous."""
    names = _element(_OCTETS, name.encode("utf-8", "surrogateescape"))
    secret = _element(_SIMPLE, password.encode("utf-8", "surrogateescape"))
    return _element(_SEQUENCE, b"\x02\x01\x01" + _element(_BIND, b"\x02\x01\x03" + names + secret))


def ldap_size(octets: bytes) -> int | None:
    """Octets of the element that begins like this; None: more must be read to know."""
    if octets[:1] not in (b"", bytes((_SEQUENCE,))):
        raise ValueError("not LDAP")
    if len(octets) < 2:
        return None
    first = octets[1]
    if first < 0x80:
        return 2 + first
    count = first & 0x7F
    if not 1 <= count <= 4:
        raise ValueError("not LDAP")
    if len(octets) < 2 + count:
        return None
    size = int.from_bytes(octets[2 : 2 + count])
    if size > LIMIT:
        raise ValueError("not LDAP")
    return 2 + count + size


def _take(octets: bytes, tag: int) -> tuple[bytes, bytes]:
    """(contents of the first element, what follows it)."""
    if len(octets) < 2 or octets[0] != tag:
        raise ValueError("not LDAP")
    size, start = octets[1], 2
    if size >= 0x80:
        start += size & 0x7F
        size = int.from_bytes(octets[2:start])
    if start + size > len(octets):
        raise ValueError("not LDAP")
    return octets[start : start + size], octets[start + size :]


def ldap_answer(message: bytes) -> Heard:
    """The result of a bind."""
    envelope, _ = _take(message, _SEQUENCE)
    _, rest = _take(envelope, _INTEGER)
    answer, _ = _take(rest, _BIND_RESPONSE)
    code, rest = _take(answer, _ENUMERATED)
    _, rest = _take(rest, _OCTETS)
    words, _ = _take(rest, _OCTETS)
    status = int.from_bytes(code)
    if not status:
        return Heard(True, 0, "bound")
    text = f"result {status} {_RESULTS.get(status, '')}".rstrip()
    return Heard(False, min(status, 65535), f"{text}: {_text(words)}" if words else text)


# --------------------------------------------------------------------------------------------- gRPC

GRPC_PATH: Final = "/grpc.health.v1.Health/Check"
_SERVING: Final = 1
_HEALTH: Final = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_CODES: Final = {
    1: "CANCELLED",
    2: "UNKNOWN",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    16: "UNAUTHENTICATED",
}


def grpc_request(service: str) -> bytes:
    """A HealthCheckRequest, with the five octets that go before a message: not compressed, and its length."""
    name = service.encode("utf-8", "surrogateescape")
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4) + message


def _varint(number: int) -> bytes:
    octets = bytearray()
    while number >= 0x80:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def _read_varint(octets: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(octets) or shift > 63:
            raise ValueError("not a health report")
        number |= (octets[at] & 0x7F) << shift
        if octets[at] < 0x80:
            return number, at + 1
        at, shift = at + 1, shift + 7


def _health(message: bytes) -> int:
    """Field 1 of a HealthCheckResponse, 0 when it is left out; other fields are skipped."""
    status = at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _read_varint(message, at)
            if key >> 3 == 1:
                status = value
        elif kind == 2:
            size, at = _read_varint(message, at)
            at += size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("not a health report")
    return status


def grpc_answer(body: bytes, code: str, words: str) -> Heard:
    """What a call has come to: its body, `grpc-status` and `grpc-message`."""
    if not code.isascii() or not code.isdecimal() or len(code) > 3:
        raise ValueError("no grpc-status")
    status = int(code)
    if status:
        text = f"grpc-status {status} {_CODES.get(status, '')}".rstrip()
        return Heard(False, status, f"{text}: {_text(words.encode('utf-8', 'replace'))}" if words else text)
    if len(body) < 5 or body[0] or int.from_bytes(body[1:5]) != len(body) - 5:
        raise ValueError("not a health report")
    health = _health(body[5:])
    return Heard(health == _SERVING, 0, _HEALTH.get(health, f"health {health}"))
