# The parts that read what strangers say, without an engine around them: for tests. Included by `_checks.pyx`.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset

from epoll cimport sockaddr_in6
from http_frame cimport frame_begin, frame_t, frame_take
from http_reply cimport (
    DIGEST_SIZE, REPLY_DIGEST, REPLY_GOOD, REPLY_NO_DATA, REPLY_REGEX, REPLY_STATUS, expectation_t, reply_begin,
    reply_done, reply_end, reply_feed, reply_free, reply_judge, reply_t,
)
from probe_datagram cimport ECHO_REPLY, HEARD_GOOD, HEARD_NOTHING, judge_dns, judge_echo, judge_udp
from proxy_header cimport PROXY_ROOM, proxy_header
from smtp_reply cimport smtp_begin, smtp_feed, smtp_t
from talk cimport NOT_SAID, SAID, SAY_MORE, TALK_ROOM, said_t, talk_end, talk_judge, talk_open, talk_t

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
            if reply_done(&reply, expected):
                break
        end = reply_judge(&reply, expected)
        verdict = {
            REPLY_GOOD: Verdict.SUCCESS, REPLY_NO_DATA: Verdict.NO_DATA, REPLY_STATUS: Verdict.STATUS,
            REPLY_DIGEST: Verdict.DIGEST, REPLY_REGEX: Verdict.REGEX,
        }[end]
        reached = expected.digest != NULL and end in (REPLY_GOOD, REPLY_DIGEST, REPLY_REGEX)
        return verdict, reply.status, (<char *> reply.digest)[:DIGEST_SIZE] if reached else b""
    finally:
        reply_free(&reply)


def frame_http(bytes head, pieces, *, uint16_t status=200, bint bodiless=False):
    cdef frame_t frame
    cdef bytes octets
    cdef size_t taken = 0
    memset(&frame, 0, sizeof(frame))
    frame_begin(&frame, PyBytes_AS_STRING(head), <size_t> PyBytes_GET_SIZE(head), status, bodiless)
    for piece in pieces:
        octets = bytes(piece)
        taken += frame_take(&frame, PyBytes_AS_STRING(octets), <size_t> PyBytes_GET_SIZE(octets))
    return bool(frame.done), bool(frame.keeps), taken


def talk_through(pieces, patterns):
    cdef talk_t talk
    cdef _CompiledRegex regex
    cdef said_t said = SAY_MORE
    cdef bytes data = b""
    cdef size_t room
    cdef list left = list(pieces), waiting = list(patterns)
    cdef int passed = 0
    memset(&talk, 0, sizeof(talk))
    if talk_open(&talk) < 0:
        raise MemoryError
    try:
        for pattern in waiting:
            regex = _CompiledRegex(pattern)
            said = talk_judge(&talk, &regex.regex, False) if talk.size else SAY_MORE
            while said == SAY_MORE:
                if not data and left:
                    data = bytes(left.pop(0))
                room = min(TALK_ROOM - talk.size, <size_t> len(data))
                memcpy(talk.heard + talk.size, PyBytes_AS_STRING(data), room)
                talk.size += <uint32_t> room
                data = data[room:]
                said = talk_judge(&talk, &regex.regex, not data and not left)
            if said == NOT_SAID:
                break
            passed += 1
        return passed
    finally:
        talk_end(&talk)


def proxy_octets(kind, source, int source_port, target, int target_port):
    cdef sockaddr_in6 one, other
    cdef uint32_t size
    cdef char header[PROXY_ROOM]
    address_octets(source, source_port, &one, &size)
    address_octets(target, target_port, &other, &size)
    size = proxy_header(<uint8_t> kind, &one, &other, header)
    return header[:size]


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
    cdef _CompiledRecipe compiled = _CompiledRecipe(recipe)
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
