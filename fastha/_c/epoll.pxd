# What the probe engine needs of Linux beyond linux_net.pxd: epoll with nanoseconds, sockets and their options.

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from linux_net cimport timespec


cdef extern from * nogil:
    """
    #include <errno.h>
    #include <arpa/inet.h>
    #include <netinet/in.h>
    #include <sys/random.h>
    #include <netinet/tcp.h>
    #include <sys/epoll.h>
    #include <sys/eventfd.h>
    #include <sys/socket.h>
    #include <sys/syscall.h>
    #include <time.h>
    #include <unistd.h>
    #ifndef SYS_epoll_pwait2
    #define SYS_epoll_pwait2 441
    #endif
    #ifndef IP_BIND_ADDRESS_NO_PORT
    #define IP_BIND_ADDRESS_NO_PORT 24
    #endif

    /* epoll_wait with nanoseconds (Linux 5.11); before that, and in old sandboxes, milliseconds, rounded up. */
    static int epoll_wait_ns(int epfd, struct epoll_event *events, int max, int64_t timeout) {
        static int coarse;
        if (!coarse) {
            struct timespec limit = { .tv_sec = timeout / 1000000000, .tv_nsec = timeout % 1000000000 };
            long count = syscall(SYS_epoll_pwait2, epfd, events, max, &limit, NULL, (size_t) 0);
            if (count >= 0 || (errno != ENOSYS && errno != EPERM))
                return (int) count;
            coarse = 1;
        }
        return epoll_wait(epfd, events, max, (int) ((timeout + 999999) / 1000000));
    }

    static int socket_error(int fd) {
        int error = 0;
        socklen_t size = sizeof error;
        return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
    }

    /* Back to a socket that was never connected: RST on the wire if it was, nothing otherwise. */
    static int socket_disconnect(int fd) {
        struct sockaddr none = { .sa_family = AF_UNSPEC };
        return connect(fd, &none, sizeof none);
    }

    static int socket_reset_on_close(int fd) {
        struct linger linger = { .l_onoff = 1, .l_linger = 0 };
        return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }

    /* Before connect(): the last ACK of the handshake waits for something to go with it, 40 ms at least. */
    static int socket_defer_ack(int fd) {
        int off = 0;
        return setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off);
    }
    """
    ctypedef union epoll_data_t:
        uint32_t u32
        uint64_t u64
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epfd, int op, int fd, epoll_event *event)
    int epoll_wait_ns(int epfd, epoll_event *events, int maximum, int64_t timeout)
    int EPOLL_CLOEXEC
    int EPOLL_CTL_ADD
    enum:
        EPOLLIN
        EPOLLOUT
        EPOLLERR
        EPOLLHUP
        EPOLLRDHUP
        EPOLLET

    int eventfd_read(int fd, uint64_t *value)
    int eventfd_write(int fd, uint64_t value)
    int clock_nanosleep(int clock, int flags, const timespec *request, timespec *remain)

    struct sockaddr:
        pass
    struct in_addr:
        uint32_t s_addr
    struct in6_addr:
        pass
    struct sockaddr_in:
        unsigned short sin_family
        uint16_t sin_port
        in_addr sin_addr
    struct sockaddr_in6:
        unsigned short sin6_family
        uint16_t sin6_port
        in6_addr sin6_addr
    uint16_t htons(uint16_t value)
    int inet_pton(int family, const char *text, void *address)
    ssize_t getrandom(void *data, size_t size, unsigned int flags)
    int socket(int family, int kind, int protocol)
    int connect(int fd, const sockaddr *address, uint32_t size)
    int shutdown(int fd, int how)
    int bind(int fd, const sockaddr *address, uint32_t size)
    int setsockopt(int fd, int level, int option, const void *value, uint32_t size)
    ssize_t send(int fd, const void *data, size_t size, int flags)
    ssize_t recv(int fd, void *data, size_t size, int flags)
    ssize_t recvfrom(int fd, void *data, size_t size, int flags, sockaddr *source, uint32_t *source_size)
    int socket_error(int fd)
    int socket_disconnect(int fd)
    int socket_reset_on_close(int fd)
    int socket_defer_ack(int fd)
    int getsockname(int fd, sockaddr *address, uint32_t *size)
    int AF_INET
    int AF_INET6
    int SHUT_WR
    int SOCK_STREAM
    int SOCK_DGRAM
    int SOCK_NONBLOCK
    int SOCK_CLOEXEC
    int SOL_SOCKET
    int SO_MARK
    int SO_BINDTODEVICE
    int SO_REUSEADDR
    int IPPROTO_IP
    int IPPROTO_ICMP
    int IPPROTO_ICMPV6
    int IP_BIND_ADDRESS_NO_PORT
    int MSG_MORE
    int MSG_NOSIGNAL
    int MSG_TRUNC
