"""The last result of a checker in words, for status output and log lines."""

from errno import errorcode
from typing import Final

from fastha.checks.life import Check, FileChecker
from fastha.checks.recipes import Verdict
from fastha.model.plan import DnsCheck, HttpCheck, PingCheck, SmtpCheck, TcpCheck, UdpCheck, Url

_ERRORS: Final = {
    "ECONNREFUSED": "connection refused",
    "ECONNRESET": "connection reset",
    "ECONNABORTED": "connection aborted",
    "EHOSTUNREACH": "host unreachable",
    "EHOSTDOWN": "host down",
    "ENETUNREACH": "network unreachable",
    "ENETDOWN": "network down",
    "ETIMEDOUT": "connection timed out",
    "EADDRNOTAVAIL": "no source address or port",
    "EMFILE": "no descriptors left",
    "ENFILE": "no descriptors left",
    "ENOMEM": "no memory",
    "ENOBUFS": "no buffers",
    "EACCES": "forbidden here",
    "EPERM": "forbidden here",
}


def error_words(number: int) -> str:
    """`connection refused`; the symbol for a rare one."""
    symbol = errorcode.get(number, f"errno {number}")
    return _ERRORS.get(symbol, symbol)


def _ranges(codes: tuple[tuple[int, int], ...]) -> str:
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in codes)


_RCODES: Final = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
_TLS: Final = {
    0: "the connection ended",
    267: "not TLS",
    294: "the connection ended",
    1040: "handshake refused",
    1042: "our certificate is refused",
    1070: "no protocol version in common",
    1112: "unknown server name",
    1116: "a client certificate is required",
}
"""OpenSSL's reasons (sslerr.h); 1000 and more are alerts of the peer."""
_CERTIFICATES: Final = {
    9: "is not valid yet",
    10: "has expired",
    18: "is self-signed",
    19: "comes from an unknown authority",
    20: "comes from an unknown authority",
    21: "comes from an unknown authority",
    23: "is revoked",
    26: "is not for servers",
    62: "is for another name",
    64: "is for another address",
}
"""OpenSSL's X509_V_ERR (x509_vfy.h)."""
_GOOD: Final[dict[type, str]] = {
    UdpCheck: "not refused",
    PingCheck: "answered",
    DnsCheck: "answered",
    SmtpCheck: "greeted",
}


def _status(check: Check, status: int, url: Url | None) -> str:
    """Which status came, and why it is not good."""
    if isinstance(check, DnsCheck):
        return f"answer {_RCODES.get(status, f'RCODE {status}')}"
    if isinstance(check, SmtpCheck):
        return f"answer {status}" if status else "answer without a code"
    return f"status {status} not in {_ranges(url.status_codes)}" if url is not None else f"status {status}"


def _certificate(error: int, days: int) -> str:
    if error:
        return f"the certificate {_CERTIFICATES.get(error, f'is not good (X509_V_ERR {error})')}"
    return f"the certificate is good for {days} more days only"


def _tcp(check: TcpCheck, verdict: Verdict, step: int) -> str:
    """What came of a connection, or of a dialogue: `step` is the last one that was begun."""
    within = f" in step {step} of the dialogue" if step else ""
    match verdict:
        case Verdict.TIMEOUT:
            return f"timed out{within}" if within else "connection timed out"
        case Verdict.NO_DATA:
            return f"closed without an answer{within}"
        case Verdict.REPLY:
            return f"another answer than required{within}"
    return "answered" if check.talk or check.starttls else "TLS handshake done" if check.tls else "connected"


def result_words(check: Check, verdict: Verdict, errno: int, status: int, *, url: int = 0, text: str = "") -> str:
    """`connected`, `connection refused`, `status 503 not in 200-299`, `exit 1`, ...; `text` when that says it."""
    if text:
        return text
    page = check.urls[min(url, len(check.urls) - 1)] if isinstance(check, HttpCheck) else None
    match verdict:
        case Verdict.LOCAL:
            return f"not probed: {error_words(errno)}" if errno else "not probed: could not be run"
        case Verdict.TIMEOUT | Verdict.NO_DATA | Verdict.REPLY | Verdict.SUCCESS if isinstance(check, TcpCheck):
            return _tcp(check, verdict, status)
        case Verdict.TIMEOUT:
            return "timed out"
        case Verdict.REFUSED:
            return error_words(errno)
        case Verdict.NO_DATA:
            return "no complete reply"
        case Verdict.DIGEST:
            return "digest differs"
        case Verdict.REGEX:
            unwanted = page is not None and page.regex is not None and page.regex.no_match
            return "the pattern is in the body" if unwanted else "the pattern is not in the body"
        case Verdict.TLS:
            return f"TLS failed: {_TLS.get(errno, f'reason {errno}')}"
        case Verdict.CERTIFICATE:
            return _certificate(errno, status)
        case Verdict.REPLY:
            return "another answer than required"
        case Verdict.EXIT:
            return f"exit {status}" if status < 256 else f"killed by signal {status - 256}"
        case Verdict.STATUS:
            return _status(check, status, page)
    if page is not None:
        return f"status {status}"
    return _GOOD.get(type(check), f"exit {status}")


def file_words(checker: FileChecker) -> str:
    """`drain is 1`, `drain is 3: weight +3`."""
    if checker.value is None:
        return "not read yet"
    amount = f": weight {checker.amount:+d}" if checker.amount else ""
    return f"{checker.check.track_file} is {checker.value}{amount}"
