/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost.h: how a batch runs, and the vhost's directories.
 *
 * A command leaves work behind: queues to dispatch, dead letters, messages that are due. vhost_settle() does
 * it before the next command, so each command finds a settled vhost. Confirms are told at the end of a batch,
 * outboxes are handed over at the end of a run.
 */
#include "coney/vhost.h"

#include <stdlib.h>
#include <utlist.h>

#include "ages.h"
#include "coney/pool.h"
#include "coney/xalloc.h"
#include "events.h"
#include "vhost_fields.h"

#define UNSENT_MAX_DEFAULT (UINT64_C(1) << 20)
#define SPILL_MIN_DEFAULT  (UINT64_C(64) << 10)
#define CREDIT_CHECK_MS    10
#define GARBAGE_SLICE      4096

static const struct {
    const char *name;
    const struct exchange_type *type;
    bool internal;
} predeclared[] = {
    {"", &exchange_type_direct, false},
    {"amq.direct", &exchange_type_direct, false},
    {"amq.fanout", &exchange_type_fanout, false},
    {"amq.topic", &exchange_type_topic, false},
    {"amq.headers", &exchange_type_headers, false},
    {"amq.match", &exchange_type_headers, false},
    {"amq.rabbitmq.trace", &exchange_type_topic, true},
};

struct bytes bytes_copy(struct bytes bytes)
{
    /* One octet more, so that an empty name has an address of its own and texts may be printed. */
    uint8_t *copy = xmalloc(bytes.size + 1);

    put_bytes(copy, bytes);
    copy[bytes.size] = 0;
    return (struct bytes){copy, bytes.size};
}

void bytes_free(struct bytes bytes)
{
    free((void *)(uintptr_t)bytes.data);
}

/* Take SETTINGS, with defaults for what they leave open. */
static void take_settings(struct vhost *vhost, const struct vhost_settings *settings)
{
    vhost->settings = *settings;
    if (!settings->unsent_max)
        vhost->settings.unsent_max = UNSENT_MAX_DEFAULT;
    if (!settings->spill_min)
        vhost->settings.spill_min = SPILL_MIN_DEFAULT;
    if (!settings->returns_max)
        vhost->settings.returns_max = RETURNS_MAX_DEFAULT;
}

struct vhost *vhost_new(struct bytes name, const struct vhost_settings *settings, const struct vhost_ops *ops,
                        struct journal *journal)
{
    struct vhost *vhost = xcalloc(1, sizeof *vhost);
    struct reply_error error;

    vhost->name = bytes_copy(name);
    take_settings(vhost, settings);
    vhost->returns_left = vhost->settings.returns_max;
    vhost->ops = *ops;
    vhost->journal = journal;
    vhost->policies = policy_set_new();
    vhost->connections_max = vhost->queues_max = -1;
    vhost->dispatch_end = &vhost->dispatch;
    vhost->dead_letters_end = &vhost->dead_letters;
    vhost->ack_check = vhost->ack_timeout_least = VHOST_NEVER;
    vhost->ops.random(vhost->ops.context, &vhost->random_state, sizeof vhost->random_state);
    for (size_t i = 0; i < sizeof predeclared / sizeof *predeclared; i++) {
        struct exchange *exchange =
            exchange_create(vhost, bytes_from_string(predeclared[i].name), predeclared[i].type, false, false,
                            predeclared[i].internal, (struct bytes){NULL, 0}, &error);

        exchange->durable = true; /* but not the journal's: every vhost has it */
        if (i == 0)
            vhost->default_exchange = exchange;
    }
    return vhost;
}

static void topic_free(struct topic_rights *topic)
{
    bytes_free(topic->exchange);
    bytes_free(topic->write);
    bytes_free(topic->read);
    free(topic);
}

static void rights_free(struct user_rights *rights)
{
    while (rights->topics) {
        struct topic_rights *topic = rights->topics;

        rights->topics = topic->next;
        topic_free(topic);
    }
    permission_unref(rights->permission);
    for (int kind = 0; kind < 3; kind++)
        bytes_free(rights->patterns[kind]);
    bytes_free(rights->user);
    free(rights);
}

void vhost_forget_rights(struct vhost *vhost)
{
    struct user_rights *rights, *next;

    HASH_ITER (hh, vhost->rights, rights, next) {
        HASH_DEL(vhost->rights, rights);
        rights_free(rights);
    }
}

void vhost_free(struct vhost *vhost)
{
    /* What goes away from here on is only memory: nothing of it is written. */
    journal_free(vhost->journal);
    vhost->journal = journal_memory_new();
    vhost->returns_left = UINT64_MAX;
    for (uint32_t i = 0; i < vhost->slot_count; i++)
        if (vhost->slots[i].connection)
            connection_free(vhost->slots[i].connection);
    while (vhost->queues)
        queue_delete(vhost->queues);
    while (vhost->exchanges)
        exchange_delete(vhost->exchanges);
    vhost_settle(vhost);
    while (vhost->dead_letters)
        deadletter_run(vhost);
    while (vhost->garbage)
        garbage_collect(vhost, UINT64_MAX);
    vhost_forget_rights(vhost);
    policy_set_free(vhost->policies);
    journal_free(vhost->journal);
    free(vhost->slots);
    free(vhost->deadlines);
    free(vhost->held);
    free(vhost->routed);
    free(vhost->to_visit);
    bytes_free(vhost->name);
    free(vhost);
}

struct bytes vhost_name(const struct vhost *vhost)
{
    return vhost->name;
}

/* ---- running ---- */

static void dispatch_all(struct vhost *vhost)
{
    while (vhost->dispatch) {
        struct queue *queue = vhost->dispatch;

        vhost->dispatch = queue->dispatch_next;
        if (!vhost->dispatch)
            vhost->dispatch_end = &vhost->dispatch;
        queue->to_dispatch = false;
        if (!queue->is_deleted)
            queue_dispatch(queue);
        queue_unref(queue);
    }
}

void vhost_settle(struct vhost *vhost)
{
    /* One round of each at a time: what is more than a slice stays for vhost_has_work(). */
    dispatch_all(vhost);
    while (vhost->deadline_count && vhost->deadlines[0]->deadline <= vhost->now)
        queue_time_has_come(vhost->deadlines[0]);
    if (vhost->dead_letters) {
        deadletter_run(vhost);
        dispatch_all(vhost);
    }
}

static void confirm_all(struct vhost *vhost)
{
    while (vhost->confirming) {
        struct channel *channel = vhost->confirming;

        DL_DELETE2(vhost->confirming, channel, confirming_prev, confirming_next);
        channel->is_confirming = false;
        confirms_flush(channel);
    }
}

/* Give back what is in CHUNKS; a connection that drained may take more. */
static void run_returns(struct vhost *vhost, struct outbox_chunk *chunks)
{
    while (chunks) {
        struct outbox_chunk *chunk = chunks;
        struct connection *connection = connection_find(vhost, chunk->connection);

        chunks = chunk->next;
        vhost->unsent -= chunk->wire_bytes;
        if (connection)
            connection_drained(connection, chunk);
        outbox_chunk_free(chunk);
    }
}

static void check_timeouts(struct vhost *vhost)
{
    int64_t least = vhost->ack_timeout_least;

    if (vhost->now < vhost->ack_check)
        return;
    vhost->ack_check = vhost->ack_timeout_least = VHOST_NEVER;
    for (uint32_t i = 0; i < vhost->slot_count; i++) {
        struct connection *connection = vhost->slots[i].connection;
        struct channel *channel, *next;

        if (!connection)
            continue;
        HASH_ITER (hh, connection->channels, channel, next) {
            int64_t next_check = channel_check_timeout(channel, least);

            if (next_check < vhost->ack_check)
                vhost->ack_check = next_check;
            if (connection->state != CONNECTION_RUNNING)
                break;
        }
    }
}

/* Time begins: so do the leases of queues that were there before. */
static void begin_time(struct vhost *vhost, int64_t now)
{
    struct queue *queue, *next;

    vhost->now = now;
    HASH_ITER (hh, vhost->queues, queue, next) {
        queue_touch(queue);
        queue_begin_ages(queue);
    }
}

void vhost_run(struct vhost *vhost, struct batch *batch, int64_t now)
{
    struct connection *connection;

    if (!vhost->now)
        begin_time(vhost, now);
    vhost->now = now;
    vhost->returns_left = vhost->settings.returns_max;
    switch (batch->kind) {
    case BATCH_OPEN:
        connection_open(vhost, batch);
        break;
    case BATCH_COMMANDS:
        connection = connection_find(vhost, batch->connection);
        if (connection)
            connection_run(connection, batch);
        else
            connection_discard(batch);
        break;
    case BATCH_CLOSE:
        connection = connection_find(vhost, batch->connection);
        if (connection)
            connection_gone(connection);
        break;
    case BATCH_RETURNS:
        run_returns(vhost, batch->returned);
        break;
    case BATCH_TIMER:
        check_timeouts(vhost);
        credit_check(vhost);
        break;
    case BATCH_CALL:
        batch->call(vhost, batch->argument);
        break;
    }
    vhost_settle(vhost);
    if (vhost->letters_awaited && !vhost->dead_letters) {
        vhost->letters_awaited = false;
        vhost_journal_moved(vhost);
    }
    if (vhost->refuses_gets) {
        gate_refuse_gets(vhost);
        vhost_settle(vhost);
    }
    if (vhost->returning) {
        returns_run(vhost);
        vhost_settle(vhost);
    }
    garbage_collect(vhost, GARBAGE_SLICE);
    store_relieve(vhost);
    confirm_all(vhost);
}

void vhost_flush(struct vhost *vhost)
{
    outbox_hand_over(vhost);
    vhost->journal->ops->flush(vhost->journal, vhost->used);
}

int64_t vhost_next_deadline(const struct vhost *vhost)
{
    int64_t next = vhost->deadline_count ? vhost->deadlines[0]->deadline : VHOST_NEVER;

    if (vhost->ack_check < next)
        next = vhost->ack_check;
    if (vhost->slowing && vhost->now + CREDIT_CHECK_MS < next)
        next = vhost->now + CREDIT_CHECK_MS;
    return next;
}

bool vhost_has_work(const struct vhost *vhost)
{
    return vhost->dead_letters || vhost->garbage || vhost->dispatch || vhost->returning;
}

void vhost_journal_moved(struct vhost *vhost)
{
    struct channel *channel, *next_channel;
    struct connection *connection, *next_connection;

    vhost->durable = journal_durable(vhost->journal);
    DL_FOREACH_SAFE2(vhost->gated, channel, next_channel, gated_next)
    channel_release(channel);
    DL_FOREACH_SAFE2(vhost->leaving, connection, next_connection, leaving_next)
    connection_go_on(connection);
}

void vhost_close_connections(struct vhost *vhost, struct bytes user, const char *text)
{
    /* With everybody gone there is nobody to be fair to, and who runs the timers may be going too. */
    if (!user.size) {
        vhost->settings.returns_max = UINT32_MAX;
        vhost->returns_left = UINT64_MAX;
    }
    for (uint32_t i = 0; i < vhost->slot_count; i++) {
        struct connection *connection = vhost->slots[i].connection;

        if (connection && (!user.size || bytes_equal(connection->user, user)))
            connection_fail(connection, (enum method_id)0, REPLY_CONNECTION_FORCED, "%s", text);
    }
}

/* ---- time: a heap of queues by deadline ---- */

static void deadline_put(struct vhost *vhost, uint32_t at, struct queue *queue)
{
    vhost->deadlines[at] = queue;
    queue->heap_place = at + 1;
}

static void deadline_up(struct vhost *vhost, uint32_t at, struct queue *queue)
{
    while (at && queue->deadline < vhost->deadlines[(at - 1) / 2]->deadline) {
        deadline_put(vhost, at, vhost->deadlines[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    deadline_put(vhost, at, queue);
}

static void deadline_down(struct vhost *vhost, uint32_t at, struct queue *queue)
{
    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child >= vhost->deadline_count)
            break;
        if (child + 1 < vhost->deadline_count &&
            vhost->deadlines[child + 1]->deadline < vhost->deadlines[child]->deadline)
            child++;
        if (vhost->deadlines[child]->deadline >= queue->deadline)
            break;
        deadline_put(vhost, at, vhost->deadlines[child]);
        at = child;
    }
    deadline_put(vhost, at, queue);
}

static void deadline_remove(struct vhost *vhost, struct queue *queue)
{
    uint32_t at = queue->heap_place - 1;
    struct queue *last = vhost->deadlines[--vhost->deadline_count];

    queue->heap_place = 0;
    if (at == vhost->deadline_count)
        return;
    if (at && last->deadline < vhost->deadlines[(at - 1) / 2]->deadline)
        deadline_up(vhost, at, last);
    else
        deadline_down(vhost, at, last);
}

void vhost_schedule(struct vhost *vhost, struct queue *queue, int64_t deadline)
{
    if (queue->heap_place)
        deadline_remove(vhost, queue);
    if (deadline == VHOST_NEVER)
        return;
    if (vhost->deadline_count == vhost->deadline_capacity) {
        vhost->deadline_capacity = vhost->deadline_capacity ? vhost->deadline_capacity * 2 : 16;
        vhost->deadlines = xrealloc(vhost->deadlines, vhost->deadline_capacity * sizeof(struct queue *));
    }
    queue->deadline = deadline;
    deadline_up(vhost, vhost->deadline_count++, queue);
}

/* ---- chance ---- */

uint64_t vhost_random(struct vhost *vhost)
{
    /* splitmix64: spreads well, is not secret */
    uint64_t z = (vhost->random_state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void vhost_random_name(struct vhost *vhost, const char *prefix, char out[64])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t octets[16];
    unsigned bits = 0, have = 0;
    char *p = stpcpy(out, prefix);

    vhost->ops.random(vhost->ops.context, octets, sizeof octets);
    for (size_t i = 0; i < sizeof octets; i++) {
        bits = bits << 8 | octets[i];
        for (have += 8; have >= 6; have -= 6)
            *p++ = alphabet[bits >> (have - 6) & 63];
    }
    *p++ = alphabet[bits << (6 - have) & 63];
    *p = 0;
}

/* ---- rights, policies, limits ---- */

static struct user_rights *rights_of(struct vhost *vhost, struct bytes user)
{
    struct user_rights *rights;

    HASH_FIND(hh, vhost->rights, user.data, user.size, rights);
    if (!rights) {
        rights = xcalloc(1, sizeof *rights);
        rights->user = bytes_copy(user);
        HASH_ADD_KEYPTR(hh, vhost->rights, rights->user.data, rights->user.size, rights);
    }
    return rights;
}

/* Give RIGHTS' permission to those of its user who are connected. */
static void rights_spread(struct vhost *vhost, struct user_rights *rights)
{
    vhost->topology++; /* remembered routes remember that they were allowed */
    if (!rights->permission)
        return;
    for (uint32_t i = 0; i < vhost->slot_count; i++) {
        struct connection *connection = vhost->slots[i].connection;

        if (!connection || connection->is_trusted || !bytes_equal(connection->user, rights->user))
            continue;
        permission_unref(connection->permission);
        connection->permission = permission_ref(rights->permission);
    }
}

static void keep_pattern(struct bytes *kept, struct bytes pattern)
{
    struct bytes copy = bytes_copy(pattern);

    bytes_free(*kept);
    *kept = copy;
}

void vhost_set_permission(struct vhost *vhost, struct bytes user, struct bytes configure, struct bytes write,
                          struct bytes read)
{
    struct user_rights *rights = rights_of(vhost, user);

    permission_unref(rights->permission);
    rights->permission = permission_new(configure, write, read);
    keep_pattern(&rights->patterns[PERMISSION_CONFIGURE], configure);
    keep_pattern(&rights->patterns[PERMISSION_WRITE], write);
    keep_pattern(&rights->patterns[PERMISSION_READ], read);
    for (struct topic_rights *topic = rights->topics; topic; topic = topic->next)
        permission_set_topic(rights->permission, topic->exchange, topic->write, topic->read, user,
                             vhost->name);
    rights_spread(vhost, rights);
}

void vhost_clear_permission(struct vhost *vhost, struct bytes user)
{
    /* Who is connected keeps a permission that allows nothing. */
    static const struct bytes nothing = {NULL, 0};

    vhost_set_permission(vhost, user, nothing, nothing, nothing);
    permission_unref(rights_of(vhost, user)->permission);
    rights_of(vhost, user)->permission = NULL;
}

void vhost_set_topic_permission(struct vhost *vhost, struct bytes user, struct bytes exchange,
                                struct bytes write, struct bytes read)
{
    struct user_rights *rights = rights_of(vhost, user);
    struct topic_rights *topic = rights->topics;

    while (topic && !bytes_equal(topic->exchange, exchange))
        topic = topic->next;
    if (topic) {
        bytes_free(topic->write);
        bytes_free(topic->read);
    } else {
        topic = xcalloc(1, sizeof *topic);
        topic->exchange = bytes_copy(exchange);
        topic->next = rights->topics;
        rights->topics = topic;
    }
    topic->write = bytes_copy(write);
    topic->read = bytes_copy(read);
    if (rights->permission)
        permission_set_topic(rights->permission, exchange, write, read, user, vhost->name);
    vhost->topology++;
}

void vhost_clear_topic_permission(struct vhost *vhost, struct bytes user, struct bytes exchange)
{
    struct user_rights *rights = rights_of(vhost, user);
    struct topic_rights **link = &rights->topics, *topic;

    while (*link && !bytes_equal((*link)->exchange, exchange))
        link = &(*link)->next;
    topic = *link;
    if (!topic)
        return;
    *link = topic->next;
    topic_free(topic);
    if (rights->permission)
        permission_clear_topic(rights->permission, exchange);
    vhost->topology++;
}

static struct user_rights *rights_find(const struct vhost *vhost, struct bytes user)
{
    struct user_rights *rights;

    HASH_FIND(hh, vhost->rights, user.data, user.size, rights);
    return rights;
}

void vhost_each_topic_permission(const struct vhost *vhost, struct bytes user,
                                 void (*each)(void *context, struct bytes exchange), void *context)
{
    const struct user_rights *rights = rights_find(vhost, user);

    for (const struct topic_rights *topic = rights ? rights->topics : NULL; topic; topic = topic->next)
        each(context, topic->exchange);
}

bool vhost_has_permission(const struct vhost *vhost, struct bytes user)
{
    const struct user_rights *rights = rights_find(vhost, user);

    return rights && rights->permission;
}

bool vhost_allows(const struct vhost *vhost, struct bytes user, enum permission_kind kind, struct bytes name)
{
    const struct user_rights *rights = rights_find(vhost, user);

    return rights && rights->permission && permission_allows(rights->permission, kind, name);
}

void vhost_remove_user(struct vhost *vhost, struct bytes user, const char *text)
{
    struct user_rights *rights = rights_find(vhost, user);

    if (rights) {
        vhost_clear_permission(vhost, user);
        HASH_DEL(vhost->rights, rights);
        rights_free(rights);
    }
    /* An empty name would be everybody's. */
    if (user.size)
        vhost_close_connections(vhost, user, text);
}

static void apply_policies(struct vhost *vhost)
{
    struct exchange *exchange, *next_exchange;
    struct queue *queue, *next_queue;

    HASH_ITER (hh, vhost->exchanges, exchange, next_exchange)
        exchange_apply_policy(exchange);
    HASH_ITER (hh, vhost->queues, queue, next_queue) {
        queue_apply_policy(queue);
        if (queue_ack_timeout(queue) < vhost->ack_timeout_least)
            vhost->ack_timeout_least = queue_ack_timeout(queue);
    }
    if (vhost->channel_count)
        vhost->ack_check = vhost->now;
    else
        vhost->ack_timeout_least = VHOST_NEVER;
    vhost_settle(vhost);
}

bool vhost_set_policy(struct vhost *vhost, enum policy_origin origin, const struct policy_spec *spec,
                      char why[POLICY_WHY_SIZE])
{
    if (!policy_set_put(vhost->policies, origin, spec, why))
        return false;
    tell_policy(vhost, "policy.set", policy_set_find(vhost->policies, origin, spec->name));
    apply_policies(vhost);
    return true;
}

bool vhost_clear_policy(struct vhost *vhost, enum policy_origin origin, struct bytes name)
{
    tell_policy(vhost, "policy.cleared", policy_set_find(vhost->policies, origin, name));
    if (!policy_set_remove(vhost->policies, origin, name))
        return false;
    apply_policies(vhost);
    return true;
}

void vhost_set_limits(struct vhost *vhost, int64_t connections_max, int64_t queues_max)
{
    vhost->connections_max = connections_max;
    vhost->queues_max = queues_max;
}

void vhost_change_settings(struct vhost *vhost, const struct vhost_settings *settings)
{
    struct vhost_settings before = vhost->settings;

    take_settings(vhost, settings);
    vhost->settings.default_queue_type = before.default_queue_type;
    vhost->settings.relaxed = before.relaxed;
    if (settings->consumer_timeout_ms != before.consumer_timeout_ms)
        apply_policies(vhost); /* what is overdue is looked for as after a change of policies */
}

void vhost_set_default_queue_type(struct vhost *vhost, enum queue_type type)
{
    vhost->settings.default_queue_type = type;
}

/* ---- looking in ---- */

bool vhost_queue_info(const struct vhost *vhost, struct bytes name, struct queue_info *out)
{
    struct queue *queue = queue_find(vhost, name);
    struct binding *binding;

    if (!queue)
        return false;
    *out = (struct queue_info){.ready = queue->ready,
                               .ready_bytes = queue->ready_bytes,
                               .unacked = queue->unacked,
                               .consumers = queue->consumer_count};
    DL_FOREACH2(queue->incoming, binding, dnext)
    out->bindings++;
    return true;
}

void vhost_info(const struct vhost *vhost, struct vhost_info *out)
{
    *out = (struct vhost_info){.connections = vhost->connection_count,
                               .channels = vhost->channel_count,
                               .queues = HASH_COUNT(vhost->queues),
                               .exchanges = HASH_COUNT(vhost->exchanges),
                               .bindings = HASH_COUNT(vhost->bindings)};
    for (const struct queue *queue = vhost->queues; queue; queue = queue->hh.next)
        out->ready += queue->ready;
}
