/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Printing for coneyd_inspect.h. JSON can say less than octets can: what it cannot say as it is (names that
 * are no UTF-8, tables in which a name comes twice, properties or entries that do not decode) becomes
 * {"base64": "..."}, and a float that is no number null. Of a table's types only what JSON tells apart is
 * left.
 */
#include "coneyd_inspect.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "coney/base64.h"
#include "coney/inspect.h"
#include "coney/properties.h"
#include "coney/table.h"

/* ---- JSON ---- */

static json_t *as_table(struct bytes table);

static json_t *base64(struct bytes octets)
{
    char *text = base64_encode(octets);
    json_t *value = json_string(text);

    free(text);
    return value;
}

static json_t *as_octets(struct bytes octets)
{
    json_t *object = json_object();

    json_object_set_new(object, "base64", base64(octets));
    return object;
}

static json_t *as_name(struct bytes name)
{
    return utf8_is_valid(name) ? json_stringn(name.size ? (const char *)name.data : "", name.size)
                               : as_octets(name);
}

static json_t *as_decimal(const struct field *field)
{
    double value = (int32_t)field->decimal.value;

    for (unsigned i = 0; i < field->decimal.scale; i++)
        value /= 10;
    return json_real(value);
}

/* Arrays are as deep as tables, and those are checked as a whole before: as_table(). */
static json_t *as_value(const struct field *field) /* NOLINT(misc-no-recursion): TABLE_DEPTH_MAX */
{
    struct table_iterator iterator;
    struct field inner;
    json_t *array;
    int64_t integer;

    if (field_is_integer(field, &integer))
        return json_integer(integer);
    switch (field->type) {
    case FIELD_BOOL:
        return json_boolean(field->b);
    case FIELD_TIMESTAMP:
        return json_integer((json_int_t)field->u);
    case FIELD_FLOAT:
    case FIELD_DOUBLE:
        return isfinite(field->d) ? json_real(field->d) : json_null();
    case FIELD_DECIMAL:
        return as_decimal(field);
    case FIELD_LONGSTR:
        return as_name(field->bytes);
    case FIELD_BINARY:
        return as_octets(field->bytes);
    case FIELD_TABLE:
        return as_table(field->bytes);
    case FIELD_ARRAY:
        array = json_array();
        for (iterator = array_begin(field->bytes); array_next(&iterator, &inner);)
            json_array_append_new(array, as_value(&inner));
        return array;
    default:
        return json_null();
    }
}

/* Put VALUE into OBJECT; false when NAME is none that JSON can have, or is there already. */
static bool put(json_t *object, struct bytes name, json_t *value)
{
    char key[SHORTSTR_MAX + 1];

    memcpy(key, name.size ? (const char *)name.data : "", name.size);
    key[name.size] = '\0';
    if (strlen(key) == name.size && !json_object_get(object, key))
        return json_object_set_new(object, key, value) == 0;
    json_decref(value);
    return false;
}

static json_t *as_table(struct bytes table) /* NOLINT(misc-no-recursion): TABLE_DEPTH_MAX */
{
    struct table_iterator iterator = table_begin(table);
    json_t *object = json_object();
    bool good = table_is_valid(table, TABLE_DEPTH_MAX);
    struct bytes name;
    struct field field;

    while (good && table_next(&iterator, &name, &field))
        good = put(object, name, as_value(&field));
    if (good)
        return object;
    json_decref(object);
    return as_octets(table);
}

static json_t *as_json(struct bytes text)
{
    json_t *value = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, NULL);

    return value ? value : as_octets(text);
}

static json_t *as_properties(struct bytes octets)
{
    struct properties p;
    json_t *object;

    if (!properties_decode(&p, octets))
        return as_octets(octets);
    const struct {
        uint16_t flag;
        const char *name;
        struct bytes value;
    } names[] = {
        {PROPERTY_CONTENT_TYPE, "content_type", p.content_type},
        {PROPERTY_CONTENT_ENCODING, "content_encoding", p.content_encoding},
        {PROPERTY_CORRELATION_ID, "correlation_id", p.correlation_id},
        {PROPERTY_REPLY_TO, "reply_to", p.reply_to},
        {PROPERTY_EXPIRATION, "expiration", p.expiration},
        {PROPERTY_MESSAGE_ID, "message_id", p.message_id},
        {PROPERTY_TYPE, "type", p.type},
        {PROPERTY_USER_ID, "user_id", p.user_id},
        {PROPERTY_APP_ID, "app_id", p.app_id},
        {PROPERTY_CLUSTER_ID, "cluster_id", p.cluster_id},
    };

    object = json_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (p.flags & names[i].flag)
            json_object_set_new(object, names[i].name, as_name(names[i].value));
    if (p.flags & PROPERTY_DELIVERY_MODE)
        json_object_set_new(object, "delivery_mode", json_integer(p.delivery_mode));
    if (p.flags & PROPERTY_PRIORITY)
        json_object_set_new(object, "priority", json_integer(p.priority));
    if (p.flags & PROPERTY_TIMESTAMP)
        json_object_set_new(object, "timestamp", json_integer((json_int_t)p.timestamp));
    if (p.flags & PROPERTY_HEADERS)
        json_object_set_new(object, "headers", as_table(p.headers));
    return object;
}

static json_t *as_field(const struct inspect_field *field)
{
    switch (field->type) {
    case INSPECT_NUMBER:
        return json_integer((json_int_t)field->number);
    case INSPECT_TRUTH:
        return json_boolean(field->number);
    case INSPECT_NAME:
        return as_name(field->octets);
    case INSPECT_TABLE:
        return as_table(field->octets);
    case INSPECT_PROPERTIES:
        return as_properties(field->octets);
    case INSPECT_JSON:
        return as_json(field->octets);
    case INSPECT_OCTETS:
        break;
    }
    return base64(field->octets);
}

/* ---- what is found ---- */

static void print_damage(void *context, const char *text)
{
    fprintf(context, "damaged: %s\n", text);
}

static void print_note(void *context, const char *text)
{
    fprintf(context, "note: %s\n", text);
}

static void print_line(void *context, const char *kind, const struct inspect_field *fields, unsigned count)
{
    json_t *object = json_object();

    (void)context;
    json_object_set_new(object, "kind", json_string(kind));
    for (unsigned i = 0; i < count; i++)
        json_object_set_new(object, fields[i].name, as_field(&fields[i]));
    json_dumpf(object, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(object);
}

static int look(const char *folder, const struct inspect_sink *sink, struct inspect_summary *summary)
{
    static const int codes[] = {[INSPECT_SOUND] = EX_OK,
                                [INSPECT_DAMAGED] = EX_DATAERR,
                                [INSPECT_IN_USE] = EX_TEMPFAIL,
                                [INSPECT_UNREADABLE] = EX_IOERR};
    struct sys *sys = sys_posix_new();
    int code = codes[inspect(sys, folder, sink, summary)];

    sys_free(sys);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "coneyd: what was found cannot be printed\n");
        return EX_IOERR;
    }
    return code;
}

int coneyd_check(const char *folder)
{
    const struct inspect_sink sink = {.context = stdout, .damage = print_damage, .note = print_note};
    struct inspect_summary summary;
    int code = look(folder, &sink, &summary);

    if (code == EX_TEMPFAIL)
        return code;
    if (!summary.damages)
        printf("%s: sound: %" PRIu64 " vhosts, %" PRIu64 " exchanges, %" PRIu64 " queues, %" PRIu64
               " bindings, %" PRIu64 " messages; %" PRIu64 " runs in %" PRIu64 " segment files; %" PRIu64
               " journal records in %" PRIu64 " octets\n",
               folder, summary.vhosts, summary.exchanges, summary.queues, summary.bindings, summary.messages,
               summary.runs, summary.files, summary.records, summary.octets);
    else
        printf("%s: %s: %" PRIu64 " lines above say what is wrong\n", folder,
               code == EX_DATAERR ? "damaged" : "cannot be read", summary.damages);
    return code;
}

int coneyd_dump(const char *folder, bool bodies)
{
    const struct inspect_sink sink = {.context = stderr,
                                      .damage = print_damage,
                                      .note = print_note,
                                      .line = print_line,
                                      .wants_bodies = bodies};
    struct inspect_summary summary;

    return look(folder, &sink, &summary);
}
