# Octets in network order.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef inline uint16_t get16(const uint8_t *at) noexcept nogil:
    """Two octets in network order."""
    return <uint16_t> (<uint32_t> at[0] << 8 | at[1])


cdef inline void put16(uint8_t *at, uint32_t value) noexcept nogil:
    """The low 16 bits of `value` in network order."""
    at[0] = <uint8_t> (value >> 8 & 0xff)
    at[1] = <uint8_t> (value & 0xff)


cdef inline void put32(uint8_t *at, uint32_t value) noexcept nogil:
    """`value` in network order."""
    put16(at, value >> 16)
    put16(at + 2, value)


cdef inline void put64(uint8_t *at, uint64_t value) noexcept nogil:
    """`value` in network order."""
    put32(at, <uint32_t> (value >> 32))
    put32(at + 4, <uint32_t> value)
