"""Words of fastha's own for checks that the probe engine makes: how connections begin and end, dialogues, TLS, HTTP."""

import re
from typing import Any, Final

from fastha.config.arguments import DROP, Bool, Choice, Custom, Integer, Reading, Text, one_of
from fastha.config.schema.entry import Repeat, Status, Word
from fastha.config.schema.http import hex_octets
from fastha.model.plan import Proxy, Regex, StartTls, Step

OURS: Final = Status.OURS
TOKEN: Final = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
"""RFC 9110, section 5.6.2."""
ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{2}|.?)", re.DOTALL)
PLAIN: Final = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\", '"': '"'}
FRAMING: Final = frozenset({"content-length", "transfer-encoding"})


def octets(r: Reading, text: str, at: int = 1) -> bytes | None:
    r"""Text with \r, \n, \t, \0, \\ and \xHH; None, and said, when something else is escaped."""
    bad = next((m[0] for m in ESCAPE.finditer(text) if m[1] not in PLAIN and len(m[1]) != 3), None)
    if bad is not None:
        r.error(rf"'{bad}' is none of \r, \n, \t, \0, \\ and \xHH; {r.dropped}", at)
        return None
    pieces = re.split(ESCAPE, text)
    out = b""
    for i, piece in enumerate(pieces):
        if i % 2 == 0:
            out += piece.encode("utf-8", "surrogateescape")
        else:
            out += bytes([int(piece[1:], 16)]) if len(piece) == 3 else PLAIN[piece].encode()
    return out


def literal(text: bytes) -> Regex:
    """The pattern that stands for these octets."""
    return Regex(pattern="".join(chr(c) if chr(c).isalnum() and c < 128 else rf"\x{c:02x}" for c in text))


def send(r: Reading) -> Any:
    text = octets(r, r.words[1])
    return DROP if text is None else Step(send=text)


def send_hex(r: Reading) -> Any:
    text = hex_octets(r)
    return DROP if text is DROP else Step(send=text)


def expect(r: Reading) -> Any:
    text = octets(r, r.words[1])
    if text == b"":
        r.error(f"nothing to wait for; {r.dropped}")
        return DROP
    return DROP if text is None else Step(expect=literal(text))


def expect_hex(r: Reading) -> Any:
    text = hex_octets(r)
    return DROP if text is DROP else Step(expect=literal(text))


def expect_regex(r: Reading) -> Any:
    return Step(expect=Regex(pattern=r.words[1]))


def body(r: Reading) -> Any:
    text = octets(r, r.words[1])
    return DROP if text is None else text


def method(r: Reading) -> Any:
    if not TOKEN.fullmatch(r.words[1]):
        r.error(f"'{r.words[1]}' is no HTTP method; {r.dropped}")
        return DROP
    return r.words[1]


def header(r: Reading) -> Any:
    """(name, value)."""
    if len(r.words) > 2:
        whole = " ".join(r.words[1:])
        r.error(f"a header is one word; {r.dropped}", 2, suggestion=f'put it in double quotes: "{whole}"')
        return DROP
    name, colon, value = r.words[1].partition(":")
    if not colon or not TOKEN.fullmatch(name):
        r.error(f"a header is 'Name: value', and a name has no blanks; {r.dropped}", suggestion='header "Accept: */*"')
        return DROP
    if name.lower() in FRAMING:
        r.error(f"'{name}' follows from the body; {r.dropped}")
        return DROP
    return name, value.strip()


def proxy(r: Reading) -> Any:
    found = {
        ("1", "own"): Proxy.V1,
        ("2", "own"): Proxy.V2,
        ("1", "local"): Proxy.V1_LOCAL,
        ("2", "local"): Proxy.V2_LOCAL,
    }.get((r.words[1], r.words[2] if len(r.words) > 2 else "own"))
    if found is None:
        r.error(f"'{' '.join(r.words[1:])}' is not 1 or 2, with 'own' or 'local' behind it; {r.dropped}")
        return DROP
    return found


def _word(name: str, arguments: Any, default: str, effect: str, example: str, **more: Any) -> Word:
    shown = f"{name} {example}".strip()
    return Word(name=name, arguments=arguments, default=default, effect=effect, status=OURS, example=shown, **more)


CLOSE = _word(
    "close",
    Choice(one_of(["fin", "rst"]), required="error", what="end"),
    "checker_close",
    "How the connection ends: as close() does it (fin), or with a reset, which leaves nothing behind here.",
    "rst",
)
PROXY = _word(
    "proxy_protocol",
    Custom(proxy, "1|2 [own|local]", most=2),
    "none",
    "The connection begins with this version of the PROXY header: with the check's own addresses, or (local) as a "
    "connection of the proxy itself.",
    "2 local",
)
CONNECTING = (CLOSE, PROXY)
"""For all checks over a connection."""
TLS = (
    _word(
        "tls_ca",
        Text("PATH|system"),
        "none: any certificate will do",
        "Certificates that the server's is judged by; system: those the host trusts.",
        "/etc/ssl/ca.pem",
        repeat=Repeat.REPLACED,
    ),
    _word(
        "tls_name",
        Text("NAME"),
        "the name sent in the handshake",
        "Name sent in the handshake (unless sni_name says another); with tls_ca the certificate must be for it.",
        "www.example.net",
        repeat=Repeat.REPLACED,
    ),
    _word(
        "tls_days_left",
        Integer(0, 3650, "DAYS"),
        "not looked at",
        "The check fails when the certificate is good for fewer days.",
        "14",
    ),
    _word(
        "tls_resume",
        Bool(),
        "false",
        "Resumes the TLS session of the check before, for an hour at most: a fraction of the work, on both sides.",
        "",
    ),
)
TALK = (
    _word(
        "half_open",
        Bool(),
        "false",
        "The server's SYN-ACK is answered by a reset, so that its program never sees a connection.",
        "",
    ),
    *(
        _word(name, Custom(reader, shape, required="error", most=most), "none", effect, example, store="talk",
              repeat=Repeat.MANY)
        for name, reader, shape, most, effect, example in (
            ("send", send, r"TEXT (\r \n \t \0 \\ \xHH)", 1, "Sends this; send and expect lines follow in their order.",
             r'"PING\r\n"'),
            ("send_hex", send_hex, "HEX...", None, "The same in octets.", "50 49 4e 47 0d 0a"),
            ("expect", expect, r"TEXT (\r \n \t \0 \\ \xHH)", 1,
             "Waits until the server has said this, behind what the line before has found; connect_timeout each.",
             "+PONG"),
            ("expect_hex", expect_hex, "HEX...", None, "The same in octets.", "2b 50 4f 4e 47"),
            ("expect_regex", expect_regex, "PATTERN", 1,
             "The same with a pattern (PCRE2); one that begins with ^ fails at once when it cannot match any more.",
             r'"^\+PONG\r\n"'),
        )
    ),
    _word("tls", Bool(), "false", "The dialogue, or nothing but its handshake, is held under TLS.", ""),
    _word(
        "starttls",
        Choice({str(one): one for one in StartTls}, required="error", what="protocol"),
        "none",
        "Greets the server in this protocol and goes over to TLS; what is to be sent and expected comes after that.",
        "smtp",
    ),
)  # fmt: skip
"""For TCP_CHECK."""
TALK_SNI = _word(
    "sni_name",
    Text("NAME"),
    "tls_name",
    "Name sent in the TLS handshake.",
    "mail.example.net",
    repeat=Repeat.REPLACED,
)
HEADER = _word(
    "header",
    Custom(header, '"NAME: VALUE"', required="error"),
    "none",
    "A header of the request; it replaces one that the request has anyway, such as Host.",
    '"Accept: application/json"',
    store="headers",
    repeat=Repeat.MANY,
)
KEEPALIVE = _word(
    "keepalive",
    Bool(),
    "false",
    "One connection serves check after check, as long as the server keeps it. Asks in HTTP/1.1.",
    "",
)
REQUEST = (
    _word("method", Custom(method, "METHOD", most=1), "GET", "Method of the request.", "HEAD", repeat=Repeat.REPLACED),
    HEADER,
    _word(
        "body",
        Custom(body, r"TEXT (\r \n \t \0 \\ \xHH)", most=1),
        "none",
        "Body of the request; Content-Length is added.",
        '"user=probe"',
        repeat=Repeat.REPLACED,
    ),
)
"""For urls."""
