/*
 * Preloaded into C keepalived, this lets its checker run on a kernel without IPVS: what the program says to IPVS through
 * libnl's generic netlink is accepted and noted, everything else goes its way.
 *
 * IPVS_SHIM_LOG names a file to be mapped: the number of operations, then for each the time (ns of CLOCK_MONOTONIC) and
 * the command. Noting costs no system call, so the program is as fast as with a kernel that answers at once.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define FAMILY 0x7e57
#define OPERATIONS 1000000
#define CALLBACK_FINISH 1 /* libnl: NL_CB_FINISH and NL_CB_ACK, whose arguments say that an answer has come */
#define CALLBACK_ACK 4

struct nl_sock;
struct nl_msg;

static struct operation { uint64_t when, command; } *log_;
static uint64_t *count;
static struct nl_sock *ipvs;
static int *answered;

#define NEXT(type, name, ...)                                  \
    static type (*next)(__VA_ARGS__);                          \
    if (!next)                                                 \
        next = (type (*)(__VA_ARGS__)) dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void open_log(void)
{
    const char *path = getenv("IPVS_SHIM_LOG");
    size_t size = (OPERATIONS + 1) * sizeof *log_;
    int file = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (file < 0)
        return;
    if (ftruncate(file, (off_t) size) == 0) {
        void *where = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (where != MAP_FAILED) {
            count = where;
            log_ = (struct operation *) where + 1;
        }
    }
    close(file);
}

static void note(uint64_t command)
{
    struct timespec now;
    uint64_t place;
    if (!count)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    place = __atomic_fetch_add(count, 1, __ATOMIC_SEQ_CST);
    if (place < OPERATIONS)
        log_[place] = (struct operation) { (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec, command };
}

int genl_ctrl_resolve(struct nl_sock *socket, const char *name)
{
    NEXT(int, genl_ctrl_resolve, struct nl_sock *, const char *);
    if (strcmp(name, IPVS_GENL_NAME))
        return next(socket, name);
    ipvs = socket;
    return FAMILY;
}

int nl_socket_modify_cb(struct nl_sock *socket, int type, int kind, void *function, void *argument)
{
    NEXT(int, nl_socket_modify_cb, struct nl_sock *, int, int, void *, void *);
    if (socket == ipvs && (type == CALLBACK_ACK || type == CALLBACK_FINISH))
        answered = argument;
    return next(socket, type, kind, function, argument);
}

int nl_send_auto(struct nl_sock *socket, struct nl_msg *message)
{
    NEXT(int, nl_send_auto, struct nl_sock *, struct nl_msg *);
    static struct nlmsghdr *(*header)(struct nl_msg *);
    if (socket != ipvs)
        return next(socket, message);
    if (!header)
        header = (struct nlmsghdr *(*)(struct nl_msg *)) dlsym(RTLD_DEFAULT, "nlmsg_hdr");
    note(((struct genlmsghdr *) NLMSG_DATA(header(message)))->cmd);
    return (int) header(message)->nlmsg_len;
}

int nl_send_auto_complete(struct nl_sock *socket, struct nl_msg *message)
{
    return nl_send_auto(socket, message);
}

int nl_recvmsgs_default(struct nl_sock *socket)
{
    NEXT(int, nl_recvmsgs_default, struct nl_sock *);
    if (socket != ipvs)
        return next(socket);
    if (answered)
        *answered = 1;
    return 0;
}
