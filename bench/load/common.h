/* What the load programs share. Everything is on 127.0.0.1. */
#ifndef ODIN_BENCH_COMMON_H
#define ODIN_BENCH_COMMON_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/*
 * A payload is JSON padded to the asked size, and ends in a trailer of fixed width: the position of its
 * fields is known from the end, also when a server wraps the payload as the last member of an envelope.
 *
 *     ,"pts":"0000001234567890123","n":"00000042"}
 *
 * pts: CLOCK_MONOTONIC in ns when it was published. n: 0, 1, 2.. over all subjects of a run.
 */
#define N_DIGITS 8
#define PTS_DIGITS 19
#define TRAILER 44

static inline int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static inline void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static inline struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* A connected, blocking socket without Nagle's delay. */
static inline int dial(int port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static inline void send_all(int fd, const char *data, size_t length)
{
    while (length) {
        ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR)
                continue;
            die("send");
        }
        data += sent;
        length -= (size_t)sent;
    }
}

#endif
