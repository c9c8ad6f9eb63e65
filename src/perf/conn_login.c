/* SPDX-License-Identifier: Apache-2.0 */
/* Class connection, from start to close (conn_fields.h). */
#include "clock.h"
#include "coney/frame.h"
#include "conn_fields.h"
#include "target.h"

/* The largest frames that we ask for: large enough that more would save nothing, small enough for the input.
 */
#define FRAME_MAX_DEFAULT 131072

static void take_start(struct conn *conn)
{
    struct client_target login = conn->target->login;
    struct buffer properties = {0}, response = {0};
    struct method method;

    login.connection_name = conn->who;
    method = client_start_ok(&login, "coneyperf", &properties, &response);
    conn_say(conn, 0, &method);
    buffer_free(&properties);
    buffer_free(&response);
}

/* What both sides wish; 0 wishes nothing. */
static uint32_t smaller(uint32_t ours, uint32_t theirs)
{
    return theirs && (!ours || theirs < ours) ? theirs : ours;
}

static void take_tune(struct conn *conn, const struct method_connection_tune *tune)
{
    uint32_t wished = conn->target->frame_max ? conn->target->frame_max : FRAME_MAX_DEFAULT;
    uint32_t channels = smaller(conn->target->login.channel_max, tune->channel_max);
    struct method method = {.id = METHOD_CONNECTION_TUNE_OK};

    conn->frame_max = smaller(wished < FRAME_MAX_DEFAULT ? wished : FRAME_MAX_DEFAULT, tune->frame_max);
    if (conn->frame_max < FRAME_MIN_SIZE) {
        conn_fail(conn, "frames of %u octets at most are too small for AMQP", conn->frame_max);
        return;
    }
    conn->channel_max = channels ? (uint16_t)channels : UINT16_MAX;
    method.connection_tune_ok.frame_max = conn->frame_max;
    method.connection_tune_ok.channel_max = conn->channel_max;
    method.connection_tune_ok.heartbeat = conn->target->heartbeat;
    conn_say(conn, 0, &method);
    method.id = METHOD_CONNECTION_OPEN;
    method.connection_open = (struct method_connection_open){.virtual_host = conn->target->login.vhost};
    conn_say(conn, 0, &method);
    if (conn->target->heartbeat) {
        conn->beat = conn->target->heartbeat * NS_PER_S / 2;
        timers_set(&conn->loop->timers, &conn->heart, conn->loop->now + conn->beat);
    }
}

static void take_close(struct conn *conn, const struct method_connection_close *close)
{
    conn_say(conn, 0, &(struct method){.id = METHOD_CONNECTION_CLOSE_OK});
    conn_flush(conn);
    if (close->reply_code == 200)
        conn_fail(conn, "the broker closed the connection");
    else
        conn_fail(conn, "the broker closed the connection: %u %.*s", close->reply_code,
                  BYTES_ARG(close->reply_text));
}

static void take_blocked(struct conn *conn, bool is_blocked)
{
    conn->is_blocked = is_blocked;
    if (conn->ops->blocked)
        conn->ops->blocked(conn, is_blocked);
}

void conn_take_connection_method(struct conn *conn, const struct method *method)
{
    switch ((uint32_t)method->id) {
    case METHOD_CONNECTION_START:
        take_start(conn);
        break;
    case METHOD_CONNECTION_TUNE:
        take_tune(conn, &method->connection_tune);
        break;
    case METHOD_CONNECTION_OPEN_OK:
        if (conn->state == CONN_LOGIN) {
            conn->state = CONN_OPEN;
            conn->ops->opened(conn);
        }
        break;
    case METHOD_CONNECTION_CLOSE:
        take_close(conn, &method->connection_close);
        break;
    case METHOD_CONNECTION_CLOSE_OK:
        conn->state = CONN_ENDED; /* as we wished: there is nothing to say */
        break;
    case METHOD_CONNECTION_BLOCKED:
        take_blocked(conn, true);
        break;
    case METHOD_CONNECTION_UNBLOCKED:
        take_blocked(conn, false);
        break;
    default:
        conn_fail(conn, "the broker sent %s, which was not expected", method_name(method->id));
    }
}
