# The arrays of the advert engine that are as long as it has room for instances, and how they grow.
#
# Python makes the longer ones and hands them down as a command; the engine's thread moves in and lets the old ones go.
# Python waits for that, so nobody else looks at them meanwhile.

from advert cimport engine_t, event_t, instance_t, room_t, socket_t
from heap cimport heap_close, heap_open, heap_put
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy


cdef inline void close_room(room_t *room) noexcept nogil:
    """Free the arrays and the room itself."""
    if room == NULL:
        return
    heap_close(&room.heap)
    free(room.instances)
    free(room.sockets)
    free(room.pending)
    free(room.events)
    free(room)


cdef inline room_t *make_room(int32_t capacity) noexcept nogil:
    """NULL when there is no memory."""
    cdef room_t *room = <room_t *> calloc(1, sizeof(room_t))
    cdef int32_t i
    if room == NULL:
        return NULL
    room.capacity = capacity
    room.events_size = 64
    while room.events_size < <uint32_t> capacity * 4:
        room.events_size *= 2
    room.instances = <instance_t *> calloc(<size_t> capacity, sizeof(instance_t))
    room.sockets = <socket_t **> calloc(<size_t> capacity, sizeof(socket_t *))
    room.pending = <int32_t *> calloc(<size_t> capacity, sizeof(int32_t))
    room.events = <event_t *> calloc(room.events_size, sizeof(event_t))
    if (
        heap_open(&room.heap, capacity) < 0 or room.instances == NULL or room.sockets == NULL
        or room.pending == NULL or room.events == NULL
    ):
        close_room(room)
        return NULL
    for i in range(capacity):
        room.instances[i].next_same = -1
    return room


cdef inline void move_in(engine_t *e, room_t *room) noexcept nogil:
    """Take over what the arrays in use hold, use these from now on, and free the old ones."""
    cdef int32_t i, item
    cdef uint32_t n
    cdef uint64_t number
    if e.capacity:
        memcpy(room.instances, e.instances, <size_t> e.capacity * sizeof(instance_t))
        memcpy(room.sockets, e.sockets, <size_t> e.capacity * sizeof(socket_t *))
    for i in range(e.heap.count):
        item = e.heap.items[i]
        heap_put(&room.heap, item, e.heap.keys[item])
    for n in range(e.pending_count):
        room.pending[n] = e.pending[(e.pending_head + n) % <uint32_t> e.capacity]
    number = e.events_tail
    while number != e.events_head:
        room.events[number & (room.events_size - 1)] = e.events[number & (e.events_size - 1)]
        number += 1
    e.pending_head = 0
    e.capacity, room.capacity = room.capacity, e.capacity
    e.events_size, room.events_size = room.events_size, e.events_size
    e.instances, room.instances = room.instances, e.instances
    e.sockets, room.sockets = room.sockets, e.sockets
    e.pending, room.pending = room.pending, e.pending
    e.events, room.events = room.events, e.events
    e.heap, room.heap = room.heap, e.heap
    close_room(room)
