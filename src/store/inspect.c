/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect.h: the lock, the catalog, a start in memory, and the order of it all. Everything below the lock
 * goes through an overlay, so that the code that a node runs with can be used as it is.
 */
#include "coney/inspect.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/checkpoint.h"
#include "coney/vhost.h"
#include "coney/xalloc.h"
#include "format.h"
#include "inspect_fields.h"
#include "segment.h"
#include "sys_overlay.h"
#include "trial.h"

#define PATH_SIZE      4096
#define LOCK_TEXT_SIZE 32
#define JOURNAL_WINDOW (UINT64_C(256) << 20) /* of no matter to what is there */

/* ---- telling ---- */

void inspect_damage(struct inspection *inspection, const char *format, ...)
{
    char text[INSPECT_WHY_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    inspection->sink->damage(inspection->sink->context, text);
    inspection->summary->damages++;
}

void inspect_note(struct inspection *inspection, const char *format, ...)
{
    char text[INSPECT_WHY_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    inspection->sink->note(inspection->sink->context, text);
}

void inspect_error(struct inspection *inspection, int error, const char *text)
{
    if (error != -EBADMSG && error != -ENOTSUP)
        inspection->is_unreadable = true;
    inspect_damage(inspection, "%s", text);
}

void inspect_line(struct inspection *inspection, const char *kind, const struct inspect_field *fields,
                  unsigned count)
{
    if (inspection->sink->line)
        inspection->sink->line(inspection->sink->context, kind, fields, count);
}

unsigned inspect_message(const struct inspection *inspection, const struct message *message,
                         struct inspect_field *fields, unsigned count)
{
    const struct inspect_field all[] = {
        INSPECT_FIELD(INSPECT_NAME, "exchange", message_exchange(message)),
        INSPECT_FIELD(INSPECT_NAME, "routing_key", message_routing_key(message)),
        INSPECT_COUNT("priority", message->priority),
        INSPECT_BOOL("persistent", message_is_persistent(message)),
        INSPECT_FIELD(INSPECT_PROPERTIES, "properties", message_properties(message)),
        INSPECT_COUNT("body_size", message->body_size),
        INSPECT_FIELD(INSPECT_OCTETS, "body", message_body(message)),
    };
    unsigned more = INSPECT_MESSAGE_FIELDS - !inspection->sink->wants_bodies;

    _Static_assert(sizeof all / sizeof *all == INSPECT_MESSAGE_FIELDS, "as the header says");
    memcpy(fields + count, all, more * sizeof *all);
    return count + more;
}

/* ---- the catalog ---- */

static bool take_state(void *context, const struct catalog_state *state)
{
    struct inspection *inspection = context;

    inspection->state = *state;
    inspection->has_state = true;
    INSPECT_LINE(inspection, "node", INSPECT_COUNT("epoch", state->epoch),
                 INSPECT_COUNT("journal_first", state->journal_first),
                 INSPECT_COUNT("journal_synced", state->journal_synced));
    return true;
}

static bool take_vhost(void *context, const struct catalog_vhost *vhost)
{
    INSPECT_LINE(context, "vhost", INSPECT_COUNT("id", vhost->id),
                 INSPECT_FIELD(INSPECT_NAME, "name", vhost->name), INSPECT_COUNT("lsn", vhost->lsn));
    return true;
}

static bool take_entry(void *context, const struct catalog_entry *entry)
{
    INSPECT_LINE(context, "entry", INSPECT_FIELD(INSPECT_NAME, "section", entry->section),
                 INSPECT_FIELD(INSPECT_NAME, "vhost", entry->vhost),
                 INSPECT_FIELD(INSPECT_NAME, "name", entry->name),
                 INSPECT_FIELD(INSPECT_JSON, "value", entry->json));
    return true;
}

static bool take_exchange(void *context, const struct catalog_exchange *exchange)
{
    INSPECT_LINE(context, "exchange", INSPECT_COUNT("vhost", exchange->vhost),
                 INSPECT_FIELD(INSPECT_NAME, "name", exchange->name), INSPECT_COUNT("lsn", exchange->lsn),
                 INSPECT_FIELD(INSPECT_NAME, "type", exchange->type),
                 INSPECT_BOOL("auto_delete", exchange->auto_delete),
                 INSPECT_BOOL("internal", exchange->internal),
                 INSPECT_FIELD(INSPECT_TABLE, "arguments", exchange->arguments));
    return true;
}

static void take_levels(struct inspection *inspection, const struct catalog_queue *queue)
{
    if (queue->state.size % QUEUE_STATE_LEVEL)
        inspect_damage(inspection,
                       "%s/catalog.db: queue %" PRIu64 " of vhost %" PRIu32 ": a state of %zu octets",
                       inspection->folder, queue->id, queue->vhost, queue->state.size);
    for (size_t at = 0; queue->state.size - at >= QUEUE_STATE_LEVEL; at += QUEUE_STATE_LEVEL) {
        const uint8_t *p = queue->state.data + at;

        INSPECT_LINE(inspection, "level", INSPECT_COUNT("vhost", queue->vhost),
                     INSPECT_COUNT("queue", queue->id), INSPECT_COUNT("level", p[0]),
                     INSPECT_COUNT("next", get_u64(p + 1)), INSPECT_COUNT("saved", get_u64(p + 9)),
                     INSPECT_COUNT("mark", get_u64(p + 17)),
                     INSPECT_COUNT("redelivered_below", get_u64(p + 25)));
        if (get_u64(p + 9) > get_u64(p + 1))
            inspect_damage(inspection,
                           "%s/catalog.db: queue %" PRIu64 " of vhost %" PRIu32
                           ": of level %d more is saved than there was",
                           inspection->folder, queue->id, queue->vhost, p[0]);
    }
}

static bool take_queue(void *context, const struct catalog_queue *queue)
{
    struct inspection *inspection = context;
    struct inspect_queue *known = xcalloc(1, sizeof *known);

    known->key.id = queue->id;
    known->key.vhost = queue->vhost;
    HASH_ADD(hh, inspection->queues, key, sizeof known->key, known);
    INSPECT_LINE(inspection, "queue", INSPECT_COUNT("vhost", queue->vhost), INSPECT_COUNT("id", queue->id),
                 INSPECT_FIELD(INSPECT_NAME, "name", queue->name),
                 INSPECT_BOOL("auto_delete", queue->auto_delete),
                 INSPECT_FIELD(INSPECT_TABLE, "arguments", queue->arguments));
    take_levels(inspection, queue);
    return true;
}

static bool take_binding(void *context, const struct catalog_binding *binding)
{
    INSPECT_LINE(context, "binding", INSPECT_COUNT("vhost", binding->vhost),
                 INSPECT_FIELD(INSPECT_NAME, "source", binding->source),
                 INSPECT_BOOL("to_exchange", binding->to_exchange),
                 INSPECT_FIELD(INSPECT_NAME, "destination", binding->destination),
                 INSPECT_FIELD(INSPECT_NAME, "routing_key", binding->routing_key),
                 INSPECT_FIELD(INSPECT_TABLE, "arguments", binding->arguments),
                 INSPECT_COUNT("lsn", binding->lsn));
    return true;
}

static bool take_run(void *context, const struct catalog_run *row)
{
    return inspect_take_run(context, row);
}

static void report_catalog(void *context, const char *text)
{
    inspect_damage(context, "%s", text);
}

static bool read_catalog(struct inspection *inspection, struct catalog *catalog)
{
    const struct catalog_reader reader = {.context = inspection,
                                          .state = take_state,
                                          .vhost = take_vhost,
                                          .entry = take_entry,
                                          .exchange = take_exchange,
                                          .queue = take_queue,
                                          .binding = take_binding,
                                          .run = take_run};
    int error = catalog_check(catalog, report_catalog, inspection);

    if (!error)
        error = catalog_read(catalog, &reader);
    if (error && error != -EBADMSG) /* that was told */
        inspect_error(inspection, error, catalog_why(catalog));
    return !error;
}

static struct catalog *open_catalog(struct inspection *inspection)
{
    char why[CATALOG_WHY_SIZE];
    struct catalog *catalog;
    bool is_new;
    int error = format_check(inspection->sys, inspection->folder, why, sizeof why);

    if (error) {
        inspect_error(inspection, error, why);
        return NULL;
    }
    error = catalog_open(inspection->sys, inspection->folder, &catalog, &is_new, why);
    if (error)
        inspect_error(inspection, error, why);
    return catalog;
}

/* ---- a start ---- */

static void count_all(struct inspection *inspection, const struct trial *trial)
{
    struct inspect_summary *summary = inspection->summary;

    for (size_t i = 0; i < trial->count; i++) {
        struct vhost_info info;

        vhost_info(trial->vhosts[i].vhost, &info);
        summary->vhosts++;
        summary->exchanges += info.exchanges;
        summary->queues += info.queues;
        summary->bindings += info.bindings;
    }
    summary->messages = trial->opened.messages;
    if (trial->opened.is_new)
        inspect_note(inspection, "%s: new: nothing was ever kept in it", inspection->folder);
}

/* What a node would refuse is damage, whatever was found before; what it takes it must take as it is. */
static void try_start(struct inspection *inspection)
{
    const struct store_settings settings = {
        .folder = inspection->folder, .journal_window = JOURNAL_WINDOW, .memory_window = UINT64_MAX};
    struct sys *sys = sys_overlay_new(inspection->sys);
    char why[STORE_WHY_SIZE];
    struct trial trial;
    enum store_result result = trial_open(&trial, sys, &settings, why);

    if (result == STORE_OPENED)
        count_all(inspection, &trial);
    else
        inspect_error(inspection, result == STORE_DAMAGED ? -EBADMSG : -EIO, why);
    trial_close(&trial);
    sys_free(sys);
}

/* ---- all of it ---- */

static void look_at_all(struct inspection *inspection)
{
    struct catalog *catalog = open_catalog(inspection);

    if (catalog && read_catalog(inspection, catalog)) {
        inspect_segments(inspection, catalog);
        inspect_journal(inspection);
    }
    catalog_close(catalog);
    if (!inspection->summary->damages)
        try_start(inspection);
}

static void forget_all(struct inspection *inspection)
{
    struct inspect_queue *queue, *next_queue;
    struct inspect_place *place, *next_place;

    HASH_ITER (hh, inspection->queues, queue, next_queue) {
        HASH_DEL(inspection->queues, queue);
        free(queue);
    }
    HASH_ITER (hh, inspection->places, place, next_place) {
        HASH_DEL(inspection->places, place);
        free(place);
    }
}

static void note_any(void *context, const char *name)
{
    bool *found = context;

    if (strcmp(name, "catalog.db") == 0 || strcmp(name, "lock") == 0)
        *found = true;
}

/* Keep nodes out. A directory without a lock has none: whoever makes one makes that file first. Returns false
 * with what is wrong told. */
static bool lock(struct inspection *inspection, struct sys *sys, struct sys_file **file,
                 enum inspect_result *result)
{
    char path[PATH_SIZE], text[LOCK_TEXT_SIZE] = "";
    bool is_one = false;
    int error = sys_list(sys, inspection->folder, note_any, &is_one);

    *file = NULL;
    *result = INSPECT_UNREADABLE;
    if (error || !is_one) {
        inspect_damage(inspection, "%s: %s", inspection->folder,
                       error ? strerror(-error) : "this is no data directory");
        return false;
    }
    snprintf(path, sizeof path, "%s/lock", inspection->folder);
    error = sys_open(sys, path, SYS_READ, file);
    if (error == -ENOENT) {
        inspect_note(inspection, "%s: missing", path);
        return true;
    }
    if (!error)
        error = sys_lock(sys, *file);
    if (error == -EWOULDBLOCK) {
        sys_read(sys, *file, text, sizeof text - 1, 0);
        inspect_damage(inspection, "%s is in use by process %ld", inspection->folder, strtol(text, NULL, 10));
        *result = INSPECT_IN_USE;
    } else if (error) {
        inspect_damage(inspection, "%s: %s", path, strerror(-error));
    }
    return !error;
}

enum inspect_result inspect(struct sys *sys, const char *folder, const struct inspect_sink *sink,
                            struct inspect_summary *summary)
{
    struct inspection inspection = {.folder = folder, .sink = sink, .summary = summary};
    struct sys_file *locked;
    enum inspect_result result;

    *summary = (struct inspect_summary){0};
    if (lock(&inspection, sys, &locked, &result)) {
        inspection.sys = sys_overlay_new(sys);
        look_at_all(&inspection);
        forget_all(&inspection);
        sys_free(inspection.sys);
        result = inspection.is_unreadable ? INSPECT_UNREADABLE
                 : summary->damages       ? INSPECT_DAMAGED
                                          : INSPECT_SOUND;
    }
    sys_close(sys, locked);
    return result;
}
