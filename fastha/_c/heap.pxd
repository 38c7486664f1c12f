# A binary heap of numbered items by an int64 key, those with equal keys by their numbers, with the place of each item
# known: insert, move and drop are O(log n) and nothing is allocated after the start. Item numbers are 0..capacity-1,
# each at most once in the heap.

from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc


cdef struct heap_t:
    int32_t count
    int32_t *items
    int32_t *places  # item -> index in items, -1: not in the heap
    int64_t *keys  # item -> key


cdef inline int heap_open(heap_t *heap, int32_t capacity) noexcept nogil:
    """0, or -1 when there is no memory."""
    cdef int32_t i
    heap.count = 0
    heap.items = <int32_t *> malloc(<size_t> capacity * sizeof(int32_t))
    heap.places = <int32_t *> malloc(<size_t> capacity * sizeof(int32_t))
    heap.keys = <int64_t *> malloc(<size_t> capacity * sizeof(int64_t))
    if heap.items == NULL or heap.places == NULL or heap.keys == NULL:
        return -1
    for i in range(capacity):
        heap.places[i] = -1
    return 0


cdef inline void heap_close(heap_t *heap) noexcept nogil:
    free(heap.items)
    free(heap.places)
    free(heap.keys)
    heap.items = NULL
    heap.places = NULL
    heap.keys = NULL


cdef inline bint heap_before(const heap_t *heap, int32_t a, int32_t b) noexcept nogil:
    return heap.keys[a] < heap.keys[b] or (heap.keys[a] == heap.keys[b] and a < b)


cdef inline void heap_up(heap_t *heap, int32_t place) noexcept nogil:
    cdef int32_t item = heap.items[place], parent, other
    while place > 0:
        parent = (place - 1) // 2
        other = heap.items[parent]
        if heap_before(heap, other, item):
            break
        heap.items[place] = other
        heap.places[other] = place
        place = parent
    heap.items[place] = item
    heap.places[item] = place


cdef inline void heap_down(heap_t *heap, int32_t place) noexcept nogil:
    cdef int32_t item = heap.items[place], child, other
    while True:
        child = 2 * place + 1
        if child >= heap.count:
            break
        if child + 1 < heap.count and heap_before(heap, heap.items[child + 1], heap.items[child]):
            child += 1
        other = heap.items[child]
        if heap_before(heap, item, other):
            break
        heap.items[place] = other
        heap.places[other] = place
        place = child
    heap.items[place] = item
    heap.places[item] = place


cdef inline void heap_put(heap_t *heap, int32_t item, int64_t key) noexcept nogil:
    """Insert `item`, or move it to `key`."""
    cdef int32_t place = heap.places[item]
    heap.keys[item] = key
    if place < 0:
        place = heap.count
        heap.count += 1
        heap.items[place] = item
        heap_up(heap, place)
    else:
        heap_up(heap, place)
        heap_down(heap, heap.places[item])


cdef inline void heap_drop(heap_t *heap, int32_t item) noexcept nogil:
    """Take `item` out, if it is in."""
    cdef int32_t place = heap.places[item], last
    if place < 0:
        return
    heap.count -= 1
    heap.places[item] = -1
    if place == heap.count:
        return
    last = heap.items[heap.count]
    heap.items[place] = last
    heap.places[last] = place
    heap_up(heap, place)
    heap_down(heap, heap.places[last])
