/* SPDX-License-Identifier: Apache-2.0 */
/* link.h: what a connection tells, handed to its channels' owners. */
#include "link.h"

#include <stdio.h>
#include <stdlib.h>

#include "coney/xalloc.h"
#include "conn.h"
#include "consumer.h"
#include "options.h"
#include "publisher.h"
#include "target.h"
#include "worker.h"

static void on_opened(struct conn *conn)
{
    struct link *link = conn->owner;
    struct worker *worker = link->worker;

    worker->links_open++;
    histogram_bump(&worker->counters.links_open, 1);
    loop_ready(&worker->loop, &worker->opener);
    for (unsigned i = 0; i < link->count && conn->state == CONN_OPEN; i++) {
        if (link->is_publishing)
            publisher_prepare(&link->publishers[i]);
        else
            consumer_prepare(&link->consumers[i]);
    }
    link_look(link);
}

static void on_closed(struct conn *conn, const char *why)
{
    struct link *link = conn->owner;
    struct worker *worker = link->worker;

    if (why)
        load_fail(worker->load, "%s: %s", conn->who, why);
    conn_free(conn);
    link->conn = NULL;
    worker->links_gone++;
    histogram_bump(&worker->counters.links_closed, 1);
}

static void resume(struct link *link)
{
    for (unsigned i = 0; link->is_publishing && i < link->count; i++)
        publisher_resume(&link->publishers[i]);
}

static void on_drained(struct conn *conn)
{
    resume(conn->owner);
}

static void on_blocked(struct conn *conn, bool is_blocked)
{
    struct link *link = conn->owner;

    if (is_blocked)
        histogram_bump(&link->worker->counters.blocked, 1);
    else
        resume(link);
}

struct link *link_new(struct worker *worker, bool is_publishing, unsigned number)
{
    const struct options *options = worker->load->options;
    struct link *link = xcalloc(1, sizeof *link);

    link->worker = worker;
    link->is_publishing = is_publishing;
    link->number = number;
    link->count = is_publishing ? options->producer_channels : options->consumer_channels;
    if (is_publishing)
        link->publishers = xcalloc(link->count, sizeof *link->publishers);
    else
        link->consumers = xcalloc(link->count, sizeof *link->consumers);
    for (unsigned i = 0; i < link->count; i++) {
        if (is_publishing)
            publisher_init(&link->publishers[i], link, number * link->count + i);
        else
            consumer_init(&link->consumers[i], link, number * link->count + i);
    }
    return link;
}

void link_free(struct link *link)
{
    conn_free(link->conn);
    for (unsigned i = 0; i < link->count; i++) {
        if (link->is_publishing)
            publisher_free(&link->publishers[i]);
        else
            consumer_free(&link->consumers[i]);
    }
    free(link->publishers);
    free(link->consumers);
    free(link);
}

void link_begin(struct link *link)
{
    static const struct conn_ops ops = {on_opened, on_closed, on_drained, on_blocked};
    const struct load *load = link->worker->load;
    char who[CONN_WHO_SIZE];

    snprintf(who, sizeof who, "%.16s %s %u", load->options->id,
             link->is_publishing ? "publisher" : "consumer", link->number + 1);
    link->conn = conn_open(&link->worker->loop, &load->targets[link->number % load->options->uri_count], who,
                           &ops, link);
}

void link_look(struct link *link)
{
    const struct load *load = link->worker->load;
    bool ends = atomic_load(&load->must_end);

    if (!link->conn || link->conn->state != CONN_OPEN)
        return;
    for (unsigned i = 0; i < link->count && link->is_publishing; i++) {
        publisher_begin(&link->publishers[i]);
        if (atomic_load(&load->must_stop) || ends)
            publisher_stop(&link->publishers[i]);
    }
    for (unsigned i = 0; i < link->count && !link->is_publishing; i++) {
        consumer_begin(&link->consumers[i]);
        if (ends && !link->consumers[i].is_done)
            consumer_finish(&link->consumers[i]);
    }
    if (ends) {
        conn_hold(link->conn, false); /* the answer is to be read, whatever the pace is */
        conn_close(link->conn);
    }
}
