/*
 * The yardstick: the least that probing in slots can cost, without targets, deadlines, orders or reports.
 *
 *   slotted tcp|http fin|rst SERVERS INTERVAL PORT [SLOT_MS]
 *
 * SERVERS addresses from 10.0.1.0 on are probed every INTERVAL seconds; what is due starts together, every SLOT_MS (as
 * fastha by default: 20 ms below 1,000 a second, 5 ms up to 5,000, else 2 ms). No server is probed twice at a time.
 * fin: a socket for each probe, ended by close(). rst: sockets are used again by connect(AF_UNSPEC), which resets.
 * http reads the reply whole. Says "ready", and at SIGTERM how many probes succeeded and failed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FILES 65536
#define AT_ONCE 256 /* starts before answers are looked at again */

static const char request[] =
    "GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 10.0.100.100:8000\r\n\r\n";

static int http, reset, port, epoll;
static uint32_t servers, next;
static uint64_t started, good, bad; /* probes */
static int idle[FILES], idle_count;
enum phase { IDLE, CONNECTING, ASKED };
static char phase[FILES];
static volatile sig_atomic_t ended;

static void end(int number)
{
    (void) number;
    ended = 1;
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t) time.tv_sec * 1000000000 + time.tv_nsec;
}

static void finish(int fd, int ok)
{
    struct sockaddr none = { .sa_family = AF_UNSPEC };
    if (ok)
        good++;
    else
        bad++;
    phase[fd] = IDLE;
    if (reset && connect(fd, &none, sizeof none) == 0)
        idle[idle_count++] = fd;
    else
        close(fd);
}

static void start(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port) };
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
    int fd, used = idle_count > 0;
    to.sin_addr.s_addr = htonl(0x0a000100 + next);
    next = (next + 1) % servers;
    started++;
    fd = used ? idle[--idle_count] : socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || fd >= FILES) {
        perror("socket");
        exit(1);
    }
    phase[fd] = CONNECTING;
    if (connect(fd, (struct sockaddr *) &to, sizeof to) < 0 && errno != EINPROGRESS) {
        close(fd);
        bad++;
        return;
    }
    event.data.fd = fd;
    if (!used)
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void on_event(int fd, uint32_t events)
{
    char reply[4096];
    ssize_t count;
    if (phase[fd] == IDLE) /* of a connection that was reset */
        return;
    if (phase[fd] == CONNECTING) {
        if (events & (EPOLLERR | EPOLLHUP)) {
            finish(fd, 0);
            return;
        }
        if (!(events & EPOLLOUT))
            return;
        if (!http) {
            finish(fd, 1);
            return;
        }
        phase[fd] = ASKED;
        if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0)
            finish(fd, 0);
        return;
    }
    do
        count = recv(fd, reply, sizeof reply, 0);
    while (count == sizeof reply);
    /* a reply that came together with its end needs no other look */
    if (count == 0 || (count > 0 && events & EPOLLRDHUP))
        finish(fd, 1);
    else if (count < 0 && errno != EAGAIN)
        finish(fd, 0);
}

int main(int argc, char **argv)
{
    static struct epoll_event events[512];
    struct rlimit files;
    int64_t origin, time, interval, slot, wait;
    uint64_t wanted, limit;
    double rate;
    if (argc < 6)
        return fprintf(stderr, "usage: slotted tcp|http fin|rst SERVERS INTERVAL PORT [SLOT_MS]\n"), 2;
    http = !strcmp(argv[1], "http");
    reset = !strcmp(argv[2], "rst");
    servers = (uint32_t) atoi(argv[3]);
    interval = (int64_t) (atof(argv[4]) * 1e9);
    port = atoi(argv[5]);
    rate = servers * 1e9 / (double) interval;
    slot = (argc > 6 ? atoi(argv[6]) : rate < 1000 ? 20 : rate < 5000 ? 5 : 2) * 1000000LL;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < FILES ? files.rlim_max : FILES;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGTERM, end);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    puts("ready");
    fflush(stdout);
    origin = now();
    while (!ended) {
        struct timespec left;
        time = now();
        wanted = (uint64_t) ((double) ((time - origin) / slot * slot) * rate / 1e9);
        if (wanted > good + bad + servers)
            wanted = good + bad + servers;
        limit = started + AT_ONCE;
        while (started < wanted && started < limit)
            start();
        wait = started < wanted ? 0 : slot - (time - origin) % slot;
        left = (struct timespec) { .tv_nsec = wait };
        int count = (int) syscall(SYS_epoll_pwait2, epoll, events, 512, &left, NULL, 0);
        for (int i = 0; i < count; i++)
            on_event(events[i].data.fd, events[i].events);
    }
    printf("%llu good, %llu bad\n", (unsigned long long) good, (unsigned long long) bad);
    return 0;
}
