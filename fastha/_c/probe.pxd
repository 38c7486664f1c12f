# What the thread of the probe engine works on: flat structs, linked by index. `_checks.pyx` is the only user.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from epoll cimport sockaddr_in6
from http_reply cimport DIGEST_SIZE, expectation_t, reply_t
from wheel cimport node_t


cdef enum:
    DEVICE = 16  # IFNAMSIZ


# fastha.checks.recipes.Verdict
cdef enum verdict_t:
    SUCCESS = 0
    REFUSED = 1
    TIMEOUT = 2
    NO_DATA = 3
    STATUS = 4
    DIGEST = 5
    LOCAL = 7


cdef enum state_t:
    UNKNOWN  # no order
    HELD  # reported, or told to wait
    WAITING  # in the wheel until it is due
    READY  # due, in the ready list
    FLYING  # a probe is under way, in the wheel until its deadline


cdef enum phase_t:
    IDLE
    CONNECTING
    SENDING
    READING
    LINGERING  # nobody's: we have sent our FIN, the peer has not


# Sockets that can stand for one another: same family, source, interface and mark.
cdef struct pool_t:
    int32_t idle  # list of flights with an open socket and no target, last used first
    int32_t idle_count
    int32_t least_idle  # since the last sweep: so many were never needed
    pool_t *next  # all pools that were ever used
    uint8_t listed
    uint8_t fixed_port  # its sockets are never used again
    int family
    uint32_t mark
    uint32_t source_size  # 0: no bind
    sockaddr_in6 source  # room for either family
    char device[DEVICE]


# A Recipe as the thread reads it.
cdef struct recipe_t:
    pool_t *pool
    sockaddr_in6 address  # room for either family
    uint32_t address_size
    uint32_t request_size
    const char *request  # NULL: TCP
    int64_t timeout
    int64_t deadline
    expectation_t expected
    uint8_t close_rst


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
    uint8_t spare[13]


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
    uint8_t spare
    uint8_t digest[DIGEST_SIZE]


# A socket and the probe it is used for.
cdef struct flight_t:
    int fd  # -1: the entry is empty
    int32_t target  # -1: nobody's
    int32_t next  # in the list of empty entries, of its pool's idle ones, or of those with more to read
    uint8_t phase
    uint8_t watched  # the socket is in epoll
    uint8_t reset_unseen  # there is no connection, or the peer has closed: nobody would see a reset
    uint8_t hungry  # in the list of those with more to read
    uint8_t used  # idle, but to be disconnected before it is used again
    uint32_t sent
    int64_t started
    int64_t until  # the whole probe's deadline
    pool_t *pool
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
