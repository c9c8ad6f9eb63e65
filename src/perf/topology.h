/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which exchange and queues a run uses, and who of its publishers and consumers uses which: as many queues as
 * there are are dealt out in turn.
 */
#ifndef PERF_TOPOLOGY_H
#define PERF_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/bytes.h"

struct control;
struct options;

struct topology {
    const struct options *options;
    struct bytes *queues; /* names; owned array */
    unsigned queue_count;
    struct bytes exchange, type;
    char *made_up_queue, *made_up_exchange; /* NULL: it was named, and is not ours to delete */
    unsigned copies;                        /* queues that each message goes to */
};

/* What is numbered FIRST, FIRST + STEP ... of COUNT. */
struct share {
    unsigned first, step, count;
};

/* Decide on names. ID makes those unique that are made up. */
void topology_plan(struct topology *topology, const struct options *options, uint32_t id);
void topology_free(struct topology *topology);

/* Which of QUEUES queues are those of member MEMBER of MEMBERS: one, or every one that is not another's. */
struct share topology_share(unsigned queues, unsigned member, unsigned members);

/* Declare and bind. False with the reason in CONTROL. */
bool topology_declare(const struct topology *topology, struct control *control);

/* Delete what was made up; what fails is no matter. */
void topology_delete(const struct topology *topology, struct control *control);

#endif
