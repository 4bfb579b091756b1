/*
 * natspub PORT RATE SECONDS SIZE SUBJECTS [HTTP_PATH]
 *
 * Publishes SIZE-byte JSON payloads with the trailer of common.h to the comma-separated SUBJECTS in turn, RATE
 * a second, by core NATS on 127.0.0.1:PORT; with HTTP_PATH by POST requests on one kept connection instead.
 * Each message is sent when it is due; what is overdue goes out at once. Ends after SECONDS with one line of
 * JSON: `sent`, and `late_ms`, how far it fell behind its own schedule at worst.
 */
#include "common.h"

#include <poll.h>

#define MAX_SUBJECTS 64
#define OUT (1 << 18)

static char out[OUT];
static size_t filled;

static void flush(int fd)
{
    send_all(fd, out, filled);
    filled = 0;
}

/* Reads what the server says; NATS is answered when it asks whether we live. */
static void listen_to(int fd, int http)
{
    static char in[65536];
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    while (poll(&ready, 1, 0) > 0) {
        ssize_t got = recv(fd, in, sizeof in, 0);
        if (got <= 0)
            die("the server closed the publisher's connection");
        if (!http && memmem(in, (size_t)got, "PING\r\n", 6))
            send_all(fd, "PONG\r\n", 6);
    }
}

static size_t payload(char *to, size_t size, int64_t pts, unsigned n)
{
    size_t used = (size_t)sprintf(to, "{\"price\":64250.25,\"volume\":1.5,\"pad\":\"");
    size_t pad = size > used + TRAILER + 1 ? size - used - TRAILER - 1 : 0;
    memset(to + used, 'x', pad);
    used += pad;
    used += (size_t)sprintf(to + used, "\",\"pts\":\"%0*lld\",\"n\":\"%0*u\"}", PTS_DIGITS, (long long)pts, N_DIGITS, n);
    return used;
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr, "usage: natspub PORT RATE SECONDS SIZE SUBJECTS [HTTP_PATH]\n");
        return 2;
    }
    double rate = atof(argv[2]), seconds = atof(argv[3]);
    size_t size = (size_t)atoi(argv[4]);
    const char *path = argc > 6 ? argv[6] : NULL;
    char *subjects[MAX_SUBJECTS], body[16384];
    unsigned count = 0;
    for (char *name = strtok(argv[5], ","); name && count < MAX_SUBJECTS; name = strtok(NULL, ","))
        subjects[count++] = name;
    if (!count || size > sizeof body - 256 || rate <= 0) {
        fprintf(stderr, "natspub: no subject, no rate, or a size above 16 kB\n");
        return 2;
    }
    int fd = dial(atoi(argv[1]));
    if (!path)
        send_all(fd, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n", 44);

    int64_t begun = now_ns(), end = begun + (int64_t)(seconds * 1e9), late = 0;
    unsigned n = 0;
    for (;;) {
        int64_t now = now_ns(), due = begun + (int64_t)(n * 1e9 / rate);
        if (due >= end || now > end + 1000000000LL)
            break;
        if (due > now) {
            if (filled)
                flush(fd);
            listen_to(fd, path != NULL);
            /* Above 2,000 a second several share a wake-up: the timer's own cost would limit the rate. */
            int64_t wake = due - now < 500000 ? now + 500000 : due;
            struct timespec until = {wake / 1000000000LL, wake % 1000000000LL};
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
            continue;
        }
        if (now - due > late)
            late = now - due;
        size_t length = payload(body, size, now, n);
        if (filled + length + 512 > OUT)
            flush(fd);
        if (path)
            filled += (size_t)sprintf(out + filled, "POST %s HTTP/1.1\r\nHost: b\r\nContent-Length: %zu\r\n\r\n", path, length);
        else
            filled += (size_t)sprintf(out + filled, "PUB %s %zu\r\n", subjects[n % count], length);
        memcpy(out + filled, body, length);
        filled += length;
        if (!path) {
            memcpy(out + filled, "\r\n", 2);
            filled += 2;
        }
        n++;
    }
    flush(fd);
    if (!path) {
        /* A PONG says that the server has read it all. */
        static char in[65536];
        send_all(fd, "PING\r\n", 6);
        for (ssize_t got; (got = recv(fd, in, sizeof in, 0)) > 0 && !memmem(in, (size_t)got, "PONG\r\n", 6);)
            ;
    } else {
        listen_to(fd, 1);
        usleep(100000);
    }
    printf("{\"sent\":%u,\"late_ms\":%.3f}\n", n, late / 1e6);
    return 0;
}
