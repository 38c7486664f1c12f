# The header of the PROXY protocol (haproxy.org: proxy-protocol.txt, sections 2.1 and 2.2). No IO in here.

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from epoll cimport AF_INET, AF_INET6, htons, in6_addr, in_addr, sockaddr_in, sockaddr_in6


cdef extern from "arpa/inet.h" nogil:
    const char *inet_ntop(int family, const void *address, char *text, uint32_t size)


cdef extern from "stdio.h" nogil:
    int snprintf(char *text, size_t size, const char *form, ...)


cdef extern from *:
    """
    static const char proxy_signature[] = {13, 10, 13, 10, 0, 13, 10, 'Q', 'U', 'I', 'T', 10};
    static const char proxy_unknown[] = "PROXY UNKNOWN\\r\\n";
    static const char proxy_line[] = "PROXY %s %s %s %u %u\\r\\n";
    """
    const char *SIGNATURE "proxy_signature"
    const char *UNKNOWN_LINE "proxy_unknown"
    const char *LINE "proxy_line"


cdef enum:
    PROXY_ROOM = 108
    SIGNATURE_SIZE = 12
    UNKNOWN_SIZE = 15
    ADDRESS_TEXT = 46


# fastha.model.plan.Proxy
cdef enum proxy_t:
    PROXY_NONE = 0
    PROXY_V1 = 1
    PROXY_V2 = 2
    PROXY_V1_LOCAL = 3
    PROXY_V2_LOCAL = 4


cdef inline uint32_t proxy_text(const sockaddr_in6 *source, const sockaddr_in6 *target, char *where) noexcept nogil:
    cdef char source_text[ADDRESS_TEXT]
    cdef char target_text[ADDRESS_TEXT]
    cdef const sockaddr_in *source4 = <const sockaddr_in *> source
    cdef const sockaddr_in *target4 = <const sockaddr_in *> target
    cdef bint six = source.sin6_family == AF_INET6
    if six:
        inet_ntop(AF_INET6, &source.sin6_addr, source_text, ADDRESS_TEXT)
        inet_ntop(AF_INET6, &target.sin6_addr, target_text, ADDRESS_TEXT)
    else:
        inet_ntop(AF_INET, &source4.sin_addr, source_text, ADDRESS_TEXT)
        inet_ntop(AF_INET, &target4.sin_addr, target_text, ADDRESS_TEXT)
    # both families have the port at the same place; htons is its own inverse
    return <uint32_t> snprintf(
        where, PROXY_ROOM, LINE, <char *> b"TCP6" if six else <char *> b"TCP4", source_text, target_text,
        <unsigned int> htons(source.sin6_port), <unsigned int> htons(target.sin6_port)
    )


cdef inline uint32_t proxy_octets(
    const sockaddr_in6 *source, const sockaddr_in6 *target, bint local, char *where
) noexcept nogil:
    cdef uint8_t *octets = <uint8_t *> where
    cdef uint32_t at = SIGNATURE_SIZE + 4
    cdef bint six = source.sin6_family == AF_INET6
    cdef size_t width = 16 if six else 4
    memcpy(where, SIGNATURE, SIGNATURE_SIZE)
    octets[12] = 0x20 if local else 0x21
    octets[13] = 0 if local else (0x21 if six else 0x11)
    octets[14] = 0
    octets[15] = 0 if local else <uint8_t> (2 * width + 4)
    if local:
        return at
    if six:
        memcpy(where + at, &source.sin6_addr, sizeof(in6_addr))
        memcpy(where + at + width, &target.sin6_addr, sizeof(in6_addr))
    else:
        memcpy(where + at, &(<const sockaddr_in *> source).sin_addr, sizeof(in_addr))
        memcpy(where + at + width, &(<const sockaddr_in *> target).sin_addr, sizeof(in_addr))
    at += <uint32_t> (2 * width)
    memcpy(where + at, &source.sin6_port, sizeof(uint16_t))
    memcpy(where + at + 2, &target.sin6_port, sizeof(uint16_t))
    return at + 4


cdef inline uint32_t proxy_header(
    uint8_t kind, const sockaddr_in6 *source, const sockaddr_in6 *target, char *where
) noexcept nogil:
    """Write the header into PROXY_ROOM octets; how many it has."""
    if kind == PROXY_V1_LOCAL:
        memcpy(where, UNKNOWN_LINE, UNKNOWN_SIZE)
        return UNKNOWN_SIZE
    if kind == PROXY_V1:
        return proxy_text(source, target, where)
    return proxy_octets(source, target, kind == PROXY_V2_LOCAL, where)
