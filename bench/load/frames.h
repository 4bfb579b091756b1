/* What comes in on a connection: RFC 6455 frames, and NATS inside them; and what is counted of it. */
#ifndef ODIN_BENCH_FRAMES_H
#define ODIN_BENCH_FRAMES_H

#include "common.h"

#include <stdbool.h>

#include "histogram.h"

#define RING (1 << 20)

enum state { CLOSED, CONNECTING, UPGRADING, ASKING, OPEN };

struct client {
    char *rest; /* bytes that are no whole frame yet (with NATS: no whole message) */
    uint32_t length, next, got;
    uint8_t state, header_length, header[10]; /* with NATS: a header that is cut */
    bool answered, control;
    uint64_t left; /* with NATS: bytes to come of the frame */
};

static struct {
    const char *answer;
    uint32_t expected;
} awaited;

static struct {
    bool on, begun;
    uint64_t delivered, bytes, received, gaps, repeats, other;
    struct histogram latency;
} counted;

static int64_t arrival;         /* when the bytes at hand were read */
static int64_t published[RING]; /* pts of message n, once any client has had it */

static void send_frame(int fd, int opcode, const char *data, size_t length);
static void opened(struct client *c);
static void ended(int fd);

static void check_open(struct client *c)
{
    if (c->state == ASKING && c->answered && c->got >= awaited.expected)
        opened(c);
}

static int64_t digits(const char *at, int count)
{
    int64_t value = 0;
    for (int i = 0; i < count; i++)
        value = value * 10 + (at[i] - '0');
    return value;
}

static void message(struct client *c, const char *data, size_t length)
{
    const char *end = data + length;
    if (length > TRAILER + 1 && end[-2] == '}')
        end--; /* the payload is the last member of an envelope */
    if (end - data < TRAILER || memcmp(end - 17, "\",\"n\":\"", 7) != 0) {
        if (c->state == ASKING && awaited.answer && memmem(data, length, awaited.answer, strlen(awaited.answer)))
            c->answered = true;
        else
            counted.other += counted.begun;
        check_open(c);
        return;
    }
    uint32_t n = (uint32_t)digits(end - 2 - N_DIGITS, N_DIGITS);
    counted.received++;
    c->got++;
    if (n == c->next) {
        c->next++;
    } else if (n > c->next) {
        counted.gaps += n - c->next;
        c->next = n + 1;
    } else {
        counted.repeats++;
    }
    check_open(c);
    if (!counted.on)
        return;
    counted.delivered++;
    counted.bytes += length;
    /* Every client gets the same messages, so a message's time is read once. */
    int64_t pts = n < RING ? published[n] : 0;
    if (!pts) {
        pts = digits(end - 17 - PTS_DIGITS, PTS_DIGITS);
        if (n < RING)
            published[n] = pts;
    }
    record(&counted.latency, arrival - pts);
}

/* Length of a header whose second byte is known. */
static size_t header_size(unsigned char second)
{
    return (second & 0x7F) == 126 ? 4 : (second & 0x7F) == 127 ? 10 : 2;
}

static uint64_t payload_size(const unsigned char *header)
{
    size_t end = header_size(header[1]);
    uint64_t size = header[1] & 0x7F;
    if (end > 2) {
        size = 0;
        for (size_t i = 2; i < end; i++)
            size = size << 8 | header[i];
    }
    return size;
}

/* Takes every whole frame; returns the bytes taken. */
static size_t take_frames(int fd, struct client *c, char *data, size_t length)
{
    size_t at = 0;
    while (length - at >= 2 && c->state != CLOSED) {
        unsigned char *head = (unsigned char *)data + at;
        size_t offset = header_size(head[1]);
        if (length - at < offset)
            break;
        uint64_t size = payload_size(head);
        if (length - at - offset < size)
            break;
        char *payload = data + at + offset;
        at += offset + size;
        int opcode = head[0] & 0x0F;
        if (opcode == 0x8)
            ended(fd);
        else if (opcode == 0x9)
            send_frame(fd, 0xA, payload, size);
        else if (opcode < 0x8)
            message(c, payload, size);
    }
    return at;
}

/* Takes the WebSocket headers out of `length` bytes at `from`; what is left goes to `to`. Returns its length. */
static size_t unwrap(int fd, struct client *c, char *to, const char *from, size_t length)
{
    char *start = to;
    while (length && c->state != CLOSED) {
        if (c->left) {
            size_t part = length < c->left ? length : c->left;
            if (!c->control) {
                memmove(to, from, part);
                to += part;
            }
            from += part;
            length -= part;
            c->left -= part;
            continue;
        }
        c->header[c->header_length++] = (uint8_t)*from++;
        length--;
        if (c->header_length < 2 || c->header_length < header_size(c->header[1]))
            continue;
        c->header_length = 0;
        c->left = payload_size(c->header);
        c->control = c->header[0] & 0x08;
        if ((c->header[0] & 0x0F) == 0x8)
            ended(fd);
    }
    return (size_t)(to - start);
}

/* Takes every whole line and message of the NATS protocol; returns the bytes taken. */
static size_t take_nats(int fd, struct client *c, char *data, size_t length)
{
    size_t at = 0;
    while (at < length && c->state != CLOSED) {
        char *line = data + at, *end = memchr(line, '\n', length - at);
        if (!end)
            break;
        size_t used = (size_t)(end + 1 - line);
        if (!memcmp(line, "MSG ", 4)) {
            size_t size = (size_t)atoi((char *)memrchr(line, ' ', used) + 1);
            if (length - at < used + size + 2)
                break;
            message(c, end + 1, size);
            used += size + 2;
        } else if (!memcmp(line, "PING", 4)) {
            send_frame(fd, 0x2, "PONG\r\n", 6);
        } else if (!memcmp(line, "PONG", 4)) {
            c->answered = true;
            check_open(c);
        }
        at += used;
    }
    return at;
}

#endif
