/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What inspect.c (the course of it, the catalog), inspect_runs.c and inspect_journal.c share.
 */
#ifndef STORE_INSPECT_FIELDS_H
#define STORE_INSPECT_FIELDS_H

#include "catalog.h"
#include "coney/hash.h"
#include "coney/inspect.h"
#include "coney/message.h"
#include "logged.h"

#define INSPECT_WHY_SIZE 1024

/* A queue that the catalog has. */
struct inspect_queue {
    UT_hash_handle hh;
    struct {
        uint64_t id;
        uint64_t vhost;
    } key;
};

/* A run that the catalog names, by where it is. */
struct inspect_place {
    UT_hash_handle hh;
    struct {
        uint64_t file;
        uint64_t offset;
    } key;
    bool is_damaged; /* and that was told */
};

struct inspection {
    struct sys *sys; /* an overlay */
    const char *folder;
    const struct inspect_sink *sink;
    struct inspect_summary *summary;
    bool is_unreadable;
    bool has_state;
    struct catalog_state state;
    struct inspect_queue *queues;
    struct inspect_place *places;
    struct segments *segments;
    struct logged record; /* of the journal: the last one */
};

void inspect_damage(struct inspection *inspection, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void inspect_note(struct inspection *inspection, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* TEXT tells of ERROR, a negative errno: -EBADMSG or -ENOTSUP is damage, else the system refuses. */
void inspect_error(struct inspection *inspection, int error, const char *text);

/* Tell a line. */
#define INSPECT_LINE(inspection, kind, ...)                                     \
    inspect_line(inspection, kind, (const struct inspect_field[]){__VA_ARGS__}, \
                 sizeof((const struct inspect_field[]){__VA_ARGS__}) / sizeof(struct inspect_field))
#define INSPECT_FIELD(type, name, octets) \
    {                                     \
        name, type, 0, octets             \
    }
#define INSPECT_COUNT(name, value)   \
    {                                \
        name, INSPECT_NUMBER, value, \
        {                            \
            NULL, 0                  \
        }                            \
    }
#define INSPECT_BOOL(name, value)   \
    {                               \
        name, INSPECT_TRUTH, value, \
        {                           \
            NULL, 0                 \
        }                           \
    }

void inspect_line(struct inspection *inspection, const char *kind, const struct inspect_field *fields,
                  unsigned count);

/* Fields of MESSAGE, behind the COUNT that are there; the number of all. */
#define INSPECT_MESSAGE_FIELDS 7
unsigned inspect_message(const struct inspection *inspection, const struct message *message,
                         struct inspect_field *fields, unsigned count);

/* ---- inspect_runs.c ---- */

/* A row of the catalog about a run, whose queue is there or not. */
bool inspect_take_run(struct inspection *inspection, const struct catalog_run *row);
/* When all rows were taken: the segments, against these; with lines, the runs in the catalog's order. */
void inspect_segments(struct inspection *inspection, struct catalog *catalog);

/* ---- inspect_journal.c ---- */

void inspect_journal(struct inspection *inspection);

#endif
