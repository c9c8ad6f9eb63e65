/* SPDX-License-Identifier: Apache-2.0 */
/* event_mail.h. */
#include "event_mail.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "coney/table.h"
#include "coney/vhost.h"
#include "coney/xalloc.h"
#include "loop.h"
#include "runner.h"
#include "server.h"

/* One event: key and headers behind it. */
struct event_letter {
    struct mail mail;
    struct server *server;
    struct bytes key, headers;
    int64_t now;
    uint8_t octets[];
};

/* What is under way when nobody takes it is bounded: then events are lost, as for whoever does not listen. */
#define UNDER_WAY_MAX 10000

static struct server *server_of(struct events_sink *sink)
{
    return MAIL_OWNER(sink, struct server, events);
}

static bool is_wanted(struct events_sink *sink)
{
    return atomic_load_explicit(&server_of(sink)->events_wanted, memory_order_relaxed);
}

static void listens(struct events_sink *sink, bool on)
{
    atomic_store(&server_of(sink)->events_wanted, on);
}

static void tell(struct events_sink *sink, const char *key, struct bytes headers)
{
    struct server *server = server_of(sink);
    size_t size = strlen(key);
    struct event_letter *letter;

    if (atomic_load(&server->is_stopping))
        return;
    if (atomic_fetch_add(&server->events_under_way, 1) >= UNDER_WAY_MAX) {
        atomic_fetch_sub(&server->events_under_way, 1);
        return;
    }
    letter = xmalloc(sizeof *letter + size + headers.size);
    *letter = (struct event_letter){.mail = {.kind = MAIL_EVENT},
                                    .server = server,
                                    .key = {letter->octets, size},
                                    .headers = {letter->octets + size, headers.size},
                                    .now = server_now_ms(server)};
    memcpy(letter->octets, key, size);
    put_bytes(letter->octets + size, headers);
    loop_post(&server->loops[0], &letter->mail);
    loop_wake(&server->loops[0]);
}

static void publish(struct vhost *vhost, void *argument)
{
    struct event_letter *letter = argument;

    vhost_publish_event(vhost, letter->key, letter->headers, letter->now);
    atomic_fetch_sub(&letter->server->events_under_way, 1);
    free(letter);
}

void events_take(struct mail *mail)
{
    struct event_letter *letter = MAIL_OWNER(mail, struct event_letter, mail);
    struct server *server = letter->server;
    struct runner *runner = server->events_runner;
    struct job *job;

    if (!runner) {
        atomic_fetch_sub(&server->events_under_way, 1);
        free(letter);
        return;
    }
    job = loop_job(&server->loops[0], BATCH_CALL);
    job->batch.call = publish;
    job->batch.argument = letter;
    runner_submit(runner, job, &server->loops[0]);
}

void events_init(struct server *server)
{
    server->events = (struct events_sink){.is_wanted = is_wanted, .listens = listens, .tell = tell};
}

void events_join(struct server *server, struct runner *runner)
{
    vhost_tell_events(runner->vhost, &server->events);
    if (server->events_runner || !bytes_equal_string(vhost_name(runner->vhost), EVENTS_VHOST))
        return;
    vhost_carry_events(runner->vhost);
    server->events_runner = runner;
}

void events_tell(struct server *server, const char *key, ...)
{
    struct buffer headers = {0};
    struct table_builder builder = table_builder_init(&headers);
    const char *name;
    va_list pairs;

    if (!is_wanted(&server->events))
        return;
    va_start(pairs, key);
    while ((name = va_arg(pairs, const char *)) != NULL)
        table_put_longstr(&builder, name, *va_arg(pairs, const struct bytes *));
    va_end(pairs);
    tell(&server->events, key, buffer_bytes(&headers));
    buffer_free(&headers);
}
