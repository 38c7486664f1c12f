/* What adverts cost and when they leave, without any daemon.
 *
 *   adverts speak PRIORITY INTERVAL_US SOURCE COUNT IFACE...   a bare sendmmsg loop: COUNT adverts (VRID 1..COUNT) from each
 *                                             interface each INTERVAL, in ticks of 1 ms; PRIORITY: of SCHED_FIFO, 0: none
 *   adverts hear PRIORITY IFACE...            a bare epoll and recvmmsg loop that reads what the other one sends
 *   adverts record FILE IFACE...              writes a record of every advert and gratuitous ARP, in and out
 *
 * Each says "ready" and goes on until SIGTERM.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TICK = 1000000, BATCH = 256, SIZE = 512, PROTOCOL = 112, INTERFACES = 16, ADVERT = 1, ARP = 2 };

/* benchmarks/recording.py reads these */
struct record {
    int64_t at; /* CLOCK_REALTIME, ns */
    uint32_t address; /* of the advert's first virtual router, or the ARP's sender; network order */
    uint8_t kind;
    uint8_t interface; /* place among the arguments */
    uint8_t outgoing;
    uint8_t vrid;
    uint8_t priority;
    uint8_t unused[7];
};

static volatile sig_atomic_t stopping;

static void stop(int number)
{
    (void)number;
    stopping = 1;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void begin(int priority)
{
    struct sigaction action = {.sa_handler = stop};
    struct sched_param param = {.sched_priority = priority};

    sigaction(SIGTERM, &action, NULL);
    if (priority && sched_setscheduler(0, SCHED_FIFO, &param))
        fail("SCHED_FIFO");
    if (priority)
        mlockall(MCL_CURRENT | MCL_FUTURE);
}

static void ready(void)
{
    puts("ready");
    fflush(stdout);
}

static int raw_socket(int protocol, const char *interface)
{
    int fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, protocol);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface) + 1))
        fail(interface);
    return fd;
}

/* ------------------------------------------------------------------------------------------------------------- speak */

static unsigned sum16(const uint8_t *data, unsigned length)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < length; i += 2)
        sum += (unsigned)data[i] << 8 | data[i + 1];
    return sum;
}

/* An IPv4 packet with a version 3 advert of one address; the kernel sets the header's checksum. */
static void advert(uint8_t *packet, const char *source, int vrid, int interval_us)
{
    uint8_t pseudo[12];
    unsigned sum;

    memset(packet, 0, 32);
    packet[0] = 0x45;
    packet[1] = 0xc0;
    packet[3] = 32;
    packet[8] = 255;
    packet[9] = PROTOCOL;
    inet_pton(AF_INET, source, packet + 12);
    inet_pton(AF_INET, "224.0.0.18", packet + 16);
    packet[20] = 0x31;
    packet[21] = (uint8_t)vrid;
    packet[22] = 200;
    packet[23] = 1;
    packet[24] = (uint8_t)(interval_us / 10000 >> 8);
    packet[25] = (uint8_t)(interval_us / 10000);
    packet[28] = 172;
    packet[29] = 20;
    packet[31] = (uint8_t)vrid;
    memcpy(pseudo, packet + 12, 8);
    memcpy(pseudo + 8, (uint8_t[]){0, PROTOCOL, 0, 12}, 4);
    sum = sum16(packet + 20, 12) + sum16(pseudo, 12);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
    packet[26] = (uint8_t)(sum >> 8);
    packet[27] = (uint8_t)sum;
}

static void speak(int argc, char **argv)
{
    static uint8_t packets[256][32];
    static struct mmsghdr messages[BATCH];
    static struct iovec vectors[BATCH];
    struct sockaddr_in group = {.sin_family = AF_INET};
    struct timespec next;
    int interval = atoi(argv[1]), count = atoi(argv[3]), interfaces = argc - 4, ticks = interval * 1000 / TICK;
    int fds[INTERFACES];

    begin(atoi(argv[0]));
    inet_pton(AF_INET, "224.0.0.18", &group.sin_addr);
    for (int i = 0; i < interfaces; i++) {
        struct ip_mreqn member = {.imr_ifindex = (int)if_nametoindex(argv[4 + i])};
        int off = 0;

        fds[i] = raw_socket(IPPROTO_RAW, argv[4 + i]);
        if (setsockopt(fds[i], IPPROTO_IP, IP_MULTICAST_IF, &member, sizeof(member)) ||
            setsockopt(fds[i], IPPROTO_IP, IP_MULTICAST_LOOP, &off, sizeof(off)))
            fail("multicast");
    }
    for (int vrid = 1; vrid <= count; vrid++)
        advert(packets[vrid], argv[2], vrid, interval);
    ready();
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (int tick = 0; !stopping; tick = (tick + 1) % ticks) {
        int due = 0;

        for (int vrid = 1 + tick; vrid <= count; vrid += ticks, due++) {
            vectors[due] = (struct iovec){packets[vrid], 32};
            messages[due].msg_hdr = (struct msghdr){
                .msg_name = &group, .msg_namelen = sizeof(group), .msg_iov = &vectors[due], .msg_iovlen = 1};
        }
        for (int i = 0; due && i < interfaces; i++)
            if (sendmmsg(fds[i], messages, (unsigned)due, MSG_DONTWAIT | MSG_DONTROUTE) < 0)
                fail("sendmmsg");
        next.tv_nsec += TICK;
        if (next.tv_nsec >= 1000000000) {
            next.tv_nsec -= 1000000000;
            next.tv_sec++;
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
}

/* -------------------------------------------------------------------------------------------------------------- hear */

static uint8_t buffers[BATCH][SIZE];
static uint8_t controls[BATCH][64];
static struct sockaddr_ll names[BATCH];
static struct mmsghdr inbox[BATCH];
static struct iovec places[BATCH];

static int receive(int fd)
{
    for (int i = 0; i < BATCH; i++) {
        places[i] = (struct iovec){buffers[i], SIZE};
        inbox[i].msg_hdr = (struct msghdr){.msg_name = &names[i], .msg_namelen = sizeof(names[i]),
            .msg_iov = &places[i], .msg_iovlen = 1, .msg_control = controls[i], .msg_controllen = sizeof(controls[i])};
    }
    return recvmmsg(fd, inbox, BATCH, MSG_DONTWAIT, NULL);
}

static void hear(int argc, char **argv)
{
    struct sockaddr_in group = {.sin_family = AF_INET};
    int epoll = epoll_create1(0);

    begin(atoi(argv[0]));
    inet_pton(AF_INET, "224.0.0.18", &group.sin_addr);
    for (int i = 1; i < argc; i++) {
        struct ip_mreqn member = {.imr_multiaddr = group.sin_addr, .imr_ifindex = (int)if_nametoindex(argv[i])};
        int on = 1, fd = raw_socket(PROTOCOL, argv[i]);
        struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};

        if (bind(fd, (struct sockaddr *)&group, sizeof(group)) ||
            setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &member, sizeof(member)) ||
            setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) ||
            epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
            fail("hear");
    }
    ready();
    while (!stopping) {
        struct epoll_event events[INTERFACES];
        int got = epoll_wait(epoll, events, INTERFACES, -1);

        for (int i = 0; i < got; i++)
            while (receive(events[i].data.fd) == BATCH)
                ;
    }
}

/* ------------------------------------------------------------------------------------------------------------ record */

static int64_t stamp_of(struct msghdr *header)
{
    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control; control = CMSG_NXTHDR(header, control))
        if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SO_TIMESTAMPNS) {
            struct timespec stamp;

            memcpy(&stamp, CMSG_DATA(control), sizeof(stamp));
            return stamp.tv_sec * 1000000000LL + stamp.tv_nsec;
        }
    return 0;
}

static void write_records(FILE *file, int interface, int got)
{
    for (int i = 0; i < got; i++) {
        const uint8_t *data = buffers[i];
        struct record record = {.at = stamp_of(&inbox[i].msg_hdr), .interface = (uint8_t)interface,
            .outgoing = names[i].sll_pkttype == PACKET_OUTGOING};

        if (names[i].sll_protocol == htons(ETH_P_IP) && inbox[i].msg_len >= 32 && data[9] == PROTOCOL) {
            record.kind = ADVERT;
            record.vrid = data[21];
            record.priority = data[22];
            memcpy(&record.address, data + 28, 4);
        } else if (names[i].sll_protocol == htons(ETH_P_ARP) && inbox[i].msg_len >= 28 && !memcmp(data + 14, data + 24, 4)) {
            record.kind = ARP;
            memcpy(&record.address, data + 14, 4);
        } else {
            continue;
        }
        fwrite(&record, sizeof(record), 1, file);
    }
}

static void record(int argc, char **argv)
{
    FILE *file = fopen(argv[0], "w");
    int fds[INTERFACES];

    if (!file)
        fail(argv[0]);
    begin(0);
    for (int i = 1; i < argc; i++) {
        struct sockaddr_ll name = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
            .sll_ifindex = (int)if_nametoindex(argv[i])};
        int on = 1, room = 32 << 20, fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

        if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) ||
            setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) ||
            bind(fd, (struct sockaddr *)&name, sizeof(name)))
            fail(argv[i]);
        fds[i] = fd;
    }
    ready();
    for (int last = 0; !last;) {
        last = stopping;
        for (int i = 1, got = BATCH; i < argc; i++, got = BATCH)
            while (got == BATCH && (got = receive(fds[i])) > 0)
                write_records(file, i - 1, got);
        usleep(last ? 0 : 10000); /* what waits has its time with it */
    }
    fclose(file);
}

int main(int argc, char **argv)
{
    if (argc >= 7 && argc - 6 <= INTERFACES && !strcmp(argv[1], "speak"))
        speak(argc - 2, argv + 2);
    else if (argc >= 4 && argc - 3 <= INTERFACES && !strcmp(argv[1], "hear"))
        hear(argc - 2, argv + 2);
    else if (argc >= 4 && argc - 3 < INTERFACES && !strcmp(argv[1], "record"))
        record(argc - 2, argv + 2);
    else
        return fputs("adverts speak|hear|record ARGUMENTS: see the source\n", stderr), 2;
    return 0;
}
