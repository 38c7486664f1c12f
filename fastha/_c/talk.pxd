# What a server says in a dialogue, judged step by step. No IO and nothing of the engine in here.
#
# All octets since the last match are kept, TALK_ROOM of them at most, and the pattern is searched anew with each piece:
# what a server says between two steps is short. A match takes what lies before it along; what follows it belongs to the
# next step. A pattern that is tied to the beginning (`^`) fails as soon as no further octet can help.

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memmove

from body_regex cimport (
    PCRE2_ERROR_NOMATCH, PCRE2_ERROR_PARTIAL, PCRE2_PARTIAL_HARD, pcre2_get_ovector_pointer, pcre2_match, regex_t,
)


cdef enum:
    TALK_ROOM = 16384


# One step: octets to send or, where `expect` is not NULL, a pattern to wait for.
cdef struct step_t:
    const char *words
    uint32_t size
    regex_t *expect


cdef struct talk_t:
    char *heard  # TALK_ROOM octets; NULL: nothing
    uint32_t size
    uint16_t step


cdef enum said_t:
    SAID
    SAY_MORE
    NOT_SAID


cdef inline void talk_end(talk_t *talk) noexcept nogil:
    free(talk.heard)
    talk.heard = NULL
    talk.size = 0


cdef inline int talk_open(talk_t *talk) noexcept nogil:
    """Room to hear; -1 when there is no memory."""
    if talk.heard == NULL:
        talk.heard = <char *> malloc(TALK_ROOM)
    return 0 if talk.heard != NULL else -1


cdef inline said_t talk_judge(talk_t *talk, regex_t *wanted, bint ended) noexcept nogil:
    """Has the server said it, in what was heard so far? `ended`: nothing will follow."""
    cdef size_t end
    cdef int result = pcre2_match(
        wanted.code, <const uint8_t *> talk.heard, talk.size, 0, 0 if ended else PCRE2_PARTIAL_HARD, wanted.found,
        wanted.limits
    )
    if result >= 0:
        end = pcre2_get_ovector_pointer(wanted.found)[1]
        memmove(talk.heard, talk.heard + end, talk.size - end)
        talk.size -= <uint32_t> end
        return SAID
    if result != PCRE2_ERROR_NOMATCH and result != PCRE2_ERROR_PARTIAL:
        return NOT_SAID  # the matcher gave up
    if ended or talk.size == TALK_ROOM or (result == PCRE2_ERROR_NOMATCH and wanted.anchored):
        return NOT_SAID
    return SAY_MORE
