# What the probe engine is made of: flat structs, linked by index, and the numbers that rule it.
#
# Its code lies in layers, each used by the next: probe_sockets.pxd (where sockets come from and where they go),
# probe_flight.pxd (a probe's deadline, and what its end means), probe_stream.pxd and probe_datagram.pxd (what is said
# and heard, kind by kind), probe_begin.pxd (a probe's start, and whose an event is), probe_turn.pxd (the thread).
# `_checks.pyx` is Python's side.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from epoll cimport epoll_event, sockaddr_in6
from http_reply cimport DIGEST_SIZE, expectation_t, reply_t
from ring cimport queue_t
from smtp_reply cimport smtp_t
from talk cimport step_t, talk_t
from tls cimport SSL, SSL_CTX, session_t, trust_t
from wheel cimport list_t, node_t, wheel_t


cdef enum:
    TARGETS = 1 << 20
    EVENTS = 512  # harvested at once
    STARTS = 256  # probes started before events are looked at again
    READS = 16  # reads from one server before the others have their turn
    RECEIVE = 65536
    TICK = 1_000_000  # ns
    GATHER = 1_000_000  # ns for answers to gather
    GATHER_FINS = 5_000_000  # ns, when it is only peers' FINs that are still to come
    LONGEST = 500_000_000  # ns: the longest sleep, so that the heart beats
    SWEEP = 10  # s between looks at idle sockets
    LINGER = 200_000_000  # ns that a peer has for its FIN before the kernel is left to wait for it
    LINGERERS = 1024  # at once
    RESERVE = 4  # one place in so many is for those that answer
    BACKOFF = 50_000_000  # ns after a local error, doubled up to 32 times that
    BOUNDS = 12  # of the histogram of lateness
    BELL = 1 << 30  # in the place of a flight's number
    DEVICE = 16  # IFNAMSIZ
    NO_TLS = 0xFFFF  # in the place of a step's number


cdef extern from *:
    """
    #define PROBE_FOREVER ((int64_t) 1 << 62)
    static const int64_t probe_lateness_bounds[] = {
        1000000, 2000000, 5000000, 10000000, 20000000, 50000000, 100000000, 200000000, 500000000, 1000000000,
        2000000000, 5000000000,
    };
    """
    const int64_t FOREVER "PROBE_FOREVER"
    const int64_t LATENESS_BOUNDS "probe_lateness_bounds"[BOUNDS]


# fastha.checks.recipes.Verdict
cdef enum verdict_t:
    SUCCESS = 0
    REFUSED = 1
    TIMEOUT = 2
    NO_DATA = 3
    STATUS = 4
    DIGEST = 5
    LOCAL = 7
    REGEX = 8
    TLS = 9
    REPLY = 10
    CERTIFICATE = 11


# fastha.checks.recipes.Kind
cdef enum kind_t:
    KIND_TCP = 0
    KIND_HTTP = 1
    KIND_UDP = 3
    KIND_DNS = 4
    KIND_SMTP = 5
    KIND_PING = 6
    KIND_SSL = 7
    KINDS = 8


cdef enum transport_t:
    STREAM
    DATAGRAM
    ECHO  # ICMP echo by datagram sockets


cdef enum state_t:
    UNKNOWN  # no order
    HELD  # reported, or told to wait
    WAITING  # in the wheel until it is due
    READY  # due, in one of the ready lists
    FLYING  # a probe is under way, in the wheel until its deadline


cdef enum phase_t:
    IDLE  # nobody's
    CONNECTING
    INTRODUCING  # the PROXY header is being sent
    HANDSHAKING  # TLS
    SENDING
    READING
    LINGERING  # nobody's: we have sent our FIN, the peer's is to come
    PARKED  # nobody's but its owner's: a connection for the next probe


# What epoll has said about the end of the connection: it says so only once.
cdef enum ending_t:
    OPEN
    CLOSED  # the peer has closed: a read that does not fill the buffer is the last one
    BROKEN  # read on until recv() says how


# Sockets that can stand for one another: same family, source, interface and mark.
cdef struct pool_t:
    int32_t idle  # list of flights with an open socket and no target, last used first
    int32_t idle_count
    int32_t least_idle  # since the last sweep: so many were never needed
    pool_t *next  # all pools that were ever used
    uint8_t listed
    uint8_t fixed_port  # its sockets are never used again
    uint8_t transport  # a transport_t
    int family
    uint32_t mark
    uint32_t source_size  # 0: no bind
    sockaddr_in6 source  # room for either family
    char device[DEVICE]


# A Recipe as the thread reads it.
cdef struct recipe_t:
    pool_t *pool
    recipe_t *next  # of the order's recipes, in a ring; NULL: it has only this one
    sockaddr_in6 address  # room for either family
    uint32_t address_size
    uint32_t request_size
    const char *request  # HTTP, UDP, DNS (with room for the id), SMTP's HELO, PING; else NULL
    int64_t timeout
    int64_t deadline
    int64_t jitter
    expectation_t expected  # HTTP
    const uint8_t *reply  # UDP: what must come back, and which bits of it count
    const uint8_t *reply_mask
    uint32_t reply_size
    uint32_t least_reply
    uint32_t most_reply
    const char *sni  # TLS; NULL: no name
    const trust_t *trust  # TLS; NULL: any certificate will do, each handshake is a full one
    const step_t *steps  # TCP
    uint16_t step_count
    uint16_t tls_after  # TCP: the step that TLS comes before, or NO_TLS
    uint8_t kind  # a kind_t
    uint8_t require_reply
    uint8_t tls_compliant
    uint8_t close_rst
    uint8_t half_open
    uint8_t proxy  # a proxy_t
    uint8_t keepalive
    uint8_t bodiless
    uint8_t turn  # which one of the order's recipes it is


# A target as the thread works on it: one cache line.
cdef struct target_t:
    node_t node
    int64_t due  # when the next (or current) probe is scheduled
    int64_t interval
    recipe_t *recipe
    int32_t flight
    uint32_t generation
    uint8_t state
    uint8_t expect_success
    uint8_t strikes  # local errors in a row
    uint8_t parked  # `flight` is a connection that waits for the next probe
    uint8_t silent  # its last probe timed out
    uint8_t again  # the probe that is ready has begun before, on a connection that had been given up by the server
    uint8_t spare[10]


# What is known of a target's last probe, for Python: one cache line, written under `sequence`.
cdef struct seen_t:
    uint64_t sequence  # odd while it is being written
    int64_t started
    int64_t finished
    int64_t lateness
    uint32_t runs
    uint32_t generation
    int32_t error
    uint16_t status
    uint8_t verdict
    uint8_t turn  # of the recipe
    uint8_t digest[DIGEST_SIZE]


# A socket and the probe it is used for.
cdef struct flight_t:
    int fd  # -1: the entry is empty
    int32_t target  # -1: nobody's
    int32_t owner  # PARKED: the target
    int32_t next  # in the list of empty entries, of its pool's idle ones, or of those with more to read
    uint8_t phase
    uint8_t watched  # the socket is in epoll
    uint8_t reset_unseen  # there is no connection, or the peer has closed: few would see a reset
    uint8_t ending  # an ending_t
    uint8_t hungry  # in the list of those with more to read
    uint8_t used  # idle, but to be disconnected before it is used again
    uint8_t park  # the connection is to be kept for the next probe
    uint8_t reused  # it has served a probe before
    uint16_t status  # what is reported beside the verdict
    uint16_t token  # DNS: id; PING: sequence
    uint32_t sent
    int64_t started
    int64_t until  # the whole probe's deadline
    pool_t *pool
    SSL *tls
    smtp_t smtp
    talk_t talk
    reply_t reply


cdef struct counters_t:
    uint64_t started
    uint64_t succeeded
    uint64_t failed
    uint64_t timed_out
    uint64_t local_errors


cdef struct shared_t:
    uint64_t stop
    uint64_t doorbell  # Python has rung for the thread, which has not looked yet
    uint64_t raised  # the thread has rung for Python, which has not looked yet
    uint64_t heartbeat
    uint64_t taken  # commands taken since the start


cdef struct engine_t:
    # shared
    shared_t shared
    queue_t queue
    uint64_t *marks
    seen_t *seen
    target_t *targets
    int bell
    int raised
    # the thread's
    int epoll
    int32_t most  # probes in flight, and sockets
    int32_t opened
    int32_t entries  # of `flights` that were ever used
    int32_t empty  # list of entries without a socket
    int32_t hungry  # list of flights with more to read
    int32_t in_flight
    int32_t lingering
    int32_t parked
    int32_t hand  # of the search for a connection that can be given up
    int32_t known  # targets
    uint8_t recycling
    uint8_t report  # something is to be reported
    flight_t *flights
    pool_t *pools
    wheel_t wheel
    list_t ready
    list_t silent  # ready, too, but their last probe met with silence: these do not get the last places
    int64_t origin  # tick 0
    int64_t now
    int64_t swept
    int64_t rate  # of all orders, probes a megasecond
    counters_t counters[KINDS]
    SSL_CTX *tls  # for SSL probes that begin; NULL: none can
    uint64_t tls_settings  # how many contexts there have been
    session_t *sessions  # of the targets that resume theirs
    uint64_t resumed
    uint64_t reused
    uint64_t redialled
    uint64_t missed
    uint64_t superseded
    uint64_t reported
    uint64_t recycled
    uint64_t sockets_made
    uint64_t turns
    uint64_t starved
    uint64_t late[BOUNDS + 1]
    uint64_t late_total
    int64_t late_most
    epoll_event events[EVENTS]
    char *buffer
