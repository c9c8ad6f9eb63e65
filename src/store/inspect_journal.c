/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect.h: the journal. Its files are gone through as at a start (wal_open()), and each record and each
 * message in it is decoded. What records mean is left to the start that is tried afterwards: replay begins
 * before the last checkpoint, so that records may well speak of what is not there any more.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "coney/xalloc.h"
#include "inspect_fields.h"
#include "logged.h"
#include "record.h"
#include "wal.h"

#define FIELDS_MAX 24

struct fields {
    struct inspect_field all[FIELDS_MAX];
    unsigned count;
};

static void add(struct fields *fields, struct inspect_field field)
{
    fields->all[fields->count++] = field;
}

static void add_number(struct fields *fields, const char *name, uint64_t number)
{
    add(fields, (struct inspect_field)INSPECT_COUNT(name, number));
}

static void add_flag(struct fields *fields, const char *name, bool value)
{
    add(fields, (struct inspect_field)INSPECT_BOOL(name, value));
}

static void add_octets(struct fields *fields, enum inspect_type type, const char *name, struct bytes octets)
{
    add(fields, (struct inspect_field)INSPECT_FIELD(type, name, octets));
}

static void add_topology(struct fields *fields, const struct logged *record)
{
    const struct bytes *names = record->names;

    switch (record->kind) {
    case JOURNAL_DECLARE_EXCHANGE:
        add_octets(fields, INSPECT_NAME, "name", names[0]);
        add_octets(fields, INSPECT_NAME, "type", names[1]);
        add_flag(fields, "auto_delete", record->flags & LOGGED_AUTO_DELETE);
        add_flag(fields, "internal", record->flags & LOGGED_INTERNAL);
        add_octets(fields, INSPECT_TABLE, "arguments", names[2]);
        break;
    case JOURNAL_DECLARE_QUEUE:
        add_octets(fields, INSPECT_NAME, "name", names[0]);
        add_flag(fields, "auto_delete", record->flags & LOGGED_AUTO_DELETE);
        add_octets(fields, INSPECT_TABLE, "arguments", names[1]);
        break;
    case JOURNAL_BIND:
    case JOURNAL_UNBIND:
        add_octets(fields, INSPECT_NAME, "source", names[0]);
        add_flag(fields, "to_exchange", record->flags & LOGGED_TO_EXCHANGE);
        add_octets(fields, INSPECT_NAME, "destination", names[1]);
        add_octets(fields, INSPECT_NAME, "routing_key", names[2]);
        add_octets(fields, INSPECT_TABLE, "arguments", names[3]);
        break;
    case LOGGED_ENTRY:
    case LOGGED_ENTRY_GONE:
        add_octets(fields, INSPECT_NAME, "section", names[0]);
        add_octets(fields, INSPECT_NAME, "of_vhost", names[1]);
        add_octets(fields, INSPECT_NAME, "name", names[2]);
        if (record->kind == LOGGED_ENTRY)
            add_octets(fields, INSPECT_JSON, "value", names[3]);
        break;
    case JOURNAL_DELETE_QUEUE:
        add_number(fields, "queue", record->queue);
        break;
    default: /* JOURNAL_DELETE_EXCHANGE, LOGGED_VHOST */
        add_octets(fields, INSPECT_NAME, "name", names[0]);
        break;
    }
}

static void add_position(struct fields *fields, const struct logged *record)
{
    add_number(fields, "queue", record->queue);
    add_number(fields, "level", record->level);
    add_number(fields, "number", record->number);
    if (record->kind == JOURNAL_REDELIVERY)
        add_number(fields, "delivery_count", record->delivery_count);
    else if (record->kind == JOURNAL_PURGE)
        add_number(fields, "below", record->below);
    else if ((record->kind == JOURNAL_ENQUEUE || record->kind == LOGGED_AGAIN) &&
             record->deadline != INT64_MAX)
        add_number(fields, "deadline", (uint64_t)record->deadline);
}

/* MESSAGE: of an enqueue. */
static void tell(struct inspection *inspection, uint64_t file, const struct logged *record,
                 const struct message *message)
{
    struct fields fields = {.count = 0};

    add_number(&fields, "file", file);
    add_octets(&fields, INSPECT_NAME, "record", bytes_from_string(logged_kind_name(record->kind)));
    add_number(&fields, "vhost", record->vhost);
    add_number(&fields, "lsn", record->lsn);
    if (logged_is_topology(record->kind))
        add_topology(&fields, record);
    else
        add_position(&fields, record);
    if (message)
        fields.count = inspect_message(inspection, message, fields.all, fields.count);
    inspect_line(inspection, "record", fields.all, fields.count);
}

static bool look_at(void *context, uint64_t file, const uint8_t *octets, size_t size, char why[WAL_WHY_SIZE])
{
    struct inspection *inspection = context;
    struct message *message = NULL;
    struct logged *record = &inspection->record;

    (void)why;
    if (!logged_decode(record, octets, size)) {
        inspect_damage(inspection, "%s/journal: file %" PRIu64 ": a record of %zu octets is none",
                       inspection->folder, file, size);
        return true;
    }
    if (record->kind == JOURNAL_ENQUEUE) {
        message = record_get_message(record->message.data, record->message.size);
        if (!message)
            inspect_damage(inspection,
                           "%s/journal: file %" PRIu64 ": record %" PRIu64 " of vhost %" PRIu32
                           ": its message is none",
                           inspection->folder, file, record->lsn, record->vhost);
    }
    do
        if (inspection->sink->line)
            tell(inspection, file, record, message);
    while (logged_next(record));
    if (message)
        message_unref(message);
    return true;
}

static void written(void *context, struct wal_chunk *chunks, uint64_t file)
{
    (void)context;
    (void)chunks;
    (void)file; /* nothing is */
}

void inspect_journal(struct inspection *inspection)
{
    char folder[4096], why[WAL_WHY_SIZE];
    const struct wal_settings settings = {.folder = folder, .epoch = inspection->state.epoch};
    struct wal_replay replay = {.first = inspection->state.journal_first,
                                .synced = inspection->state.journal_synced,
                                .each = look_at,
                                .context = inspection};
    struct wal *wal;

    if (!inspection->has_state) /* of a node that ended before it kept anything */
        return;
    snprintf(folder, sizeof folder, "%s/journal", inspection->folder);
    wal = wal_open(inspection->sys, &settings, &replay, written, NULL, why);
    inspection->summary->records = replay.records;
    inspection->summary->octets = replay.octets;
    inspection->summary->cut = replay.cut;
    if (!wal) {
        inspect_error(inspection, replay.error, why);
        return;
    }
    if (replay.cut)
        inspect_note(inspection,
                     "%s: %" PRIu64 " octets behind its last whole batch, which a start will cut off", folder,
                     replay.cut);
    wal_close(wal);
}
