# Octets in network order.

from libc.stdint cimport uint8_t, uint16_t, uint32_t


cdef inline uint16_t get16(const uint8_t *at) noexcept nogil:
    """Two octets in network order."""
    return <uint16_t> (<uint32_t> at[0] << 8 | at[1])


cdef inline void put16(uint8_t *at, uint32_t value) noexcept nogil:
    """The low 16 bits of `value` in network order."""
    at[0] = <uint8_t> (value >> 8 & 0xff)
    at[1] = <uint8_t> (value & 0xff)
