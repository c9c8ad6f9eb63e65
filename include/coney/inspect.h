/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking into a data directory that no node uses: all that is wrong with it, and all that is in it. Nothing
 * on disk is changed, not even what a start would mend.
 *
 * What is found is told as lines: a kind ("queue", "run", "record", ...) and fields. A start is tried too, in
 * memory: what it would refuse is damage.
 */
#ifndef CONEY_INSPECT_H
#define CONEY_INSPECT_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/bytes.h"
#include "coney/sys.h"

enum inspect_type {
    INSPECT_NUMBER,
    INSPECT_TRUTH,      /* `number` is 0 or 1 */
    INSPECT_NAME,       /* octets that are a name: most often UTF-8 */
    INSPECT_OCTETS,     /* any octets */
    INSPECT_TABLE,      /* contents of an AMQP table, perhaps not valid */
    INSPECT_PROPERTIES, /* property flags and values as in a content header, perhaps not valid */
    INSPECT_JSON,       /* an object, as text, perhaps not valid */
};

struct inspect_field {
    const char *name;
    enum inspect_type type;
    uint64_t number;
    struct bytes octets;
};

/* What is passed is borrowed for the call. */
struct inspect_sink {
    void *context;
    void (*damage)(void *context, const char *text); /* where it is, and what is wrong */
    void (*note)(void *context, const char *text);   /* nothing wrong, but good to know */
    /* In a stable order: node, vhosts, entries, exchanges, queues with their levels, bindings, runs with
     * their messages, records of the journal. NULL: not wanted. */
    void (*line)(void *context, const char *kind, const struct inspect_field *fields, unsigned count);
    bool wants_bodies; /* with messages, and with records */
};

struct inspect_summary {
    uint64_t damages;
    uint64_t vhosts, exchanges, queues, bindings, messages; /* as a start would have them */
    uint64_t runs;                                          /* named by the catalog */
    uint64_t files;                                         /* segment files that are there */
    uint64_t records, octets, cut;                          /* of the journal */
};

enum inspect_result {
    INSPECT_SOUND,
    INSPECT_DAMAGED,
    INSPECT_IN_USE,     /* told as damage, with the process that has it */
    INSPECT_UNREADABLE, /* the system refuses, or FOLDER is no data directory: told as damage */
};

/* Look at all of FOLDER, by way of SYS. The worst of what was found. */
enum inspect_result inspect(struct sys *sys, const char *folder, const struct inspect_sink *sink,
                            struct inspect_summary *summary);

#endif
