/*
 * The servers behind the benchmark: one process that answers for a whole network of addresses, so that every real
 * server can have its own.
 *
 *   backend tcp|http PORT COUNTERS [LOG]
 *
 * tcp: accept and wait for the peer to close. http: answer 200 and close. COUNTERS is a file, mapped: connections
 * accepted and requests answered, 64 bits each. LOG, another one: how many entries, then for each connection when it was
 * accepted (ns of CLOCK_MONOTONIC) and by which address, 64 bits each. Says "ready" once it listens.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ENTRIES 4000000

static const char reply[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

static int http, epoll;
static volatile uint64_t *counters;
static uint64_t *seen; /* LOG */

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void *mapped(const char *path, size_t size)
{
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *where;
    if (file < 0 || ftruncate(file, (off_t) size) < 0)
        die(path);
    where = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (where == MAP_FAILED)
        die("mmap");
    return where;
}

static void note(int fd)
{
    struct sockaddr_in local;
    socklen_t size = sizeof local;
    struct timespec now;
    if (seen[0] == ENTRIES || getsockname(fd, (struct sockaddr *) &local, &size) < 0)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    seen[2 + 2 * seen[0]] = (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
    seen[3 + 2 * seen[0]] = ntohl(local.sin_addr.s_addr);
    seen[0]++;
}

static int listen_on(int port)
{
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port) };
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0)
        die("socket");
    if (bind(fd, (struct sockaddr *) &any, sizeof any) < 0 || listen(fd, 65535) < 0)
        die("listen");
    return fd;
}

static void watch(int fd, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.fd = fd };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
}

/* 1: the connection is done with. */
static int serve(int fd)
{
    char request[4096];
    ssize_t count = read(fd, request, sizeof request);
    if (count < 0 && errno == EAGAIN)
        return 0;
    if (count > 0 && http) {
        counters[1]++;
        if (write(fd, reply, sizeof reply - 1) < 0 && errno == EAGAIN)
            return 0;
    }
    return count <= 0 || http;
}

static void accept_all(int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        counters[0]++;
        if (seen)
            note(fd);
        if (http && serve(fd)) /* the request is often here already */
            close(fd);
        else
            watch(fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
    }
}

int main(int argc, char **argv)
{
    static struct epoll_event events[512];
    struct rlimit files = { 1000000, 1000000 };
    int listener;
    if (argc < 4)
        return fprintf(stderr, "usage: backend tcp|http PORT COUNTERS [LOG]\n"), 2;
    http = !strcmp(argv[1], "http");
    signal(SIGPIPE, SIG_IGN);
    setrlimit(RLIMIT_NOFILE, &files);
    counters = mapped(argv[3], 4096);
    if (argc > 4)
        seen = mapped(argv[4], 16 * (ENTRIES + 1));
    epoll = epoll_create1(EPOLL_CLOEXEC);
    listener = listen_on(atoi(argv[2]));
    watch(listener, EPOLLIN);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll, events, 512, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_all(listener);
            else if (serve(fd))
                close(fd);
        }
    }
}
