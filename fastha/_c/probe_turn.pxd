# The thread of the probe engine, turn by turn.
#
# Wait, events, commands, wheel (deadlines; due targets go to the ready list), starts while fewer than `most` are in
# flight, doorbell. Events first, so that nobody is timed out whose answer is here; all events of a batch before any
# start, so that no event is charged to the next owner of a socket. An idle socket reports whatever it likes.
#
# Wake-ups cost more than probes at ordinary rates. After a turn in which something happened, and before a wait that
# answers would cut short one by one, the thread sleeps a moment regardless of them.

from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memset

from epoll cimport EPOLLERR, EPOLLHUP, clock_nanosleep, epoll_wait_ns, eventfd_read, eventfd_write
from linux_net cimport CLOCK_MONOTONIC, SIG_SETMASK, nanoseconds, pthread_sigmask, sigfillset, sigset_t, timespec
from probe cimport (
    BELL, EVENTS, FLYING, GATHER, GATHER_FINS, HELD, LINGER, LINGERING, LONGEST, PARKED, READY, RESERVE, STARTS, TICK,
    UNKNOWN, WAITING, engine_t, recipe_t, seen_t, target_t,
)
from probe_begin cimport begin, on_event, read_hungry, time_out
from probe_parked cimport drop_parked, on_parked_event, same_way
from probe_flight cimport line_of, note_begin, per_megasecond, wait_until
from probe_sockets cimport discard, keep, land, let_go_of_tls, sweep, unpark
from ring cimport (
    COMMAND_HOLD, COMMAND_ORDER, COMMAND_TLS, command_t, mark_unset, queue_take, ring_load, ring_store, ring_swap,
)
from tls cimport SSL_CTX, session_forget
from wheel cimport NEVER_ARMED, list_drop, list_pop, list_push, wheel_cancel, wheel_next, wheel_pop


cdef inline bint silent_may_start(const engine_t *engine) noexcept nogil:
    """A dead service, each of whose probes keeps its place until it times out, must leave places for the others."""
    return engine.silent.count != 0 and engine.in_flight < engine.most - engine.most // RESERVE


cdef inline bint may_start(const engine_t *engine) noexcept nogil:
    """There is somebody who is due, and a place."""
    return (engine.ready.count != 0 and engine.in_flight < engine.most) or silent_may_start(engine)


cdef inline int64_t until_next(engine_t *engine) noexcept nogil:
    """How long the thread may sleep."""
    cdef int64_t wait
    cdef uint64_t tick
    if engine.hungry >= 0 or may_start(engine):
        return 0
    tick = wheel_next(&engine.wheel)
    if tick > <uint64_t> 1 << 50:
        return LONGEST
    wait = engine.origin + <int64_t> tick * TICK - nanoseconds(CLOCK_MONOTONIC)
    return 0 if wait < 0 else LONGEST if wait > LONGEST else wait


cdef inline void gather(engine_t *engine, int64_t wait) noexcept nogil:
    """Let what is on its way arrive, but not beyond `wait`."""
    cdef timespec pause
    cdef int64_t most = GATHER if engine.in_flight else GATHER_FINS
    pause.tv_sec = 0
    pause.tv_nsec = wait if wait < most else most
    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL)


cdef inline bint harvest(engine_t *engine, int count) noexcept nogil:
    """Handle `count` events; was there one that concerned a probe?"""
    cdef int i
    cdef uint64_t ignored, which
    cdef bint ours = False
    for i in range(count):
        which = engine.events[i].data.u64
        if which == BELL:
            eventfd_read(engine.bell, &ignored)
        elif engine.flights[which].target >= 0:
            ours = True
            on_event(engine, <int32_t> which, engine.events[i].events)
        elif engine.flights[which].phase == LINGERING and engine.events[i].events & (EPOLLHUP | EPOLLERR):
            engine.lingering -= 1
            keep(engine, <int32_t> which, True)
        elif engine.flights[which].phase == PARKED:
            on_parked_event(engine, <int32_t> which, engine.events[i].events)
    return ours


cdef inline void forget(engine_t *engine, int32_t index) noexcept nogil:
    cdef seen_t *seen = &engine.seen[index]
    cdef uint64_t sequence = seen.sequence + 1
    note_begin(seen)
    memset(seen, 0, sizeof(seen_t))
    ring_store(&seen.sequence, sequence + 1)


cdef inline void drop_order(engine_t *engine, int32_t index, target_t *target) noexcept nogil:
    """Leave whatever the target is doing, unreported."""
    if target.state == FLYING:
        engine.superseded += 1
        land(engine, target.flight, target.recipe.close_rst)
    if target.state == READY:
        list_drop(&engine.wheel, line_of(engine, target), index)
    elif target.state == WAITING or target.state == FLYING:
        wheel_cancel(&engine.wheel, index)
    elif target.state == UNKNOWN:
        target.node.slot = NEVER_ARMED
    if target.state == WAITING or target.state == READY or target.state == FLYING:
        engine.rate -= per_megasecond(target.interval)
    target.again = 0
    mark_unset(engine.marks, index)


cdef inline int64_t first_due(engine_t *engine, int64_t first, int64_t interval) noexcept nogil:
    """When an order is first due: those whose time is long past begin now, in their phase if they have one."""
    if first == 0:
        return engine.now
    if interval and first < engine.now:
        return first + (engine.now - first) // interval * interval
    return first


cdef inline void change_way(
    engine_t *engine, int32_t index, target_t *target, const command_t *command
) noexcept nogil:
    """A connection that is kept, and a session, go on serving the target as long as it is probed in the same way."""
    cdef recipe_t *recipe = <recipe_t *> command.recipe
    if target.state == UNKNOWN:
        return
    if command.kind == COMMAND_ORDER and same_way(target.recipe, recipe):
        return
    if target.parked:
        drop_parked(engine, target)
    if command.kind != COMMAND_HOLD:
        session_forget(&engine.sessions[index])


cdef inline void take_commands(engine_t *engine) noexcept nogil:
    cdef command_t command
    cdef target_t *target
    cdef uint64_t taken = engine.shared.taken
    ring_swap(&engine.shared.doorbell, 0)
    while queue_take(&engine.queue, &command):
        if command.kind == COMMAND_TLS:
            engine.tls = <SSL_CTX *> command.recipe
            engine.tls_settings += 1
            taken += 1
            ring_store(&engine.shared.taken, taken)
            continue
        target = &engine.targets[command.target]
        drop_order(engine, command.target, target)
        change_way(engine, command.target, target, &command)
        if command.kind == COMMAND_ORDER:
            if target.state == UNKNOWN:
                engine.known += 1
                target.silent = 0
            target.recipe = <recipe_t *> command.recipe
            target.due = first_due(engine, command.first, command.interval)
            target.interval = command.interval
            target.generation = command.generation
            target.expect_success = command.expect_success
            target.strikes = 0
            target.state = WAITING
            engine.rate += per_megasecond(target.interval)
            wait_until(engine, command.target, target, target.due)
        elif command.kind == COMMAND_HOLD:
            if target.state != UNKNOWN:
                target.state = HELD
        elif target.state != UNKNOWN:
            target.state = UNKNOWN
            engine.known -= 1
            forget(engine, command.target)
        taken += 1
        ring_store(&engine.shared.taken, taken)


cdef inline void turn_wheel(engine_t *engine) noexcept nogil:
    """Time out what is late, make ready what is due."""
    cdef uint64_t limit = <uint64_t> ((engine.now - engine.origin) // TICK)
    cdef int32_t index = wheel_pop(&engine.wheel, limit)
    cdef target_t *target
    while index >= 0:
        target = &engine.targets[index]
        if target.state == FLYING:
            time_out(engine, target.flight)
        elif target.due > engine.now:  # farther away than the wheel reaches
            wait_until(engine, index, target, target.due)
        else:
            target.state = READY
            list_push(&engine.wheel, line_of(engine, target), index)
        index = wheel_pop(&engine.wheel, limit)


cdef inline bint start_ready(engine_t *engine) noexcept nogil:
    """Start what is ready, first come first served, those that answered last time first; was there anything?"""
    cdef int budget = STARTS
    cdef int32_t index
    while budget and may_start(engine):
        if budget & 15 == 0:
            engine.now = nanoseconds(CLOCK_MONOTONIC)
        index = list_pop(&engine.wheel, &engine.ready if engine.ready.count else &engine.silent)
        begin(engine, index, &engine.targets[index])
        budget -= 1
    if (engine.ready.count or engine.silent.count) and not may_start(engine):
        engine.starved += 1
    return budget < STARTS


cdef inline void land_all(engine_t *engine) noexcept nogil:
    """The end: no probe is left in flight, no socket open."""
    cdef int32_t which
    for which in range(engine.entries):
        if engine.flights[which].target >= 0:
            engine.targets[engine.flights[which].target].state = HELD
            land(engine, which, engine.targets[engine.flights[which].target].recipe.close_rst)
    for which in range(engine.entries):
        if engine.flights[which].phase == PARKED:
            unpark(engine, which)
            let_go_of_tls(&engine.flights[which])
        if engine.flights[which].fd >= 0:
            discard(engine, which)


cdef inline void wake_python(engine_t *engine) noexcept nogil:
    if not ring_swap(&engine.shared.raised, 1):
        eventfd_write(engine.raised, 1)


cdef inline void loop(engine_t *engine) noexcept nogil:
    cdef sigset_t all_signals
    cdef int64_t wait, next_sweep = 0
    cdef int count, rounds
    cdef bint eventful = True
    sigfillset(&all_signals)
    pthread_sigmask(SIG_SETMASK, &all_signals, NULL)
    engine.now = engine.swept = nanoseconds(CLOCK_MONOTONIC)
    while not ring_load(&engine.shared.stop):
        wait = until_next(engine)
        if eventful and wait and (engine.in_flight or engine.lingering):
            gather(engine, wait)
            wait = until_next(engine)
        rounds = 0
        eventful = False
        while True:  # all there is, before anybody is timed out
            count = epoll_wait_ns(engine.epoll, engine.events, EVENTS, 0 if rounds else wait)
            engine.now = nanoseconds(CLOCK_MONOTONIC)
            if count > 0:
                eventful |= harvest(engine, count)
            rounds += 1
            if count < EVENTS or rounds == 16:
                break
        ring_store(&engine.shared.heartbeat, <uint64_t> engine.now)
        engine.turns += 1
        if ring_load(&engine.shared.doorbell):
            take_commands(engine)
        read_hungry(engine)
        turn_wheel(engine)
        eventful |= start_ready(engine)
        if engine.now >= next_sweep:
            next_sweep = engine.now + LINGER
            sweep(engine)
        if engine.report:
            engine.report = False
            wake_python(engine)
    land_all(engine)
