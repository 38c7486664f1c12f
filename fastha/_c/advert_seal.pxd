# Sealed adverts: the authentication header of AH and the trailer of auth_hmac, made when an advert leaves. `wire/ah.py`
# and `wire/trailer.py` say what they are; tests hold this against them.

from advert cimport AH_SIZE, IP_SIZE, TRAILER_SIZE, binding_t, engine_t, instance_t, packet_t
from inet cimport put16, put32, put64
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from linux_net cimport CLOCK_REALTIME, nanoseconds


cdef extern from "openssl/evp.h" nogil:
    ctypedef struct EVP_MD:
        pass
    const EVP_MD *EVP_md5()
    const EVP_MD *EVP_sha256()


cdef extern from "openssl/hmac.h" nogil:
    unsigned char *HMAC(
        const EVP_MD *kind, const void *key, int key_length, const unsigned char *data, size_t length,
        unsigned char *digest, unsigned int *digest_length
    )


cdef enum:
    VRRP_PROTOCOL = 112
    AH_PROTOCOL = 51
    AH_LENGTH = 4  # words, less 2
    ICV_SIZE = 12
    PREFIX_SIZE = 20  # of what a trailer's signature covers
    SIGNED = 12  # octets of a trailer that its signature covers
    SIGNATURE = 16
    HMAC_SHA256 = 1
    DIGEST_MOST = 64
    TICK = 65536  # fractions of a second


cdef inline int64_t wall_of(engine_t *e) noexcept nogil:
    """Nanoseconds since the epoch."""
    return e.wall if e.virtual else nanoseconds(CLOCK_REALTIME)


cdef inline uint64_t following(uint64_t last, int64_t wall, uint32_t window) noexcept nogil:
    """The sequence of the next trailer (`wire.trailer.following`)."""
    cdef uint64_t seconds = <uint64_t> (wall // 1_000_000_000)
    cdef uint64_t fraction = <uint64_t> (wall % 1_000_000_000) * TICK // 1_000_000_000
    cdef uint64_t clock = seconds << 32 | fraction << 16
    if last == 0 or <int64_t> (clock - last) > 0:
        return clock
    if window and <int64_t> (last + 1 - clock) > <int64_t> window << 32:
        return clock
    return last + 1


cdef inline bint make_trailer(engine_t *e, instance_t *one, packet_t *packet, uint8_t *trailer) noexcept nogil:
    """The trailer of an advert; False when the library refuses."""
    cdef binding_t *binding = one.binding
    cdef uint8_t *at = e.scratch
    cdef const uint8_t *message = <const uint8_t *> (packet + 1)
    cdef uint8_t[DIGEST_MOST] digest
    memset(trailer, 0, TRAILER_SIZE)
    trailer[0] = HMAC_SHA256
    trailer[1] = binding.key_id
    put64(trailer + 4, one.sequence)
    memset(at, 0, PREFIX_SIZE)
    at[0] = binding.family
    at[1] = message[0] >> 4
    at[2] = message[1]
    memcpy(at + 4, binding.source, 16)
    at += PREFIX_SIZE
    memcpy(at, message, packet.length)
    put16(at + 6, 0)
    at += packet.length
    memcpy(at, trailer, TRAILER_SIZE)
    at += TRAILER_SIZE
    if HMAC(
        EVP_sha256(), binding.key, <int> binding.key_length, e.scratch, <size_t> (at - e.scratch), digest, NULL
    ) == NULL:
        return False
    memcpy(trailer + SIGNED, digest, SIGNATURE)
    return True


cdef inline bint make_authentication(
    engine_t *e, instance_t *one, packet_t *packet, uint8_t *header
) noexcept nogil:
    """The authentication header behind the IPv4 header at `header`; False when the library refuses."""
    cdef binding_t *binding = one.binding
    cdef uint8_t *ah = header + IP_SIZE
    cdef uint8_t[DIGEST_MOST] digest
    memset(ah, 0, AH_SIZE)
    ah[0] = VRRP_PROTOCOL
    ah[1] = AH_LENGTH
    memcpy(ah + 4, binding.source, 4)
    put32(ah + 8, <uint32_t> one.sequence)
    memcpy(e.scratch, header, IP_SIZE + AH_SIZE)
    memcpy(e.scratch + IP_SIZE + AH_SIZE, packet + 1, packet.length)
    e.scratch[1] = 0
    put16(e.scratch + 6, 0)
    put16(e.scratch + 10, 0)
    if not packet.multicast:
        e.scratch[8] = 0
    if HMAC(
        EVP_md5(), binding.key, <int> binding.key_length, e.scratch,
        <size_t> IP_SIZE + AH_SIZE + packet.length, digest, NULL
    ) == NULL:
        return False
    memcpy(ah + AH_SIZE - ICV_SIZE, digest, ICV_SIZE)
    return True
