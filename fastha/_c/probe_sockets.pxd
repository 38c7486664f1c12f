# Where the sockets of the probe engine come from, and where they go.
#
# Each is put into epoll once, edge-triggered, and used again by connect(AF_UNSPEC): at once where the end of a probe
# may be a reset (`close_rst`, the peer has closed first, there never was a connection); else we send our FIN and wait
# for the peer's, which looks like close() on the wire. What is idle lies in the pool of its kind, last used first.

from libc.errno cimport EAGAIN, errno
from libc.stdint cimport int32_t, int64_t, uint64_t
from posix.unistd cimport close

from epoll cimport (
    AF_INET6, EPOLL_CTL_ADD, EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP, IP_BIND_ADDRESS_NO_PORT, IPPROTO_ICMP,
    IPPROTO_ICMPV6, IPPROTO_IP, MSG_TRUNC, SHUT_WR, SO_BINDTODEVICE, SO_MARK, SO_REUSEADDR, SOCK_CLOEXEC, SOCK_DGRAM,
    SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET, bind, epoll_ctl, epoll_event, recv, setsockopt, shutdown, sockaddr, socket,
    socket_disconnect, socket_reset_on_close,
)
from http_reply cimport reply_drop
from probe cimport (
    CONNECTING, DEVICE, ECHO, IDLE, LINGER, LINGERERS, LINGERING, OPEN, PARKED, STREAM, SWEEP, engine_t, flight_t,
    pool_t, target_t,
)
from talk cimport talk_end
from tls cimport tls_finish


cdef inline int32_t take_socket(engine_t *engine, pool_t *pool, int *error) noexcept nogil:
    """An idle socket of the pool, or a new one; -1 and an errno."""
    cdef int32_t which
    while pool.idle >= 0:
        which = take_idle(engine, pool)
        if not engine.flights[which].used or socket_disconnect(engine.flights[which].fd) == 0:
            return which
        discard(engine, which)
    which = engine.empty
    if which >= 0:
        engine.empty = engine.flights[which].next
    elif engine.entries < engine.most:
        which = engine.entries
        engine.entries += 1
    else:
        which = evict(engine)
    engine.flights[which].fd = open_socket(pool, error)
    engine.flights[which].target = -1
    engine.flights[which].phase = IDLE
    engine.flights[which].watched = 0
    engine.flights[which].pool = pool
    if engine.flights[which].fd < 0:
        engine.flights[which].next = engine.empty
        engine.empty = which
        return -1
    engine.opened += 1
    engine.sockets_made += 1
    if not pool.listed:
        pool.listed = 1
        pool.next = engine.pools
        engine.pools = pool
    return which


cdef inline int32_t take_idle(engine_t *engine, pool_t *pool) noexcept nogil:
    cdef int32_t which = pool.idle
    pool.idle = engine.flights[which].next
    pool.idle_count -= 1
    if pool.idle_count < pool.least_idle:
        pool.least_idle = pool.idle_count
    return which


cdef inline int32_t evict(engine_t *engine) noexcept nogil:
    """All entries have sockets, but fewer than `most` are in flight: take one that another pool has no use for, or
    that only lingers or waits for another probe."""
    cdef pool_t *pool = engine.pools
    cdef flight_t *flight
    cdef int32_t which
    while pool != NULL and pool.idle < 0:
        pool = pool.next
    if pool != NULL:
        which = take_idle(engine, pool)
    else:
        which = engine.hand
        while engine.flights[which].phase != LINGERING and engine.flights[which].phase != PARKED:
            which += 1
            if which == engine.entries:
                which = 0
        engine.hand = which
        flight = &engine.flights[which]
        if flight.phase == PARKED:
            unpark(engine, which)
            let_go_of_tls(flight)
        else:
            engine.lingering -= 1
    close(engine.flights[which].fd)
    engine.opened -= 1
    return which


cdef inline void unpark(engine_t *engine, int32_t which) noexcept nogil:
    """The connection waits no more; what becomes of it is the caller's business."""
    engine.targets[engine.flights[which].owner].parked = 0
    engine.parked -= 1


cdef inline void let_go_of_tls(flight_t *flight) noexcept nogil:
    if flight.tls != NULL:
        tls_finish(flight.tls)
        flight.tls = NULL


cdef inline int open_socket(pool_t *pool, int *error) noexcept nogil:
    cdef int one = 1, protocol = 0
    cdef int fd
    if pool.transport == ECHO:
        protocol = IPPROTO_ICMPV6 if pool.family == AF_INET6 else IPPROTO_ICMP
    fd = socket(
        pool.family, (SOCK_STREAM if pool.transport == STREAM else SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol
    )
    if fd < 0:
        error[0] = errno
        return -1
    if (
        (pool.mark and setsockopt(fd, SOL_SOCKET, SO_MARK, &pool.mark, sizeof(pool.mark)) < 0)
        or (pool.device[0] and setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, pool.device, DEVICE) < 0)
        # without this bind() takes a port for all destinations, and takes up to a millisecond for it
        or (pool.source_size and not pool.fixed_port
            and setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) < 0)
        or (pool.fixed_port and setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
        or (pool.source_size and bind(fd, <sockaddr *> &pool.source, pool.source_size) < 0)
    ):
        error[0] = errno
        close(fd)
        return -1
    return fd


cdef inline int watch(engine_t *engine, int32_t which) noexcept nogil:
    cdef epoll_event event
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET
    event.data.u64 = <uint64_t> which
    if epoll_ctl(engine.epoll, EPOLL_CTL_ADD, engine.flights[which].fd, &event) < 0:
        return -1
    engine.flights[which].watched = 1
    return 0


cdef inline void keep(engine_t *engine, int32_t which, bint used) noexcept nogil:
    """Into its pool, for the next probe; `used`: not disconnected yet."""
    cdef flight_t *flight = &engine.flights[which]
    engine.recycled += 1
    flight.phase = IDLE
    flight.used = 1 if used else 0
    flight.next = flight.pool.idle
    flight.pool.idle = which
    flight.pool.idle_count += 1


cdef inline void discard(engine_t *engine, int32_t which) noexcept nogil:
    cdef flight_t *flight = &engine.flights[which]
    close(flight.fd)
    flight.fd = -1
    flight.phase = IDLE
    flight.next = engine.empty
    engine.empty = which
    engine.opened -= 1


cdef inline void unlist_hungry(engine_t *engine, int32_t which) noexcept nogil:
    cdef int32_t *link = &engine.hungry
    while link[0] >= 0:
        if link[0] == which:
            link[0] = engine.flights[which].next
            break
        link = &engine.flights[link[0]].next
    engine.flights[which].hungry = 0


cdef inline bint emptied(int fd) noexcept nogil:
    """Nothing can arrive any more at a datagram socket that is not connected; drop what has."""
    cdef int budget = 64
    while budget and recv(fd, NULL, 0, MSG_TRUNC) >= 0:
        budget -= 1
    return budget > 0 and errno == EAGAIN


cdef inline void land(engine_t *engine, int32_t which, bint reset) noexcept nogil:
    """The probe is over: park its connection for the next one, or end it."""
    cdef flight_t *flight = &engine.flights[which]
    cdef target_t *target = &engine.targets[flight.target]
    if flight.hungry:
        unlist_hungry(engine, which)
    reply_drop(&flight.reply)
    talk_end(&flight.talk)
    engine.in_flight -= 1
    if flight.park and flight.ending == OPEN:
        flight.owner = flight.target
        flight.target = -1
        flight.phase = PARKED
        target.flight = which
        target.parked = 1
        engine.parked += 1
        return
    flight.target = -1
    hang_up(engine, which, reset)


cdef inline void hang_up(engine_t *engine, int32_t which, bint reset) noexcept nogil:
    """End a connection, with a reset or as close() would, and keep the socket if possible."""
    cdef flight_t *flight = &engine.flights[which]
    cdef bint again = engine.recycling and flight.watched and not flight.pool.fixed_port
    let_go_of_tls(flight)
    if flight.pool.transport != STREAM:
        if again and socket_disconnect(flight.fd) == 0 and emptied(flight.fd):
            keep(engine, which, False)
        else:
            discard(engine, which)
        return
    if again and (reset or flight.reset_unseen or flight.phase == CONNECTING) and socket_disconnect(flight.fd) == 0:
        keep(engine, which, False)
    elif again and not reset and engine.lingering < LINGERERS and shutdown(flight.fd, SHUT_WR) == 0:
        flight.phase = LINGERING
        flight.until = engine.now + LINGER
        engine.lingering += 1
    else:
        if reset:
            socket_reset_on_close(flight.fd)
        discard(engine, which)


cdef inline void sweep(engine_t *engine) noexcept nogil:
    """Now and then: close the sockets that nobody has needed since the last time, and those that linger for long."""
    cdef pool_t *pool = engine.pools
    cdef int32_t which, surplus
    for which in range(engine.entries):
        if not engine.lingering:
            break
        if engine.flights[which].phase == LINGERING and engine.flights[which].until < engine.now:
            engine.lingering -= 1
            discard(engine, which)
    if engine.now - engine.swept < <int64_t> SWEEP * 1_000_000_000:
        return
    engine.swept = engine.now
    while pool != NULL:
        surplus = pool.least_idle
        while surplus:
            discard(engine, take_idle(engine, pool))
            surplus -= 1
        pool.least_idle = pool.idle_count
        pool = pool.next
