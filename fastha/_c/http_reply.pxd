# One HTTP reply, judged as keepalived does, octet by octet as it arrives. No IO and nothing of the engine in here.
#
# The header must end within the first 4095 octets. The status is the three digits after the first blank, and must be
# followed by a blank (`HTTP/1.1 200` alone counts as 0). Content-Length is found by its exact text; it bounds what the
# digest covers and is otherwise not enforced. The body ends when the peer closes, or where its framing says if that is
# asked for. Chunked coding is not undone. The tests in order, the first miss decides: there is a header, its status,
# the digest of the body, a pattern in the body.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcmp, memcpy

from body_regex cimport SEARCH_ON, regex_t, search_begin, search_end, search_feed, search_free, search_t
from http_frame cimport FRAME_CHUNKED, frame_begin, frame_t, frame_take


cdef extern from "string.h" nogil:
    void *memmem(const void *haystack, size_t size, const void *needle, size_t needle_size)


cdef extern from "openssl/evp.h" nogil:
    ctypedef struct EVP_MD_CTX:
        pass
    ctypedef struct EVP_MD:
        pass
    EVP_MD_CTX *EVP_MD_CTX_new()
    void EVP_MD_CTX_free(EVP_MD_CTX *context)
    const EVP_MD *EVP_md5()
    int EVP_DigestInit_ex(EVP_MD_CTX *context, const EVP_MD *kind, void *engine)
    int EVP_DigestUpdate(EVP_MD_CTX *context, const void *data, size_t size)
    int EVP_DigestFinal_ex(EVP_MD_CTX *context, unsigned char *digest, unsigned int *size)


cdef enum:
    HEADER_LIMIT = 4095
    DIGEST_SIZE = 16
    STATUS_OCTETS = 128  # a bitmap of the statuses 0..999


cdef struct expectation_t:
    const uint8_t *statuses  # bitmap of STATUS_OCTETS; NULL: any will do
    const uint8_t *digest  # NULL: none wanted
    regex_t *regex  # NULL: the body is not searched
    uint8_t framed  # the reply may end before the connection does
    uint8_t bodiless  # no body follows, whatever the header says


cdef enum reply_end:
    REPLY_GOOD
    REPLY_NO_DATA
    REPLY_STATUS
    REPLY_DIGEST
    REPLY_REGEX


cdef struct reply_t:
    char *head  # HEADER_LIMIT octets while the header is incomplete, else NULL
    uint32_t head_size
    uint16_t status
    uint8_t complete  # the header is
    uint8_t hopeless  # the header does not end within the limit; 2: no memory to keep it
    int64_t length  # Content-Length; -1: none
    uint64_t body  # octets of the body so far
    EVP_MD_CTX *md5  # kept from reply to reply once it was needed
    uint8_t digest[DIGEST_SIZE]
    search_t search
    frame_t frame


cdef inline int reply_begin(reply_t *reply, const expectation_t *expected) noexcept nogil:
    """0, or -1 when there is no memory (or no MD5)."""
    reply.head_size = 0
    reply.status = 0
    reply.complete = reply.hopeless = 0
    reply.length = -1
    reply.body = 0
    if expected.regex != NULL:
        search_begin(&reply.search, expected.regex)
    if expected.digest != NULL:
        if reply.md5 == NULL:
            reply.md5 = EVP_MD_CTX_new()
        if reply.md5 == NULL or EVP_DigestInit_ex(reply.md5, EVP_md5(), NULL) != 1:
            return -1
    return 0


cdef inline void reply_end_head(reply_t *reply) noexcept nogil:
    free(reply.head)
    reply.head = NULL


cdef inline void reply_drop(reply_t *reply) noexcept nogil:
    """Give back what a reply holds; the MD5 stays for the next one."""
    reply_end_head(reply)
    search_free(&reply.search)


cdef inline bint body_matters(const reply_t *reply, const expectation_t *expected) noexcept nogil:
    """Is anybody interested in the octets still to come, beyond their number?"""
    return (
        not reply.complete or expected.digest != NULL or (expected.framed and reply.frame.kind == FRAME_CHUNKED)
        or (expected.regex != NULL and reply.search.state == SEARCH_ON)
    )


cdef inline bint reply_done(const reply_t *reply, const expectation_t *expected) noexcept nogil:
    """Is it complete, though the connection goes on?"""
    return expected.framed and reply.complete and reply.frame.done


cdef inline void reply_free(reply_t *reply) noexcept nogil:
    reply_drop(reply)
    EVP_MD_CTX_free(reply.md5)
    reply.md5 = NULL


cdef inline uint16_t parse_status(const char *head, size_t size) noexcept nogil:
    cdef const char *blank = <const char *> memchr(head, c' ', size)
    cdef uint16_t status = 0
    cdef int i
    if blank == NULL or <size_t> (blank - head) + 5 > size or blank[4] != c' ':
        return 0
    for i in range(1, 4):
        if not c'0' <= blank[i] <= c'9':
            return 0
        status = <uint16_t> (status * 10 + blank[i] - c'0')
    return status


cdef inline int64_t parse_length(const char *head, size_t size) noexcept nogil:
    """The first Content-Length; -1 when there is none, or none that is a number of at most 18 digits."""
    cdef const char *at = <const char *> memmem(head, size, b"Content-Length:", 15)
    cdef const char *end = head + size
    cdef int64_t length = 0
    cdef int digits = 0
    if at == NULL:
        return -1
    at += 15
    while at < end and (at[0] == c' ' or at[0] == c'\t'):
        at += 1
    while at < end and c'0' <= at[0] <= c'9':
        if digits == 18:
            return -1
        length = length * 10 + (at[0] - c'0')
        digits += 1
        at += 1
    return length if digits else -1


cdef inline void feed_body(
    reply_t *reply, const char *data, size_t size, const expectation_t *expected
) noexcept nogil:
    cdef uint64_t wanted
    if expected.framed:
        size = frame_take(&reply.frame, data, size)
    wanted = size
    if expected.regex != NULL and reply.search.state == SEARCH_ON:
        search_feed(&reply.search, expected.regex, data, size)
    if expected.digest != NULL and size:
        if reply.length >= 0:
            if reply.body >= <uint64_t> reply.length:
                wanted = 0
            elif wanted > <uint64_t> reply.length - reply.body:
                wanted = <uint64_t> reply.length - reply.body
        EVP_DigestUpdate(reply.md5, data, wanted)
    reply.body += size


cdef inline void reply_feed(
    reply_t *reply, const char *data, size_t size, const expectation_t *expected
) noexcept nogil:
    """The next `size` octets of the reply. Once it is `hopeless`, nothing more is looked at."""
    cdef const char *head = data
    cdef const char *end
    cdef size_t room, known, before = reply.head_size, start
    if reply.complete:
        feed_body(reply, data, size, expected)
        return
    if reply.hopeless:
        return
    room = HEADER_LIMIT - before
    known = before + (size if size < room else room)
    if before:
        memcpy(reply.head + before, data, known - before)
        head = reply.head
    start = before - 3 if before > 3 else 0
    end = <const char *> memmem(head + start, known - start, b"\r\n\r\n", 4)
    if end != NULL:
        known = <size_t> (end - head) + 4
        reply.status = parse_status(head, known)
        reply.length = parse_length(head, known)
        reply.complete = 1
        if expected.framed:
            frame_begin(&reply.frame, head, known, reply.status, expected.bodiless)
        reply_end_head(reply)
        feed_body(reply, data + (known - before), size - (known - before), expected)
        return
    if known < HEADER_LIMIT and not before:
        reply.head = <char *> malloc(HEADER_LIMIT)
        if reply.head != NULL:
            memcpy(reply.head, data, known)
    reply.head_size = <uint32_t> known
    if known == HEADER_LIMIT or reply.head == NULL:
        reply.hopeless = 1 if known == HEADER_LIMIT else 2
        reply_end_head(reply)


cdef inline reply_end reply_judge(reply_t *reply, const expectation_t *expected) noexcept nogil:
    """The peer has closed: what is this reply? The digest is in `reply.digest` afterwards, if one was wanted."""
    reply_end_head(reply)
    if not reply.complete:
        return REPLY_NO_DATA
    if expected.statuses != NULL and not expected.statuses[reply.status >> 3] >> (reply.status & 7) & 1:
        return REPLY_STATUS
    if expected.digest != NULL:
        EVP_DigestFinal_ex(reply.md5, reply.digest, NULL)
        if memcmp(reply.digest, expected.digest, DIGEST_SIZE):
            return REPLY_DIGEST
    if expected.regex != NULL and not search_end(&reply.search, expected.regex):
        return REPLY_REGEX
    return REPLY_GOOD
