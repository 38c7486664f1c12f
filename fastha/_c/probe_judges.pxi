# The parts that read what strangers say, without an engine around them: for tests. Included by `_checks.pyx`.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint16_t
from libc.string cimport memset

from http_reply cimport (
    DIGEST_SIZE, REPLY_DIGEST, REPLY_GOOD, REPLY_NO_DATA, REPLY_REGEX, REPLY_STATUS, expectation_t, reply_begin,
    reply_end, reply_feed, reply_free, reply_judge, reply_t,
)
from probe_datagram cimport ECHO_REPLY, HEARD_GOOD, HEARD_NOTHING, judge_dns, judge_echo, judge_udp
from smtp_reply cimport smtp_begin, smtp_feed, smtp_t

from fastha.checks.recipes import Kind, Verdict


def judge_http(pieces, recipe):
    cdef reply_t reply
    cdef _CompiledRecipe compiled
    cdef expectation_t *expected
    cdef bytes octets
    cdef reply_end end
    if recipe.kind != Kind.HTTP and recipe.kind != Kind.SSL:
        raise ValueError(f"a reply to a {recipe.kind.name} probe is not judged")
    compiled = _CompiledRecipe(
        recipe, None, status_bitmap(recipe.status_codes) if recipe.status_codes else None,
        None if recipe.regex is None else _CompiledRegex(recipe.regex),
    )
    expected = &compiled.compiled.expected
    memset(&reply, 0, sizeof(reply))
    try:
        if reply_begin(&reply, expected) < 0:
            raise MemoryError
        for piece in pieces:
            octets = bytes(piece)
            reply_feed(&reply, PyBytes_AS_STRING(octets), <size_t> PyBytes_GET_SIZE(octets), expected)
        end = reply_judge(&reply, expected)
        verdict = {
            REPLY_GOOD: Verdict.SUCCESS, REPLY_NO_DATA: Verdict.NO_DATA, REPLY_STATUS: Verdict.STATUS,
            REPLY_DIGEST: Verdict.DIGEST, REPLY_REGEX: Verdict.REGEX,
        }[end]
        reached = expected.digest != NULL and end in (REPLY_GOOD, REPLY_DIGEST, REPLY_REGEX)
        return verdict, reply.status, (<char *> reply.digest)[:DIGEST_SIZE] if reached else b""
    finally:
        reply_free(&reply)


def smtp_codes(pieces):
    cdef smtp_t smtp
    cdef bytes octets
    cdef size_t at
    cdef bint line = False
    cdef list codes = []
    smtp_begin(&smtp)
    for piece in pieces:
        octets = bytes(piece)
        at = 0
        while at < <size_t> PyBytes_GET_SIZE(octets):
            at += smtp_feed(&smtp, PyBytes_AS_STRING(octets) + at, <size_t> PyBytes_GET_SIZE(octets) - at, &line)
            if line:
                codes.append(smtp.code)
    return codes


def judge_answer(bytes data, recipe, uint16_t token=0):
    cdef _CompiledRecipe compiled = _CompiledRecipe(recipe, None, None, None)
    cdef const uint8_t *octets = <const uint8_t *> PyBytes_AS_STRING(data)
    cdef size_t size = <size_t> PyBytes_GET_SIZE(data)
    cdef uint16_t status = 0
    if recipe.kind == Kind.UDP:
        heard = judge_udp(&compiled.compiled, octets, size)
    elif recipe.kind == Kind.DNS:
        heard = judge_dns(token, octets, size, &status)
    elif recipe.kind == Kind.PING:
        heard = judge_echo(token, ECHO_REPLY, octets, size)
    else:
        raise ValueError(f"a {recipe.kind.name} probe has no datagrams")
    if heard == HEARD_NOTHING:
        return None, 0
    if heard == HEARD_GOOD:
        return Verdict.SUCCESS, status
    return Verdict.STATUS if recipe.kind == Kind.DNS else Verdict.REPLY, status
