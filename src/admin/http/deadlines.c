/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deadlines.h. The first octet of a request begins ten seconds, and each thousand octets are good for one
 * more, up to what may be spent in silence. TLS shows octets by the record: before the first is whole that is
 * all there is.
 *
 * evhttp tells nobody of connections that end without a request. So a connection is known by its socket, a
 * number and the inode behind it, which is looked at before it is touched: a socket that is still there has
 * its stream, which closes it, and whoever comes later has another inode. Sockets are shut, never closed:
 * evhttp sees the end and does the rest.
 */
#include "deadlines.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <uthash.h>
#include <utlist.h>

#include "coney/log.h"
#include "coney/xalloc.h"

#define REQUEST_MS   10000
#define OCTETS_PER_S 1000
#define LOOK_S       1

struct reader {
    int fd;
    ino_t inode;     /* 0: not known, so it has no deadline */
    bool is_met;     /* its request is there, its answer not yet sent */
    uint64_t octets; /* of the request that comes */
    int64_t due_ms;
    struct deadlines *deadlines;
    UT_hash_handle hh;

    /* until it has a socket */
    struct bufferevent *stream; /* with a reference */
    struct reader *next;
};

struct deadlines {
    int64_t silence_ms;
    struct reader *readers; /* by fd */
    struct reader *fresh;   /* without a socket yet */
    struct event *settle;   /* evhttp has given sockets to the fresh ones */
    struct event *look;     /* now and then, while there are readers */
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static ino_t inode_of(int fd)
{
    struct stat state;

    return fd >= 0 && fstat(fd, &state) == 0 ? state.st_ino : 0;
}

/* ---- what comes ---- */

static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *change, void *argument)
{
    struct reader *reader = argument;
    int64_t now;

    (void)input;
    if (!change->n_added || reader->is_met)
        return;
    now = now_ms();
    if (!reader->octets)
        reader->due_ms = now + REQUEST_MS;
    reader->octets += change->n_added;
    reader->due_ms += (int64_t)(change->n_added * 1000 / OCTETS_PER_S);
    if (reader->due_ms > now + reader->deadlines->silence_ms)
        reader->due_ms = now + reader->deadlines->silence_ms;
}

/* Nothing of the next request is there yet. */
static void begin(struct reader *reader)
{
    reader->is_met = false;
    reader->octets = 0;
    reader->due_ms = now_ms() + reader->deadlines->silence_ms;
}

static struct reader *find(struct deadlines *deadlines, struct bufferevent *stream)
{
    int fd = bufferevent_getfd(stream);
    struct reader *reader;

    HASH_FIND_INT(deadlines->readers, &fd, reader);
    return reader;
}

void deadlines_met(struct deadlines *deadlines, struct bufferevent *stream)
{
    struct reader *reader = find(deadlines, stream);

    if (reader)
        reader->is_met = true;
}

void deadlines_answered(struct deadlines *deadlines, struct bufferevent *stream)
{
    struct reader *reader = find(deadlines, stream);

    if (reader)
        begin(reader);
}

/* ---- who is there ---- */

static void forget(struct reader *reader)
{
    struct deadlines *deadlines = reader->deadlines;

    HASH_DEL(deadlines->readers, reader);
    free(reader);
    if (!deadlines->readers)
        event_del(deadlines->look);
}

static void look_at(struct reader *reader, int64_t now)
{
    if (now < reader->due_ms)
        return;
    if (!reader->inode || inode_of(reader->fd) != reader->inode) {
        forget(reader);
        return;
    }
    if (!reader->is_met) {
        log_info("HTTP: a client is too slow with its request, %llu octets so far: closed",
                 (unsigned long long)reader->octets);
        shutdown(reader->fd, SHUT_RDWR);
    }
    reader->due_ms = now + reader->deadlines->silence_ms;
}

static void on_look(evutil_socket_t fd, short what, void *argument)
{
    struct deadlines *deadlines = argument;
    struct reader *reader, *next;
    int64_t now = now_ms();

    (void)fd;
    (void)what;
    HASH_ITER (hh, deadlines->readers, reader, next) {
        look_at(reader, now);
    }
}

/* Who had the same number before is gone. */
static void settle(struct deadlines *deadlines, struct reader *reader)
{
    static const struct timeval often = {.tv_sec = LOOK_S};
    struct reader *before = find(deadlines, reader->stream);

    reader->fd = bufferevent_getfd(reader->stream);
    reader->inode = inode_of(reader->fd);
    if (before)
        forget(before);
    if (!deadlines->readers)
        event_add(deadlines->look, &often);
    HASH_ADD_INT(deadlines->readers, fd, reader);
    bufferevent_decref(reader->stream);
    reader->stream = NULL;
}

static void on_settle(evutil_socket_t fd, short what, void *argument)
{
    struct deadlines *deadlines = argument;

    (void)fd;
    (void)what;
    while (deadlines->fresh) {
        struct reader *reader = deadlines->fresh;

        LL_DELETE(deadlines->fresh, reader);
        settle(deadlines, reader);
    }
}

void deadlines_begin(struct deadlines *deadlines, struct bufferevent *stream)
{
    struct reader *reader = xcalloc(1, sizeof *reader);

    reader->deadlines = deadlines;
    reader->stream = stream;
    begin(reader);
    bufferevent_incref(stream);
    evbuffer_add_cb(bufferevent_get_input(stream), on_input, reader);
    LL_PREPEND(deadlines->fresh, reader);
    event_active(deadlines->settle, EV_TIMEOUT, 0);
}

/* ---- all of them ---- */

struct deadlines *deadlines_new(struct event_base *base, int silence_s)
{
    struct deadlines *deadlines = xcalloc(1, sizeof *deadlines);

    deadlines->silence_ms = (int64_t)silence_s * 1000 + REQUEST_MS;
    deadlines->settle = event_new(base, -1, 0, on_settle, deadlines);
    deadlines->look = event_new(base, -1, EV_PERSIST, on_look, deadlines);
    if (deadlines->settle && deadlines->look)
        return deadlines;
    deadlines_free(deadlines);
    return NULL;
}

void deadlines_free(struct deadlines *deadlines)
{
    struct reader *reader, *next;

    if (!deadlines)
        return;
    if (deadlines->settle) {
        on_settle(-1, 0, deadlines);
        event_free(deadlines->settle);
    }
    HASH_ITER (hh, deadlines->readers, reader, next) {
        forget(reader);
    }
    if (deadlines->look)
        event_free(deadlines->look);
    free(deadlines);
}
