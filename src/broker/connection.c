/* SPDX-License-Identifier: Apache-2.0 */
/* connection.h, connections: entering and leaving the vhost, channel 0, and the way to the channels. */
#include "connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "coney/xalloc.h"
#include "vhost_fields.h"

/* ---- ids: slot and generation, so that a stale one finds nothing ---- */

static void slot_take(struct vhost *vhost, struct connection *connection)
{
    struct connection_slot *slot;
    uint32_t index;

    if (!vhost->slot_free) {
        vhost->slots = xrealloc(vhost->slots, (vhost->slot_count * 2 + 8) * sizeof *vhost->slots);
        for (uint32_t end = vhost->slot_count * 2 + 8; vhost->slot_count < end; vhost->slot_count++) {
            vhost->slots[vhost->slot_count] = (struct connection_slot){.next_free = vhost->slot_free};
            vhost->slot_free = vhost->slot_count + 1;
        }
    }
    index = vhost->slot_free - 1;
    slot = &vhost->slots[index];
    vhost->slot_free = slot->next_free;
    slot->connection = connection;
    connection->id = (uint64_t)++slot->generation << 32 | index;
    if (connection->is_internal)
        return;
    vhost->connection_count++;
    vhost->counts.connections_opened++;
}

static void slot_release(struct vhost *vhost, const struct connection *connection)
{
    uint32_t index = (uint32_t)connection->id;

    vhost->slots[index].connection = NULL;
    vhost->slots[index].next_free = vhost->slot_free;
    vhost->slot_free = index + 1;
    if (connection->is_internal)
        return;
    vhost->connection_count--;
    vhost->counts.connections_closed++;
}

struct connection *connection_find(const struct vhost *vhost, uint64_t id)
{
    uint32_t index = (uint32_t)id;

    if (index >= vhost->slot_count || vhost->slots[index].generation != id >> 32)
        return NULL;
    return vhost->slots[index].connection;
}

/* ---- states ---- */

static void connection_set_state(struct connection *connection, enum connection_state state)
{
    if (connection->state == CONNECTION_LEAVING)
        DL_DELETE2(connection->vhost->leaving, connection, leaving_prev, leaving_next);
    if (state == CONNECTION_LEAVING)
        DL_APPEND2(connection->vhost->leaving, connection, leaving_prev, leaving_next);
    connection->state = (uint8_t)state;
}

/* All that the channels have unacked goes back now, or none of it does before all of it is counted; nor does
 * a channel that has nothing end before, as its consumers would make way for others. */
static void share_returns(struct connection *connection)
{
    struct vhost *vhost = connection->vhost;
    struct channel *channel, *next;
    uint64_t count = 0;

    HASH_ITER (hh, connection->channels, channel, next)
        count += channel->unacked_count;
    connection->shares_returns = count > vhost->returns_left;
    if (connection->shares_returns)
        vhost->returns_left = 0;
}

/* Leave for STATE: all channels end. What waits in their gates is still said if the client closed, else given
 * up; in any case no get waits any more when the first of them ends, as what goes with one may be what
 * another one's get waits for. */
static void leave(struct connection *connection, enum connection_state state)
{
    struct channel *channel, *next;

    connection_set_state(connection, state);
    share_returns(connection);
    HASH_ITER (hh, connection->channels, channel, next)
        if (state == CONNECTION_LEAVING)
            gate_give_up_gets(channel);
        else
            gate_clear(channel);
    HASH_ITER (hh, connection->channels, channel, next)
        channel_end(channel, CHANNEL_LEAVING);
    connection_go_on(connection);
}

/* Free the channels whose gates are empty; false while there are others. */
static bool free_channels(struct connection *connection)
{
    struct channel *channel, *next;

    HASH_ITER (hh, connection->channels, channel, next)
        if (!channel->gate)
            channel_free(channel);
    return !connection->channels;
}

void connection_fail_text(struct connection *connection, enum method_id method, enum reply_code code,
                          const char *text)
{
    struct failure *failure;

    if (connection->state != CONNECTION_RUNNING)
        return;
    failure = xmalloc(sizeof *failure);
    *failure = (struct failure){.method = method, .code = code};
    snprintf(failure->text, sizeof failure->text, "%s", text);
    connection->failure = failure;
    leave(connection, CONNECTION_FAILING);
}

void connection_fail(struct connection *connection, enum method_id method, enum reply_code code,
                     const char *format, ...)
{
    char text[REPLY_TEXT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    reply_text_format(text, code, format, arguments);
    va_end(arguments);
    connection_fail_text(connection, method, code, text);
}

static void say_close_ok(struct connection *connection)
{
    outbox_method(connection, 0, &(struct method){.id = METHOD_CONNECTION_CLOSE_OK});
}

/* All is back: tell the client why it must go. */
static void say_failure(struct connection *connection)
{
    struct failure *failure = connection->failure;
    struct method close = {
        .id = METHOD_CONNECTION_CLOSE,
        .connection_close = {.reply_code = (uint16_t)failure->code,
                             .reply_text = bytes_from_string(failure->text),
                             .class_id = METHOD_CLASS(failure->method),
                             .method_id = METHOD_INDEX(failure->method)},
    };

    connection_set_state(connection, CONNECTION_CLOSING);
    outbox_method(connection, 0, &close);
    outbox_control(connection, OUTBOX_CLOSE_SENT);
    if (failure->crossed)
        say_close_ok(connection);
    free(failure);
    connection->failure = NULL;
}

static void connection_end(struct connection *connection, enum outbox_control how)
{
    connection_set_state(connection, CONNECTION_ENDED);
    outbox_control(connection, how);
}

void connection_go_on(struct connection *connection)
{
    struct vhost *vhost = connection->vhost;

    if (connection->returning_count)
        return;
    while (connection->queues)
        queue_delete(connection->queues);
    vhost_settle(vhost);
    if (!free_channels(connection))
        return;
    vhost->durable = journal_durable(vhost->journal);
    switch (connection->state) {
    case CONNECTION_FAILING:
        say_failure(connection);
        break;
    case CONNECTION_LEAVING:
        if (settled_lsn(vhost, &connection->settled) > vhost->durable)
            break;
        say_close_ok(connection);
        connection_end(connection, OUTBOX_END);
        break;
    case CONNECTION_GONE:
        outbox_control(connection, OUTBOX_DETACHED);
        /* Whatever was said before and not handed over goes with it: the owner gives the chunks back. */
        outbox_hand_over(vhost);
        connection_free(connection);
        break;
    default:
        break;
    }
}

/* ---- entering and leaving ---- */

/* The vhost's own limit, or else that of all vhosts. */
static uint64_t connections_max(const struct vhost *vhost)
{
    if (vhost->connections_max >= 0)
        return (uint64_t)vhost->connections_max;
    return vhost->settings.connections_max ? vhost->settings.connections_max : UINT64_MAX;
}

/* Who may enter, in RabbitMQ's order (connection-and-channel.md 3.6). */
static bool check_entry(struct vhost *vhost, struct connection *connection)
{
    const struct bytes all = BYTES_LITERAL(".*");
    uint64_t most = connections_max(vhost);
    struct user_rights *rights;

    if (vhost->is_draining && !connection->is_internal) {
        connection_fail(connection, METHOD_CONNECTION_OPEN, REPLY_CONNECTION_FORCED, DRAINING_TEXT);
        return false;
    }
    if (vhost->connection_count > most && !connection->is_internal) {
        connection_fail(connection, METHOD_CONNECTION_OPEN, REPLY_NOT_ALLOWED,
                        "access to vhost '%.*s' refused for user '%.*s': connection limit (%llu) is reached",
                        BYTES_ARG(vhost->name), BYTES_ARG(connection->user), (unsigned long long)most);
        return false;
    }
    if (connection->is_trusted) {
        connection->permission = permission_new(all, all, all);
        return true;
    }
    HASH_FIND(hh, vhost->rights, connection->user.data, connection->user.size, rights);
    if (!rights || !rights->permission) {
        connection_fail(connection, METHOD_CONNECTION_OPEN, REPLY_NOT_ALLOWED,
                        "access to vhost '%.*s' refused for user '%.*s'", BYTES_ARG(vhost->name),
                        BYTES_ARG(connection->user));
        return false;
    }
    connection->permission = permission_ref(rights->permission);
    return true;
}

void connection_open(struct vhost *vhost, const struct batch *batch)
{
    struct connection *connection = xcalloc(1, sizeof *connection);
    struct outbox_attached *attached;

    connection->vhost = vhost;
    connection->owner = batch->owner;
    connection->user = bytes_copy(batch->open.user);
    connection->is_impersonator = batch->open.is_impersonator;
    connection->is_internal = batch->open.is_internal;
    connection->is_trusted = batch->open.is_trusted;
    connection->cancel_notify = batch->open.consumer_cancel_notify;
    connection->channel_max = batch->open.channel_max;
    connection->user_channel_max = batch->open.user_channel_max;
    slot_take(vhost, connection);
    attached = outbox_add(connection, OUTBOX_CONTROL, 0, sizeof *attached, 0, true);
    attached->record.flags = OUTBOX_ATTACHED;
    attached->connection = connection->id;
    if (check_entry(vhost, connection))
        outbox_method(connection, 0, &(struct method){.id = METHOD_CONNECTION_OPEN_OK});
}

void connection_free(struct connection *connection)
{
    struct vhost *vhost = connection->vhost;
    struct channel *channel, *next;

    connection_set_state(connection, CONNECTION_GONE);
    HASH_ITER (hh, connection->channels, channel, next)
        channel_discard(channel);
    while (connection->queues)
        queue_delete(connection->queues);
    if (connection->is_dirty)
        DL_DELETE2(vhost->dirty, connection, dirty_prev, dirty_next);
    while (connection->out) {
        struct outbox_chunk *chunk = connection->out;

        connection->out = chunk->next;
        outbox_chunk_free(chunk);
    }
    slot_release(vhost, connection);
    permission_unref(connection->permission);
    bytes_free(connection->user);
    free(connection->numbers);
    free(connection->failure);
    free(connection);
}

void connection_gone(struct connection *connection)
{
    leave(connection, CONNECTION_GONE);
}

/* ---- consumers' numbers: the lowest free one, by a rover that freeing moves back ---- */

uint32_t connection_number_take(struct connection *connection)
{
    uint32_t number = connection->number_free;

    while (number < connection->number_count && connection->numbers[number])
        number++;
    if (number == connection->number_capacity) {
        connection->number_capacity = connection->number_capacity ? connection->number_capacity * 2 : 4;
        connection->numbers = xrealloc(connection->numbers, connection->number_capacity);
    }
    if (number == connection->number_count)
        connection->number_count++;
    connection->numbers[number] = 1;
    connection->number_free = number + 1;
    return number;
}

void connection_number_release(struct connection *connection, uint32_t number)
{
    connection->numbers[number] = 0;
    if (number < connection->number_free)
        connection->number_free = number;
}

/* ---- channel 0 ---- */

static void run_zero(struct connection *connection, const struct command *command)
{
    const struct method *method = command->method;

    if (command->kind != COMMAND_METHOD) {
        enum method_id id = METHOD_BASIC_PUBLISH;

        if (command->kind == COMMAND_SETTLE)
            id = command->flags & COMMAND_ACK    ? METHOD_BASIC_ACK
                 : command->flags & COMMAND_NACK ? METHOD_BASIC_NACK
                                                 : METHOD_BASIC_REJECT;
        connection_fail(connection, id, REPLY_CHANNEL_ERROR, "unexpected method in connection state running");
        return;
    }
    switch (method->id) {
    case METHOD_CONNECTION_CLOSE:
        leave(connection, CONNECTION_LEAVING);
        break;
    case METHOD_CONNECTION_UPDATE_SECRET:
        outbox_method(connection, 0, &(struct method){.id = METHOD_CONNECTION_UPDATE_SECRET_OK});
        break;
    default:
        connection_fail(connection, method->id, REPLY_CHANNEL_ERROR,
                        "unexpected method in connection state running");
    }
}

/* After our connection.close only two answers count (connection-and-channel.md 7.2). */
static void run_closing(struct connection *connection, const struct command *command)
{
    if (command->kind != COMMAND_METHOD || command->channel != 0)
        return;
    if (command->method->id == METHOD_CONNECTION_CLOSE)
        say_close_ok(connection);
    else if (command->method->id == METHOD_CONNECTION_CLOSE_OK)
        connection_end(connection, OUTBOX_END_NOW);
}

struct channel *connection_channel(struct connection *connection, uint16_t number)
{
    struct channel *channel;

    if (connection->last_channel && connection->last_number == number)
        return connection->last_channel;
    HASH_FIND(hh, connection->channels, &number, sizeof number, channel);
    if (channel) {
        connection->last_channel = channel;
        connection->last_number = number;
    }
    return channel;
}

static void discard(const struct command *command)
{
    if (command->kind == COMMAND_PUBLISH)
        message_free(command->message);
}

void connection_discard(struct batch *batch)
{
    for (struct command_block *block = batch->commands.first; block; block = block->next)
        for (uint32_t i = 0; i < block->count; i++)
            discard(&block->commands[i]);
}

/* What is wrong on a channel that is not open comes after there being no room for it. */
static void run_error(struct connection *connection, const struct command *command)
{
    const struct command_error *error = command->error;

    if (command->channel == 0 || connection_channel(connection, command->channel) ||
        channel_has_room(connection))
        connection_fail_text(connection, error->method, error->code, error->text);
}

static void run_command(struct connection *connection, const struct command *command)
{
    switch (connection->state) {
    case CONNECTION_RUNNING:
        if (command->kind == COMMAND_ERROR)
            run_error(connection, command);
        else if (command->channel == 0) {
            run_zero(connection, command);
            discard(command);
        } else
            channel_command(connection, command);
        break;
    case CONNECTION_FAILING:
        if (command->kind == COMMAND_METHOD && command->channel == 0 &&
            command->method->id == METHOD_CONNECTION_CLOSE)
            connection->failure->crossed = true;
        discard(command);
        break;
    case CONNECTION_CLOSING:
        run_closing(connection, command);
        discard(command);
        break;
    case CONNECTION_LEAVING:
    case CONNECTION_ENDED:
    case CONNECTION_GONE:
        discard(command);
        break;
    }
}

void connection_run(struct connection *connection, struct batch *batch)
{
    struct vhost *vhost = connection->vhost;

    vhost->actor = connection->user;
    for (struct command_block *block = batch->commands.first; block; block = block->next)
        for (uint32_t i = 0; i < block->count; i++) {
            run_command(connection, &block->commands[i]);
            if (vhost->dispatch || vhost->dead_letters || vhost->deadline_count)
                vhost_settle(vhost);
        }
    while (connection->left)
        channel_free(connection->left);
    vhost->actor = (struct bytes){NULL, 0};
}
