# A probe's deadline, and what its end means for the target.
#
# The phase of a target is sacred: whatever happens it is due at first + n * interval. Intervals that have passed are
# counted as missed, and there is never a burst. A probe's deadline counts from its real start.

from libc.errno cimport (
    ECONNABORTED, ECONNREFUSED, ECONNRESET, EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH, ENOBUFS, ENOMEM, EPERM,
    ETIMEDOUT,
)
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from http_reply cimport DIGEST_SIZE
from probe cimport (
    BACKOFF, BOUNDS, CERTIFICATE, DIGEST, HELD, KIND_HTTP, KIND_SSL, LATENESS_BOUNDS, LOCAL, READY, REFUSED, SUCCESS,
    TICK, TIMEOUT, WAITING, counters_t, engine_t, flight_t, seen_t, target_t, verdict_t,
)
from probe_parked cimport drop_parked, same_way
from probe_sockets cimport land
from ring cimport mark_set, ring_fence, ring_store
from wheel cimport list_push, list_t, wheel_arm, wheel_cancel


cdef inline bint servers_fault(int error) noexcept nogil:
    """Does an immediate failure of connect() say something about the server, or about us?"""
    return (
        error == ECONNREFUSED or error == ENETUNREACH or error == EHOSTUNREACH or error == EHOSTDOWN
        or error == ENETDOWN or error == ECONNRESET or error == ECONNABORTED or error == ETIMEDOUT
    )


cdef inline verdict_t blame(int error) noexcept nogil:
    """Whose an error is that comes after connect(): memory and a firewall of this host are ours. EACCES is not: IPv6
    says so of an ICMP message from a router."""
    return LOCAL if error == ENOMEM or error == ENOBUFS or error == EPERM else REFUSED


cdef inline int64_t per_megasecond(int64_t interval) noexcept nogil:
    """The rate of an order, in whole numbers so that what was added can be taken away again."""
    if interval == 0:
        return 0
    return <int64_t> 1_000_000 * 1_000_000_000 // (interval if interval > TICK else TICK)


cdef inline int64_t slot_ticks(engine_t *engine) noexcept nogil:
    """Ticks between starts, by the rate of all orders."""
    cdef int64_t thousand = 1_000_000_000  # a second, in orders a megasecond
    return 20 if engine.rate < thousand else 5 if engine.rate < 5 * thousand else 2


cdef inline list_t *line_of(engine_t *engine, target_t *target) noexcept nogil:
    """Where the target waits when it is due."""
    return &engine.silent if target.silent else &engine.ready


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


cdef inline int64_t moved(int32_t index, uint32_t runs, int64_t jitter) noexcept nogil:
    """Within +-jitter, by dice that fall the same way for the same run of the same target (splitmix64)."""
    cdef uint64_t x = (<uint64_t> index << 32 | runs) * <uint64_t> 0x9E3779B97F4A7C15
    x = (x ^ x >> 30) * <uint64_t> 0xBF58476D1CE4E5B9
    x = (x ^ x >> 27) * <uint64_t> 0x94D049BB133111EB
    x ^= x >> 31
    return <int64_t> (x % (2 * <uint64_t> jitter + 1)) - jitter


cdef inline void next_recipe(engine_t *engine, target_t *target) noexcept nogil:
    """It is the next one's turn; a connection that was kept serves it, if it is the same for both."""
    if target.parked and not same_way(target.recipe, target.recipe.next):
        drop_parked(engine, target)
    target.recipe = target.recipe.next


cdef inline void next_interval(engine_t *engine, int32_t index, target_t *target) noexcept nogil:
    """The next start that is still to come; those that are not are missed."""
    cdef int64_t skipped
    target.due += target.interval
    if target.recipe.jitter:
        target.due += moved(index, engine.seen[index].runs, target.recipe.jitter)
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
    engine.counters[target.recipe.kind].local_errors += 1
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
    seen.turn = target.recipe.turn
    seen.error = error
    seen.runs += 1
    ring_store(&seen.sequence, seen.sequence + 1)


cdef inline uint16_t status_of(const flight_t *flight, uint8_t kind, verdict_t verdict) noexcept nogil:
    if verdict == LOCAL:
        return 0
    if (kind == KIND_HTTP or kind == KIND_SSL) and verdict != CERTIFICATE:
        return flight.reply.status if flight.reply.complete else 0
    return flight.status


cdef inline void conclude(engine_t *engine, int32_t which, verdict_t verdict, int error) noexcept nogil:
    """A probe has ended: note it, let the socket go, and decide by the standing order what comes next."""
    cdef flight_t *flight = &engine.flights[which]
    cdef int32_t index = flight.target
    cdef target_t *target = &engine.targets[index]
    cdef counters_t *counters = &engine.counters[target.recipe.kind]
    cdef seen_t *seen = &engine.seen[index]
    note_begin(seen)
    seen.started = flight.started
    seen.finished = engine.now
    seen.lateness = flight.started - target.due
    seen.status = status_of(flight, target.recipe.kind, verdict)
    if verdict == DIGEST:
        memcpy(seen.digest, flight.reply.digest, DIGEST_SIZE)
    note_end(seen, target, verdict, error)
    wheel_cancel(&engine.wheel, index)
    land(engine, which, target.recipe.close_rst)
    if verdict == LOCAL:
        after_local_error(engine, index, target)
        return
    target.strikes = 0
    target.silent = verdict == TIMEOUT
    if verdict == SUCCESS:
        counters.succeeded += 1
    else:
        counters.failed += 1
        counters.timed_out += verdict == TIMEOUT
    if target.interval == 0 or (verdict == SUCCESS) != target.expect_success:
        hand_up(engine, index, target)
    else:
        if target.recipe.next != NULL:
            next_recipe(engine, target)
        next_interval(engine, index, target)
        wait_until(engine, index, target, target.due)


cdef inline void redial(engine_t *engine, int32_t which) noexcept nogil:
    """The server had given up a connection that was kept, before it saw our request: nobody's failure. Begin anew."""
    cdef int32_t index = engine.flights[which].target
    cdef target_t *target = &engine.targets[index]
    engine.redialled += 1
    wheel_cancel(&engine.wheel, index)
    engine.flights[which].reset_unseen = 1
    land(engine, which, target.recipe.close_rst)
    target.again = 1
    target.state = READY
    list_push(&engine.wheel, line_of(engine, target), index)


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
