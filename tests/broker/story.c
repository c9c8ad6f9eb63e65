/* SPDX-License-Identifier: Apache-2.0 */
/* story.h: a vhost, connections that keep what they hear, and expectations that take it apart. */
#include "story.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/exchange.h"
#include "coney/journal.h"
#include "coney/xalloc.h"
#include "sim/journal_seeded.h"
#include "sim/random.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#define CONFIRMS_MAX  20000
#define CHANNELS_MAX  16
#define CONSUMERS_MAX 64

/* A list of things heard, oldest first. */
struct ears {
    struct heard *first, **end;
};

struct client {
    struct client *next; /* of the connection */
    struct peer *peer;
    uint16_t number;
    struct ears replies, deliveries, returns;
    uint64_t sequence;                  /* confirms: the highest number told */
    uint8_t confirms[CONFIRMS_MAX + 1]; /* 'a', 'n', 0: not told */
};

/* A connection. */
struct peer {
    struct peer *next; /* of the story */
    struct story *story;
    uint64_t id;
    struct client *clients; /* its channels, 0 too */
    char tags[CONSUMERS_MAX][SHORTSTR_MAX + 1];
    struct outbox_chunk *unwritten, **unwritten_end;
    bool is_reading, has_ended, has_detached, is_gone;
    unsigned hold;
    struct batch together; /* while is_together */
    bool is_together;
};

struct story {
    struct vhost *vhost;
    struct vhost_settings settings;
    struct journal_seeded *journal; /* NULL: the memory one */
    bool is_late;                   /* nothing is durable before it is told to be */
    struct random random;
    int64_t now;
    uint64_t order;
    struct peer *peers;
    struct outbox_chunk *written; /* to be given back */
};

/* ---- what is heard ---- */

static void ears_init(struct ears *ears)
{
    ears->first = NULL;
    ears->end = &ears->first;
}

static void ears_add(struct ears *ears, struct heard *heard)
{
    *ears->end = heard;
    ears->end = &heard->next;
}

static void heard_free(struct heard *heard)
{
    free(heard->body);
    free(heard->payload);
    free(heard);
}

/* Heard things that were taken stay valid until the story ends: they go on a list of the dead. */
static struct heard *taken;

static struct heard *ears_take(struct ears *ears)
{
    struct heard *heard = ears->first;

    if (!heard)
        return NULL;
    ears->first = heard->next;
    if (!heard->next)
        ears->end = &ears->first;
    heard->next = taken;
    taken = heard;
    return heard;
}

static void ears_free(struct ears *ears)
{
    while (ears->first) {
        struct heard *heard = ears->first;

        ears->first = heard->next;
        heard_free(heard);
    }
}

static void copy_text(char *out, struct bytes bytes)
{
    if (bytes.size)
        memcpy(out, bytes.data, bytes.size);
    out[bytes.size] = 0;
}

static void hear_message(struct heard *heard, const struct message *message)
{
    copy_text(heard->exchange, message_exchange(message));
    copy_text(heard->key, message_routing_key(message));
    heard->body_size = message->body_size;
    heard->body = xmalloc((size_t)message->body_size + 1);
    copy_text(heard->body, message_body(message));
    heard->payload_size = message_properties(message).size;
    heard->payload = xmemdup(message_properties(message).data, heard->payload_size);
    cr_assert(properties_decode(&heard->properties, (struct bytes){heard->payload, heard->payload_size}));
}

static void hear_method(struct heard *heard, const struct outbox_method *record)
{
    heard->payload_size = record->payload_size;
    heard->payload = xmemdup(record->payload, record->payload_size);
    cr_assert_eq(method_decode(&heard->method, (struct bytes){heard->payload, heard->payload_size}),
                 METHOD_OK);
    cr_assert_eq(record->record.size % 8, 0);
}

static struct client *client_at(struct peer *peer, uint16_t number)
{
    struct client *c = peer->clients;

    while (c && c->number != number)
        c = c->next;
    return c;
}

static void hear_confirm(struct client *c, const struct outbox_confirm *record)
{
    unsigned flags = record->record.flags;
    uint64_t last = record->delivery_tag;
    uint64_t first = flags & OUTBOX_MULTIPLE ? 1 : last;
    bool any = false;

    cr_assert(last > 0 && last <= CONFIRMS_MAX, "confirm of %llu", (unsigned long long)last);
    for (uint64_t i = first; i <= last; i++) {
        if (c->confirms[i])
            continue;
        c->confirms[i] = flags & OUTBOX_NACK ? 'n' : 'a';
        any = true;
    }
    cr_assert(any, "confirmed twice: %llu", (unsigned long long)last);
}

static void hear_control(struct peer *peer, struct outbox_record *record)
{
    cr_assert_not(peer->has_detached, "something follows the end");
    switch ((enum outbox_control)record->flags) {
    case OUTBOX_ATTACHED:
        peer->id = ((struct outbox_attached *)record)->connection;
        break;
    case OUTBOX_CLOSE_SENT:
        break;
    case OUTBOX_END:
    case OUTBOX_END_NOW:
        peer->has_ended = true;
        break;
    case OUTBOX_DETACHED:
        peer->has_detached = true;
        break;
    }
}

static void hear_delivery(struct peer *peer, struct heard *heard, const struct outbox_delivery *record)
{
    cr_assert(record->message, "a delivery without a message");
    cr_assert(!(record->record.flags & OUTBOX_OWNED) || record->message->refs == 1);
    hear_message(heard, record->message);
    heard->tag = record->delivery_tag;
    heard->delivery_count = record->delivery_count;
    if (heard->kind == OUTBOX_GET_OK)
        heard->count = record->consumer;
    else
        strcpy(heard->consumer, peer->tags[record->consumer]);
}

static void hear(struct peer *peer, struct outbox_record *record)
{
    struct client *c = client_at(peer, record->channel);
    struct heard *heard;

    if (record->kind == OUTBOX_CONTROL) {
        hear_control(peer, record);
        return;
    }
    if (record->kind == OUTBOX_CONSUMER) {
        const struct outbox_consumer *consumer = (struct outbox_consumer *)record;

        cr_assert_lt(consumer->consumer, CONSUMERS_MAX);
        copy_text(peer->tags[consumer->consumer], (struct bytes){consumer->tag, consumer->tag_size});
        return;
    }
    cr_assert(c, "something for channel %u, which nobody has", record->channel);
    if (record->kind == OUTBOX_CONFIRM) {
        hear_confirm(c, (struct outbox_confirm *)record);
        return;
    }
    heard = xcalloc(1, sizeof *heard);
    heard->kind = (enum outbox_kind)record->kind;
    heard->flags = record->flags;
    heard->order = ++peer->story->order;
    switch (heard->kind) {
    case OUTBOX_METHOD:
        hear_method(heard, (struct outbox_method *)record);
        ears_add(&c->replies, heard);
        break;
    case OUTBOX_GET_OK:
        hear_delivery(peer, heard, (struct outbox_delivery *)record);
        ears_add(&c->replies, heard);
        break;
    case OUTBOX_DELIVER:
        hear_delivery(peer, heard, (struct outbox_delivery *)record);
        ears_add(&c->deliveries, heard);
        break;
    default:
        hear_message(heard, ((struct outbox_return *)record)->message);
        ears_add(&c->returns, heard);
    }
}

static void chunk_written(struct story *s, struct outbox_chunk *chunk)
{
    chunk->next = s->written;
    s->written = chunk;
}

static void output(void *context, struct outbox_chunk *chunks)
{
    struct story *s = context;
    struct peer *peer = chunks->owner;

    peer->hold = chunks->hold;
    while (chunks) {
        struct outbox_chunk *chunk = chunks;

        chunks = chunk->next;
        chunk->next = NULL;
        for (struct outbox_record *record = outbox_first(chunk); record; record = outbox_next(chunk, record))
            hear(peer, record);
        if (peer->is_reading) {
            chunk_written(s, chunk);
        } else {
            *peer->unwritten_end = chunk;
            peer->unwritten_end = &chunk->next;
        }
    }
}

static void random_octets(void *context, void *out, size_t size)
{
    struct story *s = context;

    for (size_t i = 0; i < size; i++)
        ((uint8_t *)out)[i] = (uint8_t)random_next(&s->random);
}

/* ---- running ---- */

static void run(struct story *s, struct batch *batch)
{
    vhost_run(s->vhost, batch, s->now);
    vhost_flush(s->vhost);
}

static void run_timer(struct story *s)
{
    run(s, &(struct batch){.kind = BATCH_TIMER});
}

void turn(struct story *s)
{
    run_timer(s);
}

static bool give_back(struct story *s)
{
    struct batch batch = {.kind = BATCH_RETURNS};

    if (!s->written)
        return false;
    batch.returned = s->written;
    s->written = NULL;
    run(s, &batch);
    return true;
}

void settle(struct story *s)
{
    bool any;

    vhost_flush(s->vhost);
    do {
        any = give_back(s);
        if (vhost_has_work(s->vhost)) {
            run_timer(s);
            any = true;
        }
        if (s->journal && !s->is_late && journal_seeded_settle(s->journal, s->vhost, s->now)) {
            vhost_flush(s->vhost);
            any = true;
        }
    } while (any);
}

/* After a command: with a seeded journal, something may or may not happen. */
static void drift(struct story *s)
{
    if (!s->journal || s->is_late)
        return;
    for (uint32_t i = random_below(&s->random, 4); i; i--)
        journal_seeded_step(s->journal, s->vhost, s->now);
    vhost_flush(s->vhost);
}

void sync_journal(struct story *s)
{
    if (s->journal)
        journal_seeded_sync(s->journal, s->vhost, s->now);
    vhost_flush(s->vhost);
    give_back(s);
}

void bring_back(struct story *s)
{
    if (s->journal)
        journal_seeded_answer_all(s->journal, s->vhost, s->now);
    vhost_flush(s->vhost);
}

void send_away(struct story *s)
{
    if (s->journal)
        journal_seeded_evict_all(s->journal, s->vhost, s->now);
    vhost_flush(s->vhost);
}

struct journal_seeded *story_journal(struct story *s)
{
    return s->journal;
}

void advance(struct story *s, int64_t ms)
{
    /* And the millisecond that had begun: what lasts MS is over then. */
    int64_t end = s->now + ms + 1;

    settle(s);
    while (vhost_next_deadline(s->vhost) <= end) {
        if (vhost_next_deadline(s->vhost) > s->now)
            s->now = vhost_next_deadline(s->vhost);
        run_timer(s);
        settle(s);
    }
    s->now = end;
    run_timer(s);
    settle(s);
}

int64_t story_now(const struct story *s)
{
    return s->now;
}

struct vhost *story_vhost(struct story *s)
{
    return s->vhost;
}

static struct vhost *make_vhost(void *context, struct journal *journal)
{
    struct story *s = context;
    struct vhost_ops ops = {.output = output, .random = random_octets, .context = s};
    struct vhost *vhost = vhost_new(BYTES_LITERAL("/"), &s->settings, &ops, journal);

    vhost_set_permission(vhost, B("guest"), B(".*"), B(".*"), B(".*"));
    return vhost;
}

static struct story *begin(const struct vhost_settings *settings, bool late)
{
    const char *seed = getenv("CONEY_JOURNAL_SEED");
    struct story *s = xcalloc(1, sizeof *s);

    s->now = STORY_START;
    s->is_late = late;
    if (late || seed) {
        s->random.state = seed ? strtoull(seed, NULL, 0) : 1;
        s->journal = journal_seeded_new(random_next(&s->random), NULL);
    }
    s->settings = *settings;
    if (s->journal)
        s->settings.spill_min = 1;
    s->vhost = make_vhost(s, s->journal ? journal_seeded_journal(s->journal) : journal_memory_new());
    if (late)
        sync_journal(s);
    return s;
}

void restart(struct story *s)
{
    bool late = s->is_late;

    for (struct peer *peer = s->peers; peer; peer = peer->next)
        if (!peer->is_gone)
            vanish(peer->clients);
    s->is_late = false;
    settle(s);
    s->is_late = late;
    journal_seeded_check(s->journal, s->vhost);
    s->vhost = journal_seeded_restart(s->journal, s->vhost, make_vhost, s);
    run_timer(s);
}

struct story *story_new_with(const struct vhost_settings *settings)
{
    return begin(settings, false);
}

static const struct vhost_settings settings_default = {.message_size_max = 1 << 20,
                                                       .consumer_timeout_ms = 1800000};

struct story *story_new(void)
{
    return begin(&settings_default, false);
}

struct story *story_new_late(void)
{
    return begin(&settings_default, true);
}

static void peer_free(struct peer *peer)
{
    if (!peer->is_gone)
        vanish(peer->clients);
    settle(peer->story);
    cr_assert(peer->has_detached);
    while (peer->clients) {
        struct client *c = peer->clients;

        peer->clients = c->next;
        ears_free(&c->replies);
        ears_free(&c->deliveries);
        ears_free(&c->returns);
        free(c);
    }
    free(peer);
}

void story_free(struct story *s)
{
    while (s->peers) {
        struct peer *peer = s->peers;

        s->peers = peer->next;
        peer_free(peer);
    }
    s->is_late = false;
    settle(s);
    if (s->journal) {
        journal_seeded_check(s->journal, s->vhost);
        journal_seeded_restart(s->journal, s->vhost, NULL, NULL);
        journal_seeded_seal(s->journal);
    }
    vhost_free(s->vhost);
    while (taken) {
        struct heard *heard = taken;

        taken = heard->next;
        heard_free(heard);
    }
    free(s);
#ifdef __SANITIZE_ADDRESS__
    /* Criterion takes a leak found at the end of the process for a warning. */
    cr_assert_not(__lsan_do_recoverable_leak_check(), "something was leaked");
#endif
}

/* ---- policies, looking in ---- */

static void put_policy(struct story *s, enum policy_origin origin, const char *name, const char *pattern,
                       struct arguments definition)
{
    char why[POLICY_WHY_SIZE];
    struct policy_spec spec = {.name = B(name), .pattern = B(pattern), .definition = definition.table};

    cr_assert(vhost_set_policy(s->vhost, origin, &spec, why), "%s", why);
    vhost_flush(s->vhost);
}

void set_policy(struct story *s, const char *name, const char *pattern, struct arguments definition)
{
    put_policy(s, POLICY_USER, name, pattern, definition);
}

void set_operator_policy(struct story *s, const char *name, const char *pattern, struct arguments definition)
{
    put_policy(s, POLICY_OPERATOR, name, pattern, definition);
}

void clear_policy(struct story *s, const char *name)
{
    cr_assert(vhost_clear_policy(s->vhost, POLICY_USER, B(name)));
    vhost_flush(s->vhost);
}

struct queue_info queue_info(struct story *s, const char *queue)
{
    struct queue_info info;

    settle(s);
    cr_assert(vhost_queue_info(s->vhost, B(queue), &info), "no queue '%s'", queue);
    return info;
}

bool queue_exists(struct story *s, const char *queue)
{
    struct queue_info info;

    settle(s);
    return vhost_queue_info(s->vhost, B(queue), &info);
}

bool exchange_exists(struct story *s, const char *exchange)
{
    settle(s);
    return exchange_find(s->vhost, B(exchange)) != NULL;
}

/* ---- clients ---- */

static struct client *client_add(struct peer *peer, uint16_t number)
{
    struct client *c = xcalloc(1, sizeof *c);

    c->peer = peer;
    c->number = number;
    ears_init(&c->replies);
    ears_init(&c->deliveries);
    ears_init(&c->returns);
    c->next = peer->clients;
    peer->clients = c;
    return c;
}

struct client *client_enter(struct story *s, const struct batch_open *open)
{
    struct peer *peer = xcalloc(1, sizeof *peer);
    struct batch batch = {.kind = BATCH_OPEN, .owner = peer};
    struct client *zero = client_add(peer, 0);

    peer->story = s;
    peer->is_reading = true;
    peer->unwritten_end = &peer->unwritten;
    peer->next = s->peers;
    s->peers = peer;
    batch.open = *open;
    run(s, &batch);
    cr_assert(peer->id, "the connection was not attached");
    return zero;
}

void reopen(struct client *c)
{
    c->sequence = 0;
    memset(c->confirms, 0, sizeof c->confirms);
    SEND(c, .id = METHOD_CHANNEL_OPEN);
    expect_reply(c, METHOD_CHANNEL_OPEN_OK);
}

struct client *client_beside(struct client *c)
{
    uint16_t number = 1;

    while (client_at(c->peer, number))
        number++;
    c = client_add(c->peer, number);
    reopen(c);
    return c;
}

static struct client *client_open(struct story *s, const char *user, bool notify)
{
    struct client *zero = client_enter(s, &(struct batch_open){.user = B(user),
                                                               .consumer_cancel_notify = notify,
                                                               .user_channel_max = UINT32_MAX});

    expect_reply(zero, METHOD_CONNECTION_OPEN_OK);
    return client_beside(zero);
}

struct client *client(struct story *s)
{
    return client_open(s, "guest", true);
}

struct client *client_of(struct story *s, const char *user)
{
    return client_open(s, user, true);
}

struct client *client_without_notify(struct story *s)
{
    return client_open(s, "guest", false);
}

struct client *client_zero(struct client *c)
{
    return client_at(c->peer, 0);
}

void vanish(struct client *c)
{
    struct peer *peer = c->peer;

    cr_assert_not(peer->is_gone);
    peer->is_gone = true;
    read_on(c);
    run(peer->story, &(struct batch){.kind = BATCH_CLOSE, .connection = peer->id});
    cr_assert(peer->has_detached || vhost_has_work(peer->story->vhost));
    drift(peer->story);
}

void stop_reading(struct client *c)
{
    settle(c->peer->story);
    c->peer->is_reading = false;
}

void read_on(struct client *c)
{
    struct peer *peer = c->peer;

    peer->is_reading = true;
    while (peer->unwritten) {
        struct outbox_chunk *chunk = peer->unwritten;

        peer->unwritten = chunk->next;
        chunk_written(peer->story, chunk);
    }
    peer->unwritten_end = &peer->unwritten;
    give_back(peer->story);
}

unsigned held(struct client *c)
{
    settle(c->peer->story);
    return c->peer->hold;
}

bool has_ended(struct client *c)
{
    settle(c->peer->story);
    return c->peer->has_ended;
}

bool has_detached(struct client *c)
{
    return c->peer->has_detached;
}

/* ---- commands ---- */

void together(struct client *c)
{
    c->peer->is_together = true;
    c->peer->together = (struct batch){.kind = BATCH_COMMANDS, .connection = c->peer->id};
}

void together_end(struct client *c)
{
    struct peer *peer = c->peer;

    peer->is_together = false;
    run(peer->story, &peer->together);
    batch_clear(&peer->together);
    drift(peer->story);
}

static void send(struct client *c, struct command command, const struct method *method)
{
    bool alone = !c->peer->is_together;
    struct command *added;

    if (alone)
        together(c);
    command.channel = c->number;
    if (method) {
        struct method *copy = arena_alloc(&c->peer->together.arena, sizeof *copy);

        *copy = *method;
        command.method = copy;
    }
    added = batch_add(&c->peer->together);
    *added = command;
    if (alone)
        together_end(c);
}

void send_method(struct client *c, const struct method *method)
{
    send(c, (struct command){.kind = COMMAND_METHOD}, method);
}

static struct bytes encode_properties(struct buffer *raw, const struct post *p)
{
    struct properties properties = {0};

    if (p->raw.data)
        return p->raw;
    if (p->persistent) {
        properties.flags |= PROPERTY_DELIVERY_MODE;
        properties.delivery_mode = DELIVERY_MODE_PERSISTENT;
    }
    if (p->has_priority || p->priority) {
        properties.flags |= PROPERTY_PRIORITY;
        properties.priority = p->priority;
    }
    if (p->headers.data) {
        properties.flags |= PROPERTY_HEADERS;
        properties.headers = p->headers;
    }
    if (p->expiration) {
        properties.flags |= PROPERTY_EXPIRATION;
        properties.expiration = B(p->expiration);
    }
    if (p->reply_to) {
        properties.flags |= PROPERTY_REPLY_TO;
        properties.reply_to = B(p->reply_to);
    }
    if (p->user_id) {
        properties.flags |= PROPERTY_USER_ID;
        properties.user_id = B(p->user_id);
    }
    if (p->correlation_id) {
        properties.flags |= PROPERTY_CORRELATION_ID;
        properties.correlation_id = B(p->correlation_id);
    }
    properties_encode(raw, &properties);
    return buffer_bytes(raw);
}

void post(struct client *c, struct post p)
{
    struct buffer raw = {0};
    struct bytes body = p.body ? B(p.body) : (struct bytes){NULL, 0};
    struct message *message =
        message_new(B(p.exchange ? p.exchange : ""), B(p.key ? p.key : ""), (struct bytes){NULL, 0},
                    encode_properties(&raw, &p), p.body_size ? p.body_size : body.size);

    if (p.body_size)
        memset(message->body, 'x', p.body_size);
    else
        put_bytes(message->body, body);
    message_scan_properties(message);
    buffer_free(&raw);
    send(c, (struct command){.kind = COMMAND_PUBLISH_BEGUN}, NULL);
    send(c,
         (struct command){.kind = COMMAND_PUBLISH,
                          .flags = (uint8_t)((p.flags & MANDATORY ? COMMAND_MANDATORY : 0) |
                                             (p.flags & IMMEDIATE ? COMMAND_IMMEDIATE : 0)),
                          .message = message},
         NULL);
}

void publish(struct client *c, const char *queue, const char *body)
{
    POST(c, .key = queue, .body = body);
}

void settle_tag(struct client *c, uint64_t tag, unsigned flags)
{
    send(c, (struct command){.kind = COMMAND_SETTLE, .flags = (uint8_t)flags, .delivery_tag = tag}, NULL);
}

void ack(struct client *c, uint64_t tag)
{
    settle_tag(c, tag, COMMAND_ACK);
}

void ack_up_to(struct client *c, uint64_t tag)
{
    settle_tag(c, tag, COMMAND_ACK | COMMAND_MULTIPLE);
}

static unsigned settle_flags(unsigned flags)
{
    return (flags & MULTIPLE ? COMMAND_MULTIPLE : 0U) | (flags & REQUEUE ? COMMAND_REQUEUE : 0U);
}

void nack(struct client *c, uint64_t tag, unsigned flags)
{
    settle_tag(c, tag, COMMAND_NACK | settle_flags(flags));
}

void reject(struct client *c, uint64_t tag, unsigned flags)
{
    settle_tag(c, tag, COMMAND_REJECT | settle_flags(flags));
}

void send_declare(struct client *c, const char *queue, unsigned flags, struct arguments arguments)
{
    SEND(c, .id = METHOD_QUEUE_DECLARE,
         .queue_declare = {.queue = B(queue),
                           .arguments = arguments.table,
                           .passive = flags & PASSIVE,
                           .durable = flags & DURABLE,
                           .exclusive = flags & EXCLUSIVE,
                           .auto_delete = flags & AUTO_DELETE,
                           .nowait = flags & NOWAIT});
}

void send_declare_exchange(struct client *c, const char *exchange, const char *type, unsigned flags,
                           struct arguments arguments)
{
    SEND(c, .id = METHOD_EXCHANGE_DECLARE,
         .exchange_declare = {.exchange = B(exchange),
                              .type = B(type),
                              .arguments = arguments.table,
                              .passive = flags & PASSIVE,
                              .durable = flags & DURABLE,
                              .auto_delete = flags & AUTO_DELETE,
                              .internal = flags & INTERNAL,
                              .nowait = flags & NOWAIT});
}

void send_bind(struct client *c, const char *queue, const char *exchange, const char *key,
               struct arguments arguments)
{
    SEND(
        c, .id = METHOD_QUEUE_BIND,
        .queue_bind = {
            .queue = B(queue), .exchange = B(exchange), .routing_key = B(key), .arguments = arguments.table});
}

void send_unbind(struct client *c, const char *queue, const char *exchange, const char *key)
{
    SEND(c, .id = METHOD_QUEUE_UNBIND,
         .queue_unbind = {.queue = B(queue), .exchange = B(exchange), .routing_key = B(key)});
}

void send_consume(struct client *c, const char *queue, const char *tag, unsigned flags,
                  struct arguments arguments)
{
    SEND(c, .id = METHOD_BASIC_CONSUME,
         .basic_consume = {.queue = B(queue),
                           .consumer_tag = B(tag),
                           .arguments = arguments.table,
                           .no_ack = flags & NO_ACK,
                           .exclusive = flags & EXCLUSIVE,
                           .nowait = flags & NOWAIT});
}

void send_get(struct client *c, const char *queue, unsigned flags)
{
    SEND(c, .id = METHOD_BASIC_GET, .basic_get = {.queue = B(queue), .no_ack = flags & NO_ACK});
}

void send_delete(struct client *c, const char *queue, unsigned flags)
{
    SEND(c, .id = METHOD_QUEUE_DELETE,
         .queue_delete = {.queue = B(queue), .if_unused = flags & IF_UNUSED, .if_empty = flags & IF_EMPTY});
}

void send_purge(struct client *c, const char *queue)
{
    SEND(c, .id = METHOD_QUEUE_PURGE, .queue_purge = {.queue = B(queue)});
}

void send_qos(struct client *c, uint16_t count, bool global)
{
    SEND(c, .id = METHOD_BASIC_QOS, .basic_qos = {.prefetch_count = count, .global = global});
}

/* ---- expectations ---- */

static const char *heard_name(const struct heard *heard)
{
    static char text[600];

    if (!heard)
        return "nothing";
    if (heard->kind == OUTBOX_GET_OK)
        return "basic.get-ok";
    if (heard->kind != OUTBOX_METHOD)
        return "a delivery";
    if (heard->method.id == METHOD_CHANNEL_CLOSE)
        snprintf(text, sizeof text, "channel.close %.*s", BYTES_ARG(heard->method.channel_close.reply_text));
    else if (heard->method.id == METHOD_CONNECTION_CLOSE)
        snprintf(text, sizeof text, "connection.close %.*s",
                 BYTES_ARG(heard->method.connection_close.reply_text));
    else
        return method_name(heard->method.id);
    return text;
}

const struct heard *story_reply(const char *here, struct client *c, enum method_id id)
{
    const struct heard *heard;

    settle(c->peer->story);
    heard = ears_take(&c->replies);
    cr_assert(heard && heard->kind == OUTBOX_METHOD && heard->method.id == id,
              "%s: expected %s, heard %s%s%s", here, method_name(id), heard_name(heard),
              heard || !client_at(c->peer, 0)->replies.first ? "" : "; on channel 0: ",
              heard || !client_at(c->peer, 0)->replies.first
                  ? ""
                  : heard_name(client_at(c->peer, 0)->replies.first));
    return heard;
}

static const struct heard *expect_message(const char *here, struct ears *ears, const char *what,
                                          enum outbox_kind kind, const char *body, unsigned flags)
{
    const struct heard *heard = ears_take(ears);

    cr_assert(heard && heard->kind == kind, "%s: expected %s '%s', heard %s", here, what, body,
              heard_name(heard));
    cr_assert_str_eq(heard->body, body, "%s: expected %s '%s', heard '%s'", here, what, body, heard->body);
    cr_assert_eq(heard->flags & OUTBOX_REDELIVERED, flags & OUTBOX_REDELIVERED, "%s: '%s' is %sredelivered",
                 here, body, flags & OUTBOX_REDELIVERED ? "not " : "");
    return heard;
}

const struct heard *story_delivery(const char *here, struct client *c, const char *body, unsigned flags)
{
    settle(c->peer->story);
    return expect_message(here, &c->deliveries, "delivery", OUTBOX_DELIVER, body, flags);
}

const struct heard *story_get(const char *here, struct client *c, const char *body, unsigned flags)
{
    settle(c->peer->story);
    return expect_message(here, &c->replies, "get-ok", OUTBOX_GET_OK, body, flags);
}

const struct heard *story_return(const char *here, struct client *c, const char *body)
{
    settle(c->peer->story);
    return expect_message(here, &c->returns, "return", OUTBOX_RETURN, body, 0);
}

void story_confirmed(const char *here, struct client *c, uint64_t first, uint64_t last, bool acked)
{
    settle(c->peer->story);
    for (uint64_t i = first; i <= last; i++)
        cr_assert_eq(c->confirms[i], acked ? 'a' : 'n', "%s: publish %llu was %s", here,
                     (unsigned long long)i,
                     !c->confirms[i] ? "not confirmed"
                     : acked         ? "nacked"
                                     : "acked");
}

void story_unconfirmed(const char *here, struct client *c, uint64_t sequence)
{
    settle(c->peer->story);
    cr_assert_eq(c->confirms[sequence], 0, "%s: publish %llu was confirmed", here,
                 (unsigned long long)sequence);
}

void story_silence(const char *here, struct client *c)
{
    settle(c->peer->story);
    cr_assert_null(c->replies.first, "%s: heard %s", here, heard_name(c->replies.first));
    if (c->deliveries.first)
        cr_assert_fail("%s: delivered '%s'", here, c->deliveries.first->body);
    if (c->returns.first)
        cr_assert_fail("%s: returned '%s'", here, c->returns.first->body);
}

static void expect_close(const char *here, const char *text, enum method_id method,
                         const struct method_connection_close *close)
{
    cr_assert(bytes_equal_string(close->reply_text, text), "%s: closed with '%.*s'", here,
              BYTES_ARG(close->reply_text));
    cr_assert_eq((uint32_t)close->class_id << 16 | close->method_id, (uint32_t)method, "%s: closed for %u.%u",
                 here, close->class_id, close->method_id);
}

void story_channel_error(const char *here, struct client *c, enum reply_code code, const char *text,
                         enum method_id method)
{
    const struct heard *heard = story_reply(here, c, METHOD_CHANNEL_CLOSE);
    const struct method_channel_close *close = &heard->method.channel_close;

    cr_assert_eq(close->reply_code, code, "%s: closed with %u", here, close->reply_code);
    expect_close(here, text, method,
                 &(struct method_connection_close){.reply_text = close->reply_text,
                                                   .class_id = close->class_id,
                                                   .method_id = close->method_id});
    SEND(c, .id = METHOD_CHANNEL_CLOSE_OK);
}

void story_connection_error(const char *here, struct client *c, enum reply_code code, const char *text,
                            enum method_id method)
{
    const struct heard *heard = story_reply(here, client_zero(c), METHOD_CONNECTION_CLOSE);

    cr_assert_eq(heard->method.connection_close.reply_code, code, "%s: closed with %u", here,
                 heard->method.connection_close.reply_code);
    expect_close(here, text, method, &heard->method.connection_close);
    SEND(client_zero(c), .id = METHOD_CONNECTION_CLOSE_OK);
    cr_assert(has_ended(c), "%s: close-ok does not end the connection", here);
}

void story_count(const char *here, struct story *s, const char *queue, uint64_t ready, uint64_t unacked)
{
    struct queue_info info = queue_info(s, queue);

    cr_assert(info.ready == ready && info.unacked == unacked, "%s: '%s' has %llu ready, %llu unacked", here,
              queue, (unsigned long long)info.ready, (unsigned long long)info.unacked);
}

const struct heard *glimpse_reply(struct client *c)
{
    return c->replies.first;
}

const struct heard *glimpse_delivery(struct client *c)
{
    return c->deliveries.first;
}

unsigned glimpse_confirm(struct client *c, uint64_t sequence)
{
    return c->confirms[sequence] != 0;
}

/* ---- commands with their reply ---- */

void story_declare(const char *here, struct client *c, const char *queue, unsigned flags,
                   struct arguments arguments)
{
    send_declare(c, queue, flags, arguments);
    story_reply(here, c, METHOD_QUEUE_DECLARE_OK);
}

void story_declare_exchange(const char *here, struct client *c, const char *exchange, const char *type,
                            unsigned flags, struct arguments arguments)
{
    send_declare_exchange(c, exchange, type, flags, arguments);
    story_reply(here, c, METHOD_EXCHANGE_DECLARE_OK);
}

void story_bind(const char *here, struct client *c, const char *queue, const char *exchange, const char *key)
{
    send_bind(c, queue, exchange, key, NO_ARGUMENTS);
    story_reply(here, c, METHOD_QUEUE_BIND_OK);
}

void story_consume(const char *here, struct client *c, const char *queue, const char *tag, unsigned flags,
                   struct arguments arguments)
{
    send_consume(c, queue, tag, flags, arguments);
    story_reply(here, c, METHOD_BASIC_CONSUME_OK);
}

void story_simple(const char *here, struct client *c, enum method_id id, enum method_id expected)
{
    SEND(c, .id = id);
    story_reply(here, c, expected);
}

void story_cancel(const char *here, struct client *c, const char *tag)
{
    const struct heard *heard;

    SEND(c, .id = METHOD_BASIC_CANCEL, .basic_cancel = {.consumer_tag = B(tag)});
    heard = story_reply(here, c, METHOD_BASIC_CANCEL_OK);
    cr_assert(bytes_equal_string(heard->method.basic_cancel_ok.consumer_tag, tag), "%s", here);
}

void story_qos(const char *here, struct client *c, uint16_t count, bool global)
{
    send_qos(c, count, global);
    story_reply(here, c, METHOD_BASIC_QOS_OK);
}

void story_purge(const char *here, struct client *c, const char *queue, uint32_t count)
{
    const struct heard *heard;

    send_purge(c, queue);
    heard = story_reply(here, c, METHOD_QUEUE_PURGE_OK);
    cr_assert_eq(heard->method.queue_purge_ok.message_count, count, "%s: %u purged", here,
                 heard->method.queue_purge_ok.message_count);
}

void story_delete(const char *here, struct client *c, const char *queue)
{
    send_delete(c, queue, 0);
    story_reply(here, c, METHOD_QUEUE_DELETE_OK);
}

void story_close_connection(const char *here, struct client *c)
{
    SEND(client_zero(c), .id = METHOD_CONNECTION_CLOSE);
    story_reply(here, client_zero(c), METHOD_CONNECTION_CLOSE_OK);
    cr_assert(has_ended(c), "%s: the connection goes on", here);
}
