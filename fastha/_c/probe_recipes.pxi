# Recipes as the thread of the probe engine reads them, compiled from those of `fastha.checks.recipes` by classes that
# own the memory. Included by `_checks.pyx`.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8
from cython cimport final
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from body_regex cimport (
    PCRE2_MATCH_INVALID_UTF, PCRE2_UTF, pcre2_compile, pcre2_get_error_message, regex_free, regex_prepare, regex_t,
)
from epoll cimport AF_INET, AF_INET6, htons, inet_pton, sockaddr_in, sockaddr_in6
from http_reply cimport DIGEST_SIZE, STATUS_OCTETS, expectation_t, reply_begin, reply_free, reply_t
from probe cimport DATAGRAM, DEVICE, ECHO, FOREVER, NO_TLS, STREAM, pool_t, recipe_t
from talk cimport step_t

from fastha.checks.recipes import Kind
from fastha.model.net import family_of


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


cdef object address_octets(str address, int port, sockaddr_in6 *where, uint32_t *size):
    """Fill a socket address of either family; ValueError, naming what is wrong."""
    cdef sockaddr_in *where4 = <sockaddr_in *> where
    cdef const char *text = PyUnicode_AsUTF8(address)
    if not 0 <= port <= 65535:
        raise ValueError(f"port {port} is not within 0..65535")
    memset(where, 0, sizeof(sockaddr_in6))
    if inet_pton(AF_INET, text, &where4.sin_addr) == 1:
        where4.sin_family = <unsigned short> AF_INET
        where4.sin_port = htons(<uint16_t> port)
        size[0] = sizeof(sockaddr_in)
    elif inet_pton(AF_INET6, text, &where.sin6_addr) == 1:
        where.sin6_family = <unsigned short> AF_INET6
        where.sin6_port = htons(<uint16_t> port)
        size[0] = sizeof(sockaddr_in6)
    else:
        raise ValueError(f"'{address}' is not an IP address")


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


@final
cdef class _Talk:
    """Owner of the steps of a dialogue, shared by all recipes that have the same."""

    cdef step_t *steps
    cdef size_t count
    cdef object words, __weakref__
    cdef list patterns

    def __cinit__(self, tuple steps, list patterns):
        """`patterns`: a _CompiledRegex for each step, None where there is something to send."""
        cdef size_t i
        cdef bytes words
        if len(steps) >= NO_TLS:
            raise ValueError(f"a dialogue of {len(steps)} steps")
        self.words, self.patterns = steps, patterns
        self.count = <size_t> len(steps)
        self.steps = <step_t *> calloc(self.count, sizeof(step_t))
        if self.steps == NULL:
            raise MemoryError
        for i in range(self.count):
            if patterns[i] is None:
                words = steps[i].send
                self.steps[i].words = PyBytes_AS_STRING(words)
                self.steps[i].size = <uint32_t> PyBytes_GET_SIZE(words)
            else:
                self.steps[i].expect = &(<_CompiledRegex> patterns[i]).regex

    def __dealloc__(self):
        free(self.steps)


@final
cdef class _CompiledRecipe:
    """Owner of one recipe_t, and of what that points to. The Recipe itself is let go: it is larger than this."""

    cdef recipe_t compiled
    cdef bytes request, digest, reply, reply_mask, statuses, sni
    cdef _CompiledRegex regex
    cdef _Talk talk
    cdef _Trust trust
    cdef list rest  # of the ring that it is the first one of

    def __init__(
        self, recipe, _SocketPool pool=None, bytes statuses=None, _CompiledRegex regex=None, _Talk talk=None,
        _Trust trust=None
    ):
        cdef bytes request = recipe.request
        if not 0 < recipe.timeout < FOREVER or not 0 <= recipe.deadline < FOREVER:
            raise ValueError(f"timeout {recipe.timeout} or deadline {recipe.deadline} is out of range")
        if not 0 <= recipe.jitter < FOREVER // 4:
            raise ValueError(f"jitter {recipe.jitter} is out of range")
        if recipe.digest is not None and len(recipe.digest) != DIGEST_SIZE:
            raise ValueError(f"a digest has {DIGEST_SIZE} octets, not {len(recipe.digest)}")
        if recipe.digest is not None and not md5_works():
            raise ValueError("this OpenSSL refuses MD5 (FIPS mode?): a digest cannot be compared")
        self.request, self.digest = request, recipe.digest
        self.statuses = statuses
        self.regex = regex
        self.talk = talk
        self.trust = trust
        address_octets(recipe.address, recipe.port, &self.compiled.address, &self.compiled.address_size)
        self.compiled.timeout = recipe.timeout
        self.compiled.deadline = recipe.deadline
        self.compiled.jitter = recipe.jitter
        self.compiled.close_rst = recipe.close_rst
        if pool is not None:
            self.compiled.pool = &pool.pool
        self.compiled.kind = <uint8_t> recipe.kind
        self.compiled.proxy = <uint8_t> recipe.proxy
        if recipe.kind == Kind.TCP:
            self.compile_talk(recipe)
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

    cdef int compile_talk(self, recipe) except -1:
        self.compiled.half_open = recipe.half_open
        self.compiled.close_rst = recipe.close_rst or recipe.half_open
        self.compiled.tls_after = NO_TLS
        if self.talk is not None:
            self.compiled.steps = self.talk.steps
            self.compiled.step_count = <uint16_t> self.talk.count
        if recipe.tls_after is not None:
            if not 0 <= recipe.tls_after <= self.compiled.step_count:
                raise ValueError(f"TLS before step {recipe.tls_after} of {self.compiled.step_count}")
            self.compiled.tls_after = <uint16_t> recipe.tls_after
            self.compile_tls(recipe)
        return 0

    cdef int compile_tls(self, recipe) except -1:
        self.compiled.tls_compliant = recipe.tls_compliant
        if self.trust is not None:
            self.compiled.trust = &self.trust.trust
        if recipe.sni is not None:
            self.sni = recipe.sni.encode("utf-8", "surrogateescape")
            if not 0 < len(self.sni) < 256:
                raise ValueError(f"a server name has 1 to 255 octets, not {len(self.sni)}")
            self.compiled.sni = PyBytes_AS_STRING(self.sni)
        return 0

    cdef int compile_reply(self, recipe) except -1:
        cdef bytes reply = recipe.reply, mask = recipe.reply_mask
        if len(reply) != len(mask):
            raise ValueError(f"a pattern of {len(reply)} octets and a mask of {len(mask)}")
        if not 0 <= recipe.min_reply_length <= 65535 or not 0 <= recipe.max_reply_length <= 65535:
            raise ValueError(f"reply length {recipe.min_reply_length}..{recipe.max_reply_length} is not in 0..65535")
        self.reply, self.reply_mask = reply, mask
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
        if self.digest is not None:
            self.compiled.expected.digest = <const uint8_t *> PyBytes_AS_STRING(self.digest)
        if self.regex is not None:
            self.compiled.expected.regex = &self.regex.regex
        self.compiled.keepalive = recipe.keepalive
        self.compiled.expected.framed = recipe.keepalive
        self.compiled.expected.bodiless = recipe.bodiless
        if recipe.kind == Kind.SSL:
            self.compile_tls(recipe)
        return 0
