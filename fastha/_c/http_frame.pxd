# Where an HTTP reply ends on a connection that is kept (RFC 9112, section 6.3). No IO, nothing of the engine.
#
# What is compared stays the reply as it came: chunks are followed, not undone. Whatever is not plainly valid makes a
# reply that ends with its connection.

from libc.stdint cimport uint8_t, uint16_t, uint64_t


cdef extern from "strings.h" nogil:
    int strncasecmp(const char *one, const char *other, size_t size)


cdef enum:
    TRAILER_LIMIT = 4095  # octets of chunk extensions and trailers


cdef enum frame_kind:
    FRAME_OPEN  # until the peer closes
    FRAME_LENGTH
    FRAME_CHUNKED


# Where in the syntax of chunks (RFC 9112, section 7.1).
cdef enum chunk_step:
    CHUNK_SIZE
    CHUNK_EXTENSION
    CHUNK_DATA
    CHUNK_END  # of the data: CR LF
    TRAILER_START
    TRAILER_LINE


cdef struct frame_t:
    uint8_t kind
    uint8_t keeps  # the server keeps the connection
    uint8_t done  # the reply is complete
    uint8_t step
    uint8_t digits
    uint16_t idle  # octets that are neither sizes nor data
    uint64_t left  # of the body, or of the chunk


cdef inline void frame_open(frame_t *frame) noexcept nogil:
    """This reply ends with the connection."""
    frame.kind = FRAME_OPEN
    frame.keeps = 0


cdef inline bint has_token(const char *value, const char *end, const char *token, size_t size) noexcept nogil:
    """Is the token an element of the list (RFC 9110, section 5.6.1)?"""
    cdef const char *start
    cdef const char *stop
    while value < end:
        start = value
        while value < end and value[0] != c',':
            value += 1
        stop = value
        while start < stop and (start[0] == c' ' or start[0] == c'\t'):
            start += 1
        while stop > start and ((stop - 1)[0] == c' ' or (stop - 1)[0] == c'\t'):
            stop -= 1
        if <size_t> (stop - start) == size and strncasecmp(start, token, size) == 0:
            return True
        value += 1
    return False


cdef inline bint content_length(const char *value, const char *end, uint64_t *length) noexcept nogil:
    """A number of at most 18 digits, and nothing else."""
    cdef int digits = 0
    cdef uint64_t number = 0
    while value < end and (value[0] == c' ' or value[0] == c'\t'):
        value += 1
    while value < end and c'0' <= value[0] <= c'9' and digits < 18:
        number = number * 10 + <uint64_t> (value[0] - c'0')
        digits += 1
        value += 1
    while value < end and (value[0] == c' ' or value[0] == c'\t'):
        value += 1
    length[0] = number
    return digits > 0 and value == end


cdef inline const char *line_end(const char *at, const char *end) noexcept nogil:
    """The CR LF from `at` on; `end` when there is none."""
    while at + 1 < end and not (at[0] == c'\r' and at[1] == c'\n'):
        at += 1
    return at if at + 1 < end else end


cdef inline bint field_is(const char *at, const char *colon, const char *name, size_t size) noexcept nogil:
    return <size_t> (colon - at) == size and strncasecmp(at, name, size) == 0


cdef inline void frame_begin(
    frame_t *frame, const char *head, size_t size, uint16_t status, bint bodiless
) noexcept nogil:
    """The header is complete: its `size` octets, with the empty line."""
    cdef const char *end = head + size
    cdef const char *at = line_end(head, end)
    cdef const char *stop
    cdef const char *colon
    cdef uint64_t length = 0
    cdef bint sized = False, coded = False, good = True
    frame.kind = FRAME_OPEN
    frame.done = frame.digits = 0
    frame.step = CHUNK_SIZE
    frame.idle = 0
    frame.left = 0
    frame.keeps = 1 if size > 9 and strncasecmp(head, b"HTTP/1.1 ", 9) == 0 else 0
    at += 2
    while at < end:
        stop = line_end(at, end)
        colon = at
        while colon < stop and colon[0] != c':':
            colon += 1
        if field_is(at, colon, b"connection", 10):
            if has_token(colon + 1, stop, b"close", 5):
                good = False
            elif has_token(colon + 1, stop, b"keep-alive", 10):
                frame.keeps = 1
        elif field_is(at, colon, b"content-length", 14):
            good = good and content_length(colon + 1, stop, &length) and (not sized or length == frame.left)
            frame.left = length
            sized = True
        elif field_is(at, colon, b"transfer-encoding", 17):
            good = good and not coded and has_token(colon + 1, stop, b"chunked", 7)
            coded = True
        at = stop + 2
    if not good or status < 200 or (sized and coded):
        frame_open(frame)
    elif bodiless or status == 204 or status == 304:
        frame.kind = FRAME_LENGTH
        frame.left = 0
        frame.done = 1
    elif coded:
        frame.kind = FRAME_CHUNKED
    elif sized:
        frame.kind = FRAME_LENGTH
        frame.done = frame.left == 0
    else:
        frame_open(frame)


cdef inline long hex_digit(char octet) noexcept nogil:
    if c'0' <= octet <= c'9':
        return octet - c'0'
    if c'a' <= octet <= c'f':
        return octet - c'a' + 10
    return octet - c'A' + 10 if c'A' <= octet <= c'F' else -1


cdef inline bint chunk_octet(frame_t *frame, char octet) noexcept nogil:
    """One octet outside of the data; False: this is no valid chunk."""
    cdef long digit
    if frame.step == CHUNK_SIZE:
        digit = hex_digit(octet)
        if digit >= 0:
            frame.left = frame.left << 4 | <uint64_t> digit
            frame.digits += 1
            return frame.digits <= 15
        if not frame.digits:
            return False
        frame.step = CHUNK_EXTENSION
    if octet != c'\n':
        if frame.step == TRAILER_START and octet != c'\r':
            frame.step = TRAILER_LINE
        frame.idle += 1
        return frame.idle < TRAILER_LIMIT and (frame.step != CHUNK_END or octet == c'\r')
    if frame.step == CHUNK_EXTENSION:
        frame.step = CHUNK_DATA if frame.left else TRAILER_START
    elif frame.step == CHUNK_END:
        frame.step = CHUNK_SIZE
        frame.digits = 0
        frame.idle = 0
    elif frame.step == TRAILER_LINE:
        frame.step = TRAILER_START
    else:
        frame.done = 1
    return True


cdef inline size_t take_chunks(frame_t *frame, const char *data, size_t size) noexcept nogil:
    cdef size_t at = 0, most
    while at < size and not frame.done:
        if frame.step == CHUNK_DATA:
            most = size - at
            if frame.left <= most:
                at += <size_t> frame.left
                frame.left = 0
                frame.step = CHUNK_END
            else:
                frame.left -= most
                at = size
        elif chunk_octet(frame, data[at]):
            at += 1
        else:
            frame_open(frame)
            return size
    return at


cdef inline size_t frame_take(frame_t *frame, const char *data, size_t size) noexcept nogil:
    """How many of the next octets belong to this reply; more than that, and the connection is of no more use."""
    cdef size_t mine = size
    if frame.done:
        mine = 0
    elif frame.kind == FRAME_CHUNKED:
        mine = take_chunks(frame, data, size)
    elif frame.kind == FRAME_LENGTH:
        if frame.left < size:
            mine = <size_t> frame.left
        frame.left -= mine
        frame.done = frame.left == 0
    if mine < size:
        frame.keeps = 0
    return mine
