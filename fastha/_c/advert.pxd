# The values of the advert engine: what an instance, its order and its sockets are in C, and how events go up.
# No Python object is in here. Blocks that come down from Python (orders, bindings, frames, sockets) are one allocation
# each, variable parts behind the struct; the engine's thread owns and frees them.

from atomic cimport fh_count, fh_store_u
from heap cimport heap_t
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport malloc
from libc.string cimport memcpy
from linux_net cimport iovec, mmsghdr, sockaddr_in6

# ---------------------------------------------------------------------------------------------------- sizes and kinds

cdef enum:
    BATCH = 64  # datagrams per system call
    COMMANDS = 8192  # ring down, a power of two
    COMMANDS_A_TURN = 512
    FRAMES_A_TURN = 256
    RECEIVE_SIZE = 4352  # the longest VRRP message, 8 + 255 * 16 + 28, with an IPv4 header, its options and AH
    IP_SIZE = 20  # of an IPv4 header without options
    AH_SIZE = 24  # authentication header
    HEAD_SIZE = 44  # both
    TRAILER_SIZE = 28  # auth_hmac
    SCRATCH_SIZE = 4608  # what a signature is made over
    KEY_SIZE = 64
    CONTROL_SIZE = 128
    WAITING = 8  # adverts of one instance behind an event the core has not settled
    SHORTEST = 8  # VRRP header
    PROTOCOL = 112
    BOUNDS = 14

cdef enum:
    MODE_IDLE, MODE_LISTEN, MODE_SPEAK

cdef enum:
    SEAL_NONE, SEAL_AH, SEAL_HMAC

cdef enum:
    COMMAND_ORDER, COMMAND_SEND, COMMAND_FRAMES, COMMAND_BIND, COMMAND_UNBIND, COMMAND_LISTEN, COMMAND_UNLISTEN
    COMMAND_CLOSE, COMMAND_SETTLE, COMMAND_GROW, COMMAND_STOP

cdef enum:
    EVENT_ADVERT, EVENT_DOWN, EVENT_LEASE, EVENT_LATE, EVENT_SEND, EVENT_OVERSLEPT

cdef enum:
    SENT, RECEIVED, EXPECTED, REPORTED, IGNORED, WAITED, WAITING_LOST, UNKNOWN_VRID, TOO_SHORT, TRUNCATED, OVERFLOW
    SEND_FAILED, RECEIVE_FAILED, MISSED, AWAY, LEASE_LOST, FRAMES, FRAMES_FAILED, TURNS, NO_MEMORY, OVERSLEPT, COUNTERS


cdef enum:
    LEASE = 1_000_000_000  # ns, at least; three intervals when that is longer
    HEARTBEAT = 250_000_000  # ns, the longest sleep: an absence is noticed
    SHORTEST_INTERVAL = 10_000_000  # ns, of adverts; being less late than this can have cost none
    LULL = 2_000_000  # ns, between two readings while many adverts come

cdef extern from * nogil:
    """
    static const int64_t LATENESS_BOUNDS[14] = {  /* ns */
        50000, 100000, 200000, 500000, 1000000, 2000000, 5000000, 10000000, 20000000, 50000000, 100000000, 200000000,
        500000000, 1000000000,
    };
    """
    const int64_t LATENESS_BOUNDS[BOUNDS]

# ------------------------------------------------------------------------------------------------------------ structs

cdef struct datagram_t:  # one message heard; on the heap its octets follow it
    datagram_t *next
    const uint8_t *payload  # `before` octets that belong to it stand in front
    int64_t at
    int64_t wall  # the same by the wall clock
    uint64_t sequence  # of our own adverts when it was reported
    uint32_t length
    uint32_t before  # AH: headers, which its signature covers; else 0
    uint32_t interface
    uint8_t[16] source
    uint8_t[16] destination
    uint8_t family  # 4 or 6
    uint8_t ttl
    uint8_t multicast
    uint8_t length_ok

cdef struct packet_t:  # one message to send; its octets follow it
    uint8_t[16] destination
    uint32_t size  # of this record with its octets, to the next
    uint16_t length
    uint16_t multicast

cdef struct order_t:  # the octets of `expected`, then `packets` records, follow it
    int mode
    uint32_t generation
    int64_t interval
    int64_t shift
    int64_t first
    int64_t second
    int64_t deadline
    int64_t restart
    int64_t grace
    int64_t patience
    uint64_t sequence
    uint8_t[16] source
    uint32_t expected
    uint32_t packets
    uint32_t packets_at
    uint8_t ttl
    uint8_t shifted  # `shift` means something
    uint8_t has_source  # so does `source`

cdef struct binding_t:  # peers follow it, 16 octets each
    int32_t listener
    int sender
    uint32_t interface
    uint32_t peers
    uint8_t[16] source
    uint8_t family
    uint8_t vrid
    int16_t ttl  # -1: the kernel's default
    uint8_t has_source
    uint8_t multicast
    uint8_t seal
    uint8_t key_id
    uint32_t window  # seconds a trailer's sequence may run ahead of the clock; 0: any
    uint32_t key_length
    uint8_t[KEY_SIZE] key

cdef struct instance_t:
    binding_t *binding  # NULL: not bound
    order_t *order  # NULL: idle
    int64_t due  # LISTEN: the deadline, SPEAK: the next advert
    int32_t next_same  # next instance with this VRID on the same socket
    uint16_t identification
    bint fired  # LISTEN: the deadline has passed and been told
    bint silent  # the lease was lost under this order, or it overslept
    int untold  # the event that says so and is still to be told; 0: none
    uint64_t sequence  # of the advert sealed last, 0: none yet
    datagram_t *report  # what the core is looking at
    datagram_t *waiting
    datagram_t *waiting_last
    uint32_t waiting_count
    uint64_t unsettled  # number of the event that is with the core, 0: none
    uint64_t error_event
    int error
    uint64_t sent
    uint64_t expected

cdef struct socket_t:
    int fd
    int family
    uint32_t before  # octets between the IP header and the message
    uint32_t interface
    bint drained  # in this turn
    uint32_t drops  # of its queue, as the kernel last said
    uint32_t drops_judged
    int64_t drained_at
    uint8_t[32] unknown  # VRIDs heard that are nobody's, a bit each
    int32_t[256] by_vrid

cdef struct frame_t:  # octets follow it
    uint32_t interface
    uint32_t length
    uint32_t size

cdef struct frames_t:  # `count` records of frame_t follow it
    frames_t *next
    int fd
    uint32_t count
    uint32_t at

cdef struct command_t:
    int kind
    int32_t index
    int64_t number
    void *block

cdef struct event_t:
    int kind
    int32_t instance
    uint32_t generation
    int error
    int64_t at
    uint64_t number

cdef struct room_t:  # arrays for more instances, empty; the heap's too
    int32_t capacity
    uint32_t events_size
    instance_t *instances
    socket_t **sockets
    int32_t *pending
    event_t *events
    heap_t heap

cdef struct batch_t:
    int fd
    int flags
    uint32_t count
    int32_t[BATCH] owners  # instance, -1: a frame
    mmsghdr[BATCH] messages
    iovec[BATCH * 3] vectors
    sockaddr_in6[BATCH] names
    uint8_t[BATCH * HEAD_SIZE] headers
    uint8_t[BATCH * TRAILER_SIZE] trailers
    uint8_t[BATCH * CONTROL_SIZE] controls

cdef struct engine_t:
    bint virtual
    bint stopping
    int epoll  # the sockets
    int wake  # commands
    int news  # events
    int32_t capacity  # shared: what the arrays have room for
    int32_t used  # instances bound so far, highest index + 1
    int32_t sockets_used
    instance_t *instances
    socket_t **sockets
    heap_t heap
    int64_t turn  # time this turn began
    int64_t wall  # virtual: what the wall clock says
    int64_t lease  # shared: when the core last renewed
    uint64_t settled
    uint64_t events_made
    uint64_t late_event
    bint told  # events were pushed in this turn
    frames_t *frames
    frames_t *frames_last
    datagram_t *outbox  # virtual: what would have been sent
    datagram_t *outbox_last
    int32_t *pending  # ring of instances in the order of their events to settle
    uint32_t pending_head
    uint32_t pending_count
    command_t *commands
    uint64_t commands_head  # shared
    uint64_t commands_tail  # shared
    event_t *events
    uint32_t events_size
    uint64_t events_head  # shared
    uint64_t events_tail  # shared
    uint64_t[COUNTERS] counters
    uint64_t[BOUNDS + 1] lateness
    int64_t lateness_most
    batch_t out
    int32_t[BATCH] leaving  # instances whose advert is due, to be sent together
    int32_t leaving_count
    uint8_t[SCRATCH_SIZE] scratch
    mmsghdr[BATCH] messages
    iovec[BATCH] vectors
    sockaddr_in6[BATCH] names
    uint8_t[BATCH * CONTROL_SIZE] controls
    uint8_t[BATCH * RECEIVE_SIZE] buffers


cdef inline void count(engine_t *e, int counter) noexcept nogil:
    fh_count(&e.counters[counter], 1)


cdef inline uint8_t *expected_of(order_t *order) noexcept nogil:
    return <uint8_t *> (order + 1)


cdef inline packet_t *packets_of(order_t *order) noexcept nogil:
    return <packet_t *> (<uint8_t *> order + order.packets_at)


cdef inline packet_t *after(packet_t *packet) noexcept nogil:
    return <packet_t *> (<uint8_t *> packet + packet.size)


cdef inline uint8_t *peers_of(binding_t *binding) noexcept nogil:
    return <uint8_t *> (binding + 1)


cdef inline int mode_of(instance_t *one) noexcept nogil:
    return <int> MODE_IDLE if one.order == NULL else one.order.mode


cdef inline datagram_t *copy_of(engine_t *e, const datagram_t *heard) noexcept nogil:
    """A copy on the heap; NULL, counted, when there is no memory."""
    cdef size_t size = <size_t> heard.before + heard.length
    cdef datagram_t *copy = <datagram_t *> malloc(sizeof(datagram_t) + size)
    if copy == NULL:
        count(e, NO_MEMORY)
        return NULL
    memcpy(copy, heard, sizeof(datagram_t))
    memcpy(copy + 1, heard.payload - heard.before, size)
    copy.payload = <uint8_t *> (copy + 1) + heard.before
    copy.next = NULL
    return copy

# ---------------------------------------------------------------------------------------------------------- events up

cdef inline uint64_t tell(engine_t *e, int kind, int32_t instance, int64_t at, int error) noexcept nogil:
    """Push an event; returns its number."""
    cdef uint64_t head = e.events_head
    cdef event_t *event = &e.events[head & (e.events_size - 1)]
    cdef order_t *order = e.instances[instance].order if instance >= 0 else NULL
    e.events_made += 1
    event.kind = kind
    event.instance = instance
    event.generation = order.generation if order != NULL else 0
    event.error = error
    event.at = at
    event.number = e.events_made
    fh_store_u(&e.events_head, head + 1)
    e.told = True
    return e.events_made


cdef inline void tell_core(engine_t *e, int kind, int32_t instance, int64_t at) noexcept nogil:
    """An event that the core settles: until then nothing else of this instance goes up."""
    e.instances[instance].unsettled = tell(e, kind, instance, at, 0)
    e.pending[(e.pending_head + e.pending_count) % <uint32_t> e.capacity] = instance
    e.pending_count += 1


cdef inline void sending(engine_t *e, int32_t instance, int error) noexcept nogil:
    """A send of this instance ended with `error`, or well (0): tell when that is news."""
    cdef instance_t *one = &e.instances[instance]
    if error == one.error or one.error_event > e.settled:
        return
    one.error = error
    one.error_event = tell(e, EVENT_SEND, instance, e.turn, error)
