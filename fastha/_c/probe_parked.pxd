# Connections that wait for their target's next probe (HTTP kept alive).
#
# The server may close one at any time, so what it says while we wait is listened to; and a request on a connection that
# was closed just then is sent again on a new one (`redial` in probe_flight.pxd).

from libc.stdint cimport int32_t, uint32_t
from libc.string cimport memcmp, strcmp

from epoll cimport EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLRDHUP
from probe cimport RECEIVE, engine_t, flight_t, recipe_t, target_t
from probe_sockets cimport hang_up, unpark
from tls cimport TLS_WAIT, tls_read


cdef inline bint same_name(const char *one, const char *other) noexcept nogil:
    if one == NULL or other == NULL:
        return one == other
    return strcmp(one, other) == 0


cdef inline bint same_way(const recipe_t *one, const recipe_t *other) noexcept nogil:
    """Would both recipes make the same connection? (Pools and trusts are shared by value.)"""
    return (
        one.pool == other.pool and one.kind == other.kind and one.address_size == other.address_size
        and memcmp(&one.address, &other.address, one.address_size) == 0 and one.trust == other.trust
        and one.proxy == other.proxy and one.keepalive == other.keepalive and same_name(one.sni, other.sni)
        and one.tls_after == other.tls_after and one.tls_compliant == other.tls_compliant
    )


cdef inline void drop_parked(engine_t *engine, target_t *target) noexcept nogil:
    cdef int32_t which = target.flight
    unpark(engine, which)
    hang_up(engine, which, target.recipe.close_rst)


cdef inline void on_parked_event(engine_t *engine, int32_t which, uint32_t events) noexcept nogil:
    """What is said between probes is the end of the connection; under TLS it may be a ticket."""
    cdef flight_t *flight = &engine.flights[which]
    cdef int error = 0
    if not events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP):
        return
    if (
        flight.tls != NULL and not events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)
        and tls_read(flight.tls, engine.buffer, RECEIVE, &error) == TLS_WAIT
    ):
        return
    flight.reset_unseen = 1
    drop_parked(engine, &engine.targets[flight.owner])
