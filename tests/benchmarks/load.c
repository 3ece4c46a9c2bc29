/* The load's hot loops, on sockets that Python has opened. `native.py` compiles and calls them;
 * `load.py` has the same in Python, and says what each does.
 *
 * They count bytes and parse nothing. A result below zero is one of the faults.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { STALLED = -1, CLOSED = -2, SURPLUS = -3, REFUSED = -4, SYSTEM = -5 };
enum { EVENTS = 512, BUFFER = 262144, PATIENCE_MS = 20000, ANSWER = 8192 };

static char buffer[BUFFER];
static struct epoll_event events[EVENTS];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The sockets do not block; where one is full, wait for it. */
static int send_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent >= 0) {
            data += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN) {
            struct pollfd room = {.fd = fd, .events = POLLOUT};
            if (poll(&room, 1, PATIENCE_MS) <= 0)
                return STALLED;
        } else if (errno != EINTR) {
            return CLOSED;
        }
    }
    return 0;
}

static int watch(int epoll, int fd, int index)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (unsigned)index};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) ? SYSTEM : 0;
}

static int watch_all(const int *fds, int count)
{
    int epoll = epoll_create1(0);
    for (int i = 0; epoll >= 0 && i < count; i++)
        if (watch(epoll, fds[i], i)) {
            close(epoll);
            return SYSTEM;
        }
    return epoll < 0 ? SYSTEM : epoll;
}

/* The bytes of one read; 0 when there were none after all. */
static long take(int fd)
{
    ssize_t got = recv(fd, buffer, BUFFER, 0);
    if (got > 0)
        return got;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : CLOSED;
}

/* `messages` holds `depth` of them, one behind the other. */
long long closed(const int *fds, int count, const char *messages, size_t size, int depth,
                 size_t reply, double until)
{
    long long done = 0, missing = (long long)count * depth, result = 0;
    size_t *partial = calloc((size_t)count, sizeof *partial);
    int running = 1, epoll = watch_all(fds, count);
    if (epoll < 0 || !partial) {
        free(partial);
        return SYSTEM;
    }
    for (int i = 0; i < count && !result; i++)
        result = send_all(fds[i], messages, size * (size_t)depth);
    while (missing && !result) {
        int ready = epoll_wait(epoll, events, EVENTS, PATIENCE_MS);
        if (ready <= 0) {
            result = STALLED;
            break;
        }
        running = running && now() < until;
        for (int e = 0; e < ready && !result; e++) {
            int i = (int)events[e].data.u32;
            long got = take(fds[i]);
            if (got < 0) {
                result = got;
                break;
            }
            size_t bytes = partial[i] + (size_t)got, whole = bytes / reply;
            partial[i] = bytes % reply;
            done += (long long)whole;
            if (running && whole)
                result = whole > (size_t)depth ? SURPLUS : send_all(fds[i], messages, size * whole);
            else
                missing -= (long long)whole;
        }
    }
    close(epoll);
    free(partial);
    return result ? result : done;
}

struct source {
    int fd;
    const char *data;
    size_t size;
};

long long lockstep(const struct source *sources, int count, const int *sinks, int listening,
                   long long bytes, double until)
{
    long long rounds = 0, result = 0;
    int epoll = watch_all(sinks, listening);
    if (epoll < 0)
        return SYSTEM;
    do {
        long long missing = bytes;
        for (int i = 0; i < count && !result; i++)
            result = send_all(sources[i].fd, sources[i].data, sources[i].size);
        while (missing > 0 && !result) {
            int ready = epoll_wait(epoll, events, EVENTS, PATIENCE_MS);
            if (ready <= 0)
                result = STALLED;
            for (int e = 0; e < ready && !result; e++) {
                long got = take(sinks[events[e].data.u32]);
                if (got < 0)
                    result = got;
                missing -= got;
            }
        }
        if (!result && missing < 0)
            result = SURPLUS;
        rounds++;
    } while (!result && now() < until);
    close(epoll);
    return result ? result : rounds;
}

enum { UNDER_WAY = 1024 };

struct due {
    double planned[UNDER_WAY];
    unsigned first, last;
    size_t partial;
};

/* Writes each round trip's seconds, counted from the planned time, to `trips`. It never sleeps. */
long long paced(const int *fds, int count, const char *message, size_t size, size_t reply,
                double rate, double until, double *trips, long long room)
{
    long long sent = 0, done = 0, result = 0;
    struct due *dues = calloc((size_t)count, sizeof *dues);
    int epoll = watch_all(fds, count);
    if (epoll < 0 || !dues) {
        free(dues);
        return SYSTEM;
    }
    double start = now(), time = start, heard = start;
    long long total = until > start ? (long long)((until - start) * rate) + 1 : 0;
    if (total > room)
        total = room;
    while (!result && done < total) {
        double planned = start + (double)sent / rate;
        if (sent < total && planned <= time) {
            struct due *due = &dues[sent % count];
            if (due->last - due->first == UNDER_WAY)
                result = STALLED;
            else
                due->planned[due->last++ % UNDER_WAY] = planned;
            if (!result)
                result = send_all(fds[sent++ % count], message, size);
        }
        int ready = epoll_wait(epoll, events, EVENTS, 0);
        time = now();
        for (int e = 0; e < ready && !result; e++) {
            int i = (int)events[e].data.u32;
            long got = take(fds[i]);
            if (got < 0) {
                result = got;
                break;
            }
            heard = time;
            dues[i].partial += (size_t)got;
            for (; dues[i].partial >= reply; dues[i].partial -= reply) {
                if (dues[i].first == dues[i].last) {
                    result = SURPLUS;
                    break;
                }
                trips[done++] = time - dues[i].planned[dues[i].first++ % UNDER_WAY];
            }
        }
        if (done < sent && time - heard > PATIENCE_MS / 1e3)
            result = STALLED;
    }
    close(epoll);
    free(dues);
    return result ? result : done;
}

struct step {
    const char *data, *awaited;
    size_t size, awaited_size;
};

struct visitor {
    int fd, step;
    size_t held;
    char answer[ANSWER];
};

static int come(struct visitor *visitor, int epoll, int index, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    visitor->fd = socket(AF_INET, SOCK_STREAM, 0);
    visitor->step = 0;
    visitor->held = 0;
    if (visitor->fd < 0)
        return SYSTEM;
    setsockopt(visitor->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(visitor->fd, (struct sockaddr *)&address, sizeof address))
        return REFUSED;
    fcntl(visitor->fd, F_SETFL, O_NONBLOCK);
    return watch(epoll, visitor->fd, index);
}

/* Takes what has come, and says what is next; 1 when the server has hung up after the last step. */
static int go_on(struct visitor *visitor, const struct step *steps, int count)
{
    char *answer = visitor->answer;
    ssize_t got = recv(visitor->fd, answer + visitor->held, ANSWER - visitor->held, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (visitor->step == count - 1) {
        if (got <= 0)
            return 1;
        visitor->held = 0;
        return 0;
    }
    if (got <= 0)
        return REFUSED;
    visitor->held += (size_t)got;
    while (visitor->step < count - 1) {
        const struct step *step = &steps[visitor->step];
        char *found = memmem(answer, visitor->held, step->awaited, step->awaited_size);
        if (!found)
            return visitor->held == ANSWER ? REFUSED : 0;
        found += step->awaited_size;
        visitor->held -= (size_t)(found - answer);
        memmove(answer, found, visitor->held);
        step = &steps[++visitor->step];
        if (step->size && send_all(visitor->fd, step->data, step->size))
            return REFUSED;
    }
    return 0;
}

long long churn(int port, const struct step *steps, int count, int slots, double until)
{
    long long done = 0, result = 0;
    int open = 0, running = 1, epoll = epoll_create1(0);
    struct visitor *visitors = calloc((size_t)slots, sizeof *visitors);
    if (epoll < 0 || !visitors) {
        free(visitors);
        return SYSTEM;
    }
    for (; open < slots && !result; open++) {
        result = come(&visitors[open], epoll, open, port);
        if (!result)
            result = send_all(visitors[open].fd, steps[0].data, steps[0].size);
    }
    while (open && !result) {
        int ready = epoll_wait(epoll, events, EVENTS, PATIENCE_MS);
        if (ready <= 0)
            result = STALLED;
        running = running && now() < until;
        for (int e = 0; e < ready && !result; e++) {
            int i = (int)events[e].data.u32, over = go_on(&visitors[i], steps, count);
            if (over < 0)
                result = over;
            if (over <= 0)
                continue;
            close(visitors[i].fd);
            visitors[i].fd = -1;
            done++;
            if (!running) {
                open--;
                continue;
            }
            result = come(&visitors[i], epoll, i, port);
            if (!result)
                result = send_all(visitors[i].fd, steps[0].data, steps[0].size);
        }
    }
    for (int i = 0; i < slots && result; i++)
        if (visitors[i].fd > 0)
            close(visitors[i].fd);
    close(epoll);
    free(visitors);
    return result ? result : done;
}
