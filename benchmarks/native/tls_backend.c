/*
 * The servers behind the benchmark of SSL_GET: one process that answers for a whole network of addresses.
 *
 *   tls_backend PORT COUNTERS CERTIFICATE KEY
 *
 * Handshake, one request, 200, close_notify, close; tickets as OpenSSL gives them out. COUNTERS is a file, mapped:
 * connections accepted, requests answered, handshakes resumed, 64 bits each. Says "ready" once it listens.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILES 65536

static const char reply[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

static SSL *sessions[FILES];
static SSL_CTX *context;
static int epoll;
static volatile uint64_t *counters;

static void die(const char *what)
{
    perror(what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void drop(int fd)
{
    SSL_free(sessions[fd]);
    sessions[fd] = NULL;
    close(fd);
}

static void accept_all(int listener)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        counters[0]++;
        if (fd >= FILES || !(sessions[fd] = SSL_new(context)))
            die("a session");
        SSL_set_fd(sessions[fd], fd);
        SSL_set_accept_state(sessions[fd]);
        event.data.fd = fd;
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
            die("epoll_ctl");
    }
}

static void serve(int fd)
{
    char request[4096];
    SSL *session = sessions[fd];
    int count, fresh = !SSL_is_init_finished(session), error;
    ERR_clear_error();
    count = SSL_read(session, request, sizeof request);
    if (fresh && SSL_is_init_finished(session) && SSL_session_reused(session))
        counters[2]++;
    if (count <= 0) {
        error = SSL_get_error(session, count);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
            drop(fd);
        return;
    }
    counters[1]++;
    SSL_write(session, reply, sizeof reply - 1);
    SSL_shutdown(session);
    drop(fd);
}

int main(int argc, char **argv)
{
    static struct epoll_event events[512];
    struct sockaddr_in any = { .sin_family = AF_INET };
    struct epoll_event event = { .events = EPOLLIN };
    struct rlimit files;
    int listener, file, one = 1;
    if (argc != 5)
        return fprintf(stderr, "usage: tls_backend PORT COUNTERS CERTIFICATE KEY\n"), 2;
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < FILES ? files.rlim_max : FILES;
    setrlimit(RLIMIT_NOFILE, &files);
    file = open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, 4096) < 0)
        die(argv[2]);
    counters = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (counters == MAP_FAILED)
        die("mmap");
    context = SSL_CTX_new(TLS_server_method());
    if (!context || SSL_CTX_use_certificate_chain_file(context, argv[3]) != 1
        || SSL_CTX_use_PrivateKey_file(context, argv[4], SSL_FILETYPE_PEM) != 1)
        die("certificate");
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    any.sin_port = htons((uint16_t) atoi(argv[1]));
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0
        || bind(listener, (struct sockaddr *) &any, sizeof any) < 0 || listen(listener, 65535) < 0)
        die("listen");
    epoll = epoll_create1(EPOLL_CLOEXEC);
    event.data.fd = listener;
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll, events, 512, -1);
        for (int i = 0; i < count; i++)
            if (events[i].data.fd == listener)
                accept_all(listener);
            else if (sessions[events[i].data.fd])
                serve(events[i].data.fd);
    }
}
