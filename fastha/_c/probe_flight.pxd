# One probe: connect, send, read, compare, time out; and what its end means for the target.
#
# The phase of a target is sacred: whatever happens it is due at first + n * interval. Intervals that have passed are
# counted as missed, and there is never a burst. A probe's deadline counts from its real start.

from libc.errno cimport (
    EAGAIN, ECONNABORTED, ECONNREFUSED, ECONNRESET, EHOSTDOWN, EHOSTUNREACH, EINPROGRESS, EINTR, ENETDOWN, ENETUNREACH,
    ENOMEM, ETIMEDOUT, errno,
)
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from epoll cimport (
    EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, MSG_NOSIGNAL, MSG_TRUNC, connect, recv, send, sockaddr,
    socket_error,
)
from http_reply cimport (
    DIGEST_SIZE, REPLY_GOOD, REPLY_NO_DATA, REPLY_STATUS, reply_begin, reply_end, reply_feed, reply_judge,
)
from probe cimport (
    BACKOFF, BOUNDS, BROKEN, CLOSED, CONNECTING, DIGEST, FLYING, FOREVER, HELD, LATENESS_BOUNDS, LOCAL, NO_DATA, OPEN,
    READING, READS, RECEIVE, REFUSED, SENDING, STATUS, SUCCESS, TICK, TIMEOUT, WAITING, counters_t, engine_t, flight_t,
    recipe_t, seen_t, target_t, verdict_t,
)
from probe_sockets cimport land, take_socket, watch
from ring cimport mark_set, ring_fence, ring_store
from wheel cimport wheel_arm, wheel_cancel


cdef inline bint servers_fault(int error) noexcept nogil:
    """Does an immediate failure of connect() say something about the server, or about us?"""
    return (
        error == ECONNREFUSED or error == ENETUNREACH or error == EHOSTUNREACH or error == EHOSTDOWN
        or error == ENETDOWN or error == ECONNRESET or error == ECONNABORTED or error == ETIMEDOUT
    )


cdef inline int64_t per_megasecond(int64_t interval) noexcept nogil:
    """The rate of an order, in whole numbers so that what was added can be taken away again."""
    if interval == 0:
        return 0
    return <int64_t> 1_000_000 * 1_000_000_000 // (interval if interval > TICK else TICK)


cdef inline int64_t slot_ticks(engine_t *engine) noexcept nogil:
    """Ticks between starts, by the rate of all orders."""
    cdef int64_t thousand = 1_000_000_000  # a second, in orders a megasecond
    return 20 if engine.rate < thousand else 5 if engine.rate < 5 * thousand else 2


cdef inline void wait_until(engine_t *engine, int32_t index, target_t *target, int64_t when) noexcept nogil:
    """Into the wheel, at the first slot that is not before `when`."""
    cdef int64_t slot = slot_ticks(engine), tick = (when - engine.origin + TICK - 1) // TICK
    target.state = WAITING
    wheel_arm(&engine.wheel, index, <uint64_t> ((tick + slot - 1) // slot * slot) if tick > 0 else 0)


cdef inline void limit_flight(engine_t *engine, int32_t index, flight_t *flight, int64_t timeout) noexcept nogil:
    """(Re)arm the deadline of a probe: `timeout` from now, but not beyond that of the whole probe."""
    cdef int64_t when = engine.now + timeout
    if when > flight.until:
        when = flight.until
    wheel_arm(&engine.wheel, index, <uint64_t> ((when - engine.origin + TICK - 1) // TICK))


cdef inline void next_interval(engine_t *engine, target_t *target) noexcept nogil:
    """The next start that is still to come; those that are not are missed."""
    cdef int64_t skipped
    target.due += target.interval
    if target.due <= engine.now:
        skipped = (engine.now - target.due) // target.interval + 1
        engine.missed += <uint64_t> skipped
        target.due += skipped * target.interval


cdef inline void hand_up(engine_t *engine, int32_t index, target_t *target) noexcept nogil:
    engine.rate -= per_megasecond(target.interval)
    target.state = HELD
    mark_set(engine.marks, index)
    engine.reported += 1
    engine.report = True


cdef inline void after_local_error(engine_t *engine, int32_t index, target_t *target) noexcept nogil:
    """Not the server's fault: try again soon, ever less often, in the old phase. One shots are handed up."""
    cdef int64_t pause = <int64_t> BACKOFF << target.strikes
    engine.counters[target.recipe.request != NULL].local_errors += 1
    if target.interval == 0:
        hand_up(engine, index, target)
        return
    if target.strikes < 5:
        target.strikes += 1
    wait_until(engine, index, target, engine.now + (pause if pause < target.interval else target.interval))


cdef inline void note_begin(seen_t *seen) noexcept nogil:
    ring_store(&seen.sequence, seen.sequence + 1)
    ring_fence()


cdef inline void note_end(seen_t *seen, target_t *target, verdict_t verdict, int error) noexcept nogil:
    seen.generation = target.generation
    seen.verdict = <uint8_t> verdict
    seen.error = error
    seen.runs += 1
    ring_store(&seen.sequence, seen.sequence + 1)


cdef inline void conclude(engine_t *engine, int32_t which, verdict_t verdict, int error) noexcept nogil:
    """A probe has ended: note it, let the socket go, and decide by the standing order what comes next."""
    cdef flight_t *flight = &engine.flights[which]
    cdef int32_t index = flight.target
    cdef target_t *target = &engine.targets[index]
    cdef counters_t *counters = &engine.counters[target.recipe.request != NULL]
    cdef seen_t *seen = &engine.seen[index]
    cdef bint http = target.recipe.request != NULL and verdict != LOCAL
    note_begin(seen)
    seen.started = flight.started
    seen.finished = engine.now
    seen.lateness = flight.started - target.due
    seen.status = flight.reply.status if http and flight.reply.complete else 0
    if verdict == DIGEST:
        memcpy(seen.digest, flight.reply.digest, DIGEST_SIZE)
    note_end(seen, target, verdict, error)
    wheel_cancel(&engine.wheel, index)
    land(engine, which, target.recipe.close_rst)
    if verdict == LOCAL:
        after_local_error(engine, index, target)
        return
    target.strikes = 0
    if verdict == SUCCESS:
        counters.succeeded += 1
    else:
        counters.failed += 1
        counters.timed_out += verdict == TIMEOUT
    if target.interval == 0 or (verdict == SUCCESS) != target.expect_success:
        hand_up(engine, index, target)
    else:
        next_interval(engine, target)
        wait_until(engine, index, target, target.due)


cdef inline void local_error(engine_t *engine, int32_t index, target_t *target, int error) noexcept nogil:
    """The probe could not even begin."""
    cdef seen_t *seen = &engine.seen[index]
    note_begin(seen)
    seen.started = seen.finished = engine.now
    seen.lateness = engine.now - target.due
    seen.status = 0
    note_end(seen, target, LOCAL, error)
    after_local_error(engine, index, target)


cdef inline void count_lateness(engine_t *engine, int64_t late) noexcept nogil:
    cdef int i = 0
    while i < BOUNDS and late > LATENESS_BOUNDS[i]:
        i += 1
    engine.late[i] += 1
    engine.late_total += 1
    if late > engine.late_most:
        engine.late_most = late


cdef inline verdict_t verdict_of(reply_end end) noexcept nogil:
    if end == REPLY_GOOD:
        return SUCCESS
    if end == REPLY_NO_DATA:
        return NO_DATA
    return STATUS if end == REPLY_STATUS else DIGEST


cdef inline void read_reply(engine_t *engine, int32_t which) noexcept nogil:
    """Read what there is: until the socket is empty, or the connection has ended, or others should have their turn."""
    cdef flight_t *flight = &engine.flights[which]
    cdef recipe_t *recipe = engine.targets[flight.target].recipe
    cdef bint digest = recipe.expected.digest != NULL
    cdef ssize_t count = 0
    cdef int budget = READS, error
    while budget:
        # the octets of a body that no digest needs are counted, not copied
        count = recv(flight.fd, engine.buffer, RECEIVE, MSG_TRUNC if flight.reply.complete and not digest else 0)
        if count <= 0:
            break
        reply_feed(&flight.reply, engine.buffer, <size_t> count, digest)
        if flight.reply.hopeless:
            if flight.reply.hopeless == 2:
                conclude(engine, which, LOCAL, ENOMEM)
            else:
                conclude(engine, which, NO_DATA, 0)
            return
        if count < RECEIVE and flight.ending != BROKEN:
            if flight.ending == CLOSED:
                count = 0
            break
        budget -= 1
    if count > 0:
        limit_flight(engine, flight.target, flight, recipe.timeout)
        if not budget and not flight.hungry:
            flight.hungry = 1
            flight.next = engine.hungry
            engine.hungry = which
    elif count == 0:
        flight.reset_unseen = 1
        conclude(engine, which, verdict_of(reply_judge(&flight.reply, &recipe.expected)), 0)
    else:
        error = errno
        if error != EAGAIN and error != EINTR:
            flight.reset_unseen = 1
            conclude(engine, which, REFUSED, error)


cdef inline bint send_request(engine_t *engine, int32_t which, flight_t *flight) noexcept nogil:
    """Send what is left of the request; is all of it under way?"""
    cdef recipe_t *recipe = engine.targets[flight.target].recipe
    cdef ssize_t count = send(
        flight.fd, recipe.request + flight.sent, recipe.request_size - flight.sent, MSG_NOSIGNAL
    )
    cdef int error = errno
    if count < 0:
        if error != EAGAIN and error != EINTR:
            flight.reset_unseen = 1
            conclude(engine, which, REFUSED, error)
        return False
    flight.sent += <uint32_t> count
    if flight.sent < recipe.request_size:
        return False
    flight.phase = READING
    limit_flight(engine, flight.target, flight, recipe.timeout)
    return True


cdef inline void on_event(engine_t *engine, int32_t which, uint32_t events) noexcept nogil:
    cdef flight_t *flight = &engine.flights[which]
    cdef int error
    if flight.phase == CONNECTING:
        if events & (EPOLLERR | EPOLLHUP):
            error = socket_error(flight.fd)
            if error:
                flight.reset_unseen = 1
                conclude(engine, which, REFUSED, error)
                return
        if not events & EPOLLOUT:
            return
        flight.phase = SENDING
        if engine.targets[flight.target].recipe.request == NULL:
            conclude(engine, which, SUCCESS, 0)
            return
    if events & (EPOLLERR | EPOLLHUP):
        flight.ending = BROKEN
    elif events & EPOLLRDHUP:
        flight.ending = CLOSED
    if flight.phase == SENDING and not send_request(engine, which, flight):
        return
    if flight.phase == READING and events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP):
        read_reply(engine, which)


cdef inline void read_hungry(engine_t *engine) noexcept nogil:
    """Go on reading where a server had more to say than its share of a turn."""
    cdef int32_t which = engine.hungry, following
    engine.hungry = -1
    while which >= 0:
        following = engine.flights[which].next
        engine.flights[which].hungry = 0
        read_reply(engine, which)
        which = following


cdef inline void begin(engine_t *engine, int32_t index, target_t *target) noexcept nogil:
    cdef recipe_t *recipe = target.recipe
    cdef int32_t which
    cdef flight_t *flight
    cdef int error = 0
    count_lateness(engine, engine.now - target.due)
    engine.counters[recipe.request != NULL].started += 1
    which = take_socket(engine, recipe.pool, &error)
    if which < 0:
        local_error(engine, index, target, error)
        return
    flight = &engine.flights[which]
    flight.target = index
    flight.phase = CONNECTING
    flight.reset_unseen = 0
    flight.ending = OPEN
    flight.sent = 0
    flight.started = engine.now
    flight.until = engine.now + recipe.deadline if recipe.deadline else FOREVER
    target.flight = which
    target.state = FLYING
    engine.in_flight += 1
    if recipe.request != NULL and reply_begin(&flight.reply, recipe.expected.digest != NULL) < 0:
        conclude(engine, which, LOCAL, ENOMEM)
        return
    if connect(flight.fd, <sockaddr *> &recipe.address, recipe.address_size) < 0:
        error = errno
        if error != EINPROGRESS:
            conclude(engine, which, REFUSED if servers_fault(error) else LOCAL, error)
            return
    if not flight.watched and watch(engine, which) < 0:
        conclude(engine, which, LOCAL, errno)
        return
    limit_flight(engine, index, flight, recipe.timeout)
