# The answers of a mail server, line by line as they arrive. No IO and nothing of the engine in here.
#
# keepalived's rules: of each answer only the first line is read. Its code is three digits, then a blank or the end of
# the line; so `220-` (more lines follow) has no code, nor has `220` CR LF, for the CR is still there. A line of more
# than 512 octets begins anew after each 512.

from libc.stdint cimport uint8_t, uint16_t


cdef enum:
    SMTP_LINE = 512


cdef struct smtp_t:
    uint8_t step  # 0: greeting, 1: answer to HELO, 2: answer to QUIT
    uint8_t head[4]  # of the line
    uint16_t size  # octets of the line so far
    uint16_t code  # of the last complete line; 0: none


cdef inline void smtp_begin(smtp_t *smtp) noexcept nogil:
    smtp.step = 0
    smtp.size = smtp.code = 0


cdef inline uint16_t smtp_code(const smtp_t *smtp) noexcept nogil:
    cdef int i
    cdef uint16_t code = 0
    if smtp.size < 3 or (smtp.size > 3 and smtp.head[3] != c' '):
        return 0
    for i in range(3):
        if not c'0' <= smtp.head[i] <= c'9':
            return 0
        code = <uint16_t> (code * 10 + smtp.head[i] - c'0')
    return code


cdef inline size_t smtp_feed(smtp_t *smtp, const char *data, size_t size, bint *line) noexcept nogil:
    """Take octets up to the end of a line; how many were taken. `line`: it is complete, and `code` is its code."""
    cdef size_t i
    line[0] = False
    for i in range(size):
        if data[i] == c'\n':
            smtp.code = smtp_code(smtp)
            smtp.size = 0
            line[0] = True
            return i + 1
        if smtp.size == SMTP_LINE:
            smtp.size = 0
        if smtp.size < 4:
            smtp.head[smtp.size] = <uint8_t> data[i]
        smtp.size += 1
    return size
