"""The probe engine: connect, send, read, compare, time out, for tens of thousands of servers in one thread.

More than nine tenths of what a check costs is the kernel's TCP, and at ordinary rates most of the rest are wake-ups. So
due probes start together, in slots of 20, 5 or 2 ms by the rate of all orders; after a turn in which something happened
the thread lets answers gather for a moment before it looks again; and sockets are used again and again.

The thread never takes the GIL; its code is in `_c/probe_turn.pxd` and below. This module is Python's side of it: orders
are checked and compiled here and go down through a queue; outcomes come up through one `seen_t` per target under a
sequence lock, and one mark "to be reported" (`_c/ring.pxd`). Everything else belongs to the thread. What a command
points to (recipes and what they hold) is kept alive here until the thread has said that it took its successor.
"""

import resource
import socket as sockets
import threading
from collections import deque
from contextlib import suppress
from weakref import WeakValueDictionary

from cython cimport final
from libc.errno cimport errno
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from posix.unistd cimport close

from epoll cimport (
    EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLLIN, epoll_create1, epoll_ctl, epoll_event, eventfd_read, eventfd_write,
    socket_disconnect,
)
from http_reply cimport DIGEST_SIZE, reply_free
from linux_net cimport CLOCK_MONOTONIC, EFD_CLOEXEC, EFD_NONBLOCK, eventfd, nanoseconds
from probe cimport (
    BELL, BOUNDS, DIGEST, LATENESS_BOUNDS, LONGEST, READY, RECEIVE, TARGETS, TICK, WAITING, counters_t, engine_t,
    flight_t, seen_t, target_t,
)
from probe_flight cimport slot_ticks
from probe_turn cimport loop, wake_python
from ring cimport (
    COMMAND_HOLD, COMMAND_ORDER, COMMAND_REMOVE, COMMAND_TLS, command_t, queue_close, queue_open, queue_put,
    ring_fence, ring_load, ring_set, ring_store, ring_swap,
)
from tls cimport session_forget, session_t
from wheel cimport (
    NEVER_ARMED, list_clear, node_t, wheel_arm, wheel_cancel, wheel_next, wheel_open, wheel_pop, wheel_t,
)

from fastha.checks.recipes import LastProbe, Report, Verdict
from fastha.model.net import family_of
from fastha.model.plan import UNJUDGED, ClientTls
from fastha.model.snapshot import Histogram

include "probe_tls.pxi"
include "probe_recipes.pxi"
include "probe_judges.pxi"


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


cdef enum:
    OTHER_DESCRIPTORS = 1024  # what the process may need beside the engine's sockets
    URGENCY = 10  # by how much the thread is nicer to itself than the process
    MOST_TURNS = 255  # recipes of an order beside its first


MAX_TARGETS = TARGETS
cdef void *reserve(size_t size) noexcept:
    """Zeroed address space; pages cost memory when they are first written. NULL: refused."""
    cdef void *where = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    return NULL if where == MAP_FAILED else where


cdef void release(void *where, size_t size) noexcept:
    if where != NULL:
        munmap(where, size)


_promised = 0
"""Sockets that the engines at work may have."""


def _raise_descriptor_limit(cap):
    """Ask for `cap` sockets beside what else the process has open; how many there may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = cap + _promised + OTHER_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return cap
    return min(cap, max(soft - OTHER_DESCRIPTORS - _promised, (soft - _promised) // 2, 1))


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


def _hurry():
    """Put this thread before others of normal priority on its processor, Python's above all.

    It works for moments; having to wait for its turn made half of the probes more than 5 ms late while Python was busy
    on the same processor. Where that is refused (no CAP_SYS_NICE) the histogram of lateness shows what it costs.
    """
    thread = threading.get_native_id()
    with suppress(OSError):
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) - URGENCY)


@final
cdef class ProbeEngine:
    cdef object thread
    cdef dict pools, statuses
    cdef list recipes  # by target
    cdef object regexes, talks, trusts
    cdef TlsContext tls
    cdef bint stopped, urgent
    cdef object retired
    cdef uint64_t given
    cdef int32_t highest
    cdef int32_t cursor  # of `reports`, in words of marks
    cdef uint64_t *wanted  # generation + 1 of the last order given; 0: none
    # shared with the thread, or its own
    cdef engine_t engine

    def __cinit__(self, *, int cap=20_000, bint recycle=True, bint urgent=True):
        # first of all: __dealloc__ also runs after a refusal, and 0 is somebody else's descriptor
        self.engine.bell = self.engine.raised = self.engine.epoll = -1
        if cap < 1:
            raise ValueError(f"cap {cap} is not positive")
        self.engine.most = cap
        self.engine.recycling = 1 if recycle else 0
        self.urgent = urgent
        self.pools, self.statuses, self.recipes = {}, {}, []
        self.regexes, self.talks, self.trusts = WeakValueDictionary(), WeakValueDictionary(), WeakValueDictionary()
        self.retired = deque()
        self.engine.empty = self.engine.hungry = -1
        list_clear(&self.engine.ready)
        list_clear(&self.engine.silent)
        self.engine.flights = <flight_t *> calloc(<size_t> cap, sizeof(flight_t))
        self.engine.buffer = <char *> calloc(1, RECEIVE)
        self.engine.targets = <target_t *> reserve(TARGETS * sizeof(target_t))
        self.engine.seen = <seen_t *> reserve(TARGETS * sizeof(seen_t))
        self.engine.marks = <uint64_t *> reserve(TARGETS // 8)
        self.engine.sessions = <session_t *> reserve(TARGETS * sizeof(session_t))
        self.wanted = <uint64_t *> reserve(TARGETS * 8)
        if (
            self.engine.flights == NULL or self.engine.buffer == NULL or self.engine.targets == NULL
            or self.engine.seen == NULL or self.engine.marks == NULL or self.wanted == NULL
            or self.engine.sessions == NULL
            or queue_open(&self.engine.queue) < 0
        ):
            raise MemoryError
        self.engine.origin = nanoseconds(CLOCK_MONOTONIC) - TICK
        wheel_open(&self.engine.wheel, self.engine.targets, sizeof(target_t), 0)
        self.engine.epoll = epoll_create1(EPOLL_CLOEXEC)
        self.engine.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        self.engine.raised = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        if self.engine.epoll < 0 or self.engine.bell < 0 or self.engine.raised < 0:
            raise OSError(errno, "probe engine: epoll or eventfd refused")

    def __dealloc__(self):
        cdef int32_t i
        for fd in (self.engine.epoll, self.engine.bell, self.engine.raised):
            if fd >= 0:
                close(fd)
        if self.engine.flights != NULL:
            for i in range(self.engine.entries):
                if self.engine.flights[i].fd >= 0:
                    close(self.engine.flights[i].fd)
                reply_free(&self.engine.flights[i].reply)
        if self.engine.sessions != NULL:
            for i in range(self.highest + 1):
                session_forget(&self.engine.sessions[i])
        free(self.engine.flights)
        free(self.engine.buffer)
        queue_close(&self.engine.queue)
        release(self.engine.targets, TARGETS * sizeof(target_t))
        release(self.engine.seen, TARGETS * sizeof(seen_t))
        release(self.engine.marks, TARGETS // 8)
        release(self.engine.sessions, TARGETS * sizeof(session_t))
        release(self.wanted, TARGETS * 8)

    @property
    def cap(self):
        return self.engine.most

    @property
    def recycling(self):
        return bool(self.engine.recycling)

    @property
    def running(self):
        return self.thread is not None and self.thread.is_alive()

    def start(self):
        cdef epoll_event event
        if self.thread is not None:
            raise RuntimeError("the probe engine was started before")
        global _promised
        self.engine.most = min(self.engine.most, _raise_descriptor_limit(self.engine.most))
        self.engine.recycling = self.engine.recycling and _sockets_recycle()
        event.events = EPOLLIN
        event.data.u64 = BELL
        if epoll_ctl(self.engine.epoll, EPOLL_CTL_ADD, self.engine.bell, &event) < 0:
            raise OSError(errno, "probe engine: epoll_ctl")
        self.thread = threading.Thread(target=self._run, name="fastha-probes", daemon=True)
        self.thread.start()
        _promised += self.engine.most

    def _run(self):
        if self.urgent:
            _hurry()
        with nogil:
            loop(&self.engine)

    def stop(self):
        global _promised
        if self.thread is None or self.stopped:
            return
        ring_store(&self.engine.shared.stop, 1)
        self.ring()
        self.thread.join(timeout=10)
        if self.thread.is_alive():
            raise RuntimeError("the probe engine does not stop")
        self.stopped = True
        _promised -= self.engine.most
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

    def use_tls(self, TlsContext context not None):
        cdef command_t command
        memset(&command, 0, sizeof(command))
        command.recipe = context.context
        command.kind = COMMAND_TLS
        # before the command: once the thread has taken that, it is done with what it used before
        used = [(<_Trust> trust).renew() for trust in list(self.trusts.values())] + [self.tls]
        self.put(&command)
        self.retired.append((self.given, used))
        self.tls = context
        self.ring()

    def fileno(self):
        return self.engine.raised

    def reports(self, int limit=4096):
        cdef uint64_t ignored, bits, bit
        cdef int32_t target, words = (self.highest + 64) >> 6, left = words
        cdef list found = []
        eventfd_read(self.engine.raised, &ignored)
        ring_swap(&self.engine.shared.raised, 0)
        self.forget_retired()
        while left and len(found) < limit:
            if self.cursor >= words:
                self.cursor = 0
            bits = ring_swap(&self.engine.marks[self.cursor], 0) if self.engine.marks[self.cursor] else 0
            while bits and len(found) < limit:
                bit = bits & (~bits + 1)
                bits ^= bit
                target = (self.cursor << 6) + __builtin_ctzll(bit)
                report = self.report_of(target)
                if report is not None:
                    found.append(report)
            if bits:
                ring_set(&self.engine.marks[self.cursor], bits)
            else:
                self.cursor += 1
                left -= 1
        if left:
            wake_python(&self.engine)
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
        names = [(int(which), which.name.lower()) for which in _TRANSPORTS]
        for index, name in names:
            kind = &self.engine.counters[index]
            found[f"{name}_started"] = kind.started
            found[f"{name}_succeeded"] = kind.succeeded
            found[f"{name}_failed"] = kind.failed
            found[f"{name}_timed_out"] = kind.timed_out
            found[f"{name}_local_errors"] = kind.local_errors
        for name in ("started", "succeeded", "failed", "timed_out", "local_errors"):
            found[name] = sum([found[f"{kind_name}_{name}"] for _, kind_name in names])
        for name, value in (
            ("missed", self.engine.missed), ("superseded", self.engine.superseded), ("reported", self.engine.reported),
            ("recycled", self.engine.recycled), ("sockets_made", self.engine.sockets_made),
            ("turns", self.engine.turns), ("starved", self.engine.starved), ("in_flight", self.engine.in_flight),
            ("ready", self.engine.ready.count + self.engine.silent.count), ("targets", self.engine.known),
            ("sockets", self.engine.opened), ("cap", self.engine.most), ("recycling", self.engine.recycling),
            ("slot_ns", slot_ticks(&self.engine) * TICK), ("reused", self.engine.reused),
            ("redialled", self.engine.redialled), ("parked", self.engine.parked), ("tls_resumed", self.engine.resumed),
        ):
            found[name] = value
        return found

    def lateness(self):
        cdef int index
        return Histogram(
            bounds=tuple([LATENESS_BOUNDS[index] for index in range(BOUNDS)]),
            counts=tuple([self.engine.late[index] for index in range(BOUNDS + 1)]),
            total=self.engine.late_total,
            maximum=self.engine.late_most,
        )

    def heartbeat(self):
        return ring_load(&self.engine.shared.heartbeat)

    def overdue(self, int64_t now):
        cdef target_t *target
        cdef int32_t i
        cdef list found = []
        for i in range(self.highest + 1):
            target = &self.engine.targets[i]
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
        cdef _CompiledRecipe recipe
        self.check(target)
        if not 0 <= order.first < FOREVER or not 0 <= order.interval < FOREVER:
            raise ValueError(f"first {order.first} or interval {order.interval} is out of range")
        recipe = self.compile(order.recipe)
        if order.then:
            self.link(recipe, order.then)
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
        self.retire(target)
        while len(self.recipes) <= target:
            self.recipes.append(None)
        self.recipes[target] = recipe
        return 0

    cdef int link(self, _CompiledRecipe first, tuple others) except -1:
        """The recipes of an order in a ring; the first one keeps the others alive."""
        cdef _CompiledRecipe recipe, before = first
        cdef list rest = [self.compile(other) for other in others]
        if len(rest) > MOST_TURNS:
            raise ValueError(f"an order has at most {MOST_TURNS + 1} recipes, not {len(rest) + 1}")
        for turn, recipe in enumerate(rest, 1):
            if recipe.compiled.pool.transport != first.compiled.pool.transport:
                raise ValueError("the recipes of an order have one transport")
            recipe.compiled.turn = <uint8_t> turn
            before.compiled.next = &recipe.compiled
            before = recipe
        before.compiled.next = &first.compiled
        first.rest = rest
        return 0

    cdef _CompiledRecipe compile(self, recipe):
        """Compile a recipe; requests, statuses and socket pools are shared by value."""
        cdef _SocketPool pool
        cdef bytes statuses = None
        if recipe.kind not in _TRANSPORTS:
            raise ValueError(f"the engine runs no {recipe.kind.name} probes")
        if recipe.tls and self.tls is None:
            self.use_tls(TlsContext(ClientTls()))
        key = (
            _TRANSPORTS[recipe.kind], family_of(recipe.address), recipe.bindto, recipe.bind_port, recipe.bind_if,
            recipe.fwmark,
        )
        pool = self.pools.get(key)
        if pool is None:
            pool = self.pools[key] = _SocketPool(recipe)
        if recipe.status_codes:
            statuses = self.statuses.get(recipe.status_codes)
            if statuses is None:
                statuses = self.statuses[recipe.status_codes] = status_bitmap(recipe.status_codes)
        return _CompiledRecipe(
            recipe, pool, statuses, self.pattern(recipe.regex), self.dialogue(recipe.steps), self.trust(recipe)
        )

    cdef _CompiledRegex pattern(self, wanted):
        cdef _CompiledRegex regex
        if wanted is None:
            return None
        regex = self.regexes.get(wanted)
        if regex is None:
            regex = self.regexes[wanted] = _CompiledRegex(wanted)
        return regex

    cdef _Talk dialogue(self, tuple steps):
        cdef _Talk talk
        if not steps:
            return None
        talk = self.talks.get(steps)
        if talk is None:
            talk = self.talks[steps] = _Talk(steps, [self.pattern(step.expect) for step in steps])
        return talk

    cdef _Trust trust(self, recipe):
        cdef _Trust trust
        if not recipe.tls or recipe.judge == UNJUDGED:
            return None
        trust = self.trusts.get(recipe.judge)
        if trust is None:
            trust = self.trusts[recipe.judge] = _Trust(recipe.judge)
        return trust

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
        if queue_put(&self.engine.queue, command) < 0:
            raise MemoryError
        self.given += 1
        if command.target > self.highest:
            self.highest = command.target
        return 0

    cdef object retire(self, int32_t target):
        """The target's recipe has been replaced; what the thread has not taken yet may still point to it."""
        held = self.recipes[target] if target < len(self.recipes) else None
        if held is not None:
            self.recipes[target] = None
            self.retired.append((self.given, held))
        self.forget_retired()

    cdef object forget_retired(self):
        cdef uint64_t taken = ring_load(&self.engine.shared.taken)
        while self.retired and self.retired[0][0] <= taken:
            self.retired.popleft()

    cdef object ring(self):
        """Wake the thread for commands."""
        if not ring_swap(&self.engine.shared.doorbell, 1):
            eventfd_write(self.engine.bell, 1)

    cdef void look(self, int32_t target, seen_t *seen) noexcept:
        """A consistent copy of what the thread wrote."""
        cdef uint64_t before
        while True:
            before = ring_load(&self.engine.seen[target].sequence)
            seen[0] = self.engine.seen[target]
            ring_fence()
            if not before & 1 and before == ring_load(&self.engine.seen[target].sequence):
                return

    cdef object report_of(self, int32_t target):
        """The report of a marked target; None when an order given since has superseded it."""
        cdef seen_t seen
        self.look(target, &seen)
        if self.wanted[target] != <uint64_t> seen.generation + 1:
            return None
        digest = (<char *> seen.digest)[:DIGEST_SIZE] if seen.verdict == DIGEST else b""
        return Report(
            target, seen.generation, Verdict(seen.verdict), seen.error, seen.status, seen.started, seen.finished,
            digest, seen.turn,
        )


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
