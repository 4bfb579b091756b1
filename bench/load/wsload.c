/*
 * wsload --port P --clients N [--path /ws] [--send TEXT] [--answer TEXT] [--expect FIRST,COUNT] [--nats]
 *        [--in-flight K] [--timeout S] [--warm S] [--window S] [--drain S] [--server PID,PID..] [--core C]
 *
 * Opens N WebSockets on 127.0.0.1, K at a time, sends TEXT on each, and waits until each has had a message
 * with the --answer in it and, with --expect, COUNT messages (FIRST is then the first that may come). Prints
 * {"event":"ready",..} and waits for a line on stdin:
 *
 *     go [PID,PID..]   measure; the processes work for the load, and count as the client's CPU
 *     end              close all and exit
 *
 * From the start every message is held against the one before it on its connection, by the trailer of
 * common.h; after `go` and --warm seconds more, deliveries, latency and CPU are measured for --window seconds.
 * Then it reads on until half a second was quiet, --drain seconds at most, and prints {"event":"done",..}.
 */
#include "common.h"

#include <fcntl.h>
#include <getopt.h>
#include <sys/epoll.h>

#include "frames.h"
#include "proc.h"

#define BUFFER (1 << 20)
#define READ (256 * 1024)
#define MAX_FDS 65536
#define QUIET_NS 500000000LL

static int port, wanted, most_in_flight = 256, core = -1;
static const char *path = "/ws", *ask, *server = "";
static char helpers[256];
static double warm = 1, window = 3, drain = 2, timeout = 120;
static bool nats;
static uint32_t first;

static struct client clients[MAX_FDS];
static char buffer[BUFFER];
static int epoll, started, in_flight, open_now, failed, closed;
static int64_t heard;

static void ended(int fd)
{
    struct client *c = &clients[fd];
    if (c->state == CLOSED)
        return;
    if (c->state == OPEN) {
        closed++;
        open_now--;
    } else {
        failed++;
        in_flight--;
    }
    c->state = CLOSED;
    free(c->rest);
    c->rest = NULL;
    c->length = 0;
    close(fd);
}

static void opened(struct client *c)
{
    c->state = OPEN;
    in_flight--;
    open_now++;
}

static void start_one(void)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0 || fd >= MAX_FDS)
        die("socket");
    /* Reset at the end: 10,000 sockets in TIME_WAIT would cost the next run its ports. */
    struct linger linger = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    started++;
    in_flight++;
    clients[fd] = (struct client){.state = CONNECTING, .next = first};
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        ended(fd);
    else
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLOUT, .data.fd = fd});
}

/* Masked with 0, which leaves the payload as it is. */
static void send_frame(int fd, int opcode, const char *data, size_t length)
{
    char frame[16384];
    size_t at = 2;
    if (length > sizeof frame - 16)
        return;
    frame[0] = (char)(0x80 | opcode);
    frame[1] = (char)(0x80 | (length < 126 ? length : 126));
    if (length >= 126) {
        frame[2] = (char)(length >> 8);
        frame[3] = (char)length;
        at = 4;
    }
    memset(frame + at, 0, 4);
    memcpy(frame + at + 4, data, length);
    if (send(fd, frame, at + 4 + length, MSG_NOSIGNAL) < 0)
        ended(fd);
}

static void connected(int fd)
{
    char request[1024];
    int error = 0, length = snprintf(request, sizeof request,
                                     "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                                     path, port);
    socklen_t size = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error || send(fd, request, (size_t)length, MSG_NOSIGNAL) != length) {
        ended(fd);
        return;
    }
    clients[fd].state = UPGRADING;
    epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
}

/* Takes the answer to the handshake; returns the bytes taken, 0 while it is incomplete. */
static size_t upgraded(int fd, struct client *c, char *data, size_t length)
{
    char *end = memmem(data, length, "\r\n\r\n", 4);
    if (!end)
        return 0;
    if (memcmp(data, "HTTP/1.1 101", 12) != 0) {
        ended(fd);
        return length;
    }
    c->state = ASKING;
    c->answered = !awaited.answer && !nats;
    if (ask)
        send_frame(fd, nats ? 0x2 : 0x1, ask, strlen(ask));
    check_open(c);
    return (size_t)(end + 4 - data);
}

static void readable(int fd)
{
    struct client *c = &clients[fd];
    size_t held = c->length, at = 0;
    if (held)
        memcpy(buffer, c->rest, held);
    ssize_t got = recv(fd, buffer + held, READ, 0);
    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            ended(fd);
        return;
    }
    heard = arrival = now_ns();
    size_t length = held + (size_t)got;
    if (c->state == UPGRADING) {
        at = held = upgraded(fd, c, buffer, length);
        if (!at && c->state == UPGRADING && length > 16384)
            ended(fd);
    }
    if (c->state == ASKING || c->state == OPEN) {
        if (nats) {
            size_t stream = held + unwrap(fd, c, buffer + held, buffer + held, length - held);
            length = stream;
            at += take_nats(fd, c, buffer + at, length - at);
        } else {
            at += take_frames(fd, c, buffer + at, length - at);
        }
    }
    if (c->state == CLOSED)
        return;
    size_t left = length - at;
    if (left > BUFFER - READ) {
        fprintf(stderr, "wsload: a message is longer than %d bytes\n", BUFFER - READ);
        exit(1);
    }
    if (left > c->length)
        c->rest = realloc(c->rest, left);
    if (left)
        memcpy(c->rest, buffer + at, left);
    c->length = (uint32_t)left;
}

/* Waits up to `ns` for sockets and stdin; true if stdin has something. */
static bool turn(int64_t ns)
{
    static struct epoll_event events[512];
    bool told = false;
    int ready = epoll_wait(epoll, events, 512, ns <= 0 ? 0 : (int)((ns + 999999) / 1000000));
    for (int i = 0; i < ready; i++) {
        int fd = events[i].data.fd;
        if (fd == 0)
            told = true;
        else if (clients[fd].state == CONNECTING)
            connected(fd);
        else if (clients[fd].state != CLOSED)
            readable(fd);
    }
    return told;
}

static bool open_all(void)
{
    int64_t begun = now_ns(), until = begun + (int64_t)(timeout * 1e9);
    while (open_now + failed + closed < wanted && now_ns() < until) {
        while (started < wanted && in_flight < most_in_flight)
            start_one();
        turn(100000000);
    }
    double seconds = (double)(now_ns() - begun) / 1e9;
    printf("{\"event\":\"ready\",\"open\":%d,\"failed\":%d,\"seconds\":%.4f,\"handshakes_s\":%.1f,\"gaps\":%llu,"
           "\"repeats\":%llu}\n",
           open_now, wanted - open_now, seconds, open_now / seconds, (unsigned long long)counted.gaps,
           (unsigned long long)counted.repeats);
    fflush(stdout);
    return open_now == wanted;
}

/* Reads lines of stdin until `go`; false for anything else. */
static bool told_to_go(void)
{
    char line[300];
    epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &(struct epoll_event){.events = EPOLLIN, .data.fd = 0});
    while (!turn(1000000000))
        ;
    ssize_t got = read(0, line, sizeof line - 1);
    epoll_ctl(epoll, EPOLL_CTL_DEL, 0, NULL);
    if (got <= 0 || strncmp(line, "go", 2))
        return false;
    line[got] = 0;
    sscanf(line, "go %255s", helpers);
    return true;
}

static void measure(void)
{
    int64_t start = now_ns() + (int64_t)(warm * 1e9), now;
    counted.begun = true;
    while ((now = now_ns()) < start)
        turn(start - now);
    char mine[16], load[300];
    snprintf(mine, sizeof mine, "%d", getpid());
    snprintf(load, sizeof load, "%s%s%s", mine, helpers[0] ? "," : "", helpers);
    struct cpu server_before = cpu_of(server), load_before = cpu_of(load), own_before = cpu_of(mine);
    double busy_before = core_busy(core);
    int64_t begun = now_ns(), end = begun + (int64_t)(window * 1e9);
    counted.on = true;
    while ((now = now_ns()) < end)
        turn(end - now);
    counted.on = false;
    double seconds = (double)(now_ns() - begun) / 1e9;
    struct cpu server_after = cpu_of(server), load_after = cpu_of(load), own_after = cpu_of(mine);
    double busy = core_busy(core) - busy_before;
    double server_cpu = server_after.total - server_before.total;
    int64_t until = now_ns() + (int64_t)(drain * 1e9);
    heard = now_ns();
    while ((now = now_ns()) < until && now - heard < QUIET_NS)
        turn(QUIET_NS / 5);
    uint64_t expected = 0;
    for (int fd = 0; fd < MAX_FDS; fd++)
        if (clients[fd].state == OPEN)
            expected += clients[fd].next - first;
    const struct histogram *h = &counted.latency;
    printf("{\"event\":\"done\",\"open\":%d,\"closed\":%d,\"seconds\":%.4f,\"delivered\":%llu,\"bytes\":%llu,"
           "\"received\":%llu,\"reached\":%llu,\"gaps\":%llu,\"repeats\":%llu,\"other\":%llu,"
           "\"server_cpu\":%.6f,\"server_user\":%.3f,\"server_system\":%.3f,\"load_cpu\":%.6f,\"own_cpu\":%.6f,"
           "\"core_busy\":%.3f,\"p50\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}\n",
           open_now, closed, seconds, (unsigned long long)counted.delivered, (unsigned long long)counted.bytes,
           (unsigned long long)counted.received, (unsigned long long)expected, (unsigned long long)counted.gaps,
           (unsigned long long)counted.repeats, (unsigned long long)counted.other, server_cpu,
           server_after.user - server_before.user, server_after.system - server_before.system,
           load_after.total - load_before.total, own_after.total - own_before.total, busy, percentile(h, 0.5),
           percentile(h, 0.99), percentile(h, 0.999), (double)h->largest / 1e6);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"port", 1, 0, 'p'},   {"path", 1, 0, 'P'},      {"clients", 1, 0, 'n'}, {"send", 1, 0, 's'},
        {"answer", 1, 0, 'a'}, {"expect", 1, 0, 'e'},    {"nats", 0, 0, 'N'},    {"in-flight", 1, 0, 'k'},
        {"warm", 1, 0, 'w'},   {"window", 1, 0, 'W'},    {"drain", 1, 0, 'd'},   {"server", 1, 0, 'S'},
        {"core", 1, 0, 'c'},   {"timeout", 1, 0, 't'},   {0},
    };
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'P': path = optarg; break;
        case 'n': wanted = atoi(optarg); break;
        case 's': ask = optarg; break;
        case 'a': awaited.answer = optarg; break;
        case 'e': sscanf(optarg, "%u,%u", &first, &awaited.expected); break;
        case 'N': nats = true; break;
        case 'k': most_in_flight = atoi(optarg); break;
        case 'w': warm = atof(optarg); break;
        case 'W': window = atof(optarg); break;
        case 'd': drain = atof(optarg); break;
        case 'S': server = optarg; break;
        case 'c': core = atoi(optarg); break;
        case 't': timeout = atof(optarg); break;
        default: return 2;
        }
    }
    if (!port || wanted <= 0) {
        fprintf(stderr, "wsload: --port and --clients are needed\n");
        return 2;
    }
    if (nats)
        ask = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB odin.token.> 1\r\nPING\r\n";
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!open_all())
        return 3;
    if (told_to_go())
        measure();
    return 0;
}
