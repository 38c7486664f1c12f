"""The probe engine: connect, send, read, compare, time out; tens of thousands of servers in one thread without the GIL.

More than nine tenths of what a check costs is the kernel's TCP, and at ordinary rates most of the rest are wake-ups. So:

* Due probes start together, in slots of 20, 5 or 2 ms by the rate of all orders. After a turn in which something
  happened the thread lets answers gather for a moment before it looks again.
* Sockets are put into epoll once, edge-triggered, and are used again by connect(AF_UNSPEC): at once where the end of a
  probe may be a reset (with `close_rst`, when the peer has closed first, when there never was a connection); else we
  send our FIN and wait for the peer's, which looks like close() on the wire. An idle socket reports whatever it likes;
  only the events of a socket with an owner count, and all events of a batch are handled before any changes hands.
* Read before you time out: events first, then deadlines, then starts. A probe's deadline counts from its real start, so
  nobody is called dead because we were late.

A turn is: wait, events, commands, wheel (deadlines; due targets go to the ready list), starts while fewer than `cap`
are in flight, doorbell. The phase of a target is sacred: whatever happens it is due at first + n * interval; intervals
that have passed are counted as missed, and there is never a burst.

Python and the thread share: the queue of commands (`ring.pxd`), flags, and per target one `seen_t` under a sequence
lock with one mark "to be reported". Everything else belongs to the thread. What a command points to (recipes, sockets'
properties) is kept alive by Python until the thread has said that it took the command that replaced it.
"""

import resource
import socket as sockets
import threading
from collections import deque

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from epoll cimport (
    AF_INET, AF_INET6, EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP,
    IP_BIND_ADDRESS_NO_PORT, IPPROTO_IP, MSG_NOSIGNAL, MSG_TRUNC, SO_BINDTODEVICE, SO_MARK, SO_REUSEADDR,
    SHUT_WR, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET, bind, connect, epoll_create1, epoll_ctl, epoll_event,
    epoll_wait_ns, htons, recv, send, setsockopt, shutdown, sockaddr, sockaddr_in, sockaddr_in6, socket, socket_disconnect,
    socket_error, socket_reset_on_close,
)
from cython cimport final
from http_reply cimport (
    DIGEST_SIZE, REPLY_DIGEST, REPLY_GOOD, REPLY_NO_DATA, REPLY_STATUS, STATUS_OCTETS, expectation_t, reply_begin,
    reply_end, reply_feed, reply_free, reply_judge, reply_t,
)
from libc.errno cimport (
    EAGAIN, ECONNABORTED, ECONNREFUSED, ECONNRESET, EHOSTDOWN, EHOSTUNREACH, EINPROGRESS, EINTR, ENETDOWN, ENETUNREACH,
    ENOMEM, ETIMEDOUT, errno,
)
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from linux_net cimport (
    CLOCK_MONOTONIC, EFD_CLOEXEC, EFD_NONBLOCK, SIG_SETMASK, eventfd, nanoseconds, pthread_sigmask, sigfillset,
    sigset_t, timespec,
)
from posix.unistd cimport close
from probe cimport (
    CONNECTING, DEVICE, DIGEST, FLYING, HELD, IDLE, LINGERING, LOCAL, NO_DATA, READING, READY, REFUSED, SENDING, STATUS, SUCCESS,
    TIMEOUT, UNKNOWN, WAITING, counters_t, flight_t, pool_t, recipe_t, seen_t, shared_t, target_t, verdict_t,
)
from ring cimport (
    COMMAND_HOLD, COMMAND_ORDER, COMMAND_REMOVE, command_t, mark_set, mark_unset, queue_close, queue_open, queue_put,
    queue_t, queue_take, ring_fence, ring_load, ring_set, ring_store, ring_swap,
)
from wheel cimport (
    NEVER_ARMED, list_clear, list_drop, list_pop, list_push, list_t, node_t, wheel_arm, wheel_cancel, wheel_next,
    wheel_open, wheel_pop, wheel_t,
)

from fastha.checks.recipes import Kind, LastProbe, Report, Verdict
from fastha.model.net import family_of, packed
from fastha.model.snapshot import Histogram


cdef extern from "sys/mman.h" nogil:
    void *mmap(void *address, size_t size, int protection, int flags, int fd, long offset)
    int munmap(void *address, size_t size)
    int PROT_READ
    int PROT_WRITE
    int MAP_PRIVATE
    int MAP_ANONYMOUS
    int MAP_NORESERVE
    void *MAP_FAILED


cdef extern from *:
    int __builtin_ctzll(unsigned long long) nogil


cdef extern from "sys/eventfd.h" nogil:
    int eventfd_read(int fd, uint64_t *value)
    int eventfd_write(int fd, uint64_t value)


cdef extern from "time.h" nogil:
    int clock_nanosleep(int clock, int flags, const timespec *request, timespec *remain)


cdef enum:
    TARGETS = 1 << 20
    EVENTS = 512  # harvested at once
    STARTS = 256  # probes started before events are looked at again
    READS = 16  # reads from one server before the others have their turn
    RECEIVE = 65536
    TICK = 1_000_000  # ns
    GATHER = 1_000_000  # ns for answers to gather
    LONGEST = 500_000_000  # ns: the longest sleep, so that the heart beats
    SWEEP = 10  # s between looks at idle sockets
    SPARE = 16  # idle sockets always kept
    LINGER = 200_000_000  # ns that a peer has for its FIN before the kernel is left to wait for it
    LINGERERS = 1024  # at once
    BACKOFF = 50_000_000  # ns after a local error, doubled up to 32 times that
    BOUNDS = 12
    OTHER_DESCRIPTORS = 1024
    BELL = 1 << 30  # in the place of a flight's number

MAX_TARGETS = TARGETS

cdef int64_t FOREVER = <int64_t> 1 << 62

cdef int64_t LATENESS_BOUNDS[BOUNDS]
LATENESS_BOUNDS[:] = [
    1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000, 50_000_000, 100_000_000, 200_000_000, 500_000_000,
    1_000_000_000, 2_000_000_000, 5_000_000_000,
]

cdef inline bint servers_fault(int error) noexcept nogil:
    """Does an immediate failure of connect() say something about the server, or about us?"""
    return (
        error == ECONNREFUSED or error == ENETUNREACH or error == EHOSTUNREACH or error == EHOSTDOWN
        or error == ENETDOWN or error == ECONNRESET or error == ECONNABORTED or error == ETIMEDOUT
    )


cdef inline int64_t per_megasecond(int64_t interval) noexcept nogil:
    """The rate of an order, in whole numbers so that what was added can be taken away again."""
    if interval == 0:
        return 0
    return <int64_t> 1_000_000 * 1_000_000_000 // (interval if interval > TICK else TICK)


cdef void *reserve(size_t size) noexcept:
    """Zeroed address space; pages cost memory when they are first written. NULL: refused."""
    cdef void *where = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    return NULL if where == MAP_FAILED else where


cdef void release(void *where, size_t size) noexcept:
    if where != NULL:
        munmap(where, size)


def _raise_descriptor_limit(cap):
    """Ask for `cap` sockets beside what else the process has open; how many there may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = cap + OTHER_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return cap if soft == resource.RLIM_INFINITY else max(min(cap, soft - OTHER_DESCRIPTORS), soft // 2)


def _sockets_recycle():
    """Does connect(AF_UNSPEC) work here? Some sandboxes and security modules refuse it.

    Tried on a connection to ourselves; without a loopback interface on a socket that never had one.
    """
    with sockets.socket() as listener, sockets.socket() as client:
        try:
            try:
                listener.bind(("127.0.0.1", 0))
                listener.listen(2)
                client.connect(listener.getsockname())
            except OSError:
                return socket_disconnect(client.fileno()) == 0
            if socket_disconnect(client.fileno()) < 0:
                return False
            client.connect(listener.getsockname())
        except OSError:
            return False
    return True


cdef object address_octets(object address, int port, sockaddr_in6 *where, uint32_t *size):
    """Fill a socket address of either family; ValueError, naming what is wrong."""
    cdef bytes raw = packed(address)
    cdef sockaddr_in *where4 = <sockaddr_in *> where
    if not 0 <= port <= 65535:
        raise ValueError(f"port {port} is not within 0..65535")
    memset(where, 0, sizeof(sockaddr_in6))
    if len(raw) == 4:
        where4.sin_family = <unsigned short> AF_INET
        where4.sin_port = htons(<uint16_t> port)
        memcpy(&where4.sin_addr, PyBytes_AS_STRING(raw), 4)
        size[0] = sizeof(sockaddr_in)
    else:
        where.sin6_family = <unsigned short> AF_INET6
        where.sin6_port = htons(<uint16_t> port)
        memcpy(&where.sin6_addr, PyBytes_AS_STRING(raw), 16)
        size[0] = sizeof(sockaddr_in6)


cdef bytes status_bitmap(object ranges):
    """Inclusive ranges of statuses as STATUS_OCTETS of bits."""
    cdef bytearray bits = bytearray(STATUS_OCTETS)
    for low, high in ranges:
        for status in range(max(low, 0), min(high, 999) + 1):
            bits[status >> 3] |= 1 << (status & 7)
    return bytes(bits)


@final
cdef class _SocketPool:
    """Owner of one pool_t; kept by the engine for as long as it lives."""

    cdef pool_t pool

    def __init__(self, recipe):
        cdef bytes device = (recipe.bind_if or "").encode()
        if len(device) >= DEVICE:
            raise ValueError(f"interface name '{recipe.bind_if}' is longer than {DEVICE - 1} octets")
        self.pool.family = AF_INET6 if family_of(recipe.address) == 6 else AF_INET
        self.pool.idle = -1
        self.pool.mark = recipe.fwmark
        self.pool.fixed_port = recipe.bind_port != 0
        memcpy(self.pool.device, PyBytes_AS_STRING(device), <size_t> len(device))
        if recipe.bindto is not None:
            if family_of(recipe.bindto) != family_of(recipe.address):
                raise ValueError(f"bindto {recipe.bindto} is not of the family of {recipe.address}")
            address_octets(recipe.bindto, recipe.bind_port, &self.pool.source, &self.pool.source_size)
        elif recipe.bind_port:
            wildcard = "::" if self.pool.family == AF_INET6 else "0.0.0.0"
            address_octets(wildcard, recipe.bind_port, &self.pool.source, &self.pool.source_size)


@final
cdef class _CompiledRecipe:
    """Owner of one recipe_t, and of what that points to."""

    cdef recipe_t compiled
    cdef readonly object recipe
    cdef object parts

    def __init__(self, recipe, _SocketPool pool, bytes statuses):
        cdef bytes request = recipe.request
        if not 0 < recipe.timeout < FOREVER or not 0 <= recipe.deadline < FOREVER:
            raise ValueError(f"timeout {recipe.timeout} or deadline {recipe.deadline} is out of range")
        if recipe.digest is not None and len(recipe.digest) != DIGEST_SIZE:
            raise ValueError(f"a digest has {DIGEST_SIZE} octets, not {len(recipe.digest)}")
        self.recipe = recipe
        self.parts = (request, statuses, recipe.digest, pool)
        address_octets(recipe.address, recipe.port, &self.compiled.address, &self.compiled.address_size)
        self.compiled.timeout = recipe.timeout
        self.compiled.deadline = recipe.deadline
        self.compiled.close_rst = recipe.close_rst
        if pool is not None:
            self.compiled.pool = &pool.pool
        if recipe.kind == Kind.HTTP:
            if not request:
                raise ValueError("an HTTP recipe has a request")
            self.compiled.request = PyBytes_AS_STRING(request)
            self.compiled.request_size = <uint32_t> PyBytes_GET_SIZE(request)
            if statuses is not None:
                self.compiled.expected.statuses = <const uint8_t *> PyBytes_AS_STRING(statuses)
            if recipe.digest is not None:
                self.compiled.expected.digest = <const uint8_t *> PyBytes_AS_STRING(recipe.digest)
        elif recipe.kind != Kind.TCP:
            raise ValueError(f"the engine runs no {recipe.kind.name} probes")


@final
cdef class ProbeEngine:
    # Python's
    cdef object thread
    cdef dict pools, statuses, recipes
    cdef object retired
    cdef uint64_t given
    cdef int32_t highest
    # shared
    cdef shared_t shared
    cdef queue_t queue
    cdef uint64_t *marks
    cdef uint64_t *wanted  # Python's: generation + 1 of the last order given, 0: none
    cdef seen_t *seen
    cdef target_t *targets
    cdef int bell, raised_fd
    # the thread's
    cdef int epoll
    cdef int32_t most, opened, entries, empty, hungry
    cdef readonly bint recycling
    cdef flight_t *flights
    cdef pool_t *pool_list
    cdef wheel_t wheel
    cdef list_t ready
    cdef int64_t origin, now, swept, rate
    cdef bint report
    cdef int32_t in_flight, lingering, known
    cdef counters_t counters[2]
    cdef uint64_t missed, superseded, reported, recycled, sockets_made, turns, starved
    cdef uint64_t late[BOUNDS + 1]
    cdef uint64_t late_total
    cdef int64_t late_most
    cdef epoll_event events[EVENTS]
    cdef char *buffer

    def __cinit__(self, *, int cap=20_000, bint recycle=True):
        if cap < 1:
            raise ValueError(f"cap {cap} is not positive")
        self.bell = self.raised_fd = self.epoll = -1
        self.most = cap
        self.recycling = recycle
        self.pools, self.statuses, self.recipes = {}, {}, {}
        self.retired = deque()
        self.empty = self.hungry = -1
        list_clear(&self.ready)
        self.flights = <flight_t *> calloc(<size_t> cap, sizeof(flight_t))
        self.buffer = <char *> calloc(1, RECEIVE)
        self.targets = <target_t *> reserve(TARGETS * sizeof(target_t))
        self.seen = <seen_t *> reserve(TARGETS * sizeof(seen_t))
        self.marks = <uint64_t *> reserve(TARGETS // 8)
        self.wanted = <uint64_t *> reserve(TARGETS * 8)
        if (
            self.flights == NULL or self.buffer == NULL or self.targets == NULL or self.seen == NULL
            or self.marks == NULL or self.wanted == NULL or queue_open(&self.queue)
        ):
            raise MemoryError
        self.origin = nanoseconds(CLOCK_MONOTONIC) - TICK
        wheel_open(&self.wheel, self.targets, sizeof(target_t), 0)
        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        self.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        self.raised_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        if self.epoll < 0 or self.bell < 0 or self.raised_fd < 0:
            raise OSError(errno, "probe engine: epoll or eventfd refused")

    def __dealloc__(self):
        cdef int32_t i
        for fd in (self.epoll, self.bell, self.raised_fd):
            if fd >= 0:
                close(fd)
        if self.flights != NULL:
            for i in range(self.entries):
                if self.flights[i].fd >= 0:
                    close(self.flights[i].fd)
                reply_free(&self.flights[i].reply)
        free(self.flights)
        free(self.buffer)
        queue_close(&self.queue)
        release(self.targets, TARGETS * sizeof(target_t))
        release(self.seen, TARGETS * sizeof(seen_t))
        release(self.marks, TARGETS // 8)
        release(self.wanted, TARGETS * 8)

    # ------------------------------------------------------------------------------------------ Python's side

    @property
    def cap(self):
        return self.most

    @property
    def running(self):
        return self.thread is not None and self.thread.is_alive()

    def start(self):
        cdef epoll_event event
        if self.thread is not None:
            raise RuntimeError("the probe engine was started before")
        self.most = min(self.most, _raise_descriptor_limit(self.most))
        self.recycling = self.recycling and _sockets_recycle()
        event.events = EPOLLIN
        event.data.u64 = BELL
        if epoll_ctl(self.epoll, EPOLL_CTL_ADD, self.bell, &event) < 0:
            raise OSError(errno, "probe engine: epoll_ctl")
        self.thread = threading.Thread(target=self._run, name="fastha-probes", daemon=True)
        self.thread.start()

    def _run(self):
        with nogil:
            self.loop()

    def stop(self):
        if self.thread is None:
            return
        ring_store(&self.shared.stop, 1)
        self.ring()
        self.thread.join(timeout=10)
        if self.thread.is_alive():
            raise RuntimeError("the probe engine does not stop")
        self.retired.clear()

    def order(self, order):
        self.give(order)
        self.ring()

    def orders(self, orders):
        try:
            for order in orders:
                self.give(order)
        finally:
            self.ring()

    def hold(self, int target):
        self.tell(target, COMMAND_HOLD)

    def remove(self, int target):
        self.tell(target, COMMAND_REMOVE)
        self.retire(target)

    def fileno(self):
        return self.raised_fd

    def reports(self, int limit=4096):
        cdef uint64_t ignored, bits, bit
        cdef int32_t word = 0, target, words = (self.highest + 64) >> 6
        cdef list found = []
        eventfd_read(self.raised_fd, &ignored)
        ring_swap(&self.shared.raised, 0)
        self.forget_retired()
        while word < words and len(found) < limit:
            bits = ring_swap(&self.marks[word], 0) if self.marks[word] else 0
            while bits:
                if len(found) >= limit:
                    ring_set(&self.marks[word], bits)
                    break
                bit = bits & (~bits + 1)
                bits ^= bit
                target = (word << 6) + __builtin_ctzll(bit)
                report = self.report_of(target)
                if report is not None:
                    found.append(report)
            word += 1
        if len(found) >= limit:
            self.wake_python()
        return found

    def last(self, int target):
        cdef seen_t seen
        self.check(target)
        self.look(target, &seen)
        return LastProbe(
            Verdict(seen.verdict), seen.error, seen.status, seen.started, seen.finished, seen.lateness, seen.runs,
        )

    def stats(self):
        cdef counters_t *kind
        found = {}
        for index, name in ((0, "tcp"), (1, "http")):
            kind = &self.counters[index]
            found[f"{name}_started"] = kind.started
            found[f"{name}_succeeded"] = kind.succeeded
            found[f"{name}_failed"] = kind.failed
            found[f"{name}_timed_out"] = kind.timed_out
            found[f"{name}_local_errors"] = kind.local_errors
        for name in ("started", "succeeded", "failed", "timed_out", "local_errors"):
            found[name] = found[f"tcp_{name}"] + found[f"http_{name}"]
        found.update(
            missed=self.missed, superseded=self.superseded, reported=self.reported, recycled=self.recycled,
            sockets_made=self.sockets_made, turns=self.turns, starved=self.starved, in_flight=self.in_flight,
            ready=self.ready.count, targets=self.known, sockets=self.opened, cap=self.most,
            recycling=int(self.recycling), slot_ns=self.slot() * TICK,
        )
        return found

    def lateness(self):
        cdef int index
        return Histogram(
            bounds=tuple([LATENESS_BOUNDS[index] for index in range(BOUNDS)]),
            counts=tuple([self.late[index] for index in range(BOUNDS + 1)]),
            total=self.late_total,
            maximum=self.late_most,
        )

    def heartbeat(self):
        return ring_load(&self.shared.heartbeat)

    def overdue(self, int64_t now):
        cdef target_t *target
        cdef int32_t i
        cdef list found = []
        for i in range(self.highest + 1):
            target = &self.targets[i]
            if (target.state == WAITING or target.state == READY) and now - target.due > max(target.interval, LONGEST):
                found.append(i)
        return found

    cdef int check(self, int32_t target) except -1:
        if not 0 <= target < TARGETS:
            raise ValueError(f"target {target} is not within 0..{TARGETS - 1}")
        return 0

    cdef int give(self, order) except -1:
        """Put an order into the queue; the recipe it replaces lives on until the thread has taken this one."""
        cdef command_t command
        cdef int32_t target = order.target
        cdef _CompiledRecipe held, recipe
        self.check(target)
        if not 0 <= order.first < FOREVER or not 0 <= order.interval < FOREVER:
            raise ValueError(f"first {order.first} or interval {order.interval} is out of range")
        held = recipe = self.recipes.get(target)
        if held is None or (held.recipe is not order.recipe and held.recipe != order.recipe):
            recipe = self.compile(order.recipe)
        memset(&command, 0, sizeof(command))
        command.recipe = &recipe.compiled
        command.first = order.first
        command.interval = order.interval
        command.target = target
        command.generation = order.generation
        command.kind = COMMAND_ORDER
        command.expect_success = order.expect_success
        self.put(&command)
        self.wanted[target] = <uint64_t> command.generation + 1
        if recipe is not held:
            self.retire(target)
            self.recipes[target] = recipe
        return 0

    cdef _CompiledRecipe compile(self, recipe):
        """Compile a recipe; requests, statuses and socket pools are shared by value."""
        cdef _SocketPool pool
        cdef bytes statuses = None
        key = (family_of(recipe.address), recipe.bindto, recipe.bind_port, recipe.bind_if, recipe.fwmark)
        pool = self.pools.get(key)
        if pool is None:
            pool = self.pools[key] = _SocketPool(recipe)
        if recipe.status_codes:
            statuses = self.statuses.get(recipe.status_codes)
            if statuses is None:
                statuses = self.statuses[recipe.status_codes] = status_bitmap(recipe.status_codes)
        return _CompiledRecipe(recipe, pool, statuses)

    cdef int tell(self, int32_t target, uint8_t kind) except -1:
        cdef command_t command
        self.check(target)
        memset(&command, 0, sizeof(command))
        command.target = target
        command.kind = kind
        self.put(&command)
        self.wanted[target] = 0
        self.ring()
        return 0

    cdef int put(self, command_t *command) except -1:
        if queue_put(&self.queue, command) < 0:
            raise MemoryError
        self.given += 1
        if command.target > self.highest:
            self.highest = command.target
        return 0

    cdef object retire(self, int32_t target):
        """The target's recipe has been replaced; what the thread has not taken yet may still point to it."""
        held = self.recipes.pop(target, None)
        if held is not None:
            self.retired.append((self.given, held))
        self.forget_retired()

    cdef object forget_retired(self):
        cdef uint64_t taken = ring_load(&self.shared.taken)
        while self.retired and self.retired[0][0] <= taken:
            self.retired.popleft()

    cdef object ring(self):
        """Wake the thread for commands."""
        if not ring_swap(&self.shared.doorbell, 1):
            eventfd_write(self.bell, 1)

    cdef void look(self, int32_t target, seen_t *seen) noexcept:
        """A consistent copy of what the thread wrote."""
        cdef uint64_t before
        while True:
            before = ring_load(&self.seen[target].sequence)
            seen[0] = self.seen[target]
            ring_fence()
            if not before & 1 and before == ring_load(&self.seen[target].sequence):
                return

    cdef object report_of(self, int32_t target):
        """The report of a marked target; None when an order given since has superseded it."""
        cdef seen_t seen
        self.look(target, &seen)
        if self.wanted[target] != <uint64_t> seen.generation + 1:
            return None
        digest = (<char *> seen.digest)[:DIGEST_SIZE] if seen.verdict == DIGEST else b""
        return Report(
            target, seen.generation, Verdict(seen.verdict), seen.error, seen.status, seen.started, seen.finished, digest,
        )

    # ------------------------------------------------------------------------------------------ the thread

    cdef void loop(self) noexcept nogil:
        cdef sigset_t all_signals
        cdef int64_t wait, next_sweep = 0
        cdef int count, rounds
        cdef bint eventful = True
        sigfillset(&all_signals)
        pthread_sigmask(SIG_SETMASK, &all_signals, NULL)
        self.now = self.swept = nanoseconds(CLOCK_MONOTONIC)
        while not ring_load(&self.shared.stop):
            wait = self.until_next()
            if eventful and self.in_flight and not self.ready.count and wait > GATHER:
                self.gather()
                wait = self.until_next()
            rounds = 0
            eventful = False
            while True:  # all there is, before anybody is timed out
                count = epoll_wait_ns(self.epoll, self.events, EVENTS, 0 if rounds else wait)
                self.now = nanoseconds(CLOCK_MONOTONIC)
                if count > 0:
                    eventful |= self.harvest(count)
                rounds += 1
                if count < EVENTS or rounds == 16:
                    break
            ring_store(&self.shared.heartbeat, <uint64_t> self.now)
            self.turns += 1
            if ring_load(&self.shared.doorbell):
                self.take_commands()
            self.read_hungry()
            self.turn_wheel()
            eventful |= self.start_ready()
            if self.now >= next_sweep:
                next_sweep = self.now + LINGER
                self.sweep()
            if self.report:
                self.report = False
                self.wake_python()
        self.land_all()

    cdef int64_t until_next(self) noexcept nogil:
        """How long the thread may sleep."""
        cdef int64_t wait
        cdef uint64_t tick
        if self.hungry >= 0 or (self.ready.count and self.in_flight < self.most):
            return 0
        tick = wheel_next(&self.wheel)
        if tick > <uint64_t> 1 << 50:
            return LONGEST
        wait = self.origin + <int64_t> tick * TICK - nanoseconds(CLOCK_MONOTONIC)
        return 0 if wait < 0 else LONGEST if wait > LONGEST else wait

    cdef void gather(self) noexcept nogil:
        cdef timespec pause
        pause.tv_sec = 0
        pause.tv_nsec = GATHER
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL)

    cdef bint harvest(self, int count) noexcept nogil:
        """Handle `count` events; was there one that concerned a probe?"""
        cdef int i
        cdef uint64_t ignored, which
        cdef bint ours = False
        for i in range(count):
            which = self.events[i].data.u64
            if which == BELL:
                eventfd_read(self.bell, &ignored)
            elif self.flights[which].target >= 0:
                ours = True
                self.on_event(<int32_t> which, self.events[i].events)
            elif self.flights[which].phase == LINGERING and self.events[i].events & (EPOLLHUP | EPOLLERR):
                self.lingering -= 1
                self.keep(<int32_t> which)
        return ours

    cdef void take_commands(self) noexcept nogil:
        cdef command_t command
        cdef target_t *target
        cdef uint64_t taken = self.shared.taken
        ring_swap(&self.shared.doorbell, 0)
        while queue_take(&self.queue, &command):
            target = &self.targets[command.target]
            self.drop_order(command.target, target)
            if command.kind == COMMAND_ORDER:
                if target.state == UNKNOWN:
                    self.known += 1
                target.recipe = <recipe_t *> command.recipe
                target.due = command.first
                target.interval = command.interval
                target.generation = command.generation
                target.expect_success = command.expect_success
                target.strikes = 0
                target.state = WAITING
                self.rate += per_megasecond(target.interval)
                self.wait_until(command.target, target, target.due)
            elif command.kind == COMMAND_HOLD:
                if target.state != UNKNOWN:
                    target.state = HELD
            elif target.state != UNKNOWN:
                target.state = UNKNOWN
                self.known -= 1
                self.forget(command.target)
            taken += 1
            ring_store(&self.shared.taken, taken)

    cdef void drop_order(self, int32_t index, target_t *target) noexcept nogil:
        """Leave whatever the target is doing, unreported."""
        if target.state == FLYING:
            self.superseded += 1
            self.land(target.flight, target.recipe.close_rst)
        if target.state == READY:
            list_drop(&self.wheel, &self.ready, index)
        elif target.state == WAITING or target.state == FLYING:
            wheel_cancel(&self.wheel, index)
        elif target.state == UNKNOWN:
            target.node.slot = NEVER_ARMED
        if target.state == WAITING or target.state == READY or target.state == FLYING:
            self.rate -= per_megasecond(target.interval)
        mark_unset(self.marks, index)

    cdef int64_t slot(self) noexcept nogil:
        """Ticks between starts, by the rate of all orders."""
        cdef int64_t thousand = 1_000_000_000  # a second, in orders a megasecond
        return 20 if self.rate < thousand else 5 if self.rate < 5 * thousand else 2

    cdef void wait_until(self, int32_t index, target_t *target, int64_t when) noexcept nogil:
        """Into the wheel, at the first slot that is not before `when`."""
        cdef int64_t slot = self.slot(), tick = (when - self.origin + TICK - 1) // TICK
        target.state = WAITING
        wheel_arm(&self.wheel, index, <uint64_t> ((tick + slot - 1) // slot * slot) if tick > 0 else 0)

    cdef void limit_flight(self, int32_t index, flight_t *flight, int64_t timeout) noexcept nogil:
        """(Re)arm the deadline of a probe: `timeout` from now, but not beyond that of the whole probe."""
        cdef int64_t when = self.now + timeout
        if when > flight.until:
            when = flight.until
        wheel_arm(&self.wheel, index, <uint64_t> ((when - self.origin + TICK - 1) // TICK))

    cdef void turn_wheel(self) noexcept nogil:
        """Time out what is late, make ready what is due."""
        cdef uint64_t limit = <uint64_t> ((self.now - self.origin) // TICK)
        cdef int32_t index = wheel_pop(&self.wheel, limit)
        cdef target_t *target
        while index >= 0:
            target = &self.targets[index]
            if target.state == FLYING:
                if self.flights[target.flight].phase == CONNECTING:
                    self.flights[target.flight].reset_unseen = 1
                self.conclude(target.flight, TIMEOUT, ETIMEDOUT)
            elif target.due > self.now:  # farther away than the wheel reaches
                self.wait_until(index, target, target.due)
            else:
                target.state = READY
                list_push(&self.wheel, &self.ready, index)
            index = wheel_pop(&self.wheel, limit)

    cdef bint start_ready(self) noexcept nogil:
        """Start what is ready, first come first served; was there anything?"""
        cdef int budget = STARTS
        cdef int32_t index
        while budget and self.ready.count and self.in_flight < self.most:
            if budget & 15 == 0:
                self.now = nanoseconds(CLOCK_MONOTONIC)
            index = list_pop(&self.wheel, &self.ready)
            self.begin(index, &self.targets[index])
            budget -= 1
        if self.ready.count and self.in_flight >= self.most:
            self.starved += 1
        return budget < STARTS

    # -------------------------------------------------------------------------------------- one probe

    cdef void begin(self, int32_t index, target_t *target) noexcept nogil:
        cdef recipe_t *recipe = target.recipe
        cdef int32_t which
        cdef flight_t *flight
        cdef int error = 0
        self.count_lateness(self.now - target.due)
        self.counters[recipe.request != NULL].started += 1
        which = self.take_socket(recipe.pool, &error)
        if which < 0:
            self.local_error(index, target, error)
            return
        flight = &self.flights[which]
        flight.target = index
        flight.phase = CONNECTING
        flight.reset_unseen = 0
        flight.sent = 0
        flight.started = self.now
        flight.until = self.now + recipe.deadline if recipe.deadline else FOREVER
        target.flight = which
        target.state = FLYING
        self.in_flight += 1
        if recipe.request != NULL and reply_begin(&flight.reply, recipe.expected.digest != NULL) < 0:
            self.conclude(which, LOCAL, ENOMEM)
            return
        if connect(flight.fd, <sockaddr *> &recipe.address, recipe.address_size) < 0:
            error = errno
            if error != EINPROGRESS:
                flight.reset_unseen = 1  # there is no connection to end
                self.conclude(which, REFUSED if servers_fault(error) else LOCAL, error)
                return
        if not flight.watched and self.watch(which) < 0:
            self.conclude(which, LOCAL, errno)
            return
        self.limit_flight(index, flight, recipe.timeout)

    cdef int watch(self, int32_t which) noexcept nogil:
        cdef epoll_event event
        event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET
        event.data.u64 = <uint64_t> which
        if epoll_ctl(self.epoll, EPOLL_CTL_ADD, self.flights[which].fd, &event) < 0:
            return -1
        self.flights[which].watched = 1
        return 0

    cdef void on_event(self, int32_t which, uint32_t events) noexcept nogil:
        cdef flight_t *flight = &self.flights[which]
        cdef int error
        if flight.phase == CONNECTING:
            if events & (EPOLLERR | EPOLLHUP):
                error = socket_error(flight.fd)
                if error:
                    flight.reset_unseen = 1
                    self.conclude(which, REFUSED, error)
                    return
            if not events & EPOLLOUT:
                return
            if self.targets[flight.target].recipe.request == NULL:
                self.conclude(which, SUCCESS, 0)
                return
            flight.phase = SENDING
        if flight.phase == SENDING and not self.send_request(which, flight):
            return
        if flight.phase == READING and events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP):
            self.read_reply(which, (events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) == EPOLLRDHUP)

    cdef bint send_request(self, int32_t which, flight_t *flight) noexcept nogil:
        """Send what is left of the request; is all of it under way?"""
        cdef recipe_t *recipe = self.targets[flight.target].recipe
        cdef ssize_t count = send(
            flight.fd, recipe.request + flight.sent, recipe.request_size - flight.sent, MSG_NOSIGNAL
        )
        if count < 0:
            if errno != EAGAIN and errno != EINTR:
                flight.reset_unseen = 1
                self.conclude(which, REFUSED, errno)
            return False
        flight.sent += <uint32_t> count
        if flight.sent < recipe.request_size:
            return False
        flight.phase = READING
        self.limit_flight(flight.target, flight, recipe.timeout)
        return True

    cdef void read_reply(self, int32_t which, bint ended) noexcept nogil:
        """Read what there is. `ended`: the peer has closed, so a short read was the last one."""
        cdef flight_t *flight = &self.flights[which]
        cdef recipe_t *recipe = self.targets[flight.target].recipe
        cdef bint digest = recipe.expected.digest != NULL
        cdef ssize_t count = 0
        cdef int round_, error
        for round_ in range(READS):
            # the octets of a body that no digest needs are counted, not copied
            count = recv(flight.fd, self.buffer, RECEIVE, MSG_TRUNC if flight.reply.complete and not digest else 0)
            if count <= 0:
                break
            reply_feed(&flight.reply, self.buffer, <size_t> count, digest)
            if flight.reply.hopeless:
                if flight.reply.hopeless == 2:
                    self.conclude(which, LOCAL, ENOMEM)
                else:
                    self.conclude(which, NO_DATA, 0)
                return
            if count < RECEIVE:
                if ended:
                    count = 0
                break
        else:
            self.limit_flight(flight.target, flight, recipe.timeout)
            if not flight.hungry:
                flight.hungry = 1
                flight.next = self.hungry
                self.hungry = which
            return
        if count == 0:
            flight.reset_unseen = 1
            self.judge(which, flight, recipe)
        elif count > 0:
            self.limit_flight(flight.target, flight, recipe.timeout)
        else:
            error = errno
            if error != EAGAIN and error != EINTR:
                flight.reset_unseen = 1
                self.conclude(which, REFUSED, error)

    cdef void read_hungry(self) noexcept nogil:
        """Go on reading where a server had more to say than its share of a turn."""
        cdef int32_t which = self.hungry, following
        self.hungry = -1
        while which >= 0:
            following = self.flights[which].next
            self.flights[which].hungry = 0
            self.read_reply(which, False)
            which = following

    cdef void judge(self, int32_t which, flight_t *flight, recipe_t *recipe) noexcept nogil:
        cdef reply_end end = reply_judge(&flight.reply, &recipe.expected)
        self.conclude(
            which,
            SUCCESS if end == REPLY_GOOD else NO_DATA if end == REPLY_NO_DATA
            else STATUS if end == REPLY_STATUS else DIGEST,
            0,
        )

    cdef void conclude(self, int32_t which, verdict_t verdict, int error) noexcept nogil:
        """A probe has ended: note it, let the socket go, and decide by the standing order what comes next."""
        cdef flight_t *flight = &self.flights[which]
        cdef int32_t index = flight.target
        cdef target_t *target = &self.targets[index]
        cdef counters_t *counters = &self.counters[target.recipe.request != NULL]
        cdef seen_t *seen = &self.seen[index]
        cdef bint http = target.recipe.request != NULL and verdict != LOCAL
        self.note_begin(seen)
        seen.started = flight.started
        seen.finished = self.now
        seen.lateness = flight.started - target.due
        seen.status = flight.reply.status if http and flight.reply.complete else 0
        if verdict == DIGEST:
            memcpy(seen.digest, flight.reply.digest, DIGEST_SIZE)
        self.note_end(seen, target, verdict, error)
        wheel_cancel(&self.wheel, index)
        self.land(which, target.recipe.close_rst)
        if verdict == LOCAL:
            self.after_local_error(index, target, counters)
            return
        target.strikes = 0
        if verdict == SUCCESS:
            counters.succeeded += 1
        else:
            counters.failed += 1
            counters.timed_out += verdict == TIMEOUT
        if target.interval == 0 or (verdict == SUCCESS) != target.expect_success:
            self.hand_up(index, target)
        else:
            self.next_interval(target)
            self.wait_until(index, target, target.due)

    cdef void hand_up(self, int32_t index, target_t *target) noexcept nogil:
        self.rate -= per_megasecond(target.interval)
        target.state = HELD
        mark_set(self.marks, index)
        self.reported += 1
        self.report = True

    cdef void next_interval(self, target_t *target) noexcept nogil:
        """The next start that is still to come; those that are not are missed."""
        cdef int64_t skipped
        target.due += target.interval
        if target.due <= self.now:
            skipped = (self.now - target.due) // target.interval + 1
            self.missed += <uint64_t> skipped
            target.due += skipped * target.interval

    cdef void local_error(self, int32_t index, target_t *target, int error) noexcept nogil:
        """The probe could not even begin."""
        cdef seen_t *seen = &self.seen[index]
        self.note_begin(seen)
        seen.started = seen.finished = self.now
        seen.lateness = self.now - target.due
        seen.status = 0
        self.note_end(seen, target, LOCAL, error)
        self.after_local_error(index, target, &self.counters[target.recipe.request != NULL])

    cdef void after_local_error(self, int32_t index, target_t *target, counters_t *counters) noexcept nogil:
        """Not the server's fault: try again soon, ever less often, in the old phase. One shots are handed up."""
        cdef int64_t pause = <int64_t> BACKOFF << target.strikes
        counters.local_errors += 1
        if target.interval == 0:
            self.hand_up(index, target)
            return
        if target.strikes < 5:
            target.strikes += 1
        self.wait_until(index, target, self.now + (pause if pause < target.interval else target.interval))

    cdef void note_begin(self, seen_t *seen) noexcept nogil:
        ring_store(&seen.sequence, seen.sequence + 1)
        ring_fence()

    cdef void note_end(self, seen_t *seen, target_t *target, verdict_t verdict, int error) noexcept nogil:
        seen.generation = target.generation
        seen.verdict = <uint8_t> verdict
        seen.error = error
        seen.runs += 1
        ring_store(&seen.sequence, seen.sequence + 1)

    cdef void forget(self, int32_t index) noexcept nogil:
        cdef seen_t *seen = &self.seen[index]
        cdef uint64_t sequence = seen.sequence + 1
        self.note_begin(seen)
        memset(seen, 0, sizeof(seen_t))
        ring_store(&seen.sequence, sequence + 1)

    cdef void count_lateness(self, int64_t late) noexcept nogil:
        cdef int i = 0
        while i < BOUNDS and late > LATENESS_BOUNDS[i]:
            i += 1
        self.late[i] += 1
        self.late_total += 1
        if late > self.late_most:
            self.late_most = late

    # -------------------------------------------------------------------------------------- sockets

    cdef int32_t take_socket(self, pool_t *pool, int *error) noexcept nogil:
        """An idle socket of the pool, or a new one; -1 and an errno."""
        cdef int32_t which
        while pool.idle >= 0:
            which = self.take_idle(pool)
            if not self.flights[which].used or socket_disconnect(self.flights[which].fd) == 0:
                return which
            self.discard(which)
        which = self.empty
        if which >= 0:
            self.empty = self.flights[which].next
        elif self.entries < self.most:
            which = self.entries
            self.entries += 1
        else:
            which = self.evict()
        self.flights[which].fd = self.open_socket(pool, error)
        self.flights[which].target = -1
        self.flights[which].phase = IDLE
        self.flights[which].watched = 0
        self.flights[which].pool = pool
        if self.flights[which].fd < 0:
            self.flights[which].next = self.empty
            self.empty = which
            return -1
        self.opened += 1
        self.sockets_made += 1
        if not pool.listed:
            pool.listed = 1
            pool.next = self.pool_list
            self.pool_list = pool
        return which

    cdef int32_t take_idle(self, pool_t *pool) noexcept nogil:
        cdef int32_t which = pool.idle
        pool.idle = self.flights[which].next
        pool.idle_count -= 1
        if pool.idle_count < pool.least_idle:
            pool.least_idle = pool.idle_count
        return which

    cdef int32_t evict(self) noexcept nogil:
        """All entries have sockets, but fewer than `most` are in flight: take one that another pool has no use for."""
        cdef pool_t *pool = self.pool_list
        cdef int32_t which = 0
        while pool != NULL and pool.idle < 0:
            pool = pool.next
        if pool != NULL:
            which = self.take_idle(pool)
        else:
            while self.flights[which].phase != LINGERING:
                which += 1
            self.lingering -= 1
        close(self.flights[which].fd)
        self.opened -= 1
        return which

    cdef int open_socket(self, pool_t *pool, int *error) noexcept nogil:
        cdef int one = 1
        cdef int fd = socket(pool.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
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

    cdef void land(self, int32_t which, bint reset) noexcept nogil:
        """The probe is over: end its connection, with a reset or as close() would, and keep the socket if possible."""
        cdef flight_t *flight = &self.flights[which]
        cdef bint keep = self.recycling and flight.watched and not flight.pool.fixed_port
        if flight.hungry:
            self.unlist_hungry(which)
        if flight.reply.head != NULL:
            free(flight.reply.head)
            flight.reply.head = NULL
        flight.target = -1
        self.in_flight -= 1
        if keep and (reset or flight.reset_unseen) and socket_disconnect(flight.fd) == 0:
            self.keep(which)
            flight.used = 0
        elif keep and not reset and self.lingering < LINGERERS and shutdown(flight.fd, SHUT_WR) == 0:
            flight.phase = LINGERING
            flight.until = self.now + LINGER
            self.lingering += 1
        else:
            if reset:
                socket_reset_on_close(flight.fd)
            self.discard(which)

    cdef void keep(self, int32_t which) noexcept nogil:
        """Into its pool, for the next probe."""
        cdef flight_t *flight = &self.flights[which]
        self.recycled += 1
        flight.phase = IDLE
        flight.used = 1
        flight.next = flight.pool.idle
        flight.pool.idle = which
        flight.pool.idle_count += 1

    cdef void discard(self, int32_t which) noexcept nogil:
        cdef flight_t *flight = &self.flights[which]
        close(flight.fd)
        flight.fd = -1
        flight.phase = IDLE
        flight.next = self.empty
        self.empty = which
        self.opened -= 1

    cdef void unlist_hungry(self, int32_t which) noexcept nogil:
        cdef int32_t *link = &self.hungry
        while link[0] >= 0:
            if link[0] == which:
                link[0] = self.flights[which].next
                break
            link = &self.flights[link[0]].next
        self.flights[which].hungry = 0

    cdef void sweep(self) noexcept nogil:
        """Now and then: close the sockets that nobody has needed since the last time, and those that linger for long."""
        cdef pool_t *pool = self.pool_list
        cdef int32_t which
        for which in range(self.entries):
            if not self.lingering:
                break
            if self.flights[which].phase == LINGERING and self.flights[which].until < self.now:
                self.lingering -= 1
                self.discard(which)
        if self.now - self.swept < <int64_t> SWEEP * 1_000_000_000:
            return
        self.swept = self.now
        while pool != NULL:
            while pool.least_idle > SPARE:
                self.discard(self.take_idle(pool))
            pool.least_idle = pool.idle_count
            pool = pool.next

    cdef void land_all(self) noexcept nogil:
        """The end: no probe is left in flight, no socket open."""
        cdef int32_t which
        for which in range(self.entries):
            if self.flights[which].target >= 0:
                self.targets[self.flights[which].target].state = HELD
                self.land(which, self.targets[self.flights[which].target].recipe.close_rst)
        for which in range(self.entries):
            if self.flights[which].fd >= 0:
                self.discard(which)

    cdef void wake_python(self) noexcept nogil:
        if not ring_swap(&self.shared.raised, 1):
            eventfd_write(self.raised_fd, 1)


@final
cdef class TimerWheel:
    cdef wheel_t wheel
    cdef node_t *nodes
    cdef int32_t size

    def __cinit__(self, int size, uint64_t now=0):
        cdef int32_t i
        self.nodes = <node_t *> calloc(<size_t> max(size, 1), sizeof(node_t))
        if self.nodes == NULL:
            raise MemoryError
        self.size = size
        for i in range(size):
            self.nodes[i].slot = NEVER_ARMED
        wheel_open(&self.wheel, self.nodes, sizeof(node_t), now)

    def __dealloc__(self):
        free(self.nodes)

    cdef int check(self, int timer) except -1:
        if not 0 <= timer < self.size:
            raise ValueError(f"timer {timer} is not within 0..{self.size - 1}")
        return 0

    def arm(self, int timer, uint64_t tick):
        self.check(timer)
        wheel_arm(&self.wheel, timer, tick)

    def cancel(self, int timer):
        self.check(timer)
        wheel_cancel(&self.wheel, timer)

    def advance(self, uint64_t now):
        cdef int32_t timer = wheel_pop(&self.wheel, now)
        cdef list due = []
        while timer >= 0:
            due.append(timer)
            timer = wheel_pop(&self.wheel, now)
        return due

    def next(self):
        tick = wheel_next(&self.wheel)
        return None if tick == ~<uint64_t> 0 else tick


def judge_http(pieces, recipe):
    cdef reply_t reply
    cdef _CompiledRecipe compiled = _CompiledRecipe(
        recipe, None, status_bitmap(recipe.status_codes) if recipe.status_codes else None
    )
    cdef bytes octets
    cdef reply_end end
    cdef bint digest = compiled.compiled.expected.digest != NULL
    if recipe.kind != Kind.HTTP:
        raise ValueError(f"a reply to a {recipe.kind.name} probe is not judged")
    memset(&reply, 0, sizeof(reply))
    try:
        if reply_begin(&reply, digest) < 0:
            raise MemoryError
        for piece in pieces:
            octets = bytes(piece)
            reply_feed(&reply, PyBytes_AS_STRING(octets), <size_t> PyBytes_GET_SIZE(octets), digest)
        end = reply_judge(&reply, &compiled.compiled.expected)
        verdict = {
            REPLY_GOOD: Verdict.SUCCESS, REPLY_NO_DATA: Verdict.NO_DATA, REPLY_STATUS: Verdict.STATUS,
            REPLY_DIGEST: Verdict.DIGEST,
        }[end]
        reached = digest and end in (REPLY_GOOD, REPLY_DIGEST)
        return verdict, reply.status, (<char *> reply.digest)[:DIGEST_SIZE] if reached else b""
    finally:
        reply_free(&reply)
