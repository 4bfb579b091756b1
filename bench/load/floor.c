/*
 * floor PORT NATS_PORT BATCH
 *
 * The least a fan-out server can do: subscribes to odin.token.> by core NATS, makes a WebSocket frame of each
 * message, and gives it to every client by one blocking send(), BATCH frames a call. No validation, no
 * subscriptions, no metrics. What it costs is the kernel's price of a delivery.
 */
#include "common.h"

#include <sys/epoll.h>

#define MAX_FDS 65536
#define OUT (1 << 20)
/* An unfilled batch goes out after this. */
#define LINGER_MS 20

static const char ANSWER[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
static char out[OUT], feed[OUT];
static size_t filled, held;
static int frames, clients[MAX_FDS], position[MAX_FDS], count;

static void leave(int fd)
{
    if (position[fd]) {
        int last = clients[--count];
        clients[position[fd] - 1] = last;
        position[last] = position[fd];
        position[fd] = 0;
    }
    close(fd);
}

static void flush(void)
{
    for (int i = 0; i < count; i++) {
        const char *data = out;
        size_t left = filled;
        while (left) {
            ssize_t sent = send(clients[i], data, left, MSG_NOSIGNAL);
            if (sent <= 0)
                break;
            data += sent;
            left -= (size_t)sent;
        }
    }
    filled = 0;
    frames = 0;
}

static void frame(const char *payload, size_t length)
{
    if (filled + length + 10 > OUT)
        flush();
    unsigned char *head = (unsigned char *)out + filled;
    head[0] = 0x81;
    size_t offset = 2;
    if (length < 126) {
        head[1] = (unsigned char)length;
    } else {
        head[1] = 126;
        head[2] = (unsigned char)(length >> 8);
        head[3] = (unsigned char)length;
        offset = 4;
    }
    memcpy(out + filled + offset, payload, length);
    filled += offset + length;
    frames++;
}

/* Takes every complete line or message out of `feed`. */
static void read_feed(int fd, int batch)
{
    ssize_t got = recv(fd, feed + held, OUT - held, 0);
    if (got <= 0)
        die("NATS closed the connection");
    held += (size_t)got;
    char *at = feed, *end = feed + held;
    for (char *line_end; (line_end = memmem(at, (size_t)(end - at), "\r\n", 2)); ) {
        if (!strncmp(at, "MSG ", 4)) {
            *line_end = 0;
            size_t length = (size_t)atoi(strrchr(at, ' ') + 1);
            *line_end = '\r';
            if ((size_t)(end - line_end) < length + 4)
                break;
            frame(line_end + 2, length);
            if (frames >= batch)
                flush();
            at = line_end + 4 + length;
            continue;
        }
        if (!strncmp(at, "PING", 4))
            send_all(fd, "PONG\r\n", 6);
        at = line_end + 2;
    }
    held = (size_t)(end - at);
    memmove(feed, at, held);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: floor PORT NATS_PORT BATCH\n");
        return 2;
    }
    int batch = atoi(argv[3]), one = 1;
    struct sockaddr_in address = loopback(atoi(argv[1]));
    int nats = dial(atoi(argv[2]));
    send_all(nats, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB odin.token.> 1\r\n", 64);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0)
        die("listen");
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
    epoll_ctl(epoll, EPOLL_CTL_ADD, nats, &(struct epoll_event){.events = EPOLLIN, .data.fd = nats});
    for (;;) {
        struct epoll_event events[256];
        int ready = epoll_wait(epoll, events, 256, filled ? LINGER_MS : -1);
        if (ready == 0)
            flush();
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == nats) {
                read_feed(nats, batch);
            } else if (fd == listener) {
                for (int client; (client = accept4(listener, NULL, NULL, 0)) >= 0;) {
                    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    epoll_ctl(epoll, EPOLL_CTL_ADD, client, &(struct epoll_event){.events = EPOLLIN, .data.fd = client});
                }
            } else {
                char in[4096];
                ssize_t got = recv(fd, in, sizeof in, MSG_DONTWAIT);
                if (got <= 0) {
                    if (got == 0 || errno != EAGAIN)
                        leave(fd);
                } else if (!position[fd] && fd < MAX_FDS) {
                    send(fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL);
                    clients[count++] = fd;
                    position[fd] = count;
                }
            }
        }
    }
}
