# A hierarchical timer wheel: 4 levels of 256 slots, so 2^32 ticks ahead; arm and cancel are O(1), nothing is allocated.
#
# Timers are nodes inside an array of the caller's structs (first member, `stride` octets apart), linked by index, each
# in at most one list. Level 0 holds what is due within 255 ticks, in the slot of its tick; level n the rest by ever
# coarser slots, which are dealt out anew ("cascaded") when the wheel reaches their first tick. Two rules are all there
# is to it, and both were learnt from targets that vanished for 65,536 ticks:
#   * cascade before expiring the slot of the same tick, and into a list that was detached first;
#   * a timer armed from outside is at least one tick ahead, so no live slot ever holds two rounds.
# Bitmaps of occupied slots make the wheel jump: only ticks at which something happens are visited.

from libc.stdint cimport int32_t, uint32_t, uint64_t


cdef extern from *:
    int __builtin_ctzll(unsigned long long) nogil


cdef enum:
    NEVER_ARMED = -1
    FARTHEST = 0x7fffffff  # ticks: later timers are armed here, fire early and are armed again by their owner


cdef struct node_t:
    int32_t next
    int32_t prev
    uint32_t tick  # the low half: a timer is never more than FARTHEST ahead
    int32_t slot  # level * 256 + slot; NEVER_ARMED: in no slot


cdef struct list_t:
    int32_t head
    int32_t tail
    int32_t count


cdef struct wheel_t:
    char *nodes
    size_t stride
    uint64_t now
    uint64_t occupied[16]  # four words a level
    list_t slots[1024]


cdef inline node_t *node_at(wheel_t *wheel, int32_t index) noexcept nogil:
    return <node_t *> (wheel.nodes + <size_t> index * wheel.stride)


cdef inline void list_clear(list_t *chain) noexcept nogil:
    chain.head = chain.tail = -1
    chain.count = 0


cdef inline void list_push(wheel_t *wheel, list_t *chain, int32_t index) noexcept nogil:
    """Append a node that is in no list."""
    cdef node_t *node = node_at(wheel, index)
    node.next = -1
    node.prev = chain.tail
    if chain.tail >= 0:
        node_at(wheel, chain.tail).next = index
    else:
        chain.head = index
    chain.tail = index
    chain.count += 1


cdef inline void list_drop(wheel_t *wheel, list_t *chain, int32_t index) noexcept nogil:
    """Take out a node that is in this list."""
    cdef node_t *node = node_at(wheel, index)
    if node.prev >= 0:
        node_at(wheel, node.prev).next = node.next
    else:
        chain.head = node.next
    if node.next >= 0:
        node_at(wheel, node.next).prev = node.prev
    else:
        chain.tail = node.prev
    chain.count -= 1


cdef inline int32_t list_pop(wheel_t *wheel, list_t *chain) noexcept nogil:
    """The first node, taken out; -1: empty."""
    cdef int32_t index = chain.head
    if index >= 0:
        list_drop(wheel, chain, index)
    return index


cdef inline void wheel_open(wheel_t *wheel, void *nodes, size_t stride, uint64_t now) noexcept nogil:
    cdef int i
    wheel.nodes = <char *> nodes
    wheel.stride = stride
    wheel.now = now
    for i in range(16):
        wheel.occupied[i] = 0
    for i in range(1024):
        list_clear(&wheel.slots[i])


cdef inline void wheel_place(wheel_t *wheel, int32_t index) noexcept nogil:
    """Into the slot of its tick, as seen from now; a node that is due now goes into the slot that expires next."""
    cdef node_t *node = node_at(wheel, index)
    cdef uint32_t ahead = node.tick - <uint32_t> wheel.now
    cdef uint32_t level = 0
    while level < 3 and ahead >> 8 * (level + 1):
        level += 1
    node.slot = <int32_t> (level * 256 + (node.tick >> 8 * level & 255))
    wheel.occupied[node.slot >> 6] |= <uint64_t> 1 << (node.slot & 63)
    list_push(wheel, &wheel.slots[node.slot], index)


cdef inline void wheel_cancel(wheel_t *wheel, int32_t index) noexcept nogil:
    """Disarm, if it is armed."""
    cdef node_t *node = node_at(wheel, index)
    cdef int32_t slot = node.slot
    if slot < 0:
        return
    list_drop(wheel, &wheel.slots[slot], index)
    if wheel.slots[slot].head < 0:
        wheel.occupied[slot >> 6] &= ~(<uint64_t> 1 << (slot & 63))
    node.slot = NEVER_ARMED


cdef inline void wheel_arm(wheel_t *wheel, int32_t index, uint64_t tick) noexcept nogil:
    """(Re)arm for `tick`; the past means the next tick, a time beyond FARTHEST means FARTHEST."""
    wheel_cancel(wheel, index)
    if tick <= wheel.now:
        tick = wheel.now + 1
    elif tick - wheel.now > FARTHEST:
        tick = wheel.now + FARTHEST
    node_at(wheel, index).tick = <uint32_t> tick
    wheel_place(wheel, index)


cdef inline int wheel_scan(const uint64_t *bits, int start) noexcept nogil:
    """Distance from slot `start` to the first occupied one of a level, going round; -1: none."""
    cdef int word = start >> 6, i
    cdef uint64_t value = bits[word] >> (start & 63)
    if value:
        return __builtin_ctzll(value)
    for i in range(1, 5):
        value = bits[(word + i) & 3]
        if i == 4:  # the part of the first word that lies before `start`
            value &= (<uint64_t> 1 << (start & 63)) - 1
        if value:
            return (i << 6) - (start & 63) + __builtin_ctzll(value)
    return -1


cdef inline uint64_t wheel_next(wheel_t *wheel) noexcept nogil:
    """The next tick with something to do: a timer, or a slot to cascade. UINT64_MAX: nothing is armed."""
    cdef uint64_t best = ~<uint64_t> 0, turn, tick
    cdef int level, distance
    for level in range(4):
        turn = (wheel.now >> 8 * level) + 1
        distance = wheel_scan(&wheel.occupied[4 * level], <int> (turn & 255))
        if distance >= 0:
            tick = (turn + <uint64_t> distance) << 8 * level
            if tick < best:
                best = tick
    return best


cdef inline void wheel_cascade(wheel_t *wheel) noexcept nogil:
    """The wheel has reached a multiple of 256: deal out the slots that begin here."""
    cdef int level, slot
    cdef int32_t index, following
    for level in range(1, 4):
        slot = level * 256 + <int> (wheel.now >> 8 * level & 255)
        index = wheel.slots[slot].head
        list_clear(&wheel.slots[slot])
        wheel.occupied[slot >> 6] &= ~(<uint64_t> 1 << (slot & 63))
        while index >= 0:
            following = node_at(wheel, index).next
            wheel_place(wheel, index)
            index = following
        if slot & 255:
            return


cdef inline int32_t wheel_pop(wheel_t *wheel, uint64_t limit) noexcept nogil:
    """The next timer due at or before tick `limit`, disarmed; -1: none left, and the wheel stands at `limit`."""
    cdef uint64_t tick
    cdef int32_t index
    while True:
        index = wheel.slots[wheel.now & 255].head
        if index >= 0:
            wheel_cancel(wheel, index)
            return index
        tick = wheel_next(wheel)
        if tick > limit:
            if limit > wheel.now:
                wheel.now = limit
            return -1
        wheel.now = tick
        if tick & 255 == 0:
            wheel_cascade(wheel)
