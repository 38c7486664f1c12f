# Words shared between the thread of an engine and Python's: one writer each, acquire and release.

from libc.stdint cimport int64_t, uint64_t


cdef extern from * nogil:
    """
    #include <stdint.h>
    static inline int64_t fh_load(const int64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void fh_store(int64_t *p, int64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline uint64_t fh_load_u(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void fh_store_u(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline void fh_count(uint64_t *p, uint64_t n) { __atomic_store_n(p, *p + n, __ATOMIC_RELAXED); }
    """
    int64_t fh_load(const int64_t *p)
    void fh_store(int64_t *p, int64_t v)
    uint64_t fh_load_u(const uint64_t *p)
    void fh_store_u(uint64_t *p, uint64_t v)
    void fh_count(uint64_t *p, uint64_t n)  # add, by the only writer
