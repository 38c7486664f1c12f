# Linux sockets, event descriptors and clocks, as the C headers declare them (never redeclared here: layouts and
# constants are the compiler's business).

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "sys/types.h" nogil:
    ctypedef unsigned int socklen_t


cdef extern from "sys/uio.h" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len


cdef extern from "sys/socket.h" nogil:
    struct sockaddr:
        pass
    struct msghdr:
        void *msg_name
        socklen_t msg_namelen
        iovec *msg_iov
        size_t msg_iovlen
        void *msg_control
        size_t msg_controllen
        int msg_flags
    struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    struct cmsghdr:
        size_t cmsg_len
        int cmsg_level
        int cmsg_type
    cmsghdr *CMSG_FIRSTHDR(msghdr *)
    cmsghdr *CMSG_NXTHDR(msghdr *, cmsghdr *)
    unsigned char *CMSG_DATA(cmsghdr *)
    size_t CMSG_LEN(size_t)
    size_t CMSG_SPACE(size_t)
    int recvmmsg(int fd, mmsghdr *messages, unsigned int count, int flags, void *timeout)
    int sendmmsg(int fd, mmsghdr *messages, unsigned int count, int flags)
    int AF_INET
    int AF_INET6
    int AF_PACKET
    int SOL_SOCKET
    int SO_TIMESTAMPNS
    int SO_RXQ_OVFL
    int MSG_DONTWAIT
    int MSG_DONTROUTE
    int MSG_TRUNC


cdef extern from "netinet/in.h" nogil:
    struct in_addr:
        uint32_t s_addr
    struct in6_addr:
        uint8_t s6_addr[16]
    struct sockaddr_in:
        unsigned short sin_family
        uint16_t sin_port
        in_addr sin_addr
    struct sockaddr_in6:
        unsigned short sin6_family
        uint16_t sin6_port
        uint32_t sin6_flowinfo
        in6_addr sin6_addr
        uint32_t sin6_scope_id
    struct in6_pktinfo:
        in6_addr ipi6_addr
        unsigned int ipi6_ifindex
    int IPPROTO_IPV6
    int IPV6_PKTINFO
    int IPV6_HOPLIMIT


cdef extern from "linux/if_packet.h" nogil:
    struct sockaddr_ll:
        unsigned short sll_family
        uint16_t sll_protocol
        int sll_ifindex
        unsigned char sll_halen
        unsigned char sll_addr[8]


cdef extern from "time.h" nogil:
    struct timespec:
        int64_t tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec *now)
    int CLOCK_MONOTONIC
    int CLOCK_REALTIME


cdef extern from "sys/eventfd.h" nogil:
    int eventfd(unsigned int initval, int flags)
    int eventfd_read(int fd, uint64_t *value)
    int eventfd_write(int fd, uint64_t value)
    int EFD_NONBLOCK
    int EFD_CLOEXEC


cdef extern from "sys/epoll.h" nogil:
    ctypedef union epoll_data_t:
        uint32_t u32
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int fd, int op, int target, epoll_event *event)
    int epoll_wait(int fd, epoll_event *events, int most, int milliseconds)
    int EPOLL_CLOEXEC
    int EPOLL_CTL_ADD
    int EPOLL_CTL_DEL
    int EPOLLIN


cdef extern from "poll.h" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int ppoll(pollfd *fds, unsigned long count, const timespec *limit, void *signals)
    short POLLIN


cdef extern from "sys/prctl.h" nogil:
    int prctl(int option, unsigned long value)
    int PR_SET_TIMERSLACK


cdef extern from "signal.h" nogil:
    ctypedef struct sigset_t:
        pass
    int sigfillset(sigset_t *signals)
    int pthread_sigmask(int how, const sigset_t *signals, sigset_t *old)
    int SIG_SETMASK


cdef inline int64_t nanoseconds(int clock) noexcept nogil:
    """The time of `clock` in nanoseconds."""
    cdef timespec now
    clock_gettime(clock, &now)
    return now.tv_sec * 1_000_000_000 + now.tv_nsec
