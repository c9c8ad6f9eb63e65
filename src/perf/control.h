/* SPDX-License-Identifier: Apache-2.0 */
/* A connection that waits for its answers: for what is declared before a run, and deleted after it. */
#ifndef PERF_CONTROL_H
#define PERF_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "conn.h"

struct control {
    struct loop loop;
    struct conn *conn; /* NULL: it ended */
    struct channel channel;
    bool is_open;            /* the connection was */
    bool is_channel_gone;    /* the broker closed it */
    unsigned waiting;        /* for so many answers */
    char why[CONN_WHY_SIZE]; /* it failed */
};

/* Connect, and open a channel. False with WHY in it, and then too control_close() is to be called. */
bool control_open(struct control *control, const struct target *target, const char *who);

/* Ask for something that has an answer. */
void control_say(struct control *control, const struct method *method);

/* Wait until at most WAITING answers are still to come. False when the broker refused, or ended it. */
bool control_wait(struct control *control, unsigned waiting);

/* After a refusal: another channel. */
bool control_reopen(struct control *control);

void control_close(struct control *control);

#endif
