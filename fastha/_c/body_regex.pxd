# A pattern searched in a body that arrives piece by piece. No IO and nothing of the engine in here.
#
# PCRE2 says by a (hard) partial match that more must come before it can tell; then the octets from there on are held
# until they have. A partial match of more than 4095 octets is given up: the search goes on behind it. A match counts
# when it begins at `least` or later and not beyond `most`, in octets of the body; the first one decides.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove


cdef extern from *:
    """
    #define PCRE2_CODE_UNIT_WIDTH 8
    #include <pcre2.h>
    """
    ctypedef struct pcre2_code:
        pass
    ctypedef struct pcre2_match_data:
        pass
    ctypedef struct pcre2_match_context:
        pass
    ctypedef struct pcre2_jit_stack:
        pass


cdef extern from "pcre2.h" nogil:
    pcre2_code *pcre2_compile(
        const uint8_t *pattern, size_t size, uint32_t options, int *error, size_t *offset, void *context
    )
    void pcre2_code_free(pcre2_code *code)
    int pcre2_jit_compile(pcre2_code *code, uint32_t options)
    int pcre2_pattern_info(const pcre2_code *code, uint32_t what, void *where)
    int pcre2_get_error_message(int error, uint8_t *text, size_t size)
    pcre2_match_data *pcre2_match_data_create_from_pattern(const pcre2_code *code, void *context)
    void pcre2_match_data_free(pcre2_match_data *data)
    pcre2_match_context *pcre2_match_context_create(void *context)
    void pcre2_match_context_free(pcre2_match_context *context)
    int pcre2_set_match_limit(pcre2_match_context *context, uint32_t limit)
    int pcre2_set_depth_limit(pcre2_match_context *context, uint32_t limit)
    int pcre2_set_heap_limit(pcre2_match_context *context, uint32_t limit)
    pcre2_jit_stack *pcre2_jit_stack_create(size_t start, size_t most, void *context)
    void pcre2_jit_stack_free(pcre2_jit_stack *stack)
    void pcre2_jit_stack_assign(pcre2_match_context *context, void *callback, void *stack)
    int pcre2_match(
        const pcre2_code *code, const uint8_t *subject, size_t size, size_t start, uint32_t options,
        pcre2_match_data *data, pcre2_match_context *context
    )
    size_t *pcre2_get_ovector_pointer(pcre2_match_data *data)
    uint32_t PCRE2_PARTIAL_HARD
    uint32_t PCRE2_JIT_COMPLETE
    uint32_t PCRE2_JIT_PARTIAL_HARD
    uint32_t PCRE2_INFO_MAXLOOKBEHIND
    uint32_t PCRE2_INFO_ALLOPTIONS
    uint32_t PCRE2_ANCHORED
    uint32_t PCRE2_UTF
    uint32_t PCRE2_MATCH_INVALID_UTF
    int PCRE2_ERROR_NOMATCH
    int PCRE2_ERROR_PARTIAL


cdef enum:
    PARTIAL_LIMIT = 4095
    PIECE = 65536  # searched at once
    MATCH_LIMIT = 200_000  # steps: what a pattern may cost before it counts as failed


cdef enum search_state:
    SEARCH_ON
    SEARCH_FOUND
    SEARCH_MISSED
    SEARCH_FAILED  # the matcher gave up: too many steps, no memory


# A compiled pattern; one thread at a time may use it.
cdef struct regex_t:
    pcre2_code *code
    pcre2_match_data *found
    pcre2_match_context *limits
    pcre2_jit_stack *stack
    uint8_t *scratch  # room for what is held and a piece
    uint32_t before  # octets that must be held before the place where the search goes on
    uint8_t utf
    uint8_t no_match  # a match is the failure
    uint8_t anchored  # it can match at the beginning only
    uint64_t least
    uint64_t most


# One search.
cdef struct search_t:
    uint8_t *held
    uint32_t held_size
    uint64_t base  # offset in the body of the first octet held
    uint64_t next  # where the search goes on
    uint8_t state


cdef inline void regex_free(regex_t *regex) noexcept nogil:
    free(regex.scratch)
    regex.scratch = NULL
    if regex.stack != NULL:
        pcre2_jit_stack_free(regex.stack)
    if regex.limits != NULL:
        pcre2_match_context_free(regex.limits)
    if regex.found != NULL:
        pcre2_match_data_free(regex.found)
    if regex.code != NULL:
        pcre2_code_free(regex.code)
    regex.stack = NULL
    regex.limits = NULL
    regex.found = NULL
    regex.code = NULL


cdef inline size_t hold_room(const regex_t *regex) noexcept nogil:
    """The most octets that are ever held: a partial match, what lies before it, and half a character."""
    return PARTIAL_LIMIT + <size_t> regex.before + 8


cdef inline int regex_prepare(regex_t *regex, size_t stack_start, size_t stack_most) noexcept nogil:
    """What matching with `regex.code` needs; 0, or -1 when there is no memory. `stack_most` 0: the library's stack."""
    cdef uint32_t behind = 0, options = 0
    pcre2_pattern_info(regex.code, PCRE2_INFO_MAXLOOKBEHIND, &behind)
    pcre2_pattern_info(regex.code, PCRE2_INFO_ALLOPTIONS, &options)
    regex.utf = 1 if options & PCRE2_UTF else 0
    regex.anchored = 1 if options & PCRE2_ANCHORED else 0
    if not behind:
        behind = 1
    regex.before = <uint32_t> (behind * 4) if regex.utf else behind
    # where there is no just-in-time compiler it is interpreted
    pcre2_jit_compile(regex.code, PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD)
    regex.found = pcre2_match_data_create_from_pattern(regex.code, NULL)
    regex.limits = pcre2_match_context_create(NULL)
    regex.scratch = <uint8_t *> malloc(hold_room(regex) + PIECE)
    if regex.found == NULL or regex.limits == NULL or regex.scratch == NULL:
        return -1
    pcre2_set_match_limit(regex.limits, MATCH_LIMIT)
    pcre2_set_depth_limit(regex.limits, MATCH_LIMIT)
    pcre2_set_heap_limit(regex.limits, 16384)  # KiB
    if stack_most:
        regex.stack = pcre2_jit_stack_create(stack_start, stack_most, NULL)
        if regex.stack == NULL:
            return -1
        pcre2_jit_stack_assign(regex.limits, NULL, regex.stack)
    return 0


cdef inline void search_begin(search_t *search, const regex_t *regex) noexcept nogil:
    search.held_size = 0
    search.base = 0
    search.next = regex.least
    search.state = SEARCH_ON


cdef inline void search_free(search_t *search) noexcept nogil:
    free(search.held)
    search.held = NULL
    search.held_size = 0


cdef inline size_t half_character(const uint8_t *text, size_t size) noexcept nogil:
    """Octets at the end that begin a UTF-8 character without ending it."""
    cdef size_t back
    cdef uint8_t octet
    for back in range(1, 4):
        if back > size:
            return 0
        octet = text[size - back]
        if octet & 0xC0 == 0x80:
            continue
        if octet >= 0xF0:
            return back if back < 4 else 0
        if octet >= 0xE0:
            return back if back < 3 else 0
        return back if octet >= 0xC0 and back < 2 else 0
    return 0


cdef inline void search_stop(search_t *search, search_state state) noexcept nogil:
    search.state = <uint8_t> state
    search_free(search)


cdef inline bint settled(search_t *search, const regex_t *regex, int result) noexcept nogil:
    """A match, or an error, ends the search."""
    cdef uint64_t at
    if result >= 0:
        at = search.base + pcre2_get_ovector_pointer(regex.found)[0]
        search_stop(search, SEARCH_FOUND if at <= regex.most else SEARCH_MISSED)
        return True
    if result != PCRE2_ERROR_NOMATCH and result != PCRE2_ERROR_PARTIAL:
        search_stop(search, SEARCH_FAILED)
        return True
    return False


cdef inline void search_piece(search_t *search, regex_t *regex, const uint8_t *data, size_t size) noexcept nogil:
    """The next `size` octets, PIECE at most."""
    cdef const uint8_t *subject = data
    cdef size_t length = size, usable, begin, keep
    cdef int result = PCRE2_ERROR_NOMATCH
    if search.held_size:
        memcpy(regex.scratch, search.held, search.held_size)
        memcpy(regex.scratch + search.held_size, data, size)
        subject = regex.scratch
        length += search.held_size
    usable = length - half_character(subject, length) if regex.utf else length
    if search.base + usable > search.next:
        result = pcre2_match(
            regex.code, subject, usable, <size_t> (search.next - search.base), PCRE2_PARTIAL_HARD, regex.found,
            regex.limits
        )
        if settled(search, regex, result):
            return
        begin = pcre2_get_ovector_pointer(regex.found)[0] if result == PCRE2_ERROR_PARTIAL else usable
        search.next = search.base + (begin if usable - begin <= PARTIAL_LIMIT else usable)
    if search.next > regex.most:
        search_stop(search, SEARCH_MISSED)
        return
    keep = <size_t> (search.next - search.base) if search.next < search.base + usable else usable
    keep = keep - regex.before if keep > regex.before else 0
    if regex.utf:
        while keep and subject[keep] & 0xC0 == 0x80:
            keep -= 1
    if length - keep > hold_room(regex):  # a long run of what are no characters
        keep = length - hold_room(regex)
    if search.held == NULL:
        search.held = <uint8_t *> malloc(hold_room(regex))
        if search.held == NULL:
            search_stop(search, SEARCH_FAILED)
            return
    memmove(search.held, subject + keep, length - keep)
    search.held_size = <uint32_t> (length - keep)
    search.base += keep


cdef inline void search_feed(search_t *search, regex_t *regex, const char *data, size_t size) noexcept nogil:
    """The next octets of the body."""
    cdef size_t piece
    while size and search.state == SEARCH_ON:
        piece = size if size < PIECE else PIECE
        search_piece(search, regex, <const uint8_t *> data, piece)
        data += piece
        size -= piece


cdef inline bint search_end(search_t *search, regex_t *regex) noexcept nogil:
    """The body has ended: is it as wanted?"""
    cdef int result
    if search.state == SEARCH_ON:
        if search.next > search.base + search.held_size:
            search_stop(search, SEARCH_MISSED)
        else:
            result = pcre2_match(
                regex.code, search.held if search.held_size else regex.scratch, search.held_size,
                <size_t> (search.next - search.base), 0, regex.found, regex.limits
            )
            if not settled(search, regex, result):
                search_stop(search, SEARCH_MISSED)
    search_free(search)
    return search.state != SEARCH_FAILED and (search.state == SEARCH_FOUND) != regex.no_match
