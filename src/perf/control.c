/* SPDX-License-Identifier: Apache-2.0 */
/* control.h: a loop that turns until there is an answer. */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"

#define PATIENCE (60 * NS_PER_S) /* without an answer */

static void on_opened(struct conn *conn)
{
    struct control *control = conn->owner;

    control->is_open = true;
}

static void on_closed(struct conn *conn, const char *why)
{
    struct control *control = conn->owner;

    if (why && !control->why[0])
        snprintf(control->why, sizeof control->why, "%s", why);
    conn_free(conn);
    control->conn = NULL;
}

static void on_method(struct channel *channel, const struct method *method)
{
    struct control *control = channel->conn->owner;

    (void)method;
    if (control->waiting)
        control->waiting--;
}

static void on_message(struct channel *channel)
{
    (void)channel;
}

static void on_channel_closed(struct channel *channel, uint16_t code, struct bytes text)
{
    struct control *control = channel->conn->owner;

    control->is_channel_gone = true;
    snprintf(control->why, sizeof control->why, "%u %.*s", code, BYTES_ARG(text));
}

static const struct conn_ops conn_ops = {.opened = on_opened, .closed = on_closed};
static const struct channel_ops channel_ops = {on_method, on_message, on_channel_closed};

/* Turn until *CONDITION, or until there is nothing to wait for any more. */
static bool turn(struct control *control, uint64_t deadline)
{
    uint64_t now = clock_now();

    if (!control->conn || control->is_channel_gone)
        return false;
    if (now >= deadline) {
        snprintf(control->why, sizeof control->why, "no answer for %u s", (unsigned)(PATIENCE / NS_PER_S));
        return false;
    }
    loop_turn(&control->loop, deadline - now);
    return true;
}

bool control_wait(struct control *control, unsigned waiting)
{
    uint64_t deadline = clock_now() + PATIENCE;
    unsigned before = control->waiting;

    if (control->conn)
        conn_flush(control->conn);
    while (control->waiting > waiting) {
        if (!turn(control, deadline))
            return false;
        if (control->waiting != before)
            deadline = clock_now() + PATIENCE;
        before = control->waiting;
    }
    return control->conn && !control->is_channel_gone;
}

void control_say(struct control *control, const struct method *method)
{
    if (!control->conn)
        return;
    channel_say(&control->channel, method);
    control->waiting++;
}

static bool open_channel(struct control *control)
{
    if (!channel_open(control->conn, &control->channel, &channel_ops)) {
        snprintf(control->why, sizeof control->why, "the broker allows no channel");
        return false;
    }
    control->waiting = 1;
    return control_wait(control, 0);
}

bool control_reopen(struct control *control)
{
    if (!control->conn)
        return false;
    if (!control->is_channel_gone)
        return true;
    control->is_channel_gone = false;
    control->why[0] = 0;
    return open_channel(control);
}

bool control_open(struct control *control, const struct target *target, const char *who)
{
    uint64_t deadline = clock_now() + PATIENCE;

    *control = (struct control){0};
    if (!loop_init(&control->loop)) {
        snprintf(control->why, sizeof control->why, "%s", strerror(errno));
        return false;
    }
    control->conn = conn_open(&control->loop, target, who, &conn_ops, control);
    while (!control->is_open)
        if (!turn(control, deadline))
            return false;
    return open_channel(control);
}

void control_close(struct control *control)
{
    uint64_t deadline = clock_now() + 5 * NS_PER_S;

    if (control->conn) {
        control->is_channel_gone = false;
        conn_close(control->conn);
        while (control->conn && turn(control, deadline))
            ;
        conn_free(control->conn);
    }
    loop_free(&control->loop);
}
