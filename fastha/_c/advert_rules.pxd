# What orders mean: when an instance's timer runs, which advert is boring, what goes to the core, who may speak.

from advert cimport (
    binding_t, copy_of, count, datagram_t, engine_t, expected_of, instance_t, mode_of, order_t, peers_of, socket_t,
    tell, tell_core, AWAY, BATCH, BOUNDS, EVENT_ADVERT, EVENT_DOWN, EVENT_LATE, EVENT_LEASE, EVENT_OVERSLEPT,
    EXPECTED, IGNORED, LATENESS_BOUNDS, LEASE, LEASE_LOST, MISSED, MODE_IDLE, MODE_LISTEN, MODE_SPEAK, OVERFLOW,
    OVERSLEPT, RECEIVED, REPORTED, SEAL_AH, SHORTEST, TOO_SHORT, UNKNOWN_VRID, WAITED, WAITING, WAITING_LOST
)
from advert_io cimport flush, send_packets
from advert_seal cimport wall_of
from atomic cimport fh_count, fh_load, fh_store
from heap cimport heap_drop, heap_put
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcmp

# -------------------------------------------------------------------------------------------------------------- timers

cdef inline bint deaf(instance_t *one) noexcept nogil:
    """It has no socket to hear by. It does not judge silence then: two masters would be the price."""
    return one.binding == NULL or one.binding.listener < 0


cdef inline void schedule(engine_t *e, int32_t instance) noexcept nogil:
    """Put the instance where its order and state want it in the heap of deadlines."""
    cdef instance_t *one = &e.instances[instance]
    cdef int mode = mode_of(one)
    if (
        mode == MODE_IDLE
        or (mode == MODE_SPEAK and one.silent)
        or (mode == MODE_LISTEN and (one.fired or one.unsettled or deaf(one)))
    ):
        heap_drop(&e.heap, instance)
    else:
        heap_put(&e.heap, instance, one.due)


cdef inline void postpone(engine_t *e, int32_t instance) noexcept nogil:
    """We may have missed adverts: judge the master one interval plus skew from now at the earliest."""
    cdef instance_t *one = &e.instances[instance]
    if mode_of(one) == MODE_LISTEN and not one.fired and one.due < e.turn + one.order.grace and one.order.grace:
        one.due = e.turn + one.order.grace
        schedule(e, instance)


cdef inline void was_away(engine_t *e, int64_t away) noexcept nogil:
    """The thread ran `away` later than it wanted to."""
    cdef int32_t i
    cdef bint late = False
    for i in range(e.used):
        if mode_of(&e.instances[i]) == MODE_LISTEN and 0 < e.instances[i].order.interval < away:
            postpone(e, i)
            late = True
    if late:
        count(e, AWAY)
        if e.late_event <= e.settled:
            e.late_event = tell(e, EVENT_LATE, -1, away, 0)


cdef inline void overflowed(engine_t *e, socket_t *s) noexcept nogil:
    """The kernel dropped datagrams of this socket's queue: its instances may have missed adverts."""
    cdef int32_t i
    cdef int vrid
    count(e, OVERFLOW)
    s.drops_judged = s.drops
    for vrid in range(256):
        i = s.by_vrid[vrid]
        while i >= 0:
            postpone(e, i)
            i = e.instances[i].next_same


cdef inline bint late(engine_t *e, instance_t *one) noexcept nogil:
    """An advert is due for longer than the order bears."""
    return (
        mode_of(one) == MODE_SPEAK and one.order.patience > 0 and not one.silent
        and e.turn - one.due > one.order.patience
    )


cdef inline void fall_silent(engine_t *e, int32_t instance, int why) noexcept nogil:
    """No more adverts under this order; the core is told, with the event `why`."""
    cdef instance_t *one = &e.instances[instance]
    one.silent = True
    count(e, OVERSLEPT if why == EVENT_OVERSLEPT else LEASE_LOST)
    if one.unsettled:
        one.untold = why
    else:
        tell_core(e, why, instance, e.turn)
    schedule(e, instance)

# ------------------------------------------------------------------------------------------------------------- hearing

cdef inline bint boring(engine_t *e, int32_t instance, const datagram_t *heard) noexcept nogil:
    """Whether the standing order covers this advert; if so it is carried out."""
    cdef instance_t *one = &e.instances[instance]
    cdef order_t *order = one.order
    if mode_of(one) == MODE_IDLE:
        count(e, IGNORED)
        return True
    if (
        order.mode == MODE_LISTEN and order.expected and heard.length == order.expected and heard.length_ok
        and heard.ttl == order.ttl and heard.multicast == one.binding.multicast
        and memcmp(heard.source, order.source, 16) == 0
        and memcmp(heard.payload, expected_of(order), order.expected) == 0
    ):
        count(e, EXPECTED)
        fh_count(&one.expected, 1)
        if one.due < heard.at + order.restart:  # one that had to wait may be older than what the order counts from
            one.due = heard.at + order.restart
        one.fired = False
        schedule(e, instance)
        return True
    return False


cdef inline void report(engine_t *e, int32_t instance, datagram_t *heard) noexcept nogil:
    """Hand the core this advert (a copy on the heap, now the instance's)."""
    cdef instance_t *one = &e.instances[instance]
    one.report = heard
    heard.sequence = one.sequence
    count(e, REPORTED)
    tell_core(e, EVENT_ADVERT, instance, heard.at)
    schedule(e, instance)


cdef inline void judge(engine_t *e, int32_t instance, const datagram_t *heard) noexcept nogil:
    """An advert of this instance arrived."""
    cdef instance_t *one = &e.instances[instance]
    cdef datagram_t *copy
    cdef datagram_t *oldest
    if late(e, one):
        fall_silent(e, instance, EVENT_OVERSLEPT)
    if one.unsettled == 0:
        if not boring(e, instance, heard):
            copy = copy_of(e, heard)
            if copy != NULL:
                report(e, instance, copy)
        return
    copy = copy_of(e, heard)
    if copy == NULL:
        return
    count(e, WAITED)
    if one.waiting_count == WAITING:  # the latest word of a router counts, not its first
        count(e, WAITING_LOST)
        oldest = one.waiting
        one.waiting = oldest.next
        one.waiting_count -= 1
        free(oldest)
    if one.waiting == NULL:
        one.waiting = copy
    else:
        one.waiting_last.next = copy
    one.waiting_last = copy
    one.waiting_count += 1


cdef inline void resume(engine_t *e, int32_t instance) noexcept nogil:
    """The core has settled the event of this instance: go on with what waited behind it."""
    cdef instance_t *one = &e.instances[instance]
    cdef datagram_t *heard
    one.unsettled = 0
    free(one.report)
    one.report = NULL
    if one.untold:
        tell_core(e, one.untold, instance, e.turn)
        one.untold = 0
    while one.waiting != NULL and one.unsettled == 0:
        heard = one.waiting
        one.waiting = heard.next
        one.waiting_count -= 1
        if one.binding == NULL or boring(e, instance, heard):
            free(heard)
        else:
            report(e, instance, heard)
    schedule(e, instance)


cdef inline int32_t whose(engine_t *e, socket_t *s, const datagram_t *heard) noexcept nogil:
    """The instance an advert belongs to, -1: nobody's. Unicast instances with one VRID are told apart by sender:
    the one that expects it, then the one that has it as a peer, then the first."""
    cdef int32_t first = s.by_vrid[heard.payload[1]], i = first, peer = -1
    cdef uint32_t p
    cdef instance_t *one
    if first < 0 or e.instances[first].next_same < 0:
        return first
    while i >= 0:
        one = &e.instances[i]
        if mode_of(one) == MODE_LISTEN and one.order.has_source and memcmp(one.order.source, heard.source, 16) == 0:
            return i
        if peer < 0:
            for p in range(one.binding.peers):
                if memcmp(peers_of(one.binding) + p * 16, heard.source, 16) == 0:
                    peer = i
                    break
        i = one.next_same
    return peer if peer >= 0 else first


cdef inline void hear(engine_t *e, socket_t *s, const datagram_t *heard) noexcept nogil:
    """A VRRP message arrived on this socket."""
    cdef int32_t instance
    count(e, RECEIVED)
    if heard.length < SHORTEST:
        count(e, TOO_SHORT)
        return
    instance = whose(e, s, heard)
    if instance < 0:
        count(e, UNKNOWN_VRID)
        s.unknown[heard.payload[1] >> 3] |= <uint8_t> (1 << (heard.payload[1] & 7))
        return
    judge(e, instance, heard)


cdef inline int sender_of(engine_t *e, int32_t instance) noexcept nogil:
    return -1 if e.instances[instance].binding == NULL else e.instances[instance].binding.sender


cdef inline void send_leaving(engine_t *e) noexcept nogil:
    """Send the adverts that are due: those of one socket together, in their order."""
    cdef int32_t left = e.leaving_count, kept, i, instance
    cdef int sender
    while left:
        kept = 0
        sender = sender_of(e, e.leaving[0])
        for i in range(left):
            instance = e.leaving[i]
            if sender_of(e, instance) == sender:
                send_packets(e, instance, e.instances[instance].order)
            else:
                e.leaving[kept] = instance
                kept += 1
        left = kept
    e.leaving_count = 0
    flush(e)


cdef inline void speak(engine_t *e, int32_t instance) noexcept nogil:
    """An advert is due: it leaves with the others of this turn if the lease allows; set the next."""
    cdef instance_t *one = &e.instances[instance]
    cdef order_t *order = one.order
    cdef int64_t now = e.turn, lateness = now - one.due
    cdef int bound = 0
    if late(e, one):
        fall_silent(e, instance, EVENT_OVERSLEPT)
        return
    if now >= fh_load(&e.lease) + (3 * order.interval if 3 * order.interval > LEASE else <int64_t> LEASE):
        fall_silent(e, instance, EVENT_LEASE)
        return
    while bound < BOUNDS and lateness > LATENESS_BOUNDS[bound]:
        bound += 1
    fh_count(&e.lateness[bound], 1)
    if lateness > e.lateness_most:
        fh_store(&e.lateness_most, lateness)
    if e.leaving_count == BATCH:
        send_leaving(e)
    e.leaving[e.leaving_count] = instance
    e.leaving_count += 1
    if order.second > now:
        one.due = order.second
    elif lateness >= order.interval:  # never a burst to catch up
        fh_count(&e.counters[MISSED], <uint64_t> (lateness // order.interval))
        one.due += (lateness // order.interval + 1) * order.interval
    else:
        one.due += order.interval
    order.second = 0  # it was about the first one
    schedule(e, instance)


cdef inline void fire(engine_t *e) noexcept nogil:
    """Look at deadlines; every socket that could be read has been drained."""
    cdef int32_t instance
    cdef instance_t *one
    while e.heap.count and e.heap.keys[e.heap.items[0]] <= e.turn:
        instance = e.heap.items[0]
        one = &e.instances[instance]
        if one.order.mode == MODE_SPEAK:
            speak(e, instance)
        else:
            one.fired = True
            tell_core(e, EVENT_DOWN, instance, e.turn)
            schedule(e, instance)
    send_leaving(e)

# ------------------------------------------------------------------------------------------------- orders and bindings

cdef inline void take_order(engine_t *e, int32_t instance, order_t *order) noexcept nogil:
    cdef instance_t *one = &e.instances[instance]
    if order.shifted and order.mode == mode_of(one):
        one.due = e.turn if one.fired else one.due + order.shift
        order.second = 0
    elif order.mode == MODE_SPEAK:
        one.due = order.first
    else:
        one.due = order.deadline
    if order.mode == MODE_SPEAK and one.due < e.turn:
        one.due = e.turn  # not late: it was asked for just now
    free(one.order)
    one.order = order
    if order.sequence > one.sequence:
        one.sequence = order.sequence
    one.fired = False
    one.silent = False
    one.untold = 0
    schedule(e, instance)


cdef inline void leave_socket(engine_t *e, int32_t instance) noexcept nogil:
    """Take the instance out of its socket's chain."""
    cdef instance_t *one = &e.instances[instance]
    cdef int32_t *link
    if one.binding == NULL or one.binding.listener < 0 or e.sockets[one.binding.listener] == NULL:
        return
    link = &e.sockets[one.binding.listener].by_vrid[one.binding.vrid]
    while link[0] >= 0:
        if link[0] == instance:
            link[0] = one.next_same
            return
        link = &e.instances[link[0]].next_same


cdef inline void take_binding(engine_t *e, int32_t instance, binding_t *binding) noexcept nogil:
    cdef instance_t *one = &e.instances[instance]
    cdef int32_t *first
    cdef bint was_deaf = deaf(one)
    if binding.listener >= 0 and e.sockets[binding.listener] == NULL:
        binding.listener = -1
    leave_socket(e, instance)
    free(one.binding)
    one.binding = binding
    if binding.seal == SEAL_AH and one.sequence == 0:  # above what we sent before we were started anew
        one.sequence = <uint32_t> (wall_of(e) // 1_000_000_000)
    one.next_same = -1
    if instance >= e.used:
        e.used = instance + 1
    if binding.listener >= 0:
        first = &e.sockets[binding.listener].by_vrid[binding.vrid]
        one.next_same = first[0]
        first[0] = instance
        if was_deaf:
            postpone(e, instance)
    schedule(e, instance)


cdef inline void forget(engine_t *e, int32_t instance) noexcept nogil:
    """The instance is no more. An event of it that is with the core is settled as any other."""
    cdef instance_t *one = &e.instances[instance]
    leave_socket(e, instance)
    heap_drop(&e.heap, instance)
    free(one.binding)
    free(one.order)
    one.binding = NULL
    one.order = NULL
    one.identification = 0
    one.sequence = 0
    one.silent = False
    one.untold = 0
    one.fired = False
    one.sent = 0
    one.expected = 0
    one.error = 0
