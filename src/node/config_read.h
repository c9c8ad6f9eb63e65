/* SPDX-License-Identifier: Apache-2.0 */
/* From the sources of a configuration to a list of assignments, in the order in which they count. */
#ifndef NODE_CONFIG_READ_H
#define NODE_CONFIG_READ_H

#include <stdbool.h>
#include <stddef.h>

#include "coney/config.h"

struct assignment {
    char *where; /* "FILE:LINE: ", "CONEY_KEY: " or "--set: " */
    char *key;
    char *value;
};

struct reading {
    struct assignment *assignments;
    size_t count;
    struct config_words *notices; /* where they go */
    config_report *report;
    void *context;
    bool failed;
};

/* Read all that SOURCE names. What is wrong is complained about. */
void config_read(struct reading *reading, const struct config_source *source);
void reading_free(struct reading *reading);

/* Report that something is wrong. */
void complain(struct reading *reading, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Add a line to the notices. */
void notice(struct reading *reading, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether TEXT is PATTERN, in which one * stands for anything but nothing; *WORD and *SIZE say what. */
bool config_matches(const char *pattern, const char *text, const char **word, size_t *size);

#endif
