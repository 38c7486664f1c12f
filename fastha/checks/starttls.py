"""The dialogues that lead to TLS on a port which begins in plain text, and how one takes leave afterwards.

Each is as its standard says: RFC 3207 (SMTP), 2033 (LMTP), 8314 and 9051 (IMAP), 2595 (POP3), 4217 (FTP), 4513 (LDAP),
4642 (NNTP), 5804 (ManageSieve), 6120 (XMPP); PostgreSQL's manual, section "SSL Session Encryption".
"""

from typing import Final

from fastha.model.plan import Regex, StartTls, Step

_NAME: Final = "smtpchecker.keepalived.org"
"""What SMTP_CHECK says in HELO, too."""
_BER: Final = r"(?:[\x00-\x7f]|\x81.|\x82..|\x84....)"
"""A length in BER."""
_LDAP_STARTTLS: Final = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
_PG_SSL_REQUEST: Final = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


def _send(line: str) -> Step:
    return Step(send=f"{line}\r\n".encode())


def _hear(pattern: str) -> Step:
    return Step(expect=Regex(pattern=pattern))


def _reply(code: str) -> Step:
    """A reply of one or more lines that ends in a line with this code (RFC 5321, section 4.2; RFC 959, section 4.2)."""
    return _hear(rf"\A{code}(?: [^\n]*|-(?s:.*?)\n{code} [^\n]*|\r?)\n")


def _mail(greeting: str) -> tuple[Step, ...]:
    return _reply("220"), _send(f"{greeting} {_NAME}"), _reply("250"), _send("STARTTLS"), _reply("220")


BEFORE: Final[dict[StartTls, tuple[Step, ...]]] = {
    StartTls.SMTP: _mail("EHLO"),
    StartTls.LMTP: _mail("LHLO"),
    StartTls.IMAP: (_hear(r"\A\* OK[^\n]*\n"), _send("a STARTTLS"), _hear(r"\A(?:\*[^\n]*\n)*a OK[^\n]*\n")),
    StartTls.POP3: (_hear(r"\A\+OK[^\n]*\n"), _send("STLS"), _hear(r"\A\+OK[^\n]*\n")),
    StartTls.FTP: (_reply("220"), _send("AUTH TLS"), _reply("234")),
    StartTls.NNTP: (_hear(r"\A20[01][^\n]*\n"), _send("STARTTLS"), _hear(r"\A382[^\n]*\n")),
    StartTls.SIEVE: (_hear(r"(?m)^OK\b[^\n]*\n"), _send("STARTTLS"), _hear(r"\AOK\b[^\n]*\n")),
    StartTls.LDAP: (Step(send=_LDAP_STARTTLS), _hear(rf"(?s)\A0{_BER}\x02\x01\x01x{_BER}\x0a\x01\x00")),
    StartTls.POSTGRES: (Step(send=_PG_SSL_REQUEST), _hear(r"\AS")),
}
"""From the connection to the moment when TLS begins, by protocol; XMPP's is made by `steps`."""
AFTER: Final[dict[StartTls, tuple[Step, ...]]] = {
    StartTls.SMTP: (_send("QUIT"),),
    StartTls.LMTP: (_send("QUIT"),),
    StartTls.IMAP: (_send("b LOGOUT"),),
    StartTls.POP3: (_send("QUIT"),),
    StartTls.FTP: (_send("QUIT"),),
    StartTls.NNTP: (_send("QUIT"),),
    StartTls.SIEVE: (_send("LOGOUT"),),
}
"""What is said under TLS when the check asks for nothing else."""


def _xmpp(host: str) -> tuple[Step, ...]:
    stream = (
        f"<?xml version='1.0'?><stream:stream xmlns='jabber:client' to='{host}' version='1.0' "
        "xmlns:stream='http://etherx.jabber.org/streams'>"
    )
    return (
        Step(send=stream.encode("utf-8", "surrogateescape")),
        _hear(r"(?s)urn:ietf:params:xml:ns:xmpp-tls.*?</stream:features>"),
        Step(send=b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        _hear(r"<proceed\b[^>]*>"),
    )


def steps(protocol: StartTls, host: str, talk: tuple[Step, ...]) -> tuple[tuple[Step, ...], int]:
    """The whole dialogue, and how many of its steps come before TLS; `talk` follows it. `host`: who XMPP asks for."""
    before = _xmpp(host) if protocol is StartTls.XMPP else BEFORE[protocol]
    return before + (talk or AFTER.get(protocol, ())), len(before)
