# Probes by datagrams: UDP, DNS, ICMP echo. Sent once; what comes back within the timeout decides.
#
# What is not an answer to this very question (another id or sequence number, another sender of an echo reply, a DNS
# query) is passed over: strangers must not be able to take a server down.

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp, memcpy

from epoll cimport (
    AF_INET6, MSG_NOSIGNAL, MSG_TRUNC, getrandom, htons, recvfrom, send, sockaddr, sockaddr_in, sockaddr_in6,
)
from probe cimport (
    KIND_DNS, KIND_PING, KIND_UDP, LOCAL, READING, READS, RECEIVE, REFUSED, REPLY, STATUS, SUCCESS, engine_t, flight_t,
    recipe_t,
)
from probe_flight cimport blame, conclude, limit_flight, servers_fault


cdef enum:
    DNS_HEADER = 12
    DNS_RESPONSE = 0x80
    DNS_RCODE = 0x0F
    ECHO_HEADER = 8
    ECHO_REPLY = 0
    ECHO_REPLY6 = 129
    WORDS = 512


# What a datagram is to a probe.
cdef enum heard_t:
    HEARD_NOTHING
    HEARD_GOOD
    HEARD_BAD


cdef inline heard_t judge_udp(const recipe_t *recipe, const uint8_t *data, size_t size) noexcept nogil:
    """Any datagram will do, unless there is a pattern: then its length counts, and each octet that both have."""
    cdef size_t i, most = recipe.reply_size
    if not most:
        return HEARD_GOOD
    if size < recipe.least_reply or size > recipe.most_reply:
        return HEARD_BAD
    for i in range(most if most < size else size):
        if (data[i] ^ recipe.reply[i]) & recipe.reply_mask[i]:
            return HEARD_BAD
    return HEARD_GOOD


cdef inline heard_t judge_dns(uint16_t token, const uint8_t *data, size_t size, uint16_t *rcode) noexcept nogil:
    """An answer with our id; only its RCODE counts."""
    if size < DNS_HEADER or data[0] != token >> 8 or data[1] != token & 0xFF or not data[2] & DNS_RESPONSE:
        return HEARD_NOTHING
    rcode[0] = data[3] & DNS_RCODE
    return HEARD_BAD if rcode[0] else HEARD_GOOD


cdef inline heard_t judge_echo(uint16_t token, uint8_t kind, const uint8_t *data, size_t size) noexcept nogil:
    """An echo reply with our sequence number; that the identifier is ours is the kernel's business."""
    if size < ECHO_HEADER or data[0] != kind or data[6] != token >> 8 or data[7] != token & 0xFF:
        return HEARD_NOTHING
    return HEARD_GOOD


cdef inline bint same_host(const sockaddr_in6 *one, const sockaddr_in6 *other) noexcept nogil:
    if one.sin6_family != other.sin6_family:
        return False
    if one.sin6_family == AF_INET6:
        return memcmp(&one.sin6_addr, &other.sin6_addr, 16) == 0
    return memcmp(&(<const sockaddr_in *> one).sin_addr, &(<const sockaddr_in *> other).sin_addr, 4) == 0


cdef inline heard_t judge_datagram(
    flight_t *flight, const recipe_t *recipe, const sockaddr_in6 *source, const char *data, size_t size
) noexcept nogil:
    if recipe.kind == KIND_UDP:
        return judge_udp(recipe, <const uint8_t *> data, size)
    if recipe.kind == KIND_DNS:
        return judge_dns(flight.token, <const uint8_t *> data, size, &flight.status)
    if not same_host(source, &recipe.address):
        return HEARD_NOTHING
    if flight.pool.family == AF_INET6:
        return judge_echo(flight.token, ECHO_REPLY6, <const uint8_t *> data, size)
    return judge_echo(flight.token, ECHO_REPLY, <const uint8_t *> data, size)


cdef inline void on_datagram_event(engine_t *engine, int32_t which) noexcept nogil:
    cdef flight_t *flight = &engine.flights[which]
    cdef recipe_t *recipe = engine.targets[flight.target].recipe
    cdef sockaddr_in6 source
    cdef uint32_t source_size
    cdef ssize_t count
    cdef heard_t heard
    cdef int error, budget = READS
    while budget:
        source_size = sizeof(source)
        source.sin6_family = 0
        count = recvfrom(flight.fd, engine.buffer, RECEIVE, MSG_TRUNC, <sockaddr *> &source, &source_size)
        if count < 0:
            error = errno
            if error != EAGAIN and error != EINTR:
                conclude(engine, which, blame(error), error)
            return
        heard = judge_datagram(flight, recipe, &source, engine.buffer, <size_t> count)
        if heard == HEARD_GOOD:
            conclude(engine, which, SUCCESS, 0)
            return
        if heard == HEARD_BAD:
            conclude(engine, which, STATUS if recipe.kind == KIND_DNS else REPLY, 0)
            return
        budget -= 1
    if not flight.hungry:  # a flood: the others have their turn
        flight.hungry = 1
        flight.next = engine.hungry
        engine.hungry = which


cdef inline void ask(engine_t *engine, int32_t which) noexcept nogil:
    """Send the datagram of a probe that has just begun."""
    cdef flight_t *flight = &engine.flights[which]
    cdef recipe_t *recipe = engine.targets[flight.target].recipe
    cdef char words[WORDS]
    cdef const char *data = recipe.request
    cdef int error, place = 0 if recipe.kind == KIND_DNS else 6
    if recipe.kind != KIND_UDP:
        flight.token = <uint16_t> (engine.seen[flight.target].runs + 1)
        if recipe.kind == KIND_DNS and getrandom(&flight.token, 2, 0) != 2:
            conclude(engine, which, LOCAL, errno)
            return
        memcpy(words, recipe.request, recipe.request_size)
        words[place] = <char> (flight.token >> 8)
        words[place + 1] = <char> (flight.token & 0xFF)
        data = words
    if send(flight.fd, data, recipe.request_size, MSG_NOSIGNAL) < 0:
        error = errno
        conclude(engine, which, REFUSED if servers_fault(error) else LOCAL, error)
        return
    flight.phase = READING
