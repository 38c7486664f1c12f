# The thread of the advert engine: commands, what arrived, deadlines, and sleep.
#
# A sleep ends with a command, a deadline, or something to read. While adverts come in thick and fast (a turn of reading
# not two lulls after the one before) the thread does not look up for each: it rests for a lull, unless a deadline or a
# command is first, and reads all that has come. An advert counts from its kernel stamp, so nothing is judged by that.

from advert cimport (
    AWAY, BATCH, COMMAND_BIND, COMMAND_CLOSE, COMMAND_FRAMES, COMMAND_GROW, COMMAND_LISTEN, COMMAND_ORDER,
    COMMAND_SEND, COMMAND_SETTLE, COMMAND_STOP, COMMAND_UNBIND, COMMAND_UNLISTEN, COMMANDS, COMMANDS_A_TURN,
    CONTROL_SIZE, HEARTBEAT, LULL, RECEIVE_FAILED, SHORTEST_INTERVAL, TURNS, binding_t, command_t, count, datagram_t,
    engine_t, frames_t, order_t, room_t, socket_t
)
from advert_io cimport dissect, flush, send_frames, send_packets
from advert_room cimport move_in
from advert_rules cimport fire, forget, hear, overflowed, resume, take_binding, take_order, was_away
from atomic cimport fh_load_u, fh_store_u
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free
from linux_net cimport (
    CLOCK_MONOTONIC, CLOCK_REALTIME, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLIN, MSG_DONTWAIT, POLLIN, epoll_ctl,
    epoll_event, epoll_wait, eventfd_read, eventfd_write, nanoseconds, pollfd, ppoll, recvmmsg, sockaddr_in6,
    timespec
)
from posix.unistd cimport close

# ------------------------------------------------------------------------------------------------------------- reading

cdef inline bint drain(engine_t *e, socket_t *s) noexcept nogil:
    """Read until the queue is empty, or what it holds is younger than this turn; whether there was anything."""
    cdef int got, i, problem
    cdef int64_t now, then, wall
    cdef datagram_t heard
    cdef bint young = False, any = False
    while not young:
        for i in range(BATCH):
            e.messages[i].msg_hdr.msg_namelen = sizeof(sockaddr_in6)
            e.messages[i].msg_hdr.msg_controllen = CONTROL_SIZE
        now = nanoseconds(CLOCK_MONOTONIC)
        got = recvmmsg(s.fd, e.messages, BATCH, MSG_DONTWAIT, NULL)
        problem = errno
        if got < 0:
            if problem == EINTR:
                continue
            if problem != EAGAIN:
                count(e, RECEIVE_FAILED)
            break
        any = True
        then = nanoseconds(CLOCK_MONOTONIC)
        wall = nanoseconds(CLOCK_REALTIME)
        for i in range(got):
            if dissect(e, s, &e.messages[i], then, wall, &heard):
                if s.drops != s.drops_judged:
                    overflowed(e, s)
                hear(e, s, &heard)
                young = heard.at >= e.turn
        if got < BATCH:
            break
    s.drained = True
    if not young:
        s.drained_at = now
    return any


cdef inline bint drain_ready(engine_t *e) noexcept nogil:
    """Drain every socket that is readable; whether there was anything."""
    cdef epoll_event[BATCH] ready
    cdef int got = BATCH, i
    cdef int32_t slot
    cdef bint any = False
    for slot in range(e.sockets_used):
        if e.sockets[slot] != NULL:
            e.sockets[slot].drained = False
    while got == BATCH:
        got = epoll_wait(e.epoll, ready, BATCH, 0)
        for i in range(got):
            slot = <int32_t> ready[i].data.u32
            if e.sockets[slot] != NULL and not e.sockets[slot].drained and drain(e, e.sockets[slot]):
                any = True
    return any

# ------------------------------------------------------------------------------------------------------------ commands

cdef inline void take_socket(engine_t *e, int32_t slot, socket_t *s) noexcept nogil:
    cdef epoll_event event
    s.drained_at = e.turn
    e.sockets[slot] = s
    if slot >= e.sockets_used:
        e.sockets_used = slot + 1
    if not e.virtual:
        event.events = <uint32_t> EPOLLIN
        event.data.u32 = <uint32_t> slot
        if epoll_ctl(e.epoll, EPOLL_CTL_ADD, s.fd, &event) < 0:
            count(e, RECEIVE_FAILED)


cdef inline void drop_socket(engine_t *e, int32_t slot) noexcept nogil:
    cdef socket_t *s = e.sockets[slot]
    if s == NULL:
        return
    e.sockets[slot] = NULL
    if not e.virtual:
        epoll_ctl(e.epoll, EPOLL_CTL_DEL, s.fd, NULL)
        close(s.fd)
    free(s)


cdef inline void settle(engine_t *e, uint64_t number) noexcept nogil:
    """The core has handled every event up to `number`, and its orders are in force."""
    cdef int32_t instance
    e.settled = number
    while e.pending_count:
        instance = e.pending[e.pending_head]
        if e.instances[instance].unsettled > number:
            break
        e.pending_head = (e.pending_head + 1) % <uint32_t> e.capacity
        e.pending_count -= 1
        resume(e, instance)


cdef inline void obey(engine_t *e, command_t *command) noexcept nogil:
    if command.kind == COMMAND_ORDER:
        take_order(e, command.index, <order_t *> command.block)
    elif command.kind == COMMAND_SEND:
        send_packets(e, command.index, <order_t *> command.block)
        flush(e)
        free(command.block)
    elif command.kind == COMMAND_FRAMES:
        if e.frames == NULL:
            e.frames = <frames_t *> command.block
        else:
            e.frames_last.next = <frames_t *> command.block
        e.frames_last = <frames_t *> command.block
    elif command.kind == COMMAND_BIND:
        take_binding(e, command.index, <binding_t *> command.block)
    elif command.kind == COMMAND_UNBIND:
        forget(e, command.index)
    elif command.kind == COMMAND_LISTEN:
        take_socket(e, command.index, <socket_t *> command.block)
    elif command.kind == COMMAND_UNLISTEN:
        drop_socket(e, command.index)
    elif command.kind == COMMAND_CLOSE:
        close(<int> command.number)
    elif command.kind == COMMAND_SETTLE:
        settle(e, <uint64_t> command.number)
    elif command.kind == COMMAND_GROW:
        move_in(e, <room_t *> command.block)
    elif command.kind == COMMAND_STOP:
        e.stopping = True


cdef inline bint take_commands(engine_t *e, uint32_t budget) noexcept nogil:
    """Obey what has come down; True when some is left for the next turn."""
    cdef uint64_t tail = e.commands_tail
    cdef uint64_t head = fh_load_u(&e.commands_head)
    while tail != head and budget:
        obey(e, &e.commands[tail & (COMMANDS - 1)])
        tail += 1
        budget -= 1
        fh_store_u(&e.commands_tail, tail)
    return tail != head

# ---------------------------------------------------------------------------------------------------------- the thread

cdef inline void sleep(engine_t *e, pollfd *from_whom, unsigned long how_many, int64_t until) noexcept nogil:
    """Until that time at the latest."""
    cdef timespec limit
    cdef int64_t left = until - nanoseconds(CLOCK_MONOTONIC)
    if left < 0:
        left = 0
    limit.tv_sec = left // 1_000_000_000
    limit.tv_nsec = <long> (left % 1_000_000_000)
    from_whom[0].revents = 0
    from_whom[1].revents = 0
    ppoll(from_whom, how_many, &limit, NULL)


cdef inline void run(engine_t *e) noexcept nogil:
    """The engine's life."""
    cdef pollfd[2] from_whom
    cdef uint64_t number
    cdef int64_t wanted, heard = 0
    cdef bint more = False, resting = False
    from_whom[0].fd = e.wake
    from_whom[1].fd = e.epoll
    from_whom[0].events = POLLIN
    from_whom[1].events = POLLIN
    e.turn = nanoseconds(CLOCK_MONOTONIC)
    while not e.stopping:
        wanted = e.turn + (LULL if resting else HEARTBEAT)
        if e.heap.count and e.heap.keys[e.heap.items[0]] < wanted:
            wanted = e.heap.keys[e.heap.items[0]]
        sleep(e, from_whom, 1 if resting else 2, 0 if more else wanted)
        e.turn = nanoseconds(CLOCK_MONOTONIC)
        e.told = False
        count(e, TURNS)
        if from_whom[0].revents:  # before the commands are looked at, or a later one may lie unseen
            eventfd_read(e.wake, &number)
        more = take_commands(e, COMMANDS_A_TURN)
        if (resting or from_whom[1].revents) and drain_ready(e):
            resting = e.turn - heard < 2 * LULL
            heard = e.turn
        else:
            resting = False
        if e.turn - wanted > SHORTEST_INTERVAL:
            was_away(e, e.turn - wanted)
        fire(e)
        send_frames(e)
        if e.told:
            eventfd_write(e.news, 1)
        more = more or e.frames != NULL
