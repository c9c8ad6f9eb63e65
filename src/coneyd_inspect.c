/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Printing for coneyd_inspect.h. What JSON cannot say as it is becomes {"base64": "..."}
 * (coney/json_table.h), and so do entries that do not decode.
 */
#include "coneyd_inspect.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "coney/base64.h"
#include "coney/inspect.h"
#include "coney/json_table.h"

/* ---- JSON ---- */

static json_t *base64(struct bytes octets)
{
    char *text = base64_encode(octets);
    json_t *value = json_string(text);

    free(text);
    return value;
}

static json_t *as_json(struct bytes text)
{
    json_t *value = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, NULL);

    return value ? value : json_from_octets(text);
}

static json_t *as_field(const struct inspect_field *field)
{
    switch (field->type) {
    case INSPECT_NUMBER:
        return json_integer((json_int_t)field->number);
    case INSPECT_TRUTH:
        return json_boolean(field->number);
    case INSPECT_NAME:
        return json_from_text(field->octets, JSON_EXACT);
    case INSPECT_TABLE:
        return json_from_table(field->octets, JSON_EXACT);
    case INSPECT_PROPERTIES:
        return json_from_properties(field->octets, JSON_EXACT);
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
