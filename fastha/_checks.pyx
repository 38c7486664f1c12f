"""The probe engine: connect, send, read, compare, time out, for tens of thousands of servers in one thread.

More than nine tenths of what a check costs is the kernel's TCP, and at ordinary rates most of the rest are wake-ups. So
due probes start together, in slots of 20, 5 or 2 ms by the rate of all orders; after a turn in which something happened
the thread lets answers gather for a moment before it looks again; and sockets are used again and again.

The thread never takes the GIL; its code is in `_c/probe_turn.pxd` and below. This module is Python's side of it: orders
are checked and compiled here and go down through a queue; outcomes come up through one `seen_t` per target under a
sequence lock, and one mark "to be reported" (`_c/ring.pxd`). Everything else belongs to the thread. What a command
points to (recipes and what they hold) is kept alive here until the thread has said that it took its successor.
"""

import os
import resource
import socket as sockets
import threading
from collections import deque
from weakref import WeakValueDictionary

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cython cimport final
from libc.errno cimport errno
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset, strlen
from posix.unistd cimport close

from epoll cimport (
    AF_INET, AF_INET6, EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLLIN, epoll_create1, epoll_ctl, epoll_event, eventfd_read,
    eventfd_write, htons, sockaddr_in, sockaddr_in6, socket_disconnect,
)
from http_reply cimport (
    DIGEST_SIZE, REPLY_DIGEST, REPLY_GOOD, REPLY_NO_DATA, REPLY_REGEX, REPLY_STATUS, STATUS_OCTETS, expectation_t,
    reply_begin, reply_end, reply_feed, reply_free, reply_judge, reply_t,
)
from body_regex cimport (
    PCRE2_MATCH_INVALID_UTF, PCRE2_UTF, pcre2_compile, pcre2_get_error_message, regex_free, regex_prepare, regex_t,
)
from linux_net cimport CLOCK_MONOTONIC, EFD_CLOEXEC, EFD_NONBLOCK, eventfd, nanoseconds
from probe cimport (
    BELL, BOUNDS, DATAGRAM, DEVICE, DIGEST, ECHO, FOREVER, LATENESS_BOUNDS, LONGEST, READY, RECEIVE, STREAM, TARGETS,
    TICK, WAITING, counters_t, engine_t, flight_t, pool_t, recipe_t, seen_t, target_t,
)
from probe_datagram cimport ECHO_REPLY, HEARD_GOOD, HEARD_NOTHING, judge_dns, judge_echo, judge_udp
from probe_flight cimport slot_ticks
from probe_turn cimport loop, wake_python
from ring cimport (
    COMMAND_HOLD, COMMAND_ORDER, COMMAND_REMOVE, COMMAND_TLS, command_t, queue_close, queue_open, queue_put,
    ring_fence, ring_load, ring_set, ring_store, ring_swap,
)
from smtp_reply cimport smtp_begin, smtp_feed, smtp_t
from tls cimport (
    ERR_clear_error, ERR_error_string_n, ERR_peek_last_error, SSL_CTX, SSL_CTX_check_private_key, SSL_CTX_free,
    SSL_CTX_load_verify_locations, SSL_CTX_new, SSL_CTX_set_default_passwd_cb, SSL_CTX_set_default_passwd_cb_userdata,
    SSL_CTX_set_mode, SSL_CTX_set_options, SSL_CTX_set_session_cache_mode, SSL_CTX_use_certificate_chain_file,
    SSL_CTX_use_PrivateKey_file, SSL_FILETYPE_PEM, SSL_MODE_ENABLE_PARTIAL_WRITE, SSL_MODE_RELEASE_BUFFERS,
    SSL_OP_IGNORE_UNEXPECTED_EOF, SSL_SESS_CACHE_OFF, TLS_client_method,
)
from wheel cimport (
    NEVER_ARMED, list_clear, node_t, wheel_arm, wheel_cancel, wheel_next, wheel_open, wheel_pop, wheel_t,
)

from fastha.checks.recipes import Kind, LastProbe, Report, Verdict
from fastha.model.net import family_of, packed
from fastha.model.plan import ClientTls
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


cdef enum:
    OTHER_DESCRIPTORS = 1024  # what the process may need beside the engine's sockets


MAX_TARGETS = TARGETS
_TRANSPORTS = {
    Kind.TCP: STREAM, Kind.HTTP: STREAM, Kind.SMTP: STREAM, Kind.SSL: STREAM, Kind.UDP: DATAGRAM, Kind.DNS: DATAGRAM,
    Kind.PING: ECHO,
}
"""The kinds of probes there are here."""
_REQUESTS = {
    Kind.HTTP: (1, 1 << 30), Kind.SSL: (1, 1 << 30), Kind.SMTP: (1, 65535), Kind.UDP: (0, 65507), Kind.DNS: (17, 512),
    Kind.PING: (8, 512),
}
"""Octets of a request, least and most."""
_PCRE2 = {
    "allow_empty_class": 0x1, "alt_bsux": 0x2, "auto_callout": 0x4, "caseless": 0x8, "dollar_endonly": 0x10,
    "dotall": 0x20, "dupnames": 0x40, "extended": 0x80, "firstline": 0x100, "match_unset_backref": 0x200,
    "multiline": 0x400, "never_ucp": 0x800, "never_utf": 0x1000, "no_auto_capture": 0x2000, "no_auto_possess": 0x4000,
    "no_dotstar_anchor": 0x8000, "no_start_optimize": 0x10000, "ucp": 0x20000, "ungreedy": 0x40000, "utf": 0x80000,
    "never_backslash_c": 0x100000, "alt_circumflex": 0x200000, "alt_verbnames": 0x400000,
    "use_offset_limit": 0x800000,
}
"""pcre2.h: PCRE2_CASELESS, ..."""


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


cdef bint md5_works() noexcept:
    cdef reply_t reply
    memset(&reply, 0, sizeof(reply))
    cdef expectation_t wanted
    memset(&wanted, 0, sizeof(wanted))
    wanted.digest = reply.digest
    cdef bint works = reply_begin(&reply, &wanted) == 0
    reply_free(&reply)
    return works


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
        self.pool.transport = <uint8_t> _TRANSPORTS[recipe.kind]
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


cdef int compile_pattern(regex_t *regex, object wanted) except -1:
    """`regex.code`; ValueError says what is wrong with the pattern, and where."""
    cdef bytes pattern = wanted.pattern.encode("utf-8", "surrogateescape")
    cdef uint32_t options = 0
    cdef int error = 0
    cdef size_t offset = 0
    cdef uint8_t words[256]
    for name in wanted.options:
        options |= <uint32_t> _PCRE2[name]
    if options & PCRE2_UTF:
        options |= PCRE2_MATCH_INVALID_UTF  # a body may hold anything
    regex.code = pcre2_compile(
        <const uint8_t *> PyBytes_AS_STRING(pattern), <size_t> PyBytes_GET_SIZE(pattern), options, &error, &offset, NULL
    )
    if regex.code == NULL:
        pcre2_get_error_message(error, words, sizeof(words))
        raise ValueError(f"{(<char *> words).decode('ascii', 'replace')} (at offset {offset})")
    return 0


def regex_error(regex):
    cdef regex_t compiled
    memset(&compiled, 0, sizeof(compiled))
    try:
        compile_pattern(&compiled, regex)
    except ValueError as error:
        return str(error)
    finally:
        regex_free(&compiled)
    return ""


@final
cdef class _CompiledRegex:
    """Owner of one regex_t; of one engine, whose thread alone matches with it."""

    cdef regex_t regex
    cdef object __weakref__

    def __init__(self, wanted):
        start, most = wanted.stack or (0, 0)
        compile_pattern(&self.regex, wanted)
        self.regex.no_match = wanted.no_match
        self.regex.least = wanted.min_offset
        self.regex.most = ~<uint64_t> 0 if wanted.max_offset is None else <uint64_t> wanted.max_offset
        if regex_prepare(&self.regex, start, most) < 0:
            raise MemoryError

    def __dealloc__(self):
        regex_free(&self.regex)


cdef int pass_phrase(char *where, int size, int writing, void *phrase) noexcept nogil:
    """OpenSSL asks for the pass phrase of a key; without one it must not ask the terminal."""
    cdef size_t length = strlen(<char *> phrase) if phrase != NULL else 0
    if length > <size_t> size:
        return 0
    memcpy(where, phrase, length)
    return <int> length


cdef str openssl_error():
    cdef char words[256]
    ERR_error_string_n(ERR_peek_last_error(), words, sizeof(words))
    ERR_clear_error()
    return (<char *> words).decode("ascii", "replace").rpartition(":")[2]


@final
cdef class TlsContext:
    cdef SSL_CTX *context

    def __init__(self, wanted):
        cdef bytes phrase = None if wanted.password is None else os.fsencode(wanted.password)
        ERR_clear_error()
        self.context = SSL_CTX_new(TLS_client_method())
        if self.context == NULL:
            raise ValueError(f"no TLS: {openssl_error()}")
        SSL_CTX_set_mode(self.context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS)
        # a body may end with the connection, without a close_notify
        SSL_CTX_set_options(self.context, SSL_OP_IGNORE_UNEXPECTED_EOF)
        SSL_CTX_set_session_cache_mode(self.context, SSL_SESS_CACHE_OFF)
        SSL_CTX_set_default_passwd_cb(self.context, pass_phrase)
        SSL_CTX_set_default_passwd_cb_userdata(self.context, NULL if phrase is None else PyBytes_AS_STRING(phrase))
        try:
            self.load(wanted)
        finally:
            SSL_CTX_set_default_passwd_cb_userdata(self.context, NULL)

    cdef int load(self, wanted) except -1:
        cdef bytes path
        if wanted.ca is not None:
            path = os.fsencode(wanted.ca)
            if SSL_CTX_load_verify_locations(self.context, path, NULL) != 1:
                raise ValueError(f"ca {wanted.ca}: {openssl_error()}")
        if wanted.certificate is not None:
            path = os.fsencode(wanted.certificate)
            if SSL_CTX_use_certificate_chain_file(self.context, path) != 1:
                raise ValueError(f"certificate {wanted.certificate}: {openssl_error()}")
        if wanted.key is not None:
            path = os.fsencode(wanted.key)
            if SSL_CTX_use_PrivateKey_file(self.context, path, SSL_FILETYPE_PEM) != 1:
                raise ValueError(f"key {wanted.key}: {openssl_error()}")
            if wanted.certificate is not None and SSL_CTX_check_private_key(self.context) != 1:
                raise ValueError(f"key {wanted.key} is not that of {wanted.certificate}")
        return 0

    def __dealloc__(self):
        SSL_CTX_free(self.context)


@final
cdef class _CompiledRecipe:
    """Owner of one recipe_t, and of what that points to."""

    cdef recipe_t compiled
    cdef object recipe
    cdef bytes statuses, sni
    cdef _CompiledRegex regex

    def __init__(self, recipe, _SocketPool pool, bytes statuses, _CompiledRegex regex):
        cdef bytes request = recipe.request
        if not 0 < recipe.timeout < FOREVER or not 0 <= recipe.deadline < FOREVER:
            raise ValueError(f"timeout {recipe.timeout} or deadline {recipe.deadline} is out of range")
        if recipe.digest is not None and len(recipe.digest) != DIGEST_SIZE:
            raise ValueError(f"a digest has {DIGEST_SIZE} octets, not {len(recipe.digest)}")
        if recipe.digest is not None and not md5_works():
            raise ValueError("this OpenSSL refuses MD5 (FIPS mode?): a digest cannot be compared")
        self.recipe = recipe
        self.statuses = statuses
        self.regex = regex
        address_octets(recipe.address, recipe.port, &self.compiled.address, &self.compiled.address_size)
        self.compiled.timeout = recipe.timeout
        self.compiled.deadline = recipe.deadline
        self.compiled.close_rst = recipe.close_rst
        if pool is not None:
            self.compiled.pool = &pool.pool
        self.compiled.kind = <uint8_t> recipe.kind
        if recipe.kind == Kind.TCP:
            return
        least, most = _REQUESTS[recipe.kind]
        if not least <= len(request) <= most:
            raise ValueError(f"a {recipe.kind.name} probe's request has {least}..{most} octets, not {len(request)}")
        self.compiled.request = PyBytes_AS_STRING(request)
        self.compiled.request_size = <uint32_t> PyBytes_GET_SIZE(request)
        if recipe.kind == Kind.UDP:
            self.compile_reply(recipe)
        elif recipe.kind == Kind.HTTP or recipe.kind == Kind.SSL:
            self.compile_expectation(recipe)

    cdef int compile_reply(self, recipe) except -1:
        cdef bytes reply = recipe.reply, mask = recipe.reply_mask
        if len(reply) != len(mask):
            raise ValueError(f"a pattern of {len(reply)} octets and a mask of {len(mask)}")
        if not 0 <= recipe.min_reply_length <= 65535 or not 0 <= recipe.max_reply_length <= 65535:
            raise ValueError(f"reply length {recipe.min_reply_length}..{recipe.max_reply_length} is not in 0..65535")
        self.compiled.require_reply = recipe.require_reply
        self.compiled.reply = <const uint8_t *> PyBytes_AS_STRING(reply)
        self.compiled.reply_mask = <const uint8_t *> PyBytes_AS_STRING(mask)
        self.compiled.reply_size = <uint32_t> PyBytes_GET_SIZE(reply)
        self.compiled.least_reply = recipe.min_reply_length
        self.compiled.most_reply = recipe.max_reply_length
        return 0

    cdef int compile_expectation(self, recipe) except -1:
        if self.statuses is not None:
            self.compiled.expected.statuses = <const uint8_t *> PyBytes_AS_STRING(self.statuses)
        if recipe.digest is not None:
            self.compiled.expected.digest = <const uint8_t *> PyBytes_AS_STRING(recipe.digest)
        if self.regex is not None:
            self.compiled.expected.regex = &self.regex.regex
        if recipe.kind == Kind.SSL:
            self.compiled.tls_compliant = recipe.tls_compliant
            if recipe.sni is not None:
                self.sni = recipe.sni.encode("utf-8", "surrogateescape")
                if not 0 < len(self.sni) < 256:
                    raise ValueError(f"a server name has 1 to 255 octets, not {len(self.sni)}")
                self.compiled.sni = PyBytes_AS_STRING(self.sni)
        return 0


@final
cdef class ProbeEngine:
    cdef object thread
    cdef dict pools, statuses, recipes
    cdef object regexes
    cdef TlsContext tls
    cdef bint stopped
    cdef object retired
    cdef uint64_t given
    cdef int32_t highest
    cdef int32_t cursor  # of `reports`, in words of marks
    cdef uint64_t *wanted  # generation + 1 of the last order given; 0: none
    # shared with the thread, or its own
    cdef engine_t engine

    def __cinit__(self, *, int cap=20_000, bint recycle=True):
        # first of all: __dealloc__ also runs after a refusal, and 0 is somebody else's descriptor
        self.engine.bell = self.engine.raised = self.engine.epoll = -1
        if cap < 1:
            raise ValueError(f"cap {cap} is not positive")
        self.engine.most = cap
        self.engine.recycling = 1 if recycle else 0
        self.pools, self.statuses, self.recipes, self.regexes = {}, {}, {}, WeakValueDictionary()
        self.retired = deque()
        self.engine.empty = self.engine.hungry = -1
        list_clear(&self.engine.ready)
        self.engine.flights = <flight_t *> calloc(<size_t> cap, sizeof(flight_t))
        self.engine.buffer = <char *> calloc(1, RECEIVE)
        self.engine.targets = <target_t *> reserve(TARGETS * sizeof(target_t))
        self.engine.seen = <seen_t *> reserve(TARGETS * sizeof(seen_t))
        self.engine.marks = <uint64_t *> reserve(TARGETS // 8)
        self.wanted = <uint64_t *> reserve(TARGETS * 8)
        if (
            self.engine.flights == NULL or self.engine.buffer == NULL or self.engine.targets == NULL
            or self.engine.seen == NULL or self.engine.marks == NULL or self.wanted == NULL
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
        free(self.engine.flights)
        free(self.engine.buffer)
        queue_close(&self.engine.queue)
        release(self.engine.targets, TARGETS * sizeof(target_t))
        release(self.engine.seen, TARGETS * sizeof(seen_t))
        release(self.engine.marks, TARGETS // 8)
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
        self.put(&command)
        if self.tls is not None:
            self.retired.append((self.given, self.tls))
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
            ("ready", self.engine.ready.count), ("targets", self.engine.known), ("sockets", self.engine.opened),
            ("cap", self.engine.most), ("recycling", self.engine.recycling),
            ("slot_ns", slot_ticks(&self.engine) * TICK),
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
        cdef _CompiledRegex regex = None
        cdef bytes statuses = None
        if recipe.kind not in _TRANSPORTS:
            raise ValueError(f"the engine runs no {recipe.kind.name} probes")
        if recipe.kind == Kind.SSL and self.tls is None:
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
        if recipe.regex is not None:
            regex = self.regexes.get(recipe.regex)
            if regex is None:
                regex = self.regexes[recipe.regex] = _CompiledRegex(recipe.regex)
        return _CompiledRecipe(recipe, pool, statuses, regex)

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
        held = self.recipes.pop(target, None)
        if held is not None:
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
            digest,
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


def judge_http(pieces, recipe):
    cdef reply_t reply
    cdef _CompiledRecipe compiled
    cdef expectation_t *expected
    cdef bytes octets
    cdef reply_end end
    if recipe.kind != Kind.HTTP and recipe.kind != Kind.SSL:
        raise ValueError(f"a reply to a {recipe.kind.name} probe is not judged")
    compiled = _CompiledRecipe(
        recipe, None, status_bitmap(recipe.status_codes) if recipe.status_codes else None,
        None if recipe.regex is None else _CompiledRegex(recipe.regex),
    )
    expected = &compiled.compiled.expected
    memset(&reply, 0, sizeof(reply))
    try:
        if reply_begin(&reply, expected) < 0:
            raise MemoryError
        for piece in pieces:
            octets = bytes(piece)
            reply_feed(&reply, PyBytes_AS_STRING(octets), <size_t> PyBytes_GET_SIZE(octets), expected)
        end = reply_judge(&reply, expected)
        verdict = {
            REPLY_GOOD: Verdict.SUCCESS, REPLY_NO_DATA: Verdict.NO_DATA, REPLY_STATUS: Verdict.STATUS,
            REPLY_DIGEST: Verdict.DIGEST, REPLY_REGEX: Verdict.REGEX,
        }[end]
        reached = expected.digest != NULL and end in (REPLY_GOOD, REPLY_DIGEST, REPLY_REGEX)
        return verdict, reply.status, (<char *> reply.digest)[:DIGEST_SIZE] if reached else b""
    finally:
        reply_free(&reply)


def smtp_codes(pieces):
    cdef smtp_t smtp
    cdef bytes octets
    cdef size_t at
    cdef bint line = False
    cdef list codes = []
    smtp_begin(&smtp)
    for piece in pieces:
        octets = bytes(piece)
        at = 0
        while at < <size_t> PyBytes_GET_SIZE(octets):
            at += smtp_feed(&smtp, PyBytes_AS_STRING(octets) + at, <size_t> PyBytes_GET_SIZE(octets) - at, &line)
            if line:
                codes.append(smtp.code)
    return codes


def judge_answer(bytes data, recipe, uint16_t token=0):
    cdef _CompiledRecipe compiled = _CompiledRecipe(recipe, None, None, None)
    cdef const uint8_t *octets = <const uint8_t *> PyBytes_AS_STRING(data)
    cdef size_t size = <size_t> PyBytes_GET_SIZE(data)
    cdef uint16_t status = 0
    if recipe.kind == Kind.UDP:
        heard = judge_udp(&compiled.compiled, octets, size)
    elif recipe.kind == Kind.DNS:
        heard = judge_dns(token, octets, size, &status)
    elif recipe.kind == Kind.PING:
        heard = judge_echo(token, ECHO_REPLY, octets, size)
    else:
        raise ValueError(f"a {recipe.kind.name} probe has no datagrams")
    if heard == HEARD_NOTHING:
        return None, 0
    if heard == HEARD_GOOD:
        return Verdict.SUCCESS, status
    return Verdict.STATUS if recipe.kind == Kind.DNS else Verdict.REPLY, status
