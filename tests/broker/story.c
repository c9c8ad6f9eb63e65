/* SPDX-License-Identifier: Apache-2.0 */
/* story.h: a vhost and its journal, time, connections and channels, which keep what they hear. */
#include <stdlib.h>

#include "broker/exchange.h"
#include "coney/journal.h"
#include "coney/xalloc.h"
#include "story_fields.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

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

struct heard *story_take(struct ears *ears)
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

struct client *story_client_at(struct peer *peer, uint16_t number)
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
    struct client *c = story_client_at(peer, record->channel);
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

/* After a command: with a seeded journal, something may or may not happen. */
static void drift(struct story *s)
{
    if (!s->journal || s->is_late)
        return;
    for (uint32_t i = random_below(&s->random, 4); i; i--)
        journal_seeded_step(s->journal, s->vhost, s->now);
    vhost_flush(s->vhost);
}

void story_run(struct story *s, struct batch *batch)
{
    run(s, batch);
    drift(s);
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

void bring_one_back(struct story *s)
{
    journal_seeded_answer_one(s->journal, s->vhost, s->now);
    vhost_flush(s->vhost);
}

void fail_reads(struct story *s)
{
    journal_seeded_fail_reads(s->journal, s->vhost, s->now);
    vhost_flush(s->vhost);
}

void finish_saves(struct story *s, bool failed)
{
    journal_seeded_answer_saves(s->journal, s->vhost, s->now, failed);
    vhost_flush(s->vhost);
}

void move_runs(struct story *s)
{
    journal_seeded_move_all(s->journal, s->vhost, s->now);
    vhost_flush(s->vhost);
}

void limit_memory(struct story *s, uint64_t octets)
{
    journal_seeded_limit(s->journal, s->vhost, s->now, octets);
    vhost_flush(s->vhost);
}

uint32_t questions(const struct story *s)
{
    return journal_seeded_questions(s->journal);
}

void checkpoint(struct story *s)
{
    journal_seeded_checkpoint(s->journal, s->vhost, s->now);
    vhost_flush(s->vhost);
}

void step_journal(struct story *s)
{
    journal_seeded_step(s->journal, s->vhost, s->now);
    vhost_flush(s->vhost);
}

void send_away(struct story *s)
{
    if (s->journal)
        journal_seeded_evict_all(s->journal, s->vhost, s->now);
    vhost_flush(s->vhost);
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

    while (story_client_at(c->peer, number))
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
    return story_client_at(c->peer, 0);
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
