/* SPDX-License-Identifier: Apache-2.0 */
/* Class connection, from start to close (client_fields.h; spec connection-and-channel.md 3). */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "client_fields.h"
#include "coney/frame.h"
#include "coney/reply.h"
#include "coney/xalloc.h"

/* ---- the handshake ---- */

static bool offers(struct bytes mechanisms, const char *name)
{
    struct bytes rest = mechanisms, word;

    while (rest.size) {
        const uint8_t *space = memchr(rest.data, ' ', rest.size);

        word = (struct bytes){rest.data, space ? (size_t)(space - rest.data) : rest.size};
        if (bytes_equal_string(word, name))
            return true;
        if (!space)
            return false;
        rest = (struct bytes){space + 1, rest.size - word.size - 1};
    }
    return false;
}

static void forget_password(struct client *client, struct buffer *response)
{
    struct bytes *password = &client->target.password;

    if (response->capacity)
        OPENSSL_cleanse(response->data, response->capacity);
    buffer_free(response);
    if (password->size)
        OPENSSL_cleanse((uint8_t *)(uintptr_t)password->data, password->size);
    free((void *)(uintptr_t)password->data);
    *password = (struct bytes){0};
}

static void say_start_ok(struct client *client)
{
    struct buffer properties = {0}, response = {0};
    struct method method = client_start_ok(&client->target, "coney", &properties, &response);

    client->state = CLIENT_STATE_LOGIN;
    client_put_method(client, 0, &method);
    buffer_free(&properties);
    forget_password(client, &response);
}

static void take_start(struct client *client, const struct method_connection_start *start)
{
    if (start->version_major != 0 || start->version_minor != 9)
        client_end(client, CLIENT_BROKEN, "the peer speaks AMQP %u-%u", start->version_major,
                   start->version_minor);
    else if (!offers(start->mechanisms, client->target.mechanism))
        client_end(client, CLIENT_REFUSED, "the peer does not offer the mechanism %s",
                   client->target.mechanism);
    else
        say_start_ok(client);
}

/* What both sides wish; 0 wishes nothing. */
static uint32_t smaller(uint32_t ours, uint32_t theirs)
{
    return theirs && theirs < ours ? theirs : ours;
}

static void take_tune(struct client *client, const struct method_connection_tune *tune)
{
    struct method method = {.id = METHOD_CONNECTION_TUNE_OK};

    if (tune->frame_max && tune->frame_max < FRAME_MIN_SIZE) {
        client_end(client, CLIENT_BROKEN, "the peer wants frames of %u octets at most", tune->frame_max);
        return;
    }
    client->frame_max = smaller(client->target.frame_max, tune->frame_max);
    client->channel_max = (uint16_t)smaller(client->target.channel_max, tune->channel_max);
    client->heartbeat = (uint16_t)smaller(client->target.heartbeat, tune->heartbeat);
    method.connection_tune_ok.frame_max = client->frame_max;
    method.connection_tune_ok.channel_max = client->channel_max;
    method.connection_tune_ok.heartbeat = client->heartbeat;
    client_put_method(client, 0, &method);
    client_start_heartbeat(client);
    method.id = METHOD_CONNECTION_OPEN;
    method.connection_open = (struct method_connection_open){.virtual_host = client->target.vhost};
    client->state = CLIENT_STATE_OPENING;
    client_put_method(client, 0, &method);
}

static void take_open_ok(struct client *client)
{
    event_del(client->deadline);
    client->state = CLIENT_STATE_OPEN;
    if (client->events->opened)
        client->events->opened(client->context, client);
}

/* ---- afterwards ---- */

static void take_close(struct client *client, const struct method_connection_close *close)
{
    enum client_state state = client->state;

    client_put_method(client, 0, &(struct method){.id = METHOD_CONNECTION_CLOSE_OK});
    if (state == CLIENT_STATE_CLOSING) {
        client_end(client, CLIENT_CLOSED, "closed");
        return;
    }
    client_note_close(client, close);
    if (state < CLIENT_STATE_OPENING)
        client->end.kind = CLIENT_REFUSED;
    client_linger(client);
}

static void take_blocked(struct client *client, bool is_blocked, struct bytes reason)
{
    if (client->events->blocked)
        client->events->blocked(client->context, client, is_blocked, reason);
}

static bool is_in_state(const struct client *client, enum client_state from, enum client_state to)
{
    return client->state >= from && client->state <= to;
}

/* Tell whether METHOD may come now. */
static bool is_expected(const struct client *client, enum method_id id)
{
    switch ((uint32_t)id) {
    case METHOD_CONNECTION_START:
        return is_in_state(client, CLIENT_STATE_STARTING, CLIENT_STATE_STARTING);
    case METHOD_CONNECTION_TUNE:
        return is_in_state(client, CLIENT_STATE_LOGIN, CLIENT_STATE_LOGIN);
    case METHOD_CONNECTION_OPEN_OK:
        return is_in_state(client, CLIENT_STATE_OPENING, CLIENT_STATE_OPENING);
    case METHOD_CONNECTION_CLOSE:
        return is_in_state(client, CLIENT_STATE_LOGIN, CLIENT_STATE_CLOSING);
    case METHOD_CONNECTION_CLOSE_OK:
        return is_in_state(client, CLIENT_STATE_CLOSING, CLIENT_STATE_CLOSING);
    case METHOD_CONNECTION_BLOCKED:
    case METHOD_CONNECTION_UNBLOCKED:
        return is_in_state(client, CLIENT_STATE_OPENING, CLIENT_STATE_CLOSING);
    default:
        return false;
    }
}

void client_take_connection_method(struct client *client, const struct method *method)
{
    if (!is_expected(client, method->id)) {
        client_break(client, REPLY_COMMAND_INVALID, "unexpected %s", method_name(method->id));
        return;
    }
    switch ((uint32_t)method->id) {
    case METHOD_CONNECTION_START:
        take_start(client, &method->connection_start);
        break;
    case METHOD_CONNECTION_TUNE:
        take_tune(client, &method->connection_tune);
        break;
    case METHOD_CONNECTION_OPEN_OK:
        take_open_ok(client);
        break;
    case METHOD_CONNECTION_CLOSE:
        take_close(client, &method->connection_close);
        break;
    case METHOD_CONNECTION_CLOSE_OK:
        client_end(client, CLIENT_CLOSED, "closed");
        break;
    case METHOD_CONNECTION_BLOCKED:
        take_blocked(client, true, method->connection_blocked.reason);
        break;
    default:
        take_blocked(client, false, (struct bytes){0});
    }
}
