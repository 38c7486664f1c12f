# Probes over a connection: TCP with or without a dialogue, HTTP, HTTP over TLS, SMTP.
#
# Each step of a dialogue has the recipe's timeout: connecting, the PROXY header, the TLS handshake, sending, a line of
# SMTP; for HTTP without TLS also each read of the reply, until the deadline of the whole probe.

from libc.errno cimport EAGAIN, EINTR, ENOMEM, errno
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from epoll cimport (
    EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, MSG_MORE, MSG_NOSIGNAL, MSG_TRUNC, getsockname, recv, send,
    sockaddr, sockaddr_in6, socket_error,
)
from http_reply cimport (
    REPLY_DIGEST, REPLY_GOOD, REPLY_NO_DATA, REPLY_STATUS, body_matters, reply_done, reply_end, reply_feed,
    reply_judge,
)
from probe cimport (
    BROKEN, CERTIFICATE, CLOSED, CONNECTING, DIGEST, HANDSHAKING, INTRODUCING, KIND_HTTP, KIND_SMTP, KIND_SSL,
    KIND_TCP, LOCAL, NO_DATA, OPEN, READING, READS, RECEIVE, REGEX, REPLY, SENDING, STATUS, SUCCESS, TLS,
    engine_t, flight_t, recipe_t, verdict_t,
)
from probe_flight cimport blame, conclude, limit_flight, redial
from proxy_header cimport PROXY_ROOM, proxy_header
from smtp_reply cimport smtp_feed
from talk cimport NOT_SAID, SAID, SAY_MORE, TALK_ROOM, said_t, step_t, talk_judge, talk_open
from tls cimport (
    SSL_has_pending, SSL_session_reused, TLS_DISTRUST, TLS_SYSTEM, TLS_WAIT, session_forget, tls_begin, tls_handshake,
    tls_read, tls_trusted, tls_write,
)


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
    """The connection is broken, or TLS is. One that was kept may have been given up by the server meanwhile."""
    cdef flight_t *flight = &engine.flights[which]
    if flight.reused and unanswered(flight):
        redial(engine, which)
        return OVER
    flight.reset_unseen = 1
    conclude(engine, which, blame(error) if end == TLS_SYSTEM else CERTIFICATE if end == TLS_DISTRUST else TLS, error)
    return OVER


cdef inline bint unanswered(const flight_t *flight) noexcept nogil:
    """HTTP: not an octet of the reply has come."""
    return not flight.reply.complete and not flight.reply.head_size


cdef inline ssize_t take(engine_t *engine, int32_t which, bint count_only) noexcept nogil:
    """Read into the engine's buffer: octets, 0 at the end of the stream, or a stream_t."""
    return take_some(engine, which, engine.buffer, RECEIVE, count_only)


cdef inline ssize_t take_some(
    engine_t *engine, int32_t which, char *where, uint32_t room, bint count_only
) noexcept nogil:
    cdef flight_t *flight = &engine.flights[which]
    cdef ssize_t count
    cdef int error = 0
    if flight.tls != NULL:
        count = tls_read(flight.tls, where, <int> room, &error)
        if count >= 0 or count == TLS_WAIT:
            return count
        return give_up(engine, which, <int> count, error)
    # octets that nobody looks at are counted, not copied
    count = recv(flight.fd, where, room, MSG_TRUNC if count_only else 0)
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
        if reply_done(&flight.reply, &recipe.expected):
            flight.park = flight.reply.frame.keeps
            # more than was asked for would be taken for the next reply
            if count == RECEIVE or (flight.tls != NULL and SSL_has_pending(flight.tls)):
                flight.park = 0
            conclude(engine, which, verdict_of(reply_judge(&flight.reply, &recipe.expected)), 0)
            return
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
        if flight.reused and unanswered(flight):
            redial(engine, which)
            return
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
    if recipe.kind == KIND_TCP:
        size[0] = recipe.steps[flight.talk.step].size
        return recipe.steps[flight.talk.step].words
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


cdef inline bint introduce(engine_t *engine, int32_t which) noexcept nogil:
    """Send the PROXY header, together with what follows it at once. False: not yet, or the probe has ended."""
    cdef flight_t *flight = &engine.flights[which]
    cdef recipe_t *recipe = engine.targets[flight.target].recipe
    cdef char header[PROXY_ROOM]
    cdef sockaddr_in6 source
    cdef uint32_t room = sizeof(source), size
    cdef bint followed = recipe.kind == KIND_HTTP or recipe.kind == KIND_SSL
    cdef ssize_t count
    cdef int error
    if getsockname(flight.fd, <sockaddr *> &source, &room) < 0:
        error = errno
        give_up(engine, which, TLS_SYSTEM, error)
        return False
    size = proxy_header(recipe.proxy, &source, &recipe.address, header)
    while flight.sent < size:
        count = send(
            flight.fd, header + flight.sent, size - flight.sent, MSG_NOSIGNAL | MSG_MORE if followed else MSG_NOSIGNAL
        )
        error = errno
        if count < 0:
            if error != EAGAIN and error != EINTR:
                give_up(engine, which, TLS_SYSTEM, error)
            return False
        flight.sent += <uint32_t> count
    flight.sent = 0
    return begin_talking(engine, which)


cdef inline bint connected(engine_t *engine, int32_t which) noexcept nogil:
    """There is a connection: what comes next? False when the probe has ended, or has to wait."""
    cdef flight_t *flight = &engine.flights[which]
    cdef recipe_t *recipe = engine.targets[flight.target].recipe
    if recipe.proxy:
        flight.phase = INTRODUCING
        limit_flight(engine, flight.target, flight, recipe.timeout)
        return introduce(engine, which)
    return begin_talking(engine, which)


cdef inline bint begin_talking(engine_t *engine, int32_t which) noexcept nogil:
    """Whose turn is it, now that the connection is ready? TCP goes by its steps. False when the probe has ended."""
    cdef flight_t *flight = &engine.flights[which]
    cdef recipe_t *recipe = engine.targets[flight.target].recipe
    flight.phase = SENDING  # the connection is seen, so it must end as one
    if recipe.kind == KIND_SMTP:
        flight.phase = READING
        limit_flight(engine, flight.target, flight, recipe.timeout)
    elif recipe.kind == KIND_SSL:
        return begin_tls(engine, which)
    return True


cdef inline bint begin_tls(engine_t *engine, int32_t which) noexcept nogil:
    """False when the probe has ended."""
    cdef flight_t *flight = &engine.flights[which]
    cdef recipe_t *recipe = engine.targets[flight.target].recipe
    flight.tls = tls_begin(
        engine.tls, engine.tls_settings, flight.fd, recipe.sni, recipe.tls_compliant, recipe.trust,
        &engine.sessions[flight.target], engine.now
    )
    if flight.tls == NULL:
        conclude(engine, which, LOCAL, ENOMEM)
        return False
    flight.phase = HANDSHAKING
    limit_flight(engine, flight.target, flight, recipe.timeout)
    return True


cdef inline bint shake_hands(engine_t *engine, int32_t which) noexcept nogil:
    cdef flight_t *flight = &engine.flights[which]
    cdef recipe_t *recipe = engine.targets[flight.target].recipe
    cdef int error = 0, days = 0
    cdef int result = tls_handshake(flight.tls, &error)
    if result == 1:
        engine.resumed += <uint64_t> SSL_session_reused(flight.tls)
        if recipe.trust != NULL:
            result = tls_trusted(flight.tls, recipe.trust, &error, &days)
    if result == 1:
        flight.phase = SENDING
        return True
    if result != TLS_WAIT:
        flight.status = <uint16_t> (days if 0 < days < 65536 else 0)
        session_forget(&engine.sessions[flight.target])
        give_up(engine, which, result, error)
    return False


cdef inline bint hear(engine_t *engine, int32_t which, const step_t *step, bint *readable) noexcept nogil:
    """TCP: has the server said what this step waits for? False: not yet, or the probe has ended.

    `readable`: there may be something to read.
    """
    cdef flight_t *flight = &engine.flights[which]
    cdef said_t said
    cdef uint32_t room
    cdef ssize_t count = 1
    cdef int budget = READS
    if talk_open(&flight.talk) < 0:
        conclude(engine, which, LOCAL, ENOMEM)
        return False
    said = talk_judge(&flight.talk, step.expect, False) if flight.talk.size else SAY_MORE
    while said != SAID:
        if said == NOT_SAID:
            conclude(engine, which, REPLY if flight.talk.size else NO_DATA, 0)
            return False
        if not readable[0] and flight.tls == NULL:
            return False
        if not budget:
            hunger(engine, which)
            return False
        budget -= 1
        room = TALK_ROOM - flight.talk.size
        count = take_some(engine, which, flight.talk.heard + flight.talk.size, room, False)
        if count == OVER or count == AGAIN:
            return False
        flight.talk.size += <uint32_t> count
        flight.reset_unseen = count == 0
        readable[0] = count == <ssize_t> room or flight.ending != OPEN
        said = talk_judge(&flight.talk, step.expect, count == 0)
    return True


cdef inline void talk(engine_t *engine, int32_t which, bint readable) noexcept nogil:
    """TCP: go through the steps until one has to wait, or the probe has ended."""
    cdef flight_t *flight = &engine.flights[which]
    cdef recipe_t *recipe = engine.targets[flight.target].recipe
    cdef const step_t *step
    while True:
        if flight.phase == HANDSHAKING:
            if not shake_hands(engine, which):
                return
        elif flight.tls == NULL and flight.talk.step == recipe.tls_after:
            if not begin_tls(engine, which):
                return
            continue
        if flight.talk.step == recipe.step_count:
            conclude(engine, which, SUCCESS, 0)
            return
        step = &recipe.steps[flight.talk.step]
        flight.status = <uint16_t> (flight.talk.step + 1)
        if step.expect == NULL:
            if not say(engine, which):
                return
        elif not hear(engine, which, step, &readable):
            return
        flight.talk.step += 1
        flight.sent = 0
        flight.phase = SENDING
        limit_flight(engine, flight.target, flight, recipe.timeout)


cdef inline void listen(engine_t *engine, int32_t which) noexcept nogil:
    cdef uint8_t kind = engine.targets[engine.flights[which].target].recipe.kind
    if kind == KIND_SMTP:
        converse(engine, which)
    elif kind == KIND_TCP:
        talk(engine, which, True)
    else:
        read_reply(engine, which)


cdef inline void on_stream_event(engine_t *engine, int32_t which, uint32_t events) noexcept nogil:
    cdef flight_t *flight = &engine.flights[which]
    cdef recipe_t *recipe = engine.targets[flight.target].recipe
    cdef bint readable = (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0
    cdef int error
    if flight.phase == CONNECTING:
        if events & (EPOLLERR | EPOLLHUP):
            error = socket_error(flight.fd)
            if error:
                flight.reset_unseen = 1
                conclude(engine, which, blame(error), error)
                return
        if not events & EPOLLOUT or not connected(engine, which):
            return
    if events & (EPOLLERR | EPOLLHUP):
        flight.ending = BROKEN
    elif events & EPOLLRDHUP:
        flight.ending = CLOSED
    if flight.phase == INTRODUCING and not introduce(engine, which):
        return
    if recipe.kind == KIND_TCP:
        talk(engine, which, readable)
        return
    if flight.phase == HANDSHAKING and not shake_hands(engine, which):
        return
    if flight.phase == SENDING and not say(engine, which):
        return
    # under TLS what is to be read may have come before
    if flight.phase == READING and (flight.tls != NULL or readable):
        listen(engine, which)
