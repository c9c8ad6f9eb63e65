/* SPDX-License-Identifier: Apache-2.0 */
/* A connection of a run, with the publishers or the consumers that are its channels. A worker's own. */
#ifndef PERF_LINK_H
#define PERF_LINK_H

#include <stdbool.h>

struct conn;
struct consumer;
struct publisher;
struct worker;

struct link {
    struct worker *worker;
    struct conn *conn; /* NULL: before and after */
    bool is_publishing;
    unsigned number; /* of all of its kind */
    unsigned count;  /* of channels */
    struct publisher *publishers;
    struct consumer *consumers;
};

struct link *link_new(struct worker *worker, bool is_publishing, unsigned number)
    __attribute__((returns_nonnull));
void link_free(struct link *link);

/* Connect. */
void link_begin(struct link *link);

/* Look at what struct load says now. */
void link_look(struct link *link);

#endif
