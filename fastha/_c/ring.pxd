# What goes between Python and the thread of the probe engine, without locks. One writer and one reader each way.
#
# Down: commands, in order, through a chain of blocks. The writer adds blocks, the reader frees them: it is never
# full, so nobody waits, and an idle queue is one block.
# Up: a bitmap, one bit a target, beside the array that holds each target's outcome. The array is the truth; a bit
# says "look there". It cannot overflow either, says nothing twice, and 50,000 targets are scanned in a microsecond.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc


cdef extern from * nogil:
    """
    #include <stdint.h>
    static inline uint64_t ring_load(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void ring_store(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline uint64_t ring_swap(uint64_t *p, uint64_t v) { return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); }
    static inline void ring_set(uint64_t *p, uint64_t bits) { __atomic_fetch_or(p, bits, __ATOMIC_SEQ_CST); }
    static inline void ring_unset(uint64_t *p, uint64_t bits) { __atomic_fetch_and(p, ~bits, __ATOMIC_SEQ_CST); }
    static inline void ring_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
    """
    uint64_t ring_load(const uint64_t *word)
    void ring_store(uint64_t *word, uint64_t value)
    uint64_t ring_swap(uint64_t *word, uint64_t value)
    void ring_set(uint64_t *word, uint64_t bits)
    void ring_unset(uint64_t *word, uint64_t bits)
    void ring_fence()


cdef enum:
    BLOCK = 256


cdef enum command_kind:
    COMMAND_ORDER
    COMMAND_HOLD
    COMMAND_REMOVE
    COMMAND_TLS  # `recipe` is the TLS context from now on


cdef struct command_t:
    void *recipe
    int64_t first
    int64_t interval
    int32_t target
    uint32_t generation
    uint8_t kind
    uint8_t expect_success


cdef struct block_t:
    uint64_t filled  # commands written; the reader may look at those
    block_t *next  # set before `filled` reaches BLOCK
    command_t commands[BLOCK]


cdef struct queue_t:
    block_t *last  # writer's
    block_t *first  # reader's
    uint64_t taken  # reader's: commands taken from the first block


cdef inline block_t *block_new() noexcept nogil:
    cdef block_t *block = <block_t *> malloc(sizeof(block_t))
    if block != NULL:
        block.filled = 0
        block.next = NULL
    return block


cdef inline int queue_open(queue_t *queue) noexcept nogil:
    """0, or -1 when there is no memory."""
    queue.first = queue.last = block_new()
    queue.taken = 0
    return 0 if queue.first != NULL else -1


cdef inline void queue_close(queue_t *queue) noexcept nogil:
    cdef block_t *block
    while queue.first != NULL:
        block = queue.first.next
        free(queue.first)
        queue.first = block
    queue.last = NULL


cdef inline int queue_put(queue_t *queue, const command_t *command) noexcept nogil:
    """Writer: 0, or -1 when there is no memory and nothing was written."""
    cdef block_t *block = queue.last
    cdef block_t *following
    cdef uint64_t place = block.filled
    if place == BLOCK - 1:  # the last place: the next block must be there before the reader can get past it
        following = block_new()
        if following == NULL:
            return -1
        block.next = following
        queue.last = following
    block.commands[place] = command[0]
    ring_store(&block.filled, place + 1)
    return 0


cdef inline int queue_take(queue_t *queue, command_t *command) noexcept nogil:
    """Reader: 1 and the next command, or 0 when there is none."""
    cdef block_t *block = queue.first
    if queue.taken == ring_load(&block.filled):
        return 0
    command[0] = block.commands[queue.taken]
    queue.taken += 1
    if queue.taken == BLOCK:
        queue.first = block.next
        queue.taken = 0
        free(block)
    return 1


cdef inline void mark_set(uint64_t *marks, int32_t target) noexcept nogil:
    ring_set(&marks[target >> 6], <uint64_t> 1 << (target & 63))


cdef inline void mark_unset(uint64_t *marks, int32_t target) noexcept nogil:
    ring_unset(&marks[target >> 6], <uint64_t> 1 << (target & 63))
