/* SPDX-License-Identifier: Apache-2.0 */
/* catalog_text.h: octets that are not letters or digits become \NN, so that rows of any content can be told
 * apart and read. */
#include "catalog_text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static void print_octets(FILE *out, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        if (isalnum(bytes.data[i]))
            putc_unlocked(bytes.data[i], out);
        else
            fprintf(out, "\\%02x", bytes.data[i]);
    fputc(';', out);
}

static bool print_state(void *out, const struct catalog_state *state)
{
    fprintf(out, "state %ju %ju %ju\n", (uintmax_t)state->epoch, (uintmax_t)state->journal_first,
            (uintmax_t)state->journal_synced);
    return true;
}

static bool print_vhost(void *out, const struct catalog_vhost *vhost)
{
    fprintf(out, "vhost %u %ju ", vhost->id, (uintmax_t)vhost->lsn);
    print_octets(out, vhost->name);
    return fputc('\n', out) != EOF;
}

static bool print_entry(void *out, const struct catalog_entry *entry)
{
    fputs("entry ", out);
    print_octets(out, entry->section);
    print_octets(out, entry->vhost);
    print_octets(out, entry->name);
    print_octets(out, entry->json);
    return fputc('\n', out) != EOF;
}

static bool print_exchange(void *out, const struct catalog_exchange *exchange)
{
    fprintf(out, "exchange %u %ju %d %d ", exchange->vhost, (uintmax_t)exchange->lsn, exchange->auto_delete,
            exchange->internal);
    print_octets(out, exchange->name);
    print_octets(out, exchange->type);
    print_octets(out, exchange->arguments);
    return fputc('\n', out) != EOF;
}

static bool print_queue(void *out, const struct catalog_queue *queue)
{
    fprintf(out, "queue %u %ju %d ", queue->vhost, (uintmax_t)queue->id, queue->auto_delete);
    print_octets(out, queue->name);
    print_octets(out, queue->arguments);
    print_octets(out, queue->state);
    return fputc('\n', out) != EOF;
}

static bool print_binding(void *out, const struct catalog_binding *binding)
{
    fprintf(out, "binding %u %ju %d ", binding->vhost, (uintmax_t)binding->lsn, binding->to_exchange);
    print_octets(out, binding->source);
    print_octets(out, binding->destination);
    print_octets(out, binding->routing_key);
    print_octets(out, binding->arguments);
    return fputc('\n', out) != EOF;
}

static bool print_run(void *out, const struct catalog_run *run)
{
    fprintf(out, "run %u %ju %u %ju %u %ju %u %ju %ju %ju ", run->vhost, (uintmax_t)run->queue, run->level,
            (uintmax_t)run->first, run->span, (uintmax_t)run->next_deadline, run->place.file,
            (uintmax_t)run->place.offset, (uintmax_t)run->place.size, (uintmax_t)run->live_octets);
    print_octets(out, run->live);
    return fputc('\n', out) != EOF;
}

char *catalog_text(struct catalog *catalog, int *result)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    const struct catalog_reader reader = {
        .context = out,
        .state = print_state,
        .vhost = print_vhost,
        .entry = print_entry,
        .exchange = print_exchange,
        .queue = print_queue,
        .binding = print_binding,
        .run = print_run,
    };

    if (!out)
        abort();
    *result = catalog_read(catalog, &reader);
    fclose(out);
    return text;
}
