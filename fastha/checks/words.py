"""The last result of a checker in words, for status output and log lines."""

from errno import errorcode
from typing import Final

from fastha.checks.recipes import Verdict
from fastha.model.plan import HttpCheck, MiscCheck, TcpCheck

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


def result_words(
    check: TcpCheck | HttpCheck | MiscCheck, verdict: Verdict, errno: int, status: int, *, url: int = 0
) -> str:
    """`connected`, `connection refused`, `status 503 not in 200-299`, `exit 1`, ..."""
    if verdict == Verdict.LOCAL:
        return f"not probed: {error_words(errno)}" if errno else "not probed: could not be run"
    if verdict == Verdict.TIMEOUT:
        return "timed out" if not isinstance(check, TcpCheck) else "connection timed out"
    if verdict == Verdict.REFUSED:
        return error_words(errno)
    if verdict == Verdict.NO_DATA:
        return "no complete reply"
    if verdict == Verdict.DIGEST:
        return "digest differs"
    if verdict == Verdict.EXIT:
        return f"exit {status}" if status < 256 else f"killed by signal {status - 256}"
    if isinstance(check, HttpCheck):
        if verdict == Verdict.STATUS:
            return f"status {status} not in {_ranges(check.urls[min(url, len(check.urls) - 1)].status_codes)}"
        return f"status {status}"
    return "connected" if isinstance(check, TcpCheck) else f"exit {status}"
