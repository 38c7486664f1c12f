# Probes over a connection: TCP, HTTP, HTTP over TLS, SMTP.
#
# Each step of a dialogue has the recipe's timeout: connecting, the TLS handshake, sending, a line of SMTP; for HTTP
# without TLS also each read of the reply, until the deadline of the whole probe.

from libc.errno cimport EAGAIN, EINTR, ENOMEM, errno
from libc.stdint cimport int32_t, uint32_t

from epoll cimport EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, MSG_NOSIGNAL, MSG_TRUNC, recv, send, socket_error
from http_reply cimport (
    REPLY_DIGEST, REPLY_GOOD, REPLY_NO_DATA, REPLY_STATUS, body_matters, reply_end, reply_feed, reply_judge,
)
from probe cimport (
    BROKEN, CLOSED, CONNECTING, DIGEST, HANDSHAKING, KIND_HTTP, KIND_SMTP, KIND_SSL, KIND_TCP, LOCAL, NO_DATA, READING,
    READS, RECEIVE, REFUSED, REGEX, SENDING, STATUS, SUCCESS, TLS, engine_t, flight_t, recipe_t, verdict_t,
)
from probe_flight cimport conclude, limit_flight
from smtp_reply cimport smtp_feed
from tls cimport TLS_SYSTEM, TLS_WAIT, tls_begin, tls_handshake, tls_read, tls_write


cdef extern from *:
    """
    static const char probe_quit[] = {'Q', 'U', 'I', 'T', 13, 10};
    """
    const char *QUIT "probe_quit"


cdef enum:
    QUIT_SIZE = 6
    GREETING = 220
    DONE = 250


# What reading and writing say beside a number of octets.
cdef enum stream_t:
    AGAIN = -1  # later
    OVER = -2  # the probe has been concluded


cdef inline verdict_t verdict_of(reply_end end) noexcept nogil:
    if end == REPLY_GOOD:
        return SUCCESS
    if end == REPLY_NO_DATA:
        return NO_DATA
    if end == REPLY_STATUS:
        return STATUS
    return DIGEST if end == REPLY_DIGEST else REGEX


cdef inline int give_up(engine_t *engine, int32_t which, int end, int error) noexcept nogil:
    """The connection is broken, or TLS is."""
    engine.flights[which].reset_unseen = 1
    conclude(engine, which, REFUSED if end == TLS_SYSTEM else TLS, error)
    return OVER


cdef inline ssize_t take(engine_t *engine, int32_t which, bint count_only) noexcept nogil:
    """Read into the engine's buffer: octets, 0 at the end of the stream, or a stream_t."""
    cdef flight_t *flight = &engine.flights[which]
    cdef ssize_t count
    cdef int error = 0
    if flight.tls != NULL:
        count = tls_read(flight.tls, engine.buffer, RECEIVE, &error)
        if count >= 0 or count == TLS_WAIT:
            return count
        return give_up(engine, which, <int> count, error)
    # octets that nobody looks at are counted, not copied
    count = recv(flight.fd, engine.buffer, RECEIVE, MSG_TRUNC if count_only else 0)
    error = errno
    if count >= 0:
        return count
    return AGAIN if error == EAGAIN or error == EINTR else give_up(engine, which, TLS_SYSTEM, error)


cdef inline void hunger(engine_t *engine, int32_t which) noexcept nogil:
    """There is more to read than its share of a turn."""
    if not engine.flights[which].hungry:
        engine.flights[which].hungry = 1
        engine.flights[which].next = engine.hungry
        engine.hungry = which


cdef inline void read_reply(engine_t *engine, int32_t which) noexcept nogil:
    """HTTP: read what there is: until nothing is left, or the stream has ended, or others should have their turn."""
    cdef flight_t *flight = &engine.flights[which]
    cdef recipe_t *recipe = engine.targets[flight.target].recipe
    cdef ssize_t count = 0
    cdef int budget = READS
    while budget:
        count = take(engine, which, not body_matters(&flight.reply, &recipe.expected))
        if count == OVER:
            return
        if count <= 0:
            break
        reply_feed(&flight.reply, engine.buffer, <size_t> count, &recipe.expected)
        if flight.reply.hopeless:
            if flight.reply.hopeless == 2:
                conclude(engine, which, LOCAL, ENOMEM)
            else:
                conclude(engine, which, NO_DATA, 0)
            return
        if count < RECEIVE and flight.tls == NULL and flight.ending != BROKEN:
            if flight.ending == CLOSED:
                count = 0
            break
        budget -= 1
    if count == 0:
        flight.reset_unseen = 1
        conclude(engine, which, verdict_of(reply_judge(&flight.reply, &recipe.expected)), 0)
        return
    if count > 0 and recipe.kind == KIND_HTTP:
        limit_flight(engine, flight.target, flight, recipe.timeout)
    if not budget:
        hunger(engine, which)


cdef inline bint hear_line(engine_t *engine, int32_t which) noexcept nogil:
    """SMTP: a line is complete; True when something is to be said now, False when the probe has ended."""
    cdef flight_t *flight = &engine.flights[which]
    if flight.smtp.step == 2:
        conclude(engine, which, SUCCESS, 0)
        return False
    flight.status = flight.smtp.code
    if flight.smtp.code != (DONE if flight.smtp.step else GREETING):
        conclude(engine, which, STATUS, 0)
        return False
    flight.smtp.step += 1
    flight.sent = 0
    flight.phase = SENDING
    limit_flight(engine, flight.target, flight, engine.targets[flight.target].recipe.timeout)
    return True


cdef inline void converse(engine_t *engine, int32_t which) noexcept nogil:
    """SMTP: read lines and answer them."""
    cdef flight_t *flight = &engine.flights[which]
    cdef ssize_t count = 0
    cdef size_t at
    cdef bint line
    cdef int budget = READS
    while budget:
        budget -= 1
        count = take(engine, which, False)
        if count == OVER:
            return
        if count == AGAIN:
            return
        if count == 0:
            flight.reset_unseen = 1
            conclude(engine, which, NO_DATA, 0)
            return
        at = 0
        while at < <size_t> count:
            at += smtp_feed(&flight.smtp, engine.buffer + at, <size_t> count - at, &line)
            if line and not (hear_line(engine, which) and say(engine, which)):
                return
    hunger(engine, which)


cdef inline const char *words_of(const flight_t *flight, const recipe_t *recipe, uint32_t *size) noexcept nogil:
    """What is to be sent in this step."""
    if recipe.kind == KIND_SMTP and flight.smtp.step == 2:
        size[0] = QUIT_SIZE
        return QUIT
    size[0] = recipe.request_size
    return recipe.request


cdef inline bint say(engine_t *engine, int32_t which) noexcept nogil:
    """Send what is left of this step; is all of it under way, so that an answer may be awaited?"""
    cdef flight_t *flight = &engine.flights[which]
    cdef recipe_t *recipe = engine.targets[flight.target].recipe
    cdef uint32_t size = 0
    cdef const char *words = words_of(flight, recipe, &size)
    cdef ssize_t count
    cdef int error = 0
    while flight.sent < size:
        if flight.tls != NULL:
            count = tls_write(flight.tls, words + flight.sent, <int> (size - flight.sent), &error)
            if count == TLS_WAIT:
                return False
            if count <= 0:
                give_up(engine, which, <int> count, error)
                return False
        else:
            count = send(flight.fd, words + flight.sent, size - flight.sent, MSG_NOSIGNAL)
            error = errno
            if count < 0:
                if error != EAGAIN and error != EINTR:
                    give_up(engine, which, TLS_SYSTEM, error)
                return False
        flight.sent += <uint32_t> count
    flight.phase = READING
    limit_flight(engine, flight.target, flight, recipe.timeout)
    return True


cdef inline bint connected(engine_t *engine, int32_t which) noexcept nogil:
    """There is a connection: what comes next? False when the probe has ended."""
    cdef flight_t *flight = &engine.flights[which]
    cdef recipe_t *recipe = engine.targets[flight.target].recipe
    if recipe.kind == KIND_TCP:
        flight.phase = SENDING  # the connection is seen, so it must end as one
        conclude(engine, which, SUCCESS, 0)
        return False
    flight.phase = SENDING
    if recipe.kind == KIND_SMTP:
        flight.phase = READING
        limit_flight(engine, flight.target, flight, recipe.timeout)
    elif recipe.kind == KIND_SSL:
        flight.phase = HANDSHAKING
        flight.tls = tls_begin(engine.tls, flight.fd, recipe.sni, recipe.tls_compliant)
        if flight.tls == NULL:
            conclude(engine, which, LOCAL, ENOMEM)
            return False
        limit_flight(engine, flight.target, flight, recipe.timeout)
    return True


cdef inline bint shake_hands(engine_t *engine, int32_t which) noexcept nogil:
    cdef int error = 0
    cdef int result = tls_handshake(engine.flights[which].tls, &error)
    if result == 1:
        engine.flights[which].phase = SENDING
        return True
    if result != TLS_WAIT:
        give_up(engine, which, result, error)
    return False


cdef inline void listen(engine_t *engine, int32_t which) noexcept nogil:
    if engine.targets[engine.flights[which].target].recipe.kind == KIND_SMTP:
        converse(engine, which)
    else:
        read_reply(engine, which)


cdef inline void on_stream_event(engine_t *engine, int32_t which, uint32_t events) noexcept nogil:
    cdef flight_t *flight = &engine.flights[which]
    cdef int error
    if flight.phase == CONNECTING:
        if events & (EPOLLERR | EPOLLHUP):
            error = socket_error(flight.fd)
            if error:
                flight.reset_unseen = 1
                conclude(engine, which, REFUSED, error)
                return
        if not events & EPOLLOUT or not connected(engine, which):
            return
    if events & (EPOLLERR | EPOLLHUP):
        flight.ending = BROKEN
    elif events & EPOLLRDHUP:
        flight.ending = CLOSED
    if flight.phase == HANDSHAKING and not shake_hands(engine, which):
        return
    if flight.phase == SENDING and not say(engine, which):
        return
    # under TLS what is to be read may have come before
    if flight.phase == READING and (flight.tls != NULL or events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)):
        listen(engine, which)
