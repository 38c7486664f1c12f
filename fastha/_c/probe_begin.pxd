# A probe's start, and whose an event is.

from libc.errno cimport EINPROGRESS, ENOMEM, ETIMEDOUT, errno
from libc.stdint cimport int32_t, uint32_t

from epoll cimport connect, sockaddr, socket_defer_ack
from http_reply cimport reply_begin
from probe cimport (
    CONNECTING, FLYING, FOREVER, KIND_HTTP, KIND_SMTP, KIND_SSL, KIND_UDP, LOCAL, OPEN, REFUSED, SENDING, STREAM,
    SUCCESS, TIMEOUT, engine_t, flight_t, recipe_t, target_t,
)
from probe_datagram cimport ask, on_datagram_event
from probe_flight cimport conclude, count_lateness, limit_flight, local_error, servers_fault
from probe_sockets cimport take_socket, unpark, watch
from probe_stream cimport listen, on_stream_event, say
from smtp_reply cimport smtp_begin


cdef inline void on_event(engine_t *engine, int32_t which, uint32_t events) noexcept nogil:
    if engine.flights[which].pool.transport == STREAM:
        on_stream_event(engine, which, events)
    else:
        on_datagram_event(engine, which)


cdef inline void read_hungry(engine_t *engine) noexcept nogil:
    """Go on reading where a server had more to say than its share of a turn."""
    cdef int32_t which = engine.hungry, following
    engine.hungry = -1
    while which >= 0:
        following = engine.flights[which].next
        engine.flights[which].hungry = 0
        if engine.flights[which].pool.transport == STREAM:
            listen(engine, which)
        else:
            on_datagram_event(engine, which)
        which = following


cdef inline void time_out(engine_t *engine, int32_t which) noexcept nogil:
    """Its time is over. To a datagram that needs no answer silence is one: nobody has refused it."""
    cdef recipe_t *recipe = engine.targets[engine.flights[which].target].recipe
    if recipe.kind == KIND_UDP and not recipe.require_reply:
        conclude(engine, which, SUCCESS, 0)
    else:
        conclude(engine, which, TIMEOUT, ETIMEDOUT)


cdef inline void prepare(engine_t *engine, int32_t index, target_t *target, int32_t which, bint reused) noexcept nogil:
    """This flight carries out the target's probe."""
    cdef flight_t *flight = &engine.flights[which]
    flight.target = index
    flight.phase = SENDING if reused else CONNECTING
    flight.reset_unseen = 0
    flight.ending = OPEN
    flight.park = 0
    flight.reused = 1 if reused else 0
    flight.sent = 0
    flight.status = 0
    flight.talk.step = 0
    flight.started = engine.now
    flight.until = engine.now + target.recipe.deadline if target.recipe.deadline else FOREVER
    target.flight = which
    target.state = FLYING
    engine.in_flight += 1


cdef inline void begin(engine_t *engine, int32_t index, target_t *target) noexcept nogil:
    cdef recipe_t *recipe = target.recipe
    cdef int32_t which
    cdef flight_t *flight
    cdef bint reused = target.parked
    cdef int error = 0
    if target.again:
        target.again = 0
    else:
        count_lateness(engine, engine.now - target.due)
        engine.counters[recipe.kind].started += 1
    if reused:
        which = target.flight
        unpark(engine, which)
        engine.reused += 1
    else:
        which = take_socket(engine, recipe.pool, &error)
        if which < 0:
            local_error(engine, index, target, error)
            return
    prepare(engine, index, target, which, reused)
    flight = &engine.flights[which]
    if recipe.kind == KIND_SMTP:
        smtp_begin(&flight.smtp)
    elif (recipe.kind == KIND_HTTP or recipe.kind == KIND_SSL) and reply_begin(&flight.reply, &recipe.expected) < 0:
        conclude(engine, which, LOCAL, ENOMEM)
        return
    if reused:
        limit_flight(engine, index, flight, recipe.timeout)
        say(engine, which)
        return
    if recipe.half_open:
        socket_defer_ack(flight.fd)
    if connect(flight.fd, <sockaddr *> &recipe.address, recipe.address_size) < 0:
        error = errno
        if error != EINPROGRESS:
            conclude(engine, which, REFUSED if servers_fault(error) else LOCAL, error)
            return
    if not flight.watched and watch(engine, which) < 0:
        conclude(engine, which, LOCAL, errno)
        return
    limit_flight(engine, index, flight, recipe.timeout)
    if flight.pool.transport != STREAM:
        ask(engine, which)
